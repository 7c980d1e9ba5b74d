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
}

/// A language with a template.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Language {
    /// With Bespin's own SDK.
    Rust,
    /// With componentize-js.
    Js,
    /// With componentize-py.
    Python,
}

/// A file of a project: its path, and its bytes.
type File = (String, Vec<u8>);

/// The contract.
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
        &[$(($file, include_str!(concat!("../../../../../plugins/examples/", $folder, "/", $file)))),+]
    };
}

const CASES: &[(&str, &str)] =
    example!("cases", "announces.yaml" "has-no-leave.yaml" "is-busy.yaml" "nothing-to-announce.yaml");
const RUST: &[(&str, &str)] = example!("rust", ".gitignore" "Cargo.toml" "README.md" "plugin.toml" "src/lib.rs");
const SDK: &str = include_str!("../../../../../plugins/examples/rust/sdk.toml");
const JAVASCRIPT: &[(&str, &str)] = example!("javascript",
    ".gitignore" ".npmrc" "README.md" "bespin.js" "package-lock.json" "package.json" "plugin.js" "plugin.toml"
    "wit/world.wit");
const PYTHON: &[(&str, &str)] = example!("python",
    ".gitignore" "README.md" "app.py" "bespin.py" "plugin.toml" "requirements.txt" "wit/world.wit");

/// Writes a project.
///
/// # Errors
/// The name is none for a plugin, the folder is there already, or it cannot be written.
pub fn run(options: &Options) -> Result<(), String> {
    let name = options.path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    check(name)?;
    let failed = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    if options.path.exists() {
        return Err(format!("{} is there already; nothing was written", options.path.display()));
    }
    for (file, bytes) in files(options.lang, name) {
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

fn files(language: Language, name: &str) -> Vec<File> {
    let rename = |(path, text): &(&str, &str)| {
        let text = text.replace(EXAMPLE, name).replace(&EXAMPLE.replace('-', "_"), &name.replace('-', "_"));
        ((*path).to_owned(), text.into_bytes())
    };
    let own = match language {
        Language::Rust => RUST,
        Language::Js => JAVASCRIPT,
        Language::Python => PYTHON,
    };
    let mut files: Vec<File> = own.iter().map(rename).collect();
    files.extend(CASES.iter().map(|(path, text)| (format!("tests/{path}"), text.as_bytes().to_vec())));
    if language == Language::Rust {
        files.push(("bespin/sdk/Cargo.toml".to_owned(), SDK.as_bytes().to_vec()));
        files.extend(embedded::<Sdk>("bespin/sdk/src"));
        files.extend(embedded::<Contract>("bespin/wit"));
    } else {
        files.extend(embedded::<Contract>("wit/deps/bespin"));
    }
    files
}

fn embedded<Folder: RustEmbed>(below: &str) -> impl Iterator<Item = File> {
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
            let files = files(language, "greet-people");
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
    fn every_file_of_an_example_is_in_its_template() {
        let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins/examples");
        let listed = std::process::Command::new("git").args(["ls-files"]).current_dir(&examples).output().unwrap();
        let links = ["javascript/wit/deps/bespin", "python/wit/deps/bespin", "rust/sdk.toml", "README.md"];
        let known: Vec<String> = [("cases", CASES), ("rust", RUST), ("javascript", JAVASCRIPT), ("python", PYTHON)]
            .iter()
            .flat_map(|(folder, files)| files.iter().map(move |(file, _)| format!("{folder}/{file}")))
            .collect();
        for file in String::from_utf8(listed.stdout).unwrap().lines().filter(|file| !links.contains(file)) {
            assert!(known.iter().any(|known| known == file), "{file} is in no template");
        }
    }
}
