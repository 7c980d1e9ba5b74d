//! Reads the steps of a pipeline file.

use crate::duration;
use crate::expr::{self, ExprPlace, KnownNames};
use crate::graph::{self, Draft};
use crate::plugin::{id_of, plugin};
use crate::reader::{FileReader, field, head, unplaced};
use crate::tree::{MapKey, Node, NodeKind, Style};
use crate::{Grants, Step, approval, settings, shape};
use std::collections::{BTreeMap, BTreeSet};

/// What a step may take where it does not say, in ms.
const HOUR_MS: u64 = 3_600_000;
/// How many steps a pipeline has at most: each knows those before it.
const MOST_STEPS: usize = 500;
/// How often a step may be tried again.
const RETRIES: u64 = 10;

/// Reads `steps` and `finally`.
pub(crate) fn read(
    reader: &mut FileReader<'_>,
    steps: Option<&Node>,
    finally: Option<&Node>,
    env: &BTreeMap<String, String>,
    inputs: &BTreeSet<String>,
) -> (Vec<Step>, Vec<Step>) {
    let body = steps.map(|node| drafts(reader, node, "steps")).unwrap_or_default();
    let tail = finally.filter(|node| !node.is_null()).map(|node| drafts(reader, node, "finally")).unwrap_or_default();
    if body.len() + tail.len() > MOST_STEPS {
        let at = steps.or(finally).map_or(0..0, head);
        reader.wrong(&at, format!("a pipeline has at most {MOST_STEPS} steps"), "split it into several files");
        return (Vec::new(), Vec::new());
    }
    graph::unique(reader, body.iter().chain(&tail));
    let body_needs = graph::resolve(reader, &body, "steps", &tail);
    let tail_needs = graph::resolve(reader, &tail, "finally", &body);
    let env: BTreeSet<String> = env.keys().cloned().collect();
    let all: BTreeSet<String> = body.iter().chain(&tail).map(|draft| draft.step.id.clone()).collect();
    let ended: BTreeSet<String> = body.iter().map(|draft| draft.step.id.clone()).collect();
    let (before_body, mut before_tail) = (graph::ancestors(&body, &body_needs), graph::ancestors(&tail, &tail_needs));
    before_tail.iter_mut().for_each(|before| before.extend(ended.iter().cloned()));
    let declares = |draft: &Draft<'_>| Some((draft.step.id.clone(), settings::outputs(reader, draft)?));
    let outputs = body.iter().chain(&tail).filter_map(declares).collect();
    let mut finish = |drafts: Vec<Draft<'_>>, needs: Vec<Vec<String>>, before: &[BTreeSet<String>], end: End| {
        let each = drafts.into_iter().zip(needs).zip(before).map(|((draft, needs), before)| {
            let known =
                KnownNames { env: &env, inputs, before, steps: &all, outputs: &outputs, place: ExprPlace::Setting };
            check_expressions(reader, &draft, &known);
            settings::check(reader, &draft);
            let condition = draft.step.condition.map(|condition| whole_condition(&condition, end));
            let line = |node: &Node| reader.source.mistake(node.at.clone(), "", "").line;
            Step { needs, condition, condition_line: draft.condition.map(line), ..draft.step }
        });
        each.collect::<Vec<Step>>()
    };
    (finish(body, body_needs, &before_body, End::Body), finish(tail, tail_needs, &before_tail, End::Finally))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Body,
    Finally,
}

/// As GitHub reads it: a condition that does not ask how the run stands goes
/// on top of the success of what the step needs. `finally` runs in any case.
fn whole_condition(condition: &str, end: End) -> String {
    if end == End::Finally || expr::asks_status(condition) {
        return condition.to_owned();
    }
    expr::after_success(condition)
}

fn drafts<'n>(reader: &mut FileReader<'_>, node: &'n Node, what: &str) -> Vec<Draft<'n>> {
    let NodeKind::List(items) = &node.kind else {
        let help = "begin each step with `- uses:`".to_owned();
        reader.wrong(&head(node), format!("`{what}` is a list of steps, not {}", node.name()), help);
        return Vec::new();
    };
    if items.is_empty() {
        reader.wrong(&head(node), format!("`{what}` is empty"), "add a step, such as `- uses: image`");
    }
    items.iter().filter_map(|item| draft(reader, item, what)).collect()
}

fn hint_step(key: &str) -> Option<(&'static str, &'static str)> {
    Some(match key {
        "run" | "script" | "commands" | "command" => (
            "a step has no shell of its own",
            "write `uses: container` and `with: { image: ..., run: [program, argument] }`",
        ),
        "name" => ("a step is named by its `id`", "write `id:`, in lower case"),
        "env" => (
            "environment variables belong to the plugin's settings",
            "write `with: { env: { NAME: value } }` in a `container` step",
        ),
        "matrix" | "strategy" => ("`matrix` is not supported by this version", "write a step for each combination"),
        "suspend" | "input" | "environment" | "reviewers" | "manual" => {
            ("what waits for a person has an `approval`", "write `approval: { ask: Apply to production? }`")
        }
        "when" => ("a condition is called `if`", "write `if: commit.branch == 'main'`"),
        "depends_on" | "depends-on" | "dependsOn" => ("what a step follows is called `needs`", "write `needs: [id]`"),
        "continue-on-error" => {
            ("a step that fails, fails its run", "write `if: always()` on the steps that go on after it")
        }
        "timeout-minutes" => ("the unit stands with the number", "write `timeout: 15m`"),
        "secrets" => ("secrets are granted", "write `grants: { secrets: [name] }`"),
        "image" => ("an image belongs to the plugin's settings", "write `with: { image: ... }`"),
        _ => return None,
    })
}

fn draft<'n>(reader: &mut FileReader<'_>, node: &'n Node, what: &str) -> Option<Draft<'n>> {
    let entries = reader.entries(node, "a step")?;
    reader.known_keys(entries, &shape::keys::<shape::StepSchema>(), "a step", hint_step);
    let uses = match field(entries, "uses") {
        Some(uses) => plugin(reader, uses),
        None => {
            reader.wrong(
                &head(node),
                "the step does not say what it `uses`",
                "add `uses:` with a plugin's name, such as `image`",
            );
            None
        }
    };
    reader.uses.extend(uses.clone());
    let uses_at = field(entries, "uses").map_or_else(|| head(node), |node| node.at.clone());
    let id_node = field(entries, "id");
    let by_plugin = uses.as_deref().filter(|_| id_node.is_none()).and_then(id_of);
    let id = id_node.and_then(|node| id(reader, node)).or(by_plugin);
    let at = id_node.map_or_else(|| uses_at.clone(), |node| node.at.clone());
    let with = field(entries, "with").filter(|node| !node.is_null());
    let with_json = with.and_then(|node| reader.entries(node, "`with`").map(|_| node.to_json()));
    if let Some(with) = with {
        look_closer(reader, with);
    }
    let needs = field(entries, "needs").map(|node| reader.texts(node, "`needs`"));
    let condition = field(entries, "if").and_then(|node| Some((node, reader.text(node, "`if`")?)));
    if let Some(cache) = entries.iter().find(|(key, _)| key.text == "cache") {
        reader.warn(&cache.0.at, "`cache` is not used by this version", "keep it for later, or leave it out");
    }
    let grants_node = field(entries, "grants").filter(|node| !node.is_null());
    refuse_unasked(reader, entries, what);
    let (approval, ask) = field(entries, "approval").and_then(|node| approval::read(reader, node)).unzip();
    let step = Step {
        id: id.unwrap_or_default(),
        uses: uses.unwrap_or_default(),
        with: with_json.and_then(|json| json.as_object().cloned()).unwrap_or_default(),
        needs: Vec::new(),
        condition: condition.as_ref().map(|(_, text)| expr::bare(text).to_owned()),
        condition_line: None,
        timeout_ms: field(entries, "timeout").and_then(|node| duration::read(reader, node)).unwrap_or(HOUR_MS),
        retry: field(entries, "retry").and_then(|node| retry(reader, node)).unwrap_or(0),
        grants: grants_node.map(|node| grants(reader, node)).unwrap_or_default(),
        approval,
    };
    Some(Draft { step, at, uses_at, needs, with, condition: condition.map(|(node, _)| node), grants: grants_node, ask })
}

/// A final step runs whatever happened, so nobody is asked; and `approve` is nothing but its question.
fn refuse_unasked(reader: &mut FileReader<'_>, entries: &[(MapKey, Node)], what: &str) {
    let approval = entries.iter().find(|(key, _)| key.text == "approval").map(|(key, _)| &key.at);
    let approve = field(entries, "uses").filter(|node| node.to_json() == "approve").map(|node| &node.at);
    match (approval.or(approve), what) {
        (Some(at), "finally") => {
            let help = "move it to `steps`, with `if: always()` where it comes after what may fail";
            reader.wrong(at, "a final step runs whatever happened, so nobody is asked before it", help);
        }
        (Some(at), _) if approval.is_none() => {
            reader.wrong(at, "`approve` does nothing but ask", "add `approval: { ask: Apply to production? }`");
        }
        _ => {}
    }
}

fn id(reader: &mut FileReader<'_>, node: &Node) -> Option<String> {
    let id = reader.text(node, "`id`")?;
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
    if id.starts_with(|c: char| c.is_ascii_lowercase()) && id.chars().all(fits) && id.len() <= 63 {
        return Some(id);
    }
    let better: String = id.to_ascii_lowercase().chars().map(|c| if fits(c) { c } else { '-' }).take(63).collect();
    let better = better.trim_matches(|c: char| !c.is_ascii_lowercase() && !c.is_ascii_digit());
    let help = if better.starts_with(|c: char| c.is_ascii_lowercase()) {
        format!("write `{better}`")
    } else {
        "write something like `image`".into()
    };
    reader.wrong(&node.at, "an id has 1 to 63 of a-z, 0-9, `_` and `-`, a letter first", help);
    None
}

fn retry(reader: &mut FileReader<'_>, node: &Node) -> Option<u32> {
    let number = node.to_json().as_u64().filter(|number| *number <= RETRIES);
    if number.is_none() {
        reader.wrong(&head(node), format!("`retry` is a whole number from 0 to {RETRIES}"), "write `retry: 2`");
    }
    number.and_then(|number| u32::try_from(number).ok())
}

fn hint_grants(key: &str) -> Option<(&'static str, &'static str)> {
    match key {
        "log" | "workspace" | "artifacts" | "cache" => Some(("this needs no grant", "leave it out")),
        "contents" | "packages" | "id-token" => Some((
            "grants are Bespin's own, not GitHub's",
            "see `containers`, `images`, `registry`, `git`, `http`, `secrets`, `terraform`, `cluster`, `canary` and `metrics`",
        )),
        _ => None,
    }
}

fn grants(reader: &mut FileReader<'_>, node: &Node) -> Grants {
    let entries = reader.entries(node, "`grants`").unwrap_or_default();
    let known = shape::keys::<shape::GrantsSchema>();
    reader.known_keys(entries, &known, "`grants`", hint_grants);
    let mut grants = BTreeMap::new();
    for (MapKey { text: ability, .. }, value) in entries.iter().filter(|(key, _)| known.contains(&key.text)) {
        let values = reader.texts(value, &format!("`{ability}`"));
        if values.is_empty() && matches!(value.kind, NodeKind::List(_)) {
            reader.wrong(&head(value), format!("`{ability}` grants nothing"), "name what is granted, or leave it out");
        }
        for (value, at) in values.iter().filter(|(value, _)| !value.contains("${{")) {
            if let Some((message, help)) = refuse_grant(ability, value) {
                reader.wrong(at, message, help);
            }
        }
        grants.insert(ability.clone(), unplaced(values));
    }
    Grants(grants)
}

fn refuse_grant(ability: &str, value: &str) -> Option<(String, String)> {
    let wrong = |message: String, help: &str| Some((message, help.to_owned()));
    match ability {
        "images" if value != "build" => wrong(format!("`images` has no grant `{value}`"), "write `images: [build]`"),
        "cluster" | "canary" if value.split('/').count() != 3 || value.split('/').any(str::is_empty) => wrong(
            format!("`{value}` is not `cluster/namespace/name`"),
            "write it like `production/petclinic/was`; `*` stands for any one",
        ),
        "terraform" if !value.starts_with("plan ") && !value.starts_with("apply ") => wrong(
            format!("`{value}` does not say what may be done with which folder"),
            "write `plan FOLDER` or `apply FOLDER`, such as `plan infrastructure`; the top is `.`",
        ),
        "metrics" if value.contains(['/', '*']) => {
            wrong(format!("`{value}` is no metric provider's name"), "write the name that the server's [[metrics]] has")
        }
        // A host that is asked without encryption has to be written so.
        "http" if value.contains("http://") => None,
        "git" | "registry" | "http" if value.contains("://") => {
            let bare = value.split("://").nth(1).unwrap_or_default().trim_end_matches(".git");
            Some((format!("`{value}` is an address, and a grant names a place"), format!("write `{bare}`")))
        }
        _ if value.trim().is_empty() => {
            wrong(format!("`{ability}` has an empty grant"), "name what is granted, or leave it out")
        }
        _ => None,
    }
}

/// Finds what is read otherwise than it looks, and expressions within commands.
fn look_closer(reader: &mut FileReader<'_>, node: &Node) {
    match &node.kind {
        NodeKind::List(items) => items.iter().for_each(|item| look_closer(reader, item)),
        NodeKind::Map(entries) => {
            for (key, value) in entries {
                if key.text == "run" {
                    refuse_in_command(reader, value);
                }
                look_closer(reader, value);
            }
        }
        NodeKind::Scalar { text, style: Style::Plain } => {
            let doubtful = match text.to_ascii_lowercase().as_str() {
                "yes" | "on" | "y" => Some("true"),
                "no" | "off" | "n" => Some("false"),
                _ => None,
            };
            if let Some(truth) = doubtful {
                reader.warn(
                    &node.at,
                    format!("`{text}` is read as a text here"),
                    format!("write `{truth}`, or \"{text}\" in quotes"),
                );
            } else if text.len() > 1 && text.starts_with('0') && text.bytes().all(|byte| byte.is_ascii_digit()) {
                reader.warn(
                    &node.at,
                    format!("`{text}` is read as a text here"),
                    format!("write \"{text}\" in quotes, or `0o{}` for octal", text.trim_start_matches('0')),
                );
            }
        }
        NodeKind::Scalar { .. } => {}
    }
}

fn refuse_in_command(reader: &mut FileReader<'_>, node: &Node) {
    match &node.kind {
        NodeKind::List(items) => items.iter().for_each(|item| refuse_in_command(reader, item)),
        NodeKind::Map(entries) => entries.iter().for_each(|(_, value)| refuse_in_command(reader, value)),
        NodeKind::Scalar { text, .. } => {
            for piece in expr::split(text).unwrap_or_default() {
                let expr::Piece::Expression { source, nth } = piece else { continue };
                let last = source
                    .rsplit(|c: char| !c.is_ascii_alphanumeric())
                    .find(|part| !part.is_empty())
                    .unwrap_or("value");
                let variable = last.to_ascii_uppercase();
                let at = reader.find_expression(node, nth);
                let help = format!(
                    "pass it as a variable: `env: {{ {variable}: \"${{{{ {source} }}}}\" }}` beside `run`, and write \"${variable}\" in the command"
                );
                reader.wrong(&at, "an expression never becomes part of a command, since its value could be one", help);
            }
        }
    }
}

fn check_expressions(reader: &mut FileReader<'_>, draft: &Draft<'_>, known: &KnownNames<'_>) {
    for node in [draft.with, draft.grants, draft.ask].into_iter().flatten() {
        reader.expressions(node, known);
    }
    if let (Some(node), Some(condition)) = (draft.condition, &draft.step.condition) {
        reader.expression(condition, node.at.clone(), &KnownNames { place: ExprPlace::Condition, ..known.clone() });
    }
}
