//! Plugins in other languages than Rust: their tools, pinned, and their components.

use crate::build::target;
use crate::install::cache;
use crate::process::{Failed, command, has, run, top};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The custom section that says what a plugin declares.
const SECTION: &str = "bespin:settings";

/// Where the components are, as `<name>.wasm`.
pub(crate) fn dir() -> PathBuf {
    target().join("examples")
}

/// Builds the examples, and what misbehaves in Python. Returns a sentence for each language that is missing.
///
/// # Errors
/// A language is there and its component does not build.
pub(crate) fn examples() -> Result<Vec<String>, Failed> {
    let mut missing = Vec::new();
    std::fs::create_dir_all(dir()).map_err(|error| Failed(format!("{}: {error}", dir().display())))?;
    if has("npm") {
        javascript()?;
    } else {
        missing.push("npm (Node.js 20): plugins in JavaScript".to_owned());
    }
    if has("python3") {
        python()?;
    } else {
        missing.push("python3: plugins in Python".to_owned());
    }
    Ok(missing)
}

fn javascript() -> Result<(), Failed> {
    let project = top().join("plugins/examples/javascript");
    let made = dir().join("javascript.wasm");
    if is_newer(&made, &[&project, &project.join("wit"), &wit()]) {
        return Ok(());
    }
    eprintln!("xtask: building the example in JavaScript");
    run(command("npm").current_dir(&project).args(["ci", "--loglevel", "error"]))?;
    run(command("npm").current_dir(&project).args(["run", "--silent", "build"]))?;
    let built = project.join("plugin.wasm");
    let moved = std::fs::copy(&built, &made).and_then(|_| std::fs::remove_file(&built));
    moved.map_err(|error| Failed(format!("{}: {error}", built.display())))?;
    declare(&project, &made)
}

fn python() -> Result<(), Failed> {
    let project = top().join("plugins/examples/python");
    let hostile = top().join("plugins/hostile/python");
    let own = project.join("wit");
    component(&project, &own, "plugin", "python.wasm")?;
    component(&hostile, &wit(), "step", "hostile-python.wasm")
}

fn component(project: &Path, wit_of_it: &Path, world: &str, name: &str) -> Result<(), Failed> {
    let made = dir().join(name);
    if is_newer(&made, &[project, wit_of_it, &wit()]) {
        return Ok(());
    }
    eprintln!("xtask: building {name}");
    let mut python = command(componentize_py()?);
    python.current_dir(project).arg("--quiet").arg("--wit-path").arg(wit_of_it).args(["--world", world]);
    run(python.args(["componentize", "app", "--output"]).arg(&made))?;
    declare(project, &made)
}

/// Appends what a project declares to its component, as `bespin plugin settings` does: the server is not built yet.
fn declare(project: &Path, made: &Path) -> Result<(), Failed> {
    let settings = project.join("settings.json");
    if !settings.exists() {
        return Ok(());
    }
    let failed = |error: std::io::Error| Failed(format!("{}: {error}", made.display()));
    let mut content = vec![u8::try_from(SECTION.len()).unwrap_or_default()];
    content.extend(SECTION.as_bytes());
    content.extend(std::fs::read(&settings).map_err(failed)?);
    // A custom section is a zero, its length in seven bits for each byte, and its content.
    let mut section = vec![0];
    let mut length = content.len();
    while length > 0x7f {
        section.push(u8::try_from(length & 0x7f).unwrap_or_default() | 0x80);
        length >>= 7;
    }
    section.push(u8::try_from(length).unwrap_or_default());
    section.extend(content);
    let mut wasm = std::fs::read(made).map_err(failed)?;
    wasm.extend(section);
    std::fs::write(made, wasm).map_err(failed)
}

/// Installs componentize-py into an environment of its own, in the version that the example names.
fn componentize_py() -> Result<PathBuf, Failed> {
    let requirements = top().join("plugins/examples/python/requirements.txt");
    let pinned = std::fs::read_to_string(&requirements);
    let pinned = pinned.map_err(|error| Failed(format!("{}: {error}", requirements.display())))?;
    let environment = cache().join(pinned.trim().replace("==", "-"));
    let program = environment.join("bin/componentize-py");
    if !program.exists() {
        eprintln!("xtask: installing {}", pinned.trim());
        run(command("python3").args(["-m", "venv"]).arg(&environment))?;
        let mut pip = command(environment.join("bin/pip"));
        pip.args(["install", "--quiet", "--disable-pip-version-check", "--requirement"]);
        run(pip.arg(requirements))?;
    }
    Ok(program)
}

fn wit() -> PathBuf {
    top().join("plugins/wit")
}

/// Whether a file is newer than every file in these folders.
fn is_newer(made: &Path, folders: &[&Path]) -> bool {
    let changed = |path: &Path| std::fs::metadata(path).and_then(|of| of.modified()).unwrap_or(SystemTime::UNIX_EPOCH);
    let files = folders.iter().flat_map(|folder| std::fs::read_dir(folder).into_iter().flatten().flatten());
    let files = files.map(|entry| entry.path()).filter(|path| path.is_file());
    made.exists() && files.map(|path| changed(&path)).all(|source| source < changed(made))
}
