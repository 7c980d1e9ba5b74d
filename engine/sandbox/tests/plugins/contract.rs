//! The contract's own laws: every line is documented, and every item says since when it is there.

use std::fs;
use std::path::Path;

/// The versions that were ever given.
const VERSIONS: [&str; 2] = ["1.0.0", "1.1.0"];

#[test]
fn every_line_is_documented_and_dated() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins/wit");
    let mut items = 0;
    for entry in fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let newest = format!("package bespin:plugin@{};", VERSIONS[VERSIONS.len() - 1]);
        assert!(text.lines().any(|line| line == newest), "{}: `{newest}` is missing", path.display());
        let mut before: Vec<&str> = Vec::new();
        for line in text.lines().map(str::trim) {
            let words = ["interface ", "world ", "record ", "enum ", "variant ", "resource ", "import ", "export "];
            let is_item = words.iter().any(|word| line.starts_with(word)) || line.contains(": func(");
            let is_silent =
                ["", "}"].contains(&line) || ["package ", "use ", "///", "@"].iter().any(|w| line.starts_with(w));
            let place = || format!("{}: `{line}`", path.display());
            if is_item {
                items += 1;
                let since = before.last().and_then(|line| line.strip_prefix("@since(version = ")?.strip_suffix(')'));
                assert!(since.is_some_and(|since| VERSIONS.contains(&since)), "{}: since when?", place());
            }
            if !is_silent && !line.starts_with("import ") && !line.starts_with("export ") {
                let documented = before.iter().rev().find(|line| !line.starts_with('@'));
                assert!(documented.is_some_and(|line| line.starts_with("/// ")), "{} says nothing of itself", place());
            }
            before.push(line);
        }
    }
    assert!(items > 80, "only {items} items were looked at");
}
