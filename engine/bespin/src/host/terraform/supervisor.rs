//! `bespin terraform-supervisor`: the process between the server and Terraform.
//!
//! It is told on its standard input what to run, and runs it for as long as that input stays open. When it closes
//! (the attempt ended, or the server was killed), Terraform is interrupted, so that it leaves its state unlocked, and
//! killed when it does not end in time. Nothing that Terraform started outlives the supervisor, not even what made itself
//! a session of its own: orphans become the supervisor's children, and where the server is root, everything of the call's
//! user is killed at once, so that nothing grows back. It goes on reading what Terraform prints when nobody takes that
//! from it any more, for Terraform dies of a broken pipe.

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, Resource, Rlimit, Signal, Uid, WaitId, WaitIdOptions, WaitOptions};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::signal::unix::{SignalKind, signal};

/// How the supervisor ends when there was nothing to run, or it could not be run.
pub(super) const FAILED: i32 = 125;

/// The longest order, in bytes.
const LONGEST: u64 = 4 << 20;
/// A user that nobody is: above all that the configuration lets Terraform be.
const NOBODY: u32 = 4_294_967_290;
/// How much the kernel prefers a process when it has to kill one for its memory: before all others.
const FIRST: &str = "1000";
/// Where that is written.
const PREFERENCE: &str = "/proc/self/oom_score_adj";

/// What the supervisor is told to run.
#[derive(Serialize, Deserialize)]
pub(super) struct Order {
    /// A file that stays locked while anything runs.
    pub(super) lock: PathBuf,
    /// The program's absolute path.
    pub(super) program: PathBuf,
    /// The program's arguments, without its own name.
    pub(super) arguments: Vec<String>,
    /// The program's whole environment.
    pub(super) environment: BTreeMap<String, String>,
    /// The folder in which it starts.
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

/// What the supervisor waits for.
enum Event {
    /// Nobody wants the end of it any more.
    Cut,
    /// Terraform has ended, whichever way.
    Ended,
}

/// Reads the order and carries it out, within a runtime; answers the exit code for this process.
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
    if let Some(user) = order.user {
        // What a supervisor left that was killed itself.
        kill_all(user).map_err(|because| format!("user {user}: {because}"))?;
    }
    let own = std::fs::read_to_string(PREFERENCE).map_err(|error| format!("{PREFERENCE}: {error}"))?;
    confine(&order).map_err(|error| format!("bounds: {error}"))?;
    // What is caught here is at its default in whatever is started; what is ignored, as it is below a server that a
    // script started with `&`, would be ignored by Terraform.
    let _caught = signal(SignalKind::interrupt()).map_err(|error| format!("interrupts: {error}"))?;
    let mut child = start(&order).map_err(|error| format!("{}: {error}", order.program.display()))?;
    // The supervisor itself is not to go first: it is what ends the others.
    let _kept = std::fs::write(PREFERENCE, own);
    let group = Pid::from_child(&child);
    let relays = [relay(child.stdout.take(), std::io::stdout()), relay(child.stderr.take(), std::io::stderr())];
    let (told, events) = channel();
    let cut: Sender<Event> = told.clone();
    std::thread::spawn(move || {
        let _closed = std::io::copy(&mut input, &mut std::io::sink());
        cut.send(Event::Cut)
    });
    std::thread::spawn(move || {
        // It is left to be reaped below: until then nobody else has its number, which is its group's as well.
        let _ended = rustix::process::waitid(WaitId::Pid(group), WaitIdOptions::EXITED | WaitIdOptions::NOWAIT);
        told.send(Event::Ended)
    });
    wait(&events, group, Duration::from_millis(order.grace_ms));
    let _gone = rustix::process::kill_process_group(group, Signal::KILL);
    let status = child.wait().map_err(|error| format!("waiting: {error}"));
    bury(order.user);
    // Nobody is left who could print more.
    for relay in relays.into_iter().flatten() {
        let _panicked = relay.join();
    }
    let status = status?;
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
fn confine(order: &Order) -> std::io::Result<()> {
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
    // Neither the server's memory nor its time is Terraform's.
    rustix::process::nice(10)?;
    std::fs::write(PREFERENCE, FIRST)
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

/// Waits for the end, which comes soon once nobody wants it any more. What has not ended then is killed by the caller.
fn wait(events: &Receiver<Event>, group: Pid, grace: Duration) {
    if let Ok(Event::Cut) = events.recv() {
        let _gone = rustix::process::kill_process_group(group, Signal::INT);
        let _late = events.recv_timeout(grace);
    }
}

/// Kills what was left behind, until there is nothing: an orphan's own children become the supervisor's in their turn.
fn bury(user: Option<u32>) {
    loop {
        if let Some(Err(because)) = user.map(kill_all) {
            eprintln!("what was left behind: {because}");
        }
        for child in children() {
            let _gone = rustix::process::kill_process(child, Signal::KILL);
        }
        // Whoever is born as fast as others die does not keep it here.
        for _ in 0..1024 {
            match rustix::process::wait(WaitOptions::NOHANG) {
                Ok(Some(_)) => {}
                Ok(None) => break,
                // There is no child any more.
                Err(_) => return,
            }
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Kills every process of a user that belongs to this call alone. What forks without end is elsewhere by the time that
/// it is found in `/proc`; between the kernel's own look and its signal nobody forks.
///
/// It is a thread that becomes the user and signals whomever it may. Only its effective user is Terraform's, which
/// says whom it may signal; who may signal it is up to the other two, and they are nobody.
fn kill_all(user: u32) -> Result<(), String> {
    let kill = move || {
        let (nobody, uid) = (Uid::from_raw(NOBODY), Uid::from_raw(user));
        let become_it = rustix::thread::set_thread_res_uid(nobody, uid, nobody);
        // Within a user namespace there may be no such nobody.
        let become_it = become_it.or_else(|_| rustix::thread::set_thread_res_uid(uid, uid, uid));
        become_it.map_err(|error| format!("becoming it: {error}"))?;
        let own = "/proc/thread-self/status";
        let status = std::fs::read_to_string(own).map_err(|error| format!("{own}: {error}"))?;
        if !is_only(&status, user) {
            return Err("the kernel left the thread more than it was to have".to_owned());
        }
        match rustix::process::kill_process_group(Pid::INIT, Signal::KILL) {
            Ok(()) | Err(rustix::io::Errno::SRCH | rustix::io::Errno::PERM) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    };
    let ended = std::thread::Builder::new().spawn(kill).map_err(|error| error.to_string())?.join();
    ended.map_err(|_| "the thread panicked".to_owned())?
}

/// Whether a thread, by its `status`, can signal the processes of a user and no other: had it kept root or one of its
/// capabilities, the signal to everybody would end the machine.
fn is_only(status: &str, user: u32) -> bool {
    let row = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(":\t"));
    let (nobody, user) = (NOBODY.to_string(), user.to_string());
    let users = row("Uid").is_some_and(|users| {
        let mut users = users.split('\t');
        let real = users.next();
        (real == Some(&nobody) || real == Some(&user)) && users.next() == Some(&user) && user != "0"
    });
    users && row("CapEff").is_some_and(|held| !held.is_empty() && held.chars().all(|digit| digit == '0'))
}

/// The supervisor's children, by `/proc`.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_can_signal_others_signals_nobody() {
        let status = |users: &str, held: &str| format!("Name:\tx\nUid:\t{users}\nCapEff:\t{held}\n");
        let (own, none) = ("4294967290\t64123\t4294967290\t64123", "0000000000000000");
        assert!(is_only(&status(own, none), 64_123));
        assert!(is_only(&status("64123\t64123\t64123\t64123", none), 64_123), "in a user namespace");
        for (users, held) in [
            ("0\t64123\t0\t64123", none),
            ("4294967290\t0\t4294967290\t0", none),
            (own, "0000000000000020"),
            (own, ""),
            ("", none),
        ] {
            assert!(!is_only(&status(users, held), 64_123), "{users} {held}");
        }
        assert!(!is_only(&status("0\t0\t0\t0", none), 0), "root is never meant");
        assert!(!is_only("", 64_123));
    }
}
