//! Reads what a step `uses`: a plugin that comes with Bespin, or one in a registry.

use crate::ImageRef;
use crate::Pipeline;
use crate::built_in::BUILT_IN;
use crate::expr;
use crate::lock::{Pins, plugin_reference};
use crate::reader::FileReader;
use crate::tree::Node;

/// The plugin's name, or its reference with the digest that it is pinned to.
pub(crate) fn plugin(reader: &mut FileReader<'_>, node: &Node) -> Option<String> {
    let uses = reader.text(node, "`uses`")?;
    if uses.starts_with("actions/") || uses.contains(char::is_whitespace) || uses.contains("${{") {
        reader.wrong(
            &node.at,
            format!("`{uses}` is no plugin"),
            format!("the plugins that come with Bespin are {}", BUILT_IN.join(", ")),
        );
        return None;
    }
    if uses.contains('/') {
        return reference(reader, node, &uses);
    }
    if !BUILT_IN.contains(&uses.as_str())
        && let Some(near) = expr::did_you_mean(&uses, BUILT_IN)
    {
        reader.warn(&node.at, format!("no plugin `{uses}` comes with Bespin"), near);
    }
    Some(uses)
}

fn reference(reader: &mut FileReader<'_>, node: &Node, uses: &str) -> Option<String> {
    let reference = match plugin_reference(uses) {
        Ok(reference) => reference,
        Err((message, help)) => {
            reader.wrong(&node.at, message, help);
            return None;
        }
    };
    match (&reference.digest, reader.pins) {
        (Some(_), _) | (None, Pins::Unreadable) => Some(reference.to_string()),
        (None, Pins::Known(lock)) => {
            let Some(digest) = lock.digest(&reference) else {
                let help = "run `bespin plugin lock` and commit `.bespin/plugins.lock`, or write the digest here";
                reader.wrong(&node.at, format!("`{uses}` is not locked: a tag may move"), help);
                return None;
            };
            Some(ImageRef { digest: Some(digest.clone()), ..reference }.to_string())
        }
    }
}

/// A step's id where it does not say: a plugin's name, which for a reference is its last part.
pub(crate) fn id_of(uses: &str) -> Option<String> {
    let Ok(reference) = plugin_reference(uses) else { return Some(uses.to_owned()) };
    let last = reference.repository.rsplit('/').next().unwrap_or_default();
    let id: String = last.chars().map(|c| if matches!(c, '.' | '_') { '-' } else { c }).take(63).collect();
    id.starts_with(|c: char| c.is_ascii_lowercase()).then_some(id)
}

impl Pipeline {
    /// The plugins that it takes from registries, each once.
    pub fn references(&self) -> Vec<ImageRef> {
        let steps = self.steps.iter().chain(&self.finally);
        let mut all: Vec<ImageRef> = steps.filter_map(|step| plugin_reference(&step.uses).ok()).collect();
        all.sort();
        all.dedup();
        all
    }
}
