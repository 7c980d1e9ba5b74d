//! Why a plugin cannot be had, and whether it may be had later.

use crate::drive::Trouble;
use decide::retry::Retry;
use sandbox::World;

/// Why there is no plugin to run.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The folder of plugins has none of that name.
    #[error("there is no plugin `{name}` in the folder; there are {known}")]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// Those that there are, for a sentence.
        known: String,
    },
    /// The folder of plugins cannot be read.
    #[error("{folder}: {problem}; build the plugins with `cargo xtask plugins`")]
    Folder {
        /// The path of the folder.
        folder: String,
        /// What the operating system said.
        problem: String,
    },
    /// This server may not run it: it is of no source, or not pinned.
    #[error("{0}")]
    Refused(String),
    /// Nobody whom its source trusts has signed it.
    #[error("{0}")]
    Unsigned(String),
    /// It is on its way from its registry.
    #[error("it is still being fetched")]
    Fetching,
    /// It was not fetched.
    #[error(transparent)]
    Fetch(#[from] images::Error),
    /// Its file is there, and cannot be read now.
    #[error("{file}: {problem}")]
    Unread {
        /// The file's path.
        file: String,
        /// What the operating system said.
        problem: String,
    },
    /// It is no component that runs here.
    #[error("{0}")]
    Load(String),
    /// It is there, and is not what it was named for.
    #[error("the plugin `{name}` is of the world `{is}`; name one of the world `{wanted}`")]
    World {
        /// The plugin's name or reference.
        name: String,
        /// The world that it was built for.
        is: World,
        /// The world that was asked for.
        wanted: World,
    },
}

impl Error {
    /// Whether it may be had later.
    pub fn retry(&self) -> Retry {
        match self {
            Error::Fetch(error) => error.retry(),
            Error::Fetching | Error::Unread { .. } => Retry::PASSING,
            // It is signed later, or the folder is put right.
            Error::Unsigned(_) | Error::Folder { .. } => Retry::NeedsPerson,
            Error::Unknown { .. } | Error::Refused(_) | Error::Load(_) | Error::World { .. } => Retry::Permanent,
        }
    }

    /// The same to a step, which waits until a registry that it needs answers or a file can be read, and for nothing
    /// else: the author is to hear at once of a plugin that is not there or not signed.
    pub fn to_a_step(self) -> Trouble {
        use images::Error::{Ecr, Registry};
        match self {
            Error::Fetch(Registry { .. } | Ecr { .. }) | Error::Unread { .. } => self.into(),
            error => Trouble::permanent(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_waits_for_a_registry_or_a_file_and_for_nothing_else() {
        let registry = |status, retry| images::Error::Registry {
            host: "ghcr.io".into(),
            status: Some(status),
            problem: "it does not answer".into(),
            retry,
        };
        let absent = images::Error::Artifact { from: "ghcr.io/a/b:1".into(), problem: "is not in the registry".into() };
        for (error, later, in_a_step) in [
            (registry(503, Retry::after(5_000)).into(), Retry::after(5_000), Retry::after(5_000)),
            (registry(401, Retry::NeedsPerson).into(), Retry::NeedsPerson, Retry::NeedsPerson),
            (
                Error::Unread { file: "talk.wasm".into(), problem: "Too many open files".into() },
                Retry::PASSING,
                Retry::PASSING,
            ),
            (absent.into(), Retry::NeedsPerson, Retry::Permanent),
            (Error::Unsigned("it is not signed".into()), Retry::NeedsPerson, Retry::Permanent),
            (Error::Refused("it is of no source".into()), Retry::Permanent, Retry::Permanent),
        ] {
            let error: Error = error;
            assert_eq!((error.retry(), error.clone().to_a_step().retry), (later, in_a_step), "{error}");
        }
    }
}
