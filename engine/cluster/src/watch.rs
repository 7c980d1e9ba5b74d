//! Follows the objects of a kind.

use crate::{Cluster, Result, to_json};
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use kube::runtime::{WatchStreamExt, watcher};
use serde_json::Value;
use std::time::Duration;

/// How long a watch that broke waits before it starts again.
const AGAIN: Duration = Duration::from_secs(1);

/// What has happened to an object.
#[derive(Clone, Debug, PartialEq)]
pub enum Change {
    /// It is there, as it lives now.
    There(Value),
    /// It is gone; as it lived last.
    Gone(Value),
}

impl Change {
    /// The object as it lives now, or as it lived last.
    pub fn object(&self) -> &Value {
        match self {
            Change::There(object) | Change::Gone(object) => object,
        }
    }
}

impl Cluster {
    /// Follows every object of a kind in all namespaces. What is there already
    /// comes first. The stream never ends: a watch that breaks starts again,
    /// and tells of all once more.
    ///
    /// # Errors
    /// A kind that the cluster does not serve.
    pub async fn follow(&self, api_version: &str, kind: &str) -> Result<BoxStream<'static, Change>> {
        let kind = self.kind(api_version, kind).await?;
        let resource = kind.resource();
        let changes = watcher(self.api_of(&kind, None), watcher::Config::default()).default_backoff();
        let changes = changes.map_ok(move |event| match event {
            watcher::Event::Apply(object) | watcher::Event::InitApply(object) => {
                Some(Change::There(to_json(object, &resource)))
            }
            watcher::Event::Delete(object) => Some(Change::Gone(to_json(object, &resource))),
            watcher::Event::Init | watcher::Event::InitDone => None,
        });
        let kind = kind.kind;
        let changes = changes.filter_map(move |change| {
            let kind = kind.clone();
            async move {
                match change {
                    Ok(change) => change,
                    Err(error) => {
                        tracing::debug!(kind, %error, "a watch broke; it starts again");
                        tokio::time::sleep(AGAIN).await;
                        None
                    }
                }
            }
        });
        Ok(changes.boxed())
    }
}
