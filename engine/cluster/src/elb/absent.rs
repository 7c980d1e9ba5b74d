//! AWS load balancers in a build without the feature `elb`: they can be configured, and nobody can ask them.

use crate::connect::ElbSettings;
use crate::traffic::Balancer;
use crate::{Error, Result};
use decide::next::Timestamp;
use decide::outcome::Failure;
use decide::rollout::{BalancerQuery, BalancerReading};
use futures::future::BoxFuture;
use serde_json::Value;

/// The load balancers before one cluster, which this build cannot ask.
pub enum Elb {}

impl Elb {
    /// Refuses the settings.
    ///
    /// # Errors
    /// Always: this build cannot ask load balancers.
    pub fn new(cluster: &str, _: ElbSettings, _: fn() -> Timestamp) -> Result<Elb> {
        let help = "build Bespin with the feature `elb`, or remove the key `elb`";
        let what = format!("this build cannot ask AWS load balancers; {help}");
        Err(Error::Settings { cluster: cluster.to_owned(), what })
    }

    /// Asks nobody.
    ///
    /// # Errors
    /// None; nothing of this type can be made.
    pub async fn reach(&self) -> Result<Vec<&'static str>, Failure> {
        match *self {}
    }
}

impl Balancer for Elb {
    fn read<'a>(&'a self, _: &'a BalancerQuery, _: &'a [Value]) -> BoxFuture<'a, BalancerReading> {
        match *self {}
    }
}
