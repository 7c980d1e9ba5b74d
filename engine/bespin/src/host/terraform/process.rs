//! One call of Terraform, by way of its supervisor: what it prints goes to the step's log, or to whoever asked for it.

use super::supervisor::{FAILED, Order};
use super::work_directory::WorkDirectory;
use crate::host::lines::StepLog;
use images::{LogSink, Stream};
use std::collections::{BTreeMap, VecDeque};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};

/// The longest line that is looked at, in bytes; the log cuts it off earlier.
const LINE: u64 = 64 << 10;
/// The last words that are kept of a call, in bytes.
const WORDS: usize = 16 << 10;

/// How Terraform is called, for one plan or apply.
pub(super) struct Caller<'a> {
    /// `bespin` itself, to be the supervisor.
    pub(super) supervisor: &'a Path,
    /// The program's absolute path.
    pub(super) program: &'a Path,
    /// The folder in which it starts.
    pub(super) directory: PathBuf,
    /// The whole environment: nothing of the server's is added.
    pub(super) environment: BTreeMap<String, String>,
    /// Memory, processes, and the largest file in bytes.
    pub(super) bounds: (u64, u64, u64),
    /// How long it has once it was interrupted, in ms.
    pub(super) grace_ms: u64,
    /// The work directory, and the user that works in it.
    pub(super) work: Arc<WorkDirectory>,
    /// Where its words go.
    pub(super) log: &'a StepLog,
}

/// What becomes of the standard output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Output {
    /// It goes to the log.
    Log,
    /// It is kept, at most so many bytes.
    Keep(u64),
}

/// How a call ended.
pub(super) struct Ended {
    /// The exit code; from 128 on a signal's.
    pub(super) code: i32,
    /// The standard output, where it is kept.
    pub(super) output: Vec<u8>,
    /// Whether there was more of it than is kept.
    pub(super) cut: Cut,
    /// The last that it said on its standard error.
    pub(super) words: String,
}

/// Whether something is whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Cut {
    No,
    Yes,
}

impl Ended {
    /// Whether Terraform never ran.
    pub(super) fn is_unstarted(&self) -> bool {
        self.code == FAILED
    }
}

impl Caller<'_> {
    /// Calls Terraform and waits for its end. Dropped, the call is interrupted, and the work directory stays until it ended.
    pub(super) async fn call(&self, arguments: &[&str], output: Output) -> std::io::Result<Ended> {
        let order = Order {
            lock: self.work.lock(),
            program: self.program.to_owned(),
            arguments: arguments.iter().map(|argument| (*argument).to_owned()).collect(),
            environment: self.environment.clone(),
            directory: self.directory.clone(),
            user: self.work.user(),
            memory: self.bounds.0,
            processes: self.bounds.1,
            file: self.bounds.2,
            grace_ms: self.grace_ms,
        };
        let mut order = serde_json::to_vec(&order)?;
        order.push(b'\n');
        let mut command = Command::new(self.supervisor);
        command.arg("terraform-supervisor").env_clear().process_group(0);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut running = Running { child: Some(command.spawn()?), work: self.work.clone() };
        let child = running.child.as_mut().expect("it was just started");
        let (Some(input), Some(out), Some(err)) = (child.stdin.as_mut(), child.stdout.take(), child.stderr.take())
        else {
            return Err(std::io::Error::other("a child without pipes"));
        };
        input.write_all(&order).await?;
        let (printed, words) = tokio::join!(self.printed(out, output), self.words(err));
        // Its input stays open until here: closing it is how the supervisor is told to make an end.
        let status = child.wait().await?;
        running.child = None;
        let ((output, cut), words) = (printed?, words?);
        Ok(Ended { code: status.code().unwrap_or(128), output, cut, words })
    }

    async fn printed(&self, out: impl AsyncRead + Unpin, output: Output) -> std::io::Result<(Vec<u8>, Cut)> {
        let Output::Keep(most) = output else {
            lines(out, |line, whole| self.say(Stream::Stdout, line, whole)).await?;
            return Ok((Vec::new(), Cut::No));
        };
        let (mut kept, mut out) = (Vec::new(), out);
        (&mut out).take(most).read_to_end(&mut kept).await?;
        let more = tokio::io::copy(&mut out, &mut tokio::io::sink()).await?;
        Ok((kept, if more > 0 { Cut::Yes } else { Cut::No }))
    }

    async fn words(&self, err: impl AsyncRead + Unpin) -> std::io::Result<String> {
        let (mut last, mut length) = (VecDeque::new(), 0);
        lines(err, |line, whole| {
            self.say(Stream::Stderr, line, whole);
            length += line.len() + 1;
            last.push_back(line.to_owned());
            while length > WORDS && last.len() > 1 {
                length -= last.pop_front().map_or(0, |first: String| first.len() + 1);
            }
        })
        .await?;
        Ok(Vec::from(last).join("\n"))
    }

    fn say(&self, stream: Stream, line: &str, whole: Cut) {
        match whole {
            Cut::No => self.log.line(stream, line),
            Cut::Yes => self.log.cut(stream, line),
        }
    }
}

/// A call that goes on. The work directory is kept until the supervisor is gone, whoever still waits for it.
struct Running {
    child: Option<Child>,
    work: Arc<WorkDirectory>,
}

impl Drop for Running {
    fn drop(&mut self) {
        let Some(mut child) = self.child.take() else { return };
        let work = self.work.clone();
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(async move {
                // Nobody reads any more, and the supervisor knows what to do then.
                drop((child.stdin.take(), child.stdout.take(), child.stderr.take()));
                let _status = child.wait().await;
                drop(work);
            });
        }
    }
}

/// Hands on line by line; what is beyond the bound of a line is left out.
async fn lines(from: impl AsyncRead + Unpin, mut each: impl FnMut(&str, Cut)) -> std::io::Result<()> {
    let (mut from, mut line) = (BufReader::new(from), Vec::new());
    let mut begins = true;
    loop {
        line.clear();
        if (&mut from).take(LINE).read_until(b'\n', &mut line).await? == 0 {
            return Ok(());
        }
        if begins {
            let whole = if line.len() as u64 == LINE && !line.ends_with(b"\n") { Cut::Yes } else { Cut::No };
            each(String::from_utf8_lossy(&line).trim_end_matches(['\n', '\r']), whole);
        }
        begins = line.ends_with(b"\n");
    }
}

/// What went wrong, out of the last words: from the first error on, without the frame around it.
pub(super) fn error(words: &str) -> String {
    let bare = |line: &str| line.trim_start_matches(['│', '╷', '╵', ' ']).trim_end().to_owned();
    let lines: Vec<_> = words.lines().map(bare).collect();
    let first = lines.iter().position(|line| line.starts_with("Error:")).unwrap_or(0);
    let text = lines[first..].iter().filter(|line| !line.is_empty()).cloned().collect::<Vec<_>>().join("\n");
    match text.floor_char_boundary(4096) {
        _ if text.is_empty() => "it did not say why".to_owned(),
        all if all == text.len() => text,
        cut => format!("{} ...", &text[..cut]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_long_line_is_cut_off_and_the_next_one_whole() {
        let text = format!("first\r\n{}\nlast", "x".repeat(200_000));
        let mut seen = Vec::new();
        let mut cut = Vec::new();
        lines(text.as_bytes(), |line, whole| {
            seen.push(line.to_owned());
            cut.push(whole);
        })
        .await
        .unwrap();
        assert_eq!(cut, [Cut::No, Cut::Yes, Cut::No]);
        assert_eq!(seen.iter().map(String::len).collect::<Vec<_>>(), [5, LINE as usize, 4]);
    }

    #[test]
    fn an_error_is_told_in_its_own_words() {
        let words = "╷\n│ Warning: old\n╵\n╷\n│ Error: no such thing\n│ \n│   on main.tf line 1:\n╵\n";
        assert_eq!(error(words), "Error: no such thing\non main.tf line 1:");
        assert_eq!(error(""), "it did not say why");
        assert!(error(&format!("Error: {}", "é".repeat(9000))).len() <= 4100);
    }
}
