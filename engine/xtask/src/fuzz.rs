//! Fuzzing everything that is read from outside: each target for a while, from the corpus in the repository.

use crate::build;
use crate::process::{Failed, command, has, run, timed, top};
use std::fmt::Write;

/// Where the targets are, with their corpus.
const FOLDER: &str = "engine/fuzz";
/// The release of cargo-fuzz, where none is installed.
const CARGO_FUZZ: &str = "0.13.2";
/// How much memory one target may take, in MiB.
const MEMORY: u32 = 2048;
/// How long one input may take, in seconds.
const SLOWEST: u32 = 20;

/// Runs each target whose name contains `filter` for so many seconds. What is found on the way beside the repository's
/// corpus stays in the build's folder, and is gone on with the next time.
///
/// # Errors
/// A target does not build, or it found something; the others ran all the same.
pub(crate) fn targets(filter: Option<&str>, seconds: u32) -> Result<(), Failed> {
    if !has("cargo-fuzz") {
        eprintln!("xtask: installing cargo-fuzz");
        run(command("cargo").args(["install", "--quiet", "--locked", "cargo-fuzz", "--version", CARGO_FUZZ]))?;
    }
    let targets: Vec<String> = names()?.into_iter().filter(|name| name.contains(filter.unwrap_or_default())).collect();
    if targets.is_empty() {
        return Err(Failed(format!("no target of {FOLDER}/targets has this in its name")));
    }
    let mut found = String::new();
    for target in targets {
        if let Err(Failed(why)) = timed(&target, || one(&target, seconds)) {
            let _never_fails = write!(found, "\n{target}: {why}");
        }
    }
    if found.is_empty() { Ok(()) } else { Err(Failed(format!("these targets failed: {found}"))) }
}

fn names() -> Result<Vec<String>, Failed> {
    let folder = top().join(FOLDER).join("targets");
    let listed = std::fs::read_dir(&folder).map_err(|error| Failed(format!("{}: {error}", folder.display())))?;
    let files = listed.flatten().map(|file| file.file_name().to_string_lossy().into_owned());
    let mut names: Vec<String> = files.filter_map(|file| Some(file.strip_suffix(".rs")?.to_owned())).collect();
    names.sort();
    Ok(names)
}

fn one(target: &str, seconds: u32) -> Result<(), Failed> {
    let built = build::target().join("fuzz");
    let (grown, finds) = (built.join("corpus").join(target), built.join("finds").join(target));
    for folder in [&grown, &finds] {
        std::fs::create_dir_all(folder).map_err(|error| Failed(format!("{}: {error}", folder.display())))?;
    }
    let mut cargo = command("cargo");
    // The compiler is a stable one: it is let count what a run reaches, which needs no sanitizer.
    cargo.env("RUSTC_BOOTSTRAP", "1").args(["fuzz", "run", "--sanitizer", "none", "--fuzz-dir", FOLDER]);
    cargo.arg("--target-dir").arg(&built);
    if target == "registry" {
        cargo.args(["--features", "registry"]);
    }
    cargo.arg(target).arg(&grown).arg(top().join(FOLDER).join("corpus").join(target)).arg("--");
    cargo.arg(format!("-max_total_time={seconds}")).arg(format!("-timeout={SLOWEST}"));
    cargo.arg(format!("-rss_limit_mb={MEMORY}")).arg("-print_final_stats=1");
    cargo.arg(format!("-artifact_prefix={}/", finds.display()));
    run(&mut cargo)
}
