//! Follows a rollout through its own steps to the end. It fails when the rollout aborts.

use bespin_sdk::canary::{FollowRequest, OnTimeout};
use bespin_sdk::{Deserialize, Outputs, Result, canary};

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Settings {
    /// `namespace/name` or `cluster/namespace/name`.
    rollout: String,
    /// The image that it is expected to walk to.
    image: Option<String>,
    /// What becomes of the canary when the step runs out of time.
    #[serde(default)]
    on_timeout: Choice,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Choice {
    /// A person decides.
    #[default]
    Hold,
    /// It aborts: all traffic goes back to the stable version. Files may still say `retreat`.
    #[serde(alias = "retreat")]
    Abort,
}

fn run(settings: Settings) -> Result<Outputs> {
    let on_timeout = match settings.on_timeout {
        Choice::Hold => OnTimeout::Hold,
        Choice::Abort => OnTimeout::Retreat,
    };
    let request = FollowRequest { rollout: settings.rollout, image: settings.image, on_timeout };
    // How it ended is the step's own outcome: whatever is no promotion is an error here.
    canary::follow(&request)?;
    Ok(Outputs::new())
}

bespin_sdk::step!(run);
bespin_sdk::settings!("settings.json");
