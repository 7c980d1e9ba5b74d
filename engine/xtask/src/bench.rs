//! The benches live in `tests/bench`; this builds what they measure and runs them.

use crate::build::{self, Profile};
use crate::install;
use crate::process::{Failed, command, run};

/// Runs one bench, or all of them; each figure ends in one JSON line.
///
/// # Errors
/// A bench could not be measured.
pub(crate) fn measure(name: Option<&str>) -> Result<(), Failed> {
    let missing = install::everything()?;
    missing.iter().for_each(|part| eprintln!("xtask: NOT MEASURED AGAINST: {part}"));
    build::plugins()?;
    build::web()?;
    let server = build::server(Profile::Release)?;
    let mut cargo = command("cargo");
    cargo.args(["bench", "--quiet", "--package", "stories", "--bench", "figures"]);
    cargo.env("BESPIN_SERVER", server).env("BESPIN_PLUGINS", build::plugins_dir());
    cargo.env("BESPIN_KUBERNETES", install::kubernetes()).env("BESPIN_MOTO", install::moto());
    if let Some(name) = name {
        cargo.args(["--", name]);
    }
    run(&mut cargo)
}
