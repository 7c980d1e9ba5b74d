//! Creating, replacing, patching and applying: the way of every write from the request to the store.

use std::sync::Arc;

use serde_json::{Value, json};

use super::apply::{self, Force};
use super::kind::Kind;
use super::managed::{self, Managers, Operation, Who};
use super::part::Part;
use super::patch::Patch;
use super::refusal::Refusal;
use super::store::{Key, Store};
use super::{Api, birth, clock, defaults, incoming, quantity, scale, validate};

/// Who writes, and whether in earnest.
#[derive(Clone, Debug)]
pub struct Write {
    /// The name that the written fields are recorded under (`fieldManager`).
    pub manager: String,
    /// Whether conflicts of an apply are overridden.
    pub force: Force,
    /// Whether to answer only what would be.
    pub rehearsal: Rehearsal,
}

/// Whether a write is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rehearsal {
    /// The write is made.
    No,
    /// It is not: `dryRun=All`.
    Yes,
}

impl Write {
    /// A write in earnest by a manager.
    pub fn by(manager: &str) -> Write {
        Write { manager: manager.into(), force: Force::No, rehearsal: Rehearsal::No }
    }

    fn who(&self, kind: &Kind, part: Part, operation: Operation) -> Who {
        Who {
            manager: self.manager.clone(),
            operation,
            api_version: kind.api_version(),
            subresource: part.subresource().into(),
        }
    }
}

/// Whether an apply made the object.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// The object was created by the apply (201); as it stands now.
    Created(Arc<Value>),
    /// The object existed (200); as it stands now.
    Kept(Arc<Value>),
}

impl Api {
    /// Creates an object.
    ///
    /// # Errors
    /// As the real server: 400, 403, 404, 409, 422.
    pub fn create(&self, kind: &Kind, namespace: &str, object: Value, write: &Write) -> Result<Arc<Value>, Refusal> {
        let mut object = incoming::object(kind, namespace, None, object)?;
        if object["metadata"]["resourceVersion"].as_str().is_some_and(|v| !v.is_empty()) {
            return Err(Refusal::bad_request("resourceVersion should not be set on objects to be created"));
        }
        readable(kind, &mut object)?;
        birth::generate_name(&mut object);
        let mut store = self.store();
        self.make(&mut store, kind, namespace, object, write, None)
    }

    fn make(
        &self,
        store: &mut Store,
        kind: &Kind,
        namespace: &str,
        mut object: Value,
        write: &Write,
        applied: Option<Managers>,
    ) -> Result<Arc<Value>, Refusal> {
        let name = object["metadata"]["name"].as_str().unwrap_or_default().to_owned();
        let key = Key::new(kind, namespace, &name);
        self.admit(store, kind, &key)?;
        if store.get(&key).is_some() {
            return Err(Refusal::already_exists(kind, &name));
        }
        birth::newborn(kind, &mut object);
        defaults::fill(kind, &mut object);
        if !kind.custom {
            incoming::plain(kind, &mut object);
            readable(kind, &mut object)?;
        }
        validate::create(kind, &object)?;
        let managers = applied.unwrap_or_else(|| {
            let who = write.who(kind, Part::Whole, Operation::Update);
            apply::update(&kind.shape, &birth::blank(kind, &object), &object, Managers::default(), &who)
        });
        birth::allot(kind, store, &mut object);
        birth::admit(kind, &mut object);
        managers.write(&mut object);
        match write.rehearsal {
            Rehearsal::Yes => Ok(Arc::new(object)),
            Rehearsal::No => Ok(self.commit(store, kind, key, object)),
        }
    }

    /// Refuses what a missing or dying namespace cannot hold.
    fn admit(&self, store: &Store, kind: &Kind, key: &Key) -> Result<(), Refusal> {
        if !kind.namespaced() {
            return Ok(());
        }
        let namespaces = self.built_in("Namespace");
        let Some(namespace) = store.get(&Key::new(&namespaces, "", &key.namespace)) else {
            return Err(Refusal::no_namespace(&key.namespace));
        };
        if namespace["metadata"]["deletionTimestamp"].is_string() {
            let because =
                format!("unable to create new content in namespace {} because it is being terminated", key.namespace);
            let mut refusal = Refusal::forbidden(kind, &key.name, &because);
            refusal.details["causes"] = json!([{"reason": "NamespaceTerminating",
                "message": format!("namespace {} is being terminated", key.namespace), "field": "metadata.namespace"}]);
            return Err(refusal);
        }
        Ok(())
    }

    /// Replaces an object, or its status or scale.
    ///
    /// # Errors
    /// As the real server: 400, 404, 409, 422.
    pub fn update(
        &self,
        kind: &Kind,
        namespace: &str,
        name: &str,
        part: Part,
        object: Value,
        write: &Write,
    ) -> Result<Arc<Value>, Refusal> {
        let mut store = self.store();
        let key = Key::new(kind, namespace, name);
        let live = store.get(&key).ok_or_else(|| Refusal::not_found(kind, name))?;
        if part == Part::Scale {
            let number = scale::wanted(kind, name, &live, &object)?;
            let new = scale::with_replicas(kind, &live, number);
            let kept = self.replace(&mut store, kind, key, &live, new, part, write, None)?;
            return Ok(Arc::new(scale::view(kind, &kept)));
        }
        let mut object = incoming::object(kind, namespace, Some(name), object)?;
        readable(kind, &mut object)?;
        let sent = object["metadata"]["resourceVersion"].as_str().unwrap_or_default();
        if sent.is_empty() && kind.custom {
            return Err(Refusal::unversioned(kind, name));
        }
        if let Some(uid) = incoming::other_uid(&live, &object) {
            let found = live["metadata"]["uid"].as_str().unwrap_or_default();
            return Err(Refusal::other_object(kind, &key.namespace, name, uid, found));
        }
        self.replace(&mut store, kind, key, &live, object, part, write, None)
    }

    /// Patches an object, or its status or scale.
    ///
    /// # Errors
    /// As the real server: 400, 404, 409, 415, 422.
    pub fn patch(
        &self,
        kind: &Kind,
        namespace: &str,
        name: &str,
        part: Part,
        patch: &Patch,
        write: &Write,
    ) -> Result<Arc<Value>, Refusal> {
        if kind.custom && matches!(patch, Patch::Strategic(_)) {
            let accepted = "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml";
            return Err(Refusal::unsupported_media(accepted));
        }
        let mut store = self.store();
        let key = Key::new(kind, namespace, name);
        let live = store.get(&key).ok_or_else(|| Refusal::not_found(kind, name))?;
        if part == Part::Scale {
            let view = patch.apply_to(&kind.shape, &scale::view(kind, &live))?;
            let number = scale::wanted(kind, name, &live, &view)?;
            let new = scale::with_replicas(kind, &live, number);
            let kept = self.replace(&mut store, kind, key, &live, new, part, write, None)?;
            return Ok(Arc::new(scale::view(kind, &kept)));
        }
        let patched = patch.apply_to(&kind.shape, &live)?;
        let mut object = incoming::object(kind, namespace, Some(name), patched)?;
        let sent = object.clone();
        quantity::canonical(kind, &mut object).map_err(|because| Refusal::unreadable_patch(&sent, because))?;
        self.replace(&mut store, kind, key, &live, object, part, write, None)
    }

    /// Applies a configuration: server-side apply.
    ///
    /// # Errors
    /// As the real server; 409 with a cause for each field that another manager owns.
    pub fn apply(
        &self,
        kind: &Kind,
        namespace: &str,
        name: &str,
        part: Part,
        config: Value,
        write: &Write,
    ) -> Result<Outcome, Refusal> {
        if config["metadata"]["managedFields"].as_array().is_some_and(|list| !list.is_empty()) {
            return Err(Refusal::bad_request("metadata.managedFields must be nil"));
        }
        if let Err(because) = quantity::check(kind, &config) {
            let within = config["metadata"]["namespace"].as_str().unwrap_or_default();
            return Err(Refusal::unreadable_apply(kind, within, name, because));
        }
        let mut store = self.store();
        let key = Key::new(kind, namespace, name);
        let live = store.get(&key);
        let config = match (part, &live) {
            (Part::Scale, Some(live)) => scale::as_config(kind, live, &config)?,
            _ => incoming::config(kind, namespace, name, part, config)?,
        };
        let who = write.who(kind, part, Operation::Apply);
        let Some(live) = live else {
            if part != Part::Whole {
                return Err(Refusal::not_found(kind, name));
            }
            not_there(kind, name, &config)?;
            let nothing = json!({});
            let applied = apply::apply(&kind.shape, &nothing, &config, Managers::default(), &who, write.force);
            let applied = applied.map_err(|conflicts| managed::refuse(&conflicts))?;
            let made = self.make(&mut store, kind, namespace, applied.object, write, Some(applied.managers))?;
            return Ok(Outcome::Created(made));
        };
        let mut managers = Managers::read(&live).unwrap_or_default();
        if managers.is_empty() {
            let before = Write { manager: "before-first-apply".into(), ..write.clone() };
            managers.put(before.who(kind, Part::Whole, Operation::Update), apply::whole(&kind.shape, &live));
        }
        let applied = apply::apply(&kind.shape, &live, &config, managers, &who, write.force);
        let applied = applied.map_err(|conflicts| managed::refuse(&conflicts))?;
        let kept = self.replace(&mut store, kind, key, &live, applied.object, part, write, Some(applied.managers))?;
        Ok(Outcome::Kept(match part {
            Part::Scale => Arc::new(scale::view(kind, &kept)),
            _ => kept,
        }))
    }

    #[expect(clippy::too_many_arguments, reason = "the one place that every write of an existing object goes through")]
    fn replace(
        &self,
        store: &mut Store,
        kind: &Kind,
        key: Key,
        live: &Arc<Value>,
        mut new: Value,
        part: Part,
        write: &Write,
        applied: Option<Managers>,
    ) -> Result<Arc<Value>, Refusal> {
        incoming::check_version(kind, &key.name, live, &new)?;
        if let Some(uid) = incoming::other_uid(live, &new) {
            return Err(Refusal::immutable_uid(kind, &key.name, uid));
        }
        incoming::keep_server_fields(kind, live, &mut new, part);
        defaults::fill(kind, &mut new);
        if !kind.custom {
            incoming::plain(kind, &mut new);
            readable(kind, &mut new)?;
        }
        validate::update(kind, live, &new)?;
        let managers = applied.unwrap_or_else(|| {
            let who = write.who(kind, part, Operation::Update);
            let before = Managers::for_write(live, &new, part.subresource());
            let mut after = apply::update(&kind.shape, live, &new, before, &who);
            if part == Part::Scale {
                after.untimed(&who, &Managers::default());
            }
            after
        });
        birth::allot(kind, store, &mut new);
        managers.write(&mut new);
        if kind.generation && incoming::intent_changed(kind, live, &new) {
            let generation = live["metadata"]["generation"].as_i64().unwrap_or(0) + 1;
            new["metadata"]["generation"] = generation.into();
        }
        if incoming::only_times_differ(live, &new) {
            return Ok(live.clone());
        }
        if write.rehearsal == Rehearsal::Yes {
            return Ok(Arc::new(new));
        }
        let finished = incoming::may_go(kind, &new);
        let kept = self.commit(store, kind, key.clone(), new);
        if finished {
            return Ok(self.take_away(store, kind, &key).unwrap_or(kept));
        }
        Ok(kept)
    }

    /// Puts a pod on a node, as the scheduler does.
    ///
    /// # Errors
    /// 404, and 409 when it is on a node already.
    pub fn bind(&self, namespace: &str, name: &str, node: &str, write: &Write) -> Result<(), Refusal> {
        let pods = self.built_in("Pod");
        let mut store = self.store();
        let key = Key::new(&pods, namespace, name);
        let live = store.get(&key).ok_or_else(|| Refusal::not_found(&pods, name))?;
        if let Some(taken) = live["spec"]["nodeName"].as_str().filter(|n| !n.is_empty()) {
            let because = format!("pod {name} is already assigned to node {taken:?}");
            let mut refusal = Refusal::conflict(&pods, name, &because);
            refusal.message = refusal.message.replacen("pods", "pods/binding", 1);
            refusal.details["kind"] = "pods/binding".into();
            return Err(refusal);
        }
        let mut new = Value::clone(&live);
        new["spec"]["nodeName"] = node.into();
        let place = store.get(&Key::new(&self.built_in("Node"), "", node));
        for label in ["topology.kubernetes.io/zone", "topology.kubernetes.io/region"] {
            if let Some(value) = place.as_ref().and_then(|node| node["metadata"]["labels"].get(label)) {
                new["metadata"]["labels"][label] = value.clone();
            }
        }
        let scheduled = json!({"type": "PodScheduled", "status": "True", "lastProbeTime": null,
            "lastTransitionTime": clock::now()});
        let conditions = new["status"].as_object_mut().map(|s| s.entry("conditions").or_insert_with(|| json!([])));
        if let Some(list) = conditions.and_then(Value::as_array_mut) {
            list.retain(|c| c["type"] != "PodScheduled");
            list.push(scheduled);
        }
        if write.rehearsal == Rehearsal::No {
            self.commit(&mut store, &pods, key, new);
        }
        Ok(())
    }
}

/// Writes quantities as they are kept.
fn readable(kind: &Kind, object: &mut Value) -> Result<(), Refusal> {
    quantity::canonical(kind, object).map_err(|because| Refusal::unreadable(kind, because))
}

/// Refuses to create what is said to be there already.
fn not_there(kind: &Kind, name: &str, config: &Value) -> Result<(), Refusal> {
    match config["metadata"]["uid"].as_str().unwrap_or_default() {
        "" => Ok(()),
        uid => {
            let because =
                format!("uid mismatch: the provided object specified uid {uid}, and no existing object was found");
            Err(Refusal::conflict(kind, name, &because))
        }
    }
}
