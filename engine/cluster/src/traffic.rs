//! Who is asked which share of the traffic a canary really gets, and whose pods are targets.

use decide::rollout::{BalancerQuery, BalancerReading};
use futures::future::BoxFuture;
use serde_json::Value;

/// Reads what the load balancer of an Ingress serves.
pub trait Balancer: Send + Sync {
    /// Answers a query about Ingresses, which are those of a fresh look. What cannot be read is an answer, too.
    fn read<'a>(&'a self, query: &'a BalancerQuery, ingresses: &'a [Value]) -> BoxFuture<'a, BalancerReading>;
}

/// Asks nobody: the annotations of the live Ingresses are believed, as read just now.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoBalancer;

impl Balancer for NoBalancer {
    fn read<'a>(&'a self, _: &'a BalancerQuery, _: &'a [Value]) -> BoxFuture<'a, BalancerReading> {
        Box::pin(async { BalancerReading::NotAsked })
    }
}
