//! The metric providers that the configuration names: Prometheus' HTTP API, asked one instant query at a time.

use super::connector::Connector;
use crate::config::SecretSource;
use crate::drive::Trouble;
use pipeline::permission::HostReach;
use sandbox::{Failure, HttpRequest, HttpResponse, Query, Redirects, Sample};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use std::collections::BTreeMap;

/// The longest answer, in bytes.
const LONGEST: u64 = 8 << 20;

/// A metric provider, as it is configured.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Provider {
    /// How grants and plugins call it.
    pub name: String,
    /// Where its API is, without `/api/v1`.
    pub url: String,
    /// The bearer token that the provider wants.
    #[serde(default)]
    pub token: Option<SecretSource>,
}

/// What an instant query is answered with.
#[derive(Deserialize)]
#[serde(tag = "status", rename_all = "lowercase")]
enum Answer {
    Success { data: Data },
    Error { error: String },
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Data {
    Vector(Vec<Series>),
    Scalar((f64, String)),
}

#[derive(Deserialize)]
struct Series {
    metric: BTreeMap<String, String>,
    value: (f64, String),
}

/// Asks a provider.
///
/// # Errors
/// Rejected where there is no such provider or it refuses the query; transient where it cannot answer.
pub(super) async fn query(
    connector: &Connector,
    providers: &[Provider],
    asked: &Query,
) -> Result<Vec<Sample>, Failure> {
    let unknown = || {
        let name = &asked.provider;
        Failure::Rejected(format!("the server knows no metric provider `{name}`; add [[metrics]] to its configuration"))
    };
    let provider = providers.iter().find(|provider| provider.name == asked.provider).ok_or_else(unknown)?;
    answer(&provider.name, &connector.send(request(provider, &asked.query)?).await?)
}

fn request(provider: &Provider, query: &str) -> Result<HttpRequest, Failure> {
    let text = |text: &str| SecretString::from(text.to_owned());
    let mut headers = vec![("content-type".to_owned(), text("application/x-www-form-urlencoded"))];
    if let Some(token) = &provider.token {
        let token =
            token.read().map_err(|because| Failure::Transient(format!("metrics `{}`: {because}", provider.name)))?;
        headers.push(("authorization".to_owned(), text(&format!("Bearer {}", token.expose_secret().trim_end()))));
    }
    let body = url::form_urlencoded::Serializer::new(String::new()).append_pair("query", query).finish();
    Ok(HttpRequest {
        method: "POST".to_owned(),
        url: format!("{}/api/v1/query", provider.url.trim_end_matches('/')).into(),
        headers,
        body: body.into_bytes(),
        // The address is the administrator's own.
        reach: HostReach::Local,
        redirects: Redirects::None,
        at_most: LONGEST,
    })
}

fn answer(name: &str, answer: &HttpResponse) -> Result<Vec<Sample>, Failure> {
    let odd = |because: &str| Failure::Transient(format!("metrics `{name}`: status {}: {because}", answer.status));
    let parsed = serde_json::from_slice(&answer.body);
    match (answer.status, parsed) {
        (200, Ok(Answer::Success { data: Data::Vector(series) })) => series
            .into_iter()
            .map(|one| sample(one.metric, &one.value.1).ok_or_else(|| odd("a value is no number")))
            .collect(),
        (200, Ok(Answer::Success { data: Data::Scalar((_, value)) })) => {
            Ok(vec![sample(BTreeMap::new(), &value).ok_or_else(|| odd("the value is no number"))?])
        }
        (400 | 422, Ok(Answer::Error { error })) => Err(Failure::Rejected(format!("metrics `{name}`: {error}"))),
        // The token is read again for each query.
        (401 | 403, _) => {
            Err(Trouble::needs_person(format!("metrics `{name}` does not accept the server's token")).into())
        }
        (_, Ok(Answer::Error { error })) => Err(odd(&error)),
        (200, Err(error)) => Err(odd(&format!("this is no answer to an instant query: {error}"))),
        _ => Err(odd("this is no answer to an instant query")),
    }
}

/// Prometheus writes numbers as texts, among them `NaN` and `+Inf`.
fn sample(labels: BTreeMap<String, String>, value: &str) -> Option<Sample> {
    Some(Sample { labels, value: value.parse().ok()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn read(status: u16, body: &str) -> Result<Vec<Sample>, Failure> {
        answer("p", &HttpResponse { status, headers: Vec::new(), body: body.as_bytes().to_vec() })
    }

    #[test]
    fn vectors_and_scalars_are_samples() {
        let vector = r#"{"status":"success","data":{"resultType":"vector","result":[
            {"metric":{"job":"a"},"value":[1.5,"0.25"]},{"metric":{},"value":[1,"+Inf"]}]}}"#;
        let samples = read(200, vector).unwrap();
        assert_eq!((samples[0].labels["job"].as_str(), samples[0].value), ("a", 0.25));
        assert_eq!(samples[1].value, f64::INFINITY);
        let scalar = r#"{"status":"success","data":{"resultType":"scalar","result":[1,"NaN"]}}"#;
        assert!(read(200, scalar).unwrap()[0].value.is_nan());
        let empty = r#"{"status":"success","data":{"resultType":"vector","result":[]},"warnings":["w"]}"#;
        assert_eq!(read(200, empty).unwrap(), []);
    }

    #[test]
    fn whatever_else_is_no_answer() {
        let refused = read(400, r#"{"status":"error","errorType":"bad_data","error":"parse error"}"#).unwrap_err();
        assert_eq!(refused, Failure::Rejected("metrics `p`: parse error".to_owned()));
        assert!(matches!(read(401, "no"), Err(Failure::Transient(_))), "a token comes back");
        for (status, body) in [
            (200, "<html>"),
            (200, r#"{"status":"success","data":{"resultType":"matrix","result":[]}}"#),
            (200, r#"{"status":"success","data":{"resultType":"scalar","result":[1,"x"]}}"#),
            (200, r#"{"status":"error","error":"e"}"#),
            (503, r#"{"status":"error","error":"busy"}"#),
            (302, ""),
        ] {
            assert!(matches!(read(status, body), Err(Failure::Transient(_))), "{status} {body}");
        }
    }

    #[tokio::test]
    async fn a_provider_is_asked_by_its_address_and_with_its_token() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/prometheus/", listener.local_addr().unwrap());
        let served = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut request = String::new();
            while !request.ends_with("query=up%7Ba%3D%22b%22%7D") {
                let mut some = [0; 1024];
                let read = stream.read(&mut some).await.unwrap();
                assert_ne!(read, 0, "it ended early: {request}");
                request.push_str(std::str::from_utf8(&some[..read]).unwrap());
            }
            let body = r#"{"status":"success","data":{"resultType":"scalar","result":[1,"7"]}}"#;
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            stream.write_all(format!("{head}{body}").as_bytes()).await.unwrap();
            request
        });
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "hunter2\n").unwrap();
        let token = Some(SecretSource::File(file.path().to_owned()));
        let providers = [Provider { name: "p".to_owned(), url, token }];
        let asked = |provider: &str| Query { provider: provider.to_owned(), query: r#"up{a="b"}"#.to_owned() };
        let connector = Connector::new().unwrap();
        assert_eq!(query(&connector, &providers, &asked("p")).await.unwrap()[0].value, 7.0);
        let request = served.await.unwrap();
        assert!(request.starts_with("POST /prometheus/api/v1/query HTTP/1.1\r\n"), "{request}");
        assert!(request.contains("authorization: Bearer hunter2\r\n"), "{request}");
        let unknown = query(&connector, &providers, &asked("q")).await.unwrap_err();
        assert!(matches!(&unknown, Failure::Rejected(because) if because.contains("[[metrics]]")), "{unknown:?}");
    }
}
