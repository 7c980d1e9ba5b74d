//! All objects, in memory, with one version counter and the recent history that watches read.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::ops::Bound;
use std::sync::Arc;

use serde_json::Value;

use super::kind::Kind;
use super::refusal::Refusal;

/// How many changes are remembered; a watch that starts before them is told 410.
const HISTORY: usize = 20_000;

/// Where an object is.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The API group; empty for the core group.
    pub group: String,
    /// The plural name of its kind.
    pub plural: String,
    /// The namespace; empty for what lives in none.
    pub namespace: String,
    /// The object's name, unique for its kind in its namespace.
    pub name: String,
}

impl Key {
    /// The key of a named object.
    pub fn new(kind: &Kind, namespace: &str, name: &str) -> Key {
        let namespace = if kind.namespaced() { namespace } else { "" };
        Key { group: kind.group.clone(), plural: kind.plural.clone(), namespace: namespace.into(), name: name.into() }
    }

    /// Whether it is of this kind, in any version.
    pub fn is_of(&self, kind: &Kind) -> bool {
        self.plural == kind.plural && self.group == kind.group
    }
}

/// What happened to an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// The object was created.
    Added,
    /// The object was written, and something of it differs.
    Modified,
    /// The object was removed from the store; one that waits for finalizers was only modified.
    Deleted,
}

/// A change of one object, as the history keeps it and watches are told.
#[derive(Clone, Debug)]
pub struct Event {
    /// The version that the change made.
    pub version: u64,
    /// Whether the object was created, written or removed.
    pub happened: Happened,
    /// The object that changed.
    pub key: Key,
    /// The object after it; for a deletion the last state, with the deletion's version.
    pub object: Arc<Value>,
    /// The object before it.
    pub before: Option<Arc<Value>>,
}

/// All objects of the cluster by their keys, with the latest changes and an index of owners.
#[derive(Debug)]
pub struct Store {
    objects: BTreeMap<Key, Arc<Value>>,
    version: u64,
    history: VecDeque<Event>,
    forgotten: u64,
    uids: HashMap<String, Key>,
    dependents: HashMap<String, BTreeSet<Key>>,
    next_address: u32,
}

impl Store {
    /// Takes up the objects of an earlier store, or none.
    pub fn new(version: u64, objects: Vec<(Key, Value)>) -> Store {
        let mut store = Store {
            objects: BTreeMap::new(),
            version: version.max(1),
            history: VecDeque::new(),
            forgotten: version.max(1),
            uids: HashMap::new(),
            dependents: HashMap::new(),
            next_address: 1,
        };
        for (key, object) in objects {
            store.index(&key, &object);
            store.objects.insert(key, Arc::new(object));
        }
        store
    }

    /// The resourceVersion of the newest change.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The object as it stands; `None` where there is none of this key.
    pub fn get(&self, key: &Key) -> Option<Arc<Value>> {
        self.objects.get(key).cloned()
    }

    /// Everything, for the snapshot.
    pub fn all(&self) -> impl Iterator<Item = (&Key, &Arc<Value>)> {
        self.objects.iter()
    }

    /// The objects of a kind in a namespace (empty: in all), in the order of namespace and name.
    pub fn list(&self, kind: &Kind, namespace: &str) -> Vec<(Key, Arc<Value>)> {
        let first = Key::new(kind, namespace, "");
        let inside = |key: &Key| key.is_of(kind) && (namespace.is_empty() || key.namespace == namespace);
        let range = self.objects.range((Bound::Included(first), Bound::Unbounded));
        range.take_while(|(key, _)| inside(key)).map(|(key, object)| (key.clone(), object.clone())).collect()
    }

    /// The keys of everything in a namespace.
    pub fn in_namespace(&self, namespace: &str) -> Vec<Key> {
        self.objects.keys().filter(|key| key.namespace == namespace).cloned().collect()
    }

    /// Where the object with this uid is.
    pub fn by_uid(&self, uid: &str) -> Option<&Key> {
        self.uids.get(uid)
    }

    /// The objects that name this uid as an owner.
    pub fn dependents(&self, uid: &str) -> Vec<Key> {
        self.dependents.get(uid).into_iter().flatten().cloned().collect()
    }

    /// The changes after a version.
    ///
    /// # Errors
    /// 410 when the history does not reach that far back.
    pub fn since(&self, version: u64) -> Result<Vec<Event>, Refusal> {
        if version < self.forgotten {
            return Err(Refusal::expired(version, self.forgotten));
        }
        let start = self.history.partition_point(|event| event.version <= version);
        Ok(self.history.range(start..).cloned().collect())
    }

    /// Forgets the history, as compaction does: watches from before now are told 410.
    pub fn compact(&mut self) {
        self.history.clear();
        self.forgotten = self.version;
    }

    /// Writes an object under the next version, and returns it as stored.
    pub fn put(&mut self, key: Key, mut object: Value) -> Arc<Value> {
        self.version += 1;
        object["metadata"]["resourceVersion"] = self.version.to_string().into();
        let before = self.objects.get(&key).cloned();
        if let Some(before) = &before {
            self.unindex(&key, before);
        }
        self.index(&key, &object);
        let object = Arc::new(object);
        self.objects.insert(key.clone(), object.clone());
        let happened = if before.is_some() { Happened::Modified } else { Happened::Added };
        self.remember(Event { version: self.version, happened, key, object: object.clone(), before });
        object
    }

    /// Takes an object away, and returns its last state under the deletion's version.
    pub fn remove(&mut self, key: &Key) -> Option<Arc<Value>> {
        let before = self.objects.remove(key)?;
        self.unindex(key, &before);
        self.version += 1;
        let mut last = Value::clone(&before);
        last["metadata"]["resourceVersion"] = self.version.to_string().into();
        let object = Arc::new(last);
        let event = Event {
            version: self.version,
            happened: Happened::Deleted,
            key: key.clone(),
            object: object.clone(),
            before: Some(before),
        };
        self.remember(event);
        Some(object)
    }

    /// The next free cluster address, `10.96.x.y`.
    pub fn next_address(&mut self) -> String {
        let taken: BTreeSet<&str> = self
            .objects
            .iter()
            .filter(|(key, _)| key.plural == "services" && key.group.is_empty())
            .filter_map(|(_, service)| service["spec"]["clusterIP"].as_str())
            .collect();
        loop {
            let n = self.next_address;
            self.next_address = (n + 1) % 0xffff;
            let address = format!("10.96.{}.{}", n >> 8, n & 0xff);
            if n & 0xff != 0 && !taken.contains(address.as_str()) {
                return address;
            }
        }
    }

    fn remember(&mut self, event: Event) {
        if self.history.len() == HISTORY
            && let Some(oldest) = self.history.pop_front()
        {
            self.forgotten = oldest.version;
        }
        self.history.push_back(event);
    }

    fn index(&mut self, key: &Key, object: &Value) {
        if let Some(uid) = object["metadata"]["uid"].as_str() {
            self.uids.insert(uid.to_owned(), key.clone());
        }
        for uid in owner_uids(object) {
            self.dependents.entry(uid.to_owned()).or_default().insert(key.clone());
        }
    }

    fn unindex(&mut self, key: &Key, object: &Value) {
        if let Some(uid) = object["metadata"]["uid"].as_str() {
            self.uids.remove(uid);
        }
        for uid in owner_uids(object) {
            if let Some(keys) = self.dependents.get_mut(uid) {
                keys.remove(key);
                if keys.is_empty() {
                    self.dependents.remove(uid);
                }
            }
        }
    }
}

/// The uids of an object's owners.
pub fn owner_uids(object: &Value) -> impl Iterator<Item = &str> {
    object["metadata"]["ownerReferences"].as_array().into_iter().flatten().filter_map(|o| o["uid"].as_str())
}
