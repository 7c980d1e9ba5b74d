//! What a container prints, on its way to the step's log.

use super::{Bound, Ended};
use crate::engine::said;
use crate::error::Error;
use crate::sink::{Lines, LogSink, Stream};
use bollard::container::LogOutput;
use futures::TryStreamExt;
use std::pin::Pin;

/// The stream that an attached container prints to.
type Output = Pin<Box<dyn futures::Stream<Item = Result<LogOutput, bollard::errors::Error>> + Send>>;

/// Passes on what is printed until the container closes its output, which is `None`, or has printed too much.
pub(super) async fn pass_on(mut output: Output, most: u64, sink: &dyn LogSink) -> Result<Option<Ended>, Error> {
    let lines = Lines::new(sink);
    let mut left = most;
    while let Some(printed) = output.try_next().await.map_err(|error| said("reading the output", error))? {
        let (stream, message) = match printed {
            LogOutput::StdErr { message } => (Stream::Stderr, message),
            LogOutput::StdOut { message } | LogOutput::Console { message } => (Stream::Stdout, message),
            LogOutput::StdIn { .. } => continue,
        };
        lines.push(stream, &message);
        match left.checked_sub(message.len() as u64) {
            Some(less) => left = less,
            None => {
                lines.finish();
                let because = format!("it printed more than {} MiB", most >> 20);
                return Ok(Some(Ended::Exceeded(Bound::Log, because)));
            }
        }
    }
    lines.finish();
    Ok(None)
}
