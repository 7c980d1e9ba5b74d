//! The manifests repository, as far as a bump needs it.

/// What is observed for the first open request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observed {
    /// Nothing was looked at, for no request is open.
    Nothing,
    /// The address is not one that can be used, or is not one that is allowed.
    Unusable {
        /// Why, as a sentence with the help.
        because: String,
    },
    /// The repository has no such branch.
    NoBranch {
        /// What was looked for.
        branch: String,
    },
    /// The branch is there, with its files and Bespin's own commits.
    Branch(Box<Branch>),
}

/// What an act answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// It was carried out, or another commit was faster; the next observation sees which.
    Done,
    /// The remote refused the push for good, with this sentence.
    Refused(String),
}

/// A branch of a manifests repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    /// The branch's name without `refs/heads/`.
    pub name: String,
    /// The commit that it is at.
    pub head: String,
    /// The YAML files below the path, or why they were not read.
    pub files: Result<Vec<File>, String>,
    /// Bespin's own commits, newest first.
    pub bumps: Vec<Past>,
    /// What the remote said when it refused the last push for good, if it did.
    pub refused: Option<String>,
}

/// A file of the manifests repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its path from the repository's root.
    pub path: String,
    /// The file's whole text at the branch's head.
    pub text: String,
}

/// A commit that an earlier bump made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    /// The full id of the commit.
    pub commit: String,
    /// The run's id, as the commit's trailer names it.
    pub run: String,
    /// The image, as `host/name:tag`.
    pub image: String,
}
