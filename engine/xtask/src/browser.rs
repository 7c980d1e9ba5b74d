//! The dashboard in a browser: what a person sees while a push of the demo becomes a canary.

use crate::build;
use crate::process::{Failed, command, has, run, top};
use std::io::{BufRead, BufReader, ErrorKind};
use std::process::{Child, ChildStderr, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// What the demo's one-time link has in it; it stands on a line of its own.
const LINK: &str = "/login/once?";
/// What the demo says just before the link, as soon as there is a run to look at.
const PUSHED: &str = "Pushing a change";
/// What the demo says just before the link, when its run has ended.
const ENDED: &str = "The dashboard stays open";
/// What it says before the lines that push again.
const AGAIN: &str = "Push again";
/// How long each of these may take.
const PATIENCE: Duration = Duration::from_secs(180);

/// Walks through the dashboard of a demo while its canary walks, and again when it is promoted.
/// Returns what could not be checked.
///
/// # Errors
/// The dashboard is not as it should be, or the demo does not come so far.
pub(crate) fn check() -> Result<Vec<String>, Failed> {
    let missing: Vec<String> = ["node", "npm", "chromium"]
        .into_iter()
        .filter(|program| !has(program))
        .map(|program| format!("the dashboard in a browser: there is no {program}"))
        .collect();
    if !missing.is_empty() {
        return Ok(missing);
    }
    for (moment, after) in [("walking", PUSHED), ("promoted", ENDED)] {
        eprintln!("xtask: the dashboard in a browser, its canary {moment}");
        look(moment, after)?;
    }
    Ok(Vec::new())
}

/// One demo, looked at by the link that it gives after it has said `after`. Each moment has a demo of its own.
fn look(moment: &str, after: &str) -> Result<(), Failed> {
    let mut demo = Demo::start(if moment == "walking" { "5s" } else { "1s" })?;
    let looked = demo.link(after).and_then(|(link, said)| {
        let shots = top().join("tests/output/browser").join(moment);
        let mut walk = command("node");
        walk.arg("web/e2e/push.mjs").arg(shots).env("LOGIN_LINK", link);
        run(&mut walk)?;
        if after == ENDED { push_again(&said) } else { Ok(()) }
    });
    let stopped = demo.stop();
    looked.and(stopped)
}

/// Pushes again, by the very lines that the demo gives for that.
fn push_again(said: &[String]) -> Result<(), Failed> {
    let lines = said.iter().skip_while(|line| !line.starts_with(AGAIN)).skip(1);
    let lines: Vec<&str> = lines.map(|line| line.trim()).take_while(|line| !line.starts_with(ENDED)).collect();
    let script = lines.join("\n");
    if !script.contains("git push") {
        return Err(Failed(format!("bespin demo does not say how to push again; it said:\n{}", said.join("\n"))));
    }
    let folder = build::target().join("pushed-again");
    let made = std::fs::remove_dir_all(&folder).or_else(|error| match error.kind() {
        ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    });
    let made = made.and_then(|()| std::fs::create_dir_all(&folder));
    made.map_err(|error| Failed(format!("{}: {error}", folder.display())))?;
    let mut shell = command("sh");
    shell.current_dir(folder).arg("-euc").arg(script);
    for who in ["AUTHOR", "COMMITTER"] {
        shell.env(format!("GIT_{who}_NAME"), "A visitor").env(format!("GIT_{who}_EMAIL"), "visitor@host.example");
    }
    run(&mut shell)
}

/// A demo that runs beside this program, and what it says.
struct Demo {
    child: Child,
    said: Receiver<String>,
}

impl Demo {
    fn start(pause: &str) -> Result<Demo, Failed> {
        let mut demo = command(build::target().join("debug/bespin"));
        demo.args(["demo", "--pause", pause, "--plugins"]).arg(build::plugins_dir());
        demo.stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = demo.spawn().map_err(|error| Failed(format!("bespin demo: {error}")))?;
        let stderr = child.stderr.take().expect("it was piped above");
        Ok(Demo { child, said: listen(stderr) })
    }

    /// The one-time link that the demo says after it has said `after`, and what it said before.
    fn link(&self, after: &str) -> Result<(String, Vec<String>), Failed> {
        let end = Instant::now() + PATIENCE;
        let mut all: Vec<String> = Vec::new();
        while let Ok(line) = self.said.recv_timeout(end.saturating_duration_since(Instant::now())) {
            if line.contains(LINK) && all.iter().any(|said| said.starts_with(after)) {
                return Ok((line, all));
            }
            all.push(line);
        }
        Err(Failed(format!("bespin demo gave no link after `{after}`; it said:\n{}", all.join("\n"))))
    }

    /// Asks it to stop, as Ctrl-C does, and waits until it has.
    fn stop(&mut self) -> Result<(), Failed> {
        run(command("kill").arg("-TERM").arg(self.child.id().to_string()))?;
        self.child.wait().map_err(|error| Failed(format!("bespin demo: {error}")))?;
        Ok(())
    }
}

/// Reads what the demo says to its end, so that it never waits for a reader.
fn listen(stderr: ChildStderr) -> Receiver<String> {
    let (say, said) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(stderr).lines().map_while(Result::ok) {
            // Nobody may listen any longer; the pipe is emptied all the same.
            let _unheard = say.send(line);
        }
    });
    said
}
