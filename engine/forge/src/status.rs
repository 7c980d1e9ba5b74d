//! Commit statuses: what GitHub shows beside a commit.
//!
//! Source: GitHub REST API, "Create a commit status".

use crate::github;
use crate::secret::GitSecret;
use decide::retry::Retry;
use reqwest::Method;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::sync::atomic::{AtomicBool, Ordering};

/// GitHub refuses longer descriptions.
const DESCRIPTION_LIMIT: usize = 140;

/// A longer name of a base branch is cut in a context, in characters; GitHub takes 255 of a whole context.
const BRANCH_LIMIT: usize = 120;

/// Where statuses are posted, and with which right.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// The API's address; GitHub's own where it is not set.
    #[serde(default = "github")]
    pub api_url: String,
    /// A token with the right to write commit statuses.
    pub token: GitSecret,
}

fn github() -> String {
    "https://api.github.com".into()
}

/// A commit status as it is posted; GitHub shows the newest of each context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The repository of the commit, as `owner/repo`.
    pub repository: String,
    /// The full commit id.
    pub sha: String,
    /// The pipeline's name; the context becomes `bespin/<pipeline>`.
    pub pipeline: String,
    /// What the pipeline ran for.
    pub cause: Cause,
    /// What the run has come to so far.
    pub state: State,
    /// One line for people; GitHub's limit of 140 characters is kept by cutting.
    pub description: String,
    /// Where to read more; empty where there is no address.
    pub target_url: String,
}

/// What a pipeline ran for. A commit's checks are told apart by it: what was
/// checked for one branch says nothing about another, and a pull request's
/// run takes the place of no push's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The commit itself: a push or a tag.
    Commit,
    /// A person, who gave inputs of their own: what such a run checks is no push's check.
    Person,
    /// A pull request; its context names the branch that it asks to change.
    PullRequest {
        /// The short name of the branch that it asks to change.
        into: String,
    },
}

/// How a commit fares, in GitHub's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// The run has not ended; GitHub's merge button waits where the check is required.
    Pending,
    /// The run has ended, and succeeded.
    Success,
    /// The commit is at fault.
    Failure,
    /// Something else is at fault.
    Error,
}

/// Why a status was not posted.
#[derive(Debug, thiserror::Error)]
#[error("posting the commit status of {repository}: {problem}")]
pub struct PostError {
    /// The repository of the commit, as `owner/repo`.
    pub repository: String,
    /// What the API or the network said.
    pub problem: String,
    /// Whether the same may succeed later.
    pub retry: Retry,
}

/// Whether a status was posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Posted {
    /// GitHub took the status.
    Yes,
    /// No token is configured; that was said once in the log.
    NotConfigured,
}

/// A client that posts commit statuses, or says once that no token is configured.
pub struct Statuses {
    settings: Option<Settings>,
    client: github::Client,
    said: AtomicBool,
}

#[derive(Serialize)]
struct Body<'a> {
    state: State,
    context: String,
    description: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    target_url: &'a str,
}

impl Statuses {
    /// Binds to an API; `None` posts nothing.
    pub fn new(settings: Option<Settings>) -> Statuses {
        Statuses { settings, client: github::Client::new(), said: AtomicBool::new(false) }
    }

    /// Posts a status. Posting it again changes nothing.
    ///
    /// # Errors
    /// [`PostError`] where the API does not take it.
    pub async fn post(&self, status: &Status) -> Result<Posted, PostError> {
        let Some(settings) = &self.settings else {
            if !self.said.swap(true, Ordering::Relaxed) {
                tracing::info!("no commit statuses are posted: `git.status` has no token");
            }
            return Ok(Posted::NotConfigured);
        };
        let base = settings.api_url.trim_end_matches('/');
        let url = format!("{base}/repos/{}/statuses/{}", status.repository, status.sha);
        let body = Body {
            state: status.state,
            context: context(&status.pipeline, &status.cause),
            description: cut(&status.description),
            target_url: &status.target_url,
        };
        let sent = self.client.send(self.client.request(Method::POST, &url).json(&body), &settings.token.now()).await;
        sent.map(|_| Posted::Yes).map_err(|refused| PostError {
            repository: status.repository.clone(),
            problem: refused.problem,
            retry: refused.retry,
        })
    }
}

fn context(pipeline: &str, cause: &Cause) -> String {
    match cause {
        Cause::Commit => format!("bespin/{pipeline}"),
        Cause::Person => format!("bespin/{pipeline} (manual)"),
        Cause::PullRequest { into } if into.chars().count() <= BRANCH_LIMIT => {
            format!("bespin/{pipeline} (pull request into {into})")
        }
        // The hash keeps two long names apart that begin alike.
        Cause::PullRequest { into } => {
            let begin: String = into.chars().take(BRANCH_LIMIT).collect();
            let rest = hex::encode(&Sha256::digest(into)[..16]);
            format!("bespin/{pipeline} (pull request into {begin}…{rest})")
        }
    }
}

fn cut(text: &str) -> String {
    let line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if line.chars().count() <= DESCRIPTION_LIMIT {
        return line;
    }
    line.chars().take(DESCRIPTION_LIMIT - 1).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    fn status() -> Status {
        Status {
            repository: "user/x".into(),
            sha: "a".repeat(40),
            pipeline: "was".into(),
            cause: Cause::Commit,
            state: State::Failure,
            description: "é".repeat(200),
            target_url: String::new(),
        }
    }

    #[tokio::test]
    async fn without_a_token_nothing_is_posted() {
        assert_eq!(Statuses::new(None).post(&status()).await.unwrap(), Posted::NotConfigured);
    }

    /// One request to a listener that answers `code`; returns what it was sent.
    async fn post_to(code: &'static str) -> (Result<Posted, PostError>, String) {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let api_url = format!("http://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(async move {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut text = Vec::new();
            while !text.ends_with(b"}") {
                stream.read_buf(&mut text).await.unwrap();
            }
            let answer = format!("HTTP/1.1 {code}\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}");
            stream.write_all(answer.as_bytes()).await.unwrap();
            String::from_utf8(text).unwrap()
        });
        let statuses = Statuses::new(Some(Settings { api_url, token: "hush".into() }));
        let posted = statuses.post(&status()).await;
        (posted, server.await.unwrap())
    }

    #[tokio::test]
    async fn what_the_api_is_sent() {
        let (posted, text) = post_to("201 Created").await;
        assert_eq!(posted.unwrap(), Posted::Yes);
        let (head, body) = text.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with(&format!("POST /repos/user/x/statuses/{} HTTP/1.1", "a".repeat(40))), "{head}");
        assert!(head.contains("authorization: Bearer hush"), "{head}");
        let body: serde_json::Value = serde_json::from_str(body).unwrap();
        assert_eq!((&body["state"], &body["context"]), (&"failure".into(), &"bespin/was".into()));
        assert_eq!(body["description"].as_str().unwrap().chars().count(), 140);
    }

    #[test]
    fn a_pull_request_has_a_context_of_its_own_for_each_base() {
        let into = |branch: &str| context("was", &Cause::PullRequest { into: branch.into() });
        assert_eq!(context("was", &Cause::Commit), "bespin/was");
        assert_eq!(context("was", &Cause::Person), "bespin/was (manual)");
        assert_eq!(into("release/1.0"), "bespin/was (pull request into release/1.0)");
        let whole = "é".repeat(BRANCH_LIMIT);
        assert_eq!(into(&whole), format!("bespin/was (pull request into {whole})"));
        let (one, other) = (into(&format!("{whole}1")), into(&format!("{whole}2")));
        assert_ne!(one, other);
        let longest = context(&"p".repeat(63), &Cause::PullRequest { into: "é".repeat(5_000) });
        assert!(longest.chars().count() <= 255, "{longest}");
    }

    #[tokio::test]
    async fn a_refusal_says_whether_trying_again_helps() {
        for (code, retry) in [
            ("403 Forbidden", Retry::NeedsPerson),
            ("422 Unprocessable Entity", Retry::Permanent),
            ("502 Bad Gateway", Retry::PASSING),
        ] {
            let (posted, _) = post_to(code).await;
            let error = posted.unwrap_err();
            assert_eq!(error.retry, retry, "{error}");
            assert!(!error.to_string().contains("hush"));
        }
    }
}
