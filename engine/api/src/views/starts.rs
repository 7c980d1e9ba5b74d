//! What a person can start, and what comes of it.

use pipeline::{Input, InputKind, InputPresence};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What can be started by hand.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StartableView {
    /// The repositories of the configuration, or the one that was asked for.
    pub repositories: Vec<StartableRepository>,
}

/// What can be started of a repository.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StartableRepository {
    /// The repository, as `owner/name`.
    pub repository: String,
    /// The full reference that its pipelines were read at; empty where there is none.
    pub reference: String,
    /// The full id of the commit there; empty where there is none.
    pub sha: String,
    /// The pipelines that start by hand, by file.
    pub pipelines: Vec<StartablePipeline>,
    /// Why this may be old, or not all of it.
    pub problem: Option<String>,
}

/// A pipeline that a person can start.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StartablePipeline {
    /// Its file, such as `.bespin/was.yaml`.
    pub file: String,
    /// Its name, as its file says it.
    pub name: String,
    /// What the person gives, in the file's order.
    pub inputs: Vec<InputView>,
}

/// A value that a person gives.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct InputView {
    /// Its name; a start gives it by this.
    pub name: String,
    /// What it is for; may be empty.
    pub description: String,
    /// Which values it takes.
    pub kind: InputKindView,
    /// The values of a choice; empty for the other types.
    pub options: Vec<String>,
    /// Whether it has to be given, unless it has a default.
    pub required: bool,
    /// Its value where nobody gives one; absent where that is the empty value of its type.
    pub default: Option<serde_json::Value>,
}

/// Which values an input takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum InputKindView {
    /// Any text.
    String,
    /// `true` or `false`.
    Boolean,
    /// A number.
    Number,
    /// One of its options.
    Choice,
}

/// What a start answers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct StartedView {
    /// The run's id; the older one where the same key has started it before.
    pub run: String,
}

impl From<&Input> for InputView {
    fn from(input: &Input) -> InputView {
        InputView {
            name: input.name.clone(),
            description: input.description.clone(),
            kind: match input.kind {
                InputKind::String => InputKindView::String,
                InputKind::Boolean => InputKindView::Boolean,
                InputKind::Number => InputKindView::Number,
                InputKind::Choice => InputKindView::Choice,
            },
            options: input.options.clone(),
            required: input.presence == InputPresence::Required,
            default: input.default.clone(),
        }
    }
}
