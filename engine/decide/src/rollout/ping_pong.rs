//! The Services of a canary's two versions: named each, or two that take turns.
//!
//! With `pingPong` no promotion moves a Service's selector: the canary's Service becomes the stable one as it stands. So
//! a pod is a target of one group for its life, and a readiness gate that it got as it was created stays true of it.
//! Sources: Argo's `rollout/trafficrouting/service_helper.go` and `promoteStable` in `rollout/sync.go`.

use super::fields::{CANARY, Fields, Mistake, Mistakes};
use super::router::Router;
use super::turn::Turn;

/// Two Services that take turns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PingPong {
    /// The name of `pingService`.
    pub ping: String,
    /// The name of `pongService`.
    pub pong: String,
    /// Which of them is the stable version's.
    pub stable_by: Turn,
}

/// The names of the versions' Services.
#[derive(Default)]
pub(super) struct ServiceNames {
    pub canary: Option<String>,
    pub stable: Option<String>,
    pub ping_pong: Option<PingPong>,
}

impl From<PingPong> for ServiceNames {
    fn from(ping_pong: PingPong) -> ServiceNames {
        let (ping, pong) = (ping_pong.ping.clone(), ping_pong.pong.clone());
        let (canary, stable) = match ping_pong.stable_by {
            Turn::Ping => (pong, ping),
            Turn::Pong => (ping, pong),
        };
        ServiceNames { canary: Some(canary), stable: Some(stable), ping_pong: Some(ping_pong) }
    }
}

/// Each version needs a Service of its own, where traffic is routed by Services.
pub(super) fn read(canary: &mut Fields, router: Option<&Router>, mistakes: &mut Mistakes) -> ServiceNames {
    let (canary_service, stable_service) =
        (canary.text("canaryService", mistakes), canary.text("stableService", mistakes));
    let by_turns = canary.take("pingPong");
    if let Some(value) = by_turns {
        let is_named = canary_service.is_some() || stable_service.is_some();
        let names = Fields::of(value, &format!("{CANARY}.pingPong"), mistakes);
        return names.map(|names| read_ping_pong(names, router, is_named, mistakes)).unwrap_or_default();
    }
    if router.is_some() && (canary_service.is_none() || stable_service.is_none()) {
        let help = format!("name both {CANARY}.canaryService and {CANARY}.stableService");
        mistakes.push(Mistake::new(&format!("{CANARY}.trafficRouting"), "needs a Service for each version", &help));
    }
    if canary_service.is_some() && canary_service == stable_service {
        let path = format!("{CANARY}.canaryService");
        mistakes.push(Mistake::new(&path, "is the stable Service as well", "name two different Services"));
    }
    ServiceNames { canary: canary_service, stable: stable_service, ping_pong: None }
}

fn read_ping_pong(mut names: Fields, router: Option<&Router>, is_named: bool, mistakes: &mut Mistakes) -> ServiceNames {
    let path = format!("{CANARY}.pingPong");
    let (ping, pong) = (names.text("pingService", mistakes), names.text("pongService", mistakes));
    names.refuse(&[], mistakes);
    let mut wrong = |path: &str, said: &str, help: &str| mistakes.push(Mistake::new(path, said, help));
    match router {
        Some(Router::Alb(alb)) if alb.root_service.is_none() => {
            // The action of an Ingress bears one name, whoever's turn it is.
            let root = format!("{CANARY}.trafficRouting.alb.rootService");
            wrong(&root, "is missing, and pingPong needs it", "name the Service that the Ingress' backend names");
        }
        Some(Router::Alb(_)) => {}
        Some(Router::Plugin(_)) | None => {
            wrong(&path, "works with trafficRouting.alb only", "name canaryService and stableService instead");
        }
    }
    if is_named {
        let help = "take canaryService and stableService out, or pingPong";
        wrong(&path, "stands beside canaryService or stableService, and they would move the same pods", help);
    }
    let (Some(ping), Some(pong)) = (ping, pong) else {
        wrong(&path, "needs two Services", "name both pingService and pongService");
        return ServiceNames::default();
    };
    if ping == pong {
        wrong(&format!("{path}.pongService"), "is the ping Service as well", "name two different Services");
    }
    PingPong { ping, pong, stable_by: Turn::Pong }.into()
}
