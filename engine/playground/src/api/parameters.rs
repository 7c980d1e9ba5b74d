//! What requests say beside their object: who writes, how to delete, where a page begins.

use base64::Engine;
use http::{header, request::Parts};
use serde_json::{Value, json};

use super::apply::Force;
use super::delete::Deletion;
use super::refusal::Refusal;
use super::route::Query;
use super::write::{Rehearsal, Write};

/// Reads a continue token: the version of the first page, and the last name of the page before.
///
/// # Errors
/// 400 when this server did not issue it.
pub(super) fn read_token(token: &str) -> Result<(u64, (String, String)), Refusal> {
    let invalid = || Refusal::bad_request("continue key is not valid: it was not issued by this server");
    let bytes = base64::engine::general_purpose::URL_SAFE_NO_PAD.decode(token).map_err(|_| invalid())?;
    let value: Value = serde_json::from_slice(&bytes).map_err(|_| invalid())?;
    let text = |v: &Value| v.as_str().map(str::to_owned).ok_or_else(invalid);
    Ok((value["v"].as_u64().ok_or_else(invalid)?, (text(&value["n"])?, text(&value["a"])?)))
}

/// Who writes, and whether in earnest.
///
/// # Errors
/// 422 for a dry run of an unknown kind.
pub(super) fn write(parts: &Parts, query: &Query) -> Result<Write, Refusal> {
    let agent = parts.headers.get(header::USER_AGENT).and_then(|v| v.to_str().ok()).unwrap_or("unknown");
    let manager = query.get("fieldManager").unwrap_or_else(|| agent.split('/').next().unwrap_or("unknown"));
    let rehearsal = match query.get("dryRun") {
        None => Rehearsal::No,
        Some("All") => Rehearsal::Yes,
        Some(other) => {
            let message = format!("dryRun: Unsupported value: {other:?}: supported values: \"All\"");
            return Err(Refusal::plain(422, "Invalid", message));
        }
    };
    Ok(Write { manager: manager.to_owned(), force: Force::No, rehearsal })
}

/// How to delete: the body's options, over which the address's have the last word.
///
/// # Errors
/// 400 and 422 for options that do not exist.
pub(super) fn deletion(query: &Query, sent: Option<Value>) -> Result<Deletion, Refusal> {
    let mut options = sent.unwrap_or_else(|| json!({}));
    for parameter in ["propagationPolicy", "orphanDependents"] {
        if let Some(value) = query.get(parameter) {
            options[parameter] = value.into();
        }
    }
    if let Some(seconds) = query.number("gracePeriodSeconds")? {
        options["gracePeriodSeconds"] = seconds.into();
    }
    if query.get("dryRun").is_some() {
        options["dryRun"] = json!(["All"]);
    }
    Deletion::read(&options)
}
