//! What is told of a run, as text that can be compared line by line.

use super::cases::Ending;
use sandbox::Verdict;
use serde_json::Value;
use similar::{ChangeTag, TextDiff};
use std::collections::BTreeMap;
use std::fmt::Write as _;

/// Everything of a run that a case may be about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// How it ended.
    pub verdict: String,
    /// Why, where it did not succeed.
    pub because: Option<String>,
    /// What it leaves for later steps.
    pub outputs: BTreeMap<String, String>,
    /// Its log, as `level: text`.
    pub log: Vec<String>,
    /// What was asked and not recorded, or recorded and not asked, each of several lines.
    pub asked: Vec<String>,
}

impl Told {
    /// Tells a verdict.
    pub fn of(verdict: &Verdict) -> Told {
        let (ending, because) = match verdict {
            Verdict::Succeeded { .. } => (Ending::Succeeded, None),
            Verdict::Rejected { because } => (Ending::Rejected, Some(because.clone())),
            Verdict::Transient { because } => (Ending::Transient, Some(because.clone())),
            Verdict::Denied(denied) => (Ending::Denied, Some(denied.to_string())),
            Verdict::Limit { which, because } => (Ending::Limit, Some(format!("{which}: {because}"))),
            Verdict::TimedOut { after } => (Ending::TimedOut, Some(format!("after {after:?}"))),
            Verdict::Trapped { because } => (Ending::Trapped, Some(because.clone())),
        };
        let outputs = match verdict {
            Verdict::Succeeded { outputs } => outputs.clone(),
            _ => BTreeMap::new(),
        };
        Told { verdict: ending.name().to_owned(), because, outputs, log: Vec::new(), asked: Vec::new() }
    }

    fn text(&self) -> String {
        let mut text = format!("verdict: {}\n", self.verdict);
        let mut line = |line: &str| writeln!(text, "{line}").expect("a text takes more text");
        if let Some(because) = &self.because {
            line("because:");
            because.lines().for_each(|because| line(&format!("  {because}")));
        }
        for (title, lines) in [
            ("outputs:", self.outputs.iter().map(|(name, value)| format!("{name}: {value}")).collect::<Vec<_>>()),
            ("log:", self.log.clone()),
            ("asked:", self.asked.clone()),
        ] {
            if !lines.is_empty() {
                line(title);
            }
            lines.iter().flat_map(|entry| entry.lines()).for_each(|entry| line(&format!("  {entry}")));
        }
        text
    }

    /// The lines that differ, with those around them: `-` was expected, `+` was got. `None` if there are none.
    pub fn differs(&self, expected: &Told) -> Option<String> {
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

/// JSON with its keys in order, on several lines.
pub fn pretty(value: &Value) -> String {
    format!("{:#}", sorted(value))
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Array(values) => values.iter().map(sorted).collect(),
        Value::Object(map) => {
            let map: BTreeMap<_, _> = map.iter().map(|(key, value)| (key.clone(), sorted(value))).collect();
            map.into_iter().collect()
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_differs_is_marked() {
        let told = |version: &str| Told {
            verdict: "succeeded".into(),
            because: None,
            outputs: BTreeMap::from([("version".into(), version.into()), ("lines".into(), "2".into())]),
            log: Vec::new(),
            asked: Vec::new(),
        };
        assert_eq!(told("1").differs(&told("1")), None);
        let shown = told("2").differs(&told("1")).unwrap();
        let marked: Vec<_> = shown.lines().skip(2).filter(|line| !line.starts_with("      ")).collect();
        assert_eq!(marked, ["    -   version: 1", "    +   version: 2"], "{shown}");
    }

    #[test]
    fn the_order_of_keys_is_no_difference() {
        let (one, other) = (r#"{"b":[{"d":1,"c":2}],"a":3}"#, r#"{"a":3,"b":[{"c":2,"d":1}]}"#);
        let read = |text: &str| pretty(&serde_json::from_str(text).unwrap());
        assert_eq!(read(one), read(other));
    }
}
