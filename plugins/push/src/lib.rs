//! Pushes a build to a registry.

use bespin_sdk::registry::PushRequest;
use bespin_sdk::{Deserialize, Outputs, Result, Text, info, registry};

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Settings {
    /// `${{ steps.image.build }}`; without it, the newest build of the run.
    build: Option<String>,
    /// `host/name`, without a tag.
    to: String,
    /// The tag.
    tag: Text,
}

fn run(settings: Settings) -> Result<Outputs> {
    let request = PushRequest { build: settings.build, to: settings.to, tag: settings.tag.0 };
    let pushed = registry::push(&request)?;
    info!("pushed {} as {}", pushed.image, pushed.digest);
    Ok(Outputs::new().with("image", pushed.image).with("digest", pushed.digest).with("reference", pushed.reference))
}

bespin_sdk::step!(run);
bespin_sdk::settings!("settings.json");
