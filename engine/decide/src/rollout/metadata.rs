//! `canaryMetadata` and `stableMetadata`: labels and annotations that pods carry for as long as their version has that
//! part, as the spec, a set and a pod have them.

use super::fields::{CANARY, Fields, Mistake, Mistakes};
use super::hash::HASH;
use crate::annotations::OVERWRITTEN;
use crate::object::{annotation, texts};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The annotation of a set that says what was put on its template and its pods, as Argo writes it.
pub const EPHEMERAL: &str = "rollout.argoproj.io/ephemeral-metadata";

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
    pub(super) carried: PodMetadata,
    /// What was put on it for the part of its version, or is being taken off its pods.
    pub(super) put: PodMetadata,
    /// What it says by itself.
    pub(super) own: PodMetadata,
    /// What it says by itself of the keys that were put on it, as the set's annotation has it.
    pub(super) overwritten: PodMetadata,
    /// The labels by which the set selects its pods.
    pub(super) selector: BTreeMap<String, String>,
}

/// What is changed of labels or annotations; null removes one.
pub(super) type MetadataChanges = BTreeMap<String, Value>;

impl PodMetadata {
    /// What stands in an object's `metadata`, or in one of the set's annotations.
    pub(super) fn of(metadata: &Value) -> PodMetadata {
        PodMetadata { labels: texts(metadata.get("labels")), annotations: texts(metadata.get("annotations")) }
    }

    fn written_in(set: &Value, key: &str) -> PodMetadata {
        let said = annotation(set, key).and_then(|text| serde_json::from_str(text).ok());
        PodMetadata::of(&said.unwrap_or_default())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.labels.is_empty() && self.annotations.is_empty()
    }

    /// As Argo writes it, without what is empty; null where nothing is left, which removes the annotation.
    pub(super) fn text(&self) -> Value {
        let mut said = json!({});
        for (key, map) in [("labels", &self.labels), ("annotations", &self.annotations)] {
            if !map.is_empty() {
                said[key] = json!(map);
            }
        }
        if self.is_empty() { Value::Null } else { said.to_string().into() }
    }

    /// This with what another has besides.
    pub(super) fn with(&self, other: &PodMetadata) -> PodMetadata {
        let mut both = other.clone();
        both.labels.extend(self.labels.clone());
        both.annotations.extend(self.annotations.clone());
        both
    }

    /// The part of it whose keys another has as well.
    pub(super) fn within(&self, other: &PodMetadata) -> PodMetadata {
        let mut part = self.clone();
        part.labels.retain(|key, _| other.labels.contains_key(key));
        part.annotations.retain(|key, _| other.annotations.contains_key(key));
        part
    }

    /// Writes it into an object's `metadata`.
    pub(super) fn write(&self, metadata: &mut Value) {
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
    pub(super) fn changes(&self, wanted: &PodMetadata, carried: &PodMetadata) -> (MetadataChanges, MetadataChanges) {
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
) -> MetadataChanges {
    let stale = put.keys().filter(|key| !wanted.contains_key(*key)).map(|key| (key, own.get(key)));
    let all = wanted.iter().map(|(key, value)| (key, Some(value))).chain(stale);
    let differs = all.filter(|(key, value)| carried.get(*key) != *value);
    differs.map(|(key, value)| (key.clone(), json!(value))).collect()
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
