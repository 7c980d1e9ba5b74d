//! Which pods the Services of a rollout select, and what is missing where there are none.

use super::act::Act;
use super::context::{Context, is_full};
use super::intent::Start;
use super::observed::{ObservedRollout, Set};
use super::ping_pong::{PingPong, ServiceNames};
use super::pods::Pod;
use super::progress::ProgressState;
use super::router::plugin::Remedy;
use super::router::{Router, carried};
use super::service::Service;
use super::state::State;
use super::strategy::Strategy;
use super::turn::{Sharing, Turn};
use crate::next::Timestamp;
use std::borrow::Cow;

/// How long the stable version may have no ready pod before a canary gets everything, in ms: a node that is slow to
/// answer is no lost version.
const UNREADY_MS: u64 = 5_000;

/// The hash of the version whose pods the canary's Service leads to, where that is not the stable one.
pub(super) fn elsewhere<'a>(state: &State, observed: &'a ObservedRollout, strategy: &Strategy) -> Option<&'a str> {
    strategy.router.as_ref().zip(strategy.stable_service.as_ref())?;
    let service = observed.services.get(strategy.canary_service.as_deref()?)?;
    let hash = service.hash.as_deref().filter(|_| service.serves())?;
    let newest = state.progress.as_ref().map(|progress| progress.hash.as_str());
    let stable = state.stable.as_ref().map(|stable| stable.hash.as_str()).or(newest);
    (Some(hash) != stable).then_some(hash)
}

/// The same spec with each Service in the place that it has: at this turn, or as the traffic was shared between them.
pub(super) fn in_place<'a>(strategy: &'a Strategy, state: &State, observed: &ObservedRollout) -> Cow<'a, Strategy> {
    match strategy.ping_pong {
        Some(_) => Cow::Owned(strategy.clone().at_turn(turn(state, observed))),
        None if is_turned(state, observed) => Cow::Owned(strategy.clone().turned()),
        None => Cow::Borrowed(strategy),
    }
}

/// Whether what is observed as the canary's share, by the names of the spec, is the stable version's.
pub(super) fn is_turned(state: &State, observed: &ObservedRollout) -> bool {
    let canary = &observed.rollout["spec"]["strategy"]["canary"];
    if !canary["pingPong"].is_null() {
        return turn(state, observed) == Some(Turn::Ping);
    }
    // Without a root the action bears the stable Service's name, and a plugin goes by the names of the spec.
    let rooted = canary["trafficRouting"]["alb"]["rootService"].as_str();
    let names = rooted.and(canary["canaryService"].as_str().zip(canary["stableService"].as_str()));
    let shared = state.services.as_ref().zip(names);
    // A spec that has them the other way round moves no traffic from one version to the other.
    shared.is_some_and(|(shared, (canary, stable))| shared.are(stable, canary))
}

/// Which of two Services that take turns is the stable version's: as the traffic was shared between them, as the journal
/// has it, or else as the status does.
pub(super) fn turn(state: &State, observed: &ObservedRollout) -> Option<Turn> {
    let turns = &observed.rollout["spec"]["strategy"]["canary"]["pingPong"];
    let names = turns["pingService"].as_str().zip(turns["pongService"].as_str());
    let shared = state.services.as_ref().zip(names).and_then(|(shared, (ping, pong))| shared.turn(ping, pong));
    let known = state.stable_by.or_else(|| told_turn(observed));
    // Before the first turn there is none to tell.
    if shared == known.or(Some(Turn::Pong)) { known } else { shared.or(known) }
}

/// The same as the status has it.
pub(super) fn told_turn(observed: &ObservedRollout) -> Option<Turn> {
    Turn::named(observed.status("canary")["stablePingPong"].as_str()?)
}

/// The Services that share the traffic, as the status has them.
pub(super) fn told_sharing(observed: &ObservedRollout) -> Option<Sharing> {
    let weights = &observed.status("canary")["weights"];
    let name = |version: &str| weights[version]["serviceName"].as_str().map(str::to_owned);
    Some(Sharing { canary: name("canary")?, stable: name("stable")? })
}

/// The Services' selectors. Each moves only to a version that is fully there.
pub(super) fn select(context: &Context) -> Vec<Act> {
    let mut acts = Vec::new();
    let mut act = |name: Option<&str>, set: Option<&Set>, ready: bool| {
        let (Some(service), Some(set)) = (context.service(name), set) else { return };
        let moves = service.hash.as_ref() != Some(&set.hash);
        let ready = ready && !context.is_missed(Some(service), Some(set));
        if moves && ready || !moves && service.managed_by.is_none() {
            let rollout = context.observed.name().to_owned();
            acts.push(Act::Select { service: service.guard.clone(), hash: set.hash.clone(), rollout });
        }
    };
    let stable = context.observed.set(context.stable_hash());
    let name = context.strategy.stable_service.as_deref();
    // Whoever is selected now may be gone; then some pods of the right version beat none.
    let lost = context.service(name).and_then(Service::behind) == Some(0);
    let empty = context.strategy.replicas == 0;
    act(name, stable, stable.is_some_and(|set| is_full(set) || lost && (set.ready > 0 || empty)));
    let canary = context.canary();
    let name = context.strategy.canary_service.as_deref();
    // While another version gets requests through the canary's Service, it is not swapped below them.
    let other = context.service(name).filter(|service| service.hash.as_ref() != Some(&context.progress.hash));
    let behind = other.and_then(Service::behind);
    let busy = behind.is_some_and(|ready| ready > 0) && context.canary_gets_requests();
    // All its traffic goes to the version that serves, which has to have the pods for it.
    let bears = context.swaps_at_once() && canary.is_some_and(|set| set.available >= context.strategy.replicas);
    let free = !busy || context.progress.state == ProgressState::Promoted && bears;
    let aborted = matches!(context.progress.state, ProgressState::Aborted { .. });
    if context.strategy.is_turned && context.is_back() {
        // The spec has it as the stable version's.
        act(name, stable, stable.is_some_and(is_full));
        return acts;
    }
    match aborted && context.routing().is_none() {
        // Nothing else leads whoever asks by it away from a version whose pods go.
        true => act(name, stable, stable.is_some_and(is_full)),
        // The canary's Service is the stable one next, and leads to its pods from their creation on.
        false if context.strategy.ping_pong.is_some() => {
            act(name, canary, context.progress.state == ProgressState::Underway && free)
        }
        false => act(name, canary, !aborted && free && canary.is_some_and(is_full)),
    }
    acts
}

impl Strategy {
    /// The same at this turn, where two Services take turns.
    fn at_turn(self, stable_by: Option<Turn>) -> Strategy {
        let Some((ping_pong, stable_by)) = self.ping_pong.clone().zip(stable_by) else { return self };
        let ServiceNames { canary, stable, ping_pong } = PingPong { stable_by, ..ping_pong }.into();
        Strategy { canary_service: canary, stable_service: stable, ping_pong, ..self }
    }

    /// The same with the two Services in each other's places.
    fn turned(self) -> Strategy {
        let (canary, stable) = (self.stable_service, self.canary_service);
        Strategy { canary_service: canary, stable_service: stable, is_turned: true, ..self }
    }
}

impl<'a> Context<'a> {
    /// A Service that the spec names, if it is there.
    pub(super) fn service(&self, name: Option<&str>) -> Option<&'a Service> {
        self.observed.services.get(name?)
    }

    /// Whether the stable Service selects the stable version, where traffic is routed.
    pub(super) fn stable_is_selected(&self) -> bool {
        let Some((_, stable)) = self.routing() else { return true };
        let service = self.service(Some(stable));
        let selected = service.and_then(|service| service.hash.as_deref());
        let hash = self.stable_hash();
        // A first version serves by a Service that selects every pod, too.
        let is_named = selected == Some(hash) || self.state.stable.is_none() && selected.is_none();
        is_named && !self.is_missed(service, self.observed.set(hash))
    }

    /// Whether the canary Service selects the newest version's pods, where traffic is routed.
    pub(super) fn canary_is_selected(&self) -> bool {
        let Some((canary, _)) = self.routing() else { return true };
        let service = self.service(Some(canary));
        service.is_some_and(|service| service.hash.as_ref() == Some(&self.progress.hash))
            && !self.is_missed(service, self.canary())
    }

    /// Whether no version is underway, and no request comes by the canary's Service.
    fn is_back(&self) -> bool {
        !self.is_underway() && !self.canary_gets_requests()
    }

    /// The Services as the spec names them, once they can change places, where they stand the other way round.
    pub(super) fn places(&self) -> Option<Sharing> {
        let (canary, stable) = self.routing().filter(|_| self.strategy.is_turned && self.is_back())?;
        let next = self.service(Some(canary)).filter(|next| next.hash.as_deref() == Some(self.stable_hash()))?;
        (next.serves() && self.bears_all(next))
            .then(|| Sharing { canary: stable.to_owned(), stable: canary.to_owned() })
    }

    /// Whether a canary gets no pods before its Service names it, for they are to be its targets from their creation on.
    pub(super) fn awaits_service(&self) -> bool {
        let by_turns = self.strategy.ping_pong.is_some() && self.is_underway() && self.stable().is_some();
        let service = self.service(self.strategy.canary_service.as_deref());
        by_turns && service.is_none_or(|service| service.hash.as_ref() != Some(&self.progress.hash))
    }

    /// Whether a Service selects none of a version's ready pods, whether it names the version already or will: the rest
    /// of its selector is not theirs.
    pub(super) fn is_missed(&self, service: Option<&Service>, set: Option<&Set>) -> bool {
        let both = service.zip(set).filter(|(_, set)| set.members.iter().any(Pod::is_ready));
        both.is_some_and(|(service, set)| self.observed.reached(service, &set.hash) == 0)
    }

    /// Whether the pods that the canary's Service selects are the only ones that are ready: none that the stable
    /// Service selects is. Of a Service that is not there, or that selects every pod, nothing is known.
    pub(super) fn canary_alone_serves(&self) -> bool {
        let ready = |name: &str| self.service(Some(name))?.behind();
        let Some((canary, stable)) = self.routing() else { return false };
        ready(stable) == Some(0) && ready(canary).is_some_and(|ready| ready > 0)
    }

    /// Whether the stable Service leads to a pod that is ready. Of one that is not there nobody knows what stands in for it:
    /// then the stable version's own pods tell.
    pub(super) fn stable_serves(&self) -> bool {
        let Some((_, stable)) = self.routing() else { return false };
        match self.service(Some(stable)) {
            Some(service) => service.serves(),
            None => self.stable().is_some_and(|set| set.ready > 0),
        }
    }

    /// The version whose pods the canary's Service leads to, where that is not the stable one.
    pub(super) fn elsewhere(&self) -> Option<&'a str> {
        elsewhere(self.state, self.observed, self.strategy)
    }

    /// Whether the canary's pods get everything, for they have been the only ready ones for a while.
    pub(super) fn stands_in(&self) -> bool {
        self.canary_alone_serves() && self.stands_in_at().is_some_and(|at| self.now >= at)
    }

    /// From when on the canary's pods get everything, as long as they are the only ones that are ready.
    pub(super) fn stands_in_at(&self) -> Option<Timestamp> {
        Some(self.state.unready_since? + UNREADY_MS)
    }

    /// Whether there is no Service to send the canary's requests to, or one that leads to no ready pod, of whichever
    /// version: what the stable version gets of that traffic is more than it gets there, whatever that can bear.
    pub(super) fn canary_is_cut_off(&self) -> bool {
        let service = self.routing().map(|(canary, _)| self.service(Some(canary)));
        service.is_some_and(|service| service.is_none_or(|service| !service.serves()))
    }

    /// The set that the canary's Service leads to, or is to lead to.
    pub(super) fn behind_canary(&self) -> Option<&'a Set> {
        let service = self.routing().and_then(|(canary, _)| self.service(Some(canary)));
        service.and_then(|service| self.observed.set(service.hash.as_ref()?)).or(self.canary())
    }

    /// Whether a set's pods get requests, or are about to. What is not known
    /// counts as traffic.
    pub(super) fn has_traffic(&self, set: &Set) -> bool {
        let Some((canary, stable)) = self.routing() else { return self.left().is_some() && set.ready > 0 };
        if set.ready > 0 && self.is_target(set, None) {
            return true;
        }
        // Whom another Service of the router leads to, nobody knows.
        let selects = |name| {
            let service = self.service(Some(name));
            service.is_none_or(|service| service.hash.as_ref().is_none_or(|hash| *hash == set.hash))
        };
        set.ready > 0
            && (selects(canary) && self.canary_gets_requests() || selects(stable) && self.stable_gets_requests())
    }

    /// The Services by which a set's pods get requests, or are about to.
    pub(super) fn leading_to(&self, set: &'a Set) -> impl Iterator<Item = &'a Service> {
        let (canary, stable) = (self.strategy.canary_service.as_deref(), self.strategy.stable_service.as_deref());
        let is_routed = self.routing().is_some();
        let canary = canary.filter(|_| !is_routed || self.canary_gets_requests());
        let stable = stable.filter(|_| !is_routed || self.stable_gets_requests());
        let named = [canary, stable].into_iter().filter_map(|name| self.service(name));
        named
            .filter(|service| service.hash.as_ref().is_none_or(|hash| *hash == set.hash))
            .collect::<Vec<_>>()
            .into_iter()
    }

    /// Whether a set's pods get the requests that are meant for the stable version.
    pub(super) fn stands_in_for_stable(&self, set: &Set) -> bool {
        let Some((_, stable)) = self.routing() else { return false };
        if set.ready > 0 && self.is_target(set, Some(stable)) {
            return true;
        }
        let selected = self.service(Some(stable)).is_some_and(|service| service.hash.as_ref() == Some(&set.hash));
        selected && set.ready > 0 && self.stable_gets_requests()
    }

    fn stable_gets_requests(&self) -> bool {
        self.state.asked < 100 || self.served() != Some(100) || self.left().is_some()
    }

    /// Whether the stable Service names a set's version: until it names another, that is the one to serve by it.
    pub(super) fn is_named_stable(&self, set: &Set) -> bool {
        let stable = self.routing().and_then(|(_, stable)| self.service(Some(stable)));
        stable.is_some_and(|service| service.hash.as_ref() == Some(&set.hash))
    }

    /// Whether requests come in by the canary's Service, or are about to.
    pub(super) fn canary_gets_requests(&self) -> bool {
        let told =
            || self.router().zip(self.asked()).map_or(0, |(router, asked)| router.told(asked.names, self.observed));
        let by_router = || self.state.asked > 0 || self.served() != Some(0) || told() > 0;
        self.left().is_some() || self.routing().is_some() && by_router() || carried::gets_requests(self)
    }

    /// The Services and Ingresses that the spec names and that are not there, each with its help.
    fn absent(&self) -> Vec<String> {
        let services = [&self.strategy.canary_service, &self.strategy.stable_service].into_iter().flatten();
        let services = services.filter(|name| !self.observed.services.contains_key(*name));
        let ingresses = self.router().into_iter().flat_map(Router::ingresses);
        let ingresses = ingresses.filter(|name| !self.observed.ingresses.contains_key(*name));
        let said = |kind: &str, name: &str| format!("{kind} {name} is not there; add it to the manifests");
        services.map(|name| said("Service", name)).chain(ingresses.map(|name| said("Ingress", name))).collect()
    }

    /// A label that a Service asks for and a version's pods have not, where it selects none of them. Those that are ready
    /// say so, where there are some: what the template lacks, admission may give them.
    fn lacked<'s>(&self, service: &'s Service, set: &Set) -> Option<(&'s String, &'s String)> {
        if self.observed.reached(service, &set.hash) > 0 {
            return None;
        }
        let any_ready = set.members.iter().any(Pod::is_ready);
        let mut pods = set.members.iter().filter(|pod| pod.counts() && (pod.is_ready() || !any_ready)).peekable();
        let first = *pods.peek()?;
        if pods.any(|pod| pod.has(&service.selector)) {
            return None;
        }
        let lacks = |(key, value): &(&String, &String)| first.carried.labels.get(*key) != Some(*value);
        service.selector.iter().filter(|(key, value)| !self.comes(service, key, value)).find(lacks)
    }

    /// Whether the pods of a version get a label once the stable Service is to lead to them: `stableMetadata` has it, and
    /// the canary's Service does not need another value of it until then.
    fn comes(&self, service: &Service, key: &str, value: &str) -> bool {
        let by = |name: &Option<String>| self.service(name.as_deref());
        let is_stable = by(&self.strategy.stable_service).is_some_and(|stable| stable.guard.uid == service.guard.uid);
        let asked = by(&self.strategy.canary_service).and_then(|canary| canary.selector.get(key));
        let given = self.strategy.stable_metadata.labels.get(key);
        is_stable && given.is_some_and(|given| given == value) && asked.is_none_or(|asked| asked == value)
    }

    /// Whether the stable Service asks for labels that the newest version's pods have, and the stable version's have not:
    /// they came with it in one commit, and nothing else can serve any more.
    pub(super) fn only_newest_fits(&self) -> bool {
        *self.only_newest_fits.get_or_init(|| self.fits_newest_alone())
    }

    fn fits_newest_alone(&self) -> bool {
        let Some((_, stable)) = self.routing() else { return false };
        let (service, sets) = (self.service(Some(stable)), self.stable().zip(self.canary()));
        service.zip(sets).is_some_and(|(service, (stable, canary))| {
            let fits = |pod: &Pod| pod.counts() && pod.has(&service.selector);
            canary.members.iter().any(fits) && self.lacked(service, stable).is_some()
        })
    }

    /// The Services whose selector asks for labels that the pods have not, each with its help: of the newest version; and
    /// the stable Service, once that was sent back, of the stable one. Without a router nothing waits for a Service.
    fn misfits(&self) -> Vec<String> {
        if self.routing().is_none() {
            return Vec::new();
        }
        let newest = self.canary().zip(self.progress.images.first());
        let serving = match self.progress.state {
            ProgressState::Aborted { .. } => self.stable().zip(self.state.stable.as_ref().map(|stable| &stable.image)),
            ProgressState::Underway | ProgressState::Promoted => newest,
        };
        let misfit = |name: Option<&str>, version: Option<(&Set, &String)>| {
            let (service, (set, image)) = self.service(name).zip(version)?;
            let (key, value) = self.lacked(service, set)?;
            let name = &service.guard.name;
            Some(format!(
                "Service {name} selects {key}={value}, which the pods of {image} do not have; \
                 give spec.template that label, or take it out of the Service's selector"
            ))
        };
        let (canary, stable) = (self.strategy.canary_service.as_deref(), self.strategy.stable_service.as_deref());
        // Nobody misses what the canary's Service selects, where no request comes by it and none will.
        let canary = canary.filter(|_| self.is_underway() || self.canary_gets_requests());
        [(canary, newest), (stable, serving)].into_iter().filter_map(|(name, version)| misfit(name, version)).collect()
    }

    /// What a first version waits for until its deadline: of a new install, a Service or an Ingress may come later than
    /// the Rollout.
    pub(super) fn awaited(&self) -> Vec<String> {
        let first = self.progress.state == ProgressState::Underway && self.progress.start == Start::First;
        if !first || self.is_overdue() {
            return Vec::new();
        }
        let absent = self.absent();
        if absent.len() == self.problems().len() { absent } else { Vec::new() }
    }

    /// What keeps the traffic from being routed, each with its help.
    pub(super) fn problems(&self) -> &[String] {
        self.problems.get_or_init(|| self.find_problems())
    }

    fn find_problems(&self) -> Vec<String> {
        let mut problems = self.absent();
        problems.extend(self.misfits());
        let router = self.router().zip(self.asked());
        problems.extend(router.into_iter().flat_map(|(router, asked)| router.problems(asked, self.observed)));
        let unread = self.unread().and(self.trouble()).filter(|(_, failure)| failure.remedy == Remedy::Person);
        problems.extend(unread.map(|(router, failure)| failure.message(router)));
        problems
    }
}
