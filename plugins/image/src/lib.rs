//! Builds an image from the pushed commit.

use std::collections::BTreeMap;

use bespin_sdk::images::{BuildArg, BuildRequest};
use bespin_sdk::{Deserialize, Outputs, Result, Text, images};

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Settings {
    /// A directory of the repository; without it, its top.
    #[serde(default)]
    context: String,
    /// The Dockerfile's path, relative to the context.
    #[serde(default = "dockerfile")]
    dockerfile: String,
    /// For the Dockerfile's `ARG`s.
    #[serde(default)]
    build_args: BTreeMap<String, Text>,
}

fn dockerfile() -> String {
    "Dockerfile".to_owned()
}

fn run(settings: Settings) -> Result<Outputs> {
    let arg = |(name, value): (String, Text)| BuildArg { name, value: value.0 };
    let build_args = settings.build_args.into_iter().map(arg).collect();
    let request = BuildRequest { context: settings.context, dockerfile: settings.dockerfile, build_args };
    let built = images::build(&request)?;
    Ok(Outputs::new().with("build", built.build).with("digest", built.digest))
}

bespin_sdk::step!(run);
bespin_sdk::settings!("settings.json");
