//! The abilities: what a plugin may ask of its host, by name.

use std::fmt;

/// One interface of `plugins/wit`, under the name that a grant uses for it.
///
/// A component's import list is its request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Ability {
    /// Lines for the step's log. Free: it needs no grant.
    Log,
    /// Files of the pushed commit, to read. Free: it needs no grant.
    Workspace,
    /// Files that the steps of a run leave for one another. Free: it needs no grant.
    Artifacts,
    /// Archives that later runs of the repository find again. Free: it needs no grant.
    Cache,
    /// Requests to named hosts. A grant reads `[METHOD[,METHOD] ]host[:port]`.
    Http,
    /// Named secrets. A grant reads `name` for use unseen, `read:name` to see the value as well.
    Secrets,
    /// Images run as processes. A grant is a pattern of image references.
    Containers,
    /// Image builds. The one grant is `build`.
    Images,
    /// Pushes to a registry. A grant is a pattern of `host/name`.
    Registry,
    /// Commits to other repositories. A grant is a pattern of `host/owner/repository`.
    Git,
    /// Infrastructure by Terraform. A grant is `plan` or `apply`, a space and a pattern of folders.
    Terraform,
    /// Syncs of applications. A grant is a pattern of `cluster/namespace/name`.
    Cluster,
    /// Walks of rollouts. A grant is a pattern of `cluster/namespace/name`.
    Canary,
    /// Questions to metric providers. A grant is a provider's name.
    Metrics,
}

impl Ability {
    /// All of them, in the order in which people read them.
    pub const ALL: [Ability; 14] = [
        Ability::Log,
        Ability::Workspace,
        Ability::Artifacts,
        Ability::Cache,
        Ability::Http,
        Ability::Secrets,
        Ability::Containers,
        Ability::Images,
        Ability::Registry,
        Ability::Git,
        Ability::Terraform,
        Ability::Cluster,
        Ability::Canary,
        Ability::Metrics,
    ];

    /// The name in grants and in the contract, such as `registry`.
    pub fn name(self) -> &'static str {
        match self {
            Ability::Log => "log",
            Ability::Workspace => "workspace",
            Ability::Artifacts => "artifacts",
            Ability::Cache => "cache",
            Ability::Http => "http",
            Ability::Secrets => "secrets",
            Ability::Containers => "containers",
            Ability::Images => "images",
            Ability::Registry => "registry",
            Ability::Git => "git",
            Ability::Terraform => "terraform",
            Ability::Cluster => "cluster",
            Ability::Canary => "canary",
            Ability::Metrics => "metrics",
        }
    }

    /// The ability of that name, if there is one.
    pub fn named(name: &str) -> Option<Ability> {
        Ability::ALL.into_iter().find(|ability| ability.name() == name)
    }

    /// Whether it may be used without permission.
    pub fn is_free(self) -> bool {
        matches!(self, Ability::Log | Ability::Workspace | Ability::Artifacts | Ability::Cache)
    }

    /// What permission to use it means, in a sentence for the person who gives it.
    pub fn means(self) -> &'static str {
        match self {
            Ability::Log => "writes lines to the step's log",
            Ability::Workspace => "reads the files of the pushed commit",
            Ability::Artifacts => "leaves files for the other steps of the run, and reads what they left",
            Ability::Cache => "keeps archives for later runs of the same repository, and reads them",
            Ability::Metrics => "asks the metric providers that are granted",
            Ability::Http => "sends requests to the hosts that are granted, and to no others",
            Ability::Secrets => {
                "uses the secrets that are granted, unseen; it sees the value of one only where the grant says `read:`"
            }
            Ability::Containers => "runs the images that are granted, with the pushed commit's files in them",
            Ability::Images => "builds images from the pushed commit's Dockerfiles",
            Ability::Registry => "pushes images to the repositories that are granted, with the server's login",
            Ability::Git => "commits to the git repositories that are granted, with the server's login",
            Ability::Terraform => {
                "plans or applies the infrastructure of the folders that are granted: Terraform runs what the repository \
                 says there, with the server's network and the credentials of its [terraform] table"
            }
            Ability::Cluster => "brings the applications that are granted to what git says",
            Ability::Canary => "follows the rollouts that are granted, and may send a canary back",
        }
    }

    /// A grant of it, as a step or a policy writes it; empty where none is needed.
    pub fn example(self) -> &'static str {
        match self {
            Ability::Log | Ability::Workspace | Ability::Artifacts | Ability::Cache => "",
            Ability::Http => "http: [\"POST hooks.example.com\"]",
            Ability::Secrets => "secrets: [name]",
            Ability::Containers => "containers: [\"docker.io/library/maven:*\"]",
            Ability::Images => "images: [build]",
            Ability::Registry => "registry: [\"host/name\"]",
            Ability::Git => "git: [\"github.com/owner/repository\"]",
            Ability::Terraform => "terraform: [\"plan infrastructure\"]",
            Ability::Cluster => "cluster: [\"cluster/namespace/name\"]",
            Ability::Canary => "canary: [\"cluster/namespace/name\"]",
            Ability::Metrics => "metrics: [name]",
        }
    }
}

impl fmt::Display for Ability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
