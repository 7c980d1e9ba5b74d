//! What an image's stream holds.

use super::BuildId;
use crate::request::{Key, Response};
use pipeline::{BadReference, ImageRef};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// One line of an image's journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "body", rename_all = "kebab-case")]
pub enum Entry {
    /// A step asks for an image built or pushed.
    Wanted {
        /// The step of a run that asks.
        key: Key,
        /// The image that it asks to have built or pushed.
        intent: Intent,
    },
    /// The stage has answered a request; it is not acted upon any more.
    Answered {
        /// The step whose request this answers.
        key: Key,
        /// How the request ended, with the outputs that the step gets.
        answer: Response,
    },
}

crate::request::requests!(Entry, Intent);

/// What a step can want of this stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "intent", rename_all = "kebab-case")]
pub enum Intent {
    /// An image built from a directory of a repository at a commit.
    Build(Build),
    /// A built image under a tag in a registry.
    Push(Push),
}

/// An image to build. Met with the outputs `build` and `digest`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Build {
    /// The repository, as the configuration names it: `owner/name`.
    pub repository: String,
    /// The full commit id.
    pub commit: String,
    /// The directory in the repository that is the context; empty for its root.
    pub context: String,
    /// The Dockerfile's path within the context.
    pub dockerfile: String,
    /// Values for the Dockerfile's `ARG`s.
    #[serde(default)]
    pub build_args: BTreeMap<String, String>,
    /// What its commands reach.
    #[serde(default)]
    pub network: Network,
    /// What the step that asks may take, in ms; [`PATIENCE_MS`](super::PATIENCE_MS) where it was not recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

/// What network a `RUN` of a build has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// The network that the builder has: a `RUN` may reach whatever the builder may.
    #[default]
    Builder,
    /// None at all: the commands are a stranger's.
    None,
}

/// A built image to push. Met with the outputs `image`, `digest` and `reference`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Push {
    /// What the build answered as `build`.
    pub build: String,
    /// The repository in the registry: `host/name`, without a tag.
    pub to: String,
    /// The tag to push under, without the repository.
    pub tag: String,
    /// What the step that asks may take, in ms; [`PATIENCE_MS`](super::PATIENCE_MS) where it was not recorded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_ms: Option<u64>,
}

impl Push {
    /// Reads the push's names.
    ///
    /// # Errors
    /// A sentence with the help, for the pipeline's author.
    pub fn target(&self) -> Result<(BuildId, ImageRef), String> {
        let build: BuildId = self.build.parse()?;
        let to: ImageRef = self.to.parse().map_err(|error: BadReference| error.to_string())?;
        if to.tag.is_some() || to.digest.is_some() {
            return Err(format!("`to: {}` has a tag or a digest; write the tag as `tag:`", self.to));
        }
        let to = to.tagged(&self.tag).map_err(|error| error.to_string())?;
        Ok((build, to))
    }
}
