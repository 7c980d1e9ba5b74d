//! Every fault of the table, at git over HTTP and at GitHub's API.

#[path = "../../../decide/tests/faults/mod.rs"]
mod faults;

use crate::status::{self, Cause, State, Status, Statuses};
use crate::{Credentials, Forge, PlainHttp, Remote, Settings};
use faults::cases::Peer;
use std::time::Instant;

fn body(_: u16) -> String {
    r#"{"message":"a fault"}"#.into()
}

#[tokio::test]
async fn a_git_remotes_faults_have_their_classes() {
    let mirrors = tempfile::tempdir().unwrap();
    let remote = |url: &str| Remote {
        url: url.into(),
        credentials: Credentials::Token("hush".into()),
        plain_http: PlainHttp::Anywhere,
    };
    let remotes = vec![remote("http:"), remote("https:")];
    let settings = Settings { remotes, connect_timeout_ms: 1_000, timeout_ms: 1_000, ..Settings::default() };
    let forge = Forge::new(settings, mirrors.path()).unwrap();
    let fetch = async |url: String| {
        let mirror = forge.mirror(&format!("{url}/user/x.git")).unwrap();
        let error = mirror.fetch(Instant::now()).await.unwrap_err();
        (error.retry(), error.to_string())
    };
    faults::hold(Peer::Git, body, fetch).await;
}

#[tokio::test]
async fn faults_of_githubs_api_have_their_classes() {
    let status = Status {
        repository: "user/x".into(),
        sha: "a".repeat(40),
        pipeline: "was".into(),
        cause: Cause::Commit,
        state: State::Success,
        description: "done".into(),
        target_url: String::new(),
    };
    let post = async |api_url: String| {
        let statuses = Statuses::new(Some(status::Settings { api_url, token: "hush".into() }));
        let error = statuses.post(&status).await.unwrap_err();
        (error.retry, error.to_string())
    };
    faults::hold(Peer::GitHub, body, post).await;
}
