//! The figures, each measured against the real program and printed as one line of JSON, with the peer's beside it.

mod caged;
mod outage;
mod plugin;
mod push;
mod restart;
mod step;
mod webhook;

use serde_json::{Value, json};

/// Which way a figure is better.
#[derive(Clone, Copy)]
pub enum Better {
    /// Less is better.
    Lower,
    /// More is better.
    Higher,
}

/// One figure.
pub struct Figure {
    /// Its name, as `bench` or `bench/figure`.
    pub bench: &'static str,
    /// What was measured of Bespin.
    pub ours: f64,
    /// What was measured of the peer in the same run.
    pub peer: Option<f64>,
    /// Which way it is better.
    pub better: Better,
    /// The unit of both.
    pub unit: &'static str,
    /// How many times it was measured.
    pub n: usize,
}

impl Figure {
    /// Prints the line. The ratio says how many times better ours is.
    pub fn print(&self) {
        let round = |value: f64| (value * 1000.0).round() / 1000.0;
        let (better, ratio) = match self.better {
            Better::Lower => ("lower", self.peer.map(|peer| peer / self.ours)),
            Better::Higher => ("higher", self.peer.map(|peer| self.ours / peer)),
        };
        let number = |value: Option<f64>| value.map_or(Value::Null, |value| json!(round(value)));
        let line = json!({
            "bench": self.bench, "ours": round(self.ours), "peer": number(self.peer), "better": better,
            "ratio": number(ratio), "unit": self.unit, "n": self.n,
        });
        println!("{line}");
    }
}

/// The middle one.
pub fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

#[tokio::main]
async fn main() {
    // Cargo hands its own flags on; the first plain word names the bench.
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let is_wanted = |bench: &str| {
        wanted.as_deref().is_none_or(|wanted| bench == wanted || wanted.starts_with(&format!("{bench}/")))
    };
    let mut known = false;
    if is_wanted("webhook") {
        known = true;
        webhook::measure().await;
    }
    if is_wanted("push-to-canary") {
        known = true;
        push::push_to_canary().await;
    }
    if is_wanted("step") {
        known = true;
        step::measure().await;
    }
    if is_wanted("plugin-start") {
        known = true;
        plugin::start().await;
    }
    if is_wanted("plugin-cold") {
        known = true;
        plugin::cold().await;
    }
    if is_wanted("plugin-many") {
        known = true;
        plugin::many().await;
    }
    if is_wanted("plugin-beside") {
        known = true;
        caged::measure().await;
    }
    if is_wanted("idle") {
        known = true;
        push::idle().await;
    }
    if is_wanted("restart") {
        known = true;
        restart::stream().await;
    }
    if is_wanted("outage") {
        known = true;
        outage::caught_up().await;
    }
    assert!(
        known,
        "there is no bench {wanted:?}; there are webhook, push-to-canary, step, idle, plugin-start, plugin-cold, plugin-many, \
         plugin-beside, restart, outage"
    );
}
