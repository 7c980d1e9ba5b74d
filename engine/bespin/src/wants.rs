//! How a step's ability asks a level-triggered stage, and waits for the answer.

use crate::drive::{Drivers, Stage, Written};
use decide::by::By;
use decide::want::{Answer, Key};
use sandbox::Failure;
use serde_json::Value;
use std::sync::Arc;

/// A stage that steps can want something of.
pub trait Wanted: Stage {
    /// What can be wanted.
    type Intent: Clone + Send + Sync;
    /// The entry that records a want.
    fn wanted(key: Key, intent: Self::Intent) -> Self::Entry;
    /// Whose want an entry records, if it records one.
    fn asks(entry: &Self::Entry) -> Option<&Key>;
    /// Whose want an entry answers, and how, if it answers one.
    fn answers(entry: &Self::Entry) -> Option<(&Key, &Answer)>;
    /// Whose step an entry says to have stopped waiting, if it says so.
    fn gives_up(_entry: &Self::Entry) -> Option<&Key> {
        None
    }
}

/// Binds a stage whose entries are called `Wanted` and `Answered`, and perhaps one by which a step gives up.
#[macro_export]
macro_rules! wanted {
    ($stage:ty, $entry:path, $intent:ty $(, gives up by $gives_up:ident)?) => {
        impl $crate::wants::Wanted for $stage {
            type Intent = $intent;
            fn wanted(key: decide::want::Key, intent: $intent) -> Self::Entry {
                use $entry as Entry;
                Entry::Wanted { key, intent }
            }
            fn asks(entry: &Self::Entry) -> Option<&decide::want::Key> {
                use $entry as Entry;
                match entry {
                    Entry::Wanted { key, .. } => Some(key),
                    _ => None,
                }
            }
            fn answers(entry: &Self::Entry) -> Option<(&decide::want::Key, &decide::want::Answer)> {
                use $entry as Entry;
                match entry {
                    Entry::Answered { key, answer } => Some((key, answer)),
                    _ => None,
                }
            }
            $(fn gives_up(entry: &Self::Entry) -> Option<&decide::want::Key> {
                use $entry as Entry;
                match entry {
                    Entry::$gives_up { key } => Some(key),
                    _ => None,
                }
            })?
        }
    };
}

/// Records the want, unless this step recorded it before, and waits for its answer.
/// A want that failed for a reason that may have passed, or that an earlier attempt gave up, is recorded once more,
/// which opens it again; one that was met is never asked for twice.
/// Dropping the future ends the waiting only; the want stands.
pub async fn want<S: Wanted>(
    drivers: &Arc<Drivers>,
    stage: &Arc<S>,
    stream: &str,
    key: &Key,
    intent: S::Intent,
) -> Result<Value, Failure> {
    let transient = |error: &dyn std::fmt::Display| Failure::Transient(format!("the journal: {error}"));
    let by = By::Run(format!("{}#{}", key.run, key.step));
    let mut newest = drivers.journal().newest();
    drivers
        .append::<S::Entry, _>(stream, by, |written| {
            let asks = match stand::<S>(written, key) {
                Stand::Unknown | Stand::GivenUp => true,
                Stand::Answered(answer) => answer.is_transient(),
                Stand::Open => false,
            };
            asks.then(|| vec![S::wanted(key.clone(), intent.clone())])
        })
        .await
        .map_err(|error| transient(&error))?;
    drivers.ensure(stage, stream);
    let mut length = None;
    loop {
        newest.mark_unchanged();
        let streams = drivers.journal().streams(stream).await.map_err(|error| transient(&error))?;
        let now = streams.iter().find(|info| info.name == stream).map(|info| info.len);
        if now != length {
            length = now;
            if let Some(answer) = answered::<S>(drivers, stream, key).await.map_err(|error| transient(&error))? {
                return outcome(answer);
            }
        }
        if newest.changed().await.is_err() {
            return Err(Failure::Transient("the server is stopping".into()));
        }
    }
}

async fn answered<S: Wanted>(drivers: &Drivers, stream: &str, key: &Key) -> Result<Option<Answer>, journal::Error> {
    let written = crate::drive::read::<S::Entry>(drivers.journal(), stream).await?;
    Ok(match stand::<S>(&written, key) {
        Stand::Answered(answer) => Some(answer.clone()),
        Stand::Unknown | Stand::Open | Stand::GivenUp => None,
    })
}

/// How a want stands, by the last word about it.
pub enum Stand<'a> {
    /// Nobody has asked.
    Unknown,
    /// It was asked for, or asked for once more.
    Open,
    /// The step that asked has stopped waiting, and has no answer yet.
    GivenUp,
    /// It has ended.
    Answered(&'a Answer),
}

/// How a step's want stands in its stream.
pub fn stand<'a, S: Wanted>(written: &'a [Written<S::Entry>], key: &Key) -> Stand<'a> {
    let word = |one: &'a Written<S::Entry>| match S::answers(&one.entry) {
        Some((of, answer)) if of == key => Some(Stand::Answered(answer)),
        _ if S::gives_up(&one.entry) == Some(key) => Some(Stand::GivenUp),
        _ => (S::asks(&one.entry) == Some(key)).then_some(Stand::Open),
    };
    written.iter().rev().find_map(word).unwrap_or(Stand::Unknown)
}

fn outcome(answer: Answer) -> Result<Value, Failure> {
    match answer {
        Answer::Met { outputs } => Ok(outputs),
        Answer::Superseded { because } => Err(Failure::Rejected(format!("superseded: {because}"))),
        Answer::Failed { because, transient: true } => Err(Failure::Transient(because)),
        Answer::Failed { because, transient: false } => Err(Failure::Rejected(because)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::board::Board;
    use crate::drive::Trouble;
    use async_trait::async_trait;
    use decide::next::{Next, Timestamp, Wake};
    use serde::{Deserialize, Serialize};
    use std::sync::atomic::{AtomicBool, Ordering};

    #[derive(Clone, Serialize, Deserialize)]
    #[serde(tag = "kind", content = "body", rename_all = "kebab-case")]
    enum Entry {
        Wanted { key: Key, intent: String },
        Answered { key: Key, answer: Answer },
        GaveUp { key: Key },
    }

    /// A world that is up, or down.
    struct Door(AtomicBool);

    #[async_trait]
    impl Stage for Door {
        const NAME: &'static str = "door";
        type Entry = Entry;
        type Recorded = Vec<Key>;
        type Seen = bool;
        type Act = ();

        fn replay(&self, entries: &[Written<Entry>]) -> Vec<Key> {
            let keys = entries.iter().filter_map(|one| Self::asks(&one.entry));
            keys.filter(|key| matches!(stand::<Self>(entries, key), Stand::Open)).cloned().collect()
        }

        async fn observe(&self, _: &str, _: &Vec<Key>) -> Result<bool, Trouble> {
            Ok(self.0.load(Ordering::SeqCst))
        }

        fn decide(&self, open: &Vec<Key>, up: &bool, _: Timestamp) -> Next<Entry, ()> {
            let Some(key) = open.first() else { return Next::done(Wake::Never, "nobody waits") };
            let answer = match up {
                true => Answer::Met { outputs: serde_json::json!({}) },
                false => Answer::Failed { because: "it is down".into(), transient: true },
            };
            Next {
                record: vec![Entry::Answered { key: key.clone(), answer }],
                ..Next::progressing(Wake::Now, "answering")
            }
        }

        async fn act(&self, _: &str, (): &()) -> Result<(), Trouble> {
            Ok(())
        }
    }

    crate::wanted!(Door, Entry, String, gives up by GaveUp);

    #[tokio::test]
    async fn a_later_attempt_asks_again_and_what_is_met_stays_met() {
        let directory = tempfile::tempdir().unwrap();
        let drivers = Drivers::new(journal::open(directory.path()).unwrap(), Arc::new(Board::default()));
        let door = Arc::new(Door(AtomicBool::new(false)));
        let key = Key { run: "user/petclinic/was/56".into(), step: "open".into() };
        let attempt = || want(&drivers, &door, "door/a", &key, "open".into());
        assert!(matches!(attempt().await, Err(Failure::Transient(_))));
        assert!(matches!(attempt().await, Err(Failure::Transient(_))), "it was asked again, and is still down");
        door.0.store(true, Ordering::SeqCst);
        attempt().await.unwrap();
        door.0.store(false, Ordering::SeqCst);
        attempt().await.unwrap();
        let entries = drivers.journal().read("door/a").await.unwrap();
        let kinds: Vec<&str> = entries.iter().map(|entry| entry.kind.as_str()).collect();
        assert_eq!(kinds, ["wanted", "answered", "wanted", "answered", "wanted", "answered"]);
        drivers.stop().await;
    }

    #[tokio::test]
    async fn what_an_attempt_gave_up_is_asked_for_again_by_the_next() {
        let directory = tempfile::tempdir().unwrap();
        let drivers = Drivers::new(journal::open(directory.path()).unwrap(), Arc::new(Board::default()));
        let door = Arc::new(Door(AtomicBool::new(true)));
        let key = Key { run: "user/petclinic/was/56".into(), step: "open".into() };
        let before = [Entry::Wanted { key: key.clone(), intent: "open".into() }, Entry::GaveUp { key: key.clone() }];
        let written = |entries: &[Written<Entry>]| entries.is_empty().then(|| before.to_vec());
        drivers.append::<Entry, _>("door/a", By::Server, written).await.unwrap();
        want(&drivers, &door, "door/a", &key, "open".into()).await.unwrap();
        let entries = drivers.journal().read("door/a").await.unwrap();
        let kinds: Vec<&str> = entries.iter().map(|entry| entry.kind.as_str()).collect();
        assert_eq!(kinds, ["wanted", "gave-up", "wanted", "answered"]);
        drivers.stop().await;
    }
}
