//! YAML as a tree that knows where each of its parts stands.
//!
//! Only the plain part of YAML that people write is read: text keys, no
//! merge keys, no tags of one's own; everything is bounded.

use serde_json::Value;
use serde_saphyr::granit_parser::{Event, Parser, ScalarStyle, Span, Tag};
use std::collections::HashMap;
use std::ops::Range;

/// How deep a file may nest.
const DEEPEST: usize = 24;
/// How many values a file may have once its aliases are written out.
const MOST: usize = 20_000;

/// A value and its place, in bytes.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    /// Its first byte, and the one after its last.
    pub at: Range<usize>,
    pub kind: NodeKind,
}

/// What a value is.
#[derive(Clone, Debug)]
pub(crate) enum NodeKind {
    /// A text, number, truth or nothing, as it is written.
    Scalar {
        text: String,
        /// Whether it can only be a text.
        style: Style,
    },
    List(Vec<Node>),
    /// A map, in the file's order.
    Map(Vec<(MapKey, Node)>),
}

/// How a scalar is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// As it stands, so that `5` is a number.
    Plain,
    Quoted,
    /// After `|` or `>`.
    Block,
}

/// A key and its place.
#[derive(Clone, Debug)]
pub(crate) struct MapKey {
    /// Its place, in bytes.
    pub at: Range<usize>,
    pub text: String,
}

/// Something wrong at a place.
#[derive(Clone, Debug)]
pub(crate) struct YamlFault {
    pub at: Range<usize>,
    pub message: String,
    /// How to fix it.
    pub help: String,
}

impl Node {
    /// A value that stands in no file.
    pub(crate) fn of(value: &Value) -> Node {
        let scalar = |text: String, style| NodeKind::Scalar { text, style };
        let key = |text: &String| MapKey { at: 0..0, text: text.clone() };
        let kind = match value {
            Value::Null => scalar("null".to_owned(), Style::Plain),
            Value::Bool(_) | Value::Number(_) => scalar(value.to_string(), Style::Plain),
            Value::String(text) => scalar(text.clone(), Style::Quoted),
            Value::Array(items) => NodeKind::List(items.iter().map(Node::of).collect()),
            Value::Object(map) => NodeKind::Map(map.iter().map(|(name, value)| (key(name), Node::of(value))).collect()),
        };
        Node { at: 0..0, kind }
    }

    /// What a person would call it.
    pub(crate) fn name(&self) -> String {
        match &self.kind {
            NodeKind::List(_) => "a list".into(),
            NodeKind::Map(_) => "a map".into(),
            NodeKind::Scalar { .. } => match self.to_json() {
                Value::Null => "nothing".into(),
                Value::Bool(_) => "true or false".into(),
                Value::Number(_) => "a number".into(),
                _ => "a text".into(),
            },
        }
    }

    /// Whether it is left out, or `null`.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.kind, NodeKind::Scalar { text, style: Style::Plain } if matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL"))
    }

    /// The value by YAML 1.2's core schema; numbers that JSON lacks are texts.
    pub(crate) fn to_json(&self) -> Value {
        match &self.kind {
            NodeKind::List(items) => items.iter().map(Node::to_json).collect(),
            NodeKind::Map(entries) => entries.iter().map(|(key, value)| (key.text.clone(), value.to_json())).collect(),
            NodeKind::Scalar { text, style: Style::Quoted | Style::Block } => Value::String(text.clone()),
            NodeKind::Scalar { text, style: Style::Plain } => match text.as_str() {
                "" | "~" | "null" | "Null" | "NULL" => Value::Null,
                "true" | "True" | "TRUE" => Value::Bool(true),
                "false" | "False" | "FALSE" => Value::Bool(false),
                _ => number(text).unwrap_or_else(|| Value::String(text.clone())),
            },
        }
    }
}

/// Numbers as JSON writes them, and hexadecimal and octal ones. `1_000` and
/// `0777` stay texts, since people disagree about them.
fn number(text: &str) -> Option<Value> {
    if let Some(digits) = text.strip_prefix("0x") {
        return u64::from_str_radix(digits, 16).ok().filter(|_| !digits.starts_with('+')).map(Value::from);
    }
    if let Some(digits) = text.strip_prefix("0o") {
        return u64::from_str_radix(digits, 8).ok().filter(|_| !digits.starts_with('+')).map(Value::from);
    }
    let digits = text.strip_prefix('-').unwrap_or(text);
    let starts_well = digits.starts_with(|c: char| c.is_ascii_digit());
    let leading_zero = digits.len() > 1 && digits.starts_with('0') && !digits.starts_with("0.");
    (starts_well && !leading_zero)
        .then(|| serde_json::from_str::<serde_json::Number>(text).ok().map(Value::Number))
        .flatten()
}

/// Reads one document. The tree is there unless the text is no YAML at all;
/// faults are whatever is wrong besides.
pub(crate) fn load(text: &str) -> (Option<Node>, Vec<YamlFault>) {
    let mut builder = TreeBuilder { length: text.len(), ..TreeBuilder::default() };
    for event in Parser::new_from_str(text) {
        let outcome = match event {
            Ok((event, span)) => builder.take(event, &span),
            Err(error) => {
                let at = error.marker().byte_offset().unwrap_or(text.len()).min(text.len());
                builder.faults.push(syntax(at, &error.to_string()));
                return (None, builder.faults);
            }
        };
        if let Err(fault) = outcome {
            builder.faults.push(fault);
            return (None, builder.faults);
        }
    }
    (builder.root, builder.faults)
}

fn syntax(at: usize, error: &str) -> YamlFault {
    // The parser appends the place, which the mistake shows in its own way.
    let message = error.split(" at char ").next().unwrap_or(error).to_owned();
    let help = if message.contains("mapping values are not allowed") {
        "put the text in quotes if it contains `: `, or begin a new line"
    } else if message.contains("tab") {
        "indent with spaces"
    } else if message.contains("unexpected character") {
        "put the text in quotes"
    } else {
        "check the indentation, the brackets and the quotes just before this place"
    };
    YamlFault { at: at..at + 1, message: format!("this is no YAML: {message}"), help: help.to_owned() }
}

#[derive(Default)]
struct TreeBuilder {
    length: usize,
    root: Option<Node>,
    stack: Vec<Open>,
    anchors: HashMap<usize, (Node, usize)>,
    count: usize,
    documents: usize,
    faults: Vec<YamlFault>,
}

struct Open {
    start: usize,
    anchor: usize,
    items: Items,
    count_before: usize,
}

enum Items {
    List(Vec<Node>),
    Map { entries: Vec<(MapKey, Node)>, key: Option<Slot> },
}

enum Slot {
    Good(MapKey),
    /// Its value is read, so that the rest can be, and thrown away.
    Bad,
}

impl TreeBuilder {
    fn take(&mut self, event: Event<'_>, span: &Span) -> Result<(), YamlFault> {
        let at = span.byte_range().unwrap_or(0..0);
        let at = at.start.min(self.length)..at.end.min(self.length);
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    return Err(fault(at, "a second document begins here", "keep one pipeline in each file"));
                }
            }
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse_tag(tag.as_deref(), span);
                let style = match style {
                    ScalarStyle::Plain => Style::Plain,
                    ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Style::Quoted,
                    _ => Style::Block,
                };
                // The parser writes `~` where nothing is written.
                let text = match (at.is_empty() && style == Style::Plain, &tag) {
                    (true, Some(tag)) => format!("!{}", tag.suffix()),
                    (true, None) => String::new(),
                    (false, _) => text.into_owned(),
                };
                let node = Node { at, kind: NodeKind::Scalar { text, style } };
                self.count(1, &node.at)?;
                self.anchor(anchor, &node, 1);
                self.place(node);
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.refuse_tag(tag.as_deref(), span);
                self.open(at, anchor, Items::List(Vec::new()))?;
            }
            Event::MappingStart(_, anchor, tag) => {
                self.refuse_tag(tag.as_deref(), span);
                self.open(at, anchor, Items::Map { entries: Vec::new(), key: None })?;
            }
            Event::SequenceEnd | Event::MappingEnd => self.close(at.end),
            Event::Alias(anchor) => {
                let known = self.anchors.get(&anchor).cloned();
                let (node, count) = known.ok_or_else(|| {
                    fault(at.clone(), "this alias names a value that contains it", "write the value out")
                })?;
                self.count(count, &at)?;
                self.place(node);
            }
            _ => {}
        }
        Ok(())
    }

    fn refuse_tag(&mut self, tag: Option<&Tag>, span: &Span) {
        if tag.is_some() {
            let at = span.tag_span().and_then(|span| span.byte_range()).or_else(|| span.byte_range()).unwrap_or(0..0);
            self.faults.push(fault(
                at,
                "tags are not read",
                "leave it out, or put the text in quotes if it begins with `!`",
            ));
        }
    }

    fn count(&mut self, more: usize, at: &Range<usize>) -> Result<(), YamlFault> {
        self.count += more;
        if self.count > MOST {
            let message = format!("the file has more than {MOST} values, its aliases written out");
            return Err(fault(at.clone(), &message, "split the pipeline, or use fewer aliases"));
        }
        Ok(())
    }

    fn open(&mut self, at: Range<usize>, anchor: usize, items: Items) -> Result<(), YamlFault> {
        if self.stack.len() >= DEEPEST {
            return Err(fault(at, &format!("the file nests deeper than {DEEPEST} levels"), "flatten it"));
        }
        let count_before = self.count;
        self.count(1, &at)?;
        self.stack.push(Open { start: at.start, anchor, items, count_before });
        Ok(())
    }

    fn close(&mut self, end: usize) {
        let Some(open) = self.stack.pop() else { return };
        let kind = match open.items {
            Items::List(items) => NodeKind::List(items),
            Items::Map { entries, .. } => NodeKind::Map(entries),
        };
        let node = Node { at: open.start..end.max(open.start), kind };
        self.anchor(open.anchor, &node, self.count - open.count_before);
        self.place(node);
    }

    fn anchor(&mut self, anchor: usize, node: &Node, count: usize) {
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), count));
        }
    }

    /// Puts a finished value where it belongs: as an item, a key, a value or the root.
    fn place(&mut self, node: Node) {
        match self.stack.last_mut().map(|open| &mut open.items) {
            None => self.root = Some(node),
            Some(Items::List(items)) => items.push(node),
            Some(Items::Map { entries, key }) => match key.take() {
                Some(Slot::Good(key)) => entries.push((key, node)),
                Some(Slot::Bad) => {}
                None => {
                    let slot = read_key(node, entries);
                    *key = Some(slot.unwrap_or_else(|fault| {
                        self.faults.push(fault);
                        Slot::Bad
                    }));
                }
            },
        }
    }
}

fn read_key(node: Node, entries: &[(MapKey, Node)]) -> Result<Slot, YamlFault> {
    let text = match &node.kind {
        NodeKind::Scalar { text, .. } if !node.is_null() => text.clone(),
        _ => return Err(fault(node.at.clone(), &format!("a key is {}", node.name()), "write a text as the key")),
    };
    if text == "<<" {
        return Err(fault(node.at, "merge keys are not read", "write the keys out"));
    }
    if entries.iter().any(|(key, _)| key.text == text) {
        return Err(fault(node.at, &format!("the key `{text}` stands here a second time"), "keep one of them"));
    }
    Ok(Slot::Good(MapKey { at: node.at, text }))
}

fn fault(at: Range<usize>, message: &str, help: &str) -> YamlFault {
    YamlFault { at, message: message.to_owned(), help: help.to_owned() }
}
