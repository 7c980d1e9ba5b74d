//! A rollout as the dashboard shows it.

use api::views::{ActionView, PodView, RevisionView, RolloutView, StepView, WeightView};
use decide::next::Timestamp;
use decide::rollout::{self, Action, ObservedRollout, Owner, Set, State, Step};

/// How many ReplicaSets are shown.
const REVISIONS: usize = 10;

/// Where a rollout is: by the journal when it is ours, else by its status.
struct Position {
    stable: String,
    newest: String,
    at: usize,
    asked: u32,
}

/// Builds the view from one look.
pub(super) fn view(cluster: &str, recorded: &State, live: &ObservedRollout, now: Timestamp) -> RolloutView {
    let spec = live.spec.whole().ok();
    let position = position(recorded, live);
    let steps: Vec<StepView> = spec.iter().flat_map(|spec| &spec.steps).map(step).collect();
    let at = position.at.min(steps.len());
    let routed = spec.as_ref().is_some_and(|spec| spec.router.is_some());
    let shown = rollout::show(recorded, live, now);
    let image = |hash: &str| live.set(hash).and_then(|set| set.images.first().cloned());
    let wanted = spec.as_ref().and_then(|spec| spec.images.first().cloned()).unwrap_or_default();
    let namespace = live.rollout["metadata"]["namespace"].as_str().unwrap_or_default();
    let last = recorded.weights.len().saturating_sub(1);
    let weights = recorded.weights.iter().enumerate().map(|(at, point)| WeightView {
        at_ms: point.at,
        asked: point.asked,
        // What is asked now may be served before the journal has a reason to say so.
        served: point.served.or(live.served.filter(|served| at == last && *served == point.asked)).filter(|_| routed),
    });
    RolloutView {
        name: format!("{namespace}/{}", live.name()),
        cluster: cluster.to_owned(),
        phase: shown.phase,
        message: shown.message,
        lacking: shown.lacking,
        ownership: match live.owner {
            Owner::Ours => "owned",
            Owner::Observed => "observed",
        }
        .to_owned(),
        steps,
        at,
        asked: position.asked,
        served: live.served.filter(|_| routed),
        stable_image: image(&position.stable).unwrap_or_default(),
        canary_image: image(&position.newest).unwrap_or(wanted),
        revisions: revisions(live, &position),
        weights: weights.collect(),
        actions: shown
            .offers
            .into_iter()
            .map(|offer| ActionView {
                action: word(offer.action).to_owned(),
                label: offer.label.to_owned(),
                effect: offer.effect,
            })
            .collect(),
        paused_until_ms: shown.paused_until,
    }
}

/// An action's word, as the API takes it.
pub(super) fn word(action: Action) -> &'static str {
    match action {
        Action::Promote => "promote",
        Action::PromoteFull => "promote-full",
        Action::Abort => "abort",
        Action::Retry => "retry",
        Action::Resume => "resume",
    }
}

fn position(recorded: &State, live: &ObservedRollout) -> Position {
    let status = &live.rollout["status"];
    let text = |field: &str| status[field].as_str().unwrap_or_default().to_owned();
    match &recorded.progress {
        Some(walk) => Position {
            stable: recorded.stable.as_ref().map(|stable| stable.hash.clone()).unwrap_or_default(),
            newest: walk.hash.clone(),
            at: walk.at,
            asked: recorded.asked,
        },
        None => Position {
            stable: text("stableRS"),
            newest: text("currentPodHash"),
            at: status["currentStepIndex"].as_u64().and_then(|at| at.try_into().ok()).unwrap_or(usize::MAX),
            asked: status
                .pointer("/canary/weights/canary/weight")
                .and_then(|weight| weight.as_u64()?.try_into().ok())
                .unwrap_or(0),
        },
    }
}

/// A step as its author wrote it, for what the canary says counts them the same way.
fn step(step: &Step) -> StepView {
    let kind = match step {
        Step::Weight(_) | Step::WeightThenPause(..) => "weight",
        Step::Pause(_) => "pause",
        Step::Scale(_) => "scale",
    };
    StepView { kind: kind.to_owned(), text: step.text(), weight: step.weight() }
}

/// Newest first; sets without pods only as far as they are of interest.
fn revisions(live: &ObservedRollout, position: &Position) -> Vec<RevisionView> {
    let role = |set: &Set| match &set.hash {
        hash if *hash == position.stable => "stable",
        hash if *hash == position.newest => "canary",
        _ => "old",
    };
    let view = |set: &Set| RevisionView {
        revision: set.revision,
        role: role(set).to_owned(),
        hash: set.hash.clone(),
        image: set.images.first().cloned().unwrap_or_default(),
        wanted: set.spec,
        ready: set.ready,
        pods: set
            .members
            .iter()
            .map(|pod| PodView { name: pod.name.clone(), phase: pod.phase.clone(), ready: pod.is_ready() })
            .collect(),
    };
    let mut all: Vec<RevisionView> = live.sets.iter().map(view).collect();
    all.sort_by_key(|one| std::cmp::Reverse(one.revision));
    all.truncate(REVISIONS);
    all
}
