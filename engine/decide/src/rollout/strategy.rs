//! A Rollout's spec as it stands in the cluster: read whole, or refused whole.
//!
//! What Bespin does not follow yet is refused by its name, for a strategy that
//! is half followed is worse than one that is not followed at all.

pub use super::fields::Mistake;
use super::fields::{CANARY, Fields, Mistakes};
use super::hash;
use super::metadata::{self, PodMetadata};
use super::ping_pong::{self, PingPong};
use super::replicas::{self, Bounds};
use super::router::{self, Router};
use super::selector::{read_selector, read_template};
use super::shares::{StableScale, read_delays, read_stable_scale};
use super::step::{self, Scale, Step, Traffic};
use crate::annotations::ABORT_ON;
use crate::next::Timestamp;
use crate::object::{annotation, time};
use serde_json::Value;
use std::collections::BTreeMap;

/// What a Rollout asks for.
#[derive(Clone, Debug, PartialEq)]
pub struct Strategy {
    /// Pods in all. An autoscaler writes it as it likes, so it is read anew each time.
    pub replicas: u32,
    /// The labels that select the pods.
    pub selector: BTreeMap<String, String>,
    /// The pod template, as it was written.
    pub template: Value,
    /// The template's own short name; a set that has the template may have another.
    pub template_hash: String,
    /// The images of the template's containers, init containers last.
    pub images: Vec<String>,
    /// Seconds that a pod must be ready to count as available.
    pub min_ready_seconds: u32,
    /// Old sets to keep.
    pub history: u32,
    /// Milliseconds without progress that are too many.
    pub progress_deadline_ms: u64,
    /// What happens once `progressDeadlineSeconds` is over.
    pub overdue: Overdue,
    /// Whether a person holds the steps.
    pub paused: Paused,
    /// The steps of the canary, in their order.
    pub steps: Vec<Step>,
    /// The steps' hash, as Argo computes it.
    pub steps_hash: String,
    /// How far the number of pods may stray, without traffic routing.
    pub bounds: Bounds,
    /// The Service that selects the canary.
    pub canary_service: Option<String>,
    /// The Service that selects the stable version.
    pub stable_service: Option<String>,
    /// Where those two take turns, both, and whose turn it is.
    pub ping_pong: Option<PingPong>,
    /// Whether the spec names the two Services the other way round than the traffic was shared between them.
    pub is_turned: bool,
    /// The router, when the traffic is routed.
    pub router: Option<Router>,
    /// The stable version's pods while a canary has traffic, with traffic routing.
    pub stable_scale: StableScale,
    /// What the canary's pods carry besides.
    pub canary_metadata: PodMetadata,
    /// What the stable version's pods carry besides.
    pub stable_metadata: PodMetadata,
    /// Milliseconds that a replaced version keeps its pods, with traffic routing.
    pub scale_down_delay_ms: u64,
    /// The same for a canary that was aborted; `None` keeps its pods for ever.
    pub abort_delay_ms: Option<u64>,
    /// No set has fewer pods than this, unless it has none.
    pub min_pods: u32,
    /// How many revisions back a version may be that needs no steps.
    pub rollback_window: Option<u32>,
    /// How many replaced versions may keep their pods at a time, with traffic routing.
    pub delayed: Option<u32>,
    /// The moment from before which no pod shall be, in ms since the epoch.
    pub restart_at: Option<Timestamp>,
    /// How much of the spec can be followed.
    pub reading: Reading,
    /// Which pods must fail before the canary is aborted at once.
    pub abort_on: AbortOn,
}

/// Which of a canary's pods must fail before it is aborted at once. Fewer are a matter of the progress deadline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AbortOn {
    /// All of them, each with a main container that has ended twice or whose image cannot be had.
    All,
    /// More than half of them, each with a main container that has failed.
    Majority,
    /// Any of them, with any container that does not come up.
    Any,
}

/// How much of a spec can be followed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// All of it.
    Whole,
    /// No step goes on. What is there is kept safe: an abort, the stable version's pods, traffic to ready pods.
    Safety,
    /// The same, but it is not known how many pods there shall be, or who shares the traffic: no pod is taken away.
    KeepsPods,
}

/// What happens when a canary makes no progress for too long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overdue {
    /// It is aborted. Bespin's default: a canary that hangs has failed.
    Abort,
    /// It only says so, because the spec says `progressDeadlineAbort: false`.
    Report,
}

/// Whether a person holds the steps by `spec.paused`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Paused {
    /// No person holds the steps.
    Off,
    /// Somebody set `paused` in the spec.
    Holds,
}

const ARGO_SPEC: &[&str] = &["analysis", "workloadRef"];
const ARGO_CANARY: &[&str] = &["analysis", "antiAffinity", "replicaProgressThreshold"];

/// Where a mistake leaves it unknown how many pods there shall be, or who shares the traffic.
const COUNTS: [&str; 8] = [
    "spec.replicas",
    "spec.strategy",
    "spec.strategy.canary",
    "spec.strategy.canary.canaryService",
    "spec.strategy.canary.stableService",
    "spec.strategy.canary.pingPong",
    "spec.strategy.canary.maxUnavailable",
    "spec.strategy.canary.maxSurge",
];

impl Strategy {
    /// The same, of a spec with these mistakes.
    pub(super) fn with(self, mistakes: &[Mistake]) -> Strategy {
        let routing = format!("{CANARY}.trafficRouting");
        let counts = |mistake: &Mistake| mistake.path.starts_with(&routing) || COUNTS.contains(&mistake.path.as_str());
        let reading = match mistakes {
            [] => Reading::Whole,
            some if some.iter().any(counts) => Reading::KeepsPods,
            _ => Reading::Safety,
        };
        Strategy { reading, ..self }
    }

    /// The pods that the stable version's share asks for, at a canary's weight in percent.
    pub(super) fn stable_pods(&self, weight: u32) -> u32 {
        replicas::routed(self.replicas, 100 - weight.min(100), self.min_pods)
    }

    /// The canary's pods at a step and a weight in percent, with traffic routing. What a step before it says of the
    /// number holds until another says otherwise.
    pub(super) fn routed_pods(&self, at: usize, weight: u32) -> u32 {
        let Some(passed) = self.steps.get(..=at) else { return self.replicas };
        let scale = |step: &Step| if let Step::Scale(scale) = step { Some(*scale) } else { None };
        match passed.iter().rev().find_map(scale) {
            // As Argo has it, what is written is lifted only where the stable version has a share as well.
            Some(Scale::Pods(pods)) if pods > 0 && self.stable_scale == StableScale::Dynamic => pods.max(self.min_pods),
            Some(Scale::Pods(pods)) => pods,
            Some(Scale::Share(share)) => replicas::routed(self.replicas, share, self.min_pods),
            Some(Scale::MatchWeight) | None => replicas::routed(self.replicas, weight, self.min_pods),
        }
    }
}

/// When an annotation of the Rollout says that failing pods send the canary back.
fn read_abort_on(rollout: &Value, mistakes: &mut Mistakes) -> AbortOn {
    match annotation(rollout, ABORT_ON) {
        None | Some("all") => AbortOn::All,
        Some("majority") => AbortOn::Majority,
        Some("any") => AbortOn::Any,
        Some(other) => {
            let path = format!("metadata.annotations[{ABORT_ON}]");
            mistakes.push(Mistake::new(
                &path,
                &format!("`{other}` is none of all, majority, any"),
                "write one of them",
            ));
            AbortOn::All
        }
    }
}

fn read_window(fields: &mut Fields, mistakes: &mut Mistakes) -> Option<u32> {
    let mut fields = Fields::of(fields.take("rollbackWindow")?, "spec.rollbackWindow", mistakes)?;
    let revisions = fields.number("revisions", 0..=u32::MAX, mistakes);
    fields.refuse(&[], mistakes);
    revisions
}

fn read_restart(fields: &mut Fields, mistakes: &mut Mistakes) -> Option<Timestamp> {
    let value = fields.take("restartAt")?;
    let at = time(value);
    if at.is_none() {
        let path = fields.path_of("restartAt");
        mistakes.push(Mistake::new(&path, &format!("`{value}` is no moment"), "write one as 2026-01-01T00:00:00Z"));
    }
    at
}

/// A pod that needs longer to be available than there is time would send every version back; Argo refuses it, too.
fn check_deadline(deadline: u32, min_ready_seconds: u32, mistakes: &mut Mistakes) {
    if deadline <= min_ready_seconds {
        let said = format!("is not longer than spec.minReadySeconds, which is {min_ready_seconds}");
        mistakes.push(Mistake::new("spec.progressDeadlineSeconds", &said, "write a longer time"));
    }
}

fn read_overdue(fields: &mut Fields, mistakes: &mut Mistakes) -> Overdue {
    match fields.flag("progressDeadlineAbort", mistakes) {
        Some(false) => Overdue::Report,
        Some(true) | None => Overdue::Abort,
    }
}

/// Reads what can be read, noting each mistake.
pub(super) fn read(rollout: &Value, mistakes: &mut Mistakes) -> Option<Strategy> {
    let abort_on = read_abort_on(rollout, mistakes);
    let mut fields = Fields::of(&rollout["spec"], "spec", mistakes)?;
    let replicas = fields.number("replicas", 0..=u32::MAX, mistakes).unwrap_or(1);
    let min_ready_seconds = fields.number("minReadySeconds", 0..=u32::MAX, mistakes).unwrap_or(0);
    let history = fields.number("revisionHistoryLimit", 0..=u32::MAX, mistakes).unwrap_or(10);
    let deadline = fields.number("progressDeadlineSeconds", 1..=u32::MAX, mistakes).unwrap_or(600);
    check_deadline(deadline, min_ready_seconds, mistakes);
    let overdue = read_overdue(&mut fields, mistakes);
    let paused = if fields.flag("paused", mistakes) == Some(true) { Paused::Holds } else { Paused::Off };
    let selector = read_selector(fields.take("selector"), mistakes);
    let template = fields.take("template").cloned();
    let images = read_template(template.as_ref(), &selector, mistakes);
    let rollback_window = read_window(&mut fields, mistakes);
    let restart_at = read_restart(&mut fields, mistakes);
    let strategy = fields.take("strategy");
    fields.refuse(ARGO_SPEC, mistakes);
    let empty = Value::Object(serde_json::Map::new());
    let canary = read_strategy(strategy, mistakes).filter(|canary| is_object(canary, CANARY, mistakes));
    let mut canary = Fields::of(canary.unwrap_or(&empty), CANARY, mistakes)?;

    let router = canary.take("trafficRouting").and_then(|routing| router::read(routing, mistakes));
    let services = ping_pong::read(&mut canary, router.as_ref(), mistakes);
    let (steps, steps_hash) = read_steps(&mut canary, router.as_ref(), mistakes);
    let bounds = read_bounds(&mut canary, replicas, mistakes);
    let stable_scale = read_stable_scale(&mut canary, router.as_ref(), mistakes);
    let (scale_down_delay_ms, abort_delay_ms) = read_delays(&mut canary, stable_scale, mistakes);
    let delayed = canary.number("scaleDownDelayRevisionLimit", 0..=u32::MAX, mistakes);
    let min_pods = canary.number("minPodsPerReplicaSet", 0..=u32::MAX, mistakes).unwrap_or(0);
    let (canary_metadata, stable_metadata) = metadata::read(&mut canary, &selector, mistakes);
    canary.refuse(ARGO_CANARY, mistakes);

    Some(Strategy {
        replicas,
        selector,
        template_hash: hash::template(template.as_ref().unwrap_or(&Value::Null)),
        template: template.unwrap_or_default(),
        images,
        min_ready_seconds,
        history,
        progress_deadline_ms: u64::from(deadline) * 1000,
        overdue,
        paused,
        steps,
        steps_hash,
        bounds,
        canary_service: services.canary,
        stable_service: services.stable,
        ping_pong: services.ping_pong,
        is_turned: false,
        router,
        stable_scale,
        canary_metadata,
        stable_metadata,
        scale_down_delay_ms,
        abort_delay_ms,
        min_pods,
        rollback_window,
        delayed,
        restart_at,
        reading: Reading::Whole,
        abort_on,
    })
}

/// The steps, and their hash as Argo computes it.
fn read_steps(canary: &mut Fields, router: Option<&Router>, mistakes: &mut Mistakes) -> (Vec<Step>, String) {
    let traffic = if router.is_some() { Traffic::Routed } else { Traffic::ByPods };
    let raw = canary.take("steps");
    (step::read(raw, &format!("{CANARY}.steps"), traffic, mistakes), step::hash_of(raw))
}

fn is_object(value: &Value, path: &str, mistakes: &mut Mistakes) -> bool {
    Fields::of(value, path, mistakes).is_some()
}

fn read_strategy<'a>(strategy: Option<&'a Value>, mistakes: &mut Mistakes) -> Option<&'a Value> {
    let mut fields = strategy.and_then(|strategy| Fields::of(strategy, "spec.strategy", mistakes));
    let canary = fields.as_mut().and_then(|fields| fields.take("canary"));
    if let Some(fields) = fields {
        fields.refuse(&["blueGreen"], mistakes);
    }
    if canary.is_none() {
        mistakes.push(Mistake::new(
            "spec.strategy.canary",
            "is missing",
            "write a canary strategy, if only with steps: []",
        ));
    }
    canary
}

fn read_bounds(canary: &mut Fields, replicas: u32, mistakes: &mut Mistakes) -> Bounds {
    let mut share = |key: &str, round: fn(u64) -> u64| {
        let path = canary.path_of(key);
        let Some(value) = canary.take(key) else { return round(u64::from(replicas) * 25) };
        let percent = |text: &str| text.strip_suffix('%').and_then(|number| number.parse::<u64>().ok());
        match (value.as_u64(), value.as_str().and_then(percent)) {
            (Some(pods), _) => pods,
            (None, Some(percent)) => round(u64::from(replicas).saturating_mul(percent)),
            (None, None) => {
                mistakes.push(Mistake::new(
                    &path,
                    &format!("`{value}` is no number of pods"),
                    "write such as 1 or 25%",
                ));
                0
            }
        }
    };
    let surge = share("maxSurge", |hundredths| hundredths.div_ceil(100));
    let unavailable = share("maxUnavailable", |hundredths| hundredths / 100);
    // With neither, nothing could ever move: Kubernetes lets one pod be missing then.
    let unavailable = if surge == 0 && unavailable == 0 { 1 } else { unavailable };
    let pods = |number: u64| u32::try_from(number).unwrap_or(u32::MAX);
    Bounds { surge: pods(surge), unavailable: pods(unavailable) }
}
