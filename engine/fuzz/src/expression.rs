//! Expressions: they are cut out of a text and put back, and what they cost and make is bounded.

use pipeline::expr::{self, ExprPlace, KnownNames, Piece, Variables};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// The longest text that an expression may make here: what it is made of is shorter by far.
const LONGEST: usize = 4 << 20;

fn scope() -> Variables {
    Variables(json!({
        "run": { "number": 55, "outcome": "failed", "succeeding": false, "title": "Größe" },
        "commit": { "short": "f31bdcc", "branch": "main", "message": "a\nb" },
        "env": { "repository": "host/petclinic-was", "empty": "" },
        "steps": { "push": { "image": "host/was:v55", "changed": "false" }, "dr-sync": { "outcome": "skipped" } },
    }))
}

/// Looks at bytes as a text with expressions, and as a condition.
pub(crate) fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let scope = scope();
    if let Ok(pieces) = expr::split(text) {
        pieces_are_of(text, &pieces);
    }
    match expr::render(&json!(text), &scope) {
        Ok(made) => assert!(made.to_string().len() <= LONGEST, "{} bytes of {text}", made.to_string().len()),
        Err(why) => assert!(!why.is_empty()),
    }
    let _holds_or_not = expr::holds(text, &scope);
    faults_are_within(text);
}

/// Put together, the pieces are the text, but for blanks beside braces.
fn pieces_are_of(text: &str, pieces: &[Piece]) {
    let whole = |piece: &Piece| match piece {
        Piece::Text(text) => text.replace("${{", "$${{"),
        Piece::Expression { source, .. } => format!("${{{{{source}}}}}"),
    };
    let bare = |text: &str| text.split_whitespace().collect::<String>();
    assert_eq!(bare(&pieces.iter().map(whole).collect::<String>()), bare(text), "{pieces:?}");
    if !text.contains("${{") {
        assert_eq!(pieces, [Piece::Text(text.to_owned())]);
    }
}

/// What can be said of an expression before anything runs names a part of it.
fn faults_are_within(source: &str) {
    let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let (env, before, steps) = (set(&["repository"]), set(&["push"]), set(&["push", "dr-sync"]));
    let (inputs, outputs) = (set(&["version", "dry-run"]), BTreeMap::from([("push".to_owned(), set(&["image"]))]));
    for place in [ExprPlace::Setting, ExprPlace::Condition, ExprPlace::Group] {
        let known = KnownNames { env: &env, inputs: &inputs, before: &before, steps: &steps, outputs: &outputs, place };
        for fault in expr::check(source, &known) {
            assert!(source.get(fault.at.clone()).is_some(), "{fault:?} is no part of {source}");
        }
    }
}
