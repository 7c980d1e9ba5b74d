//! Tells which rollout something has happened to.

use crate::{Cluster, Result};
use decide::rollout::HASH;
use futures::stream::{BoxStream, select_all};
use futures::{StreamExt, TryStreamExt};
use kube::ResourceExt;
use kube::api::DynamicObject;
use kube::runtime::{WatchStreamExt, watcher};
use std::time::Duration;

/// What a change was about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Noticed {
    /// One rollout, or its ReplicaSets or pods.
    Rollout {
        /// The namespace that the rollout lives in.
        namespace: String,
        /// The rollout's name, unique in its namespace.
        name: String,
    },
    /// Something that any rollout of the namespace may lean on.
    Around {
        /// The namespace of what has changed.
        namespace: String,
    },
}

/// How long a watch waits before it starts again.
const AGAIN: Duration = Duration::from_secs(1);

impl Cluster {
    /// Follows every Rollout with its ReplicaSets, pods, Services, Ingresses
    /// and autoscalers. What is there already is noticed first. The stream
    /// never ends: a watch that breaks starts again, and notices all once more.
    ///
    /// # Errors
    /// A kind that the cluster does not serve.
    pub async fn watch_rollouts(&self) -> Result<BoxStream<'static, Noticed>> {
        let any = watcher::Config::default();
        let labelled = watcher::Config::default().labels(HASH);
        let watches = [
            self.watch("argoproj.io/v1alpha1", "Rollout", any.clone(), itself).await?,
            self.watch("apps/v1", "ReplicaSet", labelled.clone(), owner).await?,
            self.watch("v1", "Pod", labelled, set_owner).await?,
            self.watch("v1", "Service", any.clone(), around).await?,
            self.watch("networking.k8s.io/v1", "Ingress", any.clone(), around).await?,
        ];
        Ok(select_all(watches).boxed())
    }

    async fn watch(
        &self,
        api_version: &'static str,
        kind: &'static str,
        config: watcher::Config,
        about: fn(&DynamicObject) -> Option<Noticed>,
    ) -> Result<BoxStream<'static, Noticed>> {
        let resource = self.kind(api_version, kind).await?;
        let api = self.api_of(&resource, None);
        let changes = watcher(api, config).default_backoff();
        let changes = changes.map_ok(|event| match event {
            watcher::Event::Apply(object) | watcher::Event::Delete(object) | watcher::Event::InitApply(object) => {
                Some(object)
            }
            watcher::Event::Init | watcher::Event::InitDone => None,
        });
        let noticed = changes.filter_map(move |change| async move {
            match change {
                Ok(object) => object.as_ref().and_then(about),
                Err(error) => {
                    tracing::debug!(kind, %error, "a watch broke; it starts again");
                    tokio::time::sleep(AGAIN).await;
                    None
                }
            }
        });
        Ok(noticed.boxed())
    }
}

fn itself(rollout: &DynamicObject) -> Option<Noticed> {
    Some(Noticed::Rollout { namespace: rollout.namespace()?, name: rollout.name_any() })
}

fn owner(set: &DynamicObject) -> Option<Noticed> {
    let owner = set.owner_references().iter().find(|owner| owner.kind == "Rollout")?;
    Some(Noticed::Rollout { namespace: set.namespace()?, name: owner.name.clone() })
}

/// A pod's set is named after its rollout and the template's hash.
fn set_owner(pod: &DynamicObject) -> Option<Noticed> {
    let set = pod.owner_references().iter().find(|owner| owner.kind == "ReplicaSet")?;
    let name = set.name.strip_suffix(pod.labels().get(HASH)?)?.strip_suffix('-')?;
    Some(Noticed::Rollout { namespace: pod.namespace()?, name: name.to_owned() })
}

fn around(object: &DynamicObject) -> Option<Noticed> {
    Some(Noticed::Around { namespace: object.namespace()? })
}
