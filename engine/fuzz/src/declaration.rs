//! What a plugin declares of itself, and settings to check by it: what is said of a step before its run is what is said
//! of the same settings as the step starts.

use crate::places;
use pipeline::declaration::{Declaration, Declarations, Declared};
use pipeline::lock::{Lock, Pins};
use serde_json::{Value, json};

/// The name that the plugin goes by.
const NAME: &str = "talk";
/// The most mistakes that are told of one file.
const MOST: usize = 100;

/// Looks at bytes as a declaration, with settings in JSON below a line `---`.
pub(crate) fn check(bytes: &[u8]) {
    if let Declared::Unchecked { because } = Declared::of(Some(bytes)) {
        assert!(!because.is_empty() && !because.contains(char::is_control), "a terminal would obey {because:?}");
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (text, with) = text.split_once("\n---\n").unwrap_or((text, "{}"));
    let Ok(declaration) = Declaration::read(text) else { return };
    rows(&declaration);
    let Ok(with @ Value::Object(_)) = serde_json::from_str(with) else { return };
    agree(&declaration, &with, &Declared::of(Some(text.as_bytes())));
}

fn rows(declaration: &Declaration) {
    for row in declaration.setting_rows() {
        let told = [&row.name, &row.takes, &row.description];
        assert!(!told.into_iter().any(|text| text.contains(char::is_control)), "a terminal would obey {row:?}");
        assert!(!row.takes.is_empty(), "{row:?}");
    }
    let outputs = declaration.output_rows();
    assert!(outputs.iter().all(|row| !["outcome", "approved_by"].contains(&row.name.as_str())), "{outputs:?}");
    assert!(outputs.iter().filter_map(|row| row.when.as_ref()).all(|when| !when.starts_with(": ")), "{outputs:?}");
}

/// A file with this step has the mistakes of its settings and no others.
fn agree(declaration: &Declaration, with: &Value, declared: &Declared) {
    let file = json!({ "name": "a", "on": "push", "steps": [{ "uses": NAME, "with": with }] }).to_string();
    let read = |declared: &Declarations| pipeline::read_with("a.yaml", &file, Pins::Known(&Lock::EMPTY), declared);
    let before = read(&Declarations::NONE);
    let checked = read(&Declarations::from_iter([(NAME.to_owned(), declared.clone())]));
    places::are_within(&file, &checked.mistakes);
    places::are_within(&file, &checked.warnings);
    let Some(pipeline) = before.pipeline else { return };
    let settings = Value::Object(pipeline.steps[0].with.clone().into_iter().collect());
    if &settings != with || checked.mistakes.len() >= MOST {
        // A number that YAML writes otherwise, or more than is told.
        return;
    }
    let mut said: Vec<String> = checked.mistakes.iter().map(|one| format!("{}; {}", one.message, one.help)).collect();
    let mut starting = declaration.mistakes(NAME, with);
    for all in [&mut said, &mut starting] {
        all.sort();
        all.dedup();
    }
    assert_eq!(said, starting, "{file}");
}
