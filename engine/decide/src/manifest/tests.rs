//! What kubectl 1.32 answers for the same text.

use super::*;
use serde_json::json;

fn scalar(text: &str) -> Value {
    let file = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{name: a}}\nx: {text}\n");
    load(&file, "a.yaml").expect("it is valid").remove(0)["x"].clone()
}

#[test]
fn scalars_are_those_of_kubectl() {
    let table: &[(&str, Value)] = &[
        ("no", json!(false)),
        ("on", json!(true)),
        ("y", json!(true)),
        ("0777", json!(511)),
        ("0644", json!(420)),
        ("010", json!(8)),
        ("089", json!(89)),
        ("1e3", json!(1000)),
        ("1_000", json!(1000)),
        ("0o17", json!(15)),
        ("0x1F", json!(31)),
        (".5", json!(0.5)),
        ("~", json!(null)),
        ("12:30", json!("12:30")),
        ("2024-01-01", json!("2024-01-01")),
        ("'no'", json!("no")),
        ("\"0777\"", json!("0777")),
        ("1.10", json!(1.1)),
        ("-3", json!(-3)),
    ];
    for (text, expected) in table {
        assert_eq!(&scalar(text), expected, "{text}");
    }
}

#[test]
fn several_documents_and_lists_are_unfolded() {
    let text = "# head\n---\napiVersion: v1\nkind: List\nitems:\n- apiVersion: v1\n  kind: Service\n  metadata: {name: a}\n---\n---\n\
                apiVersion: v1\nkind: ConfigMapList\nitems:\n- metadata: {name: b}\n";
    let objects = load(text, "a.yaml").expect("it is valid");
    let kinds: Vec<_> = objects.iter().map(|o| (o["kind"].as_str(), o["metadata"]["name"].as_str())).collect();
    assert_eq!(kinds, [(Some("Service"), Some("a")), (Some("ConfigMap"), Some("b"))]);
}

#[test]
fn mistakes_name_their_line_and_the_mend() {
    let refused = |text: &str| {
        load(text, "was.yaml").expect_err("it is wrong").iter().map(Mistake::to_string).collect::<Vec<_>>()
    };
    let twice = refused("apiVersion: v1\nkind: Service\nkind: Service\nmetadata: {name: a}\n");
    assert_eq!(twice, ["was.yaml:3: duplicate mapping key: kind: keep one of the two"]);
    let fragment = refused("minReplicas: 2\nmaxReplicas: 10\n");
    assert_eq!(
        fragment,
        ["was.yaml:1: a manifest without `apiVersion`: add it, or keep the file out of the application's path"]
    );
    let nameless = refused("apiVersion: v1\nkind: Service\n---\napiVersion: v1\nkind: Pod\nmetadata: {}\n");
    assert_eq!(nameless.len(), 2);
    assert_eq!(nameless[1], "was.yaml:4: Pod of v1 has no metadata.name: give it one");
    assert!(refused("a: [").first().is_some_and(|text| text.starts_with("was.yaml:")));
}

#[test]
fn a_bomb_is_refused() {
    let mut text = String::from("a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n");
    for level in 1..9 {
        let below = format!("*a{}", level - 1);
        text += &format!("a{level}: &a{level} [{}]\n", vec![below; 10].join(","));
    }
    let refused = load(&text, "bomb.yaml").unwrap_err();
    assert!(refused[0].message.contains("alias"), "{refused:?}");
    assert!(load(&"#".repeat(MOST_BYTES + 1), "large.yaml").is_err());
}
