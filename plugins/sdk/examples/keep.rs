//! Counts the runs of a branch in the cache, leaves the count for a later step, and asks a metric.

use bespin_sdk::{Deserialize, Outputs, Result, artifacts, cache, info, metrics, reject};

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Settings {
    /// Whether it counts, or reads what an earlier step counted.
    act: Act,
    /// The metric provider to ask.
    provider: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Act {
    Count,
    Read,
}

fn run(settings: Settings) -> Result<Outputs> {
    let mut outputs = match settings.act {
        Act::Count => count()?,
        Act::Read => {
            let count = artifacts::get("count")?;
            Outputs::new().with("count", String::from_utf8_lossy(&count))
        }
    };
    if let Some(provider) = settings.provider {
        let [up] = &metrics::query(&provider, "up")?[..] else { reject!("`up` is not one series") };
        outputs = outputs.with("up", up.value.to_string());
    }
    Ok(outputs)
}

fn count() -> Result<Outputs> {
    // The newest of all that begin alike: keys never change, so each run saves another.
    let before = cache::restore("count", &["count-".to_owned()])?;
    let before = before.and_then(|found| String::from_utf8(found.archive).ok()?.parse::<u32>().ok()).unwrap_or(0);
    let now = (before + 1).to_string();
    let saved = cache::save(&format!("count-{now}"), now.as_bytes())?;
    info!("run {now}: {saved:?}");
    artifacts::put("count", now.as_bytes())?;
    Ok(Outputs::new().with("count", now))
}

bespin_sdk::step!(run);
