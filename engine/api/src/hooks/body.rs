//! Reads bodies under a budget that all requests share.

use super::budget::BodyShare;
use super::{HookLimits, HookReply};
use crate::listener::is_too_slow;
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;

/// How much is set aside for a body before any of it is here, in bytes.
const FIRST: usize = 8 * 1024;

/// A body, and the part of the budget that it occupies while it is held.
pub(super) struct HeldBody {
    /// The body as it was sent, since its signature is over these bytes.
    pub(super) bytes: Bytes,
    _share: BodyShare,
}

/// Reads a whole body. It is counted as it arrives: a length that is only declared keeps nobody else out.
pub(super) async fn read(
    headers: &HeaderMap,
    body: Body,
    limits: &HookLimits,
    share: BodyShare,
) -> Result<HeldBody, HookReply> {
    match tokio::time::timeout(limits.body_time, read_all(headers, body, limits, share)).await {
        Ok(held) => held,
        Err(_) => Err(late(format!("the body did not arrive within {} s", limits.body_time.as_secs()))),
    }
}

async fn read_all(
    headers: &HeaderMap,
    mut body: Body,
    limits: &HookLimits,
    mut share: BodyShare,
) -> Result<HeldBody, HookReply> {
    let too_large = || {
        let because = format!("the body is larger than {} bytes", limits.body_bytes);
        HookReply::new(StatusCode::PAYLOAD_TOO_LARGE, "refused", because)
    };
    let declared = declared(headers)?.unwrap_or_default();
    if declared > limits.body_bytes {
        return Err(too_large());
    }
    let mut bytes = BytesMut::with_capacity(declared.min(FIRST));
    while let Some(frame) = body.frame().await {
        let Ok(data) = frame.map_err(|error| broken(&error))?.into_data() else { continue };
        if bytes.len() + data.len() > limits.body_bytes {
            return Err(too_large());
        }
        if !share.grow(data.len()) {
            let because = "too many bodies are in flight; try again";
            return Err(HookReply::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", because));
        }
        bytes.extend_from_slice(&data);
    }
    Ok(HeldBody { bytes: bytes.freeze(), _share: share })
}

fn broken(error: &axum::Error) -> HookReply {
    if is_too_slow(error) {
        return late("the body comes too slowly");
    }
    HookReply::new(StatusCode::BAD_REQUEST, "refused", "the body broke off")
}

fn late(because: impl Into<String>) -> HookReply {
    HookReply::new(StatusCode::REQUEST_TIMEOUT, "refused", because)
}

fn declared(headers: &HeaderMap) -> Result<Option<usize>, HookReply> {
    let Some(value) = headers.get(header::CONTENT_LENGTH) else { return Ok(None) };
    let length = value.to_str().ok().and_then(|text| text.parse().ok());
    let bad = || HookReply::new(StatusCode::BAD_REQUEST, "refused", "`Content-Length` is not a number");
    length.map(Some).ok_or_else(bad)
}
