//! The metrics of a HorizontalPodAutoscaler in one cell.

use serde_json::Value;

use super::cells::{items, shown, text};

/// What is measured over what is wanted, for the first two metrics.
pub(super) fn targets(object: &Value) -> Value {
    let current = items(object, "/status/currentMetrics");
    let specs = items(object, "/spec/metrics");
    let all: Vec<String> =
        specs.iter().enumerate().map(|(at, spec)| metric(spec, current.get(at).unwrap_or(&Value::Null))).collect();
    let first = all.iter().take(2).cloned().collect::<Vec<_>>().join(", ");
    match all.len() {
        0 => "<none>".into(),
        1 | 2 => first.into(),
        more => format!("{first} + {} more...", more - 2).into(),
    }
}

fn metric(spec: &Value, status: &Value) -> String {
    let (source, named) = match text(spec, "/type") {
        "External" => ("external", false),
        "Pods" => ("pods", false),
        "Object" => ("object", false),
        "Resource" => ("resource", true),
        "ContainerResource" => ("containerResource", true),
        _ => return "<unknown type>".into(),
    };
    let (target, current) = (&spec[source]["target"], &status[source]["current"]);
    let of = |field: &str| shown(current, &format!("/{field}"), "<unknown>");
    let wanted = |field: &str| shown(target, &format!("/{field}"), "<auto>");
    let average = target.get("averageValue").is_some();
    match (named, average) {
        (true, true) => {
            format!("{}: {}/{}", text(&spec[source], "/name"), of("averageValue"), wanted("averageValue"))
        }
        (true, false) => {
            let percent = |value: String| if value.starts_with('<') { value } else { format!("{value}%") };
            let (is, to_be) = (percent(of("averageUtilization")), percent(wanted("averageUtilization")));
            format!("{}: {is}/{to_be}", text(&spec[source], "/name"))
        }
        (false, true) if source == "pods" => format!("{}/{}", of("averageValue"), wanted("averageValue")),
        (false, true) => format!("{}/{} (avg)", of("averageValue"), wanted("averageValue")),
        (false, false) => format!("{}/{}", of("value"), wanted("value")),
    }
}
