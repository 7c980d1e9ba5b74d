//! What an author does: begins a plugin, and tests it without a server.

mod cases;
mod new;
mod outcome;
mod project;
mod recorded;
mod test;

use clap::Subcommand;

/// What an author does.
#[derive(Subcommand)]
pub enum AuthorCommand {
    /// Begin a plugin: a project that works, in Rust, JavaScript or Python.
    ///
    /// It carries the contract with it and needs nothing of ours from the network.
    New(new::Options),
    /// Build a plugin and run it against recorded answers; no server is asked.
    ///
    /// Each YAML file in the project's `tests` is a case: settings, grants, files, secrets, what is asked of the world
    /// with its answers, and what must come of it. What is asked and not recorded is refused by its name.
    Test(test::Options),
}

/// Carries a command out.
///
/// # Errors
/// Why it could not be done, with help; and a case that came out otherwise than recorded.
pub(crate) async fn run(command: AuthorCommand) -> Result<(), String> {
    match command {
        AuthorCommand::New(options) => new::run(&options),
        AuthorCommand::Test(options) => test::run(&options).await,
    }
}
