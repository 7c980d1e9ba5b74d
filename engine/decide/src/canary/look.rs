//! One look at a rollout, with what the journal says about it: the questions
//! that every rule asks.

use super::entry::Start;
use super::recorded::{Recorded, State, Walk};
use super::replicas::{self, Pods, Split};
use super::reply::{Mends, Reply, Trouble};
use super::router::{Alb, Router};
use super::seen::{CaughtUp, Live, Service, Set};
use super::spec::Spec;
use super::step::{Scale, Step};
use crate::next::Timestamp;

/// What the rules read. The walk is the one of the template that was seen.
pub(super) struct Look<'a> {
    pub recorded: &'a Recorded,
    pub live: &'a Live,
    pub spec: &'a Spec,
    pub walk: &'a Walk,
    pub now: Timestamp,
}

impl<'a> Look<'a> {
    /// The newest version's set.
    pub fn canary(&self) -> Option<&'a Set> {
        self.live.set(&self.walk.hash)
    }

    /// The stable version's set, when that is another one.
    pub fn stable(&self) -> Option<&'a Set> {
        let stable = self.recorded.stable.as_ref().filter(|stable| stable.hash != self.walk.hash)?;
        self.live.set(&stable.hash)
    }

    /// The sets that are neither.
    pub fn older(&self) -> impl Iterator<Item = &'a Set> {
        let canary = self.canary().map(|set| &set.guard.uid);
        let stable = self.stable().map(|set| &set.guard.uid);
        self.live.sets.iter().filter(move |set| Some(&set.guard.uid) != canary && Some(&set.guard.uid) != stable)
    }

    /// Whether it walks through its steps, or could.
    pub fn is_walking(&self) -> bool {
        self.walk.state == State::Walking && self.walk.start == Start::Steps
    }

    /// The names of the canary's and of the stable version's Service, when traffic is routed.
    pub fn routing(&self) -> Option<(&'a str, &'a str)> {
        self.router()?;
        Some((self.spec.canary_service.as_deref()?, self.spec.stable_service.as_deref()?))
    }

    /// Who shares the traffic, when it is routed.
    pub fn router(&self) -> Option<&'a Router> {
        self.spec.router.as_ref()
    }

    /// The load balancer, where it is the router.
    pub fn alb(&self) -> Option<&'a Alb> {
        self.router().and_then(Router::alb)
    }

    /// What a router that is a plugin said in this look.
    pub fn reply(&self) -> Option<&'a Reply> {
        self.live.reply.as_ref().filter(|_| self.router().is_some_and(|router| router.plugin().is_some()))
    }

    /// The router's name and what keeps it from answering.
    pub fn trouble(&self) -> Option<(&'a str, &'a Trouble)> {
        self.router()?.plugin().zip(self.reply()?.trouble())
    }

    /// The canary's weight that counts as served, in percent, where one does.
    pub fn served(&self) -> Option<u32> {
        self.live.reply.as_ref().map_or(self.live.served, Reply::counts)
    }

    /// A Service that the spec names, if it is there.
    pub fn service(&self, name: Option<&str>) -> Option<&'a Service> {
        self.live.services.get(name?)
    }

    /// The weight of the current position, in percent.
    pub fn target(&self) -> u32 {
        match self.walk.state {
            State::Retreated { .. } => 0,
            State::Promoted => 100,
            State::Walking if self.walk.at >= self.spec.steps.len() => 100,
            State::Walking => {
                let passed = &self.spec.steps[..=self.walk.at];
                passed.iter().rev().find_map(Step::weight).unwrap_or(0)
            }
        }
    }

    /// The pods that the canary shall have with traffic routing.
    fn routed_goal(&self) -> u32 {
        let replicas = self.spec.replicas;
        if self.walk.at >= self.spec.steps.len() {
            return replicas;
        }
        let passed = &self.spec.steps[..=self.walk.at];
        let scale =
            passed.iter().rev().find_map(|step| if let Step::Scale(scale) = step { Some(*scale) } else { None });
        match scale {
            Some(Scale::Pods(pods)) => pods,
            Some(Scale::Share(share)) => replicas::routed(replicas, share, self.spec.min_pods),
            Some(Scale::MatchWeight) | None => replicas::routed(replicas, self.target(), self.spec.min_pods),
        }
    }

    /// The pods that the current position asks for.
    pub fn goal(&self) -> Split {
        let replicas = self.spec.replicas;
        match (&self.walk.state, self.walk.start, self.routing()) {
            (State::Promoted, ..) | (State::Walking, Start::First, _) => Split { canary: replicas, stable: 0 },
            (State::Retreated { .. }, _, Some(_)) => Split { canary: 0, stable: replicas },
            (_, _, Some(_)) => Split { canary: self.routed_goal(), stable: replicas },
            (_, _, None) => replicas::nearest(replicas, self.target(), self.spec.bounds.surge),
        }
    }

    /// Whether both versions have just the pods that the position asks for.
    ///
    /// # Errors
    /// What is still missing, as a sentence.
    pub fn at_goal(&self) -> Result<(), String> {
        let goal = self.goal();
        let Some(canary) = self.canary() else { return Err("the canary's ReplicaSet is not there yet".to_owned()) };
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

    /// The weight that the router should have now, in percent.
    ///
    /// It rises only when the canary's pods are there, and falls at once.
    pub fn wanted_weight(&self) -> u32 {
        let asked = self.recorded.asked;
        let canary = self.canary().map_or(0, |set| set.available);
        let target = self.target();
        match self.walk.state {
            State::Retreated { .. } => 0,
            State::Promoted if self.stable_is_selected() => 0,
            State::Promoted => asked,
            State::Walking if self.walk.start == Start::First || canary == 0 || self.lacks_its_service() => 0,
            State::Walking if !self.canary_is_selected() => asked.min(self.walk.reached),
            State::Walking if target <= asked || self.at_goal().is_ok() => target,
            State::Walking => asked,
        }
    }

    /// Whether the router serves what was asked.
    pub fn is_verified(&self) -> bool {
        self.routing().is_none() || self.served() == Some(self.recorded.asked)
    }

    /// Whether the position's weight is there, pods and traffic.
    pub fn has_arrived(&self) -> bool {
        let empty = self.goal().canary == 0;
        self.at_goal().is_ok() && self.is_verified() && (self.recorded.asked == self.target() || empty)
    }

    /// Whether the stable Service selects the stable version, where traffic is routed.
    pub fn stable_is_selected(&self) -> bool {
        let Some((_, stable)) = self.routing() else { return true };
        let Some(version) = &self.recorded.stable else { return true };
        self.service(Some(stable)).is_some_and(|service| service.hash.as_ref() == Some(&version.hash))
    }

    /// Whether the canary Service selects the newest version, where traffic is routed.
    fn canary_is_selected(&self) -> bool {
        let Some((canary, _)) = self.routing() else { return true };
        self.service(Some(canary)).is_some_and(|service| service.hash.as_ref() == Some(&self.walk.hash))
    }

    /// Whether there is no Service to send the canary's requests to.
    fn lacks_its_service(&self) -> bool {
        self.routing().is_some_and(|(canary, _)| self.service(Some(canary)).is_none())
    }

    /// Whether a set's pods get requests, or are about to. What is not known
    /// counts as traffic.
    pub fn has_traffic(&self, set: &Set) -> bool {
        let Some((canary, stable)) = self.routing() else { return false };
        let selects = |name| {
            let service = self.service(Some(name));
            service.is_some_and(|service| service.hash.as_ref().is_none_or(|hash| *hash == set.hash))
        };
        set.ready > 0
            && (selects(canary) && self.canary_gets_requests() || selects(stable) && self.stable_gets_requests())
    }

    /// Whether a set's pods get the requests that are meant for the stable version.
    pub fn stands_in_for_stable(&self, set: &Set) -> bool {
        let Some((_, stable)) = self.routing() else { return false };
        let selected = self.service(Some(stable)).is_some_and(|service| service.hash.as_ref() == Some(&set.hash));
        selected && set.ready > 0 && self.stable_gets_requests()
    }

    fn stable_gets_requests(&self) -> bool {
        self.recorded.asked < 100 || self.served() != Some(100)
    }

    /// Whether requests come in by the canary's Service, or are about to.
    pub fn canary_gets_requests(&self) -> bool {
        self.routing().is_some() && (self.recorded.asked > 0 || self.served() != Some(0))
    }

    /// What keeps the traffic from being routed, each with its mend.
    pub fn problems(&self) -> Vec<String> {
        let mut problems = Vec::new();
        for name in [&self.spec.canary_service, &self.spec.stable_service].into_iter().flatten() {
            if !self.live.services.contains_key(name) {
                problems.push(format!("Service {name} is not there; add it to the manifests"));
            }
        }
        for (name, ports) in self.alb().into_iter().flat_map(|alb| &alb.ingresses) {
            match self.live.ingresses.get(name) {
                None => problems.push(format!("Ingress {name} is not there; add it to the manifests")),
                Some(ingress) => problems.extend(super::shape::route(self, ingress, ports).err()),
            }
        }
        let refused = self.trouble().filter(|(_, trouble)| trouble.mends == Mends::ByAPerson);
        problems.extend(refused.map(|(router, trouble)| super::reply::stuck(router, trouble)));
        problems
    }

    /// Since when nothing has got better: the position, or the last pod that became ready.
    pub fn progressed_at(&self) -> Timestamp {
        let ready = self.live.sets.iter().flat_map(|set| &set.members).filter_map(|pod| pod.ready_since).max();
        self.walk.since.max(ready.unwrap_or(0))
    }

    /// When the progress deadline is over; `None` while no progress is expected.
    /// A router that is a plugin has all of it, from when it could be told: after an outage or a start of ours anew.
    pub fn overdue_at(&self) -> Option<Timestamp> {
        let walking = self.walk.state == State::Walking && self.walk.paused_since.is_none();
        let since = self.progressed_at().max(self.reply().and_then(Reply::since).unwrap_or(0));
        walking.then(|| since + self.spec.progress_deadline_ms)
    }

    /// Whether the progress deadline is over.
    pub fn is_overdue(&self) -> bool {
        self.overdue_at().is_some_and(|at| self.now >= at)
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
