//! Checks what a step gives its plugin, by what the plugin declares.

use crate::declaration::{
    APPROVED_BY, Additional, Declaration, Declarations, Declared, Kind, OUTCOME, SettingSchema, bare, listed,
};
use crate::expr::{self, Piece};
use crate::graph::Draft;
use crate::lock::{Lock, Pins};
use crate::mistake::SourceText;
use crate::permission::Ability;
use crate::plugin::id_of;
use crate::reader::{FileReader, field, head};
use crate::tree::{MapKey, Node, NodeKind};
use serde_json::Value;
use std::collections::BTreeSet;
use std::ops::Range;

/// A map that is checked, in words.
struct CheckedMap {
    /// Such as `` `push` `` or `` `env.TOKEN` ``.
    name: String,
    /// What its keys are called: `setting`, or `key` further down.
    part: &'static str,
    /// What the keys' own names begin with.
    prefix: String,
}

/// Checks a step's settings and grants, where its plugin declares them.
pub(crate) fn check(reader: &mut FileReader<'_>, draft: &Draft<'_>) {
    let declared = reader.declared;
    let Some(declaration) = declared.of(&draft.step.uses).and_then(Declared::known) else { return };
    let name = id_of(&draft.step.uses).unwrap_or_else(|| draft.step.uses.clone());
    let owner = CheckedMap { name: format!("`{name}`"), part: "setting", prefix: String::new() };
    match draft.with.map(|with| (with, &with.kind)) {
        None => map(reader, &declaration.settings, &[], &draft.uses_at, &owner),
        Some((with, NodeKind::Map(entries))) => map(reader, &declaration.settings, entries, &head(with), &owner),
        Some(_) => {}
    }
    grants(reader, declaration, draft, &name);
}

impl Declaration {
    /// What is wrong with settings whose expressions are evaluated, such as
    /// `` `push` has no setting `tga`; did you mean `tag`? ``. `uses` names the plugin as its step does.
    pub fn mistakes(&self, uses: &str, with: &Value) -> Vec<String> {
        let (no_lock, declared) = (Lock::EMPTY, Declarations::NONE);
        let mut reader = FileReader::new(SourceText { file: "", text: "" }, Pins::Known(&no_lock), &declared);
        let name = id_of(uses).unwrap_or_else(|| uses.to_owned());
        let owner = CheckedMap { name: format!("`{name}`"), part: "setting", prefix: String::new() };
        match (Node::of(with).kind, with) {
            (NodeKind::Map(entries), _) => map(&mut reader, &self.settings, &entries, &(0..0), &owner),
            (_, Value::Null) => map(&mut reader, &self.settings, &[], &(0..0), &owner),
            (_, other) => {
                reader.wrong(&(0..0), format!("`with` is a map, not {}", Node::of(other).name()), "write one")
            }
        }
        reader.mistakes.into_iter().map(|mistake| format!("{}; {}", mistake.message, mistake.help)).collect()
    }

    /// The outputs that a step with these settings may have; `None` where they are not known.
    pub fn outputs_of(&self, with: &Value) -> Option<BTreeSet<String>> {
        self.outputs_with(|key| with.get(key))
    }

    fn outputs_with<'v>(&self, setting: impl Fn(&str) -> Option<&'v Value>) -> Option<BTreeSet<String>> {
        // Which alternative it is may be an expression's to say: then it may be each.
        let chosen = self.settings.told_apart_by().and_then(&setting).and_then(Value::as_str);
        let chosen = chosen.filter(|text| matches!(expr::split(text).as_deref(), Ok([Piece::Text(_)])));
        let is_made = |when: &Option<String>| match (when.as_deref(), chosen) {
            (Some(when), Some(chosen)) => when == chosen,
            (None, _) | (_, None) => true,
        };
        let made = self.outputs.as_ref()?.iter().filter(|(_, output)| is_made(&output.when));
        let mut names: BTreeSet<String> = made.map(|(name, _)| name.clone()).collect();
        match self.outputs_named_by.as_ref().and_then(|by| setting(by)) {
            Some(Value::Object(named)) => names.extend(named.keys().cloned()),
            Some(Value::Null) | None => {}
            // An expression may name any.
            Some(_) => return None,
        }
        Some(names)
    }
}

/// The names that expressions may read of a step, where its plugin declares all of them.
pub(crate) fn outputs(reader: &FileReader<'_>, draft: &Draft<'_>) -> Option<BTreeSet<String>> {
    let declaration = reader.declared.of(&draft.step.uses)?.known()?;
    let mut names = declaration.outputs_with(|key| draft.step.with.get(key))?;
    names.insert(OUTCOME.to_owned());
    if draft.step.approval.is_some() {
        names.insert(APPROVED_BY.to_owned());
    }
    Some(names)
}

fn map(
    reader: &mut FileReader<'_>,
    schema: &SettingSchema,
    entries: &[(MapKey, Node)],
    at: &Range<usize>,
    owner: &CheckedMap,
) {
    if let Some(key) = schema.told_apart_by() {
        alternative(reader, schema, key, (entries, at), owner);
        return;
    }
    // A key that is nearly the required one is told as that, where it is no key of its own.
    let is_meant = |name: &String, key: &MapKey| {
        schema.additional_properties == Additional::Nothing
            && !schema.properties.contains_key(&key.text)
            && expr::did_you_mean(&key.text, [name.as_str()]).is_some()
    };
    let is_lacking =
        |name: &&String| field(entries, name).is_none() && !entries.iter().any(|(key, _)| is_meant(name, key));
    for name in schema.required.iter().filter(is_lacking) {
        let about = schema.properties.get(name).map(|inner| about(name, inner));
        let help = about.map_or_else(|| format!("add `{name}`"), |about| format!("add {about}"));
        reader.wrong(at, format!("{} needs the {} `{name}`", owner.name, owner.part), help);
    }
    for (key, node) in entries {
        let inner = match (schema.properties.get(&key.text), &schema.additional_properties) {
            (Some(inner), _) => inner,
            (None, Additional::Each(inner)) => &**inner,
            (None, Additional::Anything) => continue,
            (None, Additional::Nothing) => {
                unknown(reader, schema, key, owner);
                continue;
            }
        };
        value(reader, inner, node, &format!("{}{}", owner.prefix, key.text));
    }
}

/// Checks the one of the alternatives that a key chooses.
fn alternative(
    reader: &mut FileReader<'_>,
    schema: &SettingSchema,
    key: &str,
    (entries, at): (&[(MapKey, Node)], &Range<usize>),
    owner: &CheckedMap,
) {
    let choice = |schema: &'_ SettingSchema| schema.properties.get(key).and_then(|property| property.r#const.clone());
    let choices: Vec<Value> = schema.one_of.iter().filter_map(choice).collect();
    let Some(node) = field(entries, key) else {
        let each: Vec<_> = choices.iter().map(|choice| format!("`{key}: {}`", bare(choice))).collect();
        let message = format!("{} needs the {} `{key}`", owner.name, owner.part);
        reader.wrong(at, message, format!("add {}", each.join(" or ")));
        return;
    };
    if is_expression(node) || is_partly_expression(node) {
        return;
    }
    let (json, chosen) = (node.to_json(), |schema: &&SettingSchema| choice(schema) == Some(node.to_json()));
    match schema.one_of.iter().find(chosen) {
        None => no_choice(reader, &choices, node, key),
        Some(schema) => {
            let name = format!("{} with `{key}: {}`", owner.name, bare(&json));
            map(reader, schema, entries, at, &CheckedMap { name, prefix: owner.prefix.clone(), ..*owner });
        }
    }
}

fn unknown(reader: &mut FileReader<'_>, schema: &SettingSchema, key: &MapKey, owner: &CheckedMap) {
    if key.text.contains("${{") {
        // It is told as such.
        return;
    }
    let known: Vec<&str> = schema.properties.keys().map(String::as_str).collect();
    let help = expr::did_you_mean(&key.text, known.iter().copied()).unwrap_or_else(|| match known.as_slice() {
        [] => format!("leave it out: {} has no {}s", owner.name, owner.part),
        [one] => format!("{} has the {} {one}", owner.name, owner.part),
        several => format!("{} has the {}s {}", owner.name, owner.part, several.join(", ")),
    });
    reader.wrong(&key.at, format!("{} has no {} `{}`", owner.name, owner.part, key.text), help);
}

fn value(reader: &mut FileReader<'_>, schema: &SettingSchema, node: &Node, path: &str) {
    if is_expression(node) {
        return;
    }
    let shown =
        if path.ends_with(']') { format!("an item of `{}`", path.trim_end_matches("[]")) } else { format!("`{path}`") };
    let json = node.to_json();
    if !schema.kinds.is_empty() && !schema.kinds.iter().any(|kind| kind.fits(&json)) {
        let help = match (&node.kind, &json) {
            (NodeKind::Scalar { text, .. }, Value::Number(_) | Value::Bool(_)) if takes_text(schema) => {
                format!("write \"{text}\" in quotes")
            }
            _ => about(path, schema),
        };
        reader.wrong(&head(node), format!("{shown} is {}, not {}", schema.takes().replace('`', ""), node.name()), help);
        return;
    }
    if is_partly_expression(node) {
        return;
    }
    let choices: Vec<Value> = schema.choices.iter().chain(&schema.r#const).cloned().collect();
    if !choices.is_empty() && !choices.contains(&json) {
        no_choice(reader, &choices, node, path.trim_end_matches("[]"));
    }
    match &node.kind {
        NodeKind::Scalar { .. } => {}
        NodeKind::List(items) => {
            let each = schema.items.iter().flat_map(|inner| items.iter().map(move |item| (inner, item)));
            each.for_each(|(inner, item)| value(reader, inner, item, &format!("{path}[]")));
        }
        NodeKind::Map(entries) => {
            let owner = CheckedMap { name: shown, part: "key", prefix: format!("{path}.") };
            map(reader, schema, entries, &head(node), &owner);
        }
    }
}

fn takes_text(schema: &SettingSchema) -> bool {
    schema.kinds.contains(&Kind::String)
}

fn no_choice(reader: &mut FileReader<'_>, choices: &[Value], node: &Node, path: &str) {
    let texts = choices.iter().filter_map(Value::as_str);
    let near = node.to_json().as_str().and_then(|text| expr::did_you_mean(text, texts));
    let real: Vec<&Value> = choices.iter().filter(|choice| !choice.is_null()).collect();
    let message = format!("`{path}` has no choice `{}`", bare(&node.to_json()));
    reader.wrong(&head(node), message, near.unwrap_or_else(|| format!("write {}", listed(&real))));
}

/// What a setting is, for a help: `` `to`: the repository ``.
fn about(path: &str, schema: &SettingSchema) -> String {
    let name = path.trim_end_matches("[]");
    match schema.description.as_str() {
        "" => format!("write {}", schema.takes()),
        description => format!("`{name}`: {description}"),
    }
}

/// Whether a value is nothing but an expression, whose kind is known once it is evaluated.
fn is_expression(node: &Node) -> bool {
    let NodeKind::Scalar { text, .. } = &node.kind else { return false };
    !matches!(expr::split(text).as_deref(), Ok([Piece::Text(_)])) && !is_partly_expression(node)
}

/// Whether a text has expressions in it.
fn is_partly_expression(node: &Node) -> bool {
    let NodeKind::Scalar { text, .. } = &node.kind else { return false };
    let Ok(pieces) = expr::split(text) else { return false };
    pieces.len() > 1 && pieces.iter().any(|piece| matches!(piece, Piece::Expression { .. }))
}

/// Grants that are lacking or that nothing asks for. The server's policy may be narrower still, so neither is a mistake.
fn grants(reader: &mut FileReader<'_>, declaration: &Declaration, draft: &Draft<'_>, name: &str) {
    let given = &draft.step.grants.0;
    for ability in declaration.needs.iter().filter(|ability| !given.contains_key(*ability)) {
        let example = Ability::named(ability).map(Ability::example).unwrap_or_default();
        let help = format!("add something like `grants: {{ {example} }}`");
        reader.warn(&draft.uses_at, format!("`{name}` needs a grant of `{ability}`, and this step has none"), help);
    }
    let Some(Node { kind: NodeKind::Map(entries), .. }) = draft.grants else { return };
    let unasked = |key: &&MapKey| given.contains_key(&key.text) && declaration.abilities().all(|one| one != key.text);
    for key in entries.iter().map(|(key, _)| key).filter(unasked) {
        reader.warn(&key.at, format!("`{name}` never asks for `{}`", key.text), "leave it out");
    }
}
