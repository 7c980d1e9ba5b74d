//! Where the lines of a build or a container go.

use std::sync::Mutex;

/// Takes log lines as they come. Called from many threads.
pub trait LogSink: Send + Sync {
    /// One line, without its line feed.
    fn line(&self, stream: Stream, text: &str);

    /// A part of a line that is too long to be passed on at once; what comes next of the stream goes on with it.
    fn part(&self, stream: Stream, text: &str) {
        self.line(stream, text);
    }
}

/// Which stream a line belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Stream {
    /// What the program writes to its standard output.
    Stdout,
    /// What the program writes to its standard error.
    Stderr,
    /// What the builder or the registry says about its own work.
    Progress,
}

/// Takes every line and keeps none.
#[derive(Clone, Copy, Debug, Default)]
pub struct Silent;

impl LogSink for Silent {
    fn line(&self, _stream: Stream, _text: &str) {}
}

/// A line longer than this is passed on in parts, so that no program can fill the memory.
const LONGEST_LINE: usize = 64 * 1024;

/// Cuts chunks of bytes into lines, for each stream on its own.
pub(crate) struct Lines<'a> {
    sink: &'a dyn LogSink,
    open: Mutex<Vec<(Stream, Vec<u8>)>>,
}

impl<'a> Lines<'a> {
    pub(crate) fn new(sink: &'a dyn LogSink) -> Lines<'a> {
        Lines { sink, open: Mutex::default() }
    }

    /// Passes on the lines that these bytes complete.
    pub(crate) fn push(&self, stream: Stream, bytes: &[u8]) {
        let mut open = self.open.lock().expect("no sink panics while a line is cut");
        let at = open.iter().position(|(known, _)| *known == stream).unwrap_or_else(|| {
            open.push((stream, Vec::new()));
            open.len() - 1
        });
        let line = &mut open[at].1;
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            line.extend_from_slice(part);
            if line.ends_with(b"\n") {
                say(self.sink, stream, line);
                line.clear();
            } else if line.len() >= LONGEST_LINE {
                let rest = line.split_off(whole_characters(line));
                self.sink.part(stream, &String::from_utf8_lossy(line));
                *line = rest;
            }
        }
    }

    /// Passes on what never got its line feed.
    pub(crate) fn finish(self) {
        let open = self.open.into_inner().expect("no sink panics while a line is cut");
        for (stream, line) in open.iter().filter(|(_, line)| !line.is_empty()) {
            say(self.sink, *stream, line);
        }
    }
}

/// How many of these bytes are no beginning of a character whose rest has not come yet.
fn whole_characters(bytes: &[u8]) -> usize {
    let last = bytes.utf8_chunks().last().map(|chunk| chunk.invalid()).unwrap_or_default();
    let is_begun = std::str::from_utf8(last).is_err_and(|error| error.error_len().is_none());
    bytes.len() - if is_begun { last.len() } else { 0 }
}

fn say(sink: &dyn LogSink, stream: Stream, line: &[u8]) {
    let text = String::from_utf8_lossy(line);
    sink.line(stream, text.trim_end_matches(['\n', '\r']));
}

#[cfg(test)]
pub(crate) mod kept {
    //! A sink for tests: it keeps every line.

    use super::{LogSink, Stream};
    use std::sync::Mutex;

    #[derive(Default)]
    pub(crate) struct Kept(pub Mutex<Vec<(Stream, String)>>);

    impl LogSink for Kept {
        fn line(&self, stream: Stream, text: &str) {
            self.0.lock().expect("no test panics here").push((stream, text.to_owned()));
        }
    }

    impl Kept {
        pub(crate) fn text(&self) -> String {
            let lines = self.0.lock().expect("no test panics here");
            lines.iter().map(|(_, line)| format!("{line}\n")).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_become_lines() {
        let kept = kept::Kept::default();
        let lines = Lines::new(&kept);
        lines.push(Stream::Stdout, b"one\ntw");
        lines.push(Stream::Stderr, b"oops\r\n");
        lines.push(Stream::Stdout, b"o\n\nrest");
        lines.finish();
        assert_eq!(kept.text(), "one\noops\ntwo\n\nrest\n");
    }

    /// Tells the parts of lines from whole ones.
    #[derive(Default)]
    struct Parts(Mutex<Vec<(&'static str, String)>>);

    impl LogSink for Parts {
        fn line(&self, _: Stream, text: &str) {
            self.0.lock().expect("one thread").push(("line", text.to_owned()));
        }

        fn part(&self, _: Stream, text: &str) {
            self.0.lock().expect("one thread").push(("part", text.to_owned()));
        }
    }

    #[test]
    fn a_long_line_comes_in_parts_that_cut_no_character() {
        let parts = Parts::default();
        let lines = Lines::new(&parts);
        let text = format!("x{}", "é".repeat(LONGEST_LINE));
        text.as_bytes().chunks(1000).for_each(|chunk| lines.push(Stream::Stdout, chunk));
        lines.push(Stream::Stdout, b"\xff\nnext\n");
        lines.finish();
        let parts = parts.0.into_inner().expect("one thread");
        assert_eq!(parts.iter().map(|(kind, _)| *kind).collect::<Vec<_>>(), ["part", "line", "line"]);
        let whole: String = parts.iter().map(|(_, text)| text.as_str()).collect();
        assert_eq!(whole, format!("{text}\u{fffd}next"));
    }

    #[test]
    fn an_endless_line_is_cut() {
        let kept = kept::Kept::default();
        let lines = Lines::new(&kept);
        for _ in 0..5 {
            lines.push(Stream::Stdout, &[b'x'; LONGEST_LINE / 2]);
        }
        lines.finish();
        assert_eq!(kept.0.lock().expect("one thread").len(), 3);
    }
}

#[cfg(test)]
#[path = "sink/properties_tests.rs"]
mod properties;
