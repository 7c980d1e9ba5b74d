//! What the built-ins declare is what their code reads, and it stands in their components.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use pipeline::declaration::{Declarations, Declared};
use pipeline::lock::{Lock, Pins};
use pipeline::permission::Ability;
use sandbox::{Verdict, inspect};
use serde_json::{Value, json};

use crate::world::{World, component, example, run};

/// Each built-in with settings that it takes; of those that have alternatives, each.
const TAKEN: [(&str, &str); 12] = [
    ("approve", "{}"),
    ("bump", r#"{ "repo": "https://host.example/a/b.git", "path": "x", "image": "i:1" }"#),
    ("canary", r#"{ "rollout": "a/b" }"#),
    ("container", r#"{ "image": "alpine" }"#),
    ("http", r#"{ "url": "https://host.example/" }"#),
    ("image", "{}"),
    ("push", r#"{ "to": "host.example/a", "tag": "v1" }"#),
    ("scan", r#"{ "report": "report.json" }"#),
    ("slack", r#"{ "text": "done" }"#),
    ("sync", r#"{ "application": "a" }"#),
    ("terraform", r#"{ "action": "plan" }"#),
    ("terraform", r#"{ "action": "apply", "plan": "p" }"#),
];

/// What a plugin says beyond the kind of a value and the names: it is not declared.
const BEYOND: [&str; 4] = ["is no status", "write either `report`", "is the answer's status already", "not both"];

/// Values of every kind that a schema tells apart.
fn values() -> Vec<Value> {
    vec![
        json!(null),
        json!(true),
        json!(5),
        json!(1.5),
        json!("odd"),
        json!(""),
        json!([]),
        json!(["odd"]),
        json!([5, true]),
        json!([null]),
        json!([["odd"]]),
        json!([["odd", "more"]]),
        json!([{ "secret": "a" }]),
        json!({}),
        json!({ "secret": "a" }),
        json!({ "secret": 5 }),
        json!({ "odd": "b" }),
        json!({ "odd": 5 }),
        json!({ "odd": ["b"] }),
        json!({ "odd": null }),
        json!({ "odd": ["b", { "secret": "a" }] }),
        json!({ "odd": { "secret": "a" } }),
        json!({ "odd": { "secret": "a", "more": "b" } }),
    ]
}

/// The mistakes that a pipeline with this step has.
fn mistakes(name: &str, with: &Value, declared: &Declarations) -> String {
    let mut step = json!({ "uses": name, "with": with });
    if name == "approve" {
        step["approval"] = json!("Go on?");
    }
    let file = json!({ "name": "a", "on": "push", "steps": [step] }).to_string();
    let read = pipeline::read_with("a.yaml", &file, Pins::Known(&Lock::EMPTY), declared);
    pipeline::lint(&read.mistakes)
}

/// Why a plugin does not take its settings, if it does not.
async fn refused(name: &str, with: &Value) -> Option<String> {
    match run(&Arc::new(World::petclinic()), name, &with.to_string(), &[]).await {
        Verdict::Rejected { because } if because.starts_with("with: ") => Some(because),
        _ => None,
    }
}

/// Every setting that a plugin names when it meets one that it does not know.
async fn read_by_code(name: &str, with: &str) -> BTreeSet<String> {
    let mut with: Value = serde_json::from_str(with).unwrap();
    with["bespin-odd"] = json!(1);
    let because = refused(name, &with).await.unwrap_or_else(|| panic!("{name} takes an unknown setting"));
    let expected = because.split_once("expected").map(|(_, expected)| expected.to_owned()).unwrap_or_default();
    expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

#[tokio::test]
async fn the_declared_settings_are_those_that_the_code_reads() {
    for (name, with) in TAKEN {
        let Declared::Known(declaration) = sandbox::declared(&fs::read(component(name)).unwrap()) else {
            panic!("{name} declares nothing; build the plugins again: cargo xtask plugins");
        };
        assert_eq!(Some(&Declared::Known(declaration.clone())), Declarations::built_in().of(name), "{name}");
        let chosen =
            serde_json::from_str::<Value>(with).unwrap()["action"].as_str().map(|one| format!("action: {one}"));
        let rows = declaration.setting_rows().into_iter().filter(|row| row.when == chosen);
        let declared: BTreeSet<String> = rows.map(|row| row.name).collect();
        assert_eq!(declared, read_by_code(name, with).await, "{name} {with}");
    }
}

#[tokio::test]
async fn what_lint_says_of_a_setting_is_what_the_plugin_says() {
    let declared = Declarations::built_in();
    let mut tried = 0;
    for (name, with) in TAKEN {
        let with: Value = serde_json::from_str(with).unwrap();
        assert_eq!(mistakes(name, &with, &declared), "", "{name}");
        assert_eq!(refused(name, &with).await, None, "{name}");
        let keys: BTreeSet<String> = with.as_object().unwrap().keys().cloned().collect();
        for key in &keys {
            let mut less = with.clone();
            less.as_object_mut().unwrap().remove(key);
            let told = mistakes(name, &less, &declared);
            assert_eq!(told.is_empty(), refused(name, &less).await.is_none_or(|why| is_beyond(&why)), "{name} {less}");
        }
        for key in read_by_code(name, &with.to_string()).await {
            for value in values() {
                let mut more = with.clone();
                more[&key] = value;
                let told = mistakes(name, &more, &declared);
                let because = refused(name, &more).await;
                let fits = because.as_deref().is_none_or(is_beyond);
                assert_eq!(told.is_empty(), fits, "{name} {more}: the plugin says {because:?}, and lint: {told}");
                tried += 1;
            }
        }
    }
    assert!(tried > 500, "only {tried} settings were tried");
}

fn is_beyond(because: &str) -> bool {
    BEYOND.iter().any(|beyond| because.contains(beyond))
}

#[test]
fn the_declared_abilities_are_those_that_the_component_imports() {
    for (name, _) in TAKEN {
        let inspected = inspect::inspect(&fs::read(component(name)).unwrap()).unwrap();
        let asks = inspected.asks.iter().filter(|ability| !ability.is_free()).map(|ability| Ability::name(*ability));
        let declared = inspected.declared.known().unwrap_or_else(|| panic!("{name} declares nothing"));
        assert_eq!(declared.abilities().collect::<BTreeSet<_>>(), asks.collect::<BTreeSet<_>>(), "{name}");
    }
}

#[test]
fn a_declaration_is_written_into_a_component_and_written_anew() {
    let wasm = fs::read(example("keep")).unwrap();
    assert_eq!(sandbox::declared(&wasm), Declared::Unchecked { because: "it declares none".to_owned() });
    let text = |name: &str| json!({ "settings": { "type": "object", "properties": { name: {} } } }).to_string();
    let first = sandbox::declare(&wasm, &text("act")).unwrap();
    let second = sandbox::declare(&first, &text("provider")).unwrap();
    let name = |wasm: &[u8]| {
        let inspected = inspect::inspect(wasm).unwrap();
        inspected.declared.known().unwrap().setting_rows().remove(0).name
    };
    assert_eq!((name(&first).as_str(), name(&second).as_str()), ("act", "provider"));
    assert_eq!(second.len() - first.len(), "provider".len() - "act".len(), "it takes the first one's place");
    assert_eq!(&first[..wasm.len()], &wasm[..], "the rest stays as it is");
    let pushed = fs::read(component("push")).unwrap();
    let over = sandbox::declare(&pushed, &text("act")).unwrap();
    assert_eq!(name(&over), "act", "the component's own counts more than the one that its language left");
    assert!(sandbox::declare(&wasm, "{}").unwrap_err().contains("missing field `settings`"));
    assert!(sandbox::declare(b"\0asm\x01\0\0\0", &text("act")).unwrap_err().contains("it is a core module"));
}
