//! Writes an image's new tag into a manifests repository.

use bespin_sdk::git::BumpRequest;
use bespin_sdk::{Deserialize, Outputs, Result, git, info};

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Settings {
    /// The repository's address.
    repo: String,
    /// The folder or file whose image changes.
    path: String,
    /// `host/name:tag`.
    image: String,
    /// The branch; without it, the remote's default.
    branch: Option<String>,
    /// The commit's subject; without it, the host writes one.
    message: Option<String>,
}

fn run(settings: Settings) -> Result<Outputs> {
    let Settings { repo, path, image, branch, message } = settings;
    let bumped = git::bump(&BumpRequest { repo, branch, path, image, message })?;
    match bumped.changed {
        true => info!("committed {}", bumped.commit),
        false => info!("{} names the image already", bumped.commit),
    }
    Ok(Outputs::new().with("commit", bumped.commit).with("changed", bumped.changed.to_string()))
}

bespin_sdk::step!(run);
bespin_sdk::settings!("settings.json");
