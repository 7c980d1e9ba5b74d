//! Reads a step's `approval`: what a person is asked before it starts.

use crate::reader::{FileReader, field, head};
use crate::tree::{Node, NodeKind, Style};
use crate::{duration, shape};
use serde::{Deserialize, Serialize};

/// How long an answer is waited for where the pipeline does not say, in ms.
const DAY_MS: u64 = 86_400_000;

/// The question that stands before a step.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Approval {
    /// What is asked, not yet rendered.
    pub ask: String,
    /// The names of the operators who may answer; empty means any of them.
    pub by: Vec<String>,
    /// How long an answer is waited for, in ms; none by then counts as a refusal.
    pub timeout_ms: u64,
}

impl Approval {
    /// Whose answer it takes, for people: `an operator`, or `ann or bob`.
    pub fn who(&self) -> String {
        if self.by.is_empty() { "an operator".to_owned() } else { self.by.join(" or ") }
    }
}

/// Reads an approval, and where its question stands.
pub(super) fn read<'n>(reader: &mut FileReader<'_>, node: &'n Node) -> Option<(Approval, &'n Node)> {
    let (ask, by, timeout) = match &node.kind {
        NodeKind::Scalar { .. } if !node.is_null() => (node, None, None),
        _ => {
            let entries = if node.is_null() { &[] } else { reader.entries(node, "`approval`")? };
            reader.known_keys(entries, &shape::keys::<shape::ApprovalSchema>(), "`approval`", hint);
            let Some(ask) = field(entries, "ask") else {
                reader.wrong(&head(node), "`approval` asks nothing", "add `ask: Apply to production?`");
                return None;
            };
            (ask, field(entries, "by"), field(entries, "timeout"))
        }
    };
    let text = question(reader, ask);
    let by = by.map(|node| names(reader, node)).unwrap_or_default();
    let timeout_ms = timeout.and_then(|node| duration::read(reader, node)).unwrap_or(DAY_MS);
    Some((Approval { ask: text?, by, timeout_ms }, ask))
}

fn hint(key: &str) -> Option<(&'static str, &'static str)> {
    match key {
        "message" | "question" | "prompt" | "text" => Some(("what is asked is called `ask`", "write `ask:`")),
        "reviewers" | "approvers" | "users" | "submitter" | "from" => {
            Some(("who may answer is called `by`", "write `by: [name]`"))
        }
        "duration" | "wait" => Some(("how long an answer is waited for is called `timeout`", "write `timeout: 8h`")),
        _ => None,
    }
}

fn question(reader: &mut FileReader<'_>, node: &Node) -> Option<String> {
    let text = reader.text(node, "`ask`")?;
    let is_truth = matches!(&node.kind, NodeKind::Scalar { style: Style::Plain, .. })
        && matches!(text.to_ascii_lowercase().as_str(), "true" | "false" | "yes" | "no" | "on" | "off");
    if is_truth || text.trim().is_empty() {
        let what = if is_truth { format!("`{text}` is no question") } else { "the question is empty".to_owned() };
        reader.wrong(&node.at, what, "write what a person is asked, such as `Apply to production?`");
        return None;
    }
    Some(text)
}

fn names(reader: &mut FileReader<'_>, node: &Node) -> Vec<String> {
    let names = reader.texts(node, "`by`");
    if names.is_empty() && matches!(node.kind, NodeKind::List(_)) {
        reader.wrong(&head(node), "`by` lets nobody answer", "name operators, or leave it out: then any of them may");
    }
    for (name, at) in &names {
        if name.contains("${{") {
            reader.wrong(at, "who may answer is not for an expression to say", "write the names out");
        } else if name.trim().is_empty() {
            reader.wrong(at, "a name is empty", "write the name that an operator logs in with");
        }
    }
    names.into_iter().map(|(name, _)| name).collect()
}
