//! A plugin's project: what is built, how, and where its cases are.

use crate::component;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The project's own description of itself.
const FILE: &str = "plugin.toml";

/// What is said of a description that cannot be read.
const WRITTEN: &str = "write `component`, its file, and `build`, a list of a program and its arguments";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ProjectFile {
    /// What the build makes, relative to the project.
    component: PathBuf,
    /// A program and its arguments. No shell is put in between.
    build: Vec<String>,
    /// What has to be done once before, for people to read.
    before: Option<String>,
    /// A JSON file with what the plugin declares, for a language whose build does not write it into the component.
    settings: Option<PathBuf>,
}

/// A component and its cases.
pub(super) struct Project {
    /// The built component's path, relative to the project.
    pub component: PathBuf,
    /// The folder of its cases.
    pub cases: PathBuf,
}

/// Whether a project is built first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum First {
    /// By its own command.
    Build,
    /// It is taken as it stands.
    Nothing,
}

/// Opens a project by its folder, or a component by its file, whose cases are in `tests` beside it.
///
/// # Errors
/// There is none, its description has a mistake, or it does not build.
pub(super) fn open(path: &Path, first: First) -> Result<Project, String> {
    if !path.is_dir() {
        let folder = path.parent().unwrap_or(Path::new(""));
        return Ok(Project { component: path.to_owned(), cases: folder.join("tests") });
    }
    let file = path.join(FILE);
    let failed = |because: String| format!("{}: {because}", file.display());
    let text = std::fs::read_to_string(&file)
        .map_err(|error| failed(format!("{error}; name a component, or a project as `bespin plugin new` makes it")))?;
    let written: ProjectFile =
        toml::from_str(&text).map_err(|error| failed(format!("{}; {WRITTEN}", error.to_string().trim_end())))?;
    if first == First::Build {
        build(path, &written).map_err(failed)?;
        if let Some(settings) = &written.settings {
            component::declare(&path.join(settings), &path.join(&written.component))?;
        }
    }
    Ok(Project { component: path.join(&written.component), cases: path.join("tests") })
}

fn build(project: &Path, written: &ProjectFile) -> Result<(), String> {
    let [program, arguments @ ..] = written.build.as_slice() else {
        return Err("`build` names no program".into());
    };
    let before = written.before.as_ref().map(|before| format!("; once before: {before}")).unwrap_or_default();
    // A program of the project itself is found from wherever this is called.
    let found = if program.contains('/') { project.join(program) } else { PathBuf::from(program) };
    let found = if program.contains('/') { std::path::absolute(&found).unwrap_or(found) } else { found };
    // The component is looked for where cargo puts it by default.
    let status = Command::new(found).args(arguments).current_dir(project).env_remove("CARGO_TARGET_DIR").status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("`{}` ended with {status}{before}", written.build.join(" "))),
        Err(error) => Err(format!("`{program}`: {error}{before}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(description: &str) -> (tempfile::TempDir, Result<Project, String>) {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(FILE), description).unwrap();
        let opened = open(dir.path(), First::Build);
        (dir, opened)
    }

    #[test]
    fn a_project_is_built_where_it_stands() {
        let (dir, opened) = project("component = \"made\"\nbuild = [\"touch\", \"made\"]");
        assert_eq!(opened.unwrap().component, dir.path().join("made"));
        assert!(dir.path().join("made").exists());
    }

    #[test]
    fn what_cannot_be_built_says_what_to_do_before() {
        for (build, because) in [
            ("[\"tools/none\"]", "once before: make tools"),
            ("[\"false\"]", "`false` ended with exit status: 1; once before: make tools"),
            ("[]", "`build` names no program"),
        ] {
            let (_dir, opened) = project(&format!("component = \"x\"\nbuild = {build}\nbefore = \"make tools\""));
            let refused = opened.err().unwrap();
            assert!(refused.contains(because), "{refused}");
        }
        let (_dir, opened) = project("componnet = \"x\"");
        assert!(opened.err().unwrap().contains("componnet"));
    }
}
