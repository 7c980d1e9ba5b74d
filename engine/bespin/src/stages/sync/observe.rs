//! One look at an application: itself, git's head, and the cluster.

use super::judge::Coverage;
use super::{Memory, SyncStage};
use crate::drive::{Trouble, Turn};
use cluster::Cluster;
use decide::health::Judged;
use decide::next::Timestamp;
use decide::sync::application::{self, Application, Source};
use decide::sync::object::{self, Id};
use decide::sync::prepare::{Served, complete};
use decide::sync::tracking::tracked_by;
use decide::sync::{Gvk, Objects, Revision, Scope, Standing, State};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

/// How old a look through every kind may be, in ms: autoscalers of kinds that
/// nobody knew of are found again then.
const FULL_EVERY: u64 = 600_000;

/// How long git's head is taken to be where it was, in ms, when nobody says
/// otherwise: shorter than the resync, so that each resync asks.
const HEAD_HOLDS: u64 = 100_000;

/// Kinds that every look reads: autoscalers, and what workloads make.
const ALWAYS: [(&str, &str); 3] =
    [("autoscaling/v2", "HorizontalPodAutoscaler"), ("apps/v1", "ReplicaSet"), ("v1", "Pod")];

impl SyncStage {
    pub(super) async fn objects(&self, turn: &Turn<'_>, state: &State, now: Timestamp) -> Result<Objects, Trouble> {
        let stream = turn.stream.as_str();
        let (cluster, _, _) = self.find(turn.stream)?;
        let Some(object) = self.application(turn.stream).await? else { return Ok(Objects::default()) };
        self.remember(stream, |memory| memory.application = Some(object.clone()));
        let Ok(app) = application::read(&object) else {
            return Ok(Objects { application: Some(object), ..Objects::default() });
        };
        let lacking = self.generators.lacking(&app.source);
        if lacking.is_some() {
            return Ok(Objects { application: Some(object), lacking, ..Objects::default() });
        }
        let (head, standing) = self.head_now(stream, &app.source, state, now).await?;
        let manifests = self.read(stream, &app, &head).await?.manifests;
        let desired = manifests.as_ref().as_ref().map(Vec::as_slice).unwrap_or_default();
        let memory = self.memory(stream);
        let reach = Reach::new(&app, &object, desired, &memory);
        let served = served(cluster, desired).await?;
        let full = memory.full_at.is_none_or(|at| now > at + FULL_EVERY);
        let live = match full {
            true => self.everything(cluster, &app, desired, &served, &reach).await?,
            false => self.in_use(cluster, &app, desired, &served, &reach).await?,
        };
        self.note(stream, reach, &live, full.then_some(now));
        let judged = self.judged(turn, cluster, &live).await;
        let mut namespaces = Vec::new();
        for namespace in self.memory(stream).namespaces {
            let found = cluster.get("v1", "Namespace", "", &namespace).await;
            if found?.is_some() {
                namespaces.push(namespace);
            }
        }
        Ok(Objects {
            application: Some(object),
            head: Revision::One(head),
            manifests: Some(manifests.as_ref().clone()),
            live,
            served,
            namespaces,
            standing,
            judged,
            scope: Scope::Full,
            ..Objects::default()
        })
    }

    /// What plugins say of the live objects of their kinds. What there was no time for is the next look's, at once.
    async fn judged(&self, turn: &Turn<'_>, cluster: &Cluster, live: &[Value]) -> Judged {
        let (judged, came) = self.judges.ask(turn.stream.as_str(), cluster.name(), live).await;
        if came == Coverage::ToSome {
            turn.drivers().poke(turn.stream);
        }
        judged
    }

    /// Git's head, asked anew only where there is a reason: each asking goes
    /// over the network, and a look may be about a pod.
    async fn head_now(
        &self,
        stream: &str,
        source: &Source,
        state: &State,
        now: Timestamp,
    ) -> Result<(String, BTreeMap<Revision, Standing>), Trouble> {
        let asked = state.asked.into_iter().chain(state.open.iter().map(|want| want.since)).max().unwrap_or(0);
        let Memory { head: known, pushes, .. } = self.memory(stream);
        if let Some((_, head, _)) = known.filter(|(of, _, at)| of == source && *at > asked && now < at + HEAD_HOLDS) {
            let standing = self.standing(source, &head, state).await?;
            if standing.values().all(|standing| *standing == Standing::Contained) {
                return Ok((head, standing));
            }
        }
        let head = self.git.head(&source.repo_url, &source.target_revision).await?;
        self.remember(stream, |memory| {
            if memory.pushes == pushes {
                memory.head = Some((source.clone(), head.clone(), now));
            }
        });
        let standing = self.standing(source, &head, state).await?;
        Ok((head, standing))
    }

    /// How the head stands to each revision that somebody waits for.
    async fn standing(
        &self,
        source: &Source,
        head: &str,
        state: &State,
    ) -> Result<BTreeMap<Revision, Standing>, Trouble> {
        let mut standing = BTreeMap::new();
        for want in &state.open {
            if standing.contains_key(&want.intent.revision) {
                continue;
            }
            let Revision::One(wanted) = &want.intent.revision else {
                let because = "the application has one source, and commits of several are asked for".to_owned();
                standing.insert(want.intent.revision.clone(), Standing::Unknown(because));
                continue;
            };
            let contains = async |newer: &str, older: &str| self.git.contains(&source.repo_url, newer, older).await;
            let stands = if wanted.is_empty() || wanted == head || contains(head, wanted).await? {
                Standing::Contained
            } else if contains(wanted, head).await? {
                Standing::Behind
            } else if contains(wanted, wanted).await? {
                Standing::Diverged
            } else {
                Standing::Unknown(format!("{} has no such commit", source.repo_url))
            };
            standing.insert(want.intent.revision.clone(), stands);
        }
        Ok(standing)
    }

    async fn in_use(
        &self,
        cluster: &Cluster,
        app: &Application,
        desired: &[Value],
        served: &BTreeMap<Gvk, Served>,
        reach: &Reach,
    ) -> Result<Vec<Value>, Trouble> {
        let named = named(app, desired, served);
        let keep = |object: &Value| {
            named.contains(&Id::of(object))
                || tracked_by(object) == Some(&app.name)
                || is_autoscaler(object)
                || is_child(object)
        };
        let found = cluster.look(&reach.kinds, &reach.namespaces, &keep).await;
        found.map_err(Trouble::from)
    }

    /// Every kind in every namespace, once: what carries our tracking id, and autoscalers.
    async fn everything(
        &self,
        cluster: &Cluster,
        app: &Application,
        desired: &[Value],
        served: &BTreeMap<Gvk, Served>,
        reach: &Reach,
    ) -> Result<Vec<Value>, Trouble> {
        let keep = |object: &Value| tracked_by(object) == Some(&app.name) || is_autoscaler(object);
        let found = cluster.look_everywhere(&keep).await?;
        let mut wide = reach.clone();
        wide.widen(&found, app);
        self.in_use(cluster, app, desired, served, &wide).await
    }

    /// Remembers what the next look must read, and tells the watchers.
    fn note(&self, stream: &str, reach: Reach, live: &[Value], full_at: Option<Timestamp>) {
        let mut reach = reach;
        for object in live {
            reach.kinds.insert(gvk(object));
        }
        let mut news = false;
        self.remember(stream, |memory| {
            news = !reach.kinds.is_subset(&memory.kinds) || !reach.namespaces.is_subset(&memory.namespaces);
            memory.kinds.append(&mut reach.kinds);
            memory.namespaces.append(&mut reach.namespaces);
            memory.full_at = full_at.or(memory.full_at);
        });
        if news {
            self.interest.send_modify(|count| *count += 1);
        }
    }
}

/// Which kinds a look reads, and where.
#[derive(Clone)]
struct Reach {
    kinds: BTreeSet<Gvk>,
    namespaces: BTreeSet<String>,
}

impl Reach {
    fn new(app: &Application, object: &Value, desired: &[Value], memory: &Memory) -> Reach {
        let always = ALWAYS.iter().map(|(version, kind)| ((*version).to_owned(), (*kind).to_owned()));
        let before = object["status"]["resources"].as_array().into_iter().flatten().filter_map(resource);
        let mut kinds: BTreeSet<Gvk> = memory.kinds.iter().cloned().chain(always).chain(before).collect();
        // One version of a kind is enough, and it is git's.
        for object in desired {
            let (group, _) = object::group_version(object::api_version(object));
            let same = |known: &Gvk| object::group_version(&known.0).0 == group && known.1 == object::kind(object);
            kinds.retain(|known| !same(known));
            kinds.insert(gvk(object));
        }
        let named = desired.iter().map(|object| object::namespace(object).to_owned());
        let mut namespaces: BTreeSet<String> = named.chain([app.namespace.clone()]).collect();
        namespaces.extend(memory.namespaces.iter().cloned());
        namespaces.remove("");
        Reach { kinds, namespaces }
    }

    fn widen(&mut self, found: &[Value], app: &Application) {
        for object in found {
            let (group, _) = object::group_version(object::api_version(object));
            let kind = object::kind(object);
            if !self.kinds.iter().any(|known| object::group_version(&known.0).0 == group && known.1 == kind) {
                self.kinds.insert(gvk(object));
            }
            if tracked_by(object) == Some(&app.name) && !object::namespace(object).is_empty() {
                self.namespaces.insert(object::namespace(object).to_owned());
            }
        }
    }
}

fn gvk(object: &Value) -> Gvk {
    (object::api_version(object).to_owned(), object::kind(object).to_owned())
}

/// A kind that Argo CD's status names.
fn resource(entry: &Value) -> Option<Gvk> {
    let text = |key: &str| entry[key].as_str().unwrap_or_default();
    let version = match (text("group"), text("version")) {
        (_, "") => return None,
        ("", version) => version.to_owned(),
        (group, version) => format!("{group}/{version}"),
    };
    Some((version, text("kind").to_owned()))
}

fn is_autoscaler(object: &Value) -> bool {
    matches!(object::kind(object), "HorizontalPodAutoscaler" | "ScaledObject")
}

fn is_child(object: &Value) -> bool {
    matches!(object::kind(object), "ReplicaSet" | "Pod")
        && object["metadata"]["ownerReferences"].as_array().is_some_and(|owners| !owners.is_empty())
}

fn named(app: &Application, desired: &[Value], served: &BTreeMap<Gvk, Served>) -> BTreeSet<Id> {
    let id = |object: &Value| {
        let served = served.get(&gvk(object)).copied().unwrap_or(Served::Missing);
        let bare = serde_json::json!({ "apiVersion": object["apiVersion"], "kind": object["kind"], "metadata": {
            "name": object["metadata"]["name"], "namespace": object["metadata"]["namespace"] } });
        Id::of(&complete(bare, &app.namespace, served))
    };
    desired.iter().map(id).collect()
}

async fn served(cluster: &Cluster, desired: &[Value]) -> Result<BTreeMap<Gvk, Served>, Trouble> {
    let kinds: BTreeSet<Gvk> = desired.iter().map(gvk).collect();
    let found = cluster.served(&kinds).await?;
    let mut served: BTreeMap<Gvk, Served> = kinds.into_iter().map(|gvk| (gvk, Served::Missing)).collect();
    for kind in found {
        let scope = match kind.scope {
            cluster::Scope::Cluster => Served::Cluster,
            cluster::Scope::Namespaced => Served::Namespaced,
        };
        served.insert((kind.api_version(), kind.kind.clone()), scope);
    }
    Ok(served)
}
