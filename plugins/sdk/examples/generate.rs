//! Manifests from `*.yaml.in`: every `@NAME@` is the parameter of that name, or else the variable of `env`.

use std::collections::BTreeMap;

use bespin_sdk::generate::Asked;
use bespin_sdk::{Result, Text, info, reject, workspace};

fn generate(asked: Asked<BTreeMap<String, Text>>) -> Result<Vec<String>> {
    let mut manifests = Vec::new();
    for entry in workspace::list("")?.into_iter().filter(|entry| entry.name.ends_with(".yaml.in")) {
        let Ok(mut text) = String::from_utf8(workspace::read(&entry.name)?) else {
            reject!("{} is no text", entry.name);
        };
        let parameters = asked.parameters.iter().map(|(name, value)| (name, &value.0));
        for (name, value) in parameters.chain(&asked.env) {
            text = text.replace(&format!("@{name}@"), value);
        }
        info!("{}: {} bytes", entry.name, text.len());
        manifests.push(text);
    }
    Ok(manifests)
}

bespin_sdk::generate!(generate);
