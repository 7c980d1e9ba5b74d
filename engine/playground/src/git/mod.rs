//! Git remotes: bare repositories, served by `git http-backend`, and the pushes of a developer who is not there.

mod cgi;
mod receive;
mod repository;
mod webhook;

pub use cgi::GitService;
pub use repository::{Commit, Repositories};
pub use webhook::{Push, Webhook, Webhooks, deliver};

#[cfg(test)]
mod tests;
