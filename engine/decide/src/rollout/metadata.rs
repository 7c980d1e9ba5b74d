//! `canaryMetadata` and `stableMetadata`: labels and annotations that pods carry for as long as their version has that
//! part.
//!
//! As Argo's `rollout/ephemeralmetadata.go` has it, the template of the set and the pods that are there are patched, so
//! that no pod is made anew, and an annotation of the set says what was put on both. Ours are: the annotation is written
//! before the pods are touched, and names what is taken away until no pod has it, so that nothing is forgotten on one;
//! what the template itself says of a key comes back; and no Service loses a pod by it.

use super::act::{Act, Marked};
use super::context::Context;
use super::fields::{CANARY, Fields, Mistake, Mistakes};
use super::hash::HASH;
use super::observed::{CaughtUp, Set};
use super::pods::texts;
use crate::annotations::OVERWRITTEN;
use crate::next::Timestamp;
use crate::object::annotation;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The annotation of a set that says what was put on its template and its pods, as Argo writes it.
pub const EPHEMERAL: &str = "rollout.argoproj.io/ephemeral-metadata";

/// How many objects are patched in one turn: what traffic and scaling need next waits no longer than for these.
const AT_ONCE: usize = 20;

/// Labels and annotations of pods.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PodMetadata {
    /// The labels, by their keys.
    pub labels: BTreeMap<String, String>,
    /// The annotations, by their keys.
    pub annotations: BTreeMap<String, String>,
}

/// What a set's template says of its pods' metadata.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SetMetadata {
    /// What it says by now.
    carried: PodMetadata,
    /// What was put on it for the part of its version, or is being taken off its pods.
    put: PodMetadata,
    /// What it says by itself.
    own: PodMetadata,
    /// What it says by itself of the keys that were put on it, as the set's annotation has it.
    overwritten: PodMetadata,
    /// The labels by which the set selects its pods.
    selector: BTreeMap<String, String>,
}

/// What is changed of labels or annotations; null removes one.
type Changes = BTreeMap<String, Value>;

impl PodMetadata {
    /// What stands in an object's `metadata`, or in one of the set's annotations.
    pub(super) fn of(metadata: &Value) -> PodMetadata {
        PodMetadata { labels: texts(metadata.get("labels")), annotations: texts(metadata.get("annotations")) }
    }

    fn written_in(set: &Value, key: &str) -> PodMetadata {
        let said = annotation(set, key).and_then(|text| serde_json::from_str(text).ok());
        PodMetadata::of(&said.unwrap_or_default())
    }

    fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.annotations.is_empty()
    }

    /// As Argo writes it, without what is empty; null where nothing is left, which removes the annotation.
    fn text(&self) -> Value {
        let mut said = json!({});
        for (key, map) in [("labels", &self.labels), ("annotations", &self.annotations)] {
            if !map.is_empty() {
                said[key] = json!(map);
            }
        }
        if self.is_empty() { Value::Null } else { said.to_string().into() }
    }

    /// This with what another has besides.
    fn with(&self, other: &PodMetadata) -> PodMetadata {
        let mut both = other.clone();
        both.labels.extend(self.labels.clone());
        both.annotations.extend(self.annotations.clone());
        both
    }

    /// The part of it whose keys another has as well.
    fn within(&self, other: &PodMetadata) -> PodMetadata {
        let mut part = self.clone();
        part.labels.retain(|key, _| other.labels.contains_key(key));
        part.annotations.retain(|key, _| other.annotations.contains_key(key));
        part
    }

    /// Writes it into an object's `metadata`.
    fn write(&self, metadata: &mut Value) {
        for (name, map) in [("labels", &self.labels), ("annotations", &self.annotations)] {
            for (key, value) in map {
                metadata[name][key.as_str()] = json!(value);
            }
        }
    }
}

impl SetMetadata {
    /// What a set says, and its template as it would be without what was put on it.
    pub(super) fn read(set: &Value) -> (SetMetadata, Value) {
        let put = PodMetadata::written_in(set, EPHEMERAL);
        let overwritten = PodMetadata::written_in(set, OVERWRITTEN);
        let mut template = set["spec"]["template"].clone();
        let carried = PodMetadata::of(&template["metadata"]);
        for (name, map) in [("labels", &put.labels), ("annotations", &put.annotations)] {
            let all = template.pointer_mut(&format!("/metadata/{name}")).and_then(Value::as_object_mut);
            all.into_iter().for_each(|all| all.retain(|key, _| !map.contains_key(key)));
        }
        overwritten.within(&put).write(&mut template["metadata"]);
        let own = PodMetadata::of(&template["metadata"]);
        let selector = texts(set.pointer("/spec/selector/matchLabels"));
        (SetMetadata { carried, put, own, overwritten, selector }, template)
    }

    /// What has to change of an object that carries so much: all that is wanted is there, and nothing else that was put
    /// on it. What the template says by itself is there again.
    fn changes(&self, wanted: &PodMetadata, carried: &PodMetadata) -> (Changes, Changes) {
        let own = &self.own;
        (
            changes(&wanted.labels, &carried.labels, &self.put.labels, &own.labels),
            changes(&wanted.annotations, &carried.annotations, &self.put.annotations, &own.annotations),
        )
    }
}

fn changes(
    wanted: &BTreeMap<String, String>,
    carried: &BTreeMap<String, String>,
    put: &BTreeMap<String, String>,
    own: &BTreeMap<String, String>,
) -> Changes {
    let stale = put.keys().filter(|key| !wanted.contains_key(*key)).map(|key| (key, own.get(key)));
    let all = wanted.iter().map(|(key, value)| (key, Some(value))).chain(stale);
    let differs = all.filter(|(key, value)| carried.get(*key) != *value);
    differs.map(|(key, value)| (key.clone(), json!(value))).collect()
}

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
    let allowed = |carried: &PodMetadata, (labels, annotations): &(Changes, Changes)| {
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

fn some((labels, annotations): &(Changes, Changes)) -> bool {
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

/// Reads both. What selects the pods can be none of them.
pub(super) fn read(
    canary: &mut Fields,
    selector: &BTreeMap<String, String>,
    mistakes: &mut Mistakes,
) -> (PodMetadata, PodMetadata) {
    let canarys = read_one(canary, "canaryMetadata", selector, mistakes);
    (canarys, read_one(canary, "stableMetadata", selector, mistakes))
}

fn read_one(
    canary: &mut Fields,
    name: &str,
    selector: &BTreeMap<String, String>,
    mistakes: &mut Mistakes,
) -> PodMetadata {
    let path = format!("{CANARY}.{name}");
    let metadata = canary.take(name).and_then(|metadata| Fields::of(metadata, &path, mistakes));
    let Some(mut fields) = metadata else { return PodMetadata::default() };
    let labels = read_texts(&mut fields, "labels", mistakes);
    let annotations = read_texts(&mut fields, "annotations", mistakes);
    fields.refuse(&[], mistakes);
    let selects = |(key, value): &(&String, &String)| {
        *key == HASH || selector.get(*key).is_some_and(|selected| selected != *value)
    };
    for (key, _) in labels.iter().filter(selects) {
        let help = "take another key: with this one the pods would belong to no ReplicaSet any more";
        mistakes.push(Mistake::new(&format!("{path}.labels.{key}"), "is a label that selects the pods", help));
    }
    PodMetadata { labels, annotations }
}

fn read_texts(fields: &mut Fields, key: &str, mistakes: &mut Mistakes) -> BTreeMap<String, String> {
    let map = fields.take(key);
    let texts = texts(map);
    if map.is_some_and(|map| map.as_object().is_none_or(|all| all.len() != texts.len())) {
        mistakes.push(Mistake::new(&fields.path_of(key), "is no map of texts", "write each value in quotes"));
    }
    texts
}
