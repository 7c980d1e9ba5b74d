//! A sync from its start to its end: namespaces, then wave by wave, what is
//! pruned before what is applied, one kind after the other.

use super::application::SelfHeal;
use super::decide::Act;
use super::entry::Entry;
use super::intent::{Cause, Outcome};
use super::object::Id;
use super::outcomes;
use super::plan::{ExtraItem, Item, Plan, Prerequisite};
use super::prune;
use super::tracking::PruneDecision;
use super::{Context, Decision, Ended, Operation, Refused, State, TakenObject};
use crate::health::Status;
use crate::next::{Next, Timestamp, Wake};
use crate::retry::LONGEST_MS;
use serde_json::Value;
use std::collections::BTreeSet;

/// The first wait before healing again, in ms; three times as long each time.
/// Source: argo-cd controller flags (self-heal backoff 2 s, factor 3, cap 300 s).
const HEAL_FIRST: u64 = 2_000;
/// The longest wait before healing again, in ms.
const HEAL_LONGEST: u64 = 300_000;

/// For how long an object is applied that does not stay as it was sent, in ms.
const RESISTS: u64 = 30_000;

/// Goes on with the sync that is under way.
pub(super) fn go_on(state: &State, context: &Context, now: Timestamp) -> Option<Decision> {
    let operation = state.operation.as_ref()?;
    let plan = context.plan.as_ref().ok()?;
    Some(
        moved_on(operation, context)
            .or_else(|| refused(operation, context, plan))
            .or_else(|| awaited(operation, plan, now))
            .or_else(|| namespace(plan))
            .or_else(|| rehearsal(state, operation, context, plan))
            .or_else(|| prerequisites(plan))
            .or_else(|| waves(operation, context, plan, now))
            .unwrap_or_else(|| {
                end(operation, Outcome::Succeeded, format!("everything is applied at {}", context.head.short()))
            }),
    )
}

/// Git went on in the middle: this sync ends, and the next one starts from what is there.
fn moved_on(operation: &Operation, context: &Context) -> Option<Decision> {
    if operation.revision == context.head && operation.parameters == context.application.parameters {
        return None;
    }
    let because = format!("git moved on to {}", context.head.short());
    Some(end(operation, Outcome::Superseded { by: context.head.clone() }, because))
}

fn refused(operation: &Operation, context: &Context, plan: &Plan) -> Option<Decision> {
    let answer = || {
        let is_sent =
            |sent: &String| plan.items.iter().any(|item| item.is_pending() && outcomes::sent(&item.sent) == *sent);
        let counts =
            |refused: &&Refused| refused.at >= operation.since && refused.object.sent.as_ref().is_none_or(is_sent);
        context.refused.iter().find(counts).map(|refused| refused.object.because.clone())
    };
    let because = plan.blocks.first().cloned().or_else(answer)?;
    Some(end(operation, Outcome::Failed { because: because.clone() }, because))
}

/// A CRD is installed by others, and a namespace that is going ends: nothing is applied before they are there. Whoever
/// waits ends it by a timeout.
fn awaited(operation: &Operation, plan: &Plan, now: Timestamp) -> Option<Decision> {
    let first = plan.awaited.first()?;
    Some(Next::waiting(Wake::At(now + paced(now.saturating_sub(operation.since))), format!("waiting: {first}")))
}

/// The pause before the next look, in ms, after so many of waiting: they double from two seconds on.
fn paced(waited: u64) -> u64 {
    waited.clamp(2_000, LONGEST_MS)
}

fn end(operation: &Operation, outcome: Outcome, because: String) -> Decision {
    let Operation { revision, parameters, .. } = operation.clone();
    Next { record: vec![Entry::Synced { revision, parameters, outcome }], ..Next::progressing(Wake::Now, because) }
}

fn namespace(plan: &Plan) -> Option<Decision> {
    let namespace = plan.namespace.clone()?;
    let because = format!("creating the namespace {namespace}");
    Some(Next { acts: vec![Act::CreateNamespace(namespace)], ..Next::progressing(Wake::Now, because) })
}

/// Ownership moves before anything is applied: dropping a field that nobody else owns would reset it.
pub(super) fn prerequisites(plan: &Plan) -> Option<Decision> {
    let adopt = |item: &Item| match (&item.prerequisite, &item.live) {
        (Prerequisite::Adopt(managed), Some(live)) => Some(Act::Adopt { live: live.clone(), managed: managed.clone() }),
        _ => None,
    };
    let hand_over = |item: &Item| match &item.prerequisite {
        Prerequisite::HandOver(object) => Some((item.id.to_string(), Act::HandOver(object.clone()))),
        _ => None,
    };
    let adopted: Vec<Act> = plan.items.iter().filter_map(adopt).collect();
    if !adopted.is_empty() {
        let because = format!("taking over the fields of {} objects from the old manager", adopted.len());
        return Some(Next { acts: adopted, ..Next::progressing(Wake::Now, because) });
    }
    let (names, acts): (Vec<String>, Vec<Act>) = plan.items.iter().filter_map(hand_over).unzip();
    if acts.is_empty() {
        return None;
    }
    Some(Next {
        acts,
        ..Next::progressing(Wake::Now, format!("leaving the replicas of {} to the autoscaler", names.join(", ")))
    })
}

/// The lowest wave with something to do.
fn waves(operation: &Operation, context: &Context, plan: &Plan, now: Timestamp) -> Option<Decision> {
    let going = |extra: &&ExtraItem| extra.decision == PruneDecision::Going;
    let waves: BTreeSet<i64> = plan
        .items
        .iter()
        .map(|item| item.wave)
        .chain(plan.prunable().map(|extra| extra.wave))
        .chain(plan.extras.iter().filter(going).map(|extra| extra.wave))
        .collect();
    let several = waves.len() > 1;
    let last = waves.last().copied();
    for wave in waves {
        let pruned: Vec<&ExtraItem> = plan.prunable().filter(|extra| extra.wave == wave).collect();
        let items: Vec<&Item> = plan.items.iter().filter(|item| item.wave == wave).collect();
        let pending: Vec<&&Item> = items.iter().filter(|item| item.is_out_of_sync()).collect();
        if !pruned.is_empty() || !pending.is_empty() {
            let due = |item: &&&Item| resists(operation, context, item).is_none_or(|taken| now >= again(taken));
            let due: Vec<&&Item> = pending.iter().copied().filter(due).collect();
            let stuck = pending.first().filter(|_| pruned.is_empty() && due.is_empty());
            return Some(match stuck.and_then(|item| Some((item, resists(operation, context, item)?))) {
                None => work(wave, several, &pruned, &due),
                Some((item, taken)) => stays(operation, item, taken),
            });
        }
        if let Some(extra) = plan.extras.iter().filter(going).find(|extra| extra.wave == wave) {
            return Some(Next::waiting(Wake::At(now + 2_000), format!("waiting until {} is gone", extra.id)));
        }
        // The last wave is not waited for: the sync ends with its apply.
        if several
            && Some(wave) != last
            && let Some(waiting) = unhealthy(operation, wave, &items, now)
        {
            return Some(waiting);
        }
    }
    None
}

/// The last apply of an object in this sync that succeeded, and after which it differs all the same.
fn resists<'a>(operation: &Operation, context: &'a Context, item: &Item) -> Option<&'a TakenObject> {
    let sent = outcomes::sent(&item.sent);
    context.applied.iter().find(|taken| taken.at >= operation.since && taken.sent == sent)
}

fn again(taken: &TakenObject) -> Timestamp {
    taken.at + paced(taken.at.saturating_sub(taken.since))
}

/// A server that prunes a field, or a webhook that resets it: applying once more does not help, so it is done more and
/// more slowly, and then not at all.
fn stays(operation: &Operation, item: &Item, taken: &TakenObject) -> Decision {
    let because = format!(
        "after it was applied, {}; stop what changes it, or name the field in spec.ignoreDifferences",
        item.because()
    );
    match taken.at.saturating_sub(taken.since) > RESISTS {
        true => end(operation, Outcome::Failed { because: because.clone() }, because),
        false => Next::waiting(Wake::At(again(taken)), because),
    }
}

fn work(wave: i64, several: bool, pruned: &[&ExtraItem], pending: &[&&Item]) -> Decision {
    let mut acts: Vec<Act> = pruned.iter().map(|extra| prune::act(extra)).collect();
    let mut groups: Vec<(&str, Vec<Value>)> = Vec::new();
    for item in pending {
        match groups.last_mut() {
            Some((kind, objects)) if *kind == item.id.kind => objects.push(item.sent.clone()),
            _ => groups.push((&item.id.kind, vec![item.sent.clone()])),
        }
    }
    acts.extend(groups.into_iter().map(|(_, objects)| Act::Apply(objects)));
    let place = if several { format!(" in wave {wave}") } else { String::new() };
    let first = pending.first().map(|item| item.because());
    let because = match (pruned.len(), pending.len()) {
        (0, count) => format!("applying {count} objects{place}: {}", first.unwrap_or_default()),
        (count, 0) => format!("pruning {count} objects{place}: {}", prune::names(pruned)),
        (gone, count) => format!("pruning {gone} and applying {count} objects{place}"),
    };
    Next { acts, ..Next::progressing(Wake::Now, because) }
}

/// Between waves every object with a health rule must be healthy.
fn unhealthy(operation: &Operation, wave: i64, items: &[&Item], now: Timestamp) -> Option<Decision> {
    let worst = items.iter().filter_map(|item| item.health.as_ref().map(|health| (health, &item.id)));
    let (health, id) = worst.max_by_key(|(health, _)| health.status)?;
    let because = format!("wave {wave}: {id} is {}: {}", health.status.word(), health.message);
    match health.status {
        Status::Healthy => None,
        Status::Degraded => Some(end(operation, Outcome::Failed { because: because.clone() }, because)),
        _ => Some(Next::waiting(Wake::At(now + 5_000), format!("waiting for {because}"))),
    }
}

/// Starts a sync, where there is a reason.
pub(super) fn start(state: &State, context: &Context, now: Timestamp) -> Option<Decision> {
    let plan = context.plan.as_ref().ok()?;
    let parameters = &context.application.parameters;
    let before = state.ended(&context.head, parameters);
    if state.asked.is_some() {
        return Some(begin(context, Cause::Asked, "a person asked for a sync"));
    }
    if !plan.is_pending() && plan.blocks.is_empty() && plan.awaited.is_empty() {
        return None;
    }
    if wanted_since(state, context).is_some_and(|since| before.is_none_or(|ended| ended.operation.since < since)) {
        return Some(begin(context, Cause::Wanted, "a step wants it"));
    }
    let Some(automated) = context.application.automated else {
        return Some(Next::waiting(Wake::OnChange, format!("out of sync, and not automated: {}", first(plan))));
    };
    match before {
        None => Some(begin(context, Cause::Automated, "git moved")),
        Some(Ended { outcome: Outcome::Failed { because }, .. }) => Some(Next::blocked(format!(
            "the sync of {} failed: {because}; it is tried again when git or the Application changes, or by hand",
            context.head.short()
        ))),
        Some(_) if automated.self_heal == SelfHeal::Off && drifted(plan) => {
            Some(Next::waiting(Wake::OnChange, format!("drifted, and selfHeal is off: {}", first(plan))))
        }
        Some(ended) => heal(state, context, plan, ended, now),
    }
}

/// Only ownership may have to move, which changes no value.
fn drifted(plan: &Plan) -> bool {
    plan.namespace.is_some() || plan.items.iter().any(Item::is_out_of_sync) || plan.prunable().next().is_some()
}

/// Since when the newest want waits that the head contains.
fn wanted_since(state: &State, context: &Context) -> Option<Timestamp> {
    let contained = state
        .open
        .iter()
        .filter(|want| context.standing.get(&want.intent.revision) == Some(&super::Standing::Contained));
    contained.map(|want| want.since).max()
}

fn first(plan: &Plan) -> String {
    let item = plan.items.iter().find(|item| item.is_pending()).map(Item::because);
    let extra = || plan.prunable().next().map(|extra| format!("{} left git", extra.id));
    item.or_else(extra)
        .or_else(|| plan.blocks.iter().chain(&plan.awaited).next().cloned())
        .unwrap_or_else(|| "the namespace is missing".into())
}

/// Drift is healed at once, and more slowly each time that it comes back.
fn heal(state: &State, context: &Context, plan: &Plan, ended: &Ended, now: Timestamp) -> Option<Decision> {
    if !drifted(plan) {
        return prerequisites(plan);
    }
    let healing = state.healing.filter(|healing| now < healing.last + 2 * HEAL_LONGEST);
    let attempts = healing.map_or(0, |healing| healing.attempts);
    let last = healing.map_or(ended.at, |healing| healing.last);
    let pause = HEAL_FIRST.saturating_mul(3u64.saturating_pow(attempts.saturating_sub(1))).min(HEAL_LONGEST);
    let due = if attempts == 0 { last } else { last + pause };
    if now < due {
        let because = format!("drifted again: {}; healing in {} s", first(plan), (due - now).div_ceil(1_000));
        return Some(Next::waiting(Wake::At(due), because));
    }
    Some(begin(context, Cause::Healing(attempts + 1), &format!("drifted: {}", first(plan))))
}

/// The promise; everything else follows from it.
fn begin(context: &Context, cause: Cause, why: &str) -> Decision {
    let revision = context.head.clone();
    let parameters = context.application.parameters.clone();
    let because = format!("syncing to {}: {why}", context.head.short());
    Next { record: vec![Entry::Syncing { revision, parameters, cause }], ..Next::progressing(Wake::Now, because) }
}

/// Where more than one object is new, all of them are rehearsed before the first is applied. What is not known to
/// have gone well is rehearsed again: after a restart nothing is known.
fn rehearsal(state: &State, operation: &Operation, context: &Context, plan: &Plan) -> Option<Decision> {
    let possible = |item: &&Item| item.is_out_of_sync() && plan.items.iter().all(|other| !brings(other, &item.id));
    let sent: Vec<Value> = plan.items.iter().filter(possible).map(|item| item.sent.clone()).collect();
    let is_needed = sent.len() > 1 || state.history.is_empty();
    let went_well = |object: &Value| {
        let digest = outcomes::sent(object);
        context.rehearsed.iter().any(|taken| taken.at >= operation.since && taken.sent == digest)
    };
    if !is_needed || sent.iter().all(went_well) {
        return None;
    }
    let because = format!("rehearsing {} objects", sent.len());
    Some(Next { acts: vec![Act::Rehearse(sent)], ..Next::progressing(Wake::Now, because) })
}

/// What another object of the same set brings, a kind or a namespace, cannot be rehearsed before that is there.
fn brings(other: &Item, id: &Id) -> bool {
    match other.id.kind.as_str() {
        "CustomResourceDefinition" => {
            let is_served = other.health.as_ref().is_some_and(|health| health.status == Status::Healthy);
            let spec = &other.desired["spec"];
            !is_served && spec["group"] == id.group.as_str() && spec["names"]["kind"] == id.kind.as_str()
        }
        "Namespace" => other.live.is_none() && other.id.name == id.namespace,
        _ => false,
    }
}
