//! Who says which share of the traffic a canary really gets.

use crate::Result;
use decide::rollout;
use futures::future::BoxFuture;
use serde_json::Value;

/// Tells the weight that is served, apart from the weight that was written.
pub trait Router: Send + Sync {
    /// The canary's weight in percent, where it is known and the same at every
    /// Ingress of the rollout. The objects are those of a fresh look.
    fn served<'a>(&'a self, rollout: &'a Value, ingresses: &'a [Value]) -> BoxFuture<'a, Result<Option<u32>>>;
}

/// Believes the annotations of the live Ingresses, as read just now.
///
/// That the load balancer follows them is not verified: who can ask AWS puts
/// another [`Router`] in this one's place.
#[derive(Clone, Copy, Debug, Default)]
pub struct Annotations;

impl Router for Annotations {
    fn served<'a>(&'a self, rollout: &'a Value, ingresses: &'a [Value]) -> BoxFuture<'a, Result<Option<u32>>> {
        Box::pin(async move { Ok(rollout::strategy::served(rollout, ingresses)) })
    }
}
