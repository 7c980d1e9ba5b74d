//! moto's EC2 and ELBv2, asked in AWS' query protocol, and its answers in XML.

use super::super::process::ANSWER;

/// The region of everything here.
pub(super) const REGION: &str = "eu-central-1";

/// The names and values of a request.
pub(super) type Parameters = Vec<(String, String)>;

/// Where moto listens.
#[derive(Clone)]
pub(super) struct Api {
    url: String,
    client: reqwest::Client,
}

/// One parameter.
pub(super) fn parameter(name: &str, value: impl ToString) -> (String, String) {
    (name.to_owned(), value.to_string())
}

impl Api {
    pub(super) fn new(url: &str) -> Api {
        let client = reqwest::Client::builder().no_proxy().timeout(ANSWER).build().expect("a client");
        Api { url: format!("{url}/"), client }
    }

    /// Asks EC2.
    pub(super) async fn ec2(&self, action: &str, parameters: Parameters) -> Result<String, String> {
        self.ask("ec2", "2016-11-15", action, parameters).await
    }

    /// Asks ELBv2.
    pub(super) async fn elb(&self, action: &str, parameters: Parameters) -> Result<String, String> {
        self.ask("elasticloadbalancing", "2015-12-01", action, parameters).await
    }

    async fn ask(&self, service: &str, version: &str, action: &str, more: Parameters) -> Result<String, String> {
        let mut parameters = vec![parameter("Action", action), parameter("Version", version)];
        parameters.extend(more);
        // moto looks for the service and the region in the signature, and checks none.
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20260101/{REGION}/{service}/aws4_request, \
             SignedHeaders=host, Signature=0"
        );
        let request = self.client.post(&self.url).header("authorization", authorization).form(&parameters);
        let (status, text) = said(request).await.map_err(|error| format!("{action}: {error}"))?;
        if status == 200 { Ok(text) } else { Err(format!("{action}: {status}: {text}")) }
    }

    /// Hands on a request as it came: the status and the text of the answer.
    pub(super) async fn hand_on(&self, authorization: String, body: String) -> Result<(u16, String), String> {
        let request = self.client.post(&self.url).header("authorization", authorization);
        said(request.header("content-type", "application/x-www-form-urlencoded").body(body)).await
    }
}

async fn said(request: reqwest::RequestBuilder) -> Result<(u16, String), String> {
    let answer = request.send().await.map_err(|error| error.to_string())?;
    let status = answer.status().as_u16();
    Ok((status, answer.text().await.map_err(|error| error.to_string())?))
}

/// The texts of all elements of this name, in their order; none of them may hold another of its own name.
pub(super) fn all<'a>(xml: &'a str, name: &str) -> Vec<&'a str> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let parts = xml.split(open.as_str()).skip(1);
    parts.filter_map(|part| part.split_once(close.as_str()).map(|(text, _)| text)).collect()
}

/// The text of the first element of this name.
pub(super) fn first(xml: &str, name: &str) -> Result<String, String> {
    all(xml, name).first().map(|text| (*text).to_owned()).ok_or_else(|| format!("there is no {name} in {xml}"))
}
