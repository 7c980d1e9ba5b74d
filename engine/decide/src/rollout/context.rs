//! One look at a rollout, with what the journal says about it: the questions
//! that every rule asks.

use super::intent::Start;
use super::observed::{CaughtUp, ObservedRollout, Service, Set};
use super::progress::{Progress, ProgressState};
use super::replicas::{self, Pods, Split};
use super::router::alb::Names;
use super::router::plugin::{RouterFailure, RouterResponse, RouterStatus};
use super::router::{Asked, Router};
use super::state::State;
use super::step::Step;
use super::strategy::{Reading, Strategy};
use crate::next::Timestamp;

/// How long the stable version may have no ready pod before a canary gets everything, in ms: a node that is slow to
/// answer is no lost version.
const UNREADY_MS: u64 = 5_000;

/// Whether a position's weight is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Serving {
    Yes,
    No,
    /// The router was not asked yet.
    Unknown,
}

/// What the rules read. The progress is that of the template that was observed.
pub(super) struct Context<'a> {
    pub state: &'a State,
    pub observed: &'a ObservedRollout,
    pub strategy: &'a Strategy,
    pub progress: &'a Progress,
    pub now: Timestamp,
}

impl<'a> Context<'a> {
    /// The newest version's set.
    pub(super) fn canary(&self) -> Option<&'a Set> {
        self.observed.set(&self.progress.hash)
    }

    /// The stable version's set, when that is another one.
    pub(super) fn stable(&self) -> Option<&'a Set> {
        let stable = self.state.stable.as_ref().filter(|stable| stable.hash != self.progress.hash)?;
        self.observed.set(&stable.hash)
    }

    /// The hash of the stable version; of the newest one, where that is the first of all.
    pub(super) fn stable_hash(&self) -> &'a str {
        self.state.stable.as_ref().map_or(&self.progress.hash, |stable| &stable.hash)
    }

    /// The sets that are neither.
    pub(super) fn older(&self) -> impl Iterator<Item = &'a Set> {
        let canary = self.canary().map(|set| &set.guard.uid);
        let stable = self.stable().map(|set| &set.guard.uid);
        self.observed.sets.iter().filter(move |set| Some(&set.guard.uid) != canary && Some(&set.guard.uid) != stable)
    }

    /// Whether it takes its steps, or could.
    pub(super) fn is_underway(&self) -> bool {
        self.progress.state == ProgressState::Underway && self.progress.start == Start::Steps
    }

    /// The names of the canary's and of the stable version's Service, when traffic is routed.
    pub(super) fn routing(&self) -> Option<(&'a str, &'a str)> {
        self.router()?;
        Some((self.strategy.canary_service.as_deref()?, self.strategy.stable_service.as_deref()?))
    }

    /// What the router is asked for, when the traffic is routed.
    pub(super) fn asked(&self) -> Option<Asked<'a>> {
        let (canary, stable) = self.routing()?;
        Some(Asked {
            names: Names { rollout: self.observed.name(), canary, stable },
            weight: self.state.asked,
            newest: &self.progress.hash,
            stable: self.stable_hash(),
            now: self.now,
        })
    }

    /// Who shares the traffic, when it is routed.
    pub(super) fn router(&self) -> Option<&'a Router> {
        self.strategy.router.as_ref()
    }

    /// What a router that is a plugin said in this look.
    pub(super) fn router_status(&self) -> Option<&'a RouterStatus> {
        self.observed.router_status.as_ref().filter(|_| self.router().is_some_and(|router| router.plugin().is_some()))
    }

    /// The router's name and what keeps it from answering.
    pub(super) fn trouble(&self) -> Option<(&'a str, &'a RouterFailure)> {
        self.router()?.plugin().zip(self.router_status()?.trouble())
    }

    /// The canary's weight that counts as served, in percent, where one does.
    pub(super) fn served(&self) -> Option<u32> {
        self.router()?.served(self.observed)
    }

    /// A Service that the spec names, if it is there.
    pub(super) fn service(&self, name: Option<&str>) -> Option<&'a Service> {
        self.observed.services.get(name?)
    }

    /// The weight of the current position, in percent.
    pub(super) fn target(&self) -> u32 {
        match self.progress.state {
            ProgressState::Aborted { .. } => 0,
            ProgressState::Promoted => 100,
            ProgressState::Underway if self.progress.at >= self.strategy.steps.len() => 100,
            ProgressState::Underway => {
                let passed = &self.strategy.steps[..=self.progress.at];
                passed.iter().rev().find_map(Step::weight).unwrap_or(0)
            }
        }
    }

    /// The pods that the current position asks for.
    pub(super) fn goal(&self) -> Split {
        let replicas = self.strategy.replicas;
        if self.is_held() {
            let canary = self.canary().map_or(0, |set| set.spec);
            let stable = if self.routing().is_some() { replicas } else { replicas.saturating_sub(canary) };
            return Split { canary, stable };
        }
        match (&self.progress.state, self.progress.start, self.routing()) {
            (ProgressState::Promoted, ..) | (ProgressState::Underway, Start::First, _) => {
                Split { canary: replicas, stable: 0 }
            }
            (ProgressState::Aborted { .. }, _, Some(_)) => Split { canary: 0, stable: replicas },
            (_, _, Some(_)) => {
                Split { canary: self.strategy.routed_pods(self.progress.at, self.target()), stable: replicas }
            }
            (_, _, None) => replicas::nearest(replicas, self.target(), self.strategy.bounds.surge),
        }
    }

    /// How many available pods there are beyond those that the spec wants at any time, as far as they stay.
    pub(super) fn spare(&self) -> u32 {
        let staying: u32 = self.observed.sets.iter().map(|set| pods(set).staying(set.spec)).sum();
        staying.saturating_sub(self.strategy.replicas.saturating_sub(self.strategy.bounds.unavailable))
    }

    /// Whether a canary on its way stays where it is, for its spec cannot be followed.
    pub(super) fn is_held(&self) -> bool {
        self.strategy.reading != Reading::Whole && self.is_underway()
    }

    /// Whether both versions have just the pods that the position asks for.
    ///
    /// # Errors
    /// What is still missing, as a sentence.
    pub(super) fn at_goal(&self) -> Result<(), String> {
        let goal = self.goal();
        let Some(canary) = self.canary() else {
            let refused = self.observed.refusal.as_ref();
            return Err(refused.map_or("the canary's ReplicaSet is not there yet".to_owned(), |refused| {
                format!("the canary's ReplicaSet cannot be created: {}", refused.because)
            }));
        };
        caught_up(canary)?;
        if canary.spec != goal.canary || canary.available != goal.canary {
            return Err(format!("{} of {} canary pods are available", canary.available, goal.canary));
        }
        if let Some(stable) = self.stable() {
            caught_up(stable)?;
            if stable.spec != goal.stable || stable.pods != goal.stable {
                return Err(format!("the stable version has {} pods on its way to {}", stable.pods, goal.stable));
            }
        }
        let older: u32 = self.older().map(|set| set.available).sum();
        match self.routing() {
            None if older > 0 => Err(format!("{older} pods of older versions still serve")),
            _ => Ok(()),
        }
    }

    /// The first of the canary's pods that does not come up, and why.
    pub(super) fn pod_trouble(&self) -> Option<String> {
        let pods = self.canary().into_iter().flat_map(|set| &set.members);
        pods.filter_map(|pod| Some(format!("pod {}: {}", pod.name, pod.trouble.as_ref()?))).next()
    }

    /// What is missing, with the pod that does not come up.
    pub(super) fn missing(&self, missing: String) -> String {
        self.pod_trouble().map_or(missing.clone(), |trouble| format!("{missing}; {trouble}"))
    }

    /// Whether the router serves what was asked.
    pub(super) fn is_verified(&self) -> bool {
        self.routing().is_none() || self.served() == Some(self.state.asked)
    }

    /// Whether the weight of the position is served by pods that are ready: what a pause counts by.
    pub(super) fn serving(&self) -> Serving {
        let asked = self.state.asked;
        let pods = asked == 0 || self.canary().is_some_and(|set| set.ready > 0);
        let holds = |holds: bool| if holds { Serving::Yes } else { Serving::No };
        match self.router() {
            None => Serving::Yes,
            Some(Router::Plugin(_))
                if self.router_status().is_none_or(|status| status.response == RouterResponse::NotAsked) =>
            {
                Serving::Unknown
            }
            Some(_) if self.goal().canary == 0 => holds(self.problems().is_empty() && self.is_verified()),
            Some(_) => holds(
                asked == self.target()
                    && self.is_verified()
                    && self.problems().is_empty()
                    && pods
                    && self.canary_is_selected(),
            ),
        }
    }

    /// Whether the position's weight is there, pods and traffic.
    pub(super) fn has_arrived(&self) -> bool {
        let empty = self.goal().canary == 0;
        self.at_goal().is_ok() && self.is_verified() && (self.state.asked == self.target() || empty)
    }

    /// Whether the stable Service selects the stable version, where traffic is routed.
    pub(super) fn stable_is_selected(&self) -> bool {
        let Some((_, stable)) = self.routing() else { return true };
        let selected = self.service(Some(stable)).and_then(|service| service.hash.as_deref());
        // A first version serves by a Service that selects every pod, too.
        selected == Some(self.stable_hash()) || self.state.stable.is_none() && selected.is_none()
    }

    /// Whether the canary Service selects the newest version, where traffic is routed.
    pub(super) fn canary_is_selected(&self) -> bool {
        let Some((canary, _)) = self.routing() else { return true };
        self.service(Some(canary)).is_some_and(|service| service.hash.as_ref() == Some(&self.progress.hash))
    }

    /// Whether the pods that the canary's Service selects are the only ones that are ready: none that the stable
    /// Service selects is. Of a Service that is not there, or that selects every pod, nothing is known.
    pub(super) fn canary_alone_serves(&self) -> bool {
        let ready = |name: &str| {
            let hash = self.service(Some(name)).and_then(|service| service.hash.as_ref())?;
            Some(self.observed.ready(hash))
        };
        let Some((canary, stable)) = self.routing() else { return false };
        ready(stable) == Some(0) && ready(canary).is_some_and(|ready| ready > 0)
    }

    /// From when on the canary's pods get everything, as long as they are the only ones that are ready.
    pub(super) fn stands_in_at(&self) -> Option<Timestamp> {
        Some(self.state.unready_since? + UNREADY_MS)
    }

    /// Whether there is no Service to send the canary's requests to.
    pub(super) fn lacks_its_service(&self) -> bool {
        self.routing().is_some_and(|(canary, _)| self.service(Some(canary)).is_none())
    }

    /// Whether a set's pods get requests, or are about to. What is not known
    /// counts as traffic.
    pub(super) fn has_traffic(&self, set: &Set) -> bool {
        let Some((canary, stable)) = self.routing() else { return false };
        let selects = |name| {
            let service = self.service(Some(name));
            service.is_some_and(|service| service.hash.as_ref().is_none_or(|hash| *hash == set.hash))
        };
        set.ready > 0
            && (selects(canary) && self.canary_gets_requests() || selects(stable) && self.stable_gets_requests())
    }

    /// Whether a set's pods get the requests that are meant for the stable version.
    pub(super) fn stands_in_for_stable(&self, set: &Set) -> bool {
        let Some((_, stable)) = self.routing() else { return false };
        let selected = self.service(Some(stable)).is_some_and(|service| service.hash.as_ref() == Some(&set.hash));
        selected && set.ready > 0 && self.stable_gets_requests()
    }

    fn stable_gets_requests(&self) -> bool {
        self.state.asked < 100 || self.served() != Some(100)
    }

    /// Whether requests come in by the canary's Service, or are about to.
    pub(super) fn canary_gets_requests(&self) -> bool {
        self.routing().is_some() && (self.state.asked > 0 || self.served() != Some(0))
    }

    /// The Services and Ingresses that the spec names and that are not there, each with its help.
    fn absent(&self) -> Vec<String> {
        let services = [&self.strategy.canary_service, &self.strategy.stable_service].into_iter().flatten();
        let services = services.filter(|name| !self.observed.services.contains_key(*name));
        let ingresses = self.router().map(Router::ingresses).unwrap_or_default();
        let ingresses = ingresses.iter().filter(|name| !self.observed.ingresses.contains_key(*name));
        let said = |kind: &str, name: &str| format!("{kind} {name} is not there; add it to the manifests");
        services.map(|name| said("Service", name)).chain(ingresses.map(|name| said("Ingress", name))).collect()
    }

    /// What a first version waits for until its deadline: of a new install, a Service or an Ingress may come later than
    /// the Rollout.
    pub(super) fn awaited(&self) -> Vec<String> {
        let first = self.progress.state == ProgressState::Underway && self.progress.start == Start::First;
        let absent = self.absent();
        if first && !self.is_overdue() && absent.len() == self.problems().len() { absent } else { Vec::new() }
    }

    /// What keeps the traffic from being routed, each with its help.
    pub(super) fn problems(&self) -> Vec<String> {
        let mut problems = self.absent();
        let router = self.router().zip(self.asked());
        problems.extend(router.into_iter().flat_map(|(router, asked)| router.problems(asked, self.observed)));
        problems
    }
}

/// Whether every pod that was asked for is available.
pub(super) fn is_full(set: &Set) -> bool {
    set.spec > 0 && set.caught_up == CaughtUp::Yes && set.available >= set.spec
}

/// A set's pods, for the arithmetic.
pub(super) fn pods(set: &Set) -> Pods {
    Pods { spec: set.spec, available: set.available }
}

fn caught_up(set: &Set) -> Result<(), String> {
    match set.caught_up {
        CaughtUp::Yes => Ok(()),
        CaughtUp::NotYet => Err(format!("ReplicaSet {} is not caught up with yet by its controller", set.guard.name)),
    }
}
