//! Pods and their containers, here and in templates.

use std::cmp::Ordering;

use serde_json::{Map, Value};

use super::{required, wrong};
use crate::api::quantity::Quantity;
use crate::api::refusal::Cause;

const NEGATIVE: &str = "must be greater than or equal to 0";

/// Checks a pod's spec at this path.
pub(super) fn check(path: &str, spec: &Value, causes: &mut Vec<Cause>) {
    let containers = spec["containers"].as_array().map(Vec::as_slice).unwrap_or_default();
    if containers.is_empty() {
        causes.push(required(&format!("{path}.containers")));
    }
    let mut names = Vec::new();
    for (at, container) in containers.iter().enumerate() {
        let field = |name: &str| format!("{path}.containers[{at}].{name}");
        match container["name"].as_str() {
            None | Some("") => causes.push(required(&field("name"))),
            Some(name) if names.contains(&name) => causes.push(Cause {
                reason: "FieldValueDuplicate",
                message: format!("Duplicate value: {name:?}"),
                field: field("name"),
            }),
            Some(name) => names.push(name),
        }
        if container["image"].as_str().is_none_or(str::is_empty) {
            causes.push(required(&field("image")));
        }
        resources(&field("resources"), &container["resources"], causes);
    }
}

/// The resources that containers may ask for under a name without a domain.
fn is_standard(name: &str) -> bool {
    matches!(name, "cpu" | "memory" | "ephemeral-storage") || name.starts_with("hugepages-")
}

/// Whether more of it may be promised than there is: not of a device.
fn may_be_overcommitted(name: &str) -> bool {
    (!name.contains('/') || name.contains("kubernetes.io/")) && !name.starts_with("hugepages-")
}

fn resources(path: &str, resources: &Value, causes: &mut Vec<Cause>) {
    let empty = Map::new();
    let of = |side: &str| resources[side].as_object().unwrap_or(&empty);
    for name in of("limits").keys() {
        amount(&format!("{path}.limits[{name}]"), name, &resources["limits"][name], causes);
    }
    for (name, wanted) in of("requests") {
        amount(&format!("{path}.requests[{name}]"), name, wanted, causes);
        let parsed = |value: &Value| value.as_str().and_then(|text| Quantity::parse(text).ok());
        let limit = of("limits").get(name);
        match limit.and_then(|limit| Some((limit.as_str()?, parsed(wanted)?.partial_cmp(&parsed(limit)?)?))) {
            None if limit.is_none() && !may_be_overcommitted(name) => causes.push(Cause {
                message: "Required value: Limit must be set for non overcommitable resources".into(),
                ..required(&format!("{path}.limits"))
            }),
            Some((limit, Ordering::Less | Ordering::Greater)) if !may_be_overcommitted(name) => {
                causes.push(wrong(
                    &format!("{path}.requests"),
                    wanted,
                    &format!("must be equal to {name} limit of {limit}"),
                ));
            }
            Some((limit, Ordering::Greater)) => {
                let because = format!("must be less than or equal to {name} limit of {limit}");
                causes.push(wrong(&format!("{path}.requests"), wanted, &because));
            }
            _ => {}
        }
    }
}

fn amount(field: &str, name: &str, value: &Value, causes: &mut Vec<Cause>) {
    if !name.contains('/') && !is_standard(name) {
        causes.push(wrong(field, &name.into(), "must be a standard resource type or fully qualified"));
        causes.push(wrong(field, &name.into(), "must be a standard resource for containers"));
    }
    let Some(quantity) = value.as_str().and_then(|text| Quantity::parse(text).ok()) else {
        return;
    };
    if quantity.sign() == Ordering::Less {
        causes.push(wrong(field, value, NEGATIVE));
    }
    if !may_be_overcommitted(name) && !name.starts_with("hugepages-") && !quantity.is_whole() {
        causes.push(wrong(field, value, "must be an integer"));
    }
}
