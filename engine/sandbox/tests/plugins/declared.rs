//! What the built-ins declare is what their code reads, and it stands in their components.

use std::collections::BTreeSet;
use std::fs;
use std::sync::Arc;

use pipeline::declaration::{Declarations, Declared};
use pipeline::lock::{Lock, Pins};
use pipeline::permission::Ability;
use proptest::prelude::*;
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

/// What a plugin says beyond the kind of a value and the names: it is not declared. The plugin, and how the sentence begins
/// and ends around the value.
const BEYOND: [(&str, &str, &str); 2] = [
    ("http", "with: expect: `", "` is no status; write one such as 204, or 2xx"),
    ("scan", "with: write either `report`, a path, or `artifact`, a name", ""),
];

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
        // It took them, and went on.
        Verdict::Succeeded { .. } | Verdict::Rejected { .. } | Verdict::Transient { .. } | Verdict::Denied(_) => None,
        odd @ (Verdict::Limit { .. } | Verdict::TimedOut { .. } | Verdict::Trapped { .. }) => {
            panic!("{name} {with}: it neither takes nor refuses them: {odd:?}")
        }
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
    let (mut tried, mut beyond) = (0, BTreeSet::new());
    for (name, with) in TAKEN {
        let with: Value = serde_json::from_str(with).unwrap();
        assert_eq!(mistakes(name, &with, &declared), "", "{name}");
        assert_eq!(refused(name, &with).await, None, "{name}");
        let keys: BTreeSet<String> = with.as_object().unwrap().keys().cloned().collect();
        for key in &keys {
            let mut less = with.clone();
            less.as_object_mut().unwrap().remove(key);
            let told = mistakes(name, &less, &declared);
            let fits = fits(name, refused(name, &less).await.as_deref(), &mut beyond);
            assert_eq!(told.is_empty(), fits, "{name} {less}");
        }
        for key in read_by_code(name, &with.to_string()).await {
            for value in values() {
                let mut more = with.clone();
                more[&key] = value;
                let told = mistakes(name, &more, &declared);
                let because = refused(name, &more).await;
                let fits = fits(name, because.as_deref(), &mut beyond);
                assert_eq!(told.is_empty(), fits, "{name} {more}: the plugin says {because:?}, and lint: {told}");
                tried += 1;
            }
        }
    }
    assert!(tried > 500, "only {tried} settings were tried");
    assert_eq!(beyond, BEYOND.iter().copied().collect(), "each of these was met");
}

/// Whether settings are taken as far as a schema can tell.
fn fits(name: &str, refused: Option<&str>, met: &mut BTreeSet<(&str, &str, &str)>) -> bool {
    let Some(because) = refused else { return true };
    let is_it = |(plugin, start, end): &&(&str, &str, &str)| {
        let value = because.strip_prefix(start).and_then(|rest| rest.strip_suffix(end));
        *plugin == name && value.is_some_and(|value| !value.contains('`') && (value.is_empty() || !end.is_empty()))
    };
    let beyond = BEYOND.iter().find(is_it);
    met.extend(beyond.copied());
    beyond.is_some()
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

/// A custom section: its name, whether the name's length is written longer than it need be, and what it holds.
fn section(name: &str, long: bool, content: &[u8]) -> Vec<u8> {
    let length = u8::try_from(name.len()).unwrap();
    let length = if long { vec![length | 0x80, 0] } else { vec![length] };
    let whole = [&length, name.as_bytes(), content].concat();
    [&[0, u8::try_from(whole.len()).unwrap()], &whole[..]].concat()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

    /// Whatever custom sections a component has, the declaration that is written is the one that is read, and the rest
    /// stays.
    #[test]
    fn what_is_written_into_a_component_is_read_of_it(
        sections in prop::collection::vec((
            prop::sample::select(vec!["bespin:settings", "bespin:setting", "bespin:settingsx", "name", "x"]),
            any::<bool>(),
            prop::collection::vec(any::<u8>(), 0..40),
        ), 0..5),
        setting in "[a-z]{1,12}",
    ) {
        let plain = fs::read(example("keep")).unwrap();
        let others = sections.iter().filter(|(name, _, _)| *name != "bespin:settings");
        let others: Vec<u8> = others.flat_map(|(name, long, content)| section(name, *long, content)).collect();
        let all: Vec<u8> = sections.iter().flat_map(|(name, long, content)| section(name, *long, content)).collect();
        let text = json!({ "settings": { "type": "object", "properties": { setting: {} } } }).to_string();
        // The section `name` has a form of its own, which not all bytes have.
        if let Ok(written) = sandbox::declare(&[&plain[..], &all].concat(), &text) {
            prop_assert_eq!(sandbox::declared(&written), Declared::of(Some(text.as_bytes())));
            prop_assert!(written.starts_with(&[&plain[..], &others].concat()));
            prop_assert_eq!(sandbox::declare(&written, &text), Ok(written));
        }
    }

    /// Any bytes at all are read, or said to be unchecked.
    #[test]
    fn any_bytes_may_be_asked_what_they_declare(bytes in prop::collection::vec(any::<u8>(), 0..200), begins: bool) {
        let header: &[u8] = if begins { b"\0asm\x0d\0\x01\0" } else { b"" };
        let bytes = [header, &bytes].concat();
        prop_assert!(sandbox::declared(&bytes).known().is_none());
        let written = sandbox::declare(&bytes, r#"{ "settings": { "type": "object" } }"#);
        prop_assert!(written.is_err());
    }
}
