//! What the API server accepts and nobody can mean: manifests that do something else than they say.

use super::object::{self, Id};
use serde_json::Value;

/// A sentence with its help for each such manifest. `objects` is everything that git names.
pub(super) fn about(objects: &[&Value]) -> Vec<String> {
    let roles = objects.iter().filter(|object| matches!(object::kind(object), "Role" | "ClusterRole"));
    let roles = roles.filter(|role| grants_logs(role)).map(|role| {
        format!("{}: `logs` is no resource, so that its rule grants nothing; write `pods/log`", Id::of(role))
    });
    let rollouts = objects.iter().filter(|object| object::kind(object) == "Rollout");
    let around = rollouts.flat_map(|rollout| {
        let services = objects.iter().filter(|object| object::kind(object) == "Service");
        services.filter(|service| goes_around(service, rollout)).map(|service| {
            let (name, canary) = (object::name(rollout), &rollout["spec"]["strategy"]["canary"]);
            let stable = canary["stableService"].as_str().unwrap_or_default();
            format!(
                "{} selects the pods of both versions of the Rollout {name}, so that what is sent to it goes around \
                 the canary's weights; send it to {stable}, or through the load balancer",
                Id::of(service)
            )
        })
    });
    roles.chain(around).collect()
}

/// Source: the logs of a pod are its subresource, `pods/log`; the core group has no kind `logs`.
fn grants_logs(role: &Value) -> bool {
    let has = |rule: &Value, list: &str, word: &str| {
        rule[list].as_array().is_some_and(|words| words.iter().any(|one| one == word))
    };
    let rules = role["rules"].as_array().into_iter().flatten();
    rules.into_iter().any(|rule| has(rule, "apiGroups", "") && has(rule, "resources", "logs"))
}

/// Whether a Service sends to a routed Rollout's pods without being one of its two.
fn goes_around(service: &Value, rollout: &Value) -> bool {
    let canary = &rollout["spec"]["strategy"]["canary"];
    let own = [&canary["stableService"], &canary["canaryService"]].map(Value::as_str);
    let Some(selector) = service["spec"]["selector"].as_object().filter(|selector| !selector.is_empty()) else {
        return false;
    };
    let labels = &rollout["spec"]["template"]["metadata"]["labels"];
    let routed = own[0].is_some() && canary["trafficRouting"].is_object();
    let same_place = object::namespace(service) == object::namespace(rollout);
    let is_own = own.contains(&Some(object::name(service)));
    routed && same_place && !is_own && selector.iter().all(|(key, value)| labels[key] == *value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn logs_are_no_resource() {
        let role = |resource: &str| {
            let rule = json!({ "apiGroups": [""], "resources": ["pods", resource], "verbs": ["get"] });
            json!({ "kind": "Role", "metadata": { "name": "developer" }, "rules": [rule] })
        };
        let told = about(&[&role("logs")]);
        assert!(told.len() == 1 && told[0].contains("write `pods/log`"), "{told:?}");
        assert_eq!(about(&[&role("pods/log")]), Vec::<String>::new());
    }

    #[test]
    fn a_service_must_not_go_around_the_weights() {
        let rollout = |routing: Value| {
            json!({ "kind": "Rollout", "metadata": { "name": "was" }, "spec": {
                "strategy": { "canary": { "stableService": "was-stable", "canaryService": "was-canary", "trafficRouting": routing } },
                "template": { "metadata": { "labels": { "app": "was", "tier": "middle" } } },
            } })
        };
        let service = |name: &str, selector: Value| json!({ "kind": "Service", "metadata": { "name": name }, "spec": { "selector": selector } });
        let both = json!({ "app": "was" });
        for (rollout, service, told) in [
            (rollout(json!({ "alb": {} })), service("was-service", both.clone()), 1),
            (rollout(json!({ "alb": {} })), service("was-stable", both.clone()), 0),
            (rollout(json!({ "alb": {} })), service("was-canary", both.clone()), 0),
            (rollout(json!({ "alb": {} })), service("web", json!({ "app": "web" })), 0),
            (rollout(json!({ "alb": {} })), service("external", json!({})), 0),
            (rollout(Value::Null), service("was-service", both.clone()), 0),
            (
                rollout(json!({ "alb": {} })),
                service("one", json!({ "app": "was", "rollouts-pod-template-hash": "x" })),
                0,
            ),
        ] {
            assert_eq!(about(&[&rollout, &service]).len(), told, "{service}");
        }
    }
}
