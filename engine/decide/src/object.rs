//! How Kubernetes objects are named and read, which are JSON here.

use crate::next::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::fmt;

/// Which object: as Kubernetes tells them apart, the version left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Id {
    /// API group, empty for the core group.
    pub group: String,
    /// The object's kind, such as `Deployment`.
    pub kind: String,
    /// Namespace, empty for cluster-scoped kinds.
    pub namespace: String,
    /// The object's `metadata.name`, within its namespace.
    pub name: String,
}

impl fmt::Display for Id {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.namespace.as_str() {
            "" => write!(f, "{}/{}", self.kind, self.name),
            namespace => write!(f, "{}/{} in {namespace}", self.kind, self.name),
        }
    }
}

impl Id {
    /// The id of an object.
    pub fn of(object: &Value) -> Id {
        let (group, _) = group_version(api_version(object));
        Id {
            group: group.to_owned(),
            kind: kind(object).to_owned(),
            namespace: namespace(object).to_owned(),
            name: name(object).to_owned(),
        }
    }
}

/// An object as it was read: which one it is, and the version that a write may rest on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectRef {
    /// The group and version, such as `apps/v1`.
    pub api_version: String,
    /// The object's kind, such as `Deployment`.
    pub kind: String,
    /// Namespace, empty for cluster-scoped kinds.
    pub namespace: String,
    /// The object's `metadata.name`, within its namespace.
    pub name: String,
    /// The uid that it was read with: another object of that name is not meant.
    pub uid: String,
    /// The resourceVersion that it was read with.
    pub resource_version: String,
}

impl ObjectRef {
    /// The object that was read.
    pub fn of(object: &Value) -> ObjectRef {
        ObjectRef {
            api_version: api_version(object).to_owned(),
            kind: kind(object).to_owned(),
            namespace: namespace(object).to_owned(),
            name: name(object).to_owned(),
            uid: uid(object).to_owned(),
            resource_version: resource_version(object).to_owned(),
        }
    }
}

/// Splits `apps/v1` into group and version; the core group is empty.
pub fn group_version(api_version: &str) -> (&str, &str) {
    api_version.split_once('/').unwrap_or(("", api_version))
}

/// The object's `apiVersion`; empty where it has none.
pub fn api_version(object: &Value) -> &str {
    object["apiVersion"].as_str().unwrap_or_default()
}

/// The object's `kind`; empty where it has none.
pub fn kind(object: &Value) -> &str {
    object["kind"].as_str().unwrap_or_default()
}

/// The object's `metadata.name`; empty where it has none.
pub fn name(object: &Value) -> &str {
    object["metadata"]["name"].as_str().unwrap_or_default()
}

/// The object's `metadata.namespace`; empty where it has none, as for what belongs to the cluster.
pub fn namespace(object: &Value) -> &str {
    object["metadata"]["namespace"].as_str().unwrap_or_default()
}

/// The object's `metadata.uid`; empty where it has none.
pub fn uid(object: &Value) -> &str {
    object["metadata"]["uid"].as_str().unwrap_or_default()
}

/// The object's `metadata.resourceVersion`; empty where it has none.
pub fn resource_version(object: &Value) -> &str {
    object["metadata"]["resourceVersion"].as_str().unwrap_or_default()
}

/// The value of an annotation, if the object has it as text.
pub fn annotation<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object["metadata"]["annotations"][key].as_str()
}

/// The value of a label, if the object has it as text.
pub fn label<'a>(object: &'a Value, key: &str) -> Option<&'a str> {
    object["metadata"]["labels"][key].as_str()
}

/// Whether the object is being deleted.
pub fn is_going(object: &Value) -> bool {
    object["metadata"]["deletionTimestamp"].is_string()
}

/// Whether a comma-separated annotation holds an option, such as `Prune=false`.
pub fn has_option(object: &Value, key: &str, option: &str) -> bool {
    annotation(object, key).is_some_and(|options| options.split(',').any(|one| one.trim() == option))
}

/// Sets a text below `metadata`, in `annotations` or `labels`.
pub fn set_meta(object: &mut Value, below: &str, key: &str, value: &str) {
    if let Some(map) = map_at(object, &["metadata", below]) {
        map.insert(key.to_owned(), value.into());
    }
}

/// The map at a path, made where it is missing. `None` where something else stands there.
pub fn map_at<'a>(object: &'a mut Value, path: &[&str]) -> Option<&'a mut Map<String, Value>> {
    let mut map = object.as_object_mut()?;
    for key in path {
        let next = map.entry(*key).or_insert_with(|| Value::Object(Map::new()));
        if next.is_null() {
            *next = Value::Object(Map::new());
        }
        map = next.as_object_mut()?;
    }
    Some(map)
}

/// Removes what stands at a path of keys, and answers it.
pub fn remove(object: &mut Value, path: &[&str]) -> Option<Value> {
    let (last, above) = path.split_last()?;
    let mut value = object;
    for key in above {
        value = value.get_mut(*key)?;
    }
    value.as_object_mut()?.shift_remove(*last)
}

/// An integer at a path of keys.
pub fn int_at(object: &Value, path: &[&str]) -> Option<i64> {
    path.iter().try_fold(object, |value, key| value.get(*key))?.as_i64()
}

/// Whether a group belongs to Kubernetes itself: there, lists merge by key and
/// empty values are left out of answers.
pub fn is_built_in(group: &str) -> bool {
    !group.contains('.') || group.ends_with(".k8s.io") && !group.contains(".x-k8s.io")
}

/// A text at a JSON pointer; empty where there is none.
pub fn text(object: &Value, pointer: &str) -> String {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
}

/// A whole number at a JSON pointer.
pub fn number(object: &Value, pointer: &str) -> Option<u32> {
    object.pointer(pointer).and_then(Value::as_u64).and_then(|number| u32::try_from(number).ok())
}

/// The images of a pod template, init containers last.
pub fn images_of(template: &Value) -> Vec<String> {
    let of = |kind: &str| {
        let containers = template["spec"][kind].as_array().cloned().unwrap_or_default();
        containers.into_iter().filter_map(|container| container["image"].as_str().map(str::to_owned))
    };
    of("containers").chain(of("initContainers")).collect()
}

/// The name of an item of a list, such as a container's.
pub fn name_of(item: &Value) -> &str {
    item["name"].as_str().unwrap_or_default()
}

/// Reads a time as Kubernetes writes it, in ms since the epoch.
pub fn time(value: &Value) -> Option<Timestamp> {
    let moment: jiff::Timestamp = value.as_str()?.parse().ok()?;
    u64::try_from(moment.as_millisecond()).ok()
}

/// Writes a time as Kubernetes does, by the second.
pub fn write_time(at: Timestamp) -> String {
    let seconds = i64::try_from(at / 1000).unwrap_or(i64::MAX);
    jiff::Timestamp::from_second(seconds).map(|moment| moment.to_string()).unwrap_or_default()
}

/// The conditions of an object's status.
pub(crate) fn conditions(object: &Value) -> impl Iterator<Item = &Value> {
    object["status"]["conditions"].as_array().into_iter().flatten()
}

/// A map of texts, as labels and selectors are.
pub(crate) fn texts(map: Option<&Value>) -> BTreeMap<String, String> {
    let all = map.and_then(Value::as_object).into_iter().flatten();
    all.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect()
}
