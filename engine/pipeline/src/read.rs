//! Reads a pipeline file: its top, and what starts it.

use crate::declaration::{Declarations, Declared};
use crate::expr::{ExprPlace, KnownNames};
use crate::inputs;
use crate::lock::{Lock, Pins};
use crate::mistake::{Mistake, SourceText};
use crate::reader::{FileReader, Hint, field, head};
use crate::tree::{self, MapKey, Node, NodeKind};
use crate::{
    Activity, Concurrency, Manual, On, OwnCommits, Pipeline, PullRequest, Push, Supersede, Tag, glob, shape, steps,
};
use std::collections::{BTreeMap, BTreeSet};

/// The largest file, in bytes.
const LARGEST: usize = 256 << 10;

/// What came of reading a file.
#[derive(Clone, Debug, PartialEq)]
pub struct ReadPipeline {
    /// The pipeline, if there is no mistake.
    pub pipeline: Option<Pipeline>,
    /// Every mistake, in the file's order.
    pub mistakes: Vec<Mistake>,
    /// What is taken, but hardly meant.
    pub warnings: Vec<Mistake>,
    /// What its steps use, each once: names, and references with their digests.
    pub uses: BTreeSet<String>,
    /// What could not be checked, and why, as sentences.
    pub unchecked: Vec<String>,
}

/// Reads a pipeline file without a lock file beside it, with its mistakes and its warnings. Settings are not checked.
pub fn read(file: &str, text: &str) -> ReadPipeline {
    read_with(file, text, Pins::Known(&Lock::EMPTY), &Declarations::NONE)
}

/// Reads a pipeline file, with its mistakes and its warnings. What `declared` knows a plugin by, its steps are checked by.
pub fn read_with(file: &str, text: &str, pins: Pins<'_>, declared: &Declarations) -> ReadPipeline {
    let mut reader = FileReader::new(SourceText { file, text }, pins, declared);
    let pipeline = if text.len() > LARGEST {
        reader.wrong(
            &(0..1),
            format!("the file has {} bytes, over the {LARGEST} that are read", text.len()),
            "split it",
        );
        None
    } else {
        whole(&mut reader, text)
    };
    let FileReader { mut mistakes, mut warnings, uses, .. } = reader;
    let place = |mistake: &Mistake| (mistake.line, mistake.column);
    mistakes.sort_by_key(place);
    mistakes.dedup();
    warnings.sort_by_key(place);
    let pipeline = pipeline.filter(|_| mistakes.is_empty());
    let unchecked = uses.iter().filter_map(|uses| unchecked(uses, declared.of(uses)?)).collect();
    ReadPipeline { pipeline, mistakes, warnings, uses, unchecked }
}

fn unchecked(uses: &str, declared: &Declared) -> Option<String> {
    match declared {
        Declared::Known(_) => None,
        Declared::Unchecked { because } => Some(format!("the settings of `{uses}` are not checked: {because}")),
    }
}

fn whole(reader: &mut FileReader<'_>, text: &str) -> Option<Pipeline> {
    let (root, faults) = tree::load(text);
    let broken = root.is_none() && !faults.is_empty();
    faults.into_iter().for_each(|fault| reader.wrong(&fault.at, fault.message, fault.help));
    let Some(root) = root.filter(|root| !root.is_null()) else {
        if !broken {
            reader.wrong(&(0..1), "the file is empty", "begin with `name:`, `on:` and `steps:`");
        }
        return None;
    };
    let entries = reader.entries(&root, "a pipeline")?;
    reader.known_keys(entries, &shape::keys::<shape::PipelineSchema>(), "a pipeline", hint_pipeline);
    for required in ["name", "on", "steps"] {
        if field(entries, required).is_none() {
            let help = match required {
                "name" => "add `name: my-pipeline`",
                "on" => "add `on: push`",
                _ => "add `steps:` with at least one step",
            };
            reader.wrong(&head(&root), format!("the pipeline has no `{required}`"), help);
        }
    }
    let name = field(entries, "name").and_then(|node| name(reader, node)).unwrap_or_default();
    let on = field(entries, "on").map(|node| on(reader, node)).unwrap_or_default();
    let env = field(entries, "env").map(|node| env(reader, node)).unwrap_or_default();
    let declared = on.manual.iter().flat_map(|manual| &manual.inputs);
    let inputs: BTreeSet<String> = declared.map(|input| input.name.clone()).collect();
    let concurrency = field(entries, "concurrency").and_then(|node| concurrency(reader, node, &env, &inputs));
    let (steps, finally) = steps::read(reader, field(entries, "steps"), field(entries, "finally"), &env, &inputs);
    Some(Pipeline { name, on, concurrency, env, steps, finally })
}

fn hint_pipeline(key: &str) -> Option<(&'static str, &'static str)> {
    match key {
        "jobs" | "stages" | "pipeline" => Some(("steps stand at the top of a pipeline", "write them below `steps:`")),
        "permissions" => Some(("permissions are given to steps", "write `grants:` on the step that needs it")),
        "defaults" | "runs-on" | "image" => {
            Some(("a pipeline has no machine of its own", "name an image in a `container` step"))
        }
        _ => None,
    }
}

fn hint_on(key: &str) -> Option<(&'static str, &'static str)> {
    match key {
        "pull-request" | "pull_request_target" => Some((
            "the event is called `pull_request`, and its pipeline is read from the base branch",
            "write `pull_request: {}`",
        )),
        "schedule" | "cron" => Some((
            "`schedule` is not supported by this version",
            "use `manual`, and start it by a job of your own that asks Bespin",
        )),
        "alert" => Some(("`alert` is not supported by this version", "use `manual`, and start it by hand")),
        "workflow_dispatch" => {
            Some(("a start by hand is called `manual`", "write `manual: {}`, or `manual:` with the same `inputs`"))
        }
        "tags" | "release" => Some(("the push of a tag is called `tag`", "write `tag: [\"v*\"]`")),
        _ => None,
    }
}

const NO_HINT: Hint = |_| None;

fn name(reader: &mut FileReader<'_>, node: &Node) -> Option<String> {
    let name = reader.text(node, "`name`")?;
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_' | '-');
    let first = name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    if !first || !name.chars().all(fits) || name.len() > 63 {
        let better: String =
            name.to_ascii_lowercase().chars().map(|c| if fits(c) { c } else { '-' }).take(63).collect();
        let better = better.trim_matches(['-', '.', '_']).to_owned();
        let help =
            if better.is_empty() { "write something like `petclinic-was`".into() } else { format!("write `{better}`") };
        reader.wrong(
            &node.at,
            "a pipeline's name has 1 to 63 of a-z, 0-9, `.`, `_` and `-`, a letter or digit first",
            help,
        );
        return None;
    }
    Some(name)
}

fn on(reader: &mut FileReader<'_>, node: &Node) -> On {
    let known = shape::keys::<shape::OnSchema>();
    let mut on = On::default();
    match &node.kind {
        NodeKind::Map(entries) => {
            reader.known_keys(entries, &known, "`on`", hint_on);
            on.push = field(entries, "push").map(|node| push(reader, node));
            on.tag = field(entries, "tag").map(|node| tag(reader, node));
            on.pull_request = field(entries, "pull_request").map(|node| pull_request(reader, node));
            on.manual = field(entries, "manual").map(|node| manual(reader, node));
            if entries.is_empty() {
                reader.wrong(
                    &head(node),
                    "nothing starts the pipeline",
                    "write `push: {}`, `tag: {}`, `pull_request: {}` or `manual: {}`",
                );
            }
        }
        _ => {
            let events = reader.texts(node, "`on`");
            for (event, at) in &events {
                let key = (MapKey { at: at.clone(), text: event.clone() }, node.clone());
                reader.known_keys(&[key], &known, "`on`", hint_on);
                match event.as_str() {
                    "push" => on.push = Some(Push::default()),
                    "tag" => on.tag = Some(Tag::default()),
                    "pull_request" => on.pull_request = Some(PullRequest::default()),
                    "manual" => on.manual = Some(Manual::default()),
                    _ => {}
                }
            }
            if events.is_empty() && matches!(node.kind, NodeKind::List(_)) {
                reader.wrong(
                    &head(node),
                    "nothing starts the pipeline",
                    "write `push`, `tag`, `pull_request` or `manual`",
                );
            }
        }
    }
    on
}

fn push(reader: &mut FileReader<'_>, node: &Node) -> Push {
    if node.is_null() {
        return Push::default();
    }
    let Some(entries) = reader.entries(node, "`push`") else { return Push::default() };
    reader.known_keys(entries, &shape::keys::<shape::PushSchema>(), "`push`", |key| match key {
        "tags" => Some(("tags are an event of their own", "write `tag: [\"v*\"]` beside `push`")),
        _ => None,
    });
    let branches = filter(reader, entries, "branches", "branches-ignore");
    let paths = filter(reader, entries, "paths", "paths-ignore");
    let own_commits = field(entries, "own-commits").and_then(|node| own_commits(reader, node)).unwrap_or_default();
    Push { branches, paths, own_commits }
}

fn own_commits(reader: &mut FileReader<'_>, node: &Node) -> Option<OwnCommits> {
    match reader.text(node, "`own-commits`")?.as_str() {
        "ignore" => Some(OwnCommits::Ignore),
        "run" => Some(OwnCommits::Run),
        other => {
            reader.wrong(&node.at, format!("`own-commits` has no choice `{other}`"), "write `ignore` or `run`");
            None
        }
    }
}

fn pull_request(reader: &mut FileReader<'_>, node: &Node) -> PullRequest {
    if node.is_null() {
        return PullRequest::default();
    }
    let Some(entries) = reader.entries(node, "`pull_request`") else { return PullRequest::default() };
    reader.known_keys(entries, &shape::keys::<shape::PullRequestSchema>(), "`pull_request`", NO_HINT);
    let branches = filter(reader, entries, "branches", "branches-ignore");
    let paths = filter(reader, entries, "paths", "paths-ignore");
    let types = field(entries, "types").map(|node| activities(reader, node)).unwrap_or_default();
    PullRequest { branches, paths, types }
}

fn activities(reader: &mut FileReader<'_>, node: &Node) -> Vec<Activity> {
    let known = Activity::ALL.map(|activity| format!("`{}`", activity.word())).join(", ");
    let texts = reader.texts(node, "`types`");
    if texts.is_empty() && matches!(node.kind, NodeKind::List(_)) {
        reader.wrong(&head(node), "`types` lets nothing through", format!("name some of {known}, or leave it out"));
    }
    let mut activities = Vec::new();
    for (text, at) in texts {
        match Activity::named(&text) {
            Some(activity) => activities.push(activity),
            None => {
                reader.wrong(&at, format!("`{text}` of a pull request starts nothing"), format!("there are {known}"))
            }
        }
    }
    activities
}

/// `name`, or everything but `ignore`.
fn filter(reader: &mut FileReader<'_>, entries: &[(MapKey, Node)], name: &str, ignore: &str) -> Vec<String> {
    let (taken, ignored) = (field(entries, name), field(entries, ignore));
    if let (Some(_), Some(ignored)) = (taken, ignored) {
        let help = format!("take back what `{name}` lets through by patterns that begin with `!`");
        reader.wrong(&head(ignored), format!("`{name}` and `{ignore}` stand side by side"), help);
    }
    match (taken, ignored) {
        (Some(node), _) => patterns(reader, node, name),
        (None, Some(node)) => {
            let texts = reader.texts(node, &format!("`{ignore}`"));
            let mut all = vec!["**".to_owned()];
            for (text, at) in texts {
                if let Some(why) =
                    glob::refuse(&text).or_else(|| text.starts_with('!').then(|| "it is taken back already".into()))
                {
                    reader.wrong(
                        &at,
                        format!("`{text}` is no pattern here: {why}"),
                        "write a pattern such as `docs/**`",
                    );
                }
                all.push(format!("!{text}"));
            }
            all
        }
        (None, None) => Vec::new(),
    }
}

fn patterns(reader: &mut FileReader<'_>, node: &Node, what: &str) -> Vec<String> {
    let texts = reader.texts(node, &format!("`{what}`"));
    for (text, at) in &texts {
        if let Some(why) = glob::refuse(text) {
            reader.wrong(
                at,
                format!("`{text}` is no pattern: {why}"),
                "write a pattern such as `was/**`, `v*` or `release/*`",
            );
        }
    }
    let lists = matches!(node.kind, NodeKind::List(_));
    if lists && texts.iter().all(|(text, _)| text.starts_with('!')) {
        reader.wrong(
            &head(node),
            format!("`{what}` lets nothing through"),
            "begin with a pattern such as `**`, or leave it out",
        );
    }
    texts.into_iter().map(|(text, _)| text).collect()
}

fn tag(reader: &mut FileReader<'_>, node: &Node) -> Tag {
    if node.is_null() {
        return Tag::default();
    }
    let NodeKind::Map(entries) = &node.kind else { return Tag { tags: patterns(reader, node, "tag") } };
    reader.known_keys(entries, &shape::keys::<shape::TagSchema>(), "`tag`", NO_HINT);
    Tag { tags: field(entries, "tags").map(|node| patterns(reader, node, "tags")).unwrap_or_default() }
}

fn manual(reader: &mut FileReader<'_>, node: &Node) -> Manual {
    if node.is_null() {
        return Manual::default();
    }
    let Some(entries) = reader.entries(node, "`manual`") else { return Manual::default() };
    reader.known_keys(entries, &shape::keys::<shape::ManualSchema>(), "`manual`", NO_HINT);
    Manual { inputs: field(entries, "inputs").map(|node| inputs::read(reader, node)).unwrap_or_default() }
}

fn concurrency(
    reader: &mut FileReader<'_>,
    node: &Node,
    env: &BTreeMap<String, String>,
    inputs: &BTreeSet<String>,
) -> Option<Concurrency> {
    let (group, supersede) = match &node.kind {
        NodeKind::Scalar { .. } => (node, None),
        _ => {
            let entries = reader.entries(node, "`concurrency`")?;
            reader.known_keys(entries, &shape::keys::<shape::ConcurrencySchema>(), "`concurrency`", |key| match key {
                "cancel-in-progress" => Some((
                    "what becomes of older runs is called `supersede`",
                    "write `supersede: always` or `supersede: never`",
                )),
                _ => None,
            });
            let Some(group) = field(entries, "group") else {
                reader.wrong(&head(node), "`concurrency` has no `group`", "add `group: was`");
                return None;
            };
            (group, field(entries, "supersede"))
        }
    };
    let name = reader.text(group, "`group`")?;
    let (env, none, outputs) = (env.keys().cloned().collect(), BTreeSet::new(), BTreeMap::new());
    let known =
        KnownNames { env: &env, inputs, before: &none, steps: &none, outputs: &outputs, place: ExprPlace::Group };
    reader.expressions(group, &known);
    let supersede = supersede.and_then(|node| supersede_of(reader, node)).unwrap_or_default();
    Some(Concurrency { group: name, supersede })
}

fn supersede_of(reader: &mut FileReader<'_>, node: &Node) -> Option<Supersede> {
    match reader.text(node, "`supersede`")?.as_str() {
        "never" => Some(Supersede::Never),
        "until-bump" => Some(Supersede::UntilBump),
        "always" => Some(Supersede::Always),
        other => {
            reader.wrong(
                &node.at,
                format!("`supersede` has no choice `{other}`"),
                "write `never`, `until-bump` or `always`",
            );
            None
        }
    }
}

fn env(reader: &mut FileReader<'_>, node: &Node) -> BTreeMap<String, String> {
    let mut env = BTreeMap::new();
    if node.is_null() {
        return env;
    }
    for (key, value) in reader.entries(node, "`env`").unwrap_or_default() {
        if !is_identifier(&key.text) {
            let help = "use letters, digits and `_`, a letter first, so that expressions can name it";
            reader.wrong(&key.at, format!("`{}` is no name for expressions", key.text), help);
        }
        let Some(text) = reader.text(value, &format!("`{}`", key.text)) else { continue };
        if text.contains("${{") {
            reader.wrong(&head(value), "`env` holds plain texts", "write the expression where the text is used");
        }
        env.insert(key.text.clone(), text);
    }
    env
}

fn is_identifier(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}
