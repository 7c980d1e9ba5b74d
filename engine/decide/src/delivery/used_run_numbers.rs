//! The places where runs leave their numbers, and which of them were looked at before a run had its own.

use super::group::early;
use crate::run::{Commit, Event, EventKind, Opened};
use pipeline::Step;
use pipeline::expr::{self, Variables};
use serde_json::Value;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// A place where a run leaves its number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// The tags of an image's repository.
    Registry {
        /// The image's repository, `host/name`.
        to: String,
        /// The step's own grants, rendered.
        grants: BTreeMap<String, Vec<String>>,
    },
    /// The commits of a manifests repository.
    Manifests {
        /// Its address, as the step's `repo` writes it.
        repo: String,
        /// The branch; absent for the remote's default.
        branch: Option<String>,
        /// The step's own grants, rendered.
        grants: BTreeMap<String, Vec<String>>,
    },
}

/// The traces that were looked for before a run had its number, besides the folders of the pipeline's runs, which are
/// always among them: as one figure, which is as good as never the same for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Traces(Option<u64>);

impl Traces {
    /// The folders of the pipeline's runs alone.
    pub(super) const FOLDERS: Traces = Traces(None);

    /// Those of a run: its places, and what the policy's rows are matched with, since nobody looks at a place that the
    /// run may not reach.
    pub(super) fn of(opened: &Opened) -> Traces {
        let opened = match opened.event.pull_request {
            Some(_) => Cow::Owned(of_the_base(opened.clone())),
            None => Cow::Borrowed(opened),
        };
        let places = places(&opened);
        if places.is_empty() {
            return Traces::FOLDERS;
        }
        let mut hasher = DefaultHasher::new();
        // A tag is as good as another: a release shall not wait until registries have answered for it.
        let reference = if opened.event.kind == EventKind::Tag { "" } else { opened.event.reference.as_str() };
        (&opened.pipeline_file, opened.event.kind.as_str(), reference, places).hash(&mut hasher);
        Traces(Some(hasher.finish()))
    }
}

/// A pull request's run, as its base branch's own: see [`unnumbered`](super::unnumbered).
pub(super) fn of_the_base(opened: Opened) -> Opened {
    let Some(asked) = &opened.event.pull_request else { return opened };
    let event = Event { kind: EventKind::Push, reference: asked.base.clone(), ..Event::default() };
    Opened { event, commit: Commit::default(), ..opened }
}

/// The places where runs of a pipeline leave their numbers. A place whose
/// name depends on what a step answers is not known before it ran, and is left out.
pub fn places(opened: &Opened) -> Vec<Place> {
    let steps = opened.pipeline.steps.iter().chain(&opened.pipeline.finally);
    let scope = scope(opened);
    steps.filter_map(|step| place(step, &scope)).collect()
}

fn place(step: &Step, scope: &Variables) -> Option<Place> {
    let text = |name: &str| match expr::render(step.with.get(name)?, scope) {
        Ok(Value::String(text)) => Some(text),
        _ => None,
    };
    let render = |value: &String| expr::render(&Value::String(value.clone()), scope).ok()?.as_str().map(str::to_owned);
    let grants = step.grants.0.iter().map(|(name, values)| (name.clone(), values.iter().filter_map(render).collect()));
    let grants = grants.collect();
    match step.uses.as_str() {
        "push" => Some(Place::Registry { to: text("to")?, grants }),
        "bump" => {
            // A branch that is named but not known yet is not the default one.
            let branch = if step.with.contains_key("branch") { Some(text("branch")?) } else { None };
            Some(Place::Manifests { repo: text("repo")?, branch, grants })
        }
        _ => None,
    }
}

fn scope(opened: &Opened) -> Variables {
    early(&opened.pipeline, &opened.event, &opened.commit)
}
