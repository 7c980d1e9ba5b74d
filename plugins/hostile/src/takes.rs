//! Takes more than it may: time, memory, stack, log, answers, calls, handles.

use std::hint::black_box;
use std::time::{Duration, Instant, SystemTime};

use bespin_sdk::git::BumpRequest;
use bespin_sdk::http::{Header, Request};
use bespin_sdk::images::{BuildArg, BuildRequest};
use bespin_sdk::secrets::Part;
use bespin_sdk::{Outputs, Result, git, http, images, info, log, registry, reject, secrets, workspace};

use crate::leave::{container_of, follow_of, sync_of};
use crate::stolen;

pub(crate) fn spin() -> ! {
    let mut number = 0u64;
    loop {
        number = black_box(number.wrapping_add(1));
    }
}

pub(crate) fn ask_and_spin() -> Result<Outputs> {
    loop {
        let _names = workspace::list("")?;
        for number in 0..1_000_000u64 {
            black_box(number);
        }
    }
}

pub(crate) fn sleep() -> Result<Outputs> {
    std::thread::sleep(Duration::from_secs(3600));
    stolen(())
}

pub(crate) fn memory() -> Result<Outputs> {
    let mut hoard = Vec::new();
    loop {
        hoard.push(black_box(vec![1u8; 1 << 20]));
    }
}

#[inline(never)]
pub(crate) fn recurse(depth: u64) -> u64 {
    if depth == 0 { 1 } else { recurse(depth + 1).wrapping_mul(3) ^ depth }
}

#[expect(unconditional_recursion, reason = "it is the attack")]
pub(crate) fn recurse_with_frames(depth: u64) -> u64 {
    let frame = black_box([depth; 16]);
    recurse_with_frames(black_box(depth + 1)) + frame[3]
}

pub(crate) fn flood_log() -> Result<Outputs> {
    loop {
        info!("{}", "flood ".repeat(1000));
    }
}

pub(crate) fn empty_lines() -> Result<Outputs> {
    log::line(log::Level::Info, &"\n".repeat(1 << 20));
    stolen(())
}

pub(crate) fn flood_output() -> Result<Outputs> {
    for _ in 0..2000 {
        println!("{}", "flood ".repeat(1000));
    }
    Ok(Outputs::new().with("answer", "42"))
}

pub(crate) fn many_names() -> Result<Outputs> {
    let mut outputs = Outputs::new();
    for number in 0..100_000 {
        outputs = outputs.with(&number.to_string(), "");
    }
    Ok(outputs)
}

pub(crate) fn flood_host() -> Result<Outputs> {
    loop {
        let _names = workspace::list("");
    }
}

pub(crate) fn flood_handles() -> Result<Outputs> {
    let mut hoard = Vec::new();
    loop {
        hoard.push(secrets::get("token")?);
    }
}

/// A text that is long, but no longer than what may be handed over at once.
fn long() -> String {
    "a".repeat(1 << 20)
}

/// Every function refuses it, although most of them are granted.
pub(crate) fn long_texts() -> Result<Outputs> {
    let headers = vec![Header { name: "x-long".to_owned(), value: vec![Part::Text(long())] }];
    let address = |path: String| vec![Part::Text(format!("https://honest.example/{path}"))];
    let send = |url, headers| http::send(&Request { method: "GET".to_owned(), url, headers, body: Vec::new() });
    let build = BuildRequest {
        context: String::new(),
        dockerfile: "Dockerfile".to_owned(),
        build_args: vec![BuildArg { name: "LONG".to_owned(), value: long() }],
    };
    let bump = BumpRequest {
        repo: "https://git.example/user/manifests.git".to_owned(),
        branch: None,
        path: "was".to_owned(),
        image: "host.example/name:v1".to_owned(),
        message: Some(long()),
    };
    let push = registry::PushRequest { build: None, to: format!("host.example/{}", long()), tag: "v1".to_owned() };
    let took = [
        ("read", workspace::read(&long()).is_ok()),
        ("list", workspace::list(&long()).is_ok()),
        ("get", secrets::get(&long()).is_ok()),
        ("an address", send(address(long()), Vec::new()).is_ok()),
        ("a header", send(address(String::new()), headers).is_ok()),
        ("run", container_of(&long()).is_ok()),
        ("build", images::build(&build).is_ok()),
        ("push", registry::push(&push).is_ok()),
        ("bump", git::bump(&bump).is_ok()),
        ("sync", sync_of(&long()).is_ok()),
        ("follow", follow_of(&long()).is_ok()),
    ];
    match took.iter().find(|(_, ok)| *ok) {
        Some((function, _)) => Ok(Outputs::new().with("stolen", *function)),
        None => reject!("every function refused it"),
    }
}

pub(crate) fn giant_text() -> Result<Outputs> {
    log::line(log::Level::Info, &"a".repeat(40 << 20));
    stolen(())
}

/// The seeds of hash maps come from the host, one small piece at a time; there is no way to ask for more.
pub(crate) fn flood_random() -> Result<Outputs> {
    use std::hash::{BuildHasher, RandomState};
    loop {
        black_box(RandomState::new().hash_one(1));
    }
}

/// The finest step that either clock shows, which is what a side channel is made of.
pub(crate) fn clock() -> Result<Outputs> {
    let (mut finest, mut finest_of_day) = (Duration::MAX, Duration::MAX);
    let (mut before, mut before_of_day) = (Instant::now(), SystemTime::now());
    for _ in 0..20_000 {
        let (now, of_day) = (Instant::now(), SystemTime::now());
        if now > before {
            finest = finest.min(now - before);
        }
        if let Ok(step) = of_day.duration_since(before_of_day)
            && !step.is_zero()
        {
            finest_of_day = finest_of_day.min(step);
        }
        (before, before_of_day) = (now, of_day);
    }
    if finest.min(finest_of_day) < Duration::from_millis(1) {
        return stolen(());
    }
    reject!("the clocks go by whole milliseconds")
}
