//! The dashboard's TypeScript types, printed from the JSON schemas of the views.

use crate::views;
use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde_json::Value;
use std::fmt::Write as _;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../web/src/api/types.ts");

fn add<T: JsonSchema>(generator: &mut SchemaGenerator) {
    let _reference: Schema = generator.subschema_for::<T>();
}

fn print() -> String {
    let mut generator = SchemaGenerator::default();
    add::<views::SessionView>(&mut generator);
    add::<views::ProblemView>(&mut generator);
    add::<views::HomeView>(&mut generator);
    add::<views::RunsView>(&mut generator);
    add::<views::RunView>(&mut generator);
    add::<views::AppSummary>(&mut generator);
    add::<views::AppPage>(&mut generator);
    add::<views::RolloutSummary>(&mut generator);
    add::<views::RolloutPage>(&mut generator);
    add::<views::PluginsView>(&mut generator);
    add::<views::DeliveriesView>(&mut generator);
    add::<views::RetriedView>(&mut generator);
    add::<views::StartableView>(&mut generator);
    add::<views::StartedView>(&mut generator);
    add::<views::ChangedView>(&mut generator);
    add::<views::BeatView>(&mut generator);
    add::<views::Line>(&mut generator);
    let mut definitions: Vec<(String, Value)> = generator.take_definitions(true).into_iter().collect();
    definitions.sort_by(|a, b| a.0.cmp(&b.0));
    let mut text =
        "// Generated from the server's views: UPDATE=1 cargo test -p api typescript. Do not edit.\n".to_owned();
    for (name, schema) in definitions {
        text.push('\n');
        comment(&mut text, "", &schema);
        match schema.get("properties") {
            Some(Value::Object(properties)) => {
                writeln!(text, "export interface {name} {{").unwrap();
                for (property, schema) in properties {
                    comment(&mut text, "  ", schema);
                    writeln!(text, "  {property}: {};", kind(schema)).unwrap();
                }
                text.push_str("}\n");
            }
            _ => writeln!(text, "export type {name} = {};", kind(&schema)).unwrap(),
        }
    }
    text
}

fn comment(text: &mut String, indent: &str, schema: &Value) {
    if let Some(words) = schema["description"].as_str() {
        writeln!(text, "{indent}/** {} */", words.replace('\n', " ").replace("*/", "* /")).unwrap();
    }
}

/// A schema as a TypeScript type. What it does not know stops the test.
fn kind(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        return reference.rsplit('/').next().unwrap().to_owned();
    }
    if let Some(constant) = schema.get("const") {
        return constant.to_string();
    }
    for one_of in ["oneOf", "anyOf"] {
        if let Some(choices) = schema[one_of].as_array() {
            return choices.iter().map(kind).collect::<Vec<_>>().join(" | ");
        }
    }
    if let Some(values) = schema["enum"].as_array() {
        return values.iter().map(Value::to_string).collect::<Vec<_>>().join(" | ");
    }
    match &schema["type"] {
        Value::Array(kinds) => {
            let one = |one: &Value| {
                let mut schema = schema.clone();
                schema["type"] = one.clone();
                kind(&schema)
            };
            kinds.iter().map(one).collect::<Vec<_>>().join(" | ")
        }
        Value::String(word) => match word.as_str() {
            "string" | "boolean" | "null" => word.clone(),
            "integer" | "number" => "number".into(),
            "array" => match kind(&schema["items"]) {
                union if union.contains('|') => format!("({union})[]"),
                items => format!("{items}[]"),
            },
            "object" => match schema.get("additionalProperties") {
                Some(values) => format!("Record<string, {}>", kind(values)),
                None => panic!("an object without properties: {schema}"),
            },
            other => panic!("no TypeScript type for `{other}`"),
        },
        // Any JSON at all.
        Value::Null => "unknown".into(),
        other => panic!("no TypeScript type for {other}"),
    }
}

#[test]
fn typescript_is_current() {
    let printed = print();
    if std::env::var_os("UPDATE").is_some() {
        std::fs::create_dir_all(std::path::Path::new(FILE).parent().unwrap()).unwrap();
        std::fs::write(FILE, &printed).unwrap();
    }
    let stored = std::fs::read_to_string(FILE).unwrap_or_default();
    assert!(stored == printed, "web/src/api/types.ts is stale; run: UPDATE=1 cargo test -p api typescript");
}
