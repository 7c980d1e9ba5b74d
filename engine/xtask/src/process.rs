//! Running other programs, with their failures as sentences.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

/// Why a task failed.
#[derive(Debug)]
pub(crate) struct Failed(pub String);

impl fmt::Display for Failed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The top of the checkout.
pub(crate) fn top() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_owned()
}

/// A command that starts at the top of the checkout.
pub(crate) fn command(program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new(program);
    command.current_dir(top());
    command
}

/// Runs a command to its end, its output shown.
///
/// # Errors
/// It could not be started, or it ended otherwise than with 0.
pub(crate) fn run(command: &mut Command) -> Result<(), Failed> {
    let shown = show(command);
    let status = command.status().map_err(|error| Failed(format!("{shown}: {error}")))?;
    if status.success() { Ok(()) } else { Err(Failed(format!("{shown}: {status}"))) }
}

/// Runs a command to its end and returns what it printed.
///
/// # Errors
/// As [`run`], with what it wrote to its standard error.
pub(crate) fn output(command: &mut Command) -> Result<String, Failed> {
    let shown = show(command);
    let output = command.output().map_err(|error| Failed(format!("{shown}: {error}")))?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(Failed(format!("{shown}: {}\n{}", output.status, String::from_utf8_lossy(&output.stderr))))
    }
}

/// Does a part of a long task, and says how long it took.
///
/// # Errors
/// Those of the part.
pub(crate) fn timed<T>(part: &str, work: impl FnOnce() -> Result<T, Failed>) -> Result<T, Failed> {
    let begin = Instant::now();
    let done = work()?;
    let seconds = begin.elapsed().as_secs();
    eprintln!("xtask: {part} took {} min {:02} s", seconds / 60, seconds % 60);
    Ok(done)
}

/// Whether a program is there.
pub(crate) fn has(program: &str) -> bool {
    let mut command = Command::new("sh");
    command.args(["-c", &format!("command -v {program}")]).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

fn show(command: &Command) -> String {
    let program = Path::new(command.get_program());
    let name = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy().into_owned();
    let arguments = command.get_args().take(4).map(|argument| argument.to_string_lossy().into_owned());
    [name].into_iter().chain(arguments).collect::<Vec<_>>().join(" ")
}
