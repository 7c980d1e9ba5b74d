//! A Rollout's selector, and what its template must have of it.

use super::fields::{Fields, Mistake, Mistakes};
use crate::object::images_of;
use serde_json::Value;
use std::collections::BTreeMap;

/// The labels that the selector asks for.
pub(super) fn read_selector(selector: Option<&Value>, mistakes: &mut Mistakes) -> BTreeMap<String, String> {
    let mut labels = BTreeMap::new();
    let Some(mut fields) = selector.and_then(|selector| Fields::of(selector, "spec.selector", mistakes)) else {
        let help = "write spec.selector.matchLabels with the labels of spec.template";
        mistakes.push(Mistake::new("spec.selector", "is missing", help));
        return labels;
    };
    for (key, value) in fields.take("matchLabels").and_then(Value::as_object).into_iter().flatten() {
        match value.as_str() {
            Some(value) => drop(labels.insert(key.clone(), value.to_owned())),
            None => mistakes.push(Mistake::new(
                &format!("spec.selector.matchLabels.{key}"),
                &format!("`{value}` is not text"),
                "write the value in quotes",
            )),
        }
    }
    fields.refuse(&["matchExpressions"], mistakes);
    if labels.is_empty() {
        let help = "write spec.selector.matchLabels with the labels of spec.template";
        mistakes.push(Mistake::new("spec.selector", "selects every pod", help));
    }
    labels
}

/// The images of a template, whose labels are to be those that the selector names.
pub(super) fn read_template(
    template: Option<&Value>,
    selector: &BTreeMap<String, String>,
    mistakes: &mut Mistakes,
) -> Vec<String> {
    let Some(template) = template else {
        mistakes.push(Mistake::new("spec.template", "is missing", "write the pod template"));
        return Vec::new();
    };
    for (key, value) in selector {
        if template["metadata"]["labels"][key].as_str() != Some(value) {
            let path = format!("spec.template.metadata.labels.{key}");
            let said = format!("is not `{value}`, which spec.selector asks for");
            mistakes.push(Mistake::new(&path, &said, "give the pods the labels that the selector names"));
        }
    }
    let images = images_of(template);
    if images.is_empty() {
        let help = "name at least one container with its image";
        mistakes.push(Mistake::new("spec.template.spec.containers", "has no image", help));
    }
    images
}
