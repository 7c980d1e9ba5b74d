//! `bespin plugin new`: a project that works, written from what this binary carries.

use clap::{Args, ValueEnum};
use rust_embed::RustEmbed;
use std::path::{Path, PathBuf};

/// What `bespin plugin new` is asked.
#[derive(Args)]
pub struct Options {
    /// The folder to make; its name is the plugin's.
    #[arg(value_name = "NAME")]
    path: PathBuf,
    /// The language to write it in.
    #[arg(long, value_enum)]
    lang: Language,
    /// What it is for.
    #[arg(long, value_enum, default_value_t = TemplateKind::Step)]
    world: TemplateKind,
}

/// A language with a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Language {
    /// With Bespin's own SDK.
    Rust,
    /// JavaScript, built by componentize-js.
    Js,
    /// Python, built by componentize-py.
    Python,
}

/// A world with a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum TemplateKind {
    /// A step of a pipeline.
    Step,
    /// The health of a kind of object; in Rust.
    Health,
    /// Manifests from a source folder; in Rust.
    Generate,
    /// A metric provider; in Rust.
    Measure,
    /// A traffic router; in Rust.
    Route,
}

/// A file of a project: its path, and its bytes.
type NewFile = (String, Vec<u8>);

#[derive(RustEmbed)]
#[folder = "../../plugins/wit"]
struct Contract;

/// What a plugin in Rust is written with.
#[derive(RustEmbed)]
#[folder = "../../plugins/sdk/src"]
struct Sdk;

/// The name of the examples that the templates are.
const EXAMPLE: &str = "release-notes";

macro_rules! example {
    ($folder:literal, $($file:literal)+) => {
        &[$(($file, include_str!(concat!("../../../../plugins/examples/", $folder, "/", $file)))),+]
    };
}

/// What a template has of its own: the source and the README in Rust, and the cases in every language.
struct Template {
    rust: &'static [(&'static str, &'static str)],
    cases: &'static [(&'static str, &'static str)],
}

/// The example of a world in Rust is the SDK's.
macro_rules! world {
    ($world:literal, $($case:literal)+) => {
        Template {
            rust: &[
                ("README.md", include_str!(concat!("../../../../plugins/examples/worlds/", $world, "/README.md"))),
                ("src/lib.rs", include_str!(concat!("../../../../plugins/sdk/examples/", $world, ".rs"))),
            ],
            cases: example!("worlds", $($case)+),
        }
    };
}

const STEP: Template = Template {
    rust: example!("rust", "README.md" "settings.json" "src/lib.rs"),
    cases: example!("cases", "announces.yaml" "has-no-leave.yaml" "is-busy.yaml" "nothing-to-announce.yaml"),
};
const HEALTH: Template = world!("health",
    "health/tests/has-no-condition.yaml" "health/tests/is-ready.yaml" "health/tests/is-refused.yaml"
    "health/tests/is-unreadable.yaml");
const GENERATE: Template = world!("generate",
    "generate/tests/fills-in.yaml" "generate/tests/finds-nothing.yaml" "generate/tests/is-unreadable.yaml");
const MEASURE: Template = world!("measure",
    "measure/tests/has-no-leave.yaml" "measure/tests/has-no-requests.yaml" "measure/tests/is-bad.yaml"
    "measure/tests/is-good.yaml" "measure/tests/is-not-answered.yaml");
const ROUTE: Template = world!("route",
    "route/tests/is-busy.yaml" "route/tests/is-not-there-yet.yaml" "route/tests/is-verified.yaml"
    "route/tests/removes.yaml" "route/tests/shares.yaml");
const RUST: &[(&str, &str)] = example!("rust", ".gitignore" "Cargo.toml" "plugin.toml");
const SDK: &str = include_str!("../../../../plugins/examples/rust/sdk.toml");
const JAVASCRIPT: &[(&str, &str)] = example!("javascript",
    ".gitignore" ".npmrc" "README.md" "bespin.js" "package-lock.json" "package.json" "plugin.js" "plugin.toml"
    "settings.json" "wit/world.wit");
const PYTHON: &[(&str, &str)] = example!("python",
    ".gitignore" "README.md" "app.py" "bespin.py" "plugin.toml" "requirements.txt" "settings.json"
    "wit/world.wit");

/// What is said of a world in another language.
const ONLY_RUST: &str = "the worlds beside `step` have a template in Rust: write `--lang rust`; a plugin in another \
                         language begins with `--world step` and exports another guest in `wit/world.wit`, such as \
                         `bespin:plugin/health-guest`";

/// Writes a project.
///
/// # Errors
/// The name is none for a plugin, the folder is there already, or it cannot be written.
pub(super) fn run(options: &Options) -> Result<(), String> {
    let name = options.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    check(name)?;
    if options.lang != Language::Rust && options.world != TemplateKind::Step {
        return Err(ONLY_RUST.to_owned());
    }
    let failed = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    if options.path.exists() {
        return Err(format!(
            "{} is there already; nothing was written: name another folder, or remove it",
            options.path.display()
        ));
    }
    for (file, bytes) in files(options.lang, options.world, name) {
        let path = options.path.join(file);
        let folder = path.parent().unwrap_or(&options.path);
        std::fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
        std::fs::write(&path, bytes).map_err(|error| failed(&path, error))?;
    }
    println!("{} is a plugin now; its README.md says how it is built and tested", options.path.display());
    Ok(())
}

/// A name that every language, a file and a pipeline's `uses:` can take.
fn check(name: &str) -> Result<(), String> {
    let plain = name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
    let whole = !name.ends_with('-') && !name.contains("--") && name.len() <= 64;
    if plain && whole && name.starts_with(|c: char| c.is_ascii_lowercase()) {
        return Ok(());
    }
    Err(format!("`{name}` is no name for a plugin; write lower-case letters, digits and single `-`, a letter first"))
}

fn files(language: Language, world: TemplateKind, name: &str) -> Vec<NewFile> {
    let rename = |(path, text): &(&str, &str)| {
        let text = text.replace(EXAMPLE, name).replace(&EXAMPLE.replace('-', "_"), &name.replace('-', "_"));
        ((*path).to_owned(), text.into_bytes())
    };
    let Template { rust, cases } = match world {
        TemplateKind::Step => STEP,
        TemplateKind::Health => HEALTH,
        TemplateKind::Generate => GENERATE,
        TemplateKind::Measure => MEASURE,
        TemplateKind::Route => ROUTE,
    };
    let (shared, own) = match language {
        Language::Rust => (RUST, rust),
        Language::Js => (JAVASCRIPT, &[][..]),
        Language::Python => (PYTHON, &[][..]),
    };
    let mut files: Vec<NewFile> = shared.iter().chain(own).map(rename).collect();
    files.extend(cases.iter().map(|(path, text)| {
        let bare = path.rsplit('/').next().unwrap_or(path);
        (format!("tests/{bare}"), text.as_bytes().to_vec())
    }));
    if language == Language::Rust {
        files.push(("bespin/sdk/Cargo.toml".to_owned(), SDK.as_bytes().to_vec()));
        files.extend(embedded::<Sdk>("bespin/sdk/src"));
        files.extend(embedded::<Contract>("bespin/wit"));
    } else {
        files.extend(embedded::<Contract>("wit/deps/bespin"));
    }
    files
}

fn embedded<Folder: RustEmbed>(below: &str) -> impl Iterator<Item = NewFile> {
    Folder::iter().filter_map(move |path| {
        let bytes = Folder::get(&path)?.data.into_owned();
        Some((format!("{below}/{path}"), bytes))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        for name in ["greet", "release-notes", "s3"] {
            assert!(check(name).is_ok(), "{name}");
        }
        for name in ["", "Greet", "-x", "x-", "a--b", "3d", "a_b", "a b", "..", "é"] {
            assert!(check(name).is_err(), "{name}");
        }
    }

    #[test]
    fn a_project_bears_its_name_and_carries_the_contract() {
        for (language, contract) in
            [(Language::Rust, "bespin/wit"), (Language::Js, "wit/deps/bespin"), (Language::Python, "wit/deps/bespin")]
        {
            let files = files(language, TemplateKind::Step, "greet-people");
            let text = |path: &str| {
                let (_, bytes) = files.iter().find(|(name, _)| name == path).unwrap_or_else(|| panic!("{path}"));
                String::from_utf8(bytes.clone()).unwrap()
            };
            assert!(text("README.md").starts_with("# greet-people\n"), "{language:?}");
            assert!(text(&format!("{contract}/package.wit")).contains("package bespin:plugin@"));
            assert!(text("tests/announces.yaml").contains("verdict: succeeded"));
            let own = files.iter().filter(|(path, _)| !path.starts_with("tests/"));
            for (path, bytes) in own {
                assert!(!String::from_utf8_lossy(bytes).contains(EXAMPLE), "{language:?}: {path}");
            }
        }
    }

    #[test]
    fn a_project_of_another_world_is_that_worlds_example() {
        for (world, makes) in [
            (TemplateKind::Health, "bespin_sdk::health!"),
            (TemplateKind::Generate, "bespin_sdk::generate!"),
            (TemplateKind::Measure, "bespin_sdk::measure!"),
            (TemplateKind::Route, "bespin_sdk::route!"),
        ] {
            let files = files(Language::Rust, world, "greet-people");
            let text = |path: &str| {
                let (_, bytes) = files.iter().find(|(name, _)| name == path).unwrap_or_else(|| panic!("{path}"));
                String::from_utf8(bytes.clone()).unwrap()
            };
            assert!(text("src/lib.rs").contains(makes) && text("Cargo.toml").contains("\"greet-people\""), "{world:?}");
            assert!(text("README.md").starts_with("# greet-people\n"), "{world:?}");
            assert!(files.iter().filter(|(path, _)| path.starts_with("tests/")).count() >= 3, "{world:?}");
        }
    }

    #[test]
    fn every_file_of_an_example_is_in_its_template() {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins/examples");
        let listed = std::process::Command::new("git").args(["ls-files"]).current_dir(&examples).output().unwrap();
        let links = ["javascript/wit/deps/bespin", "python/wit/deps/bespin", "rust/sdk.toml", "README.md"];
        let mut known: Vec<String> =
            ["health", "generate", "measure", "route"].map(|world| format!("worlds/{world}/README.md")).to_vec();
        let folders = [("rust", RUST), ("rust", STEP.rust), ("javascript", JAVASCRIPT), ("python", PYTHON)];
        let cases = [HEALTH, GENERATE, MEASURE, ROUTE].map(|template| ("worlds", template.cases));
        for (folder, files) in folders.into_iter().chain([("cases", STEP.cases)]).chain(cases) {
            known.extend(files.iter().map(|(file, _)| format!("{folder}/{file}")));
        }
        for file in String::from_utf8(listed.stdout).unwrap().lines().filter(|file| !links.contains(file)) {
            assert!(known.iter().any(|known| known == file), "{file} is in no template");
        }
    }
}
