//! `canaryMetadata` and `stableMetadata` are put on what is there, and taken off it.
//!
//! As Argo's `rollout/ephemeralmetadata.go` has it, the template of the set and the pods that are there are patched, so
//! that no pod is made anew, and an annotation of the set says what was put on both. Ours are: the annotation is written
//! before the pods are touched, and names what is taken away until no pod has it, so that nothing is forgotten on one;
//! what the template itself says of a key comes back; and no Service loses a pod by it.

use super::act::{Act, Marked};
use super::context::Context;
use super::metadata::{EPHEMERAL, MetadataChanges, PodMetadata};
use super::observed::{CaughtUp, Set};
use crate::annotations::OVERWRITTEN;
use crate::next::Timestamp;
use serde_json::Value;
use std::collections::BTreeMap;

/// How many objects are patched in one turn: what traffic and scaling need next waits no longer than for these.
const AT_ONCE: usize = 20;

/// What pods of a version carry while it has its part: the canary's, or the stable one's; those of older ones nothing.
fn wanted(context: &Context, hash: &str) -> PodMetadata {
    match hash {
        hash if hash == context.stable_hash() => context.strategy.stable_metadata.clone(),
        hash if hash == context.progress.hash => context.strategy.canary_metadata.clone(),
        _ => PodMetadata::default(),
    }
}

/// Puts on the manifest of the newest version's set what its pods are to carry from the first one on.
pub(super) fn put_on(context: &Context, manifest: &mut Value) {
    let wanted = wanted(context, &context.progress.hash);
    if wanted.is_empty() {
        return;
    }
    let own = PodMetadata::of(&manifest["spec"]["template"]["metadata"]).within(&wanted);
    wanted.write(&mut manifest["spec"]["template"]["metadata"]);
    manifest["metadata"]["annotations"][EPHEMERAL] = wanted.text();
    if !own.is_empty() {
        manifest["metadata"]["annotations"][OVERWRITTEN] = own.text();
    }
}

/// What the sets and their pods have to be told, and when to look again. Where it was refused, that holds nothing else
/// up, and is tried again later.
pub(super) fn mark(context: &Context) -> (Vec<Act>, Option<Timestamp>) {
    let acts: Vec<Act> = marks(context).take(AT_ONCE).collect();
    match context.observed.unmarked.as_ref().map(|refused| refused.again).filter(|again| context.now < *again) {
        Some(again) if !acts.is_empty() => (Vec::new(), Some(again)),
        _ => (acts, None),
    }
}

/// Why pods do not carry what they are to carry, where that was refused.
pub(super) fn text(context: &Context) -> Option<String> {
    let refused = context.observed.unmarked.as_ref()?;
    marks(context).next()?;
    Some(format!("labels and annotations of canaryMetadata and stableMetadata cannot be written: {}", refused.because))
}

fn marks<'a>(context: &'a Context<'a>) -> impl Iterator<Item = Act> + 'a {
    let ours = context.observed.sets.iter().filter(|set| set.orphan.is_none());
    ours.flat_map(|set| mark_set(context, set))
}

/// The set comes first, with what it says was put on it: a pod that it makes meanwhile is right, and whatever happens,
/// nothing is on a pod that no annotation tells of.
fn mark_set(context: &Context, set: &Set) -> Vec<Act> {
    let (wanted, known) = (wanted(context, &set.hash), &set.metadata);
    if wanted.is_empty() && known.put.is_empty() && known.overwritten.is_empty() {
        return Vec::new();
    }
    let allowed = |carried: &PodMetadata, (labels, annotations): &(MetadataChanges, MetadataChanges)| {
        let mut labels = labels.clone();
        labels.retain(|key, value| !is_needed(context, set, carried, key, value.as_str()));
        (labels, annotations.clone())
    };
    let template = known.changes(&wanted, &known.carried);
    let pods = set.members.iter().filter(|pod| pod.counts());
    let pods: Vec<_> =
        pods.map(|pod| (pod, known.changes(&wanted, &pod.carried))).filter(|(_, all)| some(all)).collect();
    // Until its controller has seen the template, it may make pods by the one before it.
    let is_settled = !some(&template) && pods.is_empty() && set.caught_up == CaughtUp::Yes;
    let put = if is_settled { wanted } else { wanted.with(&known.put) };
    let overwritten = known.own.within(&put);
    let template = allowed(&known.carried, &template);
    if some(&template) || put != known.put || overwritten != known.overwritten {
        let marked = Marked::Set { put: put.text(), overwritten: overwritten.text() };
        let (labels, annotations) = template;
        return vec![Act::Mark { object: set.guard.clone(), marked, labels, annotations }];
    }
    let pods = pods.into_iter().map(|(pod, all)| (pod, allowed(&pod.carried, &all))).filter(|(_, all)| some(all));
    let mark = |(labels, annotations), object| Act::Mark { object, marked: Marked::Pod, labels, annotations };
    pods.map(|(pod, all)| mark(all, pod.guard.clone())).collect()
}

fn some((labels, annotations): &(MetadataChanges, MetadataChanges)) -> bool {
    !labels.is_empty() || !annotations.is_empty()
}

/// Whether a label stays as it is: the set selects its pods by it, or a Service that brings them requests does.
fn is_needed(context: &Context, set: &Set, carried: &PodMetadata, key: &str, value: Option<&str>) -> bool {
    let has = carried.labels.get(key);
    let asks = |selector: &BTreeMap<String, String>| {
        selector.get(key).is_some_and(|asked| has == Some(asked) && value != Some(asked.as_str()))
    };
    asks(&set.metadata.selector) || context.leading_to(set).any(|service| asks(&service.selector))
}
