//! The logs of steps: one file of JSON lines for each attempt, written as
//! they come and followed live.
//!
//! A log lives at `<dir>/<run id>/<step>/<attempt>.ndjson`; a line is
//! `{"n","at","level","text"}`, `n` counting from 1 without gaps, so that it
//! is the line's number in the file as well. A line that the server was
//! writing when it died is dropped at the next opening.

mod file;
mod forms;
mod mask;

pub use file::Cursor;
pub use mask::{MaskedText, Masker, PieceEnd};

use api::reading::{LogCursor, LogPlace, LogReader};
use api::views::Line;
use async_trait::async_trait;
use file::LogFile;
use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// The longest line, in bytes of text; the rest of a longer one is cut off.
pub const MAX_LINE: usize = 16 * 1024;

/// How many logs are kept open before idle ones are put away.
const MAX_OPEN: usize = 256;

/// All logs of the server.
pub struct Logs {
    dir: PathBuf,
    max_bytes: u64,
    open: Mutex<HashMap<LogPlace, Arc<LogFile>>>,
    maskers: Mutex<HashMap<String, Arc<Masker>>>,
    /// What waits until it is known whether it begins a secret.
    waiting: Mutex<HashMap<LogPlace, Arc<Mutex<HeldTexts>>>>,
}

/// The texts of one attempt of which something waits, by who writes them and how loud they are.
type HeldTexts = BTreeMap<(Source, String), MaskedText>;

/// Who writes to a log. What one of them writes is searched for secrets as one text, whatever the others write between.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Source {
    /// The server itself.
    Server,
    /// The plugin, by its log or its standard output and error.
    Plugin,
    /// The standard output of a program that runs for the plugin.
    Stdout,
    /// The standard error of such a program.
    Stderr,
    /// A builder or a registry, of its own work.
    Progress,
}

/// How big one log may become, in bytes, unless it is set otherwise.
pub const DEFAULT_MAX_BYTES: u64 = 64 * 1024 * 1024;

impl Logs {
    /// Keeps logs under `dir`, each at most 64 MiB. The folder is made when the first line comes.
    pub fn open(dir: PathBuf) -> Logs {
        let (open, maskers, waiting) = Default::default();
        Logs { dir, max_bytes: DEFAULT_MAX_BYTES, open, maskers, waiting }
    }

    /// Ends each log at `max_bytes`, with a last line that says so.
    pub fn with_max_bytes(mut self, max_bytes: u64) -> Logs {
        self.max_bytes = max_bytes;
        self
    }

    /// Hides these secrets in every later line of the run, beside those given before.
    pub fn mask(&self, run: &str, masker: Masker) {
        Arc::make_mut(self.maskers().entry(run.to_owned()).or_default()).join(masker);
    }

    /// The text with the run's secrets hidden, for what is written elsewhere than to a log.
    pub fn hidden(&self, run: &str, text: &str) -> String {
        // Nobody else waits while a long text is searched.
        let masker = self.maskers().get(run).cloned();
        masker.map_or_else(|| text.to_owned(), |masker| masker.mask(text))
    }

    /// The same of the beginning of a longer text, where a secret may have been cut off as well.
    pub fn hidden_cut(&self, run: &str, text: &str) -> String {
        let masker = self.maskers().get(run).cloned();
        masker.map_or_else(|| text.to_owned(), |masker| masker.mask_cut(text))
    }

    /// Writes a text of the server's own, split at its line ends, at the end of an attempt's log; see [`Logs::piece`].
    pub fn line(&self, run: &str, step: &str, attempt: u32, level: &str, text: &str) {
        self.piece(&LogPlace::new(run, step, attempt), Source::Server, level, text, PieceEnd::Line);
    }

    /// Writes a piece of a text, split at its line ends, at the end of an attempt's log. A piece that does not end
    /// its line is a line of the log all the same, but for what may be the beginning of a secret.
    ///
    /// It never fails: a log that cannot be written (a full disk, a name that
    /// is no file name) is reported to the server's own log, and the step goes on.
    pub fn piece(&self, place: &LogPlace, source: Source, level: &str, text: &str, end: PieceEnd) {
        let text = if end == PieceEnd::Line { text.trim_end_matches(['\r', '\n']) } else { text };
        if text.is_empty() && end == PieceEnd::Open {
            return;
        }
        let Some(masker) = self.maskers().get(&place.run).cloned() else { return self.write(place, level, text) };
        // Nobody but the attempt itself waits while a long text is searched.
        let waiting = self.waiting().entry(place.clone()).or_default().clone();
        let mut waiting = waiting.lock().expect("nobody panics while hiding secrets");
        let source = (source, level.to_owned());
        let mut masked = waiting.remove(&source).unwrap_or_default();
        let shown = masked.push(&masker, text, end);
        if !masked.is_idle() {
            waiting.insert(source, masked);
        }
        if !shown.is_empty() {
            self.write(place, level, &shown);
        }
    }

    /// Shows what waits of what a source wrote, for nothing of it comes any more.
    pub fn finish(&self, place: &LogPlace, source: Source) {
        let is_over = |(of, _): &(Source, String)| *of == source;
        self.show_waiting(place, is_over);
    }

    /// Ends an attempt's log: followers read to its end and stop. A later
    /// [`Logs::line`] opens it again and goes on counting.
    pub fn end(&self, run: &str, step: &str, attempt: u32) {
        let place = LogPlace::new(run, step, attempt);
        self.show_waiting(&place, |_| true);
        self.waiting().remove(&place);
        if let Some(file) = self.files().remove(&place) {
            file.end();
        }
    }

    fn show_waiting(&self, place: &LogPlace, is_over: impl Fn(&(Source, String)) -> bool) {
        let Some(masker) = self.maskers().get(&place.run).cloned() else { return };
        let Some(waiting) = self.waiting().get(place).cloned() else { return };
        let mut waiting = waiting.lock().expect("nobody panics while hiding secrets");
        waiting.retain(|source, masked| {
            if is_over(source) {
                let shown = masked.finish(&masker);
                if !shown.is_empty() {
                    self.write(place, &source.1, &shown);
                }
            }
            !is_over(source)
        });
    }

    /// Writes lines to an attempt's log.
    fn write(&self, place: &LogPlace, level: &str, text: &str) {
        let written = self.file(place).and_then(|file| {
            text.strip_suffix('\n').unwrap_or(text).split('\n').try_for_each(|line| {
                let line = line.strip_suffix('\r').unwrap_or(line);
                file.append(crate::drive::now(), level, line)
            })
        });
        if let Err(error) = written {
            let LogPlace { run, step, attempt } = place;
            tracing::warn!(run, step, attempt, %error, "a log line is lost");
        }
    }

    /// Forgets a run's secrets and ends its logs; for when the run is closed.
    pub fn close_run(&self, run: &str) {
        let places: Vec<_> = self.waiting().keys().filter(|place| place.run == run).cloned().collect();
        for LogPlace { run, step, attempt } in &places {
            self.end(run, step, *attempt);
        }
        self.maskers().remove(run);
        self.files().retain(|place, file| {
            if place.run == run {
                file.end();
            }
            place.run != run
        });
    }

    /// Deletes a run's logs.
    ///
    /// # Errors
    /// When the folder is there and cannot be deleted, or the run's id is no path.
    pub fn remove_run(&self, run: &str) -> std::io::Result<()> {
        self.close_run(run);
        match std::fs::remove_dir_all(file::run_dir(&self.dir, run)?) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Reads a log from line `from` (1 is the first), live: [`Cursor::next`]
    /// waits for lines that are still to come.
    ///
    /// # Errors
    /// When the file cannot be read, or the names are no file names. A log
    /// without lines is no error: it may begin later.
    pub fn follow(&self, place: &LogPlace, from: u64) -> std::io::Result<Cursor> {
        Ok(Cursor::new(self.file(place)?, from))
    }

    /// Reads up to `limit` lines from line `from` (1 is the first), without waiting.
    ///
    /// # Errors
    /// As for [`Logs::follow`].
    pub fn read(&self, place: &LogPlace, from: u64, limit: usize) -> std::io::Result<Vec<Line>> {
        self.follow(place, from)?.ready(limit)
    }

    fn file(&self, place: &LogPlace) -> std::io::Result<Arc<LogFile>> {
        let mut files = self.files();
        if let Some(file) = files.get(place) {
            return Ok(file.clone());
        }
        if files.len() >= MAX_OPEN {
            files.retain(|_, file| Arc::strong_count(file) > 1);
        }
        let file = Arc::new(LogFile::open(file::path(&self.dir, place)?, self.max_bytes)?);
        files.insert(place.clone(), file.clone());
        Ok(file)
    }

    fn files(&self) -> std::sync::MutexGuard<'_, HashMap<LogPlace, Arc<LogFile>>> {
        self.open.lock().expect("nobody panics while holding the open logs")
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, HashMap<LogPlace, Arc<Mutex<HeldTexts>>>> {
        self.waiting.lock().expect("nobody panics while holding what waits")
    }

    fn maskers(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Masker>>> {
        self.maskers.lock().expect("nobody panics while holding the maskers")
    }
}

impl LogReader for Logs {
    fn follow(&self, place: &LogPlace, from: u64) -> std::io::Result<Box<dyn LogCursor>> {
        Ok(Box::new(Logs::follow(self, place, from)?))
    }
}

#[async_trait]
impl LogCursor for Cursor {
    async fn next(&mut self, limit: usize) -> std::io::Result<Option<Vec<Line>>> {
        Cursor::next(self, limit).await
    }

    fn ready(&mut self, limit: usize) -> std::io::Result<Vec<Line>> {
        Cursor::ready(self, limit)
    }
}

#[cfg(test)]
mod tests;
