//! Runs an image. `run` is a program and its arguments, never a line for a shell.

use std::collections::BTreeMap;

use bespin_sdk::containers::{Container, Mount, Process, Variable};
use bespin_sdk::{Deserialize, Given, Outputs, Result, Text, containers, reject};

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Settings {
    /// The image's reference.
    image: String,
    /// A program and its arguments, instead of the image's entry point.
    run: Option<Vec<Text>>,
    /// Arguments for the image's entry point.
    args: Option<Vec<Text>>,
    /// Environment variables.
    #[serde(default)]
    env: BTreeMap<String, Given>,
    /// Where it starts, relative to the workspace.
    workdir: Option<String>,
    /// How it sees the workspace.
    #[serde(default)]
    workspace: Workspace,
    /// `none`, which is all that there is: a container step reaches nothing but its own loopback.
    network: Option<String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Workspace {
    None,
    ReadOnly,
    #[default]
    ReadWrite,
}

fn run(settings: Settings) -> Result<Outputs> {
    if let Some(network) = settings.network.filter(|network| network != "none") {
        reject!("with: network: `{network}` is not offered; a container step reaches only itself");
    }
    let words = |words: Vec<Text>| words.into_iter().map(|word| word.0).collect();
    let process = match (settings.run, settings.args) {
        (None, None) => Process::Image,
        (None, Some(args)) => Process::Args(words(args)),
        (Some(run), None) => Process::Command(words(run)),
        (Some(_), Some(_)) => reject!("with: write `run` or `args`, not both"),
    };
    let workspace = match settings.workspace {
        Workspace::None => Mount::None,
        Workspace::ReadOnly => Mount::ReadOnly,
        Workspace::ReadWrite => Mount::ReadWrite,
    };
    let find = |(name, given): (String, Given)| Ok((name, given.find()?));
    let env = settings.env.into_iter().map(find).collect::<Result<Vec<_>>>()?;
    let env = env.iter().map(|(name, value)| Variable { name: name.clone(), value: vec![value.part()] }).collect();
    let image = settings.image;
    match containers::run(&Container { image, process, env, workdir: settings.workdir, workspace })? {
        0 => Ok(Outputs::new().with("exit-code", "0")),
        code => reject!("the container ended with exit code {code}"),
    }
}

bespin_sdk::step!(run);
bespin_sdk::settings!("settings.json");
