//! The cells that several kinds have, as kubectl's printers write them (pkg/printers/internalversion).

use serde_json::{Value, json};

use crate::api::clock;
use crate::api::select::Labels;

/// The text at a pointer; empty without one.
pub(super) fn text<'v>(object: &'v Value, pointer: &str) -> &'v str {
    object.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

/// The number at a pointer; 0 without one.
pub(super) fn number(object: &Value, pointer: &str) -> i64 {
    object.pointer(pointer).and_then(Value::as_i64).unwrap_or(0)
}

/// The items of a list; none without it.
pub(super) fn items<'v>(object: &'v Value, pointer: &str) -> &'v [Value] {
    object.pointer(pointer).and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default()
}

/// The text at a pointer, or what stands for its absence.
pub(super) fn text_or<'v>(object: &'v Value, pointer: &str, absent: &'v str) -> &'v str {
    match text(object, pointer) {
        "" => absent,
        found => found,
    }
}

/// A number or a text at a pointer as a text, or what stands for its absence.
pub(super) fn shown(object: &Value, pointer: &str, absent: &str) -> String {
    match object.pointer(pointer) {
        None | Some(Value::Null) => absent.to_owned(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    }
}

/// How long ago an object was made.
pub(super) fn age(object: &Value) -> Value {
    since(text(object, "/metadata/creationTimestamp")).into()
}

/// How long ago a time was.
pub(super) fn since(time: &str) -> String {
    clock::seconds_since(time).map_or_else(|| "<unknown>".into(), |seconds| for_people(seconds as i64))
}

/// How long it is from one time to another, or to now.
pub(super) fn between(from: &str, to: &str) -> String {
    let Some(from) = clock::seconds_since(from) else {
        return String::new();
    };
    for_people((from - clock::seconds_since(to).unwrap_or(0.0)) as i64)
}

/// Seconds with two or three figures, as apimachinery's `HumanDuration` writes them.
fn for_people(seconds: i64) -> String {
    const DAYS_OF_YEAR: i64 = 365;
    let two = |whole: i64, unit: &str, rest: i64, smaller: &str| match rest {
        0 => format!("{whole}{unit}"),
        _ => format!("{whole}{unit}{rest}{smaller}"),
    };
    let (minutes, hours) = (seconds / 60, seconds / 3600);
    let days = hours / 24;
    match seconds {
        ..-1 => "<invalid>".into(),
        -1..120 => format!("{}s", seconds.max(0)),
        _ if minutes < 10 => two(minutes, "m", seconds % 60, "s"),
        _ if minutes < 180 => format!("{minutes}m"),
        _ if hours < 8 => two(hours, "h", minutes % 60, "m"),
        _ if hours < 48 => format!("{hours}h"),
        _ if days < 8 => two(days, "d", hours % 24, "h"),
        _ if days < 2 * DAYS_OF_YEAR => format!("{days}d"),
        _ if days < 8 * DAYS_OF_YEAR => two(days / DAYS_OF_YEAR, "y", days % DAYS_OF_YEAR, "d"),
        _ => format!("{}y", days / DAYS_OF_YEAR),
    }
}

/// The fields of every container, comma-separated.
pub(super) fn of_containers(object: &Value, containers: &str, field: &str) -> Value {
    let all = items(object, containers).iter().map(|container| container[field].as_str().unwrap_or_default());
    all.collect::<Vec<_>>().join(",").into()
}

/// A label selector; `<none>` without one.
pub(super) fn selector(object: &Value, pointer: &str) -> Value {
    let labels = object.pointer(pointer).and_then(Labels::of_spec).map(|labels| labels.to_string());
    labels.filter(|text| !text.is_empty()).unwrap_or_else(|| "<none>".into()).into()
}

/// A plain map of labels; `<none>` without one.
pub(super) fn labels(object: &Value, pointer: &str) -> Value {
    let map = object.pointer(pointer).and_then(Value::as_object).cloned().unwrap_or_default();
    let mut pairs: Vec<String> =
        map.iter().map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default())).collect();
    pairs.sort();
    if pairs.is_empty() { "<none>".into() } else { pairs.join(",").into() }
}

/// The first three of a list, and how many more there are.
pub(super) fn three_of(all: &[String]) -> String {
    let first = all.iter().take(3).cloned().collect::<Vec<_>>().join(",");
    match all.len() {
        ..4 => first,
        more => format!("{first} + {} more...", more - 3),
    }
}

/// The addresses of a load balancer, in order.
pub(super) fn balancer(object: &Value) -> String {
    let ingress = items(object, "/status/loadBalancer/ingress").iter();
    let mut all: Vec<&str> =
        ingress.map(|i| text_or(i, "/ip", text(i, "/hostname"))).filter(|a| !a.is_empty()).collect();
    all.sort_unstable();
    all.join(",")
}

/// The short names of a volume's access modes.
pub(super) fn modes(object: &Value, pointer: &str) -> Value {
    let all = items(object, pointer);
    let short =
        [("ReadWriteOnce", "RWO"), ("ReadOnlyMany", "ROX"), ("ReadWriteMany", "RWX"), ("ReadWriteOncePod", "RWOP")];
    let found = short.iter().filter(|(long, _)| all.iter().any(|mode| mode == long)).map(|(_, short)| *short);
    json!(found.collect::<Vec<_>>().join(","))
}

/// The name of a class, marked where it is the default one.
pub(super) fn class_name(object: &Value, annotation: &str) -> Value {
    let name = text(object, "/metadata/name");
    let default = object["metadata"]["annotations"][annotation] == "true";
    if default { format!("{name} (default)").into() } else { name.into() }
}
