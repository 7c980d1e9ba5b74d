//! The router that a Rollout names, where its traffic is routed: an AWS load
//! balancer, or a plugin.

use super::read::{Fields, Mistake, Mistakes};
use super::spec::CANARY;
use serde_json::Value;

/// Who shares the traffic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Router {
    /// The AWS load balancer, by the annotations of Ingresses.
    Alb(Alb),
    /// A plugin of the world `route`. Its settings are its own: it reads them in the Rollout.
    Plugin {
        /// Its name in `trafficRouting.plugins`, such as `argoproj-labs/gatewayAPI`.
        name: String,
    },
}

/// The AWS load balancer's part of a Rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alb {
    /// Each Ingress with the ports whose weights are written there.
    pub ingresses: Vec<(String, Vec<u32>)>,
    /// The backend that the Ingress names, when it is not the stable Service.
    pub root_service: Option<String>,
    /// The annotations' prefix.
    pub prefix: String,
    /// Seconds that a client sticks to a version.
    pub sticky_seconds: Option<u32>,
}

const ARGO_ROUTERS: &[&str] =
    &["ambassador", "apisix", "appMesh", "istio", "managedRoutes", "maxTrafficWeight", "nginx", "smi", "traefik"];

impl Router {
    /// The load balancer, where it is one.
    pub fn alb(&self) -> Option<&Alb> {
        match self {
            Router::Alb(alb) => Some(alb),
            Router::Plugin { .. } => None,
        }
    }

    /// The plugin's name, where it is one.
    pub fn plugin(&self) -> Option<&str> {
        match self {
            Router::Alb(_) => None,
            Router::Plugin { name } => Some(name),
        }
    }
}

/// Where a plugin stands in a Rollout.
pub(super) fn path_of(plugin: &str) -> String {
    format!("{CANARY}.trafficRouting.plugins[{plugin}]")
}

/// Reads `trafficRouting`: one router, and no more.
pub(super) fn read(routing: &Value, mistakes: &mut Mistakes) -> Option<Router> {
    let path = format!("{CANARY}.trafficRouting");
    let mut fields = Fields::of(routing, &path, mistakes)?;
    let (alb, plugins) = (fields.take("alb"), fields.take("plugins"));
    fields.refuse(ARGO_ROUTERS, mistakes);
    match (alb, plugins) {
        (Some(alb), None) => read_alb(alb, mistakes).map(Router::Alb),
        (None, Some(plugins)) => read_plugins(plugins, mistakes),
        (Some(_), Some(_)) => {
            let said = "stands beside alb, and one router is followed at a time";
            mistakes.push(Mistake::new(&format!("{path}.plugins"), said, "remove one of them"));
            None
        }
        (None, None) => {
            let said = "names no router that Bespin knows";
            let mend = "write alb with an ingress and a servicePort, or plugins with a plugin of this server";
            mistakes.push(Mistake::new(&path, said, mend));
            None
        }
    }
}

fn read_plugins(plugins: &Value, mistakes: &mut Mistakes) -> Option<Router> {
    let path = format!("{CANARY}.trafficRouting.plugins");
    let mend = "write one plugin's name, and its settings below it";
    let all: Vec<(&String, &Value)> = plugins.as_object().into_iter().flatten().collect();
    match all.as_slice() {
        [] => mistakes.push(Mistake::new(&path, "names no plugin", mend)),
        [(name, settings)] if settings.is_object() || settings.is_null() => {
            return Some(Router::Plugin { name: (*name).clone() });
        }
        [(name, _)] => mistakes.push(Mistake::new(&path_of(name), "is not an object", "write its settings below it")),
        [_, others @ ..] => {
            let said = "is a second plugin, and one router is followed at a time";
            let second = |(name, _): &(&String, &Value)| Mistake::new(&path_of(name), said, "remove all but one");
            mistakes.extend(others.iter().map(second));
        }
    }
    None
}

fn read_alb(alb: &Value, mistakes: &mut Mistakes) -> Option<Alb> {
    let path = format!("{CANARY}.trafficRouting.alb");
    let mut fields = Fields::of(alb, &path, mistakes)?;
    let port = fields.number("servicePort", 1..=65535, mistakes);
    let single = fields.text("ingress", mistakes);
    let several = fields.take("ingresses").map(names).unwrap_or_default();
    let by_ingress = fields.take("servicePorts").map(ports).unwrap_or_default();
    let root_service = fields.text("rootService", mistakes);
    let prefix = fields.text("annotationPrefix", mistakes).unwrap_or_else(|| "alb.ingress.kubernetes.io".to_owned());
    let sticky_seconds = fields.take("stickinessConfig").and_then(|sticky| read_stickiness(sticky, &path, mistakes));
    fields.refuse(&[], mistakes);

    let all: Vec<String> = if several.is_empty() { single.into_iter().collect() } else { several };
    if all.is_empty() {
        mistakes.push(Mistake::new(
            &format!("{path}.ingress"),
            "is missing",
            "name the Ingress whose backend is weighted",
        ));
    }
    let with_ports = |name: String| {
        let own = by_ingress.iter().find(|(ingress, _)| *ingress == name).map(|(_, ports)| ports.clone());
        let ports = own.unwrap_or_else(|| port.into_iter().collect());
        (name, ports)
    };
    let ingresses: Vec<_> = all.into_iter().map(with_ports).collect();
    if ingresses.iter().any(|(_, ports)| ports.is_empty()) {
        mistakes.push(Mistake::new(&format!("{path}.servicePort"), "is missing", "write the Services' port"));
    }
    Some(Alb { ingresses, root_service, prefix, sticky_seconds })
}

fn names(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

fn ports(list: &Value) -> Vec<(String, Vec<u32>)> {
    let one = |entry: &Value| {
        let ports =
            entry["servicePorts"].as_array()?.iter().filter_map(|port| port.as_u64().and_then(|p| p.try_into().ok()));
        Some((entry["ingress"].as_str()?.to_owned(), ports.collect()))
    };
    list.as_array().into_iter().flatten().filter_map(one).collect()
}

fn read_stickiness(sticky: &Value, path: &str, mistakes: &mut Mistakes) -> Option<u32> {
    let mut fields = Fields::of(sticky, &format!("{path}.stickinessConfig"), mistakes)?;
    let enabled = fields.flag("enabled", mistakes);
    let seconds = fields.number("durationSeconds", 1..=604_800, mistakes);
    fields.refuse(&[], mistakes);
    if enabled == Some(true) && seconds.is_none() {
        let path = format!("{path}.stickinessConfig.durationSeconds");
        mistakes.push(Mistake::new(&path, "is missing", "write 1 to 604800 seconds"));
    }
    seconds.filter(|_| enabled == Some(true))
}
