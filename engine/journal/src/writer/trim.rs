//! Removes what a summary replaces, a batch at a time, so that nobody waits long behind it.

use super::StoreWriter;
use crate::disk::Batch;
use crate::stored::StreamHead;
use crate::{AppendError, keys};
use tokio::sync::oneshot;

/// How many entries are looked at for one batch.
const TRIM_ENTRIES: usize = 256;

/// What lies below a stream's base and is to go.
pub(super) struct Trim {
    stream: String,
    base: u64,
    /// The first index that was not looked at yet.
    next: u64,
    /// The indexes that stay, in order.
    keep: Vec<u64>,
    summary_seq: u64,
    answer: oneshot::Sender<Result<u64, AppendError>>,
}

enum TrimState {
    More,
    Done,
}

impl Trim {
    /// Everything below the base that the stream will have.
    pub(super) fn new(
        stream: &str,
        head: StreamHead,
        mut keep: Vec<u64>,
        answer: oneshot::Sender<Result<u64, AppendError>>,
    ) -> Trim {
        keep.sort_unstable();
        Trim { stream: stream.to_owned(), base: head.base, next: 0, keep, summary_seq: head.last_seq, answer }
    }

    /// Who is answered, and the sequence of the summary.
    pub(super) fn into_answer(self) -> (oneshot::Sender<Result<u64, AppendError>>, u64) {
        (self.answer, self.summary_seq)
    }
}

impl StoreWriter {
    /// Removes a batch of what summaries replaced; who waits for the last of it is answered.
    pub(super) fn trim(&mut self) {
        let Some(mut trim) = self.trims.pop_front() else { return };
        match self.trim_some(&mut trim) {
            TrimState::More => self.trims.push_back(trim),
            TrimState::Done => {
                let (answer, seq) = trim.into_answer();
                let _gone = answer.send(Ok(seq));
            }
        }
    }

    /// What cannot be removed now is left to the stream's next summary.
    fn trim_some(&mut self, trim: &mut Trim) -> TrimState {
        let removing = self.removing.clone();
        let Ok(_alone) = removing.try_write() else { return TrimState::Done };
        // The stream may have been removed meanwhile, and another of its name begun.
        let is_there = self.head(&trim.stream).is_some_and(|head| head.base >= trim.base);
        if self.broken.is_some() || !is_there {
            return TrimState::Done;
        }
        let (mut batch, mut meta, mut looked_at, mut removed) = (Batch::default(), self.start().meta, 0, 0);
        let from = keys::place(&trim.stream, trim.next);
        let (base, keep, next) = (trim.base, &trim.keep, &mut trim.next);
        let scanned = self.disk.scan(&from[..trim.stream.len() + 2], &from, |key, value| {
            let index = keys::number(key).filter(|index| *index < base && looked_at < TRIM_ENTRIES);
            let (Some(index), Some(seq)) = (index, keys::number(value)) else { return Ok(false) };
            (*next, looked_at) = (index + 1, looked_at + 1);
            if keep.binary_search(&index).is_err() {
                batch.remove(key.to_vec());
                batch.remove(keys::entry(seq));
                removed += 1;
            }
            Ok(true)
        });
        meta.entries -= removed;
        let written = match (scanned, removed) {
            (Err(_), _) => return TrimState::Done,
            (Ok(()), 0) => Ok(()),
            (Ok(()), _) => self.write(batch, meta),
        };
        if written.is_err() {
            return TrimState::Done;
        }
        self.durable.write().expect("nothing panics while it holds the index").meta = meta;
        if looked_at < TRIM_ENTRIES { TrimState::Done } else { TrimState::More }
    }
}
