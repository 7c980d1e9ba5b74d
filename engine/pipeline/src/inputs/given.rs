//! The values of a start that stand in a file.

use crate::declaration::Declarations;
use crate::lock::{Lock, Pins};
use crate::mistake::{Mistake, SourceText};
use crate::reader::FileReader;
use crate::tree;
use serde_json::Value;
use std::collections::BTreeMap;

/// The largest file, in bytes; the values of one start are much shorter.
const LARGEST: usize = 64 << 10;

/// The inputs that a file gives: a map of values in YAML, or in JSON. Each is taken as it is written, as those of the
/// command line are: `1.10` stays a version.
///
/// # Errors
/// Every mistake in it, in the file's order.
pub fn given_in(file: &str, text: &str) -> Result<BTreeMap<String, Value>, Vec<Mistake>> {
    let (no_lock, declared) = (Lock::EMPTY, Declarations::NONE);
    let mut reader = FileReader::new(SourceText { file, text }, Pins::Known(&no_lock), &declared);
    let mut given = BTreeMap::new();
    if text.len() > LARGEST {
        let message = format!("the file has {} bytes, over the {LARGEST} that are read", text.len());
        reader.wrong(&(0..1), message, "give shorter texts");
    } else {
        let (root, faults) = tree::load(text);
        faults.into_iter().for_each(|fault| reader.wrong(&fault.at, fault.message, fault.help));
        // An empty file gives nothing.
        let root = root.filter(|root| !root.is_null());
        let entries = root.as_ref().and_then(|root| reader.entries(root, "what gives the inputs"));
        for (key, node) in entries.unwrap_or_default() {
            if let Some(text) = reader.text(node, &format!("`{}`", key.text)) {
                given.insert(key.text.clone(), Value::String(text));
            }
        }
    }
    if reader.mistakes.is_empty() { Ok(given) } else { Err(reader.mistakes) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_file_gives_values_as_they_are_written() {
        let expected = json!({ "version": "1.10", "dry-run": "true", "note": "a: b" });
        for text in [
            "version: 1.10\ndry-run: true\nnote: 'a: b'\n",
            r#"{ "version": "1.10", "dry-run": true, "note": "a: b" }"#,
            "{\n\t\"version\": 1.10,\n\t\"dry-run\": true,\n\t\"note\": \"a: b\"\n}\n",
        ] {
            assert_eq!(given_in("inputs", text).map(|given| json!(given)), Ok(expected.clone()), "{text}");
        }
        assert_eq!(given_in("inputs", ""), Ok(BTreeMap::new()));
    }

    #[test]
    fn a_file_of_something_else_is_refused_at_its_place() {
        let said = |text: &str| {
            let wrong = given_in("inputs.yaml", text).unwrap_err();
            wrong.into_iter().map(|wrong| format!("{}: {}", wrong.line, wrong.message)).collect::<Vec<_>>()
        };
        assert_eq!(said("[a, b]\n"), ["1: what gives the inputs is a map, not a list"]);
        let expected = ["1: `a` is a text, not a list", "2: `b` is a text, not nothing"];
        assert_eq!(said("a: [1]\nb:\nc: 1\n"), expected);
        assert_eq!(said(&"x".repeat(LARGEST + 1)), ["1: the file has 65537 bytes, over the 65536 that are read"]);
    }
}
