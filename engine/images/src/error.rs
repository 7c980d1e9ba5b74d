//! What this door can meet, told apart by whether trying again helps.

/// Why an image was not built, pushed, seen or run; a sentence for a person.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Somebody has to change something first; the sentence says what.
    #[error("{0}")]
    Refused(String),
    /// It may work later without anybody's doing.
    #[error("{0}")]
    Transient(String),
}

impl Error {
    /// A file of our own that could not be read or written; a full disk passes, too.
    pub(crate) fn file(tried: &str, path: &std::path::Path, error: impl std::fmt::Display) -> Error {
        Error::Transient(format!("{tried} {}: {error}", path.display()))
    }

    /// Work that was given to another thread and did not come back.
    pub(crate) fn lost(error: tokio::task::JoinError) -> Error {
        Error::Transient(format!("the work was interrupted: {error}"))
    }
}
