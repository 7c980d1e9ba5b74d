//! The command line.

use crate::config::{Config, EXAMPLE, Mistakes};
use crate::{demo, journal_commands, serve};
use clap::{Args, Parser, Subcommand};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// One server from a push to GitHub to a finished canary.
///
/// `bespin demo` shows the whole way on this machine; `bespin serve` is for real.
#[derive(Parser)]
#[command(name = "bespin", version, propagate_version = true)]
struct Cli {
    /// How much Bespin says of itself on the standard error: error, warn, info, debug, trace.
    #[arg(long, env = "BESPIN_LOG", default_value = "info", global = true, value_name = "LEVEL", display_order = 900)]
    log: String,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Receive pushes and deliver them.
    ///
    /// Runs until Ctrl-C or SIGTERM. What is under way then is taken up by the next start, and so it is after a crash.
    #[command(after_long_help = example())]
    Serve(WithConfig),
    /// Show the whole way in the embedded default, with a sample application.
    ///
    /// It brings a Kubernetes API, an OCI registry and git remotes of its own, pushes to the sample, and prints a link
    /// to the dashboard, where the canary can be watched. It needs no configuration, no Docker and no cluster.
    Demo(demo::Options),
    /// Run the embedded default alone: a Kubernetes API, an OCI registry and git remotes.
    ///
    /// Prints one line of JSON with their addresses; `kubectl` can be pointed at it. For trying out, not for work.
    Playground(crate::play::Options),
    /// Check pipeline files; every mistake is shown with its place and its help.
    Lint {
        /// The pipeline files to check, by path.
        #[arg(required = true)]
        files: Vec<PathBuf>,
        #[command(flatten)]
        by: crate::lint::CheckedBy,
    },
    /// Try what a configuration names: git remotes, webhooks and clusters, a line each.
    ///
    /// Reads the whole configuration with its secrets, starts nothing and changes nothing. Exits with 1 where something
    /// does not answer or refuses; a note says what works less well than it could, or was not tried.
    #[command(after_help = crate::check::AFTER_HELP)]
    Check(WithConfig),
    /// Show what a push would start, and why. Nothing is started, and no server is asked.
    Plan(crate::lint::PlanOptions),
    /// Start runs.
    #[command(subcommand)]
    Run(crate::runs::Command),
    /// Back up, verify, export or restore the journal.
    #[command(subcommand)]
    Journal(journal_commands::Command),
    /// Begin and test plugins, and look into them before they are given permission.
    #[command(subcommand)]
    Plugin(devkit::Command),
    /// Take an application over from the controller that owns it.
    ///
    /// Until then Bespin only watches what another controller owns. Asks the server that runs on this machine with
    /// the same configuration, and follows the application until it has changed hands.
    Take(crate::ownership::Named),
    /// Give an application back.
    ///
    /// Bespin only watches it from then on. Asks the server that runs on this machine with the same configuration.
    Give(crate::ownership::Named),
    /// Hash a password for a `[[user]]` of the configuration; it is read from the standard input.
    HashPassword,
    /// Compile a plugin from the standard input into a server's cache; the server calls this.
    #[command(hide = true)]
    CompilePlugin {
        /// The folder of the server's cache of compiled plugins.
        cache: PathBuf,
    },
    /// Run Terraform for as long as the standard input stays open; the server calls this.
    // A server that runs on while its program is replaced still asks by the older name.
    #[command(hide = true, alias = "terraform-warden")]
    TerraformSupervisor,
    /// Print the version of this program.
    Version,
}

/// A command that needs the configuration.
#[derive(Args)]
pub struct WithConfig {
    /// The configuration file, in TOML.
    #[arg(long, short, env = "BESPIN_CONFIG", default_value = "bespin.toml", value_name = "FILE")]
    pub config: PathBuf,
}

fn example() -> String {
    format!("A configuration to begin with:\n\n{EXAMPLE}")
}

impl WithConfig {
    /// Reads and checks the configuration.
    ///
    /// # Errors
    /// Every mistake in it.
    pub fn load(&self) -> Result<Config, Mistakes> {
        Config::load(&self.config)
    }
}

/// Runs the command line and answers the process' exit code: 0 done, 1 failed, 2 misused.
pub async fn main() -> ExitCode {
    let cli = Cli::parse();
    let filter = tracing_subscriber::EnvFilter::try_new(&cli.log).unwrap_or_else(|_| "info".into());
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).init();
    match run(cli.command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(because) => {
            eprintln!("bespin: {because}");
            ExitCode::FAILURE
        }
    }
}

/// How the registries of a configuration file are reached.
fn registries(file: &Path) -> Result<Vec<images::RegistrySettings>, String> {
    let config = crate::config::Config::load(file).map_err(|mistakes| mistakes.to_string())?;
    crate::adapters::registries(&config)
}

async fn run(command: Command) -> Result<(), String> {
    match command {
        Command::Serve(with) => serve::until_stopped(with.load().map_err(|mistakes| mistakes.to_string())?).await,
        Command::Demo(options) => demo::run(options).await,
        Command::Playground(options) => crate::play::run(options).await,
        Command::Lint { files, by } => crate::lint::lint(&files, &by),
        Command::Check(with) => {
            crate::check::run(with.load().map_err(|mistakes| mistakes.to_string())?, &mut std::io::stdout()).await
        }
        Command::Plan(options) => crate::lint::plan(&options),
        Command::Run(command) => crate::runs::run(command).await,
        Command::Journal(command) => journal_commands::run(command).await,
        Command::Plugin(command) => devkit::run(command, registries).await,
        Command::Take(named) => crate::ownership::take(&named).await,
        Command::Give(named) => crate::ownership::give(&named).await,
        Command::HashPassword => hash_password(),
        Command::CompilePlugin { cache } => crate::compiler::compile(&cache),
        Command::TerraformSupervisor => std::process::exit(crate::host::terraform::supervisor::run()),
        Command::Version => {
            print!("{}", version(&lacking()));
            Ok(())
        }
    }
}

/// The features of a complete build that this one was built without.
fn lacking() -> Vec<&'static str> {
    let all = [
        ("ecr", cfg!(feature = "ecr")),
        ("elb", cfg!(feature = "elb")),
        ("buildkit", cfg!(feature = "buildkit")),
        ("encrypted-git", cfg!(feature = "encrypted-git")),
    ];
    all.into_iter().filter(|(_, is_built_in)| !is_built_in).map(|(name, _)| name).collect()
}

/// What `bespin version` prints: a second line only where something is lacking.
fn version(lacking: &[&str]) -> String {
    let version = env!("CARGO_PKG_VERSION");
    match lacking {
        [] => format!("bespin {version}\n"),
        lacking => format!("bespin {version}\nwithout: {}\n", lacking.join(", ")),
    }
}

/// From standard input, so that the password stands in no process list and no shell's history.
fn hash_password() -> Result<(), String> {
    let mut password = String::new();
    std::io::stdin().read_line(&mut password).map_err(|error| format!("standard input: {error}"))?;
    let password = password.trim_end_matches(['\n', '\r']);
    if password.is_empty() {
        return Err("the password is empty; write it to standard input".into());
    }
    println!("{}", api::login::hash_password(password)?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn a_version_tells_what_its_build_lacks() {
        let first = format!("bespin {}\n", env!("CARGO_PKG_VERSION"));
        assert_eq!(version(&[]), first);
        assert_eq!(version(&["ecr", "buildkit"]), format!("{first}without: ecr, buildkit\n"));
        assert_eq!(lacking().contains(&"ecr"), cfg!(not(feature = "ecr")));
    }

    #[test]
    fn the_command_line_is_sound_and_its_help_shows_a_configuration() {
        Cli::command().debug_assert();
        let mut command = Cli::command();
        let serve = command.find_subcommand_mut("serve").expect("there is `serve`");
        let help = serve.render_long_help().to_string();
        assert!(help.contains("[[hook]]") && help.contains("--config <FILE>"), "{help}");
    }
}
