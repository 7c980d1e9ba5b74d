//! What can go wrong at this adapter, and whether it may pass. No message ever carries a credential.

use decide::retry::Retry;
use std::fmt::Display;
use std::path::Path;

/// Why an image was not built, pushed, observed or run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// What is to be built, pushed or run is wrong: the Dockerfile, the context, a name, a container's settings.
    #[error("{0}")]
    Input(String),
    /// The configuration lacks a registry, or has one that cannot be used.
    #[error("{0}")]
    Settings(String),
    /// A tag names something else, and stays.
    #[error("{0}")]
    Taken(String),
    /// What a registry has under a name is absent, damaged, too long or of another kind.
    #[error("{from} {problem}")]
    Artifact {
        /// The reference that was asked for.
        from: String,
        /// What is wrong with it, and the help.
        problem: String,
    },
    /// A registry refused, or was not reached.
    #[error("registry {host}: {problem}")]
    Registry {
        /// The registry's host in image names.
        host: String,
        /// The HTTP status, where it answered one.
        status: Option<u16>,
        /// What it said, or what happened in place of an answer.
        problem: String,
        /// Whether the same may succeed later.
        retry: Retry,
    },
    /// The ECR API handed out no login.
    #[error("the ECR API in {region}: {problem}")]
    Ecr {
        /// The AWS region that was asked.
        region: String,
        /// What it said, or what happened in place of an answer.
        problem: String,
        /// Whether the same may succeed later.
        retry: Retry,
    },
    /// Docker Engine refused, was not reached, or could not build.
    #[error("{tried}: {problem}")]
    Engine {
        /// What was tried, such as `building`.
        tried: &'static str,
        /// What it said, or what happened in place of an answer.
        problem: String,
        /// Whether the same may succeed later.
        retry: Retry,
    },
    /// A file of our own could not be read or written.
    #[error("{0}")]
    Disk(String),
    /// Work that was given to another thread did not come back.
    #[error("the work was interrupted: {0}")]
    Lost(String),
}

impl Error {
    /// Whether the same may succeed later.
    pub fn retry(&self) -> Retry {
        match self {
            Error::Input(_) | Error::Settings(_) | Error::Taken(_) => Retry::Permanent,
            // It is pushed later, or pushed again.
            Error::Artifact { .. } => Retry::NeedsPerson,
            Error::Registry { retry, .. } | Error::Ecr { retry, .. } | Error::Engine { retry, .. } => *retry,
            // A full disk has room again.
            Error::Disk(_) | Error::Lost(_) => Retry::PASSING,
        }
    }

    /// Whether it passes without anybody's doing.
    pub fn passes(&self) -> bool {
        matches!(self.retry(), Retry::Passing { .. })
    }

    /// Whether a registry refused the question itself, rather than to answer it now.
    pub(crate) fn is_refusal(&self) -> bool {
        match self {
            Error::Registry { status: Some(status), .. } => {
                (400..500).contains(status) && !matches!(status, 408 | 425 | 429)
            }
            _ => false,
        }
    }

    pub(crate) fn file(tried: &str, path: &Path, error: impl Display) -> Error {
        Error::disk(&format!("{tried} {}", path.display()), error)
    }

    pub(crate) fn disk(tried: &str, error: impl Display) -> Error {
        Error::Disk(format!("{tried}: {error}"))
    }

    pub(crate) fn lost(error: tokio::task::JoinError) -> Error {
        Error::Lost(error.to_string())
    }

    pub(crate) fn artifact(from: impl Display, problem: impl Into<String>) -> Error {
        Error::Artifact { from: from.to_string(), problem: problem.into() }
    }
}

/// The innermost cause is what a person can act on. Addresses are left out, for a registry may put tokens into them.
pub(crate) fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string().split(" for url").next().unwrap_or_default().to_owned()
}

#[cfg(test)]
mod tests;
