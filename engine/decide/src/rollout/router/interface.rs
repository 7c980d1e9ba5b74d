//! What the rules ask of a router, whichever it is.

use super::alb::Names;
use super::plugin::{Plugin, RouterStatus};
use super::{Asked, Router};
use crate::next::Timestamp;
use crate::rollout::act::Act;
use crate::rollout::observed::ObservedRollout;

impl Router {
    /// The canary's weight that counts as served, in percent, where one does.
    pub(in crate::rollout) fn served(&self, observed: &ObservedRollout) -> Option<u32> {
        match self {
            Router::Alb(_) => observed.served,
            Router::Plugin(_) => observed.router_status.as_ref().and_then(RouterStatus::counts),
        }
    }

    /// The highest weight that it was told to give the canary, in percent, as far as what it reads shows that.
    pub(in crate::rollout) fn told(&self, names: Names, observed: &ObservedRollout) -> u32 {
        match self {
            Router::Alb(alb) => alb.told(names, &observed.ingresses),
            Router::Plugin(_) => 0,
        }
    }

    /// What it has still to be told.
    pub(in crate::rollout) fn writes(&self, asked: Asked, observed: &ObservedRollout) -> Vec<Act> {
        match self {
            Router::Alb(alb) => {
                let names = [asked.names.canary, asked.names.stable];
                let are_there = names.iter().all(|name| observed.services.contains_key(*name));
                alb.writes(asked.names, asked.weight, are_there, &observed.ingresses)
            }
            Router::Plugin(plugin) => {
                let status = observed.router_status.iter();
                let due = status.filter(|status| Plugin::is_due(status, asked.weight, asked.now));
                let split = || plugin.split(asked.weight, asked.newest, asked.stable, &observed.rollout);
                due.map(|_| Act::Weigh { split: Box::new(split()) }).collect()
            }
        }
    }

    /// What keeps it from sharing the traffic until a person has done something, each with its help.
    pub(in crate::rollout) fn problems(&self, asked: Asked, observed: &ObservedRollout) -> Vec<String> {
        match self {
            Router::Alb(alb) => alb.problems(asked.names.stable, &observed.ingresses),
            Router::Plugin(plugin) => {
                observed.router_status.iter().flat_map(|status| plugin.problems(status)).collect()
            }
        }
    }

    /// When it is to be asked again. What happens to an Ingress is watched; of what happens at a plugin's data plane
    /// nothing tells.
    pub(in crate::rollout) fn wake(&self, observed: &ObservedRollout, now: Timestamp) -> Option<Timestamp> {
        match self {
            Router::Alb(_) => None,
            Router::Plugin(_) => Some(Plugin::wake(observed.router_status.as_ref()?, now)),
        }
    }
}
