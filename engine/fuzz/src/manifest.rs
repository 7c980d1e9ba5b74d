//! Manifests: every object has a type and a name, its JSON is read as the same again, and mistakes lie within the file.

use decide::manifest::load;
use decide::object::Id;
use serde_json::Value;

/// Looks at bytes as a file of manifests.
pub(crate) fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    match load(text, "a.yaml") {
        Ok(objects) => {
            for object in &objects {
                let id = Id::of(object);
                let metadata = &object["metadata"];
                assert!(!id.kind.is_empty() && object["apiVersion"].is_string(), "{object}");
                assert!(metadata["name"].is_string() || metadata["generateName"].is_string(), "{object}");
            }
            let documents: Vec<String> = objects.iter().map(Value::to_string).collect();
            let again = load(&documents.join("\n---\n"), "a.json");
            assert_eq!(again.as_ref(), Ok(&objects), "{documents:?}");
        }
        Err(mistakes) => {
            assert!(!mistakes.is_empty());
            // A carriage return alone ends a line of YAML as well.
            let last = text.replace("\r\n", "\n").split(['\r', '\n']).count() as u64 + 1;
            assert!(mistakes.iter().all(|mistake| mistake.line <= last && !mistake.message.is_empty()), "{mistakes:?}");
        }
    }
}
