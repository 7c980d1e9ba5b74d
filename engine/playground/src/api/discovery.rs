//! What is served: groups, versions, resources; in the old form and in the aggregated one.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Value, json};

use super::kind::{Kind, Kinds};

const VERBS: &[&str] = &["create", "delete", "deletecollection", "get", "list", "patch", "update", "watch"];

const CUSTOM_VERBS: &[&str] = &["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];

fn verbs(kind: &Kind) -> &'static [&'static str] {
    if kind.custom { CUSTOM_VERBS } else { VERBS }
}

/// The document at a discovery path; `None` when it is none.
pub(super) fn document(kinds: &Kinds, path: &str, aggregated: bool, host: &str) -> Option<Value> {
    let segments: Vec<&str> = path.split('/').filter(|s| !s.is_empty()).collect();
    match segments.as_slice() {
        ["version"] => Some(json!({
            "major": "1", "minor": "36", "gitVersion": "v1.36.2+playground", "gitCommit": "", "gitTreeState": "clean",
            "buildDate": "2026-01-01T00:00:00Z", "goVersion": "", "compiler": "", "platform": "linux/amd64",
        })),
        ["api"] if aggregated => Some(aggregate(kinds, |group| group.is_empty())),
        ["apis"] if aggregated => Some(aggregate(kinds, |group| !group.is_empty())),
        ["api"] => Some(json!({"kind": "APIVersions", "versions": ["v1"],
            "serverAddressByClientCIDRs": [{"clientCIDR": "0.0.0.0/0", "serverAddress": host}]})),
        ["apis"] => {
            let groups: Vec<Value> = groups(kinds).into_iter().filter(|(g, _)| !g.is_empty()).map(group).collect();
            Some(json!({"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}))
        }
        ["apis", name] => {
            let found = groups(kinds).into_iter().find(|(g, _)| g == name)?;
            let mut document = json!({"kind": "APIGroup", "apiVersion": "v1"});
            if let (Some(all), Value::Object(fields)) = (document.as_object_mut(), group(found)) {
                all.extend(fields);
            }
            Some(document)
        }
        ["api", version] => resources(kinds, "", version),
        ["apis", group, version] => resources(kinds, group, version),
        _ => None,
    }
}

/// Group, then version, then kinds; in the order of the table.
type Groups = Vec<(String, Vec<(String, Vec<Arc<Kind>>)>)>;

fn groups(kinds: &Kinds) -> Groups {
    let mut order: Vec<String> = Vec::new();
    let mut all: BTreeMap<String, BTreeMap<String, Vec<Arc<Kind>>>> = BTreeMap::new();
    for kind in kinds.all() {
        if !order.contains(&kind.group) {
            order.push(kind.group.clone());
        }
        all.entry(kind.group.clone()).or_default().entry(kind.version.clone()).or_default().push(kind.clone());
    }
    let sorted = |group: String| {
        let mut versions: Vec<_> = all.remove(&group).unwrap_or_default().into_iter().collect();
        // Stable versions come before beta and alpha ones; among those, the higher number first.
        versions.sort_by_key(|(version, _)| (stability(version), std::cmp::Reverse(version.clone())));
        (group, versions)
    };
    order.into_iter().map(sorted).collect()
}

fn stability(version: &str) -> u8 {
    match version {
        v if v.contains("alpha") => 2,
        v if v.contains("beta") => 1,
        _ => 0,
    }
}

/// The versions of a group, each with its kinds.
type Versions = Vec<(String, Vec<Arc<Kind>>)>;

fn group((name, versions): (String, Versions)) -> Value {
    let versions: Vec<Value> =
        versions.iter().map(|(v, _)| json!({"groupVersion": format!("{name}/{v}"), "version": v})).collect();
    json!({"name": name, "versions": versions, "preferredVersion": versions[0]})
}

fn resources(kinds: &Kinds, group: &str, version: &str) -> Option<Value> {
    let mut list = Vec::new();
    for kind in kinds.all().filter(|k| k.group == group && k.version == version) {
        let mut resource = json!({"name": kind.plural, "singularName": kind.singular, "namespaced": kind.namespaced(),
            "kind": kind.kind, "verbs": verbs(kind)});
        if !kind.short.is_empty() {
            resource["shortNames"] = json!(kind.short);
        }
        if let Some(categories) = categories(kind) {
            resource["categories"] = categories;
        }
        list.push(resource);
        for sub in subresources(kind) {
            let mut resource = json!({"name": format!("{}/{}", kind.plural, sub.name), "singularName": "",
                "namespaced": kind.namespaced(), "kind": sub.kind, "verbs": sub.verbs});
            if let Some((group, version)) = group_of(&sub.kind) {
                resource["group"] = group.into();
                resource["version"] = version.into();
            }
            list.push(resource);
        }
    }
    if list.is_empty() {
        return None;
    }
    let group_version = if group.is_empty() { version.to_owned() } else { format!("{group}/{version}") };
    Some(json!({"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": group_version, "resources": list}))
}

fn categories(kind: &Kind) -> Option<Value> {
    let all = ["Pod", "Service", "Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "CronJob"];
    (all.contains(&kind.kind.as_str()) || kind.kind == "HorizontalPodAutoscaler").then(|| json!(["all"]))
}

struct Subresource {
    name: &'static str,
    kind: String,
    verbs: &'static [&'static str],
}

/// The group and version of what a subresource takes, where they are not its resource's own.
fn group_of(kind: &str) -> Option<(&'static str, &'static str)> {
    match kind {
        "Scale" => Some(("autoscaling", "v1")),
        "Eviction" => Some(("policy", "v1")),
        _ => None,
    }
}

fn subresources(kind: &Kind) -> Vec<Subresource> {
    let mut list = Vec::new();
    if kind.kind == "Pod" {
        list.push(Subresource { name: "binding", kind: "Binding".into(), verbs: &["create"] });
        list.push(Subresource { name: "eviction", kind: "Eviction".into(), verbs: &["create"] });
    }
    if kind.scale.is_some() {
        list.push(Subresource { name: "scale", kind: "Scale".into(), verbs: &["get", "patch", "update"] });
    }
    if kind.status {
        list.push(Subresource { name: "status", kind: kind.kind.clone(), verbs: &["get", "patch", "update"] });
    }
    if kind.custom {
        list.reverse();
    }
    list
}

fn aggregate(kinds: &Kinds, wanted: fn(&str) -> bool) -> Value {
    let items: Vec<Value> = groups(kinds)
        .into_iter()
        .filter(|(name, _)| wanted(name))
        .map(|(name, versions)| {
            let versions: Vec<Value> = versions
                .iter()
                .map(|(version, kinds)| {
                    let resources: Vec<Value> = kinds.iter().map(|kind| aggregated(kind)).collect();
                    json!({"version": version, "resources": resources, "freshness": "Current"})
                })
                .collect();
            json!({"metadata": {"name": name, "creationTimestamp": null}, "versions": versions})
        })
        .collect();
    json!({"kind": "APIGroupDiscoveryList", "apiVersion": "apidiscovery.k8s.io/v2", "metadata": {}, "items": items})
}

fn aggregated(kind: &Kind) -> Value {
    let response = |name: &str| {
        let (group, version) = group_of(name).unwrap_or((kind.group.as_str(), kind.version.as_str()));
        json!({"group": group, "version": version, "kind": name})
    };
    let mut resource = json!({
        "resource": kind.plural,
        "responseKind": response(&kind.kind),
        "scope": if kind.namespaced() { "Namespaced" } else { "Cluster" },
        "singularResource": kind.singular,
        "verbs": verbs(kind),
    });
    if !kind.short.is_empty() {
        resource["shortNames"] = json!(kind.short);
    }
    if let Some(categories) = categories(kind) {
        resource["categories"] = categories;
    }
    let subs: Vec<Value> = subresources(kind)
        .iter()
        .map(|s| json!({"subresource": s.name, "responseKind": response(&s.kind), "verbs": s.verbs}))
        .collect();
    if !subs.is_empty() {
        resource["subresources"] = subs.into();
    }
    resource
}
