//! `bespin plugin`: what an author, and the person who gives permission, does with a plugin's file.
//!
//! The binary brings one thing, [`Configured`]. Deliberately absent: the server's configuration, and any server.

#![forbid(unsafe_code)]

mod artifact;
mod authors;
mod component;
mod inspect;
pub mod lock;
mod reach;

use clap::Subcommand;
use images::RegistrySettings;
use std::path::Path;

/// How the registries of a server's configuration file are reached. The configuration is the binary's to read.
pub type Configured = fn(&Path) -> Result<Vec<RegistrySettings>, String>;

/// What can be done with plugins.
#[derive(Subcommand)]
pub enum Command {
    /// Show in plain words what a plugin asks permission for; it is not run.
    Inspect(inspect::Options),
    /// Write what a plugin declares of its settings and outputs into its component.
    ///
    /// For a language whose build does not: in Rust, `bespin_sdk::settings!` does it.
    Settings(component::SettingsOptions),
    /// Push a plugin to a registry, and sign it.
    Push(artifact::PushOptions),
    /// Fetch a plugin from a registry; its digests are checked.
    Pull(artifact::PullOptions),
    /// Sign a plugin that is in a registry, or a file.
    Sign(artifact::Sign),
    /// Check that one of these keys signed a plugin; nobody else is asked.
    Verify(artifact::Verify),
    /// Pin the plugins that pipelines take by a tag: write `.bespin/plugins.lock`.
    Lock(lock::Options),
    /// What an author does.
    #[command(flatten)]
    Author(authors::AuthorCommand),
}

/// Carries a command out; `configured` reads the file that `--config` names, if a command has one.
///
/// # Errors
/// Why it could not be done, with help.
pub async fn run(command: Command, configured: Configured) -> Result<(), String> {
    // Boxed, for the compiler: the registry's client makes deep futures.
    match command {
        Command::Inspect(options) => Box::pin(inspect::run(&options, configured)).await,
        Command::Settings(options) => component::settings(&options),
        Command::Push(options) => Box::pin(artifact::push(&options, configured)).await,
        Command::Pull(options) => Box::pin(artifact::pull(&options, configured)).await,
        Command::Sign(options) => Box::pin(artifact::sign(&options, configured)).await,
        Command::Verify(options) => Box::pin(artifact::verify(&options, configured)).await,
        Command::Lock(options) => Box::pin(lock::run(&options, configured)).await,
        Command::Author(command) => Box::pin(authors::run(command)).await,
    }
}
