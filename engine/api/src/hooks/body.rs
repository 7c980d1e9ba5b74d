//! Reads bodies under a budget that all requests share.

use super::{HookLimits, HookReply};
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A body, and the part of the budget that it occupies while it is held.
#[derive(Debug)]
pub(super) struct HeldBody {
    /// The body as it was sent, since its signature is over these bytes.
    pub(super) bytes: Bytes,
    _budget: Option<OwnedSemaphorePermit>,
}

/// Reads a whole body. A declared length is reserved first; without one the
/// reservation grows with each piece.
pub(super) async fn read(
    headers: &HeaderMap,
    body: Body,
    limits: &HookLimits,
    budget: &Arc<Semaphore>,
) -> Result<HeldBody, HookReply> {
    let reading = read_all(headers, body, limits, budget);
    match tokio::time::timeout(limits.body_time, reading).await {
        Ok(held) => held,
        Err(_) => {
            let because = format!("the body did not arrive within {} s", limits.body_time.as_secs());
            Err(HookReply::new(StatusCode::REQUEST_TIMEOUT, "refused", because))
        }
    }
}

async fn read_all(
    headers: &HeaderMap,
    mut body: Body,
    limits: &HookLimits,
    budget: &Arc<Semaphore>,
) -> Result<HeldBody, HookReply> {
    let too_large = || {
        let because = format!("the body is larger than {} bytes", limits.body_bytes);
        HookReply::new(StatusCode::PAYLOAD_TOO_LARGE, "refused", because)
    };
    let mut held: Option<OwnedSemaphorePermit> = None;
    let mut reserved = 0;
    if let Some(declared) = declared(headers)? {
        if declared > limits.body_bytes {
            return Err(too_large());
        }
        reserve(&mut held, budget, declared)?;
        reserved = declared;
    }
    let mut bytes = BytesMut::with_capacity(reserved.min(64 * 1024));
    while let Some(frame) = body.frame().await {
        let broken = |_| HookReply::new(StatusCode::BAD_REQUEST, "refused", "the body broke off");
        let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
        let length = bytes.len() + data.len();
        if length > limits.body_bytes {
            return Err(too_large());
        }
        if length > reserved {
            reserve(&mut held, budget, length - reserved)?;
            reserved = length;
        }
        bytes.extend_from_slice(&data);
    }
    Ok(HeldBody { bytes: bytes.freeze(), _budget: held })
}

fn declared(headers: &HeaderMap) -> Result<Option<usize>, HookReply> {
    let Some(value) = headers.get(header::CONTENT_LENGTH) else { return Ok(None) };
    let length = value.to_str().ok().and_then(|text| text.parse().ok());
    let bad = || HookReply::new(StatusCode::BAD_REQUEST, "refused", "`Content-Length` is not a number");
    length.map(Some).ok_or_else(bad)
}

fn reserve(held: &mut Option<OwnedSemaphorePermit>, budget: &Arc<Semaphore>, bytes: usize) -> Result<(), HookReply> {
    let busy =
        || HookReply::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "too many bodies are in flight; try again");
    let bytes = u32::try_from(bytes).map_err(|_| busy())?;
    let more = budget.clone().try_acquire_many_owned(bytes).map_err(|_| busy())?;
    match held {
        Some(held) => held.merge(more),
        None => *held = Some(more),
    }
    Ok(())
}
