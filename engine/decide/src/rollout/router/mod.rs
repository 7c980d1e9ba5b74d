//! The router that a Rollout names, where its traffic is routed.
//!
//! Each kind of router is one page: what of the cluster it needs, what it still has to be told, what share it serves,
//! and what keeps it from following. [`Router`] asks the one that is named.

pub mod alb;
pub mod balancer;
pub(super) mod carried;
mod interface;
pub(super) mod leaving;
pub(super) mod left;
pub mod plugin;
pub(super) mod rules;

use crate::next::Timestamp;
use crate::rollout::fields::{CANARY, Fields, Mistake, Mistakes};
use alb::{Alb, Names};
use plugin::Plugin;
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
