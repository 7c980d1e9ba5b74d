//! One attempt's log file: appended by one writer, followed by many readers.

use super::MAX_LINE;
use api::reading::LogPlace;
use api::views::Line;
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Error, ErrorKind, Read, Result, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tokio::sync::watch;

/// The level of the line that ends a log which became too long.
const CUT: &str = "cut";

/// Escaped as JSON a line is at most six times its text, and a little more.
const TAIL: u64 = 6 * MAX_LINE as u64 + 1024;

/// How far a log has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Length {
    lines: u64,
    ended: bool,
}

/// A log file that is open for reading, and for writing once a line comes.
pub(super) struct LogFile {
    path: PathBuf,
    max_bytes: u64,
    writer: Mutex<Writer>,
    length: watch::Sender<Length>,
}

struct Writer {
    file: Option<File>,
    lines: u64,
    bytes: u64,
    cut: bool,
}

impl LogFile {
    pub(super) fn open(path: PathBuf, max_bytes: u64) -> Result<LogFile> {
        let writer = match File::open(&path) {
            Ok(file) => last_whole_line(file)?,
            Err(error) if error.kind() == ErrorKind::NotFound => Writer { file: None, lines: 0, bytes: 0, cut: false },
            Err(error) => return Err(error),
        };
        let length = watch::Sender::new(Length { lines: writer.lines, ended: false });
        Ok(LogFile { path, max_bytes, writer: Mutex::new(writer), length })
    }

    pub(super) fn append(&self, at: u64, level: &str, text: &str) -> Result<()> {
        let mut writer = self.writer.lock().expect("nobody panics while writing a log");
        if writer.cut {
            return Ok(());
        }
        let line = Line { n: writer.lines + 1, at, level: level.to_owned(), text: shorten(text) };
        let mut bytes = encode(&line)?;
        let cut = writer.bytes + bytes.len() as u64 > self.max_bytes;
        if cut {
            let text = format!("this log ends here: it reached its limit of {} bytes", self.max_bytes);
            bytes = encode(&Line { level: CUT.to_owned(), text, ..line })?;
        }
        if let Err(error) = self.write(&mut writer, &bytes) {
            // Half a line may stand in the file; opening it anew cuts that off.
            writer.file = None;
            return Err(error);
        }
        writer.lines += 1;
        writer.bytes += bytes.len() as u64;
        writer.cut = cut;
        let lines = writer.lines;
        self.length.send_modify(|length| *length = Length { lines, ended: false });
        Ok(())
    }

    fn write(&self, writer: &mut Writer, bytes: &[u8]) -> Result<()> {
        if writer.file.is_none() {
            if let Some(folder) = self.path.parent() {
                std::fs::create_dir_all(folder)?;
            }
            let mut file = OpenOptions::new().create(true).truncate(false).write(true).open(&self.path)?;
            file.set_len(writer.bytes)?;
            file.seek(SeekFrom::End(0))?;
            writer.file = Some(file);
        }
        writer.file.as_mut().expect("it was opened above").write_all(bytes)
    }

    pub(super) fn end(&self) {
        self.length.send_modify(|length| length.ended = true);
    }
}

/// Reads a log forward, live.
pub struct Cursor {
    file: Arc<LogFile>,
    length: watch::Receiver<Length>,
    next: u64,
    reader: Option<Reader>,
}

struct Reader {
    file: BufReader<File>,
    /// The number of the line that is read next.
    at: u64,
}

impl Cursor {
    pub(super) fn new(file: Arc<LogFile>, from: u64) -> Cursor {
        let length = file.length.subscribe();
        Cursor { file, length, next: from.max(1), reader: None }
    }

    /// The next lines, at most `limit`, waiting until there is one. `None`
    /// when the log has ended and is read to its end.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub async fn next(&mut self, limit: usize) -> Result<Option<Vec<Line>>> {
        loop {
            let length = *self.length.borrow_and_update();
            let lines = self.ready(limit)?;
            if !lines.is_empty() {
                return Ok(Some(lines));
            }
            if length.ended || self.length.changed().await.is_err() {
                return Ok(None);
            }
        }
    }

    /// The lines that are there already, at most `limit`.
    ///
    /// # Errors
    /// When the file cannot be read.
    pub fn ready(&mut self, limit: usize) -> Result<Vec<Line>> {
        let whole = self.file.length.borrow().lines;
        let mut lines = Vec::new();
        while self.next <= whole && lines.len() < limit {
            let text = self.read_line()?;
            if let Some(line) = text {
                lines.push(line);
            }
            self.next += 1;
        }
        Ok(lines)
    }

    /// Reads line `self.next`, skipping what is before it. A line that is no
    /// JSON was not written by us, and is passed over.
    fn read_line(&mut self) -> Result<Option<Line>> {
        if self.reader.is_none() {
            self.reader = Some(Reader { file: BufReader::new(File::open(&self.file.path)?), at: 1 });
        }
        let reader = self.reader.as_mut().expect("it was opened above");
        let mut bytes = Vec::new();
        while reader.at <= self.next {
            bytes.clear();
            reader.file.read_until(b'\n', &mut bytes)?;
            reader.at += 1;
        }
        Ok(serde_json::from_slice(&bytes).ok())
    }
}

/// Where a log's next line goes: after its last whole line.
fn last_whole_line(mut file: File) -> Result<Writer> {
    let size = file.metadata()?.len();
    let start = size.saturating_sub(TAIL);
    file.seek(SeekFrom::Start(start))?;
    let mut tail = Vec::new();
    file.read_to_end(&mut tail)?;
    let Some(end) = tail.iter().rposition(|&byte| byte == b'\n') else {
        return Ok(Writer { file: None, lines: 0, bytes: 0, cut: false });
    };
    let begin = tail[..end].iter().rposition(|&byte| byte == b'\n').map_or(0, |before| before + 1);
    let line: Line = serde_json::from_slice(&tail[begin..end])
        .map_err(|error| Error::new(ErrorKind::InvalidData, format!("its last line is no log line: {error}")))?;
    Ok(Writer { file: None, lines: line.n, bytes: start + end as u64 + 1, cut: line.level == CUT })
}

fn encode(line: &Line) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec(line).map_err(Error::other)?;
    bytes.push(b'\n');
    Ok(bytes)
}

fn shorten(text: &str) -> String {
    if text.len() <= MAX_LINE {
        return text.to_owned();
    }
    let end = text.floor_char_boundary(MAX_LINE);
    format!("{} [{} more bytes cut off]", &text[..end], text.len() - end)
}

/// The folder of a run's logs.
pub(super) fn run_dir(dir: &Path, run: &str) -> Result<PathBuf> {
    run.split('/').try_fold(dir.to_owned(), |path, segment| Ok(path.join(file_name(segment)?)))
}

/// The file of a log. Names come from pipelines and from addresses in a
/// browser, so nothing that could leave the folder is let through.
pub(super) fn path(dir: &Path, place: &LogPlace) -> Result<PathBuf> {
    let folder = run_dir(dir, &place.run)?.join(file_name(&place.step)?);
    Ok(folder.join(format!("{}.ndjson", place.attempt)))
}

fn file_name(segment: &str) -> Result<&str> {
    let bad = matches!(segment, "" | "." | "..") || segment.contains(['/', '\\', '\0', ':']);
    if bad || segment.len() > 200 {
        let message = format!("`{segment}` is no name for a run or a step");
        return Err(Error::new(ErrorKind::InvalidInput, message));
    }
    Ok(segment)
}
