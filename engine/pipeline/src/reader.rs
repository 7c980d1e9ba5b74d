//! Reads values off the tree, and notes what is wrong instead of stopping at it.

use crate::declaration::Declarations;
use crate::expr::{self, KnownNames, Piece};
use crate::lock::Pins;
use crate::mistake::{Mistake, SourceText};
use crate::tree::{MapKey, Node, NodeKind};
use std::collections::BTreeSet;
use std::ops::Range;

/// A text and where it stands.
pub(crate) type Placed = (String, Range<usize>);

/// How many mistakes are worth a person's while.
const MOST: usize = 100;

/// Collects mistakes while it reads.
pub(crate) struct FileReader<'a> {
    pub source: SourceText<'a>,
    /// What makes the file unusable.
    pub mistakes: Vec<Mistake>,
    pub warnings: Vec<Mistake>,
    /// What plugins' references by tag stand for.
    pub pins: Pins<'a>,
    /// What is known of the plugins that steps use.
    pub declared: &'a Declarations,
    /// What steps use.
    pub uses: BTreeSet<String>,
}

impl<'a> FileReader<'a> {
    /// A reader without mistakes.
    pub(crate) fn new(source: SourceText<'a>, pins: Pins<'a>, declared: &'a Declarations) -> FileReader<'a> {
        FileReader { source, mistakes: Vec::new(), warnings: Vec::new(), pins, declared, uses: BTreeSet::new() }
    }

    pub(crate) fn wrong(&mut self, at: &Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        if self.mistakes.len() < MOST {
            let mistake = self.source.mistake(at.clone(), message, help);
            self.mistakes.push(mistake);
        }
    }

    pub(crate) fn warn(&mut self, at: &Range<usize>, message: impl Into<String>, help: impl Into<String>) {
        if self.warnings.len() < MOST {
            let warning = self.source.mistake(at.clone(), message, help);
            self.warnings.push(warning);
        }
    }

    /// The entries of a node that has to be a map; anything else is noted as a mistake.
    pub(crate) fn entries<'n>(&mut self, node: &'n Node, what: &str) -> Option<&'n [(MapKey, Node)]> {
        match &node.kind {
            NodeKind::Map(entries) => Some(entries),
            _ => {
                self.wrong(
                    &head(node),
                    format!("{what} is a map, not {}", node.name()),
                    "write `key: value` lines below it",
                );
                None
            }
        }
    }

    /// Notes every key that is not among the known ones.
    pub(crate) fn known_keys(&mut self, entries: &[(MapKey, Node)], known: &[String], what: &str, hint: Hint) {
        for (key, _) in entries.iter().filter(|(key, _)| !known.contains(&key.text)) {
            let (message, help) = match hint(&key.text) {
                Some((message, help)) => (message.to_owned(), help.to_owned()),
                None => {
                    let near = expr::did_you_mean(&key.text, known.iter().map(String::as_str));
                    let all = || format!("{what} has the keys {}", known.join(", "));
                    (format!("{what} has no key `{}`", key.text), near.unwrap_or_else(all))
                }
            };
            self.wrong(&key.at, message, help);
        }
    }

    /// A text; a number or a truth is taken as it is written.
    pub(crate) fn text(&mut self, node: &Node, what: &str) -> Option<String> {
        match &node.kind {
            NodeKind::Scalar { text, .. } if !node.is_null() => Some(text.clone()),
            _ => {
                self.wrong(
                    &head(node),
                    format!("{what} is a text, not {}", node.name()),
                    "write one text, in quotes if need be",
                );
                None
            }
        }
    }

    /// A list of texts, or one text in place of a list of one.
    pub(crate) fn texts(&mut self, node: &Node, what: &str) -> Vec<Placed> {
        match &node.kind {
            NodeKind::List(items) => {
                let each = items.iter().filter_map(|item| {
                    self.text(item, &format!("an item of {what}")).map(|text| (text, item.at.clone()))
                });
                each.collect()
            }
            NodeKind::Scalar { text, .. } if !node.is_null() => vec![(text.clone(), node.at.clone())],
            _ => {
                self.wrong(
                    &head(node),
                    format!("{what} is a text or a list of texts, not {}", node.name()),
                    "write it as `[one, two]`",
                );
                Vec::new()
            }
        }
    }

    /// Checks every expression in the texts of a value.
    pub(crate) fn expressions(&mut self, node: &Node, known: &KnownNames<'_>) {
        match &node.kind {
            NodeKind::List(items) => items.iter().for_each(|item| self.expressions(item, known)),
            NodeKind::Map(entries) => {
                for (key, value) in entries {
                    if key.text.contains("${{") {
                        self.wrong(&key.at, "a key is no place for an expression", "write the key out");
                    }
                    self.expressions(value, known);
                }
            }
            NodeKind::Scalar { text, .. } => match expr::split(text) {
                Err(why) => {
                    self.wrong(&head(node), why, "close it with `}}`, or write `$${{` for the characters themselves")
                }
                Ok(pieces) => {
                    for piece in &pieces {
                        let Piece::Expression { source, nth } = piece else { continue };
                        self.expression(source, self.find_expression(node, *nth), known);
                    }
                }
            },
        }
    }

    /// Checks one expression, which stands somewhere within `at`.
    pub(crate) fn expression(&mut self, source: &str, at: Range<usize>, known: &KnownNames<'_>) {
        let offset = self.source.slice(&at).find(source).filter(|_| !source.is_empty());
        for fault in expr::check(source, known) {
            let at = match offset {
                Some(offset) if !fault.at.is_empty() => {
                    at.start + offset + fault.at.start..at.start + offset + fault.at.end
                }
                _ => at.clone(),
            };
            self.wrong(&at, fault.message, fault.help);
        }
    }

    /// The place of a scalar's `nth` expression; the scalar's own where quoting hides it.
    pub(crate) fn find_expression(&self, node: &Node, nth: usize) -> Range<usize> {
        let raw = self.source.slice(&node.at);
        let Some((start, _)) = raw.match_indices("${{").nth(nth) else { return head(node) };
        let end = raw[start..].find("}}").map_or(raw.len(), |end| start + end + 2);
        node.at.start + start..node.at.start + end
    }
}

/// What an unknown key should rather be, where it is known from elsewhere.
pub(crate) type Hint = fn(&str) -> Option<(&'static str, &'static str)>;

/// The value under a key.
pub(crate) fn field<'n>(entries: &'n [(MapKey, Node)], name: &str) -> Option<&'n Node> {
    entries.iter().find(|(key, _)| key.text == name).map(|(_, value)| value)
}

/// A value's place, or its first character if it spans much.
pub(crate) fn head(node: &Node) -> Range<usize> {
    match node.kind {
        NodeKind::Scalar { .. } => node.at.clone(),
        _ => node.at.start..node.at.start + 1,
    }
}

/// The texts without their places.
pub(crate) fn unplaced(texts: Vec<Placed>) -> Vec<String> {
    texts.into_iter().map(|(text, _)| text).collect()
}
