//! The adapter to Kubernetes, and to the load balancers before it.
//!
//! Looks, applies, prunes and watches; it never decides. Objects cross this
//! adapter as JSON, because what Bespin handles is not known when it is compiled.

mod apply;
mod connect;
mod crds;
#[cfg(feature = "elb")]
mod elb;
#[cfg(not(feature = "elb"))]
#[path = "elb/absent.rs"]
mod elb;
mod error;
mod kinds;
mod look;
mod own;
mod retry_after;
mod rollout;
mod traffic;
mod watch;

pub use apply::Written;
pub use connect::{ElbSettings, Reach, Settings};
pub use elb::Elb;
pub use error::Error;
pub use kinds::{Kind, Scope};
pub use look::Keep;
pub use rollout::{Acted, CANARY_MANAGER, Noticed};
pub use traffic::{Balancer, NoBalancer};

pub use watch::Change;

use error::trying;
use kube::api::{Api, ApiResource, DynamicObject};
use serde_json::Value;
use std::time::Duration;

/// What every call of this adapter answers.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// The field manager of everything that Bespin applies.
pub const MANAGER: &str = "bespin";

/// How long one request may take, a watch excepted; tests of silence are not to wait for it.
pub(crate) const REQUEST: Duration = Duration::from_secs(if cfg!(test) { 5 } else { 30 });

/// A connection to one cluster. Cheap to share behind an `Arc`.
pub struct Cluster {
    name: String,
    client: kube::Client,
    kinds: kinds::Kinds,
}

impl Cluster {
    /// Binds the settings of a cluster; nothing is asked of it yet.
    ///
    /// # Errors
    /// Settings that cannot be read.
    pub async fn bind(settings: Settings) -> Result<Cluster> {
        let (name, client) = connect::client(settings).await?;
        Ok(Cluster { name, kinds: kinds::Kinds::default(), client })
    }

    /// The same, and asks the API server for its version, so that a wrong address or credential is known.
    ///
    /// # Errors
    /// Settings that cannot be read, or a server that does not answer.
    pub async fn connect(settings: Settings) -> Result<Cluster> {
        let cluster = Cluster::bind(settings).await?;
        cluster.reach().await?;
        Ok(cluster)
    }

    /// Asks the API server for its version: whether it answers, and takes the credential.
    ///
    /// # Errors
    /// A server that does not answer, or refuses.
    pub async fn reach(&self) -> Result<()> {
        let tried = format!("asking cluster `{}` for its version", self.name);
        trying(&tried, self.client.apiserver_version()).await.map(drop)
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The client, for the modules of this crate.
    pub(crate) fn client(&self) -> kube::Client {
        self.client.clone()
    }

    /// What the API server calls a kind. Asked once for each group and
    /// version, and again when the kind is not among the answers.
    ///
    /// # Errors
    /// [`Error::UnknownKind`] when the cluster does not serve it.
    pub async fn kind(&self, api_version: &str, kind: &str) -> Result<Kind> {
        self.kinds.find(&self.client, &self.name, api_version, kind).await
    }

    /// A dynamic API for a kind, in one namespace where it has any; `None`
    /// means all of them, or a cluster-scoped kind.
    pub(crate) async fn api(
        &self,
        api_version: &str,
        kind: &str,
        namespace: Option<&str>,
    ) -> Result<Api<DynamicObject>> {
        let kind = self.kind(api_version, kind).await?;
        Ok(self.api_of(&kind, namespace))
    }

    /// A dynamic API for a kind that was looked up before.
    pub(crate) fn api_of(&self, kind: &Kind, namespace: Option<&str>) -> Api<DynamicObject> {
        let resource = kind.resource();
        match (kind.scope, namespace) {
            (Scope::Namespaced, Some(namespace)) => Api::namespaced_with(self.client(), namespace, &resource),
            _ => Api::all_with(self.client(), &resource),
        }
    }
}

/// An object as JSON, with the type that a list leaves out of its items.
pub(crate) fn to_json(object: DynamicObject, resource: &ApiResource) -> Value {
    let mut value = serde_json::to_value(object).expect("an object that came as JSON goes back to it");
    if let Some(map) = value.as_object_mut() {
        map.insert("apiVersion".into(), resource.api_version.clone().into());
        map.insert("kind".into(), resource.kind.clone().into());
    }
    value
}
