//! Pull requests, where the forge has GitHub's API.
//!
//! Source: GitHub REST API, "List pull requests" and "Create a pull request".

use crate::address::Address;
use crate::github;
use crate::status::Settings;
use decide::retry::Retry;
use reqwest::{Method, RequestBuilder};
use serde::Deserialize;
use url::Url;

/// A pull request to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewPull {
    /// The branch that it merges, by its short name, in the same repository.
    pub head: String,
    /// The branch that it merges into.
    pub base: String,
    /// The title, on one line.
    pub title: String,
    /// Its text, in Markdown.
    pub body: String,
}

/// Why the forge could not be asked, or refused.
#[derive(Debug, thiserror::Error)]
#[error("the pull requests of {repository}: {problem}")]
pub struct PullError {
    /// The repository whose pull requests were asked for, as `owner/repo`.
    pub repository: String,
    /// What the API or the network said.
    pub problem: String,
    /// Whether the same may succeed later.
    pub retry: Retry,
}

/// Finds and opens pull requests.
pub struct Pulls {
    settings: Option<Settings>,
    client: github::Client,
}

/// The pull requests of one repository.
pub struct RepositoryPulls<'a> {
    pulls: &'a Pulls,
    settings: &'a Settings,
    repository: String,
}

#[derive(Deserialize)]
struct Pull {
    html_url: String,
}

impl Pulls {
    /// Binds to an API; without one, no repository has pull requests.
    pub fn new(settings: Option<Settings>) -> Pulls {
        Pulls { settings, client: github::Client::new() }
    }

    /// The pull requests of a remote, where it is at the host whose API is
    /// configured: GitHub's own is `api.` before that host, a GitHub Enterprise
    /// Server's is at the host itself.
    pub fn of(&self, address: &Address) -> Option<RepositoryPulls<'_>> {
        let settings = self.settings.as_ref()?;
        let repository = repository_at(settings, address)?;
        Some(RepositoryPulls { pulls: self, settings, repository })
    }
}

/// The repository of a remote as `owner/repo`, where the API is its host's: the token is meant for one host only.
pub(crate) fn repository_at(settings: &Settings, address: &Address) -> Option<String> {
    let api = Url::parse(&settings.api_url).ok()?;
    let host = api.host_str()?;
    if !host.strip_prefix("api.").unwrap_or(host).eq_ignore_ascii_case(address.host()) {
        return None;
    }
    let name = address.name();
    let (_, repository) = name.split_once('/')?;
    let is_plain =
        |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    let (owner, repo) = repository.split_once('/')?;
    (is_plain(owner) && is_plain(repo)).then(|| repository.to_owned())
}

impl RepositoryPulls<'_> {
    /// The page of the open pull request from one branch into another, if there is one.
    ///
    /// # Errors
    /// The API cannot be reached, or refuses.
    pub async fn find(&self, head: &str, base: &str) -> Result<Option<String>, PullError> {
        let owner = self.repository.split('/').next().unwrap_or_default();
        let query = [("state", "open"), ("head", &format!("{owner}:{head}")), ("base", base), ("per_page", "1")];
        let answer = self.send(self.pulls.client.request(Method::GET, &self.url()).query(&query)).await?;
        let pulls: Vec<Pull> = self.read(&answer)?;
        Ok(pulls.into_iter().next().map(|pull| pull.html_url))
    }

    /// Opens a pull request, and answers its page. The forge refuses a second
    /// one for the same branches.
    ///
    /// # Errors
    /// As [`RepositoryPulls::find`].
    pub async fn open(&self, new: &NewPull) -> Result<String, PullError> {
        let NewPull { head, base, title, body } = new;
        let body = serde_json::json!({ "head": head, "base": base, "title": title, "body": body });
        let answer = self.send(self.pulls.client.request(Method::POST, &self.url()).json(&body)).await?;
        let pull: Pull = self.read(&answer)?;
        Ok(pull.html_url)
    }

    fn url(&self) -> String {
        format!("{}/repos/{}/pulls", self.settings.api_url.trim_end_matches('/'), self.repository)
    }

    fn failed(&self, problem: String, retry: Retry) -> PullError {
        PullError { repository: self.repository.clone(), problem, retry }
    }

    fn read<T: for<'de> Deserialize<'de>>(&self, answer: &[u8]) -> Result<T, PullError> {
        serde_json::from_slice(answer)
            .map_err(|error| self.failed(format!("the answer cannot be read: {error}"), Retry::PASSING))
    }

    async fn send(&self, request: RequestBuilder) -> Result<Vec<u8>, PullError> {
        let sent = self.pulls.client.send(request, &self.settings.token.now()).await;
        sent.map_err(|refused| self.failed(refused.problem, refused.retry))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pulls(api_url: &str) -> Pulls {
        Pulls::new(Some(Settings { api_url: api_url.into(), token: "hush".into() }))
    }

    #[test]
    fn the_token_is_meant_for_one_host_only() {
        for (api, address, found) in [
            ("https://api.github.com", "https://github.com/user/k8s-manifests.git", Some("user/k8s-manifests")),
            ("https://api.github.com", "git@github.com:user/k8s-manifests.git", Some("user/k8s-manifests")),
            ("https://api.github.com", "https://gitlab.com/user/k8s-manifests.git", None),
            ("https://api.github.com", "https://github.com.evil.example/user/x.git", None),
            ("https://ghe.example/api/v3", "https://ghe.example/user/x", Some("user/x")),
            ("https://ghe.example/api/v3", "https://github.com/user/x", None),
            ("https://api.github.com", "https://github.com/user/x/y", None),
            ("https://api.github.com", "https://github.com/user/x%2Fy", None),
        ] {
            let address = Address::parse(address).unwrap();
            let pulls = pulls(api);
            assert_eq!(pulls.of(&address).map(|of| of.repository), found.map(str::to_owned), "{address:?}");
        }
        assert!(Pulls::new(None).of(&Address::parse("https://github.com/user/x").unwrap()).is_none());
    }
}
