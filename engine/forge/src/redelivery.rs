//! Failed deliveries of webhooks, where the forge has GitHub's API and the token may write webhooks.
//!
//! Source: GitHub REST API, "List repository webhooks", "List deliveries for a repository webhook" and "Redeliver a
//! delivery for a repository webhook".

use crate::address::Address;
use crate::github;
use crate::pulls::repository_at;
use crate::status::Settings;
use decide::heads::{Attempt, AttemptResult};
use decide::retry::Retry;
use reqwest::{Method, RequestBuilder, StatusCode};
use serde::Deserialize;
use url::Url;

/// Why the forge could not be asked, or refused.
#[derive(Debug, thiserror::Error)]
#[error("the webhooks of {repository}: {problem}")]
pub struct WebhookError {
    /// The repository whose webhooks were asked for, as `owner/repo`.
    pub repository: String,
    /// What the API or the network said.
    pub problem: String,
    /// Whether the same may succeed later.
    pub retry: Retry,
}

/// Finds failed deliveries, and asks for them again.
pub struct Webhooks {
    settings: Option<Settings>,
    client: github::Client,
}

/// The webhooks of one repository.
pub struct RepositoryWebhooks<'a> {
    webhooks: &'a Webhooks,
    settings: &'a Settings,
    repository: String,
}

#[derive(Deserialize)]
struct RawHook {
    id: u64,
    #[serde(default)]
    config: RawConfig,
}

#[derive(Default, Deserialize)]
struct RawConfig {
    #[serde(default)]
    url: String,
}

#[derive(Deserialize)]
struct RawAttempt {
    id: u64,
    guid: String,
    event: String,
    #[serde(default)]
    status_code: u16,
}

impl Webhooks {
    /// Binds to an API; without one, no repository has webhooks that can be asked for.
    pub fn new(settings: Option<Settings>) -> Webhooks {
        Webhooks { settings, client: github::Client::new() }
    }

    /// The webhooks of a remote, where it is at the host whose API is configured.
    pub fn of(&self, address: &Address) -> Option<RepositoryWebhooks<'_>> {
        let settings = self.settings.as_ref()?;
        let repository = repository_at(settings, address)?;
        Some(RepositoryWebhooks { webhooks: self, settings, repository })
    }
}

impl RepositoryWebhooks<'_> {
    /// The ids of the webhooks that deliver to the hook of this name, by the end of their address.
    ///
    /// # Errors
    /// The API cannot be reached, or refuses: the token may not read webhooks.
    pub async fn of_hook(&self, name: &str) -> Result<Vec<u64>, WebhookError> {
        let url = format!("{}?per_page=100", self.url());
        let hooks: Vec<RawHook> = self.get(&url).await?;
        let path = format!("/hooks/github/{name}");
        let leads_here = |hook: &RawHook| {
            let Ok(url) = Url::parse(&hook.config.url) else { return false };
            let at = url.path().trim_end_matches('/');
            at.ends_with(&path) || (name == "default" && at.ends_with("/hooks/github"))
        };
        Ok(hooks.iter().filter(|hook| leads_here(hook)).map(|hook| hook.id).collect())
    }

    /// The newest hundred tries of a webhook, newest first.
    ///
    /// # Errors
    /// As [`RepositoryWebhooks::of_hook`].
    pub async fn attempts(&self, hook: u64) -> Result<Vec<Attempt>, WebhookError> {
        let raw: Vec<RawAttempt> = self.get(&format!("{}/{hook}/deliveries?per_page=100", self.url())).await?;
        let attempt = |RawAttempt { id, guid, event, status_code }| {
            let result = if (200..300).contains(&status_code) { AttemptResult::Taken } else { AttemptResult::Failed };
            Attempt { id, delivery: guid, event, result }
        };
        Ok(raw.into_iter().map(attempt).collect())
    }

    /// Asks for a delivery once more; it comes by the same id.
    ///
    /// # Errors
    /// As [`RepositoryWebhooks::of_hook`]; the token may read webhooks and not write them.
    pub async fn redeliver(&self, hook: u64, attempt: u64) -> Result<(), WebhookError> {
        let url = format!("{}/{hook}/deliveries/{attempt}/attempts", self.url());
        self.send(self.webhooks.client.request(Method::POST, &url)).await.map(drop)
    }

    /// Whether the token may ask a webhook for deliveries again. A delivery that cannot be is asked for: who lacks the
    /// permission is refused before the delivery is looked up.
    ///
    /// # Errors
    /// As [`RepositoryWebhooks::of_hook`]; the token may read webhooks and not write them.
    pub async fn may_redeliver(&self, hook: u64) -> Result<(), WebhookError> {
        let url = format!("{}/{hook}/deliveries/0/attempts", self.url());
        let request = self.webhooks.client.request(Method::POST, &url);
        match self.webhooks.client.send(request, &self.settings.token.now()).await {
            Err(refused)
                if matches!(refused.status, Some(StatusCode::NOT_FOUND | StatusCode::UNPROCESSABLE_ENTITY)) =>
            {
                Ok(())
            }
            answered => answered.map(drop).map_err(|refused| self.failed(refused.problem, refused.retry)),
        }
    }

    fn url(&self) -> String {
        format!("{}/repos/{}/hooks", self.settings.api_url.trim_end_matches('/'), self.repository)
    }

    async fn get<T: for<'de> Deserialize<'de>>(&self, url: &str) -> Result<T, WebhookError> {
        let answer = self.send(self.webhooks.client.request(Method::GET, url)).await?;
        let failed = |error| self.failed(format!("the answer cannot be read: {error}"), Retry::PASSING);
        serde_json::from_slice(&answer).map_err(failed)
    }

    fn failed(&self, problem: String, retry: Retry) -> WebhookError {
        WebhookError { repository: self.repository.clone(), problem, retry }
    }

    async fn send(&self, request: RequestBuilder) -> Result<Vec<u8>, WebhookError> {
        let sent = self.webhooks.client.send(request, &self.settings.token.now()).await;
        sent.map_err(|refused| self.failed(refused.problem, refused.retry))
    }
}
