//! A push's webhook, in GitHub's shape and signed as GitHub signs.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use super::receive::Update;
use super::repository::{NO_COMMIT, Repositories};
use crate::Error;

/// A push to a ref.
#[derive(Clone, Debug)]
pub struct Push<'a> {
    /// The repository as GitHub names it, `owner/name`.
    pub repository: &'a str,
    /// Where it can be cloned from.
    pub clone_url: &'a str,
    /// The ref's full name, such as `refs/heads/main`.
    pub reference: &'a str,
    /// The commit before, 40 hexadecimal digits; zeros for a new ref.
    pub before: &'a str,
    /// The commit after, 40 hexadecimal digits; zeros for a ref that was deleted.
    pub after: &'a str,
    /// The message of the commit after, as the payload's `head_commit` has it.
    pub message: &'a str,
    /// The paths that differ between the two commits.
    pub modified: &'a [String],
}

impl Push<'_> {
    /// The payload, as GitHub sends it.
    pub fn payload(&self) -> Value {
        let (owner, name) = self.repository.split_once('/').unwrap_or(("", self.repository));
        let author = json!({ "name": "A Developer", "email": "developer@example.com", "username": "developer" });
        let is_deleted = self.after == NO_COMMIT;
        let commit = (!is_deleted).then(|| {
            json!({
                "id": self.after, "message": self.message, "distinct": true, "author": author, "committer": author,
                "timestamp": "2026-01-01T00:00:00Z", "added": [], "removed": [], "modified": self.modified,
            })
        });
        json!({
            "ref": self.reference,
            "before": self.before, "after": self.after,
            "created": self.before == NO_COMMIT, "deleted": is_deleted, "forced": false,
            "base_ref": null, "compare": "",
            "repository": {
                "id": 1, "name": name, "full_name": self.repository, "private": true,
                "owner": { "name": owner, "login": owner },
                "clone_url": self.clone_url, "default_branch": "main", "master_branch": "main",
            },
            "pusher": { "name": "developer", "email": "developer@example.com" },
            "sender": { "login": "developer", "id": 1, "type": "User" },
            "head_commit": commit, "commits": commit.iter().collect::<Vec<_>>(),
        })
    }
}

/// Where a repository's pushes are told, as its settings on GitHub say.
#[derive(Clone, Debug)]
pub struct Webhook {
    /// The address that is called, such as `http://127.0.0.1:9000/hooks/github/default`.
    pub url: String,
    /// The secret that signs the calls.
    pub secret: String,
}

/// The webhooks of all repositories. Cloning gives another handle to the same ones.
#[derive(Clone, Debug, Default)]
pub struct Webhooks(Arc<Mutex<BTreeMap<String, Webhook>>>);

impl Webhooks {
    /// From now on each push that the git remotes receive for `owner/name` is told there, once for each ref.
    pub fn set(&self, repository: &str, webhook: Webhook) {
        self.0.lock().expect("no holder of this lock panics").insert(repository.to_owned(), webhook);
    }

    /// The webhook of `owner/name`.
    pub(super) fn of(&self, repository: &str) -> Option<Webhook> {
        self.0.lock().expect("no holder of this lock panics").get(repository).cloned()
    }
}

impl Webhook {
    /// Tells of the refs that a push has moved, one call for each. As GitHub does, it calls once and not again.
    pub(super) async fn tell(self, repositories: Repositories, repository: String, host: String, moved: Vec<Update>) {
        for update in moved {
            let delivery = format!("{:032x}", rand::random::<u128>());
            let told = self.tell_one(&repositories, &repository, &host, &delivery, &update).await;
            if let Err(error) = told {
                tracing::warn!(repository, reference = update.reference, %error, "the webhook was not accepted");
            }
        }
    }

    async fn tell_one(
        &self,
        repositories: &Repositories,
        repository: &str,
        host: &str,
        delivery: &str,
        update: &Update,
    ) -> Result<String, Error> {
        let (message, modified) = repositories.difference(repository, &update.before, &update.after).await?;
        let push = Push {
            repository,
            clone_url: &format!("http://{host}/{repository}.git"),
            reference: &update.reference,
            before: &update.before,
            after: &update.after,
            message: &message,
            modified: &modified,
        };
        deliver(&self.url, &self.secret, "push", delivery, &push.payload()).await
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
