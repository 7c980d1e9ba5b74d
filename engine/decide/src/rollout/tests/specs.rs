//! What a spec may say, and how it is refused.

use super::super::*;
use super::world::SEED;
use crate::rollout::router::Router;
use serde_json::{Value, json};

fn seed() -> Value {
    serde_json::from_str(SEED).unwrap()
}

#[test]
fn the_seeds_rollout_is_read_as_it_stands() {
    let spec = spec::parse(&seed()).unwrap();
    assert_eq!(spec.steps[0], Step::WeightThenPause(10, Length::For(30_000)));
    assert_eq!(spec.steps.len(), 4);
    let Some(Router::Alb(alb)) = spec.router else { panic!("{:?}", spec.router) };
    assert_eq!(alb.ingresses, [("petclinic-ingress".to_owned(), vec![8080])]);
    assert_eq!((spec.scale_down_delay_ms, spec.abort_delay_ms), (30_000, Some(30_000)));
    assert_eq!((spec.history, spec.progress_deadline_ms), (10, 600_000));
    assert_eq!(spec::named(&seed()).0, ["was-canary", "was-stable"]);
}

#[test]
fn the_load_balancer_is_asked_about_ones_own_rollouts() {
    let mut rollout = seed();
    assert_eq!(spec::balancer_query(&rollout), None);
    rollout["metadata"]["annotations"] = json!({ crate::annotations::OWNER: "bespin" });
    let query = spec::balancer_query(&rollout).unwrap();
    assert_eq!(query.ingresses, ["petclinic-ingress"]);
    assert_eq!(query.services, ["was-canary", "was-stable"]);
    rollout["spec"]["strategy"]["canary"].as_object_mut().unwrap().remove("trafficRouting");
    assert_eq!(spec::balancer_query(&rollout), None);
}

/// One change, and the refusal's path with a part of its text.
#[track_caller]
fn refused(pointer: &str, value: Value, path: &str, part: &str) {
    let mut rollout = seed();
    let (parent, key) = pointer.rsplit_once('/').unwrap();
    rollout.pointer_mut(parent).unwrap()[key] = value;
    let mistakes = spec::parse(&rollout).expect_err("it should be refused");
    let found = mistakes.iter().find(|mistake| mistake.path == path);
    let found = found.unwrap_or_else(|| panic!("{path} is not among {mistakes:#?}"));
    assert!(found.to_string().contains(part), "{found}");
    assert!(!found.help.is_empty());
}

#[test]
fn what_is_not_followed_is_refused_by_its_name() {
    let canary = "/spec/strategy/canary";
    let at = |rest: &str| format!("{canary}/{rest}");
    refused("/spec/strategy/blueGreen", json!({}), "spec.strategy.blueGreen", "not supported");
    refused("/spec/workloadRef", json!({}), "spec.workloadRef", "not supported");
    refused("/spec/replica", json!(3), "spec.replica", "not a known field");
    refused(&at("analysis"), json!({}), "spec.strategy.canary.analysis", "not supported");
    refused(&at("dynamicStableScale"), json!("yes"), "spec.strategy.canary.dynamicStableScale", "not true or false");
    refused(&at("trafficRouting"), json!({"istio": {}}), "spec.strategy.canary.trafficRouting.istio", "not supported");
    let plugins = "spec.strategy.canary.trafficRouting.plugins";
    let named = |name: &str| format!("{plugins}[{name}]");
    refused(&at("trafficRouting/plugins"), json!({"a/b": {}}), plugins, "beside alb");
    refused(&at("trafficRouting"), json!({"plugins": {"a/b": {}, "c/d": {}}}), &named("c/d"), "a second plugin");
    refused(&at("trafficRouting"), json!({"plugins": {}}), plugins, "names no plugin");
    refused(&at("trafficRouting"), json!({"plugins": []}), plugins, "names no plugin");
    refused(&at("trafficRouting"), json!({"plugins": {"a/b": 3}}), &named("a/b"), "not an object");
    for step in ["analysis", "experiment", "setHeaderRoute", "setMirrorRoute", "plugin"] {
        let path = format!("spec.strategy.canary.steps[0].{step}");
        refused(&at("steps"), json!([{step: {}}]), &path, "not supported");
    }
    refused(&at("steps"), json!([{"setwait": 3}]), "spec.strategy.canary.steps[0].setwait", "not a known field");
}

#[test]
fn what_is_wrong_is_refused_at_its_place() {
    let at = |rest: &str| format!("/spec/strategy/canary/{rest}");
    let steps = "spec.strategy.canary.steps";
    refused(&at("steps"), json!([{"setWeight": 101}]), &format!("{steps}[0].setWeight"), "0 to 100");
    refused(&at("steps"), json!([{"setWeight": "10"}]), &format!("{steps}[0].setWeight"), "whole number");
    refused(&at("steps"), json!([{}]), &format!("{steps}[0]"), "does nothing");
    refused(
        &at("steps"),
        json!([{"pause": {"duration": "1d"}}]),
        &format!("{steps}[0].pause.duration"),
        "span of time",
    );
    refused(&at("steps"), json!([{"pause": {"length": 3}}]), &format!("{steps}[0].pause.length"), "not a known");
    refused(&at("steps"), json!({}), steps, "not a list");
    refused("/spec/replicas", json!(-1), "spec.replicas", "whole number");
    refused("/spec/minReadySeconds", json!(600), "spec.progressDeadlineSeconds", "not longer");
    refused("/spec/selector", json!(null), "spec.selector", "is missing");
    refused("/spec/selector", json!({}), "spec.selector", "every pod");
    refused("/spec/selector", json!({"matchLabels": {"app": "web"}}), "spec.template.metadata.labels.app", "web");
    refused("/spec/template", json!(null), "spec.template", "is missing");
    refused("/spec/strategy", json!({}), "spec.strategy.canary", "is missing");
    refused(&at("stableService"), json!("was-canary"), "spec.strategy.canary.canaryService", "stable");
    refused(&at("stableService"), json!(null), "spec.strategy.canary.trafficRouting", "a Service for each");
    refused(&at("maxSurge"), json!("many"), "spec.strategy.canary.maxSurge", "25%");
    let alb = at("trafficRouting/alb");
    refused(&alb, json!({"ingress": "i"}), "spec.strategy.canary.trafficRouting.alb.servicePort", "missing");
    refused(&alb, json!({"servicePort": 80}), "spec.strategy.canary.trafficRouting.alb.ingress", "missing");
}

#[test]
fn the_documents_abridged_rollout_is_refused_with_its_mends() {
    let mut rollout = seed();
    rollout["spec"].as_object_mut().unwrap().remove("selector");
    rollout["spec"]["template"].as_object_mut().unwrap().remove("metadata");
    let mistakes = spec::parse(&rollout).unwrap_err();
    assert_eq!(mistakes.len(), 1, "{mistakes:?}");
    assert!(mistakes[0].to_string().starts_with("spec.selector: is missing (help: write spec.selector.matchLabels"));
}

#[test]
fn every_bad_shape_is_refused_and_none_panics() {
    let odd = [json!(null), json!(3), json!("x"), json!([]), json!({}), json!([[]]), json!({"a": {"b": []}})];
    let pointers = [
        "/spec",
        "/spec/strategy",
        "/spec/strategy/canary",
        "/spec/strategy/canary/steps",
        "/spec/template",
        "/spec/strategy/canary/trafficRouting",
        "/spec/strategy/canary/trafficRouting/alb",
        "/spec/selector",
        "/metadata",
        "/spec/strategy/canary/steps/0",
        "/spec/strategy/canary/steps/0/pause",
    ];
    for pointer in pointers {
        for value in &odd {
            let mut rollout = seed();
            *rollout.pointer_mut(pointer).unwrap() = value.clone();
            let objects = Objects { rollout: Some(rollout), ..Objects::default() };
            let next = decide(&State::default(), &Observed::read(objects), 1);
            assert!(next.acts.is_empty() && next.record.is_empty(), "it is nobody's: {pointer} = {value}");
        }
    }
}

#[test]
fn retreat_stays_on_disk_and_abort_is_read_as_well() {
    let read = |entry: Value| serde_json::from_value::<Entry>(entry).expect("it is an entry");
    let asked = read(json!({ "kind": "asked", "body": { "action": "retreat", "through": "api" } }));
    assert_eq!(asked, Entry::Asked { action: Action::Abort, through: Through::Api });
    assert_eq!(serde_json::to_value(&asked).unwrap()["body"]["action"], "retreat", "an earlier release reads it, too");
    let abort = read(json!({ "kind": "asked", "body": { "action": "abort", "through": "api" } }));
    assert_eq!(abort, asked);
    let back = json!({ "kind": "retreated", "body": { "because": "it crashes", "cause": "failed" } });
    let aborted = read(back.clone());
    assert_eq!(aborted, Entry::Aborted { because: "it crashes".to_owned(), cause: Cause::Failed });
    assert_eq!(serde_json::to_value(&aborted).unwrap(), back, "the entry keeps its name on disk");
    let key = json!({ "run": "u/r/p/1", "step": "canary" });
    let wanted = json!({ "kind": "wanted", "body": { "key": key, "intent": { "on-timeout": "retreat" } } });
    assert!(matches!(read(wanted), Entry::Wanted { intent, .. } if intent.on_timeout == OnTimeout::Abort));
}
