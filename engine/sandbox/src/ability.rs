//! The abilities: what a plugin may ask of its host, by name.

use std::fmt;

/// One interface of `plugins/wit`, under the name that a grant uses for it.
///
/// A component's import list is its request; see [`crate::Plugin::imports`].
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

    /// Whether it may be used without leave.
    pub fn is_free(self) -> bool {
        matches!(self, Ability::Log | Ability::Workspace | Ability::Artifacts | Ability::Cache)
    }
}

impl fmt::Display for Ability {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
