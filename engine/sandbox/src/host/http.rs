//! Requests: what a granted one is.

use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::bindings::bespin::plugin::http::{Field, Header, Host, Request, Response};
use super::secrets::{self, Assembled, Whole};
use super::{Answer, value};
use crate::abilities::{Failure, HttpRequest, HttpResponse, Redirects};
use crate::state::State;
use pipeline::permission::Ability;
use pipeline::permission::{HostReach, Target};

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

/// The longest address, in bytes.
const ADDRESS: usize = 8 << 10;

/// The longest header, its name included, in bytes.
const HEADER: usize = 16 << 10;

/// The most headers of one request.
const HEADERS: usize = 100;

impl Host for State {
    async fn send(&mut self, request: Request) -> Answer<Response> {
        self.count()?;
        let sent = match self.assembled(request) {
            Ok((granted, secrets)) => self.send_granted(granted, &secrets).await,
            Err(failure) => Err(failure),
        };
        self.answer(sent)
    }
}

impl State {
    /// The request as it is sent, and the secrets in it.
    fn assembled(&self, request: Request) -> Result<(HttpRequest, Vec<SecretString>), Failure> {
        let url = self.assemble("the address", &request.url, ADDRESS)?;
        if request.headers.len() > HEADERS {
            return Err(Failure::Rejected(format!("a request has at most {HEADERS} headers")));
        }
        let mut secrets = url.secrets.clone();
        let mut headers = Vec::with_capacity(request.headers.len());
        for Header { name, value } in &request.headers {
            let what = format!("header `{}`", value::clip(name));
            value::at_most(&what, name.len(), HEADER)?;
            let value = self.assemble(&what, value, HEADER)?;
            secrets.extend(value.secrets);
            headers.push((name.to_ascii_lowercase(), value.text));
        }
        Ok((self.granted(request.method, &url, headers, request.body)?, secrets))
    }

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
        // A parser of addresses leaves line breaks out, and nobody meant the address that it is without them.
        if address.text.expose_secret().chars().any(char::is_control) {
            return Err(Failure::Rejected("the address has a control character in it".to_owned()));
        }
        check_secrets(address, &url)?;
        url.set_fragment(None);
        let target = Target::of(&method, &url).map_err(|why| Failure::Rejected(why.to_owned()))?;
        let reach = self.reach(address, &target)?;
        let url = String::from(url).into();
        let at_most = self.limits.response_bytes;
        Ok(HttpRequest { method, url, headers, body, reach, redirects: Redirects::None, at_most })
    }

    fn reach(&self, address: &Assembled, target: &Target) -> Result<HostReach, Failure> {
        // Whoever stored the secret chose the address, and a webhook takes nothing but POST.
        if address.whole == Whole::Secret && target.is_post() {
            return Ok(target.reach_by_its_own_name());
        }
        let shown = match address.whole {
            Whole::Mixed => target.to_string(),
            Whole::Secret => "<the host that a secret names>".to_owned(),
        };
        self.grants.reach(target, &shown).map_err(Failure::Denied)
    }

    async fn send_granted(&mut self, granted: HttpRequest, secrets: &[SecretString]) -> Result<Response, Failure> {
        let at_most = granted.at_most;
        let answer = self.ask(|abilities| async move { abilities.http(granted).await }).await;
        let HttpResponse { status, headers, body } = answer.map_err(|failure| match failure {
            Failure::Rejected(because) => Failure::Rejected(secrets::hide_in(because, secrets)),
            Failure::Transient(because) => Failure::Transient(secrets::hide_in(because, secrets)),
            other => other,
        })?;
        if body.len() as u64 > at_most {
            return Err(Failure::Rejected(format!("the answer has more than {at_most} bytes")));
        }
        let field = |(name, value): (String, String)| Field {
            name: name.to_ascii_lowercase(),
            value: secrets::hide_in(value, secrets),
        };
        let headers = headers.into_iter().map(field).collect();
        Ok(Response { status, headers, body: secrets::hide(body, secrets) })
    }
}

/// A secret may be all of an address, or stand behind the name of the host: in that name, name servers would read it.
fn check_secrets(address: &Assembled, url: &Url) -> Result<(), Failure> {
    if address.secrets.is_empty() || address.whole == Whole::Secret {
        return Ok(());
    }
    if Url::parse(&address.before).is_ok_and(|before| before.origin() == url.origin()) {
        return Ok(());
    }
    Err(Failure::Rejected("a secret may not be in the name of the host, or before it".to_owned()))
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
    fn a_secret_stands_behind_the_host() {
        for (before, secret, after, ok) in [
            ("https://host.example/", "s", "/x", true),
            ("https://host.example/?token=", "s", "", true),
            ("https://", "s", ".attacker.example/", false),
            ("https:///", "s", ".attacker.example/", false),
            ("https://a", "s", ".attacker.example/", false),
            ("https://host.example:80", "8", "/", false),
            ("https://user:", "s", "@attacker.example/", false),
            ("", "https", "://host.example/", false),
        ] {
            let text = format!("{before}{secret}{after}");
            let url = Url::parse(&text).unwrap();
            let address = Assembled {
                text: text.clone().into(),
                before: before.to_owned(),
                secrets: vec![secret.into()],
                whole: Whole::Mixed,
            };
            assert_eq!(check_secrets(&address, &url).is_ok(), ok, "{text}");
        }
    }

    #[test]
    fn methods() {
        for method in ["", "get", "CONNECT", "TRACE", "GET /", "GET\r\n"] {
            assert!(check_method(method).is_err(), "{method}");
        }
        assert!(check_method("PATCH").is_ok());
    }
}
