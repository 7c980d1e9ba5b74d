//! Runs an image. `run` is a program and its arguments, never a line for a shell.

use std::collections::BTreeMap;

use bespin_sdk::containers::{Container, Mount, Process, Variable};
use bespin_sdk::secrets::{Part, Secret};
use bespin_sdk::{Deserialize, Outputs, Result, Text, containers, reject, secrets};

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
    env: BTreeMap<String, Variety>,
    /// Where it starts, relative to the workspace.
    workdir: Option<String>,
    /// How it sees the workspace.
    #[serde(default)]
    workspace: Workspace,
    /// `none`, which is all that there is: a container step reaches nothing but its own loopback.
    network: Option<String>,
}

/// The value of a variable: a text, or `{ secret: name }`, whose value the plugin never sees.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a text or `{ secret: name }`")]
enum Variety {
    Text(Text),
    Secret(FromSecret),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FromSecret {
    secret: String,
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
    let env = environment(settings.env)?;
    let env = env.iter().map(|(name, value)| Variable { name: name.clone(), value: vec![value.part()] }).collect();
    let image = settings.image;
    match containers::run(&Container { image, process, env, workdir: settings.workdir, workspace })? {
        0 => Ok(Outputs::new().with("exit-code", "0")),
        code => reject!("the container ended with exit code {code}"),
    }
}

/// A variable's value, found.
enum Found {
    Text(String),
    Secret(Secret),
}

impl Found {
    fn part(&self) -> Part<'_> {
        match self {
            Found::Text(text) => Part::Text(text.clone()),
            Found::Secret(secret) => Part::Secret(secret),
        }
    }
}

fn environment(env: BTreeMap<String, Variety>) -> Result<Vec<(String, Found)>> {
    let find = |(name, value)| match value {
        Variety::Text(text) => Ok((name, Found::Text(text.0))),
        Variety::Secret(from) => Ok((name, Found::Secret(secrets::get(&from.secret)?))),
    };
    env.into_iter().map(find).collect()
}

bespin_sdk::step!(run);
