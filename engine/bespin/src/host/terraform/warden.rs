//! `bespin terraform-warden`: the process between the server and Terraform.
//!
//! It is told on its standard input what to run, and runs it for as long as that input stays open. When it closes
//! (the attempt ended, or the server was killed), Terraform is interrupted, so that it leaves its state unlocked, and
//! killed when it does not end in time. Nothing that Terraform started outlives the warden, not even what made itself
//! a session of its own: orphans become the warden's children. It goes on reading what Terraform prints when nobody
//! takes that from it any more, for Terraform dies of a broken pipe.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Resource, Rlimit, Signal, WaitOptions};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

/// How the warden ends when there was nothing to run, or it could not be run.
pub(super) const FAILED: i32 = 125;

/// The longest order, in bytes.
const LONGEST: u64 = 4 << 20;

/// What to run.
#[derive(Serialize, Deserialize)]
pub(super) struct Order {
    /// A file that stays locked while anything runs.
    pub(super) lock: PathBuf,
    /// The program.
    pub(super) program: PathBuf,
    /// Its arguments.
    pub(super) arguments: Vec<String>,
    /// Its whole environment.
    pub(super) environment: BTreeMap<String, String>,
    /// Where it starts.
    pub(super) directory: PathBuf,
    /// Who it is, where the server is root.
    pub(super) user: Option<u32>,
    /// What each of its processes may write to memory, in bytes.
    pub(super) memory: u64,
    /// How many processes and threads its user may have.
    pub(super) processes: u64,
    /// The largest file that it may write, in bytes.
    pub(super) file: u64,
    /// How long it has to end once it was interrupted, in ms.
    pub(super) grace_ms: u64,
}

/// What the warden waits for.
enum Event {
    /// Nobody wants the end of it any more.
    Cut,
    /// Terraform ended.
    Ended(std::io::Result<ExitStatus>),
}

/// Reads the order and carries it out; answers the exit code for this process.
pub fn run() -> i32 {
    match guard() {
        Ok(code) => code,
        Err(because) => {
            eprintln!("{because}");
            FAILED
        }
    }
}

fn guard() -> Result<i32, String> {
    let mut line = Vec::new();
    let mut input = BufReader::new(std::io::stdin());
    (&mut input).take(LONGEST).read_until(b'\n', &mut line).map_err(|error| format!("the order: {error}"))?;
    let order: Order = serde_json::from_slice(&line).map_err(|error| format!("the order: {error}"))?;
    let lock = File::open(&order.lock).map_err(|error| format!("{}: {error}", order.lock.display()))?;
    lock.try_lock().map_err(|error| format!("{}: {error}", order.lock.display()))?;
    // From here on a newer server waits for the lock. If this one is gone already, the newer may be past it.
    if is_closed()? {
        return Err("the server is gone".to_owned());
    }
    confine(&order).map_err(|error| format!("bounds: {error}"))?;
    let mut child = start(&order).map_err(|error| format!("{}: {error}", order.program.display()))?;
    let group = Pid::from_child(&child);
    let relays = [relay(child.stdout.take(), std::io::stdout()), relay(child.stderr.take(), std::io::stderr())];
    let (told, events) = channel();
    let cut: Sender<Event> = told.clone();
    std::thread::spawn(move || {
        let _closed = std::io::copy(&mut input, &mut std::io::sink());
        cut.send(Event::Cut)
    });
    std::thread::spawn(move || told.send(Event::Ended(child.wait())));
    let ended = wait(&events, group, Duration::from_millis(order.grace_ms));
    let _gone = rustix::process::kill_process_group(group, Signal::KILL);
    bury();
    // Nobody is left who could print more.
    for relay in relays.into_iter().flatten() {
        let _panicked = relay.join();
    }
    let status = ended.map_err(|error| format!("waiting: {error}"))?;
    Ok(status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default()))
}

/// Whether nobody holds the other end of the standard input.
fn is_closed() -> Result<bool, String> {
    let input = std::io::stdin();
    let mut asked = [PollFd::new(&input, PollFlags::HUP)];
    poll(&mut asked, Some(&Timespec { tv_sec: 0, tv_nsec: 0 })).map_err(|error| format!("standard input: {error}"))?;
    Ok(asked[0].revents().contains(PollFlags::HUP))
}

/// What holds for everything that is started from here.
fn confine(order: &Order) -> rustix::io::Result<()> {
    let limit = |most: u64| Rlimit { current: Some(most), maximum: Some(most) };
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))?;
    rustix::thread::set_no_new_privs(true)?;
    rustix::process::setrlimit(Resource::Core, limit(0))?;
    rustix::process::setrlimit(Resource::Data, limit(order.memory))?;
    rustix::process::setrlimit(Resource::Fsize, limit(order.file))?;
    if order.user.is_some() {
        // It counts all that its user runs, so that it bounds nothing where that is the server's own.
        rustix::process::setrlimit(Resource::Nproc, limit(order.processes))?;
    }
    Ok(())
}

fn start(order: &Order) -> std::io::Result<Child> {
    let mut command = Command::new(&order.program);
    command.args(&order.arguments).env_clear().envs(&order.environment).current_dir(&order.directory);
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).process_group(0);
    if let Some(user) = order.user {
        // Of root's further groups none is kept: the standard library drops them with the user.
        command.uid(user).gid(user);
    }
    command.spawn()
}

/// Hands on what is printed; once nobody takes it, it is read and forgotten.
fn relay(from: Option<impl Read + Send + 'static>, mut to: impl Write + Send + 'static) -> Option<JoinHandle<()>> {
    let mut from = from?;
    Some(std::thread::spawn(move || {
        let (mut buffer, mut taken) = ([0; 16 << 10], true);
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            taken = taken && to.write_all(&buffer[..length]).and_then(|()| to.flush()).is_ok();
        }
    }))
}

/// Waits for the end, which comes soon once nobody wants it any more.
fn wait(events: &Receiver<Event>, group: Pid, grace: Duration) -> std::io::Result<ExitStatus> {
    let gone = || std::io::Error::other("nobody waits for it");
    if let Event::Ended(status) = events.recv().map_err(|_| gone())? {
        return status;
    }
    let _gone = rustix::process::kill_process_group(group, Signal::INT);
    match events.recv_timeout(grace) {
        Ok(Event::Ended(status)) => return status,
        Ok(Event::Cut) | Err(RecvTimeoutError::Timeout) => {}
        Err(RecvTimeoutError::Disconnected) => return Err(gone()),
    }
    let _gone = rustix::process::kill_process_group(group, Signal::KILL);
    match events.recv().map_err(|_| gone())? {
        Event::Ended(status) => status,
        Event::Cut => Err(gone()),
    }
}

/// Kills what was left behind, until there is nothing: an orphan's own children become the warden's in their turn.
fn bury() {
    loop {
        match rustix::process::wait(WaitOptions::NOHANG) {
            Ok(Some(_)) => continue,
            Ok(None) => {}
            // There is no child any more.
            Err(_) => return,
        }
        for child in children() {
            let _gone = rustix::process::kill_process(child, Signal::KILL);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// The warden's children, by `/proc`.
fn children() -> Vec<Pid> {
    let own = std::process::id().to_string();
    let ids = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = ids.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let parent = |id: i32| {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).ok()?;
        // After the name, which is in brackets and may be anything: the state, then the parent.
        stat.rsplit_once(") ")?.1.split(' ').nth(1).map(str::to_owned)
    };
    ids.filter(|id| parent(*id).as_deref() == Some(&own)).filter_map(Pid::from_raw).collect()
}
