//! All tests, from a fresh clone.

use crate::authors;
use crate::browser;
use crate::build;
use crate::install;
use crate::process::{Failed, command, has, output, run, timed, top};

/// Says what is missing; with `real` that is a failure.
fn say(missing: &[String], real: bool) -> Result<(), Failed> {
    for part in missing {
        eprintln!("xtask: NOT CHECKED: {part}");
    }
    if real && !missing.is_empty() {
        return Err(Failed(format!("{} real parts are missing, and --real wants them all", missing.len())));
    }
    Ok(())
}

/// Builds what the tests run, installs what they need, and runs them all.
///
/// # Errors
/// A test failed, or (with `real`) a real part is missing.
pub(crate) fn all(real: bool, filter: Option<&str>) -> Result<(), Failed> {
    let mut missing = timed("installing the tools", install::tools)?;
    timed("building the plugins", build::plugins)?;
    missing.extend(timed("building the examples", authors::examples)?);
    timed("building the dashboard", build::web)?;
    say(&missing, real)?;
    if filter.is_none() {
        timed("checking the dashboard", web)?;
        timed("linting", lint)?;
        missing.extend(timed("checking the supply chain", supply_chain)?);
    }
    let parts = timed("building the server, the tests and the parts they need", tests_and_parts)?;
    say(&parts, real)?;
    missing.extend(parts);
    timed("testing", || cargo_test(real, filter))?;
    if filter.is_none() {
        let unseen = timed("looking at the dashboard", browser::check)?;
        say(&unseen, real)?;
        missing.extend(unseen);
    }
    eprintln!("xtask: {} checks could not be made", missing.len());
    missing.iter().for_each(|part| eprintln!("xtask: NOT CHECKED: {part}"));
    Ok(())
}

/// The whole workspace, and the server built so that stories can kill it where they want.
const EVERYTHING: [&str; 3] = ["--workspace", "--features", "bespin/faults"];

/// Compiles the tests while the parts are built: neither keeps two cores busy to its end.
fn tests_and_parts() -> Result<Vec<String>, Failed> {
    std::thread::scope(|scope| {
        let parts = scope.spawn(install::parts);
        build_tests()?;
        parts.join().map_err(|_| Failed("installing the parts: it panicked".into()))
    })
}

fn build_tests() -> Result<(), Failed> {
    run(command("cargo").args(["build", "--quiet"]).args(EVERYTHING))?;
    run(command("cargo").args(["test", "--quiet", "--no-run"]).args(EVERYTHING))
}

fn cargo_test(real: bool, filter: Option<&str>) -> Result<(), Failed> {
    let mut cargo = command("cargo");
    cargo.args(["test", "--quiet"]).args(EVERYTHING);
    cargo.env("BESPIN_SERVER", build::target().join("debug/bespin"));
    cargo.env("BESPIN_PLUGINS", build::plugins_dir());
    cargo.env("BESPIN_COMPONENTS", build::target().join("wasm32-wasip2/plugin"));
    cargo.env("BESPIN_EXAMPLES", authors::dir());
    cargo.env("BESPIN_KUBERNETES", install::kubernetes());
    cargo.env("BESPIN_TOFU", install::tofu());
    cargo.env("BESPIN_ROLLOUTS", install::rollouts_client());
    cargo.env("BESPIN_MOTO", install::moto());
    cargo.env("BESPIN_COSIGN", install::cosign());
    if real {
        cargo.env("BESPIN_REAL", "1");
    }
    if std::env::var_os("RUST_TEST_THREADS").is_none() {
        // Stories wait more than they compute.
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        cargo.env("RUST_TEST_THREADS", (cores + 1).to_string());
    }
    cargo.args(filter);
    run(&mut cargo)
}

/// All lints everywhere; only tests may `unwrap`, and their helpers are not known as such to the lint.
fn lint() -> Result<(), Failed> {
    let clippy = |arguments: &[&str]| {
        let mut cargo = command("cargo");
        cargo.args(["clippy", "--quiet"]).args(EVERYTHING).args(arguments);
        run(&mut cargo)
    };
    clippy(&["--", "--deny", "warnings"])?;
    clippy(&["--all-targets", "--", "--deny", "warnings", "--allow", "clippy::unwrap_used"])
}

fn web() -> Result<(), Failed> {
    if !has("npm") {
        return Ok(());
    }
    let web = top().join("web");
    run(command("npm").current_dir(&web).args(["run", "--silent", "lint"]))?;
    run(command("npm").current_dir(&web).args(["run", "--silent", "test"]))
}

/// Bans, licences and sources always; advisories where their database can be had.
fn supply_chain() -> Result<Option<String>, Failed> {
    if !has("cargo-deny") {
        eprintln!("xtask: installing cargo-deny");
        run(command("cargo").args(["install", "--quiet", "--locked", "--debug", "cargo-deny"]))?;
    }
    run(command("cargo").args(["deny", "--log-level", "error", "check", "bans", "licenses", "sources"]))?;
    let advisories = output(command("cargo").args(["deny", "--log-level", "error", "check", "advisories"]));
    match advisories {
        Ok(_) => Ok(None),
        Err(Failed(why)) if why.contains("fetch") || why.contains("clone") || why.contains("resolve") => {
            Ok(Some("advisories: their database cannot be fetched".into()))
        }
        Err(failed) => Err(failed),
    }
}
