//! What a bump's stream holds.

use crate::request::{Key, Response};
use serde::{Deserialize, Serialize};

/// The trailer that names the run, as `owner/repo/pipeline/number`.
pub const RUN_TRAILER: &str = "Bespin-Run";
/// The trailer that names the step.
pub const STEP_TRAILER: &str = "Bespin-Step";
/// The trailer that names the image, as it stands in the manifests.
pub const IMAGE_TRAILER: &str = "Bespin-Image";

/// One line of a bump's journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "body", rename_all = "kebab-case")]
pub enum Entry {
    /// A step asks for an image bumped.
    Wanted {
        /// The step of a run that asks.
        key: Key,
        /// The image, and the place in git that shall name it.
        intent: Intent,
    },
    /// A request has ended.
    Answered {
        /// The step whose request this answers.
        key: Key,
        /// How the request ended, with the outputs that the step gets.
        answer: Response,
    },
}

crate::request::requests!(Entry, Intent);

/// What a step asks to stand in the manifests repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Intent {
    /// The address of the manifests repository, by HTTP or SSH.
    pub repo: String,
    /// The branch's short name; the remote's default branch where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// The folder or file whose image changes.
    pub path: String,
    /// The image, as `host/name:tag`.
    pub image: String,
    /// The commit's subject; one is written where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}
