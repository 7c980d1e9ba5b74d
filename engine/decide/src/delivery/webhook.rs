//! Decides what a webhook request is answered: accepted, ignored or refused.
//!
//! The bytes are authentic by the time they come here: the forge's adapter verified their signature.

use super::entry::Received;
use super::payload::{MAX_ID, Mistake, Parsed, RawRepository, mistake, name_of};
use super::{pull_request, push};
use serde::Deserialize;
use std::borrow::Cow;

/// A webhook request whose signature was verified.
#[derive(Clone, Copy, Debug)]
pub struct Webhook<'a> {
    /// The hook's name, from the address.
    pub hook: &'a str,
    /// The repositories whose deliveries the hook takes, as `owner/repo`.
    pub repositories: &'a [String],
    /// The header `X-GitHub-Event`, if it was sent.
    pub event: Option<&'a str>,
    /// The header `X-GitHub-Delivery`, if it was sent.
    pub delivery: Option<&'a str>,
    /// The header `Content-Type`, if it was sent.
    pub content_type: Option<&'a str>,
    /// The raw body, over which the signature was verified.
    pub body: &'a [u8],
}

/// What a webhook request is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Response {
    /// 202, once it is durable.
    Accepted(Box<Received>),
    /// 202 without a trace: nothing will come of it.
    Ignored {
        /// Why, as a sentence.
        because: String,
    },
    /// 400: the request is not what GitHub sends.
    Malformed(Mistake),
    /// 403: the repository is not one of the hook's.
    Foreign {
        /// Why, as a sentence with the help.
        because: String,
    },
}

/// Decides what a webhook request is answered.
pub fn respond(request: &Webhook<'_>) -> Response {
    let parsed = match parse(request) {
        Ok(parsed) => parsed,
        Err(mistake) => return Response::Malformed(mistake),
    };
    let ignored = |repository: Option<&str>, because: String| match foreign(request, repository) {
        Some(because) => Response::Foreign { because },
        None => Response::Ignored { because },
    };
    match parsed {
        Parsed::Ping { repository } => ignored(repository.as_deref(), "a ping: the hook and its secret work".into()),
        Parsed::Other { event, repository } => {
            let because = format!("the event `{event}` opens no runs; only `push` and `pull_request` do");
            ignored(repository.as_deref(), because)
        }
        Parsed::Elsewhere { reference, repository } => {
            ignored(Some(&repository), format!("`{reference}` is neither a branch nor a tag"))
        }
        Parsed::Idle { action, repository } => {
            ignored(Some(&repository), format!("a pull request that is `{action}` opens no runs"))
        }
        Parsed::Push(mut push) => match known(request.repositories, &push.repository) {
            Some(name) => {
                push.repository = name.to_owned();
                Response::Accepted(Box::new(Received::Push(*push)))
            }
            None => Response::Foreign { because: refusal(request.hook, &push.repository) },
        },
        Parsed::PullRequest(mut asked) => match known(request.repositories, &asked.repository) {
            Some(name) => {
                asked.repository = name.to_owned();
                Response::Accepted(Box::new(Received::PullRequest(*asked)))
            }
            None => Response::Foreign { because: refusal(request.hook, &asked.repository) },
        },
    }
}

/// GitHub compares names without case; the configuration's spelling is ours.
fn known<'a>(repositories: &'a [String], name: &str) -> Option<&'a str> {
    repositories.iter().find(|known| known.eq_ignore_ascii_case(name)).map(String::as_str)
}

fn foreign(request: &Webhook<'_>, repository: Option<&str>) -> Option<String> {
    let name = repository?;
    known(request.repositories, name).is_none().then(|| refusal(request.hook, name))
}

fn refusal(hook: &str, repository: &str) -> String {
    format!("`{repository}` is not a repository of the hook `{hook}`; add it to the hook's `repositories`")
}

/// Reads a request whose signature was verified.
///
/// # Errors
/// A [`Mistake`] that names the header or the place in the payload.
pub fn parse(request: &Webhook<'_>) -> Result<Parsed, Mistake> {
    let delivery = request.delivery.ok_or_else(|| mistake("X-GitHub-Delivery", "is missing"))?;
    if delivery.is_empty() || delivery.len() > MAX_ID || !delivery.bytes().all(is_id_byte) {
        return Err(mistake("X-GitHub-Delivery", "is not 1 to 100 letters, digits and hyphens"));
    }
    let event = request.event.ok_or_else(|| mistake("X-GitHub-Event", "is missing"))?;
    if event.is_empty() || event.len() > MAX_ID || !event.bytes().all(|b| is_id_byte(b) || b == b'_') {
        return Err(mistake("X-GitHub-Event", "is not 1 to 100 letters, digits, hyphens and underscores"));
    }
    let json = json_of(request)?;
    match event {
        "push" => push::read(request.hook, delivery, from_json(&json)?),
        "pull_request" => pull_request::read(request.hook, delivery, from_json(&json)?),
        _ => {
            let raw: RawAny = from_json(&json)?;
            let repository = raw.repository.map(|r| name_of("/repository/full_name", Some(r))).transpose()?;
            Ok(match event {
                "ping" => Parsed::Ping { repository },
                _ => Parsed::Other { event: event.to_owned(), repository },
            })
        }
    }
}

fn is_id_byte(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'-'
}

/// The payload's JSON: the body itself, or the form field `payload`.
fn json_of<'a>(request: &Webhook<'a>) -> Result<Cow<'a, [u8]>, Mistake> {
    let kind = request.content_type.unwrap_or("application/json");
    let kind = kind.split(';').next().unwrap_or_default().trim();
    if kind.eq_ignore_ascii_case("application/json") {
        return Ok(Cow::Borrowed(request.body));
    }
    if kind.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        let field = url::form_urlencoded::parse(request.body).find(|(key, _)| key == "payload");
        let (_, value) = field.ok_or_else(|| mistake("the form", "has no field `payload`"))?;
        return Ok(Cow::Owned(value.into_owned().into_bytes()));
    }
    Err(mistake("Content-Type", "is neither application/json nor application/x-www-form-urlencoded"))
}

fn from_json<'a, T: Deserialize<'a>>(json: &'a [u8]) -> Result<T, Mistake> {
    serde_json::from_slice(json).map_err(|error| mistake("the payload", error.to_string()))
}

#[derive(Deserialize)]
struct RawAny {
    repository: Option<RawRepository>,
}

#[cfg(test)]
mod tests;
