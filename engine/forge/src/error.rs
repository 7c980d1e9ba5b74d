//! What can go wrong at this adapter, and whether it may pass. No message ever carries a credential.

use decide::retry::Retry;
use git2::{ErrorClass, ErrorCode};

/// Why something could not be read from, or written to, a repository.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The address is not one that Bespin talks to.
    #[error("`{address}` is not a git address that can be used: {problem}")]
    Address {
        /// The address, without what may be a password in it.
        address: String,
        /// What is wrong and the help.
        problem: String,
    },
    /// The configuration does not say where a repository is.
    #[error("no git address is configured for `{repository}`; add it to `git.repositories` or set `git.base`")]
    Unknown {
        /// The repository that was asked for, as `owner/repo`.
        repository: String,
    },
    /// There is no such commit, branch or path.
    #[error("{what} is not in {address}")]
    Missing {
        /// What was looked for.
        what: String,
        /// The remote's address, or that of its mirror.
        address: String,
    },
    /// Something is larger than what Bespin takes in.
    #[error("{what} is larger than {limit}")]
    TooLarge {
        /// What is too large, such as a file with its path.
        what: String,
        /// The limit, with its unit.
        limit: String,
    },
    /// There is no room for one more now; there will be.
    #[error("{what} of {address} already; this one waits for one of them to end")]
    Full {
        /// What takes the room.
        what: String,
        /// The remote whose room is taken.
        address: String,
    },
    /// git or the network failed.
    #[error("{tried} {address}: {problem}")]
    Git {
        /// What was tried, such as `fetching`.
        tried: &'static str,
        /// The remote that git was speaking with.
        address: String,
        /// What libgit2 or the network said.
        problem: String,
        /// Whether the same may succeed later.
        retry: Retry,
    },
    /// What the mirror keeps could not be read. It may be damaged, or not; only a look at its files tells.
    #[error("{tried} {address}: {problem}")]
    Mirror {
        /// What was tried, such as `reading`.
        tried: &'static str,
        /// The remote whose mirror it is.
        address: String,
        /// What libgit2 said.
        problem: String,
    },
    /// The reference is at the remote, and the mirror could not take it from there: what it has under that name, if
    /// anything, is old.
    #[error("`{reference}` of {address} cannot be fetched: {because}")]
    Unfetched {
        /// The full reference, such as `refs/heads/main`.
        reference: String,
        /// The remote that has it.
        address: String,
        /// Why not, as a fragment.
        because: String,
        /// Whether the same may succeed later.
        retry: Retry,
    },
    /// The mirror's directory cannot be used.
    #[error("the mirror directory {directory}: {problem}")]
    Directory {
        /// The path of the directory.
        directory: String,
        /// What the operating system or libgit2 said.
        problem: String,
    },
}

/// Wraps libgit2's error with what was tried and where.
pub(crate) fn git(tried: &'static str, address: &str) -> impl Fn(git2::Error) -> Error {
    let address = address.to_owned();
    move |error| {
        let (problem, retry) = (error.message().trim().to_owned(), class(&error));
        let address = address.clone();
        if is_of_the_mirror(&error) {
            return Error::Mirror { tried, address, problem };
        }
        Error::Git { tried, address, problem, retry }
    }
}

/// Whether the error speaks of what the mirror keeps: its objects, references and configuration. What the network,
/// the other side and the operating system say (a full disk, too many open files) tells nothing of them.
pub(crate) fn is_of_the_mirror(error: &git2::Error) -> bool {
    if matches!(error.code(), ErrorCode::Auth | ErrorCode::Certificate | ErrorCode::InvalidSpec | ErrorCode::User) {
        return false;
    }
    error.code() == ErrorCode::HashsumMismatch
        || matches!(
            error.class(),
            ErrorClass::Reference
                | ErrorClass::Zlib
                | ErrorClass::Repository
                | ErrorClass::Config
                | ErrorClass::Odb
                | ErrorClass::Object
                | ErrorClass::Tag
                | ErrorClass::Tree
                | ErrorClass::Indexer
        )
}

/// What libgit2's error says about trying again. It has no HTTP status but in its words, and no `Retry-After` at all.
fn class(error: &git2::Error) -> Retry {
    let text = error.message();
    if let Some(status) = status(text) {
        return Retry::of_status(status, None);
    }
    match (error.code(), error.class()) {
        // A host that is not trusted, and credentials that are not taken.
        (ErrorCode::Auth | ErrorCode::Certificate, _) => Retry::NeedsPerson,
        (_, ErrorClass::Ssh) if text.contains("authenticat") => Retry::NeedsPerson,
        (_, ErrorClass::Http) if text.contains("authenti") || text.contains("redirect") => Retry::NeedsPerson,
        // An id or a name that is none.
        (_, ErrorClass::Invalid) => Retry::Permanent,
        _ => Retry::PASSING,
    }
}

/// The HTTP status that libgit2 did not expect.
fn status(text: &str) -> Option<u16> {
    text.split_once("status code: ")?.1.trim().parse().ok()
}

impl Error {
    /// Whether the same may succeed later.
    pub fn retry(&self) -> Retry {
        match self {
            Error::Git { retry, .. } | Error::Unfetched { retry, .. } => *retry,
            // What is missing is pushed later, what is full empties, a disk has room again.
            Error::Missing { .. } | Error::Full { .. } | Error::Directory { .. } | Error::Mirror { .. } => {
                Retry::PASSING
            }
            Error::Address { .. } | Error::Unknown { .. } | Error::TooLarge { .. } => Retry::Permanent,
        }
    }
}

#[cfg(test)]
mod tests;
