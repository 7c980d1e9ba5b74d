//! What a Dockerfile asks for, for a build that needs no daemon.
//!
//! A file of `FROM scratch` and of instructions that only copy and describe is
//! a [`Recipe`]: it can be assembled in process. All else is objected to, every
//! line at once, because only a Docker Engine can carry it out.

mod instructions;
pub mod lines;
mod words;

use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// An image that can be assembled from its context alone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recipe {
    /// The platform of `FROM --platform`, such as `linux/arm64`.
    pub platform: Option<String>,
    /// What happens to the file system, in order.
    pub steps: Vec<FileStep>,
    /// How a container of it starts.
    pub config: ImageConfig,
}

/// One change of the image's file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum FileStep {
    /// `WORKDIR` creates its directory.
    Directory {
        /// The absolute path in the image, without `.` and `..`.
        path: String,
    },
    /// `COPY` and a local `ADD`.
    Copy(Copy),
}

/// Files from the context into the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Copy {
    /// The instruction's line in the Dockerfile, from 1.
    pub line: usize,
    /// Paths or patterns within the context, cleaned; empty for all of it.
    pub sources: Vec<String>,
    /// The absolute path in the image, without `.` and `..`.
    pub target: String,
    /// Whether the target was written with a slash at its end, or is the working directory.
    pub into: Into,
    /// Owner, as (user id, group id).
    pub owner: (u64, u64),
    /// Permission bits for all that is copied, where they are written.
    pub mode: Option<u32>,
    /// Whether an archive would be unpacked by Docker.
    pub archives: ArchiveRule,
}

/// What a copy's target is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Into {
    /// A directory, by its slash.
    Directory,
    /// The file itself, unless a directory stands there.
    Path,
}

/// What becomes of an archive among the sources.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ArchiveRule {
    /// `COPY` takes it as a file.
    Copied,
    /// `ADD` unpacks it, which only a Docker Engine does here.
    Unpacked,
}

/// An image's own settings; the OCI image configuration's `config`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ImageConfig {
    /// Who runs it: a name or an id, as written.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub user: String,
    /// Ports it serves, such as `8080/tcp`.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub exposed_ports: BTreeMap<String, EmptyObject>,
    /// Its environment, as `NAME=value`, in the order of the file.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub env: Vec<String>,
    /// The command's fixed part.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub entrypoint: Vec<String>,
    /// The command, or the arguments of the entry point.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub cmd: Vec<String>,
    /// Directories that live outside of the container.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub volumes: BTreeMap<String, EmptyObject>,
    /// The directory in which the image's program starts.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub working_dir: String,
    /// What it says about itself.
    #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
    pub labels: BTreeMap<String, String>,
    /// The signal that asks it to end.
    #[serde(skip_serializing_if = "String::is_empty", default)]
    pub stop_signal: String,
}

/// The OCI specification's `{}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EmptyObject {}

/// Why a line cannot be assembled in process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Objection {
    /// The line, from 1; 0 for the file as a whole.
    pub line: usize,
    /// The instruction as it is written.
    pub source: String,
    /// What kind of objection.
    pub kind: InstructionKind,
    /// What is wrong, as a sentence without a full stop.
    pub message: String,
    /// What to do about it.
    pub help: String,
}

/// Whether an objection is the author's or the builder's.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstructionKind {
    /// A Docker Engine could do it.
    NeedsEngine,
    /// No builder could build it.
    Mistake,
}

impl fmt::Display for Objection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let needs = match self.kind {
            InstructionKind::NeedsEngine => "needs a Docker Engine: ",
            InstructionKind::Mistake => "",
        };
        write!(f, "{needs}line {}: {} ({}; {})", self.line, self.source, self.message, self.help)
    }
}

/// Reads a Dockerfile as a recipe.
///
/// # Errors
/// Every line that cannot be assembled in process, in the order of the file.
pub fn read(text: &str, build_args: &BTreeMap<String, String>) -> Result<Recipe, Vec<Objection>> {
    let lines = lines::split(text);
    let mut reader = instructions::InstructionReader::new(lines.escape, build_args);
    for line in &lines.lines {
        reader.read(line);
    }
    reader.finish()
}

#[cfg(test)]
mod tests;
