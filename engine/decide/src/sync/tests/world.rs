//! A cluster of a few lines: server-side apply with owners, controllers that
//! are at once done, and a journal.

use super::super::*;
use super::key;
use crate::health::Judged;
use crate::next::{Next, Timestamp, Wake};
use crate::outcome::Outcomes;
use crate::sync::object::Id;
use crate::sync::prepare::Served;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum When {
    BeforeActs,
    AfterActs,
}

/// What an API server keeps of a status, whose schema may lack it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Keeps {
    All,
    Nothing,
}

#[derive(Clone)]
pub(super) struct World {
    pub application: Value,
    pub journal: Vec<(Timestamp, Entry)>,
    pub namespaces: Vec<String>,
    pub standing: BTreeMap<Revision, Standing>,
    pub served: BTreeMap<Gvk, Served>,
    pub judged: Judged,
    pub scope: Scope,
    pub now: Timestamp,
    /// Whether controllers get pods ready.
    pub ready: bool,
    /// An image that the API server refuses.
    pub refuse: Option<String>,
    /// What a webhook sets on every ConfigMap.
    pub resets: Option<Value>,
    /// What of an Application's status the API server keeps.
    pub keeps: Keeps,
    /// How often the status was written.
    pub told: usize,
    /// The world at each entry, before and after the acts that went with it.
    pub snapshots: Vec<(World, World)>,
    objects: BTreeMap<Id, Value>,
    manifests: Vec<Value>,
    commit: u32,
    version: u64,
    sent: Vec<Id>,
    /// What the driver keeps of the acts, which a restart takes.
    pub outcomes: Outcomes<ActKey, Reply>,
    /// Before each turn half of the outcomes are lost, at random from this seed.
    pub loses: Option<u64>,
}

impl World {
    pub(super) fn new(manifests: &[Value]) -> World {
        let application = json!({ "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
            "metadata": { "name": "petclinic", "namespace": "argocd", "uid": "app", "annotations": { application::OWNER: "bespin" } },
            "spec": { "source": { "repoURL": "http://git/k8s-manifests.git", "targetRevision": "HEAD", "path": "petclinic" },
                "destination": { "server": "https://kubernetes.default.svc", "namespace": "petclinic" },
                "syncPolicy": { "automated": { "prune": true, "selfHeal": true }, "syncOptions": ["CreateNamespace=true"] } } });
        let mut world = World {
            application,
            journal: Vec::new(),
            namespaces: Vec::new(),
            standing: BTreeMap::new(),
            served: BTreeMap::new(),
            judged: Judged::default(),
            scope: Scope::Full,
            now: 1_000_000,
            ready: true,
            refuse: None,
            resets: None,
            keeps: Keeps::All,
            told: 0,
            snapshots: Vec::new(),
            objects: BTreeMap::new(),
            manifests: Vec::new(),
            commit: 0,
            version: 0,
            sent: Vec::new(),
            outcomes: Outcomes::default(),
            loses: None,
        };
        world.push(manifests);
        world
    }

    pub(super) fn push(&mut self, manifests: &[Value]) {
        self.commit += 1;
        self.manifests = manifests.to_vec();
        for object in manifests {
            let gvk = (object::api_version(object).to_owned(), object::kind(object).to_owned());
            self.served.insert(gvk, Served::Namespaced);
        }
        self.standing.insert(self.head(), Standing::Contained);
    }

    fn head(&self) -> Revision {
        format!("c{}", self.commit).into()
    }

    pub(super) fn append(&mut self, entry: Entry) {
        self.journal.push((self.now, entry));
    }

    pub(super) fn want(&mut self, step: &str, revision: &str) {
        self.now += 1;
        self.append(Entry::Wanted { key: key(step), intent: Intent { revision: revision.into() } });
        let here = World { snapshots: Vec::new(), ..self.clone() };
        self.snapshots.push((here.clone(), here));
    }

    pub(super) fn recorded(&self) -> State {
        State::fold(self.journal.iter().map(|(at, entry)| (*at, entry)))
    }

    pub(super) fn disown(&mut self) {
        object::remove(&mut self.application, &["metadata", "annotations", application::OWNER]);
    }

    /// Runs until nothing more happens without time or somebody else.
    pub(super) fn settle(&mut self) -> Next<Entry, Act> {
        self.run(|_, _| false)
    }

    /// Runs on through waits, for up to an hour of the world's time.
    pub(super) fn settle_with_time(&mut self) -> Next<Entry, Act> {
        let end = self.now + 3_600_000;
        self.run(move |world, at| {
            world.now = world.now.max(at);
            world.now < end
        })
    }

    fn run(&mut self, mut wait: impl FnMut(&mut World, Timestamp) -> bool) -> Next<Entry, Act> {
        for _turn in 0..200 {
            let next = self.turn();
            match next.wake {
                Wake::Now => {}
                Wake::At(at) if wait(self, at) => {}
                _ => return next,
            }
        }
        let next = decide(&self.recorded(), &self.observed(), self.now);
        panic!("it never comes to rest: {}: {:?}", next.status.message, next.acts);
    }

    /// One turn of the driver.
    pub(super) fn turn(&mut self) -> Next<Entry, Act> {
        self.lose();
        self.forget();
        let next = decide(&self.recorded(), &self.observed(), self.now);
        let (record, acts) = (next.record.clone(), next.acts.clone());
        for entry in &record {
            // What is written must read back as it was.
            let text = serde_json::to_string(entry).expect("an entry is JSON");
            assert_eq!(&serde_json::from_str::<Entry>(&text).expect("an entry reads back"), entry);
            self.append(entry.clone());
        }
        self.forget();
        let before = World { snapshots: Vec::new(), ..self.clone() };
        for act in &acts {
            let reply = self.act(act);
            let stops = reply != Reply::Done;
            self.outcomes.keep(act.clone().into(), Ok(reply), self.now);
            if stops {
                break;
            }
        }
        self.controllers();
        if !record.is_empty() {
            let after = World { snapshots: Vec::new(), ..self.clone() };
            self.snapshots.push((before, after));
        }
        self.now += 1;
        next
    }

    pub(super) fn resume(&self, cut: usize, when: When) -> World {
        let (before, after) = &self.snapshots[cut];
        let mut world = if when == When::BeforeActs { before.clone() } else { after.clone() };
        // A server that starts anew knows nothing of what came of acts.
        world.outcomes = Outcomes::default();
        world
    }

    /// What must be the same however often it was interrupted.
    pub(super) fn essence(&self) -> Vec<Value> {
        let bare = |object: &Value| {
            let mut object = object.clone();
            for noise in ["resourceVersion", "managedFields", "generation"] {
                object::remove(&mut object, &["metadata", noise]);
            }
            object::remove(&mut object, &["status"]);
            object
        };
        self.objects.values().map(bare).collect()
    }

    fn observed(&self) -> Observed {
        Observed::read(Objects {
            application: Some(self.application.clone()),
            head: self.head(),
            manifests: Some(Ok(self.manifests.clone())),
            live: self.objects.values().cloned().collect(),
            served: self.served.clone(),
            namespaces: self.namespaces.clone(),
            standing: self.standing.clone(),
            refused: refused(&self.outcomes),
            rehearsed: rehearsed(&self.outcomes),
            applied: applied(&self.outcomes),
            written: written_status(&self.outcomes),
            judged: self.judged.clone(),
            lacking: None,
            scope: self.scope,
        })
    }

    /// Drops what came of acts that the journal asks for no more.
    fn forget(&mut self) {
        let state = self.recorded();
        self.outcomes.retain(|act| is_current(&state, act));
    }

    fn lose(&mut self) {
        let Some(seed) = &mut self.loses else { return };
        let kept: Vec<ActKey> = self.outcomes.iter().map(|attempted| attempted.act.clone()).collect();
        for one in kept {
            // Knuth's MMIX generator; its high bits are the good ones.
            *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            if *seed >> 63 == 0 {
                self.outcomes.retain(|kept| *kept != one);
            }
        }
    }

    fn act(&mut self, act: &Act) -> Reply {
        match act {
            Act::CreateNamespace(name) => self.namespaces.push(name.clone()),
            Act::Rehearse(objects) => {
                let refused: Vec<RefusedObject> = objects.iter().filter_map(|object| self.refuses(object)).collect();
                return if refused.is_empty() { Reply::Done } else { Reply::Refused(refused) };
            }
            Act::Apply(objects) => {
                for object in objects {
                    if let Some(refused) = self.refuses(object) {
                        return Reply::Refused(vec![refused]);
                    }
                    self.sent.push(Id::of(object));
                    self.apply(object, MANAGER);
                }
            }
            Act::HandOver(object) => self.apply(object, HANDOVER),
            Act::Adopt { .. } => panic!("nothing was applied by another manager here"),
            Act::Prune { id, uid, .. } => {
                let same = self.objects.get(id).is_some_and(|object| object::uid(object) == uid);
                assert!(same, "what is pruned is what was seen");
                self.objects.remove(id);
            }
            Act::Status { status, .. } => {
                self.told += 1;
                if self.keeps == Keeps::All {
                    self.application["status"] = status.clone();
                }
            }
            Act::LetGo(_) => object::set_meta(&mut self.application, "annotations", application::SKIP, "true"),
            Act::Claim(_) => object::set_meta(&mut self.application, "annotations", application::OWNER, "bespin"),
            Act::Release(_) => {
                for key in [application::SKIP, application::OWNER] {
                    object::remove(&mut self.application, &["metadata", "annotations", key]);
                }
            }
        }
        Reply::Done
    }

    fn refuses(&self, object: &Value) -> Option<RefusedObject> {
        let image = self.refuse.as_ref().filter(|image| object.to_string().contains(*image))?;
        let because = format!("applying {}: {image} is refused", Id::of(object));
        Some(RefusedObject { sent: Some(sent(object)), because })
    }

    /// Server-side apply of maps; a list is one value here.
    fn apply(&mut self, object: &Value, manager: &str) {
        let id = Id::of(object);
        self.version += 1;
        let version = self.version;
        let mut sent = object.clone();
        for own in ["uid", "resourceVersion"] {
            object::remove(&mut sent, &["metadata", own]);
        }
        let fresh = json!({ "metadata": { "uid": format!("u{version}"), "generation": 0 } });
        let mut live = self.objects.remove(&id).unwrap_or(fresh);
        let mut managed = live["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
        let fields = fields_of(&sent);
        let before = managed.iter().position(|entry| entry["manager"] == manager).map(|index| managed.remove(index));
        if let Some(before) = before {
            for path in dropped(&before["fieldsV1"], &fields, &managed) {
                let path: Vec<&str> = path.iter().map(String::as_str).collect();
                object::remove(&mut live, &path);
            }
        }
        for entry in &mut managed {
            yield_fields(&mut entry["fieldsV1"], &sent, &live);
        }
        managed.push(
            json!({ "manager": manager, "operation": "Apply", "apiVersion": object["apiVersion"], "fieldsV1": fields }),
        );
        json_patch::merge(&mut live, &sent);
        if let Some(value) = self.resets.as_ref().filter(|_| id.kind == "ConfigMap") {
            live["data"]["v"] = value.clone();
        }
        live["metadata"]["managedFields"] = managed.into();
        live["metadata"]["resourceVersion"] = version.to_string().into();
        live["metadata"]["generation"] = version.into();
        self.objects.insert(id, live);
    }

    pub(super) fn controllers(&mut self) {
        let ready = self.ready;
        for object in self.objects.values_mut().filter(|object| object["kind"] == "Deployment") {
            let count = object["spec"]["replicas"].clone();
            let available = if ready { count.clone() } else { json!(0) };
            object["status"]["observedGeneration"] = object["metadata"]["generation"].clone();
            object["status"]["replicas"] = count.clone();
            object["status"]["updatedReplicas"] = count;
            object["status"]["availableReplicas"] = available;
        }
        for object in self.objects.values_mut().filter(|object| object["kind"] == "HorizontalPodAutoscaler") {
            object["status"] = json!({ "conditions": [{ "type": "AbleToScale", "status": "True" }] });
        }
    }

    pub(super) fn degrade(&mut self, name: &str) {
        self.live_mut("Deployment", name)["status"]["conditions"] =
            json!([{ "type": "Progressing", "reason": "ProgressDeadlineExceeded", "message": "late" }]);
    }

    /// Somebody sets the replicas through the scale subresource.
    pub(super) fn scale(&mut self, name: &str, count: i64) {
        let live = self.live_mut("Deployment", name);
        live["spec"]["replicas"] = count.into();
        let managed = live["metadata"]["managedFields"].as_array_mut().expect("it was applied");
        for entry in managed.iter_mut() {
            object::remove(&mut entry["fieldsV1"], &["f:spec", "f:replicas"]);
        }
        managed.push(json!({ "manager": "kube-controller-manager", "operation": "Update", "subresource": "scale",
            "fieldsV1": { "f:spec": { "f:replicas": {} } } }));
        self.controllers();
    }

    pub(super) fn foreign_write(&mut self) {
        let at = jiff::Timestamp::from_millisecond(self.now as i64).expect("a time").to_string();
        self.application["metadata"]["managedFields"] =
            json!([{ "manager": "argocd-controller", "operation": "Update", "time": at, "fieldsV1": {} }]);
    }

    pub(super) fn add_live(&mut self, object: Value) {
        self.objects.insert(Id::of(&object), object);
    }

    fn find(&self, kind: &str, name: &str) -> Option<&Id> {
        self.objects.keys().find(|id| id.kind == kind && id.name == name)
    }

    pub(super) fn live(&self, kind: &str, name: &str) -> Option<&Value> {
        self.objects.get(self.find(kind, name)?)
    }

    pub(super) fn live_mut(&mut self, kind: &str, name: &str) -> &mut Value {
        let id = self.find(kind, name).expect("it lives").clone();
        self.objects.get_mut(&id).expect("it lives")
    }

    pub(super) fn owners(&self, kind: &str, name: &str) -> Vec<String> {
        let live = self.live(kind, name).expect("it lives");
        let owners = fields::owners(live, &["spec", "replicas"]);
        owners.iter().map(|share| share.manager.to_owned()).filter(|manager| manager != MANAGER).collect()
    }

    pub(super) fn applied(&self, kind: &str, name: &str) -> usize {
        self.sent.iter().filter(|id| id.kind == kind && id.name == name).count()
    }

    pub(super) fn writes(&self) -> usize {
        self.sent.len()
    }
}

fn fields_of(value: &Value) -> Value {
    let Some(map) = value.as_object() else { return json!({}) };
    let skip = ["apiVersion", "kind", "name", "namespace"];
    let kept = map.iter().filter(|(key, _)| !skip.contains(&key.as_str()));
    Value::Object(kept.map(|(key, value)| (format!("f:{key}"), fields_of(value))).collect())
}

/// Leaves of `before` that neither `now` nor another manager has.
fn dropped(before: &Value, now: &Value, others: &[Value]) -> Vec<Vec<String>> {
    let mut found = Vec::new();
    leaves(before, &mut Vec::new(), &mut |path| {
        let has = |fields: &Value| path.iter().try_fold(fields, |fields, key| fields.get(key)).is_some();
        if !has(now) && !others.iter().any(|entry| has(&entry["fieldsV1"])) {
            found.push(path.iter().map(|key| key.trim_start_matches("f:").to_owned()).collect());
        }
    });
    found
}

fn leaves(fields: &Value, path: &mut Vec<String>, found: &mut impl FnMut(&[String])) {
    let map: &Map<String, Value> = fields.as_object().expect("fields are maps");
    if map.is_empty() && !path.is_empty() {
        found(path);
    }
    for (key, below) in map {
        path.push(key.clone());
        leaves(below, path, found);
        path.pop();
    }
}

/// A forced apply of another value takes the field away.
fn yield_fields(fields: &mut Value, sent: &Value, live: &Value) {
    let Some(map) = fields.as_object_mut() else { return };
    map.retain(|key, below| {
        let name = key.trim_start_matches("f:");
        let (Some(sent), Some(live)) = (sent.get(name), live.get(name)) else { return true };
        if below.as_object().is_some_and(Map::is_empty) {
            return sent == live;
        }
        yield_fields(below, sent, live);
        true
    });
}
