//! A push's webhook, in GitHub's shape and signed as GitHub signs.

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::repository::NO_COMMIT;
use crate::Error;

/// A push to a branch.
#[derive(Clone, Debug)]
pub struct Push<'a> {
    /// The repository as GitHub names it, `owner/name`.
    pub repository: &'a str,
    /// Where it can be cloned from.
    pub clone_url: &'a str,
    /// The branch's short name.
    pub branch: &'a str,
    /// The commit before, 40 hexadecimal digits.
    pub before: &'a str,
    /// The commit after, 40 hexadecimal digits.
    pub after: &'a str,
    /// The message of the commit after, as the payload's `head_commit` has it.
    pub message: &'a str,
    /// The paths that the commit modified.
    pub modified: &'a [String],
}

impl Push<'_> {
    /// The payload, as GitHub sends it.
    pub fn payload(&self) -> Value {
        let (owner, name) = self.repository.split_once('/').unwrap_or(("", self.repository));
        let author = json!({ "name": "A Developer", "email": "developer@example.com", "username": "developer" });
        let commit = json!({
            "id": self.after, "message": self.message, "distinct": true, "author": author, "committer": author,
            "timestamp": "2026-01-01T00:00:00Z", "added": [], "removed": [], "modified": self.modified,
        });
        json!({
            "ref": format!("refs/heads/{}", self.branch),
            "before": self.before, "after": self.after,
            "created": self.before == NO_COMMIT, "deleted": self.after == NO_COMMIT, "forced": false,
            "base_ref": null, "compare": "",
            "repository": {
                "id": 1, "name": name, "full_name": self.repository, "private": true,
                "owner": { "name": owner, "login": owner },
                "clone_url": self.clone_url, "default_branch": "main", "master_branch": "main",
            },
            "pusher": { "name": "developer", "email": "developer@example.com" },
            "sender": { "login": "developer", "id": 1, "type": "User" },
            "head_commit": commit, "commits": [commit],
        })
    }
}

/// Signs a payload and delivers it. A delivery id that is used again is a redelivery.
///
/// # Errors
/// When it is not answered with 2xx; the text holds the answer.
pub async fn deliver(hook: &str, secret: &str, event: &str, id: &str, payload: &Value) -> Result<String, Error> {
    let failed = |message: String| Error::Http { what: format!("deliver {event} to {hook}"), message };
    let body = payload.to_string();
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).map_err(|error| failed(error.to_string()))?;
    mac.update(body.as_bytes());
    let signature = format!("sha256={}", hex::encode(mac.finalize().into_bytes()));
    let client = reqwest::Client::builder().no_proxy().build().map_err(|error| failed(error.to_string()))?;
    let request = client.post(hook).header("content-type", "application/json").header("x-github-event", event);
    let request = request.header("x-github-delivery", id).header("x-hub-signature-256", signature);
    let answer = request.body(body).send().await.map_err(|error| failed(error.to_string()))?;
    let status = answer.status();
    let text = answer.text().await.unwrap_or_default();
    if status.is_success() { Ok(text) } else { Err(failed(format!("{status}: {text}"))) }
}
