//! Test programs that run at the same time never hand out the same port.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use world::free_port;

/// How many ports each process takes: far more than the difference between the ids of two processes that are started
/// one after the other, by which the allocator chooses its first port.
const EACH: usize = 300;

#[test]
fn to_two_processes() {
    let mut others = [start(), start()];
    let mut all: BTreeSet<u16> = (0..EACH).map(|_| free_port()).collect();
    assert_eq!(all.len(), EACH, "one process is given a port twice");
    let mut outputs = Vec::new();
    for other in &mut others {
        let mut output = BufReader::new(other.stdout.take().expect("its output is a pipe"));
        let mut line = String::new();
        while !line.starts_with(GIVEN) {
            line.clear();
            assert!(output.read_line(&mut line).expect("it prints text") > 0, "it ended without ports");
        }
        let given = line[GIVEN.len()..].split_whitespace().map(|port| port.parse().expect("a port is a number"));
        let given: BTreeSet<u16> = given.collect();
        assert_eq!(given.len(), EACH, "another process is given a port twice");
        let twice: Vec<_> = given.intersection(&all).collect();
        assert!(twice.is_empty(), "two processes were given {twice:?}");
        all.extend(given);
        outputs.push(output);
    }
    for (mut other, mut output) in others.into_iter().zip(outputs) {
        drop(other.stdin.take());
        let mut rest = String::new();
        output.read_to_string(&mut rest).expect("it prints text");
        assert!(other.wait().expect("it is waited for").success(), "{rest}");
    }
}

const GIVEN: &str = "given: ";

/// Another process of this program, which takes ports and holds them until its input ends.
fn start() -> Child {
    let mut command = Command::new(std::env::current_exe().expect("this program has a path"));
    command.args(["--exact", "stories::ports_are_given_once::takes_ports", "--ignored", "--nocapture"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("this program can be started")
}

#[test]
#[ignore = "a part of `to_two_processes`, which runs it in processes of their own"]
fn takes_ports() {
    let ports: Vec<_> = (0..EACH).map(|_| free_port().to_string()).collect();
    println!("\n{GIVEN}{}", ports.join(" "));
    let read = std::io::stdin().read(&mut [0]).expect("its input is a pipe");
    assert_eq!(read, 0, "the input only ends");
}
