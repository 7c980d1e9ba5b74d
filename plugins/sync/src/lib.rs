//! Brings an application to what git says, and waits until it is healthy.

use bespin_sdk::cluster::SyncRequest;
use bespin_sdk::{Deserialize, Outputs, Result, cluster, info};

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Settings {
    /// `name`, `namespace/name` or `cluster/namespace/name`.
    application: String,
    /// At least this commit; without it, the branch's head.
    revision: Option<String>,
}

fn run(settings: Settings) -> Result<Outputs> {
    let Settings { application, revision } = settings;
    let synced = cluster::sync(&SyncRequest { application, revision })?;
    info!("synced to {}", synced.revision);
    Ok(Outputs::new().with("revision", synced.revision))
}

bespin_sdk::step!(run);
bespin_sdk::settings!("settings.json");
