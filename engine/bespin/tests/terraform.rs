//! The supervisor between the server and Terraform, with a shell in Terraform's place.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use serde_json::json;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Starts a supervisor that runs a script.
fn supervisor(dir: &Path, script: &str, grace_ms: u64) -> Child {
    supervisor_of(dir, script, grace_ms, None)
}

/// The same, with the script another user's.
fn supervisor_of(dir: &Path, script: &str, grace_ms: u64, user: Option<u32>) -> Child {
    let lock = dir.join("lock");
    std::fs::write(&lock, "").unwrap();
    let order = json!({
        "lock": lock, "program": "/bin/sh", "arguments": ["-c", script], "environment": { "ONLY": "this" },
        "directory": dir, "user": user, "memory": 1 << 30, "processes": 64, "file": 1 << 20,
        "grace_ms": grace_ms,
    });
    // As below a server that a script started with `&`.
    let mut command = Command::new("/bin/sh");
    command
        .args(["-c", "trap '' INT; exec \"$0\" terraform-supervisor", env!("CARGO_BIN_EXE_bespin")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.env("BESPIN_SECRET", "hunter2").spawn().unwrap();
    child.stdin.as_mut().unwrap().write_all(format!("{order}\n").as_bytes()).unwrap();
    child
}

/// The end of a supervisor whose input stays open: its code and both of its outputs.
fn ended(mut supervisor: Child) -> (i32, String, String) {
    let open = supervisor.stdin.take();
    let output = supervisor.wait_with_output().unwrap();
    drop(open);
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn is_alive(id: &str) -> bool {
    Path::new("/proc").join(id.trim()).exists()
}

#[test]
fn it_hands_on_the_code_and_what_is_printed_and_nothing_of_its_own_environment() {
    let dir = tempfile::tempdir().unwrap();
    let (code, out, err) = ended(supervisor(dir.path(), "env; ls /proc/self/fd | wc -l; echo wrong >&2; exit 3", 1000));
    assert_eq!((code, err.as_str()), (3, "wrong\n"));
    let lines: Vec<_> =
        out.lines().filter(|line| !["PWD=", "SHLVL=", "_="].iter().any(|own| line.starts_with(own))).collect();
    // No more than what this test itself was started with: nothing that the program has opened.
    let plain = Command::new("/bin/sh").args(["-c", "ls /proc/self/fd | wc -l"]).stdin(Stdio::null()).output().unwrap();
    assert_eq!(lines, ["ONLY=this", String::from_utf8(plain.stdout).unwrap().trim()]);
}

#[test]
fn a_closed_input_interrupts_what_runs_and_lets_it_end_well() {
    let dir = tempfile::tempdir().unwrap();
    let script = "trap 'echo unlocked > unlocked; exit 1' INT; echo ready; while :; do sleep 0.05; done";
    let mut supervisor = supervisor(dir.path(), script, 60_000);
    let mut out = BufReader::new(supervisor.stdout.take().unwrap());
    let mut line = String::new();
    out.read_line(&mut line).unwrap();
    assert_eq!(line, "ready\n");
    // As after a kill -9 of the server: nobody reads any more, either.
    drop(out);
    drop(supervisor.stdin.take());
    assert_eq!(supervisor.wait().unwrap().code(), Some(1));
    assert!(dir.path().join("unlocked").exists(), "it was interrupted, and not killed");
}

#[test]
fn what_does_not_end_is_killed_and_so_is_everything_that_it_left() {
    let dir = tempfile::tempdir().unwrap();
    let script = "trap '' INT; setsid sh -c 'trap \"\" INT TERM HUP; echo $$ > left; sleep 600' > /dev/null 2>&1 &
                  while [ ! -s left ]; do sleep 0.02; done; echo ready; sleep 600; sleep 600";
    let mut supervisor = supervisor(dir.path(), script, 100);
    let mut out = BufReader::new(supervisor.stdout.take().unwrap());
    out.read_line(&mut String::new()).unwrap();
    let left = std::fs::read_to_string(dir.path().join("left")).unwrap();
    assert!(is_alive(&left));
    drop(supervisor.stdin.take());
    assert_eq!(supervisor.wait().unwrap().code(), Some(128 + 9));
    assert!(!is_alive(&left), "a session of its own outlived the supervisor");
}

/// Asks again until there is an answer; a minute is more than it ever takes.
fn soon<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(begun.elapsed() < Duration::from_secs(60), "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn what_forks_without_end_ends_with_the_call() {
    // Nobody else on the machine is this user.
    const USER: u32 = 64_123;
    let of_user = || {
        let ids = std::fs::read_dir("/proc").unwrap().flatten();
        ids.filter(|id| id.metadata().is_ok_and(|seen| seen.uid() == USER)).count()
    };
    let dir = tempfile::tempdir().unwrap();
    if std::fs::metadata(dir.path()).unwrap().uid() != 0 {
        return;
    }
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    // Each makes more of itself, in sessions of their own, wherever there is room again.
    let script = "exec perl -MPOSIX -e '$SIG{CHLD} = \"IGNORE\"; while (1) { fork; POSIX::setsid(); select(undef, undef, undef, 0.002) }'";
    let mut supervisor = supervisor_of(dir.path(), script, 100, Some(USER));
    soon("it did not grow", || (of_user() >= 60).then_some(()));
    drop(supervisor.stdin.take());
    let status = soon("the supervisor never comes to an end", || supervisor.try_wait().unwrap());
    assert_ne!(status.code(), Some(125));
    assert_eq!(of_user(), 0, "something outlived the supervisor");
}

#[test]
fn it_goes_first_and_waits_for_others() {
    let dir = tempfile::tempdir().unwrap();
    let (code, out, err) = ended(supervisor(dir.path(), "cat /proc/self/oom_score_adj; nice", 1000));
    let own: i32 = {
        let nice = Command::new("nice").output().unwrap();
        String::from_utf8(nice.stdout).unwrap().trim().parse().unwrap()
    };
    assert_eq!((code, out), (0, format!("1000\n{}\n", (own + 10).min(19))), "{err}");
}

#[test]
fn a_lock_that_somebody_holds_keeps_it_from_starting_anything() {
    let dir = tempfile::tempdir().unwrap();
    let mut first = supervisor(dir.path(), "echo ready; sleep 600", 100);
    first.stdout.as_mut().unwrap().read_exact(&mut [0; 6]).unwrap();
    let (code, out, err) = ended(supervisor(dir.path(), "echo started", 100));
    assert_eq!((code, out.as_str()), (125, ""), "{err}");
    drop(first.stdin.take());
    first.wait().unwrap();
    assert_eq!(ended(supervisor(dir.path(), "echo started", 100)).0, 0, "it is free again");
}

#[test]
fn an_order_of_a_server_that_is_gone_is_not_carried_out() {
    let dir = tempfile::tempdir().unwrap();
    let lock = dir.path().join("lock");
    std::fs::write(&lock, "").unwrap();
    let held = std::fs::File::open(&lock).unwrap();
    // Nothing, and half an order: the server died while it wrote.
    for written in ["", "{\"lock\":"] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_bespin"));
        command.arg("terraform-supervisor").stdin(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().unwrap();
        child.stdin.take().unwrap().write_all(written.as_bytes()).unwrap();
        assert_eq!(child.wait().unwrap().code(), Some(125));
    }
    held.try_lock().expect("nobody holds it");
}

#[test]
fn what_takes_too_much_is_bounded() {
    let dir = tempfile::tempdir().unwrap();
    let (code, ..) = ended(supervisor(dir.path(), "head -c 4000000 /dev/zero > large", 1000));
    assert_ne!(code, 0);
    assert!(std::fs::metadata(dir.path().join("large")).unwrap().size() <= 1 << 20);
}
