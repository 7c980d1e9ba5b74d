//! Does nothing, for the benches; if it is told to, it asks the host something first, and so waits for as long as the
//! host lets it wait.

use bespin_sdk::{Deserialize, Outputs, Result, workspace};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Settings {
    /// Whether it asks.
    #[serde(default)]
    ask: bool,
}

fn run(settings: Settings) -> Result<Outputs> {
    if settings.ask {
        workspace::list("")?;
    }
    Ok(Outputs::new())
}

bespin_sdk::step!(run);
