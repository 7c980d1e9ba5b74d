//! What every route of the registry reads and answers alike.

use http::{Response, StatusCode};
use serde_json::json;

use crate::serve::{Body, respond};

/// A parameter of a query.
pub(super) fn asked(query: &str, wanted: &str) -> Option<String> {
    let mut pairs = url::form_urlencoded::parse(query.as_bytes());
    pairs.find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
}

/// The specification's grammar of names; no part of one can lead out of the directory.
pub(super) fn is_name(name: &str) -> bool {
    let part = |part: &str| {
        let plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        part.starts_with(plain) && part.ends_with(plain) && part.chars().all(|c| plain(c) || "._-".contains(c))
    };
    name.len() <= 255 && name.split('/').all(part)
}

/// An answer with what every answer of a registry carries.
pub(super) fn answer(status: StatusCode) -> http::response::Builder {
    Response::builder().status(status).header("docker-distribution-api-version", "registry/2.0")
}

/// A refusal, in the specification's shape.
pub(super) fn refused(status: StatusCode, code: &str, message: &str) -> Response<Body> {
    let body = json!({ "errors": [{ "code": code, "message": message }] });
    respond(status, "application/json", body.to_string())
}
