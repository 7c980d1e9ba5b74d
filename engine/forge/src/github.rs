//! What every request to GitHub's API has in common.
//!
//! Source: GitHub REST API, "Getting started" and "Rate limits for the REST API".

use decide::retry::{Retry, retry_after_ms};
use reqwest::header::HeaderMap;
use reqwest::{Method, RequestBuilder, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use std::sync::Mutex;
use std::time::{Duration, Instant, SystemTime};

/// The most bytes of an answer that are read.
const ANSWER_LIMIT: usize = 1024 * 1024;

/// The longest that one request may take; tests of silence are not to wait for it.
const PATIENCE: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 15 });

/// The longest that a limit is believed to last.
const LONGEST: Duration = Duration::from_secs(3600);

/// How long a limit lasts that does not say so.
const UNSAID: Duration = Duration::from_secs(60);

/// Why there is no answer that can be used.
#[derive(Debug)]
pub(crate) struct Refused {
    /// What the API or the network said.
    pub problem: String,
    /// Whether the same request may succeed later.
    pub retry: Retry,
    /// What the API answered, if it did.
    pub status: Option<StatusCode>,
}

/// A client of one API, under one token.
pub(crate) struct Client {
    http: reqwest::Client,
    /// Until when the API takes no request. Whoever asks during a limit makes it longer.
    limited: Mutex<Option<Instant>>,
}

impl Client {
    /// A client that follows no redirect: the token is meant for one host.
    pub(crate) fn new() -> Client {
        let http = reqwest::Client::builder()
            .user_agent("bespin")
            .timeout(PATIENCE)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap_or_default();
        Client { http, limited: Mutex::default() }
    }

    /// A request that takes at most 15 s and follows no redirect; [`Client::send`] adds the token.
    pub(crate) fn request(&self, method: Method, url: &str) -> RequestBuilder {
        self.http.request(method, url)
    }

    /// Sends a request, and answers the body of a success. While a rate limit lasts nothing is sent.
    pub(crate) async fn send(&self, request: RequestBuilder, token: &SecretString) -> Result<Vec<u8>, Refused> {
        let limited = *self.limited.lock().expect("nobody panics while holding the limit");
        let left = limited.map(|until| until.saturating_duration_since(Instant::now())).unwrap_or_default();
        if !left.is_zero() {
            let problem = format!("its rate limit lasts for {} s more", left.as_secs() + 1);
            return Err(Refused { problem, retry: Retry::after(millis(left)), status: None });
        }
        let request = request.bearer_auth(token.expose_secret());
        let request =
            request.header("accept", "application/vnd.github+json").header("x-github-api-version", "2022-11-28");
        let lost = |error: reqwest::Error| Refused {
            problem: causes(&error.without_url()),
            retry: Retry::PASSING,
            status: None,
        };
        let mut answer = request.send().await.map_err(lost)?;
        let code = answer.status();
        let limit = limit(code, answer.headers(), SystemTime::now());
        if let Some(lasts) = limit {
            let mut limited = self.limited.lock().expect("nobody panics while holding the limit");
            *limited = (*limited).max(Some(Instant::now() + lasts));
        }
        let retry = match limit {
            Some(lasts) => Retry::after(millis(lasts)),
            None => Retry::of_status(code.as_u16(), retry_after(answer.headers())),
        };
        let mut bytes = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(lost)? {
            if bytes.len() + chunk.len() > ANSWER_LIMIT {
                let problem = "the answer is longer than 1 MiB".into();
                return Err(Refused { problem, retry: Retry::PASSING, status: Some(code) });
            }
            bytes.extend_from_slice(&chunk);
        }
        if code.is_success() {
            return Ok(bytes);
        }
        let text: String = String::from_utf8_lossy(&bytes).chars().take(300).collect();
        Err(Refused { problem: format!("{code}: {text}"), retry, status: Some(code) })
    }
}

/// How long an answer that tells of no rate limit asks to wait, in ms.
fn retry_after(headers: &HeaderMap) -> Option<u64> {
    retry_after_ms(headers.get("retry-after")?.to_str().ok()?, crate::clock::now_ms())
}

fn millis(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

/// An error with everything that caused it, for its outermost layer says only that there was one.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// For how long the API takes no further request, where an answer only says that there were too many.
fn limit(code: StatusCode, headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let seconds = |name: &str| text(name).and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
    let used_up = text("x-ratelimit-remaining") == Some("0");
    let told = headers.contains_key("retry-after") || used_up;
    if code != StatusCode::TOO_MANY_REQUESTS && !(code == StatusCode::FORBIDDEN && told) {
        return None;
    }
    // The reset is a time of the epoch; of a limit that is not used up it says nothing.
    let now = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let reset = || seconds("x-ratelimit-reset").filter(|_| used_up).map(|at| at.saturating_sub(now));
    let asked = text("retry-after").and_then(|after| retry_after_ms(after, millis(now))).map(Duration::from_millis);
    Some(asked.or_else(reset).unwrap_or(UNSAID).min(LONGEST))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    const FORBIDDEN: StatusCode = StatusCode::FORBIDDEN;
    const TOO_MANY: StatusCode = StatusCode::TOO_MANY_REQUESTS;

    /// The limit that an answer with these headers tells, in seconds, where the clock is at 1000 s.
    fn told(code: StatusCode, headers: &[(&'static str, &str)]) -> Option<u64> {
        let header = |(name, value): &(&'static str, &str)| {
            (reqwest::header::HeaderName::from_static(name), value.parse().unwrap())
        };
        let headers = HeaderMap::from_iter(headers.iter().map(header));
        limit(code, &headers, SystemTime::UNIX_EPOCH + Duration::from_secs(1000)).map(|lasts| lasts.as_secs())
    }

    #[test]
    fn too_many_requests_are_no_refusal() {
        assert_eq!(told(TOO_MANY, &[]), Some(60));
        assert_eq!(told(FORBIDDEN, &[("retry-after", "90")]), Some(90));
        assert_eq!(told(FORBIDDEN, &[("x-ratelimit-remaining", "0")]), Some(60));
        assert_eq!(told(FORBIDDEN, &[("x-ratelimit-remaining", "10")]), None);
        assert_eq!(told(FORBIDDEN, &[]), None);
        assert_eq!(told(StatusCode::UNPROCESSABLE_ENTITY, &[("retry-after", "90")]), None);
    }

    #[test]
    fn a_limit_says_when_it_ends() {
        let (left, none) = (("x-ratelimit-remaining", "10"), ("x-ratelimit-remaining", "0"));
        let reset = |at| ("x-ratelimit-reset", at);
        assert_eq!(told(FORBIDDEN, &[none, reset("1900")]), Some(900));
        assert_eq!(told(FORBIDDEN, &[none, reset("900")]), Some(0), "it is over");
        assert_eq!(told(TOO_MANY, &[none, reset("1900"), ("retry-after", "5")]), Some(5));
        assert_eq!(told(TOO_MANY, &[left, reset("1900")]), Some(60), "another limit than that one");
        assert_eq!(told(TOO_MANY, &[("retry-after", "soon")]), Some(60));
        assert_eq!(told(TOO_MANY, &[("retry-after", "Thu, 01 Jan 1970 00:20:00 GMT")]), Some(200), "a date");
        assert_eq!(told(TOO_MANY, &[("retry-after", "18446744073709551615")]), Some(3600), "no limit is for ever");
        assert_eq!(told(FORBIDDEN, &[none, reset("18446744073709551615")]), Some(3600));
    }

    #[tokio::test]
    async fn nothing_is_sent_while_a_limit_lasts() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            // A limit that is over at once, and one that lasts; a third request would find nobody.
            for wait in [0, 600] {
                let (mut stream, _) = listener.accept().await.unwrap();
                let mut text = Vec::new();
                while !text.ends_with(b"\r\n\r\n") {
                    stream.read_buf(&mut text).await.unwrap();
                }
                let head = format!("HTTP/1.1 429 Too Many Requests\r\nretry-after: {wait}\r\n");
                let answer = format!("{head}content-length: 4\r\nconnection: close\r\n\r\nslow");
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        });
        let client = Client::new();
        let token = SecretString::from("hush");
        for problem in ["429 Too Many Requests: slow", "429 Too Many Requests: slow", "its rate limit lasts for "] {
            let refused = client.send(client.request(Method::GET, &url), &token).await.unwrap_err();
            let passes = matches!(refused.retry, Retry::Passing { after_ms: Some(_) });
            assert!(passes && refused.problem.starts_with(problem), "{}", refused.problem);
        }
        server.await.unwrap();
    }
}
