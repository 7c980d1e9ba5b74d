//! Manifests from `*.yaml.in`: every `@NAME@` is the parameter of that name.

use std::collections::BTreeMap;

use bespin_sdk::{Result, Text, info, reject, workspace};

fn generate(parameters: BTreeMap<String, Text>) -> Result<Vec<String>> {
    let mut manifests = Vec::new();
    for entry in workspace::list("")?.into_iter().filter(|entry| entry.name.ends_with(".yaml.in")) {
        let Ok(mut text) = String::from_utf8(workspace::read(&entry.name)?) else {
            reject!("{} is no text", entry.name);
        };
        for (name, value) in &parameters {
            text = text.replace(&format!("@{name}@"), &value.0);
        }
        info!("{}: {} bytes", entry.name, text.len());
        manifests.push(text);
    }
    Ok(manifests)
}

bespin_sdk::generate!(generate);
