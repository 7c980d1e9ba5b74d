//! The figures, each measured against the real program and printed as one line of JSON, with the peer's beside it.

mod accuracy;
mod caged;
mod canary;
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

/// All benches, in the order in which they run.
const BENCHES: &[&str] = &[
    "webhook",
    "push-to-canary",
    "step",
    "plugin-start",
    "plugin-cold",
    "plugin-many",
    "plugin-beside",
    "idle",
    "restart",
    "outage",
    "canary-accuracy",
    "canary-abort",
    "canary-decide",
];

#[tokio::main]
async fn main() {
    // Cargo hands its own flags on; the first plain word names the bench, or one of its figures.
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-'));
    let is_wanted = |bench: &&&str| {
        wanted.as_deref().is_none_or(|wanted| wanted == **bench || wanted.starts_with(&format!("{bench}/")))
    };
    let benches: Vec<_> = BENCHES.iter().filter(is_wanted).collect();
    assert!(!benches.is_empty(), "there is no bench {wanted:?}; there are {}", BENCHES.join(", "));
    for bench in benches {
        measure(bench).await;
    }
}

async fn measure(bench: &str) {
    match bench {
        "webhook" => webhook::measure().await,
        "push-to-canary" => push::push_to_canary().await,
        "step" => step::measure().await,
        "plugin-start" => plugin::start().await,
        "plugin-cold" => plugin::cold().await,
        "plugin-many" => plugin::many().await,
        "plugin-beside" => caged::measure().await,
        "idle" => push::idle().await,
        "restart" => restart::stream().await,
        "outage" => outage::caught_up().await,
        "canary-accuracy" => accuracy::measure().await,
        "canary-abort" => canary::abort().await,
        "canary-decide" => canary::decisions().await,
        other => panic!("the bench {other} is listed, and nothing measures it"),
    }
}
