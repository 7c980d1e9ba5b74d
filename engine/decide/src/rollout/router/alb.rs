//! The annotations by which the AWS Load Balancer Controller is told weights.
//!
//! Source: Argo's `rollout/trafficrouting/alb/alb.go` and `utils/ingress`, and
//! the controller's own reading of `actions.<service>`.

use crate::object::text;
use crate::rollout::act::{Act, Guard};
use crate::rollout::fields::{CANARY, Fields, Mistake, Mistakes};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

/// The AWS load balancer's part of a Rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alb {
    /// Each Ingress with the ports whose weights are written there.
    pub ingresses: Vec<(String, Vec<u32>)>,
    /// The backend that the Ingress names, when it is not the stable Service.
    pub root_service: Option<String>,
    /// What the annotations' names begin with, such as `alb.ingress.kubernetes.io`.
    pub prefix: String,
    /// Seconds that a client sticks to a version.
    pub sticky_seconds: Option<u32>,
}

/// An Ingress whose traffic is shared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ingress {
    /// Name, uid and version.
    pub guard: Guard,
    /// The annotations that it has now.
    pub annotations: BTreeMap<String, String>,
    /// The actions among them that are JSON, by their annotations' names.
    actions: BTreeMap<String, Value>,
    /// The names of the actions' annotations, by the Rollouts that manage them.
    managed: BTreeMap<String, Vec<String>>,
    /// The Services whose backend takes its weights from an annotation.
    pub by_annotation: Vec<String>,
}

impl Ingress {
    /// Reads what matters of an Ingress object.
    pub fn read(ingress: &Value) -> Ingress {
        let annotations = ingress.pointer("/metadata/annotations").and_then(Value::as_object).into_iter().flatten();
        let annotations =
            annotations.filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned()))).collect();
        let list = |value: &Value, pointer: &str| {
            value.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default()
        };
        let rules = list(ingress, "/spec/rules").into_iter().flat_map(|rule| list(&rule, "/http/paths"));
        let backends = rules
            .filter_map(|path| path.get("backend").cloned())
            .chain(ingress.pointer("/spec/defaultBackend").cloned());
        let by_annotation = backends
            .filter(|backend| text(backend, "/service/port/name") == "use-annotation")
            .map(|backend| text(&backend, "/service/name"))
            .collect();
        Ingress::new(Guard::of(ingress), annotations, by_annotation)
    }

    fn new(guard: Guard, annotations: BTreeMap<String, String>, by_annotation: Vec<String>) -> Ingress {
        let actions = annotations.iter().filter(|(key, _)| key.contains(ACTIONS));
        let actions = actions.filter_map(|(key, text)| Some((key.clone(), serde_json::from_str(text).ok()?))).collect();
        let managed = annotations.get(MANAGED).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        Ingress { guard, annotations, actions, managed, by_annotation }
    }
}

/// The annotation that lists the rollouts whose actions an Ingress carries.
pub const MANAGED: &str = "rollouts.argoproj.io/managed-alb-actions";

/// What stands between the prefix and the Service in the name of an action's annotation.
const ACTIONS: &str = "/actions.";

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct AlbAction<'a> {
    r#type: &'static str,
    forward_config: Forward<'a>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Forward<'a> {
    target_groups: Vec<Group<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    target_group_stickiness_config: Option<Sticky>,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Group<'a> {
    service_name: &'a str,
    service_port: String,
    weight: u32,
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Sticky {
    enabled: bool,
    duration_seconds: u32,
}

/// The two versions' Services, and the rollout that moves them.
#[derive(Clone, Copy, Debug)]
pub struct Names<'a> {
    /// The Rollout's name, within its namespace.
    pub rollout: &'a str,
    /// The name of the canary's Service.
    pub canary: &'a str,
    /// The stable version's Service.
    pub stable: &'a str,
}

/// The annotation's key: of the root Service, or else the stable one.
pub fn key(alb: &Alb, stable: &str) -> String {
    format!("{}{ACTIONS}{}", alb.prefix, alb.root_service.as_deref().unwrap_or(stable))
}

/// The annotation's value: every port's canary first, then every port's stable
/// version. A weight of 0 is written, for what is left out counts as 1 at AWS.
pub fn action(alb: &Alb, ports: &[u32], names: Names, weight: u32) -> String {
    let shares = [(names.canary, weight), (names.stable, 100 - weight.min(100))];
    let groups = shares.into_iter().flat_map(|(service_name, weight)| {
        ports.iter().map(move |port| Group { service_name, service_port: port.to_string(), weight })
    });
    let target_groups = groups.collect();
    let sticky = alb.sticky_seconds.map(|duration_seconds| Sticky { enabled: true, duration_seconds });
    let forward_config = Forward { target_groups, target_group_stickiness_config: sticky };
    let action = AlbAction { r#type: "forward", forward_config };
    serde_json::to_string(&action).expect("names and numbers can always be written")
}

/// What an Ingress' annotations have to be; only those that differ are answered.
///
/// # Errors
/// A sentence with its help, when the Ingress has no backend that reads them.
pub fn annotations(
    alb: &Alb,
    ports: &[u32],
    ingress: &Ingress,
    names: Names,
    weight: u32,
) -> Result<BTreeMap<String, String>, String> {
    reads_actions(alb, ingress, names.stable)?;
    let key = key(alb, names.stable);
    let mut actions = ingress.managed.clone();
    // What another key has still to take back stays known.
    let gives = |key: &String| {
        let action = CarriedAction::read(ingress, key, Some(names));
        action.is_some_and(|action| action.share() > 0)
    };
    let mut keys = actions.remove(names.rollout).unwrap_or_default();
    keys.retain(|other| *other != key && gives(other));
    keys.push(key.clone());
    actions.insert(names.rollout.to_owned(), keys);
    let bookkeeping = (actions != ingress.managed)
        .then(|| (MANAGED.to_owned(), serde_json::to_string(&actions).expect("names can always be written")));
    let action = action(alb, ports, names, weight);
    let action = (ingress.annotations.get(&key) != Some(&action)).then_some((key, action));
    Ok(action.into_iter().chain(bookkeeping).collect())
}

/// Whether an Ingress has a backend that reads its action.
///
/// # Errors
/// A sentence with its help, where it has none.
fn reads_actions(alb: &Alb, ingress: &Ingress, stable: &str) -> Result<(), String> {
    let root = alb.root_service.as_deref().unwrap_or(stable);
    if ingress.by_annotation.iter().any(|service| service == root) {
        return Ok(());
    }
    Err(format!(
        "Ingress {} has no backend for Service {root} whose port is named use-annotation; give the backend that port name",
        ingress.guard.name
    ))
}

/// Whether an Ingress carries an action for a Rollout of its namespace.
pub fn carries_action(ingress: &Value, rollout: &str) -> bool {
    !keys(&Ingress::read(ingress), rollout).is_empty()
}

/// An action that shares requests between two Services.
pub(in crate::rollout) struct CarriedAction<'a> {
    action: &'a Value,
    canary: &'a str,
    share: u32,
}

impl<'a> CarriedAction<'a> {
    /// Reads an annotation of an Ingress. The canary's Service is the one that the spec names so, or else the one that it does not name
    /// the stable one; whoever wrote it has it first.
    pub(in crate::rollout) fn read(ingress: &'a Ingress, key: &str, names: Option<Names>) -> Option<CarriedAction<'a>> {
        let action = ingress.actions.get(key)?;
        let groups = action["ForwardConfig"]["TargetGroups"].as_array()?;
        let of = |group: &'a Value| Some((group["ServiceName"].as_str()?, group["Weight"].as_u64()?));
        let shares: Vec<(&str, u64)> = groups.iter().map(of).collect::<Option<_>>()?;
        let services: BTreeSet<&str> = shares.iter().map(|(name, _)| *name).collect();
        let by_name: BTreeMap<&str, u64> = shares.iter().copied().collect();
        let is_even = shares.iter().all(|(name, weight)| by_name.get(name) == Some(weight));
        if services.len() != 2 || !is_even || by_name.values().sum::<u64>() != 100 {
            return None;
        }
        let named = |name: &&&str| names.is_some_and(|names| **name == names.canary);
        let other = |name: &&&str| names.is_some_and(|names| services.contains(names.stable) && **name != names.stable);
        let canary = services.iter().find(named).or_else(|| services.iter().find(other)).copied();
        let canary = canary.unwrap_or(shares.first()?.0);
        let share = by_name.get(canary).and_then(|share| u32::try_from(*share).ok())?;
        Some(CarriedAction { action, canary, share })
    }

    /// The canary's share, in percent.
    pub(in crate::rollout) fn share(&self) -> u32 {
        self.share
    }

    /// The same action with another share.
    pub(in crate::rollout) fn with(&self, share: u32) -> String {
        let mut action = self.action.clone();
        for group in action["ForwardConfig"]["TargetGroups"].as_array_mut().into_iter().flatten() {
            let is_canary = group["ServiceName"] == self.canary;
            group["Weight"] = json!(if is_canary { share } else { 100 - share.min(100) });
        }
        action.to_string()
    }
}

/// The keys of the actions that an Ingress carries for a Rollout.
pub(in crate::rollout) fn keys<'a>(ingress: &'a Ingress, rollout: &str) -> &'a [String] {
    ingress.managed.get(rollout).map(Vec::as_slice).unwrap_or_default()
}

impl Alb {
    /// The acts that the live Ingresses lack for a weight, in percent. Where not both Services are there, the controller
    /// would follow no action that names them: then what an Ingress carries keeps its Services.
    pub(super) fn writes(
        &self,
        names: Names,
        weight: u32,
        are_there: bool,
        ingresses: &BTreeMap<String, Ingress>,
    ) -> Vec<Act> {
        let present = self.ingresses.iter().filter_map(|(name, ports)| Some((ingresses.get(name)?, ports)));
        let lacking = present.filter_map(|(ingress, ports)| {
            // An Ingress that does not read annotations is reported as a problem instead.
            let annotations = match are_there {
                true => annotations(self, ports, ingress, names, weight).unwrap_or_default(),
                false => self.reweighed(ingress, names, weight)?,
            };
            (!annotations.is_empty()).then(|| Act::Route { ingress: ingress.guard.clone(), annotations })
        });
        lacking.collect()
    }

    /// The action that an Ingress carries, with another weight.
    fn reweighed(&self, ingress: &Ingress, names: Names, weight: u32) -> Option<BTreeMap<String, String>> {
        let key = key(self, names.stable);
        let action = CarriedAction::read(ingress, &key, Some(names))?;
        (action.share() != weight).then(|| BTreeMap::from([(key, action.with(weight))]))
    }

    /// What of the Ingresses that are there keeps the load balancer from following, each with its help.
    pub(super) fn problems(&self, stable: &str, ingresses: &BTreeMap<String, Ingress>) -> Vec<String> {
        let present = self.ingresses.iter().filter_map(|(name, _)| ingresses.get(name));
        present.filter_map(|ingress| reads_actions(self, ingress, stable).err()).collect()
    }

    /// The canary's highest weight that an Ingress carries, in percent.
    pub(super) fn told(&self, names: Names, ingresses: &BTreeMap<String, Ingress>) -> u32 {
        let present = self.ingresses.iter().filter_map(|(name, _)| ingresses.get(name));
        present.filter_map(|ingress| written(self, ingress, names.canary, names.stable)).max().unwrap_or(0)
    }

    /// The canary's weight as all of the live Ingresses have it, in percent; `None` when they differ, or one of them
    /// cannot be read.
    pub fn served(&self, ingresses: &[Value], canary: &str, stable: &str) -> Option<u32> {
        let weight_at = |name: &str| {
            let ingress = ingresses.iter().find(|ingress| ingress["metadata"]["name"] == *name)?;
            written(self, &Ingress::read(ingress), canary, stable)
        };
        let mut weights = self.ingresses.iter().map(|(name, _)| weight_at(name));
        let first = weights.next()??;
        weights.all(|weight| weight == Some(first)).then_some(first)
    }
}

/// The canary's weight as an Ingress' annotation has it, when it is one that
/// names both Services and nothing else.
pub fn written(alb: &Alb, ingress: &Ingress, canary: &str, stable: &str) -> Option<u32> {
    let action = ingress.actions.get(&key(alb, stable))?;
    let groups = action["ForwardConfig"]["TargetGroups"].as_array()?;
    let weights = |service: &str| {
        let of = groups.iter().filter(|group| group["ServiceName"] == *service);
        let mut weights: Vec<u64> = of.filter_map(|group| group["Weight"].as_u64()).collect();
        weights.dedup();
        weights
    };
    match (weights(canary).as_slice(), weights(stable).as_slice()) {
        ([canary], [stable]) if canary + stable == 100 => u32::try_from(*canary).ok(),
        _ => None,
    }
}

pub(super) fn read(alb: &Value, mistakes: &mut Mistakes) -> Option<Alb> {
    let path = format!("{CANARY}.trafficRouting.alb");
    let mut fields = Fields::of(alb, &path, mistakes)?;
    let port = fields.number("servicePort", 1..=65535, mistakes);
    let single = fields.text("ingress", mistakes);
    let several = fields.take("ingresses").map(names).unwrap_or_default();
    let by_ingress = fields.take("servicePorts").map(ports).unwrap_or_default();
    let root_service = fields.text("rootService", mistakes);
    let prefix = fields.text("annotationPrefix", mistakes).unwrap_or_else(|| "alb.ingress.kubernetes.io".to_owned());
    let sticky_seconds = fields.take("stickinessConfig").and_then(|sticky| read_stickiness(sticky, &path, mistakes));
    fields.refuse(&[], mistakes);

    let all: Vec<String> = if several.is_empty() { single.into_iter().collect() } else { several };
    if all.is_empty() {
        mistakes.push(Mistake::new(
            &format!("{path}.ingress"),
            "is missing",
            "name the Ingress whose backend is weighted",
        ));
    }
    let with_ports = |name: String| {
        let own = by_ingress.iter().find(|(ingress, _)| *ingress == name).map(|(_, ports)| ports.clone());
        let ports = own.unwrap_or_else(|| port.into_iter().collect());
        (name, ports)
    };
    let ingresses: Vec<_> = all.into_iter().map(with_ports).collect();
    if ingresses.iter().any(|(_, ports)| ports.is_empty()) {
        mistakes.push(Mistake::new(&format!("{path}.servicePort"), "is missing", "write the Services' port"));
    }
    Some(Alb { ingresses, root_service, prefix, sticky_seconds })
}

fn names(list: &Value) -> Vec<String> {
    list.as_array().into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

fn ports(list: &Value) -> Vec<(String, Vec<u32>)> {
    let one = |entry: &Value| {
        let ports =
            entry["servicePorts"].as_array()?.iter().filter_map(|port| port.as_u64().and_then(|p| p.try_into().ok()));
        Some((entry["ingress"].as_str()?.to_owned(), ports.collect()))
    };
    list.as_array().into_iter().flatten().filter_map(one).collect()
}

fn read_stickiness(sticky: &Value, path: &str, mistakes: &mut Mistakes) -> Option<u32> {
    let mut fields = Fields::of(sticky, &format!("{path}.stickinessConfig"), mistakes)?;
    let enabled = fields.flag("enabled", mistakes);
    let seconds = fields.number("durationSeconds", 1..=604_800, mistakes);
    fields.refuse(&[], mistakes);
    if enabled == Some(true) && seconds.is_none() {
        let path = format!("{path}.stickinessConfig.durationSeconds");
        mistakes.push(Mistake::new(&path, "is missing", "write 1 to 604800 seconds"));
    }
    seconds.filter(|_| enabled == Some(true))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: Names = Names { rollout: "was", canary: "was-canary", stable: "was-stable" };

    fn alb(sticky_seconds: Option<u32>) -> Alb {
        let ingresses = vec![("petclinic-ingress".to_owned(), vec![8080])];
        Alb { ingresses, root_service: None, prefix: "alb.ingress.kubernetes.io".into(), sticky_seconds }
    }

    fn ingress(annotations: &[(&str, &str)], backend: &str) -> Ingress {
        let guard = Guard { name: "petclinic-ingress".into(), uid: "u".into(), resource_version: "1".into() };
        let annotations = annotations.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Ingress::new(guard, annotations, vec![backend.to_owned()])
    }

    #[test]
    fn the_action_is_written_as_the_controller_reads_it() {
        assert_eq!(key(&alb(None), "was-stable"), "alb.ingress.kubernetes.io/actions.was-stable");
        assert_eq!(
            action(&alb(None), &[8080], NAMES, 10),
            r#"{"Type":"forward","ForwardConfig":{"TargetGroups":[{"ServiceName":"was-canary","ServicePort":"8080","Weight":10},{"ServiceName":"was-stable","ServicePort":"8080","Weight":90}]}}"#
        );
        assert_eq!(
            action(&alb(Some(3600)), &[80, 443], NAMES, 0),
            r#"{"Type":"forward","ForwardConfig":{"TargetGroups":[{"ServiceName":"was-canary","ServicePort":"80","Weight":0},{"ServiceName":"was-canary","ServicePort":"443","Weight":0},{"ServiceName":"was-stable","ServicePort":"80","Weight":100},{"ServiceName":"was-stable","ServicePort":"443","Weight":100}],"TargetGroupStickinessConfig":{"Enabled":true,"DurationSeconds":3600}}}"#
        );
    }

    #[test]
    fn only_what_differs_is_written_and_other_rollouts_actions_stay() {
        let shared = ingress(&[(MANAGED, r#"{"web":["alb.ingress.kubernetes.io/actions.web"]}"#)], "was-stable");
        let first = annotations(&alb(None), &[8080], &shared, NAMES, 25).unwrap();
        assert_eq!(
            first[MANAGED],
            r#"{"was":["alb.ingress.kubernetes.io/actions.was-stable"],"web":["alb.ingress.kubernetes.io/actions.web"]}"#
        );
        let written_once = Ingress::new(shared.guard, first, shared.by_annotation);
        assert_eq!(annotations(&alb(None), &[8080], &written_once, NAMES, 25).unwrap(), BTreeMap::new());
        assert_eq!(annotations(&alb(None), &[8080], &written_once, NAMES, 50).unwrap().len(), 1);
        assert_eq!(written(&alb(None), &written_once, "was-canary", "was-stable"), Some(25));
    }

    #[test]
    fn an_ingress_that_does_not_read_annotations_is_refused() {
        let deaf = ingress(&[], "web");
        let refused = annotations(&alb(None), &[8080], &deaf, NAMES, 25).unwrap_err();
        assert!(refused.contains("use-annotation") && refused.contains("was-stable"), "{refused}");
    }

    #[test]
    fn a_weight_that_is_not_understood_is_no_weight() {
        let read = |text: &str| {
            let ingress = ingress(&[("alb.ingress.kubernetes.io/actions.was-stable", text)], "was-stable");
            written(&alb(None), &ingress, "was-canary", "was-stable")
        };
        assert_eq!(read("{}"), None);
        assert_eq!(read("nonsense"), None);
        assert_eq!(read(&action(&alb(None), &[80, 443], NAMES, 75)), Some(75));
        let other = Names { canary: "other", ..NAMES };
        assert_eq!(read(&action(&alb(None), &[80], other, 75)), None);
    }
}
