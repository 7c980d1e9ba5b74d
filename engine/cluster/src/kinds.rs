//! Which kinds a cluster serves, remembered by group and version.

use crate::error::trying;
use crate::{Error, Result};
use kube::api::ApiResource;
use std::collections::HashMap;
use std::sync::{Arc, Mutex};

/// A kind as the API server names it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kind {
    /// API group, empty for the core group.
    pub group: String,
    /// Version without the group.
    pub version: String,
    /// The kind as manifests write it, such as `Deployment`.
    pub kind: String,
    /// The word in the address, such as `deployments`.
    pub plural: String,
    /// Whether its objects live in namespaces.
    pub scope: Scope,
    /// What may be done with it, such as `list` and `watch`.
    pub verbs: Vec<String>,
    /// Its subresources, such as `status` and `scale`.
    pub subresources: Vec<String>,
}

/// Where the objects of a kind live.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// In the cluster as a whole.
    Cluster,
    /// Each in a namespace.
    Namespaced,
}

impl Kind {
    /// Group and version as objects write them.
    pub fn api_version(&self) -> String {
        match self.group.as_str() {
            "" => self.version.clone(),
            group => format!("{group}/{}", self.version),
        }
    }

    /// As kube wants it.
    pub(crate) fn resource(&self) -> ApiResource {
        ApiResource {
            group: self.group.clone(),
            version: self.version.clone(),
            api_version: self.api_version(),
            kind: self.kind.clone(),
            plural: self.plural.clone(),
        }
    }
}

type Known = HashMap<String, Arc<Vec<Kind>>>;

/// What was asked before.
#[derive(Default)]
pub(crate) struct Kinds(Mutex<Known>);

impl Kinds {
    /// Finds a kind; asks where it is not known, and asks again where the
    /// group is known without it, for a CRD may have come since.
    pub(crate) async fn find(
        &self,
        client: &kube::Client,
        cluster: &str,
        api_version: &str,
        kind: &str,
    ) -> Result<Kind> {
        if let Some(found) = self.remembered(api_version).and_then(|kinds| among(&kinds, kind)) {
            return Ok(found);
        }
        let unknown = || Error::UnknownKind {
            cluster: cluster.to_owned(),
            api_version: api_version.to_owned(),
            kind: kind.to_owned(),
        };
        let kinds = match ask(client, api_version).await {
            Ok(kinds) => Arc::new(kinds),
            Err(error) if error.is_not_found() => return Err(unknown()),
            Err(error) => return Err(error),
        };
        self.lock().insert(api_version.to_owned(), kinds.clone());
        among(&kinds, kind).ok_or_else(unknown)
    }

    /// Every kind of one group and version, asked anew.
    pub(crate) async fn all(&self, client: &kube::Client, api_version: &str) -> Result<Arc<Vec<Kind>>> {
        let kinds = Arc::new(ask(client, api_version).await?);
        self.lock().insert(api_version.to_owned(), kinds.clone());
        Ok(kinds)
    }

    fn remembered(&self, api_version: &str) -> Option<Arc<Vec<Kind>>> {
        self.lock().get(api_version).cloned()
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.0.lock().expect("nobody panics while holding the kinds")
    }
}

fn among(kinds: &[Kind], wanted: &str) -> Option<Kind> {
    kinds.iter().find(|kind| kind.kind == wanted).cloned()
}

/// Asks for one group and version.
async fn ask(client: &kube::Client, api_version: &str) -> Result<Vec<Kind>> {
    let tried = format!("asking which kinds {api_version} has");
    let list = match api_version.contains('/') {
        true => trying(&tried, client.list_api_group_resources(api_version)).await?,
        false => trying(&tried, client.list_core_api_resources(api_version)).await?,
    };
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let (subs, roots): (Vec<_>, Vec<_>) = list.resources.into_iter().partition(|r| r.name.contains('/'));
    let subresources = |plural: &str| {
        let of = |name: &str| name.strip_prefix(plural).and_then(|rest| rest.strip_prefix('/')).map(str::to_owned);
        subs.iter().filter_map(|sub| of(&sub.name)).collect()
    };
    let kind = |resource: k8s_openapi::apimachinery::pkg::apis::meta::v1::APIResource| Kind {
        group: group.to_owned(),
        version: version.to_owned(),
        subresources: subresources(&resource.name),
        kind: resource.kind,
        plural: resource.name,
        scope: if resource.namespaced { Scope::Namespaced } else { Scope::Cluster },
        verbs: resource.verbs,
    };
    Ok(roots.into_iter().map(kind).collect())
}
