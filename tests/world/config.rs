//! The configuration of the server under test: the usual one, and what a story has otherwise.

use super::bespin::{hash, plugins};
use super::dashboard::{PASSWORD, USER};
use playground::sample::APPLICATION;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// The registry in the sample's image names.
pub const REGISTRY: &str = "123456789012.dkr.ecr.ap-northeast-2.amazonaws.com";

/// An address that the server is configured with, and how it logs in there.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// The address, without a slash at its end.
    pub url: String,
    /// The value of `auth` as it stands in the file; without one the server sends no credentials.
    pub auth: Option<String>,
}

impl Endpoint {
    fn auth(&self) -> String {
        self.auth.as_ref().map(|auth| format!("auth = {auth}")).unwrap_or_default()
    }
}

/// A configuration to be written. It begins as the one of every story: the sample's repository, one operator, one
/// cluster, and a policy under which the sample's pipeline runs.
#[derive(Clone, Debug)]
pub struct Config {
    data: PathBuf,
    plugins: PathBuf,
    builder: &'static str,
    repositories: Vec<String>,
    git: Endpoint,
    registry: Endpoint,
    kubeconfig: PathBuf,
    cluster: String,
    more: String,
}

impl Config {
    /// The usual configuration of a server that keeps its data in `<dir>/data`; `builder` is the value of that key.
    pub fn new(dir: &Path, builder: &'static str, git: Endpoint, registry: Endpoint, kubeconfig: &Path) -> Config {
        Config {
            data: dir.join("data"),
            plugins: plugins(),
            builder,
            repositories: vec![APPLICATION.to_owned()],
            git,
            registry,
            kubeconfig: kubeconfig.to_owned(),
            cluster: String::new(),
            more: String::new(),
        }
    }

    /// The folder where the server keeps its data.
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Takes the built-in plugins from this folder.
    #[must_use]
    pub fn plugins(mut self, folder: &Path) -> Config {
        folder.clone_into(&mut self.plugins);
        self
    }

    /// Accepts the webhooks of one more repository, such as `user/other`, by the same hook.
    #[must_use]
    pub fn repository(mut self, name: &str) -> Config {
        self.repositories.push(name.to_owned());
        self
    }

    /// Adds a key to the cluster, as it stands there.
    #[must_use]
    pub fn cluster(mut self, key: &str) -> Config {
        let _infallible = writeln!(self.cluster, "{key}");
        self
    }

    /// Adds tables to the end of the file, as they stand there.
    #[must_use]
    pub fn with(mut self, tables: &str) -> Config {
        let _infallible = writeln!(self.more, "\n{tables}");
        self
    }

    /// The file's text.
    pub fn text(&self) -> String {
        let (git, git_host) = (&self.git.url, self.git.url.trim_start_matches("http://"));
        let repository = |name: &String| format!("{{ name = \"{name}\", url = \"{git}/{name}.git\" }}");
        let repositories: Vec<_> = self.repositories.iter().map(repository).collect();
        format!(
            r#"[server]
listen = "127.0.0.1:0"
hooks = "127.0.0.1:0"
data = "{data}"
plugins = "{plugins}"
builder = "{builder}"
numbers = {{ "user/petclinic/petclinic-was" = 55 }}

[[user]]
name = "{USER}"
role = "operator"
hash = "{hash}"

[[hook]]
secrets = [{{ env = "STORIES_HOOK" }}]
repositories = [{repositories}]

[[git]]
url = "{git}/"
{git_auth}

[[registry]]
host = "{REGISTRY}"
endpoint = "{registry}"
{registry_auth}

[[cluster]]
name = "production"
reach = {{ kubeconfig = {{ path = "{kubeconfig}" }} }}
{cluster}
[[policy]]
repository = "{APPLICATION}"
ref = "refs/heads/main"
event = "push"
[policy.grants]
images = ["build"]
registry = ["{REGISTRY}/petclinic-was"]
git = ["{git_host}/user/k8s-manifests"]
cluster = ["production/petclinic/*"]
canary = ["production/petclinic/was"]
{more}"#,
            data = self.data.display(),
            plugins = self.plugins.display(),
            builder = self.builder,
            hash = hash(PASSWORD),
            repositories = repositories.join(", "),
            git_auth = self.git.auth(),
            registry = self.registry.url,
            registry_auth = self.registry.auth(),
            kubeconfig = self.kubeconfig.display(),
            cluster = self.cluster,
            more = self.more,
        )
    }
}
