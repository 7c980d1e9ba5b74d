//! The share of good answers, by two queries to a Prometheus.

use bespin_sdk::measure::{Judgement, Measurement};
use bespin_sdk::{Deserialize, Failure, Result, metrics};

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Metric {
    /// The provider's name in the server's configuration.
    provider: String,
    /// How many answers were good.
    good: String,
    /// How many there were.
    all: String,
    /// The least share that is good.
    at_least: f64,
}

fn measure(metric: Metric) -> Result<Measurement> {
    let (good, all) = (one(&metric.provider, &metric.good)?, one(&metric.provider, &metric.all)?);
    if all == 0.0 {
        return Ok(Measurement::of(&0)?.judged(Judgement::Inconclusive, "there was no request"));
    }
    let share = good / all;
    let judgement = if share >= metric.at_least { Judgement::Successful } else { Judgement::Failed };
    Ok(Measurement::of(&share)?.judged(judgement, format!("{good} of {all}")))
}

fn one(provider: &str, query: &str) -> Result<f64> {
    match metrics::query(provider, query)?.as_slice() {
        [only] => Ok(only.value),
        several => Err(Failure::Rejected(format!("{query}: {} series instead of one", several.len()))),
    }
}

bespin_sdk::measure!(measure);
