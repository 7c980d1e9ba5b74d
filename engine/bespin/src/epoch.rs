//! Which streams have nothing but what came with a backup.
//!
//! What followed the backup is lost, and the world has gone on: numbers were used, branches have moved, canaries were
//! promoted. So what a restored journal says of them counts for less than what is written since.

use decide::epoch::Epoch;
use decide::stream::Stream;
use journal::Journal;
use std::collections::BTreeSet;
use std::sync::Mutex;

/// Which streams have nothing but what came with a backup.
#[derive(Default)]
pub struct StreamEpochs {
    /// The newest sequence that came with it; 0 where the journal was never restored.
    up_to: u64,
    /// The streams in which that is known by now. What once is there stays there, and is not read again.
    decided: Mutex<BTreeSet<Stream>>,
}

impl StreamEpochs {
    /// Over a journal whose entries up to this sequence came with a backup.
    pub fn up_to(up_to: u64) -> StreamEpochs {
        StreamEpochs { up_to, ..StreamEpochs::default() }
    }

    /// Whether the server knows since the restore where a rollout is: it has adopted its status, or begun a version. What
    /// people and runs ask for, and what is answered, says nothing of that.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub async fn epoch(&self, journal: &Journal, stream: &Stream) -> Result<Epoch, journal::Error> {
        let locked = || self.decided.lock().expect("nobody panics while holding the streams");
        if self.up_to == 0 || locked().contains(stream) {
            return Ok(Epoch::This);
        }
        // A summary is newer than what it sums up, so that what it left is read as well: the newest beginnings are there.
        let entries = journal.read(stream.as_str()).await?;
        let is_old = entries.iter().any(|entry| entry.seq <= self.up_to || entry.kind == "summarized");
        let has_position = |kind: &str| matches!(kind, "adopted" | "began");
        let has_decided = entries.iter().any(|entry| entry.seq > self.up_to && has_position(&entry.kind));
        if is_old && !has_decided {
            return Ok(Epoch::Restored);
        }
        locked().insert(stream.clone());
        Ok(Epoch::This)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use decide::by::By;
    use journal::NewEntry;

    #[tokio::test]
    async fn a_summary_decides_nothing() {
        let directory = tempfile::tempdir().unwrap();
        let journal = journal::open(directory.path()).unwrap();
        let stream = Stream::parse("rollout/test/petclinic/was").unwrap();
        let new = |kind: &str| NewEntry { at_ms: 0, by: By::Server, kind: kind.into(), body: serde_json::json!({}) };
        let append = async |at: u64, kinds: &[&str]| {
            journal.append(stream.as_str(), at, kinds.iter().map(|kind| new(kind)).collect()).await.unwrap();
        };
        let summarize = async |at: u64, kept: &[u64]| {
            journal.summarize(stream.as_str(), at, new("summarized"), kept.to_vec()).await.unwrap();
        };
        // As a server finds it that was started again.
        let epoch = async || StreamEpochs::up_to(2).epoch(&journal, &stream).await.unwrap();
        append(0, &["began", "promoted"]).await;
        append(2, &["asked"]).await;
        summarize(3, &[0, 1]).await;
        assert_eq!(epoch().await, Epoch::Restored, "what it sums up came with the backup");
        append(4, &["asked"]).await;
        summarize(5, &[]).await;
        assert_eq!(epoch().await, Epoch::Restored, "nothing that came with it is left");
        append(6, &["adopted", "began"]).await;
        summarize(8, &[7]).await;
        assert_eq!(epoch().await, Epoch::This);
    }

    #[tokio::test]
    async fn a_stream_is_of_this_epoch_once_it_says_where_the_rollout_is() {
        let directory = tempfile::tempdir().unwrap();
        let journal = journal::open(directory.path()).unwrap();
        let stream = Stream::parse("rollout/test/petclinic/was").unwrap();
        let append = async |at: u64, kind: &str| {
            let new = NewEntry { at_ms: at, by: By::Server, kind: kind.into(), body: serde_json::json!({}) };
            journal.append(stream.as_str(), at, vec![new]).await.unwrap();
        };
        append(0, "promoted").await;
        let restored = StreamEpochs::up_to(1);
        assert_eq!(restored.epoch(&journal, &stream).await.unwrap(), Epoch::Restored);
        assert_eq!(
            StreamEpochs::default().epoch(&journal, &stream).await.unwrap(),
            Epoch::This,
            "it was never restored"
        );
        append(1, "asked").await;
        append(2, "put-back").await;
        assert_eq!(
            restored.epoch(&journal, &stream).await.unwrap(),
            Epoch::Restored,
            "neither says where the rollout is"
        );
        append(3, "adopted").await;
        assert_eq!(restored.epoch(&journal, &stream).await.unwrap(), Epoch::This);
        let other = Stream::parse("rollout/test/petclinic/web").unwrap();
        assert_eq!(restored.epoch(&journal, &other).await.unwrap(), Epoch::This, "nothing of it came with the backup");
    }
}
