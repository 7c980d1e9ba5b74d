//! What ends a server: whoever asks it to stop, or its journal when nothing can be written any more.

use journal::Journal;
use std::time::Duration;

/// How long a server whose journal is broken waits for its parts to stop: some may wait for an entry.
const STOPPED: Duration = Duration::from_secs(10);

/// Waits for an end, and stops the server.
///
/// # Errors
/// Why nothing can be written to the journal any more.
pub(crate) async fn of(
    journal: &Journal,
    asked: impl Future<Output = ()>,
    stop: impl Future<Output = ()>,
) -> Result<(), String> {
    let broken = tokio::select! {
        () = asked => None,
        why = broken(journal) => Some(why),
    };
    let Some(why) = broken else {
        tracing::info!("stopping: no new work is taken, what runs is left to the next start");
        stop.await;
        tracing::info!("stopped");
        return Ok(());
    };
    tracing::error!(why, "stopping: the journal cannot be written any more");
    let _stopped = tokio::time::timeout(STOPPED, stop).await;
    Err(format!("the journal cannot be written any more: {why}"))
}

/// Returns when nothing can be written to the journal any more, with the reason.
async fn broken(journal: &Journal) -> String {
    let mut broken = journal.broken();
    match broken.wait_for(Option::is_some).await.map(|why| why.clone()) {
        Ok(why) => why.unwrap_or_default(),
        // A backend that does not tell.
        Err(_) => std::future::pending().await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::FutureExt;
    use journal::{AppendError, Entry, Error, Hold, NewEntry, Store, StreamInfo};
    use tokio::sync::watch;

    /// A journal of which nothing is asked but whether it is broken.
    struct Told(watch::Sender<Option<String>>);

    #[async_trait::async_trait]
    impl Store for Told {
        async fn append(&self, _: &str, _: u64, _: Vec<NewEntry>) -> Result<u64, AppendError> {
            unreachable!("nothing is appended")
        }
        async fn summarize(&self, _: &str, _: u64, _: NewEntry, _: Vec<u64>) -> Result<u64, AppendError> {
            unreachable!("nothing is summarized")
        }
        async fn read_current(&self, _: &str) -> Result<Vec<Entry>, Error> {
            unreachable!("nothing is read")
        }
        async fn read_from(&self, _: &str, _: u64) -> Result<Vec<Entry>, Error> {
            unreachable!("nothing is read")
        }
        async fn tail(&self, _: u64, _: usize) -> Result<Vec<Entry>, Error> {
            unreachable!("nothing is read")
        }
        async fn streams(&self, _: &str) -> Result<Vec<StreamInfo>, Error> {
            unreachable!("nothing is listed")
        }
        fn newest(&self) -> watch::Receiver<u64> {
            watch::channel(0).1
        }
        fn broken(&self) -> watch::Receiver<Option<String>> {
            self.0.subscribe()
        }
        async fn remove(&self, _: Vec<String>) -> Result<u64, Error> {
            unreachable!("nothing is removed")
        }
        async fn hold(&self) -> Hold {
            unreachable!("nothing is held")
        }
    }

    #[tokio::test]
    async fn a_broken_journal_ends_the_server_with_its_reason_and_a_sound_one_does_not() {
        let told = std::sync::Arc::new(Told(watch::channel(None).0));
        let journal: Journal = told.clone();
        let never = std::future::pending::<()>;
        assert_eq!(of(&journal, never(), async {}).now_or_never(), None);
        assert_eq!(of(&journal, async {}, async {}).now_or_never(), Some(Ok(())));
        told.0.send_replace(Some("the disk is gone".into()));
        let (mut stopped, why) = (false, "the journal cannot be written any more: the disk is gone".to_owned());
        assert_eq!(of(&journal, never(), async { stopped = true }).await, Err(why));
        assert!(stopped, "its parts are stopped before it ends");
    }

    #[tokio::test]
    async fn a_journal_that_works_ends_no_server() {
        let directory = tempfile::tempdir().unwrap();
        let journal = journal::open(directory.path()).unwrap();
        assert_eq!(broken(&journal).now_or_never(), None);
    }
}
