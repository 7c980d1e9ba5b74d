//! In which order objects are applied and pruned.
//!
//! Source: argo-cd gitops-engine sync_tasks.go@2c6e46a, docs/user-guide/sync-waves.md.

use super::SYNC_OPTIONS;
use super::object::{self, Id, annotation, has_option};
use serde_json::Value;
use std::collections::BTreeSet;

/// The annotation that names a wave.
pub const WAVE: &str = "argocd.argoproj.io/sync-wave";
/// The annotation that makes an object a hook.
const HOOK: &str = "argocd.argoproj.io/hook";

/// Kinds in the order of the sync; what is not here comes after all of them.
const KINDS: [&str; 33] = [
    "Namespace",
    "NetworkPolicy",
    "ResourceQuota",
    "LimitRange",
    "PodSecurityPolicy",
    "PodDisruptionBudget",
    "ServiceAccount",
    "Secret",
    "SecretList",
    "ConfigMap",
    "StorageClass",
    "PersistentVolume",
    "PersistentVolumeClaim",
    "CustomResourceDefinition",
    "ClusterRole",
    "ClusterRoleList",
    "ClusterRoleBinding",
    "ClusterRoleBindingList",
    "Role",
    "RoleList",
    "RoleBinding",
    "RoleBindingList",
    "Service",
    "DaemonSet",
    "Pod",
    "ReplicationController",
    "ReplicaSet",
    "Deployment",
    "HorizontalPodAutoscaler",
    "StatefulSet",
    "Job",
    "CronJob",
    "IngressClass",
];
/// The last two known kinds, still before the unknown ones.
const LAST: [&str; 2] = ["Ingress", "APIService"];

/// The rank of a kind; smaller goes first.
pub fn rank(kind: &str) -> usize {
    KINDS.iter().chain(&LAST).position(|known| *known == kind).unwrap_or(KINDS.len() + LAST.len())
}

/// An object's wave: 0 where it names none, or none that is a number.
pub fn wave(object: &Value) -> i64 {
    annotation(object, WAVE).and_then(|text| text.trim().parse().ok()).unwrap_or(0)
}

/// The hook that an object is, if it is one. Helm's hooks count, as in Argo CD.
pub fn hook(object: &Value) -> Option<&str> {
    annotation(object, HOOK).or_else(|| annotation(object, "helm.sh/hook")).filter(|hook| *hook != "Skip")
}

/// Sorts desired objects by wave, kind and name, and answers each one's wave:
/// a Namespace or a CRD takes over the wave of the first object that needs it.
pub fn sort(objects: &mut Vec<(i64, Value)>) {
    objects.sort_by_cached_key(|(wave, object)| key(*wave, object));
    for index in 0..objects.len() {
        let Some(first) = objects.iter().take(index).position(|(_, other)| needs(other, &objects[index].1)) else {
            continue;
        };
        let wave = objects[first].0;
        let (_, object) = objects.remove(index);
        objects.insert(first, (wave, object));
    }
}

fn key(wave: i64, object: &Value) -> (i64, usize, Id) {
    (wave, rank(object::kind(object)), Id::of(object))
}

/// Whether an object lives in this Namespace, or is of the kind that this CRD defines.
fn needs(object: &Value, other: &Value) -> bool {
    match object::kind(other) {
        "Namespace" => !object::name(other).is_empty() && object::namespace(object) == object::name(other),
        "CustomResourceDefinition" => {
            let (group, _) = object::group_version(object::api_version(object));
            other["spec"]["group"] == group && other["spec"]["names"]["kind"] == object::kind(object)
        }
        _ => false,
    }
}

/// The waves in which live objects are pruned, in their order: the distinct
/// waves mirrored, so that what came last goes first; `PruneLast` after all.
/// `last_wave` is the highest wave of the desired objects.
pub fn prune_waves(extras: &[&Value], prune_last: Last, last_wave: Option<i64>) -> Vec<i64> {
    let waves: Vec<i64> = extras.iter().map(|object| wave(object)).collect();
    let distinct: Vec<i64> = waves.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
    let mirrored = |wave: i64| {
        let index = distinct.iter().position(|known| *known == wave).unwrap_or(0);
        distinct[distinct.len() - 1 - index]
    };
    let last = distinct.last().copied().max(last_wave).unwrap_or(0).saturating_add(1);
    let one = |(object, wave): (&&Value, &i64)| match prune_last {
        Last::Yes => last,
        Last::Asked if has_option(object, SYNC_OPTIONS, "PruneLast=true") => last,
        Last::Asked => mirrored(*wave),
    };
    extras.iter().zip(&waves).map(one).collect()
}

/// Whether pruning waits for everything else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Last {
    /// The application says so for all.
    Yes,
    /// Only for objects that ask for it.
    Asked,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(kind: &str, name: &str, wave: Option<&str>) -> (i64, Value) {
        let mut object =
            json!({ "apiVersion": "v1", "kind": kind, "metadata": { "name": name, "namespace": "petclinic" } });
        if let Some(wave) = wave {
            object::set_meta(&mut object, "annotations", WAVE, wave);
        }
        (super::wave(&object), object)
    }

    fn names(objects: Vec<(i64, Value)>) -> Vec<String> {
        let mut objects = objects;
        sort(&mut objects);
        objects.iter().map(|(wave, o)| format!("{wave} {}/{}", object::kind(o), object::name(o))).collect()
    }

    #[test]
    fn waves_then_kinds_then_names() {
        let sorted = names(vec![
            object("Rollout", "was", None),
            object("Ingress", "petclinic-ingress", None),
            object("HorizontalPodAutoscaler", "was-hpa", None),
            object("Deployment", "web", None),
            object("Service", "b", None),
            object("Service", "a", None),
            object("ConfigMap", "late", Some("5")),
            object("Job", "early", Some("-1")),
            object("ConfigMap", "odd", Some("soon")),
        ]);
        let expected = [
            "-1 Job/early",
            "0 ConfigMap/odd",
            "0 Service/a",
            "0 Service/b",
            "0 Deployment/web",
            "0 HorizontalPodAutoscaler/was-hpa",
            "0 Ingress/petclinic-ingress",
            "0 Rollout/was",
            "5 ConfigMap/late",
        ];
        assert_eq!(sorted, expected);
    }

    #[test]
    fn a_namespace_goes_before_what_lives_in_it() {
        let mut namespace = object("Namespace", "petclinic", Some("3"));
        namespace.1["metadata"].as_object_mut().expect("a map").shift_remove("namespace");
        let sorted = names(vec![namespace, object("ConfigMap", "a", Some("-2")), object("ConfigMap", "b", None)]);
        assert_eq!(sorted, ["-2 Namespace/petclinic", "-2 ConfigMap/a", "0 ConfigMap/b"]);
    }

    #[test]
    fn the_ranks_follow_the_table() {
        let order = [
            "Namespace",
            "NetworkPolicy",
            "Secret",
            "ConfigMap",
            "CustomResourceDefinition",
            "Role",
            "Service",
            "Deployment",
            "HorizontalPodAutoscaler",
            "StatefulSet",
            "Job",
            "CronJob",
            "IngressClass",
            "Ingress",
            "APIService",
            "Rollout",
        ];
        assert!(order.windows(2).all(|pair| rank(pair[0]) < rank(pair[1])));
        assert_eq!(rank("Rollout"), rank("AnalysisTemplate"));
    }

    #[test]
    fn pruning_mirrors_the_waves() {
        let (a, b, c) = (object("A", "a", Some("-1")).1, object("B", "b", None).1, object("C", "c", Some("7")).1);
        assert_eq!(prune_waves(&[&a, &b, &c], Last::Asked, Some(2)), [7, 0, -1]);
        assert_eq!(prune_waves(&[&a, &c], Last::Yes, Some(2)), [8, 8]);
        let mut late = b.clone();
        object::set_meta(&mut late, "annotations", SYNC_OPTIONS, "Prune=true,PruneLast=true");
        assert_eq!(prune_waves(&[&late], Last::Asked, Some(4)), [5]);
    }
}
