//! Faults on real sockets of this machine, for the tests of the adapters.

pub(super) mod cases;

use cases::{ASKED, Fault, Peer, RULES, expected};
use decide::retry::Retry;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::{SystemTime, UNIX_EPOCH};

/// The address of something that fails in this way; `body` is what it answers with a status.
pub(super) fn address(fault: Fault, body: fn(u16) -> String) -> String {
    asking(fault, "240".into(), body)
}

/// The same; its `Retry-After` is as given here.
fn asking(fault: Fault, after: String, body: fn(u16) -> String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap();
    match fault {
        Fault::Refused => {}
        Fault::Dns => return "http://nowhere.invalid".to_owned(),
        _ => {
            std::thread::spawn(move || {
                let mut silent = Vec::new();
                for stream in listener.incoming() {
                    let stream = stream.unwrap();
                    match fault {
                        Fault::Timeout => silent.push(stream),
                        // Closing a connection with data that was not read resets it.
                        Fault::Reset => drop(stream.peek(&mut [0]).map(|_| stream)),
                        Fault::Status(status) => {
                            let after = after.clone();
                            drop(std::thread::spawn(move || answer(stream, status, &after, &body(status))))
                        }
                        // No record of TLS begins like this.
                        _ => drop((&stream).write_all(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n")),
                    }
                }
            });
        }
    }
    let scheme = if fault == Fault::Tls { "https" } else { "http" };
    format!("{scheme}://{host}")
}

/// Reads a whole request, and answers it.
fn answer(mut stream: TcpStream, status: u16, after: &str, body: &str) {
    let mut request = Vec::new();
    let mut part = [0; 4096];
    let head = loop {
        if let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        match stream.read(&mut part) {
            Ok(read) if read > 0 => request.extend_from_slice(&part[..read]),
            _ => return,
        }
    };
    let text = String::from_utf8_lossy(&request[..head]).to_lowercase();
    let length = text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse::<usize>().ok());
    while request.len() < head + length.unwrap_or(0) {
        match stream.read(&mut part) {
            Ok(read) if read > 0 => request.extend_from_slice(&part[..read]),
            _ => return,
        }
    }
    let asked = if matches!(status, 429 | 503) { format!("retry-after: {after}\r\n") } else { String::new() };
    let head = format!("HTTP/1.1 {status} Fault\r\n{asked}content-type: application/json\r\nconnection: close\r\n");
    let sent = if text.starts_with("head ") { "" } else { body };
    drop(stream.write_all(format!("{head}content-length: {}\r\n\r\n{sent}", body.len()).as_bytes()));
}

/// Brings every fault about, and holds the class of each error to the table. `attempt` is given the address, and
/// answers the class with the error's words.
pub(super) async fn hold(peer: Peer, body: fn(u16) -> String, attempt: impl AsyncFn(String) -> (Retry, String)) {
    let mut wrong = Vec::new();
    for (fault, ..) in RULES {
        if (peer, fault) == (Peer::Docker, Fault::Tls) {
            // The engine is spoken to in plain text, over a socket of the machine.
            continue;
        }
        let (retry, told) = attempt(address(fault, body)).await;
        let wanted = expected(peer, fault);
        if retry != wanted {
            wrong.push(format!("{fault:?}: {retry:?}, and not {wanted:?}: {told}"));
        }
        assert!(!told.contains("hush"), "{fault:?}: the error tells a secret: {told}");
        if wanted == ASKED {
            let (retry, told) = attempt(asking(fault, date_in(240), body)).await;
            let is_then = matches!(retry, Retry::Passing { after_ms: Some(200_000..=240_000) });
            assert!(is_then, "{fault:?} with a date: {retry:?}: {told}");
        }
    }
    assert!(wrong.is_empty(), "{peer:?}:\n{}", wrong.join("\n"));
}

/// The date in so many seconds, as HTTP writes it. Source: RFC 9110, section 5.6.7.
fn date_in(seconds: u64) -> String {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    const WEEKDAYS: [&str; 7] = ["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"];
    let at = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + seconds;
    let (days, second) = (at / 86_400, at % 86_400);
    let weekday = WEEKDAYS[days as usize % 7];
    let is_leap = |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let (mut year, mut day) = (1970, days);
    while day >= 365 + u64::from(is_leap(year)) {
        day -= 365 + u64::from(is_leap(year));
        year += 1;
    }
    let mut month = 0;
    let lengths = [31, 28 + u64::from(is_leap(year)), 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    while day >= lengths[month] {
        day -= lengths[month];
        month += 1;
    }
    let (hour, minute, second, day) = (second / 3600, second / 60 % 60, second % 60, day + 1);
    format!("{weekday}, {day:02} {} {year} {hour:02}:{minute:02}:{second:02} GMT", MONTHS[month])
}
