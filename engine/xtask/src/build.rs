//! Building the parts that the workspace itself does not: components, the dashboard, the server.

use crate::process::{self, Failed, command, output, run, top};
use std::path::PathBuf;

/// How the server is built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Profile {
    /// Quick to build, without what the embedded default does not use.
    Demo,
    /// Quick to run; for the benches.
    Release,
}

/// Where the built components are, as `<name>.wasm`.
pub(crate) fn plugins_dir() -> PathBuf {
    target().join("plugins")
}

/// Where cargo builds.
pub(crate) fn target() -> PathBuf {
    std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| top().join("target"), PathBuf::from)
}

/// Builds every plugin as a component and gathers the built-ins under [`plugins_dir`].
///
/// # Errors
/// A plugin does not build.
pub(crate) fn plugins() -> Result<(), Failed> {
    let names = plugin_names()?;
    eprintln!("xtask: building {} plugins", names.len());
    let packages: Vec<_> = names.iter().flat_map(|name| ["--package", name]).collect();
    component(&packages)?;
    // One for each world; the sandbox's tests and the benches run them.
    component(&["--package", "bespin-sdk", "--examples"])?;
    gather(&names)
}

/// Builds the plugins that come with the server, and gathers them under [`plugins_dir`].
///
/// # Errors
/// As [`plugins`].
pub(crate) fn built_ins() -> Result<(), Failed> {
    let names: Vec<_> = plugin_names()?.into_iter().filter(|name| name != HOSTILE).collect();
    let packages: Vec<_> = names.iter().flat_map(|name| ["--package", name]).collect();
    component(&packages)?;
    gather(&names)
}

/// The plugin that misbehaves for the tests and is no built-in.
const HOSTILE: &str = "plugin-hostile";

fn component(packages: &[&str]) -> Result<(), Failed> {
    let mut cargo = command("cargo");
    cargo.args(["build", "--quiet", "--target", "wasm32-wasip2", "--profile", "plugin"]).args(packages);
    run(&mut cargo)
}

fn gather(names: &[String]) -> Result<(), Failed> {
    let dir = plugins_dir();
    let failed = |error: std::io::Error| Failed(format!("{}: {error}", dir.display()));
    std::fs::create_dir_all(&dir).map_err(failed)?;
    for name in names.iter().filter(|name| *name != HOSTILE) {
        let built = format!("wasm32-wasip2/plugin/{}.wasm", name.replace('-', "_"));
        let bare = name.trim_start_matches("plugin-");
        std::fs::copy(target().join(built), dir.join(format!("{bare}.wasm"))).map_err(failed)?;
    }
    Ok(())
}

fn plugin_names() -> Result<Vec<String>, Failed> {
    let metadata = output(command("cargo").args(["metadata", "--no-deps", "--format-version", "1"]))?;
    let metadata: serde_json::Value =
        serde_json::from_str(&metadata).map_err(|error| Failed(format!("cargo metadata: {error}")))?;
    let names = metadata["packages"].as_array().into_iter().flatten();
    let names = names.filter_map(|package| package["name"].as_str()).filter(|name| name.starts_with("plugin-"));
    Ok(names.map(str::to_owned).collect())
}

/// Builds the dashboard, where Node.js is there; the server says how to build it otherwise.
///
/// # Errors
/// Node.js is there and the build fails.
pub(crate) fn web() -> Result<(), Failed> {
    if !process::has("npm") {
        eprintln!("xtask: NOT BUILT: the dashboard, for want of npm; install Node.js 20");
        return Ok(());
    }
    let web = top().join("web");
    if !web.join("node_modules/.package-lock.json").exists() {
        run(command("npm").current_dir(&web).args(["ci", "--no-audit", "--no-fund", "--loglevel", "error"]))?;
    }
    run(command("npm").current_dir(&web).args(["run", "--silent", "build", "--", "--logLevel", "warn"]))
}

/// Builds the server and returns its path. It cannot kill itself at a chosen point, as the one of the tests can.
///
/// # Errors
/// It does not build.
pub(crate) fn server(profile: Profile) -> Result<PathBuf, Failed> {
    let mut cargo = command("cargo");
    cargo.args(["build", "--package", "bespin"]);
    cargo.arg(match profile {
        Profile::Demo => "--no-default-features",
        Profile::Release => "--release",
    });
    run(&mut cargo)?;
    let folder = if profile == Profile::Release { "release" } else { "debug" };
    Ok(target().join(folder).join("bespin"))
}
