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
    /// One rollout, or a ReplicaSet of it.
    Rollout {
        /// The namespace that the rollout lives in.
        namespace: String,
        /// The rollout's name, unique in its namespace.
        name: String,
    },
    /// A pod of a ReplicaSet that is named as those of a rollout are. Whose that is, its name alone does not prove.
    Pod {
        /// The namespace of the pod.
        namespace: String,
        /// The name of the rollout, if it is one's.
        rollout: String,
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

/// A set without an owner may be the one whose pods a Service selects.
fn owner(set: &DynamicObject) -> Option<Noticed> {
    let owner = set.owner_references().iter().find(|owner| owner.kind == "Rollout");
    let rollout = |name: &String| Some(Noticed::Rollout { namespace: set.namespace()?, name: name.clone() });
    owner.map_or_else(|| around(set), |owner| rollout(&owner.name))
}

/// A pod's set is named after its rollout and the template's hash. One of no such set may be selected all the same.
fn set_owner(pod: &DynamicObject) -> Option<Noticed> {
    let set = pod.owner_references().iter().find(|owner| owner.kind == "ReplicaSet");
    let named = set.zip(pod.labels().get(HASH));
    let rollout = named.and_then(|(set, hash)| set.name.strip_suffix(hash.as_str())?.strip_suffix('-'));
    match rollout {
        Some(rollout) => Some(Noticed::Pod { namespace: pod.namespace()?, rollout: rollout.to_owned() }),
        None => around(pod),
    }
}

fn around(object: &DynamicObject) -> Option<Noticed> {
    Some(Noticed::Around { namespace: object.namespace()? })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn object(labels: Value, owner: Option<(&str, &str)>) -> DynamicObject {
        let owners = owner.map(|(kind, name)| json!([{"apiVersion": "v1", "kind": kind, "name": name, "uid": "u"}]));
        let metadata = json!({"name": "one", "namespace": "shop", "labels": labels, "ownerReferences": owners});
        serde_json::from_value(json!({"metadata": metadata})).unwrap()
    }

    fn around_shop() -> Option<Noticed> {
        Some(Noticed::Around { namespace: "shop".into() })
    }

    #[test]
    fn a_pod_of_a_rollouts_set_is_about_that_rollout() {
        let pod = object(json!({HASH: "6d978df76"}), Some(("ReplicaSet", "was-6d978df76")));
        assert_eq!(set_owner(&pod), Some(Noticed::Pod { namespace: "shop".into(), rollout: "was".into() }));
    }

    #[test]
    fn a_pod_of_no_current_set_is_about_every_rollout_around_it() {
        let hash = json!({HASH: "6d978df76"});
        for owner in [None, Some(("ReplicaSet", "another-name")), Some(("StatefulSet", "was-6d978df76"))] {
            assert_eq!(set_owner(&object(hash.clone(), owner)), around_shop(), "{owner:?}");
        }
        // Its label was changed, so that another Service selects it, or none.
        let relabelled = object(json!({HASH: "debug"}), Some(("ReplicaSet", "was-6d978df76")));
        assert_eq!(set_owner(&relabelled), around_shop());
    }

    #[test]
    fn a_set_without_its_rollout_is_about_every_rollout_around_it() {
        let hash = json!({HASH: "6d978df76"});
        let owned = object(hash.clone(), Some(("Rollout", "was")));
        assert_eq!(owner(&owned), Some(Noticed::Rollout { namespace: "shop".into(), name: "was".into() }));
        assert_eq!(owner(&object(hash, None)), around_shop());
    }
}
