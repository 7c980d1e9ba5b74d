//! Everything that a guest writes: log lines, and what it prints.

use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::io::AsyncWrite;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

use crate::abilities::{Abilities, Level};

/// A longer line is broken, in bytes.
const LINE: usize = 16 << 10;

/// What a line costs beside its text, in bytes, so that empty ones are not free.
pub(crate) const LINE_COST: usize = 32;

/// Standard output or error of one guest, as lines of the step's log.
///
/// A guest that prints too much is cut off, not ended: printing is habit, and no request.
#[derive(Clone)]
pub(crate) struct Printed {
    shared: Arc<Mutex<LineSplitter>>,
}

struct LineSplitter {
    abilities: Arc<dyn Abilities>,
    level: Level,
    rest: Vec<u8>,
    left: usize,
    cut: CutText,
    last: String,
}

#[derive(PartialEq)]
enum CutText {
    Not,
    Said,
}

/// Writes text to the log, line by line, as long as `left` lasts.
///
/// # Errors
///
/// There was more text than that. What fitted was written.
pub(crate) fn say(abilities: &dyn Abilities, level: Level, text: &str, left: &mut usize) -> Result<(), ()> {
    text.lines().try_for_each(|line| say_line(abilities, level, line, LineEnd::Here, left))
}

/// Whether a line ends with what there is of it.
#[derive(Clone, Copy, PartialEq)]
enum LineEnd {
    Here,
    Later,
}

fn say_line(abilities: &dyn Abilities, level: Level, line: &str, end: LineEnd, left: &mut usize) -> Result<(), ()> {
    let mut pieces = pieces(line).peekable();
    while let Some(piece) = pieces.next() {
        *left = left.checked_sub(piece.len() + LINE_COST).ok_or(())?;
        match (pieces.peek(), end) {
            (None, LineEnd::Here) => abilities.log(level, piece),
            _ => abilities.log_part(level, piece),
        }
    }
    Ok(())
}

/// A line in pieces of at most [`LINE`] bytes; an empty line is one piece.
fn pieces(line: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        let line = rest?;
        let at = line.floor_char_boundary(LINE);
        rest = (at < line.len()).then(|| &line[at..]);
        Some(&line[..at])
    })
}

impl Printed {
    pub(crate) fn new(abilities: Arc<dyn Abilities>, level: Level, at_most: usize) -> Self {
        let lines =
            LineSplitter { abilities, level, rest: Vec::new(), left: at_most, cut: CutText::Not, last: String::new() };
        Printed { shared: Arc::new(Mutex::new(lines)) }
    }

    /// Writes what has no line break yet. Returns the last lines: a panic's message is among them.
    pub(crate) fn finish(&self) -> String {
        let mut lines = self.lines();
        let rest = std::mem::take(&mut lines.rest);
        if !rest.is_empty() {
            lines.write_line(&rest, LineEnd::Here);
        }
        std::mem::take(&mut lines.last)
    }

    fn write_bytes(&self, bytes: &[u8]) {
        let mut lines = self.lines();
        for chunk in bytes.split_inclusive(|&byte| byte == b'\n').flat_map(|line| line.chunks(LINE)) {
            lines.rest.extend_from_slice(chunk);
            if chunk.ends_with(b"\n") {
                let line = std::mem::take(&mut lines.rest);
                lines.write_line(line.strip_suffix(b"\n").unwrap_or(&line), LineEnd::Here);
            } else if lines.rest.len() >= LINE {
                let whole = whole_characters(&lines.rest);
                let rest = lines.rest.split_off(whole);
                let line = std::mem::replace(&mut lines.rest, rest);
                lines.write_line(&line, LineEnd::Later);
            }
        }
    }

    fn lines(&self) -> MutexGuard<'_, LineSplitter> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl LineSplitter {
    fn write_line(&mut self, line: &[u8], end: LineEnd) {
        let line = String::from_utf8_lossy(line);
        // Whole lines only: what is cut here is no secret any more to whoever hides them.
        if self.last.len() + line.len() > 2048 {
            self.last.clear();
        }
        self.last.push_str(&line);
        if end == LineEnd::Here {
            self.last.push('\n');
        }
        if self.cut == CutText::Said {
            return;
        }
        let written = say_line(&*self.abilities, self.level, &line, end, &mut self.left);
        if written.is_err() {
            self.cut = CutText::Said;
            self.abilities.log(Level::Warn, "the plugin prints too much; the rest of it is left out");
        }
    }
}

/// How many of these bytes are no beginning of a character whose rest has not come yet.
fn whole_characters(bytes: &[u8]) -> usize {
    let last = bytes.utf8_chunks().last().map(|chunk| chunk.invalid()).unwrap_or_default();
    let is_begun = std::str::from_utf8(last).is_err_and(|error| error.error_len().is_none());
    bytes.len() - if is_begun { last.len() } else { 0 }
}

impl IsTerminal for Printed {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Printed {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

#[async_trait]
impl Pollable for Printed {
    async fn ready(&mut self) {}
}

impl OutputStream for Printed {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        self.write_bytes(&bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        Ok(64 << 10)
    }
}

impl AsyncWrite for Printed {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.write_bytes(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lines_are_broken_between_characters() {
        let line = "é".repeat(LINE);
        let broken: Vec<&str> = pieces(&line).collect();
        assert_eq!(broken.len(), 2);
        assert_eq!(broken.concat(), line);
        assert_eq!(pieces("").collect::<Vec<_>>(), [""]);
    }
}
