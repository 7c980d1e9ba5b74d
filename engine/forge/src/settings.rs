//! What the configuration says about git remotes.

use crate::error::Error;
use crate::secret::GitSecret;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// The table `git` of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
pub struct Settings {
    /// Where `owner/repo` is found: this address, a slash, its name and `.git`.
    pub base: Option<String>,
    /// Addresses of single repositories, by `owner/repo`.
    pub repositories: BTreeMap<String, String>,
    /// Credentials by the beginning of the address; the longest match wins.
    pub remotes: Vec<Remote>,
    /// Who makes the commits.
    pub author: Identity,
    /// How long connecting to a remote may take, in ms. One value for the process.
    pub connect_timeout_ms: u32,
    /// How long a remote may be silent, in ms. One value for the process.
    pub timeout_ms: u32,
    /// How long one fetch may take altogether, in ms.
    pub fetch_timeout_ms: u64,
    /// Commit statuses; none are posted where this is absent.
    pub status: Option<crate::status::Settings>,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings {
            base: None,
            repositories: BTreeMap::new(),
            remotes: Vec::new(),
            author: Identity { name: "Bespin".into(), email: "bespin@localhost".into() },
            connect_timeout_ms: 10_000,
            timeout_ms: 30_000,
            fetch_timeout_ms: 600_000,
            status: None,
        }
    }
}

/// The author and committer of Bespin's own commits.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Identity {
    /// A name for people.
    pub name: String,
    /// An address; it need not exist.
    pub email: String,
}

/// Credentials for every remote whose address begins in one way.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Remote {
    /// The beginning, up to a slash or the end: `https://github.com/user`.
    pub url: String,
    /// What to show there.
    #[serde(default)]
    pub credentials: Credentials,
    /// Whether credentials may cross a network unencrypted.
    #[serde(default)]
    pub plain_http: PlainHttp,
}

/// Whether `http://` may carry credentials to another machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PlainHttp {
    /// Only to this machine itself.
    #[default]
    Loopback,
    /// To any machine; somebody else protects the network.
    Anywhere,
}

/// What a remote is shown.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Credentials {
    /// No credentials: the remote is public, or refuses.
    #[default]
    None,
    /// A token, as GitHub takes it: the password of the user `x-access-token`.
    Token(GitSecret),
    /// A user and a password, as HTTP's basic authentication sends them.
    Basic {
        /// The user's name; some hosts take any.
        username: String,
        /// The password, or a token in its place.
        password: GitSecret,
    },
    /// An SSH key, and the host keys that are trusted.
    SshKey(SshKey),
}

/// An SSH key, and the host keys that are trusted.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SshKey {
    /// The private key's text, in OpenSSH's or PEM form.
    pub private_key: GitSecret,
    /// What the key is encrypted with.
    #[serde(default)]
    pub passphrase: Option<GitSecret>,
    /// A file in the form of OpenSSH's `known_hosts`, names unhashed.
    pub known_hosts: PathBuf,
}

impl Settings {
    /// Where a repository is, by its name `owner/repo`.
    ///
    /// # Errors
    /// [`Error::Unknown`] where the configuration does not say.
    pub fn address(&self, repository: &str) -> Result<String, Error> {
        let mut named = self.repositories.iter();
        if let Some((_, address)) = named.find(|(name, _)| name.eq_ignore_ascii_case(repository)) {
            return Ok(address.clone());
        }
        let base = self.base.as_deref().ok_or_else(|| Error::Unknown { repository: repository.into() })?;
        Ok(format!("{}/{repository}.git", base.trim_end_matches('/')))
    }

    /// The remote whose beginning fits the address best.
    pub(crate) fn remote(&self, address: &str) -> Option<&Remote> {
        let fits = |remote: &&Remote| {
            let prefix = remote.url.trim_end_matches('/');
            address
                .strip_prefix(prefix)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || rest == ".git" || prefix.ends_with(':'))
        };
        self.remotes.iter().filter(fits).max_by_key(|remote| remote.url.len())
    }
}

/// What the fetch of one head may take.
#[derive(Clone, Copy, Debug)]
pub struct HeadLimits {
    /// What it may bring, in bytes as they come over the network.
    pub bytes: usize,
    /// How long it may take altogether. A remote that stays silent is given up
    /// after `timeout-ms` as ever.
    pub time: Duration,
}

impl Default for HeadLimits {
    /// 256 MiB in 120 s: far more than a change for review, which builds on what
    /// the mirror has already, and little enough to wait for behind a stranger's.
    fn default() -> HeadLimits {
        HeadLimits { bytes: 256 << 20, time: Duration::from_secs(120) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(url: &str) -> Remote {
        Remote { url: url.into(), credentials: Credentials::None, plain_http: PlainHttp::Loopback }
    }

    #[test]
    fn the_longest_beginning_wins_and_ends_at_a_slash() {
        let remotes = ["https://github.com", "https://github.com/user", "git@github.com:"].map(remote).to_vec();
        let settings = Settings { remotes, ..Settings::default() };
        for (address, expected) in [
            ("https://github.com/user/x.git", Some("https://github.com/user")),
            ("https://github.com/user2/x.git", Some("https://github.com")),
            ("https://github.com.evil.example/x.git", None),
            ("git@github.com:user/x.git", Some("git@github.com:")),
            ("https://example.com/x.git", None),
        ] {
            assert_eq!(settings.remote(address).map(|r| r.url.as_str()), expected, "{address}");
        }
    }

    #[test]
    fn addresses_come_from_the_configuration() {
        let mut settings = Settings::default();
        assert!(matches!(settings.address("user/x"), Err(Error::Unknown { .. })));
        settings.base = Some("https://github.com/".into());
        settings.repositories.insert("user/special".into(), "ssh://git@host/special".into());
        assert_eq!(settings.address("user/x").unwrap(), "https://github.com/user/x.git");
        assert_eq!(settings.address("User/Special").unwrap(), "ssh://git@host/special");
    }

    #[test]
    fn a_secret_is_not_shown() {
        let remote: Remote = serde_json::from_str(r#"{"url":"https://h","credentials":{"token":"hush"}}"#).unwrap();
        assert!(!format!("{remote:?}").contains("hush"));
    }
}
