//! What an autoscaler owns: the replicas of its target, with no rule written by anyone.

use super::MANAGER;
use super::fields::{self, Operation};
use super::object::{self, Id, int_at};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// An autoscaler and the range in which it may choose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Autoscaler {
    /// `HPA` or `ScaledObject`, as people call it.
    pub kind: &'static str,
    /// The autoscaler's own name, in its target's namespace.
    pub name: String,
    /// The fewest replicas that it chooses.
    pub min: i64,
    /// The most replicas that it chooses.
    pub max: i64,
}

/// Autoscalers by their targets.
pub type Targets = BTreeMap<Id, Autoscaler>;

/// Finds the targets of all autoscalers, live ones and those that git is about to create.
pub fn targets<'a>(objects: impl IntoIterator<Item = &'a Value>) -> Targets {
    let mut targets = Targets::new();
    for object in objects {
        let (group, _) = object::group_version(object::api_version(object));
        let found = match (group, object::kind(object)) {
            ("autoscaling", "HorizontalPodAutoscaler") => horizontal(object),
            ("keda.sh", "ScaledObject") => keda(object),
            _ => None,
        };
        let Some((target, autoscaler)) = found else { continue };
        // KEDA makes an HPA of its own, whose range lacks the zero that KEDA may choose.
        let keep = targets.get(&target).is_some_and(|known| known.kind == "ScaledObject");
        if !keep {
            targets.insert(target, autoscaler);
        }
    }
    targets
}

fn horizontal(hpa: &Value) -> Option<(Id, Autoscaler)> {
    let target = target(hpa, &hpa["spec"]["scaleTargetRef"], "apps/v1", None)?;
    let min = int_at(hpa, &["spec", "minReplicas"]).unwrap_or(1);
    let max = int_at(hpa, &["spec", "maxReplicas"])?;
    Some((target, Autoscaler { kind: "HPA", name: object::name(hpa).to_owned(), min, max }))
}

/// KEDA's defaults: 0 to 100, a Deployment. Source: keda.sh, ScaledObject specification.
fn keda(scaled: &Value) -> Option<(Id, Autoscaler)> {
    let target = target(scaled, &scaled["spec"]["scaleTargetRef"], "apps/v1", Some("Deployment"))?;
    let min = int_at(scaled, &["spec", "minReplicaCount"]).unwrap_or(0);
    let idle = int_at(scaled, &["spec", "idleReplicaCount"]).unwrap_or(min);
    let max = int_at(scaled, &["spec", "maxReplicaCount"]).unwrap_or(100);
    let name = object::name(scaled).to_owned();
    Some((target, Autoscaler { kind: "ScaledObject", name, min: min.min(idle), max }))
}

fn target(autoscaler: &Value, reference: &Value, default: &str, kind: Option<&str>) -> Option<Id> {
    let api_version = reference["apiVersion"].as_str().unwrap_or(default);
    Some(Id {
        group: object::group_version(api_version).0.to_owned(),
        kind: reference["kind"].as_str().or(kind)?.to_owned(),
        namespace: object::namespace(autoscaler).to_owned(),
        name: reference["name"].as_str()?.to_owned(),
    })
}

/// What to do about the replicas of an object that an autoscaler owns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Replicas {
    /// Nothing: somebody else owns the field, or nobody does.
    LeftAlone,
    /// We alone own it: leaving it out would reset it, so it is handed over first.
    HandOver {
        /// The live value, written again under the second manager.
        value: i64,
    },
    /// Somebody set what the autoscaler may not choose.
    Outside {
        /// The live number of replicas.
        found: i64,
        /// The nearest value inside the range.
        corrected: i64,
    },
}

/// Decides about the live replicas of a target.
pub fn replicas(live: &Value, autoscaler: &Autoscaler) -> Replicas {
    let Some(found) = int_at(live, &["spec", "replicas"]) else { return Replicas::LeftAlone };
    let corrected = found.max(autoscaler.min).min(autoscaler.max.max(autoscaler.min));
    if corrected != found {
        return Replicas::Outside { found, corrected };
    }
    let owners = fields::owners(live, &["spec", "replicas"]);
    let ours = |share: &fields::Share| share.manager == MANAGER && share.operation == Operation::Apply;
    match !owners.is_empty() && owners.iter().all(ours) {
        true => Replicas::HandOver { value: found },
        false => Replicas::LeftAlone,
    }
}

/// The object that hands `spec.replicas` over: nothing but the field, tied to
/// the reading that it rests on.
pub fn handover(live: &Value, value: i64) -> Value {
    json!({
        "apiVersion": object::api_version(live), "kind": object::kind(live),
        "metadata": {
            "name": object::name(live), "namespace": object::namespace(live),
            "uid": object::uid(live), "resourceVersion": object::resource_version(live),
        },
        "spec": { "replicas": value },
    })
}

/// What the dashboard says about the field.
pub fn sentence(live: &Value, autoscaler: &Autoscaler) -> String {
    let count = int_at(live, &["spec", "replicas"]).map_or_else(|| "?".to_owned(), |count| count.to_string());
    let Autoscaler { kind, name, min, max } = autoscaler;
    format!("replicas: {count}, owned by {kind} {name}, {min} to {max}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hpa(min: Option<i64>) -> Value {
        json!({ "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
            "metadata": { "name": "was-hpa", "namespace": "petclinic" },
            "spec": { "minReplicas": min, "maxReplicas": 10,
                "scaleTargetRef": { "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "was" } } })
    }

    fn live(replicas: i64, owners: &[(&str, &str)]) -> Value {
        let entry = |(manager, operation): &(&str, &str)| json!({ "manager": manager, "operation": operation, "fieldsV1": { "f:spec": { "f:replicas": {} } } });
        let managed: Vec<_> = owners.iter().map(entry).collect();
        json!({ "spec": { "replicas": replicas }, "metadata": { "managedFields": managed } })
    }

    #[test]
    fn targets_carry_the_range_of_their_autoscaler() {
        let keda = json!({ "apiVersion": "keda.sh/v1alpha1", "kind": "ScaledObject",
            "metadata": { "name": "k", "namespace": "petclinic" }, "spec": { "scaleTargetRef": { "name": "web" } } });
        let own = json!({ "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler",
            "metadata": { "name": "keda-hpa-k", "namespace": "petclinic" },
            "spec": { "maxReplicas": 100, "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" } } });
        let found = targets([&hpa(Some(2)), &keda, &own]);
        let ranges: Vec<_> = found.iter().map(|(id, a)| (id.to_string(), a.name.as_str(), a.min, a.max)).collect();
        let expected = [
            ("Deployment/web in petclinic".to_owned(), "k", 0, 100),
            ("Rollout/was in petclinic".to_owned(), "was-hpa", 2, 10),
        ];
        assert_eq!(ranges, expected);
        let default = targets([&hpa(None)]);
        assert_eq!(default.values().next().map(|a| a.min), Some(1));
    }

    #[test]
    fn the_field_is_handed_over_only_when_we_alone_own_it() {
        let autoscaler = Autoscaler { kind: "HPA", name: "was-hpa".into(), min: 2, max: 10 };
        type Managers = &'static [(&'static str, &'static str)];
        let table: &[(i64, Managers, Replicas)] = &[
            (4, &[("kube-controller-manager", "Update")], Replicas::LeftAlone),
            (4, &[("bespin", "Apply")], Replicas::HandOver { value: 4 }),
            (4, &[("bespin", "Apply"), ("bespin-handover", "Apply")], Replicas::LeftAlone),
            (4, &[("bespin", "Apply"), ("kube-controller-manager", "Update")], Replicas::LeftAlone),
            (4, &[], Replicas::LeftAlone),
            (0, &[("kubectl", "Update")], Replicas::Outside { found: 0, corrected: 2 }),
            (20, &[("bespin", "Apply")], Replicas::Outside { found: 20, corrected: 10 }),
        ];
        for (count, owners, expected) in table {
            assert_eq!(&replicas(&live(*count, owners), &autoscaler), expected, "{count} {owners:?}");
        }
    }
}
