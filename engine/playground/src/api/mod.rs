//! The Kubernetes API: what is stored, how it is written, and how it is spoken over HTTP.

pub mod apply;
mod birth;
pub mod clock;
mod defaults;
mod delete;
mod discovery;
mod fields;
mod incoming;
pub mod kind;
mod managed;
mod openapi;
mod parameters;
mod part;
pub mod patch;
pub(crate) mod persist;
mod pod;
mod protobuf;
mod put;
pub(crate) mod quantity;
pub mod refusal;
mod route;
mod scale;
pub mod select;
mod server;
mod shape;
pub mod store;
mod table;
mod validate;
mod volumes;
mod watch;
mod write;

use std::sync::{Arc, Mutex, MutexGuard, RwLock};

use serde_json::Value;

pub use delete::{Deletion, Propagation};
pub use part::Part;
pub use write::Write;

use crate::faults::Faults;
use kind::{Kind, Kinds};
use refusal::Refusal;
use select::Selection;
use store::{Event, Key, Store};

/// A Kubernetes API. Cloning it gives another handle to the same one; it is a [`tower::Service`] for HTTP requests.
#[derive(Clone, Debug)]
pub struct Api(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Mutex<Store>,
    kinds: RwLock<Kinds>,
    version: tokio::sync::watch::Sender<u64>,
    token: String,
    faults: Faults,
}

impl Api {
    /// An API over these objects, whose requests over HTTP must carry `token`.
    pub(crate) fn new(store: Store, token: String, faults: Faults) -> Api {
        let mut kinds = Kinds::default();
        let definitions = kinds.named("CustomResourceDefinition");
        for (_, crd) in store.list(&definitions, "") {
            kinds.define(&crd);
        }
        let (version, _) = tokio::sync::watch::channel(store.version());
        Api(Arc::new(Inner { store: Mutex::new(store), kinds: RwLock::new(kinds), version, token, faults }))
    }

    /// The kind of an `apiVersion` and `kind`, when it is served.
    pub fn kind(&self, api_version: &str, kind: &str) -> Option<Arc<Kind>> {
        self.kinds().of(api_version, kind)
    }

    /// A built-in kind.
    ///
    /// # Panics
    /// When there is no built-in kind of this name.
    pub fn built_in(&self, kind: &str) -> Arc<Kind> {
        self.kinds().named(kind)
    }

    /// One object.
    ///
    /// # Errors
    /// 404.
    pub fn get(&self, kind: &Kind, namespace: &str, name: &str) -> Result<Arc<Value>, Refusal> {
        let found = self.store().get(&Key::new(kind, namespace, name));
        found.ok_or_else(|| Refusal::not_found(kind, name))
    }

    /// The selected objects of a kind in a namespace (empty: in all), and the version that they were read at.
    pub fn list(&self, kind: &Kind, namespace: &str, selection: &Selection) -> (Vec<Arc<Value>>, u64) {
        let store = self.store();
        let all = store.list(kind, namespace).into_iter().map(|(_, object)| object);
        (all.filter(|object| selection.matches(object)).collect(), store.version())
    }

    /// Forgets the history of changes: watches from before now are told 410, as after a compaction.
    pub fn compact(&self) {
        self.store().compact();
    }

    /// The resourceVersion of the newest change; the next change gets a greater one.
    pub fn version(&self) -> u64 {
        self.store().version()
    }

    /// Tells when the version changes.
    pub fn changes(&self) -> tokio::sync::watch::Receiver<u64> {
        self.0.version.subscribe()
    }

    /// The changes after a version.
    ///
    /// # Errors
    /// 410 when they are forgotten.
    pub fn since(&self, version: u64) -> Result<Vec<Event>, Refusal> {
        self.store().since(version)
    }

    /// The kind that a key names.
    pub(crate) fn stored_kind(&self, key: &Key) -> Option<Arc<Kind>> {
        self.kinds().stored(&key.group, &key.plural)
    }

    /// The keys of everything.
    pub(crate) fn keys(&self) -> Vec<Key> {
        self.store().all().map(|(key, _)| key.clone()).collect()
    }

    /// The keys of everything in a namespace.
    pub(crate) fn in_namespace(&self, namespace: &str) -> Vec<Key> {
        self.store().in_namespace(namespace)
    }

    /// The keys of the objects that name this uid as an owner.
    pub(crate) fn dependents(&self, uid: &str) -> Vec<Key> {
        self.store().dependents(uid)
    }

    /// Where the object with this uid is.
    pub(crate) fn by_uid(&self, uid: &str) -> Option<Key> {
        self.store().by_uid(uid).cloned()
    }

    fn kinds(&self) -> std::sync::RwLockReadGuard<'_, Kinds> {
        self.0.kinds.read().expect("no holder of this lock panics")
    }

    fn store(&self) -> MutexGuard<'_, Store> {
        self.0.store.lock().expect("no holder of this lock panics")
    }

    /// Writes an object, serves or forgets what it defines, and tells the watchers.
    fn commit(&self, store: &mut Store, kind: &Kind, key: Key, object: Value) -> Arc<Value> {
        let object = store.put(key, object);
        if kind.kind == "CustomResourceDefinition" {
            self.0.kinds.write().expect("no holder of this lock panics").define(&object);
        }
        self.0.version.send_replace(store.version());
        object
    }

    fn take_away(&self, store: &mut Store, kind: &Kind, key: &Key) -> Option<Arc<Value>> {
        let last = store.remove(key)?;
        if kind.kind == "CustomResourceDefinition" {
            let group = last["spec"]["group"].as_str().unwrap_or_default();
            let plural = last["spec"]["names"]["plural"].as_str().unwrap_or_default();
            let keys: Vec<Key> =
                store.all().map(|(k, _)| k).filter(|k| k.group == group && k.plural == plural).cloned().collect();
            for key in keys {
                store.remove(&key);
            }
            self.0.kinds.write().expect("no holder of this lock panics").forget(&key.name);
        }
        self.0.version.send_replace(store.version());
        Some(last)
    }
}

#[cfg(test)]
mod tests;
