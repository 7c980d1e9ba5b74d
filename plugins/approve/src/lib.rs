//! A gate of its own: the step's `approval` asks a person before it starts, and then there is nothing left to do.
//!
//! Later steps read who opened it as `${{ steps.<id>.approved_by }}`.

use bespin_sdk::{Deserialize, Outputs, Result};

/// There is nothing to set: what is asked, and of whom, stands in the step's `approval`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {}

fn run(Settings {}: Settings) -> Result<Outputs> {
    Ok(Outputs::new())
}

bespin_sdk::step!(run);
bespin_sdk::settings!("settings.json");
