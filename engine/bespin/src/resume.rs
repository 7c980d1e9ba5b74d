//! Starting is resuming: every stream is read once, and those that are not at
//! their end get their driver back. An entry that this version does not know
//! refuses the start, naming the stream and the version that wrote it.

use crate::drive::{Drivers, Written, now, read};
use crate::requests::ledger;
use crate::stages::delivery::DeliveryStage;
use decide::by::By;
use decide::request::{Key, Requests, Response};
use decide::stream::{Family, Stream};
use decide::{bump, image, run};
use serde::de::DeserializeOwned;
use std::sync::Arc;

/// For how long after its end a run tells the forge again, in ms: its last
/// report may have been lost with the process.
const REPORT_AGAIN_MS: u64 = 60 * 60 * 1000;

/// Gives every unfinished stream its driver back; their stages are registered before. Applications and rollouts are
/// found in their clusters instead.
///
/// # Errors
/// The journal cannot be read, or holds what this version does not know.
pub async fn resume(drivers: &Arc<Drivers>, delivery: &DeliveryStage) -> Result<usize, journal::Error> {
    let mut resumed = 0;
    delivery.resume(drivers).await?;
    let recent = now().saturating_sub(REPORT_AGAIN_MS);
    resumed += unfinished::<run::Entry>(drivers, Family::Run, |written| match written.last() {
        Some(Written { entry: run::Entry::Closed { .. }, at_ms, .. }) => *at_ms >= recent,
        Some(_) => true,
        None => false,
    })
    .await?;
    answer_for_closed_runs(drivers).await?;
    resumed += unfinished::<image::Entry>(drivers, Family::Image, is_asked).await?;
    resumed += unfinished::<bump::Entry>(drivers, Family::Bump, is_asked).await?;
    Ok(resumed)
}

/// Answers what closed runs still want of images: nobody waits for it any more, and a build takes long.
async fn answer_for_closed_runs(drivers: &Drivers) -> Result<(), journal::Error> {
    for stream in drivers.streams(Family::Image).await? {
        let written = read::<image::Entry>(drivers.journal(), &stream).await?;
        let open: Vec<Key> = ledger(&written).open().map(|request| request.key.clone()).collect();
        let mut answers = Vec::new();
        for key in open {
            let run = drivers.journal().read(Stream::run(&key.run).as_str()).await?;
            if run.last().is_some_and(|last| last.kind == "closed") {
                let because = "the run had ended before this was done".to_owned();
                // Whoever asks once more is served.
                answers.push(image::Entry::Answered { key, answer: Response::Failed { because, transient: true } });
            }
        }
        // Nothing is driven yet, so that nobody else has answered since.
        let answer = |_: &[Written<image::Entry>]| (!answers.is_empty()).then(|| answers.clone());
        drivers.append(&stream, By::Server, answer).await.map_err(|error| journal::Error(error.to_string()))?;
    }
    Ok(())
}

async fn unfinished<E: DeserializeOwned>(
    drivers: &Arc<Drivers>,
    family: Family,
    is_unfinished: impl Fn(&[Written<E>]) -> bool,
) -> Result<usize, journal::Error> {
    let mut resumed = 0;
    for stream in drivers.streams(family).await? {
        let written = read::<E>(drivers.journal(), &stream).await?;
        if is_unfinished(&written) {
            drivers.ensure(&stream);
            resumed += 1;
        }
    }
    Ok(resumed)
}

/// Whether a request of this stream has no response yet.
fn is_asked<E: Requests>(written: &[Written<E>]) -> bool {
    ledger(written).open().next().is_some()
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::board::Board;
    use decide::image::{Intent, Push};

    #[tokio::test]
    async fn what_a_closed_run_wants_is_answered_and_what_an_open_one_wants_stands() {
        let directory = tempfile::tempdir().unwrap();
        let drivers = Drivers::new(journal::open(directory.path()).unwrap(), Arc::new(Board::default()));
        let push = Push { build: "a".into(), to: "b".into(), tag: "c".into(), timeout_ms: None };
        for (run, ends) in [("a/b/c/1", &["opened", "closed"][..]), ("a/b/c/2", &["opened"])] {
            let key = Key { run: run.into(), step: "push".into() };
            let wanted = image::Entry::Wanted { key, intent: Intent::Push(push.clone()) };
            let mut one = Some(vec![wanted]);
            drivers.append(&Stream::image(run, "push"), By::Server, |_| one.take()).await.unwrap();
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
            is_asked(&written)
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
