//! Compares everything that git names with everything that lives.

use super::MANAGER;
use super::advice;
use super::application::{Application, Automated, CreateNamespace, Empty, Prune};
use super::autoscale::{self, Autoscaler, Replicas, Targets};
use super::diff::{self, Difference};
use super::fields;
use super::ignore::{self, Respect};
use super::object::{self, Id};
use super::objects::{Objects, Scope};
use super::order;
use super::prepare::{self, Served};
use super::tracking::{self, PruneDecision};
use crate::health::{self, Health, Judge, Judged, Status};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The comparison of an application.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plan {
    /// What git names, in the order of the sync.
    pub items: Vec<Item>,
    /// What is tracked and git no longer names.
    pub extras: Vec<ExtraItem>,
    /// The namespace to make first, where it is missing.
    pub namespace: Option<String>,
    /// What stands in the way of applying until git or the Application changes, each as a sentence with the help.
    pub blocks: Vec<String>,
    /// What is applied into and is not there yet, each as a sentence with the help. It may come by itself.
    pub awaited: Vec<String>,
    /// Why nothing is pruned that otherwise would be.
    pub prune_hold: Option<String>,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// One object that git names.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// The object that git names.
    pub id: Id,
    /// The sync wave in which it is applied; the lowest is the first.
    pub wave: i64,
    /// The object as it is compared.
    pub desired: Value,
    /// The object as it is sent.
    pub sent: Value,
    /// The object in the cluster, where it is there.
    pub live: Option<Value>,
    /// What is not as git says; empty where the object is missing altogether.
    pub differences: Vec<Difference>,
    /// What must happen before the object may be applied.
    pub prerequisite: Prerequisite,
    /// What others own, in words.
    pub owned: Vec<String>,
    /// Its health; `None` for kinds without a rule.
    pub health: Option<Health>,
    /// Whether a rule of ours judged the health, or a plugin.
    pub judge: Judge,
}

/// What must happen before an object may be applied.
#[derive(Clone, Debug, PartialEq)]
pub enum Prerequisite {
    /// It may be applied at once.
    None,
    /// What the replaced managers applied becomes ours: the new `managedFields`.
    Adopt(Value),
    /// A field that we alone own goes to its autoscaler: the object that says so.
    HandOver(Value),
}

/// One object that git no longer names.
#[derive(Clone, Debug, PartialEq)]
pub struct ExtraItem {
    /// The object that git no longer names.
    pub id: Id,
    /// The wave in which it is pruned.
    pub wave: i64,
    /// The object in the cluster.
    pub live: Value,
    /// What may be done about it.
    pub decision: PruneDecision,
}

impl Item {
    /// Whether git's fields are not all live.
    pub fn is_out_of_sync(&self) -> bool {
        self.live.is_none() || !self.differences.is_empty()
    }

    /// Whether anything is to be done.
    pub fn is_pending(&self) -> bool {
        self.is_out_of_sync() || self.prerequisite != Prerequisite::None
    }

    /// The first difference, as a sentence.
    pub fn because(&self) -> String {
        match (&self.live, self.differences.first()) {
            (None, _) => format!("{} is missing", self.id),
            (_, Some(difference)) => {
                let more = self.differences.len() - 1;
                let more = if more == 0 { String::new() } else { format!(", and {more} more") };
                let masked = self.id.kind == "Secret" && difference.path.starts_with(".data");
                match masked {
                    true => format!("{} differs at {}{more}", self.id, difference.path),
                    false => format!("{} differs at {}: {}{more}", self.id, difference.path, sides(difference)),
                }
            }
            (Some(_), None) => format!("{} changes hands", self.id),
        }
    }
}

fn sides(difference: &Difference) -> String {
    let short = |value: &Value| {
        let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        match text.char_indices().nth(60) {
            Some((end, _)) => format!("{}...", &text[..end]),
            None => text,
        }
    };
    match (&difference.desired, &difference.live) {
        (Value::Null, live) => format!("git no longer names {}", short(live)),
        (desired, Value::Null) => format!("git says {}, nothing lives", short(desired)),
        (desired, live) => format!("git says {}, {} lives", short(desired), short(live)),
    }
}

impl Plan {
    /// Whether anything that git names is not so.
    pub fn is_out_of_sync(&self) -> bool {
        self.namespace.is_some() || !self.extras.is_empty() || self.items.iter().any(Item::is_out_of_sync)
    }

    /// The extras that may be pruned now.
    pub fn prunable(&self) -> impl Iterator<Item = &ExtraItem> {
        let held = self.prune_hold.is_some();
        self.extras.iter().filter(move |extra| !held && extra.decision == PruneDecision::Prune)
    }

    /// Whether a sync has anything left to do.
    pub fn is_pending(&self) -> bool {
        self.namespace.is_some() || self.items.iter().any(Item::is_pending) || self.prunable().next().is_some()
    }

    /// The application's health: its worst object's. A suspended Job counts as Healthy.
    pub fn health(&self) -> Status {
        let of = |item: &Item| match (&item.live, &item.health) {
            (None, _) => Some(Status::Missing),
            (_, Some(health)) if item.id.kind == "Job" && health.status == Status::Suspended => Some(Status::Healthy),
            (_, health) => health.as_ref().map(|health| health.status),
        };
        health::worst(self.items.iter().filter_map(of))
    }
}

/// Compares; or answers every mistake that makes comparing impossible.
pub fn make(app: &Application, manifests: &[Value], objects: &Objects) -> Result<Plan, Vec<String>> {
    let mut plan = Plan { warnings: app.warnings.clone(), ..Plan::default() };
    let live: BTreeMap<Id, &Value> = objects.live.iter().map(|object| (Id::of(object), object)).collect();
    let desired = desired(app, manifests, objects, &mut plan)?;
    let autoscalers = live.values().copied().chain(desired.iter().map(|(_, object)| object));
    let targets = autoscale::targets(autoscalers);
    let mut matched = vec![0; app.rules.len()];
    let mut mistakes = Vec::new();
    for (wave, object) in &desired {
        match item(app, *wave, object, &live, &targets, &objects.judged, &mut matched) {
            Ok(item) => plan.items.push(item),
            Err(mistake) => mistakes.push(mistake),
        }
    }
    if !mistakes.is_empty() {
        return Err(mistakes);
    }
    let idle = app.rules.iter().zip(&matched).filter(|(_, matched)| **matched == 0);
    let idle = idle.map(|(rule, _)| format!("the ignoreDifferences rule for {} matches nothing", rule.spoken()));
    plan.warnings.extend(idle);
    plan.warnings.extend(advice::about(&desired.iter().map(|(_, object)| object).collect::<Vec<_>>()));
    block(app, objects, &mut plan);
    extras(app, objects, &mut plan);
    Ok(plan)
}

/// What git names, complete and in order; hooks left out aloud.
fn desired(
    app: &Application,
    manifests: &[Value],
    objects: &Objects,
    plan: &mut Plan,
) -> Result<Vec<(i64, Value)>, Vec<String>> {
    let mut desired = Vec::new();
    let mut known = BTreeSet::new();
    let mut mistakes = Vec::new();
    for object in manifests {
        if let Some(hook) = order::hook(object) {
            plan.warnings.push(format!("{} is a hook ({hook}): hooks are not run by this version", Id::of(object)));
            continue;
        }
        if object::name(object).is_empty() {
            mistakes.push(format!(
                "a {} has only generateName: what has no name cannot be compared; name it",
                object::kind(object)
            ));
            continue;
        }
        let gvk = (object::api_version(object).to_owned(), object::kind(object).to_owned());
        let served = objects.served.get(&gvk).copied().unwrap_or(Served::Missing);
        let object = prepare::complete(object.clone(), &app.namespace, served);
        let id = Id::of(&object);
        if served == Served::Namespaced && id.namespace.is_empty() {
            mistakes.push(format!("{id} names no namespace, and neither does the Application's destination: name one"));
            continue;
        }
        if !known.insert(id.clone()) {
            mistakes.push(format!("{id} is named twice in git: keep one"));
            continue;
        }
        desired.push((order::wave(&object), object));
    }
    order::sort(&mut desired);
    if mistakes.is_empty() { Ok(desired) } else { Err(mistakes) }
}

fn item(
    app: &Application,
    wave: i64,
    object: &Value,
    live: &BTreeMap<Id, &Value>,
    targets: &Targets,
    judged: &Judged,
    matched: &mut [usize],
) -> Result<Item, String> {
    let id = Id::of(object);
    let live = live.get(&id).copied();
    let autoscaler = targets.get(&id);
    let wanted = prepare::wanted(object.clone(), &app.name, live);
    let desired = prepare::compared(&wanted, autoscaler, live);
    let mut sent = desired.clone();
    let mut differences = Vec::new();
    let mut prerequisite = Prerequisite::None;
    let mut owned = Vec::new();
    if let Some(live) = live {
        let (mut ours, mut theirs) = (desired.clone(), live.clone());
        for (rule, matched) in app.rules.iter().zip(&mut *matched).filter(|(rule, _)| rule.is_about(&id)) {
            // Compared with what git wrote: a rule may name what an autoscaler owns anyway.
            let mut written = wanted.clone();
            *matched += ignore::apply(rule, live, &mut written, &mut theirs)?;
            ignore::apply(rule, live, &mut ours, &mut theirs)?;
            if ignore::respects(&wanted, app.respect) == Respect::Live {
                ignore::respect(rule, live, &mut sent)?;
            }
        }
        differences = diff::compare(&id.group, &ours, &theirs);
        differences.extend(left_git(&desired, live, autoscaler));
        prerequisite = prerequisite_of(live, autoscaler, &mut differences);
        owned.extend(autoscaler.map(|autoscaler| autoscale::sentence(live, autoscaler)));
    } else {
        for (rule, matched) in app.rules.iter().zip(&mut *matched).filter(|(rule, _)| rule.is_about(&id)) {
            *matched += ignore::apply(rule, &Value::Null, &mut wanted.clone(), &mut Value::Null)?;
        }
    }
    Ok(Item {
        wave,
        sent: prepare::sent(sent, live),
        health: live.and_then(|live| health::of(live, judged)),
        judge: judged.judge(&desired),
        live: live.cloned(),
        id,
        desired,
        differences,
        prerequisite,
        owned,
    })
}

/// Fields that we applied and git no longer names.
fn left_git(desired: &Value, live: &Value, autoscaler: Option<&Autoscaler>) -> Vec<Difference> {
    let Some(share) = fields::applied_by(live, MANAGER) else { return Vec::new() };
    if share.api_version != object::api_version(desired) {
        return Vec::new();
    }
    let dropped = fields::dropped(share.fields, desired).into_iter();
    let dropped = dropped.filter(|path| !prepare::is_left_alone(path, autoscaler));
    dropped.map(|path| Difference { path, desired: Value::Null, live: json!("a value that Bespin set") }).collect()
}

/// First the old managers' work becomes ours, then ours goes to the autoscaler.
fn prerequisite_of(live: &Value, autoscaler: Option<&Autoscaler>, differences: &mut Vec<Difference>) -> Prerequisite {
    if let Some(managed) = fields::adopted(live, MANAGER) {
        return Prerequisite::Adopt(managed);
    }
    match autoscaler.map(|autoscaler| (autoscaler, autoscale::replicas(live, autoscaler))) {
        Some((_, Replicas::HandOver { value })) => Prerequisite::HandOver(autoscale::handover(live, value)),
        Some((autoscaler, Replicas::Outside { found, corrected })) => {
            let range = format!("{} to {} of {} {}", autoscaler.min, autoscaler.max, autoscaler.kind, autoscaler.name);
            differences.push(Difference { path: ".spec.replicas".into(), desired: json!(range), live: json!(found) });
            Prerequisite::HandOver(autoscale::handover(live, corrected))
        }
        Some((_, Replicas::LeftAlone)) | None => Prerequisite::None,
    }
}

/// What stands in the way of applying: for good, or until somebody brings it.
fn block(app: &Application, objects: &Objects, plan: &mut Plan) {
    let defined: BTreeSet<_> = plan
        .items
        .iter()
        .filter(|item| item.id.kind == "CustomResourceDefinition")
        .map(|item| (item.desired["spec"]["group"].as_str(), item.desired["spec"]["names"]["kind"].as_str()))
        .collect();
    let (mut blocks, mut awaited) = (Vec::new(), Vec::new());
    let mut namespaces = BTreeSet::new();
    for item in &plan.items {
        let gvk = (object::api_version(&item.desired).to_owned(), item.id.kind.clone());
        let missing = objects.served.get(&gvk).copied().unwrap_or(Served::Missing) == Served::Missing;
        if missing && !defined.contains(&(Some(&item.id.group), Some(&item.id.kind))) {
            awaited.push(format!("{}: the cluster does not serve {} of {}; install its CRD", item.id, gvk.1, gvk.0));
        }
        if let Some(other) = item.live.as_ref().and_then(tracking::tracked_by).filter(|other| *other != app.name) {
            blocks.push(format!("{} belongs to the application `{other}`: name it in one application only", item.id));
        }
        if !item.id.namespace.is_empty() {
            namespaces.insert(item.id.namespace.clone());
        }
    }
    let named: BTreeSet<_> =
        plan.items.iter().filter(|item| item.id.kind == "Namespace").map(|item| item.id.name.clone()).collect();
    for namespace in namespaces.into_iter().filter(|name| !objects.namespaces.contains(name) && !named.contains(name)) {
        match app.create_namespace {
            CreateNamespace::Yes if namespace == app.namespace => plan.namespace = Some(namespace),
            _ => awaited
                .push(format!("the namespace {namespace} does not exist: add the sync option CreateNamespace=true")),
        }
    }
    plan.blocks.extend(blocks);
    plan.awaited.extend(awaited);
}

/// What is tracked and git no longer names.
fn extras(app: &Application, objects: &Objects, plan: &mut Plan) {
    let named: BTreeSet<&Id> = plan.items.iter().map(|item| &item.id).collect();
    let is_extra =
        |object: &&Value| tracking::tracked_by(object) == Some(&app.name) && !named.contains(&Id::of(object));
    let extras: Vec<(&Value, PruneDecision)> = objects
        .live
        .iter()
        .filter(is_extra)
        .map(|object| (object, tracking::extra(object, app.approval)))
        .filter(|(_, decision)| *decision != PruneDecision::Child)
        .collect();
    let lives: Vec<&Value> = extras.iter().map(|(object, _)| *object).collect();
    let waves = order::prune_waves(&lives, app.prune_last, plan.items.iter().map(|item| item.wave).max());
    let one = |((object, decision), wave): ((&Value, PruneDecision), i64)| ExtraItem {
        id: Id::of(object),
        wave,
        live: object.clone(),
        decision,
    };
    let found: Vec<ExtraItem> = extras.into_iter().zip(waves).map(one).collect();
    if found.is_empty() {
        return;
    }
    plan.prune_hold = match app.automated {
        _ if objects.scope == Scope::InUse => Some("nothing is pruned before a first full look".into()),
        None | Some(Automated { prune: Prune::Off, .. }) => {
            Some(format!("{} left git, and pruning is off (spec.syncPolicy.automated.prune)", found[0].id))
        }
        Some(Automated { empty: Empty::Refused, .. }) if plan.items.is_empty() => {
            Some("git names nothing at all: pruning everything needs spec.syncPolicy.automated.allowEmpty".into())
        }
        Some(_) => None,
    };
    let kept = found.iter().filter_map(|extra| match extra.decision {
        PruneDecision::Kept => Some(format!("{} left git and stays, for it says Prune=false", extra.id)),
        PruneDecision::Confirm => {
            Some(format!("{} left git and waits for argocd.argoproj.io/deletion-approved on the Application", extra.id))
        }
        _ => None,
    });
    plan.warnings.extend(kept);
    plan.extras = found;
}
