//! `bespin run`: the running server is asked to start a run.

use crate::data_folder::Whose;
use api::commands::StartRun;
use api::control;
use clap::{Args, Subcommand};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

/// How much of the standard input is read, in bytes; more is refused as a file of that size is.
const MOST_READ: u64 = 1 << 20;

/// What is done with runs.
#[derive(Subcommand)]
pub enum Command {
    /// Start a pipeline that has `on: manual`.
    ///
    /// The file is read at the commit where the branch or tag stands now. Everything is checked first: a start that is
    /// refused records nothing. Prints the run's page, or its id where the server's address is not known. Asks the
    /// server that runs on this machine with the same configuration. Inputs are no secrets: they stand in the run's
    /// page and in its journal.
    Start(StartOptions),
}

/// Which pipeline is started, and with what.
#[derive(Args)]
pub struct StartOptions {
    #[command(flatten)]
    server: Whose,
    /// The pipeline file in the repository, such as `.bespin/release.yaml`; `release.yaml` means the same.
    file: String,
    /// An input of the pipeline; may be given several times. What is left out has its default.
    #[arg(long = "input", short, value_name = "NAME=VALUE", value_parser = pair)]
    inputs: Vec<(String, String)>,
    /// A file of inputs, as an object in JSON or YAML; `-` is the standard input. What `--input` says goes before it.
    #[arg(long, value_name = "FILE")]
    inputs_file: Option<PathBuf>,
    /// The repository; may be left out where the configuration has one alone.
    #[arg(long, value_name = "OWNER/NAME")]
    repo: Option<String>,
    /// A branch or a tag; without it, the repository's default branch.
    #[arg(long = "ref", value_name = "REF")]
    reference: Option<String>,
    /// A name for this start, so that a job that repeats its command with the same one starts a single run.
    #[arg(long)]
    key: Option<String>,
}

/// Asks the server, and prints where the run is shown.
///
/// # Errors
/// No server runs, or what is wrong with what is asked for.
pub async fn run(command: Command) -> Result<(), String> {
    let Command::Start(options) = command;
    let data = options.server.data()?;
    let asked = StartRun {
        repository: options.repo,
        file: options.file,
        reference: options.reference,
        inputs: given(options.inputs_file.as_deref(), options.inputs)?,
        key: options.key,
    };
    let run = control::start(&data, &asked).await?;
    println!("{}", shown(&data, &run));
    Ok(())
}

/// The address of a run's page, as far as the server has left its own.
fn shown(data: &Path, run: &str) -> String {
    let left = std::fs::read_to_string(data.join("addresses.json")).ok();
    let left = left.and_then(|text| serde_json::from_str::<Value>(&text).ok());
    match left.as_ref().and_then(|left| left["dashboard"].as_str()) {
        Some(dashboard) => format!("{dashboard}/runs/{run}"),
        None => run.to_owned(),
    }
}

/// The inputs of the file, and over them those of the command line.
fn given(file: Option<&Path>, over: Vec<(String, String)>) -> Result<BTreeMap<String, Value>, String> {
    let over = inputs(over)?;
    let Some(file) = file else { return Ok(over) };
    let (name, text) = match file.to_str() {
        Some("-") => {
            let mut text = String::new();
            ("standard input".to_owned(), std::io::stdin().take(MOST_READ).read_to_string(&mut text).map(|_| text))
        }
        _ => (file.display().to_string(), std::fs::read_to_string(file)),
    };
    let text = text.map_err(|error| format!("{name}: {error}"))?;
    let said =
        |mistakes: Vec<pipeline::Mistake>| mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n\n");
    let mut all = pipeline::given_in(&name, &text).map_err(said)?;
    all.extend(over);
    Ok(all)
}

fn inputs(given: Vec<(String, String)>) -> Result<BTreeMap<String, Value>, String> {
    let mut inputs = BTreeMap::new();
    for (name, value) in given {
        if inputs.insert(name.clone(), Value::String(value)).is_some() {
            return Err(format!("`--input {name}=` is given twice"));
        }
    }
    Ok(inputs)
}

fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err("write it as `name=value`".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_input_ends_at_its_first_equals_sign_and_is_given_once() {
        let is = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(pair("flags=a=b"), Ok(is("flags", "a=b")));
        assert_eq!(pair("note="), Ok(is("note", "")));
        assert!(pair("version").is_err() && pair("=1").is_err());
        assert_eq!(inputs(vec![is("a", "1")]).unwrap()["a"], "1");
        assert_eq!(inputs(vec![is("a", "1"), is("a", "2")]), Err("`--input a=` is given twice".into()));
    }

    #[test]
    fn a_file_gives_inputs_and_the_command_line_goes_before_it() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("inputs.json");
        std::fs::write(&file, r#"{ "version": 1.10, "dry-run": true }"#).unwrap();
        let over = || vec![("dry-run".to_owned(), "false".to_owned())];
        let expected = serde_json::json!({ "version": "1.10", "dry-run": "false" });
        assert_eq!(serde_json::json!(given(Some(&file), over()).unwrap()), expected);
        std::fs::write(&file, "version: [1]\n").unwrap();
        let said = given(Some(&file), over()).unwrap_err();
        assert!(said.contains("inputs.json:1:10: `version` is a text, not a list"), "{said}");
        assert!(given(Some(&directory.path().join("gone")), over()).unwrap_err().contains("gone: "));
    }

    #[test]
    fn a_run_is_shown_by_its_page_where_that_is_known() {
        let data = tempfile::tempdir().unwrap();
        assert_eq!(shown(data.path(), "user/x/was/1"), "user/x/was/1");
        let addresses = r#"{"dashboard":"https://bespin.example","hooks":"x"}"#;
        std::fs::write(data.path().join("addresses.json"), addresses).unwrap();
        assert_eq!(shown(data.path(), "user/x/was/1"), "https://bespin.example/runs/user/x/was/1");
    }
}
