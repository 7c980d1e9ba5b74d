//! The steps of a canary, as their author wrote them.

use super::fields::{Fields, Mistake, Mistakes};
use super::hash;
use serde_json::Value;

/// One step. Its index is that of the list in the spec, for Argo's clients
/// count the same way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Send this share of the traffic, in percent, to the new version.
    Weight(u32),
    /// Wait for so long, or until somebody resumes.
    Pause(Length),
    /// The weight first; when it is there, the pause.
    WeightThenPause(u32, Length),
    /// Give the canary a number of pods of its own, apart from its weight.
    Scale(Scale),
}

/// How long a pause lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Length {
    /// For this many milliseconds.
    For(u64),
    /// Until a person resumes.
    UntilResumed,
}

/// How many pods the canary has, apart from its weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scale {
    /// Exactly this many pods, whatever the weight.
    Pods(u32),
    /// This share of the replicas, in percent; it may be more than all of them.
    Share(u32),
    /// What its weight asks for, again.
    MatchWeight,
}

impl Step {
    /// The weight that it sets, in percent.
    pub fn weight(&self) -> Option<u32> {
        match self {
            Step::Weight(weight) | Step::WeightThenPause(weight, _) => Some(*weight),
            Step::Pause(_) | Step::Scale(_) => None,
        }
    }

    /// The pause that it ends with.
    pub fn pause(&self) -> Option<Length> {
        match self {
            Step::Pause(length) | Step::WeightThenPause(_, length) => Some(*length),
            Step::Weight(_) | Step::Scale(_) => None,
        }
    }

    /// What it does, in words.
    pub fn text(&self) -> String {
        match self {
            Step::Weight(weight) => format!("send {weight} % to the canary"),
            Step::Pause(length) => length.text(),
            Step::WeightThenPause(weight, length) => format!("send {weight} % to the canary, then {}", length.text()),
            Step::Scale(Scale::Pods(pods)) => format!("give the canary {pods} pods"),
            Step::Scale(Scale::Share(share)) => format!("give the canary {share} % of the pods"),
            Step::Scale(Scale::MatchWeight) => "give the canary the pods that its weight asks for".to_owned(),
        }
    }
}

impl Length {
    /// The step as a sentence says it.
    pub fn text(self) -> String {
        match self {
            Length::For(ms) => format!("pause {}", span(ms)),
            Length::UntilResumed => "pause until somebody resumes".to_owned(),
        }
    }
}

/// A span of time in words, such as `30 s`.
pub fn span(ms: u64) -> String {
    let seconds = ms.div_ceil(1000);
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        _ if !ms.is_multiple_of(1000) && ms < 10_000 => format!("{ms} ms"),
        (0, 0, s) => format!("{s} s"),
        (0, m, 0) => format!("{m} min"),
        (0, m, s) => format!("{m} min {s} s"),
        (h, 0, 0) => format!("{h} h"),
        (h, m, _) => format!("{h} h {m} min"),
    }
}

/// Argo's `currentStepHash`: FNV-1a of the steps as Go writes them in JSON.
///
/// Source: `utils/conditions/conditions.go`, `ComputeStepHash`.
pub(super) fn hash_of(steps: Option<&Value>) -> String {
    let text = match steps.and_then(Value::as_array) {
        None => "null".to_owned(),
        Some(steps) => format!("[{}]", steps.iter().map(as_go_writes).collect::<Vec<_>>().join(",")),
    };
    hash::safe_encode(&hash::fnv1a(text.as_bytes()).to_string())
}

/// The fields in the order of Go's struct, for the hash depends on it.
fn as_go_writes(step: &Value) -> String {
    let fields = |value: &Value, order: &[&str]| -> Vec<(String, Value)> {
        let present = |key: &&str| value.get(*key).filter(|v| !v.is_null()).map(|v| ((*key).to_owned(), v.clone()));
        order.iter().filter_map(present).collect()
    };
    let written = |fields: Vec<(String, String)>| -> String {
        let fields: Vec<String> = fields.into_iter().map(|(key, value)| format!("\"{key}\":{value}")).collect();
        format!("{{{}}}", fields.join(","))
    };
    let nested = |value: &Value, order: &[&str]| {
        let kept = fields(value, order).into_iter().filter(|(_, value)| value != &Value::Bool(false));
        written(kept.map(|(key, value)| (key, value.to_string())).collect())
    };
    let parts = fields(step, &["setWeight", "pause", "setCanaryScale"]).into_iter().map(|(key, value)| {
        let text = match key.as_str() {
            "pause" => nested(&value, &["duration"]),
            "setCanaryScale" => nested(&value, &["weight", "replicas", "matchTrafficWeight"]),
            _ => value.to_string(),
        };
        (key, text)
    });
    written(parts.collect())
}

/// Whether the canary's traffic is routed, or follows from the pods alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Traffic {
    /// By weights at a router.
    Routed,
    /// By the numbers of pods.
    ByPods,
}

/// Reads the list of steps; every mistake is noted with its path.
pub(super) fn read(steps: Option<&Value>, path: &str, traffic: Traffic, mistakes: &mut Mistakes) -> Vec<Step> {
    let Some(steps) = steps.filter(|steps| !steps.is_null()) else { return Vec::new() };
    let Some(list) = steps.as_array() else {
        mistakes.push(Mistake::new(path, "is not a list", "write each step as a list item"));
        return Vec::new();
    };
    let one = |(index, step)| read_one(step, &format!("{path}[{index}]"), traffic, mistakes);
    list.iter().enumerate().filter_map(one).collect()
}

fn read_one(step: &Value, path: &str, traffic: Traffic, mistakes: &mut Mistakes) -> Option<Step> {
    let mut fields = Fields::of(step, path, mistakes)?;
    let weight = fields.number("setWeight", 0..=100, mistakes);
    let pause = fields.take("pause").and_then(|pause| read_pause(pause, &format!("{path}.pause"), mistakes));
    let scale = fields.take("setCanaryScale").and_then(|scale| {
        if traffic == Traffic::ByPods {
            mistakes.push(Mistake::new(
                &format!("{path}.setCanaryScale"),
                "has no effect without trafficRouting",
                "remove the step, or add spec.strategy.canary.trafficRouting",
            ));
        }
        read_scale(scale, &format!("{path}.setCanaryScale"), mistakes)
    });
    let empty = fields.is_empty();
    fields.refuse(
        &["analysis", "experiment", "setHeaderRoute", "setMirrorRoute", "plugin", "replicaProgressThreshold"],
        mistakes,
    );
    match (weight, pause, scale) {
        (Some(weight), None, None) => Some(Step::Weight(weight)),
        (None, Some(length), None) => Some(Step::Pause(length)),
        (Some(weight), Some(length), None) => Some(Step::WeightThenPause(weight, length)),
        (None, None, Some(scale)) => Some(Step::Scale(scale)),
        (None, None, None) => {
            if empty {
                mistakes.push(Mistake::new(path, "does nothing", "write setWeight, pause or setCanaryScale"));
            }
            None
        }
        _ => {
            mistakes.push(Mistake::new(path, "mixes setCanaryScale with another action", "write two steps"));
            None
        }
    }
}

fn read_pause(pause: &Value, path: &str, mistakes: &mut Mistakes) -> Option<Length> {
    let mut fields = Fields::of(pause, path, mistakes)?;
    let duration = fields.take("duration");
    fields.refuse(&[], mistakes);
    match duration {
        None => Some(Length::UntilResumed),
        Some(duration) => match milliseconds(duration) {
            Some(ms) => Some(Length::For(ms)),
            None => {
                let said = format!("`{duration}` is no span of time");
                mistakes.push(Mistake::new(
                    &format!("{path}.duration"),
                    &said,
                    "write seconds, or such as 30s, 5m, 1h",
                ));
                None
            }
        },
    }
}

fn read_scale(scale: &Value, path: &str, mistakes: &mut Mistakes) -> Option<Scale> {
    let mut fields = Fields::of(scale, path, mistakes)?;
    let pods = fields.number("replicas", 0..=u32::MAX, mistakes);
    // More than the whole is a number of pods like any other, not a share of the traffic.
    let share = fields.number("weight", 0..=u32::MAX, mistakes);
    let matching = fields.flag("matchTrafficWeight", mistakes).unwrap_or(false);
    fields.refuse(&[], mistakes);
    // Where it says several things, the first of these counts, as at Argo.
    match (matching, pods, share) {
        (true, ..) => Some(Scale::MatchWeight),
        (false, Some(pods), _) => Some(Scale::Pods(pods)),
        (false, None, Some(share)) => Some(Scale::Share(share)),
        (false, None, None) => {
            mistakes.push(Mistake::new(path, "says nothing", "write one of replicas, weight, matchTrafficWeight"));
            None
        }
    }
}

/// The longest span of time that Go can count, in milliseconds: some 292 years.
const LONGEST_MS: u64 = i64::MAX as u64 / 1_000_000;

/// A span of time as Argo reads it: seconds, or Go's `1h30m`, in milliseconds.
fn milliseconds(duration: &Value) -> Option<u64> {
    let text = match duration {
        Value::Number(number) => return number.as_u64().and_then(of_seconds),
        Value::String(text) => text.trim(),
        _ => return None,
    };
    if let Ok(seconds) = text.parse::<u64>() {
        return of_seconds(seconds);
    }
    let mut rest = text;
    let mut total = 0.0;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let number: f64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        total += number
            * match &rest[..letters] {
                "ms" => 1.0,
                "s" => 1000.0,
                "m" => 60_000.0,
                "h" => 3_600_000.0,
                _ => return None,
            };
        rest = &rest[letters..];
    }
    (!text.is_empty() && total <= LONGEST_MS as f64).then_some(total as u64)
}

fn of_seconds(seconds: u64) -> Option<u64> {
    seconds.checked_mul(1000).filter(|ms| *ms <= LONGEST_MS)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn spans_are_read_as_argo_reads_them() {
        let table = [
            (json!(30), Some(30_000)),
            (json!("30"), Some(30_000)),
            (json!("30s"), Some(30_000)),
            (json!("5m"), Some(300_000)),
            (json!("1h30m"), Some(5_400_000)),
            (json!("1.5s"), Some(1500)),
            (json!("200ms"), Some(200)),
            (json!("1d"), None),
            (json!("s"), None),
            (json!(""), None),
            (json!(-1), None),
            (json!(true), None),
        ];
        for (text, ms) in table {
            assert_eq!(milliseconds(&text), ms, "{text}");
        }
    }

    #[test]
    fn the_hash_is_that_of_gos_json() {
        let text = r#"[{"setWeight":10},{"pause":{}},{"pause":{"duration":"30s"}},{"setCanaryScale":{"replicas":2}}]"#;
        let expected = hash::safe_encode(&hash::fnv1a(text.as_bytes()).to_string());
        let steps = json!([
            {"setWeight": 10}, {"pause": {}}, {"pause": {"duration": "30s"}},
            {"setCanaryScale": {"matchTrafficWeight": false, "replicas": 2}}
        ]);
        assert_eq!(hash_of(Some(&steps)), expected);
        let both = r#"[{"setWeight":10,"pause":{"duration":"30s"}}]"#;
        let expected = hash::safe_encode(&hash::fnv1a(both.as_bytes()).to_string());
        assert_eq!(hash_of(Some(&json!([{"pause": {"duration": "30s"}, "setWeight": 10}]))), expected);
    }
}
