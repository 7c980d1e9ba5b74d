//! The router that a Rollout names, where its traffic is routed.
//!
//! Each kind of router is one page: what of the cluster it needs, what it still has to be told, what share it serves,
//! and what keeps it from following. [`Router`] asks the one that is named.

pub mod alb;
pub mod balancer;
pub(super) mod carried;
pub(super) mod leaving;
pub(super) mod left;
pub mod plugin;
pub(super) mod rules;

use crate::next::Timestamp;
use crate::rollout::act::Act;
use crate::rollout::fields::{CANARY, Fields, Mistake, Mistakes};
use crate::rollout::observed::ObservedRollout;
use alb::{Alb, Names};
use plugin::{Plugin, RouterStatus};
use serde_json::Value;

/// Who shares the traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Router {
    /// The AWS load balancer, by the annotations of Ingresses.
    Alb(Alb),
    /// A plugin of the world `route`.
    Plugin(Plugin),
}

/// The share that the journal promises, and who gets it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    /// The Rollout and the versions' Services.
    pub names: Names<'a>,
    /// The canary's weight, in percent.
    pub weight: u32,
    /// The hash of the version that gets the canary's share: the newest one's, once the canary's Service names it.
    pub newest: &'a str,
    /// The hash of the stable version's template.
    pub stable: &'a str,
    pub now: Timestamp,
}

const ARGO_ROUTERS: &[&str] =
    &["ambassador", "apisix", "appMesh", "istio", "managedRoutes", "maxTrafficWeight", "nginx", "smi", "traefik"];

impl Router {
    /// The plugin's name, where it is one.
    pub fn plugin(&self) -> Option<&str> {
        match self {
            Router::Alb(_) => None,
            Router::Plugin(plugin) => Some(&plugin.name),
        }
    }

    /// The names of the Ingresses that it needs.
    pub fn ingresses(&self) -> impl Iterator<Item = &String> {
        let all = match self {
            Router::Alb(alb) => alb.ingresses.as_slice(),
            Router::Plugin(_) => &[],
        };
        all.iter().map(|(name, _)| name)
    }

    /// The canary's weight that counts as served, in percent, where one does.
    pub(super) fn served(&self, observed: &ObservedRollout) -> Option<u32> {
        match self {
            Router::Alb(_) => observed.served,
            Router::Plugin(_) => observed.router_status.as_ref().and_then(RouterStatus::counts),
        }
    }

    /// The highest weight that it was told to give the canary, in percent, as far as what it reads shows that.
    pub(super) fn told(&self, names: Names, observed: &ObservedRollout) -> u32 {
        match self {
            Router::Alb(alb) => alb.told(names, &observed.ingresses),
            Router::Plugin(_) => 0,
        }
    }

    /// What it has still to be told.
    pub(super) fn writes(&self, asked: Asked, observed: &ObservedRollout) -> Vec<Act> {
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
    pub(super) fn problems(&self, asked: Asked, observed: &ObservedRollout) -> Vec<String> {
        match self {
            Router::Alb(alb) => alb.problems(asked.names.stable, &observed.ingresses),
            Router::Plugin(plugin) => {
                observed.router_status.iter().flat_map(|status| plugin.problems(status)).collect()
            }
        }
    }

    /// When it is to be asked again. What happens to an Ingress is watched; of what happens at a plugin's data plane
    /// nothing tells.
    pub(super) fn wake(&self, observed: &ObservedRollout, now: Timestamp) -> Option<Timestamp> {
        match self {
            Router::Alb(_) => None,
            Router::Plugin(_) => Some(Plugin::wake(observed.router_status.as_ref()?, now)),
        }
    }
}

/// Reads `trafficRouting`: one router, and no more.
pub(super) fn read(routing: &Value, mistakes: &mut Mistakes) -> Option<Router> {
    let path = format!("{CANARY}.trafficRouting");
    let mut fields = Fields::of(routing, &path, mistakes)?;
    let (alb, plugins) = (fields.take("alb"), fields.take("plugins"));
    fields.refuse(ARGO_ROUTERS, mistakes);
    match (alb, plugins) {
        (Some(alb), None) => alb::read(alb, mistakes).map(Router::Alb),
        (None, Some(plugins)) => plugin::read(plugins, mistakes).map(Router::Plugin),
        (Some(_), Some(_)) => {
            let message = "stands beside alb, and one router is followed at a time";
            mistakes.push(Mistake::new(&format!("{path}.plugins"), message, "remove one of them"));
            None
        }
        (None, None) => {
            let message = "names no router that Bespin knows";
            let help = "write alb with an ingress and a servicePort, or plugins with a plugin of this server";
            mistakes.push(Mistake::new(&path, message, help));
            None
        }
    }
}
