//! The configuration: one TOML file, checked whole before anything starts.
//!
//! Secrets never stand in the file; it names the file or the environment
//! variable that holds them.

mod alerts;
mod check;
mod containers;
mod extensions;
mod plugin_source;
mod route;
mod secret;
mod terraform;

pub use alerts::AlertSettings;
pub use check::Mistakes;
pub use containers::Containers;
pub use extensions::{Generator, HealthPlugin, limited};
pub use plugin_source::{KeyFile, PluginSource};
pub use route::RoutePlugin;
pub use secret::{KeptSecret, SecretSource};
pub use terraform::{As as TerraformAs, Terraform, Value as TerraformValue};

use pipeline::permission::Policy;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

/// Everything that a server is told.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Config {
    /// Where it was read from, if from a file.
    #[serde(skip)]
    pub file: Option<PathBuf>,
    /// Settings of the server itself: `[server]`.
    pub server: Server,
    /// GitHub's webhooks: `[[hook]]`.
    #[serde(default)]
    pub hook: Vec<Hook>,
    /// Alertmanager's webhooks, and what alerts do to rollouts: `[[alerts]]`.
    #[serde(default)]
    pub alerts: Vec<AlertSettings>,
    /// How git remotes are reached, by the longest matching prefix.
    #[serde(default)]
    pub git: Vec<Git>,
    /// Where commit statuses and pull requests go.
    #[serde(default)]
    pub github: Option<Github>,
    /// How registries are reached, by host.
    #[serde(default)]
    pub registry: Vec<Registry>,
    /// The clusters that are delivered to.
    #[serde(default)]
    pub cluster: Vec<cluster::Settings>,
    /// What the containers of steps may use.
    #[serde(default)]
    pub containers: Containers,
    /// Terraform on this server; pipelines plan and apply nothing without it.
    #[serde(default)]
    pub terraform: Option<Terraform>,
    /// Where plugins may come from besides the built-in folder, and who signs them.
    #[serde(default)]
    pub plugin_source: Vec<PluginSource>,
    /// Plugins that judge how the objects of a kind are.
    #[serde(default)]
    pub health: Vec<HealthPlugin>,
    /// Plugins that make the manifests of Applications.
    #[serde(default)]
    pub generate: Vec<Generator>,
    /// Plugins that share the traffic of Rollouts.
    #[serde(default)]
    pub route: Vec<RoutePlugin>,
    /// Metric providers for plugins.
    #[serde(default)]
    pub metrics: Vec<crate::host::Provider>,
    /// Secrets for plugins, by name.
    #[serde(default)]
    pub secret: BTreeMap<String, SecretSource>,
    /// Who may log in.
    #[serde(default)]
    pub user: Vec<api::login::User>,
    /// What pipelines may do; without a row, nothing.
    #[serde(default)]
    pub policy: Vec<Policy>,
}

/// Settings of the server itself.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Server {
    /// Where the dashboard and its API listen.
    #[serde(default = "default_listen")]
    pub listen: SocketAddr,
    /// Where webhooks are received.
    #[serde(default = "default_hooks")]
    pub hooks: SocketAddr,
    /// Where people reach the dashboard; used in links. From `listen` when absent.
    #[serde(default)]
    pub url: Option<String>,
    /// Reverse proxies before the dashboard, as `10.0.0.0/8`: only what comes from one of these may say by
    /// `X-Forwarded-For` who asks. Logging in is throttled by that address, else by the connection's own.
    #[serde(default)]
    pub trusted_proxies: Vec<ipnet::IpNet>,
    /// The journal, mirrors, logs and caches.
    pub data: PathBuf,
    /// The folder of the built-in plugins, `<name>.wasm`.
    #[serde(default)]
    pub plugins: Option<PathBuf>,
    /// How images are built.
    #[serde(default)]
    pub builder: Builder,
    /// The author of Bespin's commits.
    #[serde(default)]
    pub identity: Identity,
    /// Run numbers that must not be used again: `owner/repo/pipeline` to the last one used elsewhere.
    #[serde(default)]
    pub numbers: BTreeMap<String, u64>,
    /// How many ended runs are kept for each pipeline.
    #[serde(default = "default_keep_runs")]
    pub keep_runs: usize,
}

/// How images are built.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Builder {
    /// By Docker Engine where there is one, else from the context.
    #[default]
    Auto,
    /// By Docker Engine only.
    Docker,
    /// From the context only, without a daemon.
    Context,
}

/// The author of the commits that Bespin makes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Identity {
    /// The name in commits.
    pub name: String,
    /// The address in commits.
    pub email: String,
}

impl Default for Identity {
    fn default() -> Identity {
        Identity { name: "Bespin".into(), email: "bespin@localhost".into() }
    }
}

/// One webhook address, `POST /hooks/github/{name}`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Hook {
    /// The last part of its path; `default` is also served without it.
    #[serde(default = "default_hook")]
    pub name: String,
    /// The secrets that sign its deliveries; two while they rotate: two entries, or two lines of one file.
    pub secrets: Vec<SecretSource>,
    /// The repositories that may deliver to it.
    pub repositories: Vec<HookRepository>,
}

/// A repository of a hook.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct HookRepository {
    /// `owner/name`, as GitHub says it.
    pub name: String,
    /// Where it is cloned from; never taken from a payload.
    pub url: String,
}

/// How git remotes with a prefix are reached.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Git {
    /// The beginning of the addresses that this is for.
    pub url: String,
    /// How to log in; anonymously when absent.
    #[serde(default)]
    pub auth: Option<GitAuth>,
}

/// How to log in to a git remote.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum GitAuth {
    /// A token, as GitHub's.
    Token(SecretSource),
    /// A user and a password.
    Basic {
        /// The user's name at the remote.
        user: String,
        /// The user's password or token.
        password: SecretSource,
    },
    /// A private key, for SSH.
    #[serde(rename_all = "kebab-case")]
    Ssh {
        /// The private key's file.
        key: PathBuf,
        /// What the key is encrypted with, where it is.
        #[serde(default)]
        passphrase: Option<SecretSource>,
        /// The hosts that are known, in the form of OpenSSH's file of this name; no other is believed.
        known_hosts: PathBuf,
    },
}

/// Where commit statuses and pull requests go.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Github {
    /// The address of GitHub's API.
    #[serde(default = "default_github")]
    pub api: String,
    /// A token that may write statuses, and pull requests to the manifests repositories.
    pub token: SecretSource,
}

/// One registry that images are pushed to or plugins come from.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Registry {
    /// The host in image names.
    pub host: String,
    /// Where it really listens, if elsewhere; names stay as they are.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// How to log in; anonymously when absent.
    #[serde(default)]
    pub auth: Option<RegistryAuth>,
}

/// How to log in to a registry.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum RegistryAuth {
    /// A user and a password.
    Basic {
        /// The user's name at the registry.
        user: String,
        /// The user's password or token.
        password: SecretSource,
    },
    /// By the ECR API, with the credentials that the AWS SDK finds.
    #[serde(rename_all = "kebab-case")]
    Ecr {
        /// The AWS region of the registry.
        region: String,
        /// Where its API listens, if elsewhere.
        #[serde(default)]
        api_endpoint: Option<String>,
    },
}

/// A configuration to begin with, shown by `bespin serve --help`.
pub const EXAMPLE: &str = include_str!("../../example.toml");

impl Config {
    /// Reads and checks a file.
    ///
    /// # Errors
    /// Every mistake that can be seen without starting anything, each with its place and its help.
    pub fn load(path: &Path) -> Result<Config, Mistakes> {
        let config = Config::parse(&path.display().to_string(), &read(path)?)?;
        Ok(Config { file: Some(path.to_owned()), ..config })
    }

    /// Only the folder `server.data` of a file, whatever else stands there: on a day that needs a backup, a secret
    /// or a cluster may be what is missing.
    ///
    /// # Errors
    /// There is no file, it is no TOML, or it does not name the folder.
    pub fn data(path: &Path) -> Result<PathBuf, Mistakes> {
        #[derive(Deserialize)]
        struct Whole {
            server: Part,
        }
        #[derive(Deserialize)]
        struct Part {
            data: PathBuf,
        }
        let whole: Whole =
            toml::from_str(&read(path)?).map_err(|error| Mistakes::one(format!("{}: {error}", path.display())))?;
        Ok(whole.server.data)
    }

    /// Parses and checks a text; `name` is how mistakes call it.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn parse(name: &str, text: &str) -> Result<Config, Mistakes> {
        let config: Config = toml::from_str(text).map_err(|error| Mistakes::one(unparsed(name, text, &error)))?;
        check::check(name, &config)?;
        Ok(config)
    }
}

/// What is wrong with a text, with the line where it stands; a line that may hold a secret is not shown.
fn unparsed(name: &str, text: &str, error: &toml::de::Error) -> String {
    if error.message() != secret::NOT_NAMED {
        return format!("{name}: {error}");
    }
    let before = error.span().and_then(|at| text.get(..at.start)).unwrap_or_default();
    format!("{name}: line {}: {}", before.matches('\n').count() + 1, secret::NOT_NAMED)
}

fn read(path: &Path) -> Result<String, Mistakes> {
    std::fs::read_to_string(path).map_err(|error| Mistakes::one(unreadable(path, &error)))
}

/// Why a file cannot be read; where there is none, how to come by one.
fn unreadable(path: &Path, error: &std::io::Error) -> String {
    if error.kind() != std::io::ErrorKind::NotFound {
        return format!("the configuration file {}: {error}", path.display());
    }
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    format!(
        "there is no configuration file {}\n\
         help: name yours by --config FILE or by BESPIN_CONFIG; `bespin serve --help` shows one to begin with,\n\
         and `bespin demo` needs none",
        path.display()
    )
}

fn default_listen() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8080))
}

fn default_hooks() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 8081))
}

fn default_hook() -> String {
    "default".into()
}

fn default_github() -> String {
    "https://api.github.com".into()
}

fn default_keep_runs() -> usize {
    200
}

#[cfg(test)]
mod tests;
