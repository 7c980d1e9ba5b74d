//! What every request to GitHub's API has in common.
//!
//! Source: GitHub REST API, "Getting started" and "Rate limits for the REST API".

use reqwest::header::HeaderMap;
use reqwest::{Client, RequestBuilder, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use std::time::Duration;

/// The most bytes of an answer that are read.
const ANSWER_LIMIT: usize = 1024 * 1024;

/// Why there is no answer that can be used.
pub(crate) struct Refused {
    /// What the API or the network said.
    pub problem: String,
    /// Whether trying again may help.
    pub transient: bool,
}

/// A client that follows no redirect: the token is meant for one host.
pub(crate) fn client() -> Client {
    Client::builder()
        .user_agent("bespin")
        .timeout(Duration::from_secs(15))
        .redirect(reqwest::redirect::Policy::none())
        .build()
        .unwrap_or_default()
}

/// Sends a request, and answers the body of a success.
pub(crate) async fn send(request: RequestBuilder, token: &SecretString) -> Result<Vec<u8>, Refused> {
    let request = request.bearer_auth(token.expose_secret());
    let request = request.header("accept", "application/vnd.github+json").header("x-github-api-version", "2022-11-28");
    let lost = |error: reqwest::Error| Refused { problem: error.without_url().to_string(), transient: true };
    let mut answer = request.send().await.map_err(lost)?;
    let code = answer.status();
    let transient = code.is_server_error() || is_limit(code, answer.headers());
    let mut bytes = Vec::new();
    while let Some(chunk) = answer.chunk().await.map_err(lost)? {
        if bytes.len() + chunk.len() > ANSWER_LIMIT {
            return Err(Refused { problem: "the answer is longer than 1 MiB".into(), transient: false });
        }
        bytes.extend_from_slice(&chunk);
    }
    if code.is_success() {
        return Ok(bytes);
    }
    let text: String = String::from_utf8_lossy(&bytes).chars().take(300).collect();
    Err(Refused { problem: format!("{code}: {text}"), transient })
}

/// Whether an answer only says that there were too many requests.
fn is_limit(code: StatusCode, headers: &HeaderMap) -> bool {
    let used_up = headers.get("x-ratelimit-remaining").is_some_and(|left| left == "0");
    let told = headers.contains_key("retry-after") || used_up;
    code == StatusCode::TOO_MANY_REQUESTS || code == StatusCode::FORBIDDEN && told
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn too_many_requests_are_no_refusal() {
        let told = |name: &'static str, value: &str| {
            HeaderMap::from_iter([(reqwest::header::HeaderName::from_static(name), value.parse().unwrap())])
        };
        let waits = told("retry-after", "60");
        assert!(is_limit(StatusCode::TOO_MANY_REQUESTS, &HeaderMap::new()));
        assert!(is_limit(StatusCode::FORBIDDEN, &waits));
        assert!(is_limit(StatusCode::FORBIDDEN, &told("x-ratelimit-remaining", "0")));
        assert!(!is_limit(StatusCode::FORBIDDEN, &told("x-ratelimit-remaining", "10")));
        assert!(!is_limit(StatusCode::FORBIDDEN, &HeaderMap::new()));
        assert!(!is_limit(StatusCode::UNPROCESSABLE_ENTITY, &waits));
    }
}
