//! Git remotes: bare repositories, served by `git http-backend`, and the pushes of a developer who is not there.

mod cgi;
mod repository;
mod webhook;

pub use cgi::GitService;
pub use repository::{Commit, Repositories};
pub use webhook::{Push, deliver};

#[cfg(test)]
mod tests;
