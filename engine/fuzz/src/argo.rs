//! Argo's kinds: an Application or a Rollout is read whole or refused in words, and no number in it is read as another.

use decide::object;
use decide::rollout::{Length, Step, spec, strategy};
use decide::sync::application::{self, Ownership};
use decide::sync::{ignore, quantity};
use serde_json::Value;

/// Looks at bytes as manifests with Argo's kinds.
pub(crate) fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    for value in decide::manifest::load(text, "a.yaml").unwrap_or_default() {
        application(&value);
        rollout(&value);
        let (mut ours, mut theirs) = (value.clone(), value.clone());
        let rules = application::read(&value).map(|application| application.rules).unwrap_or_default();
        for rule in rules {
            let _about_it_or_not = rule.is_about(&object::Id::of(&value));
            let taken = ignore::apply(&rule, &value, &mut ours, &mut theirs);
            assert!(taken.is_err() || ours == theirs, "{rule:?} takes another field from one of two that are the same");
        }
        quantities(&value);
    }
}

fn application(value: &Value) {
    let _of_git = application::on_abort(value);
    assert!(matches!(application::ownership(value), Ownership::Owned | Ownership::Observed));
    match application::read(value) {
        Ok(read) => {
            assert!(!read.source.repo_url.is_empty() && !read.source.target_revision.is_empty());
            let path = &read.source.path;
            assert!(
                !path.starts_with('/') && !path.split('/').any(|part| part == ".."),
                "{path} leaves the repository"
            );
            assert_eq!(application::read(value).as_ref(), Ok(&read));
        }
        Err(why) => assert!(!why.is_empty()),
    }
}

fn rollout(value: &Value) {
    let _services = spec::named(value);
    match spec::parse(value) {
        Ok(read) => {
            let canary = &value["spec"]["strategy"]["canary"];
            let written = canary["steps"].as_array().map_or(0, Vec::len);
            assert_eq!(read.steps.len(), written, "a step is lost");
            for (step, written) in read.steps.iter().zip(canary["steps"].as_array().into_iter().flatten()) {
                is_as_written(step, written);
            }
            assert!(!read.selector.is_empty() && !read.images.is_empty());
            assert!(read.bounds.surge > 0 || read.bounds.unavailable > 0, "nothing could ever move");
            let most = |key: &str| canary[key].as_u64();
            assert!(most("maxSurge").is_none_or(|most| u64::from(read.bounds.surge) <= most));
        }
        Err(mistakes) => {
            assert!(!mistakes.is_empty());
            let whole = |mistake: &strategy::Mistake| mistake.path.starts_with("spec") && !mistake.help.is_empty();
            assert!(mistakes.iter().all(whole), "{mistakes:?}");
        }
    }
}

fn is_as_written(step: &Step, written: &Value) {
    assert_eq!(step.weight().map(u64::from), written["setWeight"].as_u64(), "{written}");
    if let Some(Length::For(ms)) = step.pause()
        && let Some(seconds) = written["pause"]["duration"].as_u64()
    {
        assert_eq!(ms / 1000, seconds, "{written}");
    }
    assert!(!step.text().is_empty());
}

/// Every two texts and numbers of an object: the same quantity whichever comes first, and each the same as itself.
fn quantities(value: &Value) {
    let mut found = Vec::new();
    scalars(value, &mut found);
    for one in found.iter().take(20) {
        for other in found.iter().take(20) {
            assert_eq!(quantity::same(one, other), quantity::same(other, one), "{one} and {other}");
        }
        let negated = Value::from(format!("-{}", one.as_str().unwrap_or_default()));
        assert!(!quantity::same(one, &negated) || quantity::same(one, &Value::from(0)), "{one} and {negated}");
    }
}

fn scalars<'v>(value: &'v Value, found: &mut Vec<&'v Value>) {
    match value {
        Value::Object(map) => map.values().for_each(|value| scalars(value, found)),
        Value::Array(items) => items.iter().for_each(|value| scalars(value, found)),
        Value::String(_) | Value::Number(_) => found.push(value),
        Value::Null | Value::Bool(_) => {}
    }
}
