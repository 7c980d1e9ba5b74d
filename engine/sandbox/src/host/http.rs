//! Requests: what a granted one is.

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::bindings::bespin::plugin::http::{Field, Header, Host, Request, Response};
use super::secrets::{Assembled, Whole};
use super::{Answer, value};
use crate::abilities::{Failure, HttpRequest, HttpResponse, Reach, Redirects};
use crate::ability::Ability;
use crate::grants::Target;
use crate::state::State;

/// Headers that frame the message or name its host: the connector writes them, from the address that was checked.
const FRAMING: [&str; 10] = [
    "connection",
    "content-length",
    "expect",
    "host",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

impl Host for State {
    async fn send(&mut self, request: Request) -> Answer<Response> {
        self.count()?;
        let url = self.assemble(&request.url)?;
        let mut headers = Vec::with_capacity(request.headers.len());
        for Header { name, value } in &request.headers {
            headers.push((name.to_ascii_lowercase(), self.assemble(value)?.text));
        }
        let sent = match self.granted(request.method, &url, headers, request.body) {
            Ok(granted) => self.send_granted(granted).await,
            Err(failure) => Err(failure),
        };
        self.answer(sent)
    }
}

impl State {
    fn granted(
        &self,
        method: String,
        address: &Assembled,
        headers: Vec<(String, SecretString)>,
        body: Vec<u8>,
    ) -> Result<HttpRequest, Failure> {
        check_method(&method)?;
        for (name, value) in &headers {
            check_header(name, value.expose_secret())?;
        }
        // Parse errors of an address with a secret in it could repeat the secret, so that none is shown.
        let Ok(mut url) = Url::parse(address.text.expose_secret()) else {
            let shown =
                if address.secrets.is_empty() { value::clip(address.text.expose_secret()) } else { "with a secret" };
            return Err(Failure::Rejected(format!("the address {shown} is none")));
        };
        url.set_fragment(None);
        let target = Target::of(&method, &url).map_err(|why| Failure::Rejected(why.to_owned()))?;
        let reach = self.reach(address, &target)?;
        let url = String::from(url).into();
        let at_most = self.limits.response_bytes;
        Ok(HttpRequest { method, url, headers, body, reach, redirects: Redirects::None, at_most })
    }

    fn reach(&self, address: &Assembled, target: &Target) -> Result<Reach, Failure> {
        // Whoever stored the secret chose the address, and a webhook takes nothing but POST.
        if address.whole == Whole::Secret && target.is_post() {
            return Ok(target.reach_by_its_own_name());
        }
        let shown = match address.secrets.first() {
            None => target.to_string(),
            Some(name) => format!("<the host in the secret {name}>"),
        };
        self.grants.reach(target, &shown).map_err(Failure::Denied)
    }

    async fn send_granted(&mut self, granted: HttpRequest) -> Result<Response, Failure> {
        let at_most = granted.at_most;
        let HttpResponse { status, headers, body } =
            self.ask(|abilities| async move { abilities.http(granted).await }).await?;
        if body.len() as u64 > at_most {
            return Err(Failure::Rejected(format!("the answer has more than {at_most} bytes")));
        }
        let field = |(name, value): (String, String)| Field { name: name.to_ascii_lowercase(), value };
        Ok(Response { status, headers: headers.into_iter().map(field).collect(), body })
    }
}

fn check_method(method: &str) -> Result<(), Failure> {
    let plain = !method.is_empty() && method.len() <= 32 && method.chars().all(|c| c.is_ascii_uppercase());
    if plain && !matches!(method, "CONNECT" | "TRACE") {
        return Ok(());
    }
    Err(Failure::Rejected(format!("{}: `{}` is no method for a plugin", Ability::Http, value::clip(method))))
}

fn check_header(name: &str, value: &str) -> Result<(), Failure> {
    let token = |c: char| c.is_ascii_alphanumeric() || "!#$%&'*+-.^_`|~".contains(c);
    let refuse = |why: &str| Err(Failure::Rejected(format!("header `{}`: {why}", value::clip(name))));
    if name.is_empty() || !name.chars().all(token) {
        return refuse("this is no name of a header");
    }
    if FRAMING.contains(&name) {
        return refuse("the host writes it");
    }
    if value.chars().any(|c| c.is_control() && c != '\t') {
        return refuse("its value has a control character");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_cannot_end_the_message_or_change_its_host() {
        for (name, value) in [
            ("x-a", "1\r\nhost: attacker"),
            ("x-a", "1\n"),
            ("x-a\r\nhost", "attacker"),
            ("host", "attacker"),
            ("transfer-encoding", "chunked"),
            ("", "x"),
            ("x a", "x"),
        ] {
            assert!(check_header(name, value).is_err(), "{name}: {value}");
        }
        assert!(check_header("authorization", "Bearer x").is_ok());
    }

    #[test]
    fn methods() {
        for method in ["", "get", "CONNECT", "TRACE", "GET /", "GET\r\n"] {
            assert!(check_method(method).is_err(), "{method}");
        }
        assert!(check_method("PATCH").is_ok());
    }
}
