//! The sample's repositories, and what its developers do to them: the same in every world.

use super::bespin::Bespin;
use super::git::Bare;
use playground::git::{Push, Repositories, deliver};
use playground::sample::{APPLICATION, MANIFESTS};

/// What signs the webhooks in every world.
pub const HOOK_SECRET: &str = "It's a Secret to Everybody";

/// Where the sample's own change is.
const CHANGED: &str = "was/static/server";

/// The sample's repositories, as the machine that serves them has them.
pub struct Remotes {
    repositories: Repositories,
    url: String,
}

/// A commit on a `main`, with what its webhook says of it.
#[derive(Clone, Debug)]
pub struct Change {
    /// The commit before, 40 hexadecimal digits.
    pub before: String,
    /// The commit, 40 hexadecimal digits.
    pub after: String,
    repository: String,
    paths: Vec<String>,
    message: String,
}

impl Remotes {
    /// The repositories that are served below this address, which ends without a slash.
    pub fn new(repositories: Repositories, url: &str) -> Remotes {
        Remotes { repositories, url: url.to_owned() }
    }

    /// The manifests repository.
    pub fn manifests(&self) -> Bare {
        Bare(self.repositories.path(MANIFESTS))
    }

    /// The application's repository.
    pub fn application(&self) -> Bare {
        Bare(self.repositories.path(APPLICATION))
    }

    /// Commits files (path and text) to the `main` of a repository.
    pub async fn commit(&self, repository: &str, files: &[(&str, String)], message: &str) -> Change {
        let owned: Vec<_> = files.iter().map(|(path, text)| ((*path).to_owned(), text.clone())).collect();
        let committed = self.repositories.commit(repository, "main", &owned, message).await;
        let commit = committed.unwrap_or_else(|error| panic!("{error}"));
        let paths = owned.into_iter().map(|(path, _)| path).collect();
        Change {
            before: commit.before,
            after: commit.after,
            repository: repository.to_owned(),
            paths,
            message: message.to_owned(),
        }
    }

    /// Commits change number `n` to the application.
    pub async fn change(&self, n: u32) -> Change {
        let file = format!("#!/bin/sh\necho greeting {n}\n");
        self.commit(APPLICATION, &[(CHANGED, file)], &format!("Greet in way {n}")).await
    }

    /// Delivers a change to a server, or delivers it again: the delivery's id follows from the
    /// commit. Answers what the server said.
    ///
    /// # Errors
    /// The server did not accept it, or there was no whole answer.
    pub async fn deliver(&self, server: &Bespin, change: &Change) -> Result<String, playground::Error> {
        let push = Push {
            repository: &change.repository,
            clone_url: &format!("{}/{}.git", self.url, change.repository),
            reference: "refs/heads/main",
            before: &change.before,
            after: &change.after,
            message: &change.message,
            modified: &change.paths,
        };
        let hook = format!("{}/hooks/github/default", server.hooks);
        deliver(&hook, HOOK_SECRET, "push", &change.after[..32], &push.payload()).await
    }
}
