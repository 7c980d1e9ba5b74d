//! What a developer runs: `cargo xtask demo | test | bench | fuzz`, and their parts.

mod announce;
mod authors;
mod bench;
mod browser;
mod build;
mod fuzz;
mod install;
mod process;
mod test;

use clap::{Parser, Subcommand};
use process::Failed;
use std::process::ExitCode;

/// Builds, tests and measures Bespin from a fresh clone.
#[derive(Parser)]
#[command(name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Build everything and take a push to a finished canary in the embedded default.
    Demo {
        /// End when the canary is done: 0 if it was promoted, else 1, with one JSON line of stages and times.
        #[arg(long)]
        once: bool,
    },
    /// Run all tests, with each real part that can be started; what could not be checked is said and counted.
    Test {
        /// A missing real part is a failure.
        #[arg(long)]
        real: bool,
        /// Only tests whose name contains this.
        filter: Option<String>,
    },
    /// Check the dashboard in a browser, against the demo; `test` does so as well.
    Browser,
    /// Measure, with the peer in the same run; each figure ends in one JSON line.
    Bench {
        /// Only this bench.
        name: Option<String>,
    },
    /// Fuzz what is read from outside: each target of `engine/fuzz` in turn.
    Fuzz {
        /// Only targets whose name contains this.
        target: Option<String>,
        /// For how long each, in seconds.
        #[arg(long, default_value_t = 60)]
        seconds: u32,
    },
    /// Build the plugins as components.
    Plugins,
    /// Build the dashboard.
    Web,
    /// Install what the tests need, where that is possible.
    Install,
}

fn main() -> ExitCode {
    let done = match Cli::parse().command {
        Command::Demo { once } => demo(once),
        Command::Test { real, filter } => test::all(real, filter.as_deref()),
        Command::Browser => look(),
        Command::Bench { name } => bench::measure(name.as_deref()),
        Command::Fuzz { target, seconds } => fuzz::targets(target.as_deref(), seconds),
        Command::Plugins => plugins(),
        Command::Web => build::web(),
        Command::Install => install::everything().map(|missing| missing.iter().for_each(|what| eprintln!("{what}"))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failed) => {
            eprintln!("xtask: {failed}");
            ExitCode::FAILURE
        }
    }
}

/// The built-ins, and the examples in the languages that are here.
fn plugins() -> Result<(), Failed> {
    install::wasm_target()?;
    build::plugins()?;
    authors::examples()?.iter().for_each(|what| eprintln!("xtask: NOT BUILT: {what}"));
    Ok(())
}

fn look() -> Result<(), Failed> {
    install::wasm_target()?;
    build::plugins()?;
    build::web()?;
    build::server(build::Profile::Demo)?;
    match browser::check()?.as_slice() {
        [] => Ok(()),
        missing => Err(Failed(missing.join("; "))),
    }
}

fn demo(once: bool) -> Result<(), Failed> {
    install::wasm_target()?;
    announce::announced(announce::PLUGINS, build::built_ins)?;
    announce::announced(announce::DASHBOARD, build::web)?;
    let server = announce::announced(announce::SERVER, || build::server(build::Profile::Demo))?;
    let mut command = process::command(&server);
    command.arg("demo").arg("--plugins").arg(build::plugins_dir());
    if once {
        command.arg("--once");
    }
    process::run(&mut command)
}
