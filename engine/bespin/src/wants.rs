//! How a step's ability asks a level-triggered stage, and waits for the answer.

use crate::drive::{Drivers, Stage};
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
}

/// Binds a stage whose entries are called `Wanted` and `Answered`.
#[macro_export]
macro_rules! wanted {
    ($stage:ty, $entry:path, $intent:ty) => {
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
        }
    };
}

/// Records the want, unless this step recorded it before, and waits for its answer.
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
            let known = written.iter().any(|written| S::asks(&written.entry) == Some(key));
            (!known).then(|| vec![S::wanted(key.clone(), intent.clone())])
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
    let answers = written.iter().rev().filter_map(|written| S::answers(&written.entry));
    Ok(answers.into_iter().find(|(of, _)| *of == key).map(|(_, answer)| answer.clone()))
}

fn outcome(answer: Answer) -> Result<Value, Failure> {
    match answer {
        Answer::Met { outputs } => Ok(outputs),
        Answer::Superseded { because } => Err(Failure::Rejected(format!("superseded: {because}"))),
        Answer::Failed { because, transient: true } => Err(Failure::Transient(because)),
        Answer::Failed { because, transient: false } => Err(Failure::Rejected(because)),
    }
}
