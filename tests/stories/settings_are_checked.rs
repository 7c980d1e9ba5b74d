//! What a plugin declares of its settings and outputs is what `lint`, `plan` and `plugin inspect` go by; no server is
//! asked.

use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use world::bespin::{plugins, run};
use world::given;

const PIPELINE: &str = "name: was
on: push
steps:
  - uses: push
    with: { to: host.example/was, tga: v1 }
    grants: { registry: [host.example/was] }
  - uses: keep
    with: { act: count }
  - uses: bump
    with: { repo: https://host.example/a/b.git, path: was, image: \"${{ steps.push.imgae }}\" }
    grants: { git: [host.example/a/b] }
";

fn written(dir: &Path, name: &str, text: &str) -> PathBuf {
    let path = dir.join(name);
    std::fs::write(&path, text).expect("a file can be written");
    path
}

fn text(path: &Path) -> String {
    path.display().to_string()
}

#[test]
fn a_wrong_setting_is_told_with_its_place_before_anything_runs() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = text(&written(dir.path(), "was.yaml", PIPELINE));
    for command in ["lint", "plan"] {
        let (code, printed) = run(&[command, &file]);
        assert_eq!(code, 1, "{printed}");
        for line in [
            "was.yaml:5:35: `push` has no setting `tga`",
            "help: did you mean `tag`?",
            "was.yaml:10:83: step `push` has no output `imgae`",
            "help: did you mean `image`?",
            "note: the settings of `keep` are not checked: it does not come with Bespin",
        ] {
            assert!(printed.contains(line), "{command}: {line} is not in:\n{printed}");
        }
    }
    let well = PIPELINE.replace("tga", "tag").replace("imgae", "image");
    let file = text(&written(dir.path(), "was.yaml", &well));
    let (code, printed) = run(&["lint", &file]);
    assert_eq!(code, 0, "{printed}");
    assert!(printed.contains("was.yaml: no mistakes") && printed.contains("note: "), "{printed}");
}

#[test]
fn an_authors_declaration_is_checked_by_once_it_is_in_the_component() {
    let keep = given("BESPIN_COMPONENTS").expect("BESPIN_COMPONENTS names the components").join("examples/keep.wasm");
    let dir = tempfile::tempdir().expect("a folder");
    let component = dir.path().join("keep.wasm");
    std::fs::copy(keep, &component).expect("a file can be copied");
    let declared = json!({
        "settings": {
            "type": "object",
            "properties": {
                "act": { "enum": ["count", "read"], "description": "what it does" },
                "provider": { "type": ["string", "null"], "description": "the metric provider to ask" },
            },
            "required": ["act"],
            "additionalProperties": false,
        },
        "outputs": { "count": { "description": "how many runs there were" } },
        "may-need": ["metrics"],
    });
    let settings = text(&written(dir.path(), "settings.json", &declared.to_string()));
    let shown = text(&component);
    let (_, before) = run(&["plugin", "inspect", &shown]);
    assert!(before.contains("the settings of its steps are not checked: it declares none"), "{before}");
    let (code, printed) = run(&["plugin", "settings", &settings, &shown]);
    assert_eq!(code, 0, "{printed}");

    let (_, after) = run(&["plugin", "inspect", &shown]);
    for line in ["act           count or read; required: what it does", "count         how many runs there were"] {
        assert!(after.contains(line), "{line} is not in:\n{after}");
    }
    let (_, json) = run(&["plugin", "inspect", &shown, "--json"]);
    let json: Value = serde_json::from_str(&json).expect("JSON");
    assert_eq!((&json["settings"][0]["name"], &json["outputs"][0]["name"]), (&json!("act"), &json!("count")));

    let file = text(&written(dir.path(), "was.yaml", &PIPELINE.replace("count", "cuont")));
    let folder = text(dir.path());
    let (code, printed) = run(&["lint", &file, "--plugins", &folder]);
    assert_eq!(code, 1, "{printed}");
    assert!(printed.contains("was.yaml:8:18: `act` has no choice `cuont`"), "{printed}");
    assert!(!printed.contains("`keep` are not checked"), "{printed}");

    let odd = text(&written(dir.path(), "odd.json", r#"{ "settings": { "type": "object", "pattern": "x" } }"#));
    let (code, printed) = run(&["plugin", "settings", &odd, &shown]);
    assert_eq!(code, 1, "{printed}");
    assert!(printed.contains("unknown field `pattern`"), "{printed}");
}

#[test]
fn what_comes_with_bespin_is_inspected_with_its_settings() {
    let (code, printed) = run(&["plugin", "inspect", &text(&plugins().join("terraform.wasm"))]);
    assert_eq!(code, 0, "{printed}");
    for line in [
        "  settings  action        plan or apply; required: what is done",
        "allow-destroy true or false; `false` when absent; with `action: plan`: whether a plan may destroy",
        "  outputs   changes       `some`, or `none` where the plan changes nothing",
    ] {
        assert!(printed.contains(line), "{line} is not in:\n{printed}");
    }
}
