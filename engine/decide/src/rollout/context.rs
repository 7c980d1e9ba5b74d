//! One look at a rollout, with what the journal says about it: the questions
//! that every rule asks.

use super::intent::{Routed, Start};
use super::observed::{CaughtUp, ObservedRollout, Set};
use super::outcomes::Removal;
use super::progress::{Progress, ProgressState};
use super::replicas::{self, Pods, Split};
use super::router::alb::Names;
use super::router::plugin::{RouterFailure, RouterResponse, RouterStatus};
use super::router::{Asked, Router, left};
use super::shares::StableScale;
use super::state::State;
use super::step::Step;
use super::strategy::{Reading, Strategy};
use crate::next::Timestamp;
use std::cell::OnceCell;

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
    /// What keeps the traffic from being routed, once a rule has asked.
    pub(super) problems: OnceCell<Vec<String>>,
    /// Whether only the newest version fits the stable Service, once a rule has asked.
    pub(super) only_newest_fits: OnceCell<bool>,
}

impl<'a> Context<'a> {
    pub(super) fn new(
        state: &'a State,
        observed: &'a ObservedRollout,
        strategy: &'a Strategy,
        progress: &'a Progress,
        now: Timestamp,
    ) -> Context<'a> {
        let (problems, only_newest_fits) = (OnceCell::new(), OnceCell::new());
        Context { state, observed, strategy, progress, now, problems, only_newest_fits }
    }

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
        self.progress.is_in_steps()
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
            newest: self.elsewhere().unwrap_or(&self.progress.hash),
            stable: self.stable_hash(),
            now: self.now,
        })
    }

    /// Who shares the traffic, when it is routed.
    pub(super) fn router(&self) -> Option<&'a Router> {
        self.strategy.router.as_ref()
    }

    /// The router that the rollout has left, until it has taken back what it has made: until then it may share the
    /// traffic as before.
    pub(super) fn left(&self) -> Option<&'a Routed> {
        left::left(self.state, self.observed, self.strategy)
    }

    /// What a router that is a plugin said in this look.
    pub(super) fn router_status(&self) -> Option<&'a RouterStatus> {
        self.observed.router_status.as_ref().filter(|_| self.router().is_some_and(|router| router.plugin().is_some()))
    }

    /// The router's name and what keeps it from answering.
    pub(super) fn trouble(&self) -> Option<(&'a str, &'a RouterFailure)> {
        match self.router()? {
            // Where nothing is on its way, nobody needs to know what is served.
            Router::Alb(_) => self.unread().filter(|_| !self.at_rest()).map(|failure| ("the load balancer", failure)),
            Router::Plugin(plugin) => Some((plugin.name.as_str(), self.router_status()?.trouble()?)),
        }
    }

    /// The canary's weight that counts as served, in percent, where one does.
    pub(super) fn served(&self) -> Option<u32> {
        self.router()?.served(self.observed)
    }

    /// The weight of the current position, in percent.
    pub(super) fn target(&self) -> u32 {
        match self.progress.state {
            ProgressState::Aborted { .. } => 0,
            ProgressState::Promoted => 100,
            ProgressState::Underway if self.progress.at >= self.strategy.steps.len() || self.only_newest_fits() => 100,
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
                let canary = self.strategy.routed_pods(self.progress.at, self.target());
                Split { canary, stable: self.stable_goal() }
            }
            (_, _, None) => replicas::nearest(replicas, self.target(), self.strategy.bounds.surge),
        }
    }

    /// The stable version's pods: all of them, or those that its share asks for, by the highest of what it shall have,
    /// what was asked, and what it has. So it grows before its traffic, and shrinks after it.
    fn stable_goal(&self) -> u32 {
        // Whom the canary's Service names is to lose its traffic first.
        if self.strategy.stable_scale == StableScale::Full || !self.canary_is_selected() {
            return self.strategy.replicas;
        }
        let asked = self.target().min(self.state.asked);
        match self.served().filter(|_| self.left().is_none()) {
            Some(served) => self.strategy.stable_pods(asked.min(served)),
            None => self.strategy.stable_pods(asked).max(self.stable().map_or(0, |set| set.spec)),
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
        if let Some(name) = self.strategy.canary_service.as_ref().filter(|_| self.awaits_service()) {
            return Err(format!("Service {name} does not lead to the canary yet"));
        }
        if canary.spec != goal.canary || canary.available != goal.canary {
            return Err(format!("{} of {} canary pods are available", canary.available, goal.canary));
        }
        if let Some(missing) = self.awaited_targets(goal.canary).filter(|_| goal.canary > 0) {
            return Err(missing);
        }
        if let Some(stable) = self.stable() {
            caught_up(stable)?;
            let follows = self.strategy.stable_scale == StableScale::Dynamic && self.routing().is_some();
            if !follows && (stable.spec != goal.stable || stable.pods != goal.stable) {
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
        self.left().is_none() && (self.routing().is_none() || self.served() == Some(self.state.asked))
    }

    /// Whether the weight of the position is served by pods that are ready: what a pause counts by.
    pub(super) fn serving(&self) -> Serving {
        let asked = self.state.asked;
        let targets = self.canary_targets().is_none_or(|targets| targets.healthy > 0);
        let pods = asked == 0 || targets && self.canary().is_some_and(|set| set.ready > 0);
        let holds = |holds: bool| if holds { Serving::Yes } else { Serving::No };
        match self.router() {
            _ if self.left().is_some() => match &self.observed.removal {
                Removal::Failed(_) => Serving::No,
                Removal::NotYet | Removal::Done => Serving::Unknown,
            },
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
