//! What is told of a run, as text that can be compared line by line.

use sandbox::{HealthStatus, Judgement, Verdict, Verification};
use serde::Deserialize;
use serde_json::Value;
use similar::{ChangeTag, TextDiff};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Whole numbers below this one have a floating-point number of their own.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// How a call of a plugin ends.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Ending {
    /// It did what it is there for.
    Succeeded,
    /// The author of the pipeline can fix it.
    Rejected,
    /// The same step may succeed later.
    Transient,
    /// It lacked a grant.
    Denied,
    /// It exceeded a limit.
    Limit,
    /// It took too long.
    TimedOut,
    /// The component crashed in the call.
    Trapped,
}

impl Ending {
    /// As it is written in a case.
    pub(super) fn name(self) -> &'static str {
        match self {
            Ending::Succeeded => "succeeded",
            Ending::Rejected => "rejected",
            Ending::Transient => "transient",
            Ending::Denied => "denied",
            Ending::Limit => "limit",
            Ending::TimedOut => "timed-out",
            Ending::Trapped => "trapped",
        }
    }
}

/// Everything of a call that a case may be about.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct CallOutcome {
    /// How the call ended, as the verdict's word.
    pub verdict: String,
    /// Why, where it did not succeed.
    pub because: Option<String>,
    /// What the plugin answered.
    pub answer: WorldAnswer,
    /// Its log, as `level: text`.
    pub log: Vec<String>,
    /// What was asked and not recorded, or recorded and not asked, each of several lines.
    pub asked: Vec<String>,
}

/// What a plugin answers, by its world.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum WorldAnswer {
    /// Nothing beyond that it ended well.
    Nothing,
    /// A step: what it leaves for later steps.
    Outputs(BTreeMap<String, String>),
    /// How an object is. A case may leave the message open.
    Health {
        status: HealthStatus,
        message: Option<String>,
    },
    Manifests(Vec<String>),
    /// One measurement. A case may leave the message open.
    Measurement {
        value: Value,
        /// What the plugin thinks of it.
        judgement: Judgement,
        message: Option<String>,
    },
    /// Whether traffic is shared as it was asked.
    Verification(Verification),
}

impl CallOutcome {
    /// Puts a verdict and its answer into the form that is printed.
    pub(super) fn of<T>(verdict: Verdict<T>, answer: impl FnOnce(T) -> WorldAnswer) -> CallOutcome {
        let failed = |ending, because| (ending, Some(because), WorldAnswer::Nothing);
        let (ending, because, answer) = match verdict {
            Verdict::Succeeded { outputs } => (Ending::Succeeded, None, answer(outputs)),
            Verdict::Rejected { because } => failed(Ending::Rejected, because),
            Verdict::Transient { because } => failed(Ending::Transient, because),
            Verdict::Denied(denied) => failed(Ending::Denied, denied.to_string()),
            Verdict::Limit { which, because } => failed(Ending::Limit, format!("{which}: {because}")),
            Verdict::TimedOut { after } => failed(Ending::TimedOut, format!("after {after:?}")),
            Verdict::Trapped { because } => failed(Ending::Trapped, because),
        };
        CallOutcome { verdict: ending.name().to_owned(), because, answer, log: Vec::new(), asked: Vec::new() }
    }

    fn text(&self) -> String {
        let mut text = format!("verdict: {}\n", self.verdict);
        let mut line = |line: &str| writeln!(text, "{line}").expect("a text takes more text");
        if let Some(because) = &self.because {
            line("because:");
            because.lines().for_each(|because| line(&format!("  {because}")));
        }
        let answer = self.answer.lines();
        let rest = [("log:".to_owned(), self.log.clone()), ("asked:".to_owned(), self.asked.clone())];
        for (title, lines) in answer.into_iter().chain(rest) {
            if !lines.is_empty() {
                line(&title);
            }
            lines.iter().flat_map(|entry| entry.lines()).for_each(|entry| line(&format!("  {entry}")));
        }
        text
    }

    /// The lines that differ, with those around them: `-` was expected, `+` was got. `None` if there are none.
    pub(super) fn differs(&self, expected: &CallOutcome) -> Option<String> {
        let (expected, got) = (expected.text(), self.text());
        if expected == got {
            return None;
        }
        let mut shown = String::from("    - expected\n    + got\n");
        for change in TextDiff::from_lines(&expected, &got).iter_all_changes() {
            let sign = match change.tag() {
                ChangeTag::Delete => '-',
                ChangeTag::Insert => '+',
                ChangeTag::Equal => ' ',
            };
            write!(shown, "    {sign} {change}").expect("a text takes more text");
        }
        Some(shown)
    }
}

impl WorldAnswer {
    /// With the message that another has, where it leaves its own open.
    #[must_use]
    pub(super) fn or_message_of(self, other: &WorldAnswer) -> WorldAnswer {
        let theirs = match other {
            WorldAnswer::Health { message, .. } | WorldAnswer::Measurement { message, .. } => message.clone(),
            _ => None,
        };
        match self {
            WorldAnswer::Health { status, message } => WorldAnswer::Health { status, message: message.or(theirs) },
            WorldAnswer::Measurement { value, judgement, message } => {
                WorldAnswer::Measurement { value, judgement, message: message.or(theirs) }
            }
            other => other,
        }
    }

    fn lines(&self) -> Vec<(String, Vec<String>)> {
        let why = |message: &Option<String>| format!("message: {}", message.as_deref().unwrap_or_default());
        match self {
            WorldAnswer::Nothing => Vec::new(),
            WorldAnswer::Outputs(outputs) => {
                let line = |(name, value): (&String, &String)| format!("{name}: {value}");
                vec![("outputs:".to_owned(), outputs.iter().map(line).collect())]
            }
            WorldAnswer::Health { status, message } => {
                vec![("health:".to_owned(), vec![format!("status: {}", status.name()), why(message)])]
            }
            // A text's last line break is told, too: a manifest without it is another text.
            WorldAnswer::Manifests(texts) => {
                let shown = |text: &String| text.split('\n').map(|line| format!("|{line}")).collect();
                texts.iter().enumerate().map(|(at, text)| (format!("manifest {}:", at + 1), shown(text))).collect()
            }
            WorldAnswer::Measurement { value, judgement, message } => {
                let lines =
                    vec![format!("value: {}", pretty(value)), format!("judgement: {}", judgement.name()), why(message)];
                vec![("measurement:".to_owned(), lines)]
            }
            WorldAnswer::Verification(verification) => {
                vec![("verification:".to_owned(), vec![verification.name().to_owned()])]
            }
        }
    }
}

/// JSON with its keys in order, on several lines; `1.0` is `1`.
pub(super) fn pretty(value: &Value) -> String {
    format!("{:#}", sorted(value))
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Array(values) => values.iter().map(sorted).collect(),
        Value::Object(map) => {
            let map: BTreeMap<_, _> = map.iter().map(|(key, value)| (key.clone(), sorted(value))).collect();
            map.into_iter().collect()
        }
        // Languages differ in how they write a whole number that was computed.
        Value::Number(number) if number.is_f64() => match number.as_f64() {
            Some(float) if float.fract() == 0.0 && float.abs() < EXACT => {
                format!("{float:.0}").parse().map_or_else(|_| value.clone(), |whole: i64| Value::from(whole))
            }
            _ => value.clone(),
        },
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_marked() {
        let told = |version: &str| CallOutcome {
            verdict: "succeeded".into(),
            because: None,
            answer: WorldAnswer::Outputs(BTreeMap::from([
                ("version".into(), version.into()),
                ("lines".into(), "2".into()),
            ])),
            log: Vec::new(),
            asked: Vec::new(),
        };
        assert_eq!(told("1").differs(&told("1")), None);
        let shown = told("2").differs(&told("1")).unwrap();
        let marked: Vec<_> = shown.lines().skip(2).filter(|line| !line.starts_with("      ")).collect();
        assert_eq!(marked, ["    -   version: 1", "    +   version: 2"], "{shown}");
    }

    #[test]
    fn every_answer_is_told_whole() {
        let of = |answer: WorldAnswer| CallOutcome::of(Verdict::Succeeded { outputs: () }, |()| answer);
        let measurement =
            |value: Value| WorldAnswer::Measurement { value, judgement: Judgement::Failed, message: None };
        let texts = |texts: &[&str]| WorldAnswer::Manifests(texts.iter().map(ToString::to_string).collect());
        let health = |status| WorldAnswer::Health { status, message: Some("why".into()) };
        for (one, other) in [
            (texts(&["a\n"]), texts(&["a"])),
            (texts(&["a", "b"]), texts(&["a\nb"])),
            (texts(&[""]), texts(&[])),
            (measurement(1.into()), measurement("1".into())),
            (health(HealthStatus::Healthy), health(HealthStatus::Unknown)),
            (WorldAnswer::Verification(Verification::Verified), WorldAnswer::Nothing),
        ] {
            assert!(of(one.clone()).differs(&of(other.clone())).is_some(), "{one:?} {other:?}");
            assert_eq!(of(one.clone()).differs(&of(one)), None);
        }
        assert_eq!(of(measurement(1.into())).differs(&of(measurement(1.0.into()))), None);
        let open = WorldAnswer::Health { status: HealthStatus::Healthy, message: None };
        assert_eq!(open.or_message_of(&health(HealthStatus::Degraded)), health(HealthStatus::Healthy));
    }

    #[test]
    fn the_order_of_keys_is_no_difference() {
        let (one, other) = (r#"{"b":[{"d":1,"c":2}],"a":3}"#, r#"{"a":3,"b":[{"c":2,"d":1}]}"#);
        let read = |text: &str| pretty(&serde_json::from_str(text).unwrap());
        assert_eq!(read(one), read(other));
    }
}
