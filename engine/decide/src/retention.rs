//! Decides which streams have had their time, so that the journal is bounded.
//!
//! An open run is never among them, nor the newest run of a pipeline: its
//! number is what the next one counts from.

use crate::next::Timestamp;
use crate::stream::{Family, Stream};
use std::collections::{BTreeMap, BTreeSet};

/// How long a delivery is remembered after it was received, in ms. GitHub
/// delivers again for three days, by the same id; one that is forgotten
/// would open its runs a second time.
pub const REDELIVERY_MS: u64 = 3 * 24 * 60 * 60 * 1_000;

/// How long a revert stays after it has ended, in ms: the rollout that asked reads how it ended, and its cluster may be
/// away for a while.
pub const REVERT_MS: u64 = 30 * 24 * 60 * 60 * 1_000;

/// What the journal holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Seen {
    /// Every run that the journal holds.
    pub runs: Vec<Run>,
    /// Every delivery that the journal holds.
    pub deliveries: Vec<Delivery>,
    /// The streams that go with a run: `image/<run id>/<step>` and `bump/<run id>/<step>`.
    pub beside: Vec<String>,
    /// The reverts that have ended: the stream of each, and when it ended, in ms since the epoch.
    pub reverts: Vec<(String, Timestamp)>,
}

/// A run, as far as keeping it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The run's id, `owner/repo/pipeline/number`.
    pub id: String,
    /// Whether it goes on.
    pub stand: Stand,
}

/// A delivery, as far as keeping it goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The name of the delivery's stream.
    pub stream: String,
    /// When it was received, in ms since the epoch.
    pub received_ms: Timestamp,
    /// Whether it goes on.
    pub stand: Stand,
}

/// Whether something goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stand {
    /// Something of it is still to be done.
    Open,
    /// It has ended, and nothing is ever written to it again.
    Ended,
}

/// What has had its time.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gone {
    /// Runs, by id, with all the streams that go with each.
    pub runs: BTreeMap<String, Vec<String>>,
    /// Streams that belong to no run.
    pub streams: Vec<String>,
}

/// Decides what goes, when `keep` ended runs of each pipeline stay.
pub fn decide(seen: &Seen, keep: usize, now: Timestamp) -> Gone {
    let mut gone = Gone::default();
    for run in outlived(&seen.runs, keep) {
        gone.runs.insert(run.to_owned(), vec![Stream::run(run).into()]);
    }
    let known: BTreeSet<&str> = seen.runs.iter().map(|run| run.id.as_str()).collect();
    for stream in &seen.beside {
        let Some(run) = run_of(stream) else { continue };
        match gone.runs.get_mut(run) {
            Some(streams) => streams.push(stream.clone()),
            None if !known.contains(run) => gone.streams.push(stream.clone()),
            None => {}
        }
    }
    let over = |delivery: &&Delivery| {
        delivery.stand == Stand::Ended && now.saturating_sub(delivery.received_ms) > REDELIVERY_MS
    };
    gone.streams.extend(seen.deliveries.iter().filter(over).map(|delivery| delivery.stream.clone()));
    let reverts = seen.reverts.iter().filter(|(_, ended_ms)| now.saturating_sub(*ended_ms) > REVERT_MS);
    gone.streams.extend(reverts.map(|(stream, _)| stream.clone()));
    gone
}

/// The ended runs beyond the newest `keep` of their pipeline.
fn outlived(runs: &[Run], keep: usize) -> impl Iterator<Item = &str> {
    let mut pipelines: BTreeMap<&str, Vec<(u64, &Run)>> = BTreeMap::new();
    for run in runs {
        // An id of another form is nobody's to remove.
        let Some((pipeline, number)) = run.id.rsplit_once('/') else { continue };
        let Ok(number) = number.parse() else { continue };
        pipelines.entry(pipeline).or_default().push((number, run));
    }
    pipelines.into_values().flat_map(move |mut runs| {
        runs.sort_by_key(|(number, _)| std::cmp::Reverse(*number));
        let newest = runs.first().map(|(number, _)| *number);
        let ended = runs.into_iter().filter(|(_, run)| run.stand == Stand::Ended);
        ended.skip(keep).filter(move |(number, _)| Some(*number) != newest).map(|(_, run)| run.id.as_str())
    })
}

/// The run that a stream goes with: all between the family and the step.
fn run_of(stream: &str) -> Option<&str> {
    let rest = [Family::Image, Family::Bump].iter().find_map(|family| stream.strip_prefix(family.prefix()))?;
    rest.rsplit_once('/').map(|(run, _step)| run)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: u64 = 24 * 60 * 60 * 1_000;

    fn run(pipeline: &str, number: u64, stand: Stand) -> Run {
        Run { id: format!("user/petclinic/{pipeline}/{number}"), stand }
    }

    fn gone(runs: Vec<Run>, keep: usize) -> Vec<String> {
        decide(&Seen { runs, ..Seen::default() }, keep, 0).runs.into_keys().collect()
    }

    #[test]
    fn the_newest_ended_runs_of_each_pipeline_stay() {
        let runs = (8..=11).map(|n| run("was", n, Stand::Ended)).chain([run("web", 1, Stand::Ended)]).collect();
        assert_eq!(gone(runs, 2), ["user/petclinic/was/8", "user/petclinic/was/9"], "by number, not by text");
    }

    #[test]
    fn an_open_run_stays_and_counts_for_nothing() {
        let runs = vec![
            run("was", 1, Stand::Open),
            run("was", 2, Stand::Ended),
            run("was", 3, Stand::Ended),
            run("was", 4, Stand::Open),
        ];
        assert_eq!(gone(runs, 1), ["user/petclinic/was/2"]);
    }

    #[test]
    fn the_newest_run_stays_whatever_is_kept() {
        assert_eq!(gone(vec![run("was", 6, Stand::Ended), run("was", 7, Stand::Ended)], 0), ["user/petclinic/was/6"]);
    }

    #[test]
    fn an_id_of_another_form_stays() {
        let odd = Run { id: "odd".into(), stand: Stand::Ended };
        assert!(gone(vec![odd, run("was", 2, Stand::Ended)], 0).is_empty());
    }

    #[test]
    fn what_goes_with_a_run_goes_with_it_and_so_does_what_has_none() {
        let seen = Seen {
            runs: vec![run("was", 1, Stand::Ended), run("was", 2, Stand::Ended)],
            beside: ["image/user/petclinic/was/1/image", "bump/user/petclinic/was/1/bump"]
                .into_iter()
                .chain(["image/user/petclinic/was/2/image", "bump/user/petclinic/was/0/bump", "app/a/b/c"])
                .map(str::to_owned)
                .collect(),
            ..Seen::default()
        };
        let gone = decide(&seen, 1, 0);
        let streams =
            ["run/user/petclinic/was/1", "image/user/petclinic/was/1/image", "bump/user/petclinic/was/1/bump"];
        assert_eq!(gone.runs, BTreeMap::from([("user/petclinic/was/1".into(), streams.map(str::to_owned).to_vec())]));
        assert_eq!(gone.streams, ["bump/user/petclinic/was/0/bump"]);
    }

    #[test]
    fn an_ended_revert_stays_until_its_rollout_has_surely_read_it() {
        let reverts = [DAY, 2 * DAY].map(|ended_ms| (format!("revert/eks/petclinic/was/{ended_ms}"), ended_ms));
        let seen = Seen { reverts: reverts.to_vec(), ..Seen::default() };
        assert_eq!(decide(&seen, 1, 31 * DAY).streams, Vec::<String>::new());
        assert_eq!(decide(&seen, 1, 31 * DAY + 1).streams, [format!("revert/eks/petclinic/was/{DAY}")]);
    }

    #[test]
    fn a_delivery_stays_as_long_as_it_may_come_again() {
        let delivery =
            |n: u64, received_ms, stand| Delivery { stream: format!("delivery/default/{n}"), received_ms, stand };
        let deliveries = vec![
            delivery(1, DAY, Stand::Ended),
            delivery(2, DAY, Stand::Open),
            delivery(3, 2 * DAY, Stand::Ended),
            delivery(4, 9 * DAY, Stand::Ended),
        ];
        let seen = Seen { deliveries, ..Seen::default() };
        assert_eq!(decide(&seen, 1, 5 * DAY).streams, ["delivery/default/1"]);
    }
}
