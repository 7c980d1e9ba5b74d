//! Why a plugin cannot be had, and whether it may be had later.

use crate::drive::Trouble;
use decide::retry::Retry;
use sandbox::World;

/// Why there is no plugin to run.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The folder of plugins has none of that name.
    #[error("there is no plugin `{name}`; there are {known}")]
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
            Error::Fetching => Retry::PASSING,
            // It is signed later, or the folder is put right.
            Error::Unsigned(_) | Error::Folder { .. } => Retry::NeedsPerson,
            Error::Unknown { .. } | Error::Refused(_) | Error::Load(_) | Error::World { .. } => Retry::Permanent,
        }
    }

    /// The same to a step, which waits until a registry that it needs answers, and for nothing else: the author is to
    /// hear at once of a plugin that is not there or not signed.
    pub fn to_a_step(self) -> Trouble {
        use images::Error::{Ecr, Registry};
        match self {
            Error::Fetch(Registry { .. } | Ecr { .. }) => self.into(),
            error => Trouble::permanent(error.to_string()),
        }
    }
}
