//! Starting is resuming: every stream is read once, and those that are not at
//! their end get their driver back. An entry that this version does not know
//! refuses the start, naming the stream and the version that wrote it.

use crate::drive::{Drivers, Stage, Written, now, read};
use crate::stages::bump::BumpStage;
use crate::stages::delivery::DeliveryStage;
use crate::stages::image::ImageStage;
use crate::stages::run::RunStage;
use crate::wants::{Stand, Wanted, stand};
use decide::by::By;
use decide::image::{self, State};
use decide::want::{Answer, Key};
use std::sync::Arc;

/// For how long after its end a run tells the forge again, in ms: its last
/// report may have been lost with the process.
const REPORT_AGAIN_MS: u64 = 60 * 60 * 1000;

/// The stages whose streams are found in the journal. Applications and
/// rollouts are found in their clusters instead.
pub struct Stages {
    /// Deliveries.
    pub delivery: Arc<DeliveryStage>,
    /// Runs.
    pub run: Arc<RunStage>,
    /// Builds and pushes.
    pub image: Arc<ImageStage>,
    /// Bumps.
    pub bump: Arc<BumpStage>,
}

/// Gives every unfinished stream its driver back.
///
/// # Errors
/// The journal cannot be read, or holds what this version does not know.
pub async fn resume(drivers: &Arc<Drivers>, stages: &Stages) -> Result<usize, journal::Error> {
    let mut resumed = 0;
    stages.delivery.resume().await?;
    let recent = now().saturating_sub(REPORT_AGAIN_MS);
    resumed += unfinished(drivers, &stages.run, "run/", |written| match written.last() {
        Some(Written { entry: decide::run::Entry::Closed { .. }, at_ms, .. }) => *at_ms >= recent,
        Some(_) => true,
        None => false,
    })
    .await?;
    answer_for_closed_runs(drivers).await?;
    resumed += unfinished(drivers, &stages.image, "image/", has_open_want::<ImageStage>).await?;
    resumed += unfinished(drivers, &stages.bump, "bump/", has_open_want::<BumpStage>).await?;
    Ok(resumed)
}

/// Answers what closed runs still want of images: nobody waits for it any more, and a build takes long.
async fn answer_for_closed_runs(drivers: &Drivers) -> Result<(), journal::Error> {
    for stream in drivers.journal().streams("image/").await? {
        let written = read::<image::Entry>(drivers.journal(), &stream.name).await?;
        let open: Vec<Key> =
            State::replay(written.iter().map(|one| &one.entry)).open().map(|(key, _)| key.clone()).collect();
        let mut answers = Vec::new();
        for key in open {
            let run = drivers.journal().read(&format!("run/{}", key.run)).await?;
            if run.last().is_some_and(|last| last.kind == "closed") {
                let because = "the run had ended before this was done".to_owned();
                // Whoever asks once more is served.
                answers.push(image::Entry::Answered { key, answer: Answer::Failed { because, transient: true } });
            }
        }
        // Nothing is driven yet, so that nobody else has answered since.
        let answer = |_: &[Written<image::Entry>]| (!answers.is_empty()).then(|| answers.clone());
        drivers.append(&stream.name, By::Server, answer).await.map_err(|error| journal::Error(error.to_string()))?;
    }
    Ok(())
}

async fn unfinished<S: Stage>(
    drivers: &Arc<Drivers>,
    stage: &Arc<S>,
    prefix: &str,
    is_unfinished: impl Fn(&[Written<S::Entry>]) -> bool,
) -> Result<usize, journal::Error> {
    let mut resumed = 0;
    for stream in drivers.journal().streams(prefix).await? {
        let written = read::<S::Entry>(drivers.journal(), &stream.name).await?;
        if is_unfinished(&written) {
            drivers.ensure(stage, &stream.name);
            resumed += 1;
        }
    }
    Ok(resumed)
}

/// Whether some step still waits for an answer of this stream.
fn has_open_want<S: Wanted>(written: &[Written<S::Entry>]) -> bool {
    let mut keys = written.iter().filter_map(|one| S::asks(&one.entry));
    keys.any(|key| matches!(stand::<S>(written, key), Stand::Open | Stand::GivenUp))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::Board;
    use decide::image::{Intent, Push};

    #[tokio::test]
    async fn what_a_closed_run_wants_is_answered_and_what_an_open_one_wants_stands() {
        let directory = tempfile::tempdir().unwrap();
        let drivers = Drivers::new(journal::open(directory.path()).unwrap(), Arc::new(Board::default()));
        let push = Push { build: "a".into(), to: "b".into(), tag: "c".into() };
        for (run, ends) in [("a/b/c/1", &["opened", "closed"][..]), ("a/b/c/2", &["opened"])] {
            let key = Key { run: run.into(), step: "push".into() };
            let wanted = image::Entry::Wanted { key, intent: Intent::Push(push.clone()) };
            let mut one = Some(vec![wanted]);
            drivers.append(&format!("image/{run}/push"), By::Server, |_| one.take()).await.unwrap();
            let entry = |kind: &&str| journal::NewEntry {
                at_ms: 0,
                by: By::Server,
                kind: (*kind).into(),
                body: serde_json::Value::Null,
            };
            let entries = ends.iter().map(entry).collect();
            drivers.journal().append(&format!("run/{run}"), 0, entries).await.unwrap();
        }
        let stands = async |run: &str| {
            let written = read::<image::Entry>(drivers.journal(), &format!("image/{run}/push")).await.unwrap();
            has_open_want::<ImageStage>(&written)
        };
        for _ in 0..2 {
            answer_for_closed_runs(&drivers).await.unwrap();
            assert!(!stands("a/b/c/1").await);
            assert!(stands("a/b/c/2").await);
        }
        assert_eq!(drivers.journal().read("image/a/b/c/1/push").await.unwrap().len(), 2, "answered once");
        drivers.stop().await;
    }
}
