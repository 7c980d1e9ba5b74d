//! A Rollout's spec, read once for each look, and what has to be observed for it.

use super::fields::{Mistake, Mistakes};
use super::router::Router;
use super::router::balancer::{self, BalancerQuery, BalancerReading};
use super::strategy::{self, Strategy};
use crate::annotations::OWNER;
use crate::object::annotation;
use serde_json::Value;

/// What was read of a spec.
#[derive(Clone, Debug, PartialEq)]
pub struct RolloutSpec {
    /// What can be read, whatever else stands there: enough to keep safe what serves.
    strategy: Option<Strategy>,
    mistakes: Mistakes,
}

impl RolloutSpec {
    /// Reads the spec of a Rollout.
    pub fn read(rollout: &Value) -> RolloutSpec {
        let mut mistakes = Mistakes::new();
        let strategy = strategy::read(rollout, &mut mistakes).map(|strategy| strategy.with(&mistakes));
        RolloutSpec { strategy, mistakes }
    }

    /// The strategy, where all of the spec can be followed.
    ///
    /// # Errors
    /// Every mistake at once, each with its path and its help.
    pub fn whole(&self) -> Result<&Strategy, &[Mistake]> {
        match &self.strategy {
            Some(strategy) if self.mistakes.is_empty() => Ok(strategy),
            _ => Err(&self.mistakes),
        }
    }

    /// What can be read, whatever else stands there.
    pub(super) fn salvaged(&self) -> Option<&Strategy> {
        self.strategy.as_ref()
    }
}

/// Reads the strategy of a Rollout.
///
/// # Errors
/// Every mistake at once, each with its path and its help.
pub fn parse(rollout: &Value) -> Result<Strategy, Vec<Mistake>> {
    match RolloutSpec::read(rollout) {
        RolloutSpec { strategy: Some(strategy), mistakes } if mistakes.is_empty() => Ok(strategy),
        RolloutSpec { mistakes, .. } => Err(mistakes),
    }
}

/// The Services and Ingresses that a Rollout names, as far as it can be read:
/// what has to be observed besides.
pub fn named(rollout: &Value) -> (Vec<String>, Vec<String>) {
    match RolloutSpec::read(rollout).strategy {
        None => (Vec::new(), Vec::new()),
        Some(spec) => {
            let services = [spec.canary_service, spec.stable_service].into_iter().flatten().collect();
            let ingresses = spec.router.iter().flat_map(Router::ingresses).cloned().collect();
            (services, ingresses)
        }
    }
}

/// What the load balancer's API is asked about a Rollout; `None` where it shares none of its traffic, or is another's.
pub fn balancer_query(rollout: &Value) -> Option<BalancerQuery> {
    annotation(rollout, OWNER)?;
    let strategy = RolloutSpec::read(rollout).strategy?;
    let router = strategy.router.filter(|router| matches!(router, Router::Alb(_)))?;
    let services = [strategy.canary_service, strategy.stable_service].into_iter().flatten().collect();
    Some(BalancerQuery { ingresses: router.ingresses().cloned().collect(), services })
}

/// The canary's weight as the load balancer says it, in percent, or else as the live Ingresses of a Rollout have it; that
/// of `pingService`, where two Services take turns. `None` where it has none, or they do not agree.
pub fn served(rollout: &Value, ingresses: &[Value], balancer: &BalancerReading) -> Option<u32> {
    let strategy = RolloutSpec::read(rollout).strategy?;
    let Router::Alb(alb) = strategy.router? else { return None };
    let (canary, stable) = (strategy.canary_service?, strategy.stable_service?);
    match balancer {
        BalancerReading::NotAsked => alb.served(ingresses, &canary, &stable),
        BalancerReading::Failed(_) => None,
        BalancerReading::Read(read) => balancer::weight(read, Router::Alb(alb).ingresses(), &canary, &stable),
    }
}
