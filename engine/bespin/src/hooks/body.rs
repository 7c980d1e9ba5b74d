//! Reads bodies under a budget that all requests share.

use super::{Limits, Told};
use axum::body::Body;
use axum::http::{HeaderMap, StatusCode, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// A body, and the part of the budget that it occupies while it is held.
#[derive(Debug)]
pub(super) struct Held {
    /// The raw bytes.
    pub bytes: Bytes,
    _budget: Option<OwnedSemaphorePermit>,
}

/// Reads a whole body. A declared length is reserved first; without one the
/// reservation grows with each piece.
pub(super) async fn read(
    headers: &HeaderMap,
    body: Body,
    limits: &Limits,
    budget: &Arc<Semaphore>,
) -> Result<Held, Told> {
    let reading = read_all(headers, body, limits, budget);
    match tokio::time::timeout(limits.body_time, reading).await {
        Ok(held) => held,
        Err(_) => {
            let because = format!("the body did not arrive within {} s", limits.body_time.as_secs());
            Err(Told::new(StatusCode::REQUEST_TIMEOUT, "refused", because))
        }
    }
}

async fn read_all(headers: &HeaderMap, mut body: Body, limits: &Limits, budget: &Arc<Semaphore>) -> Result<Held, Told> {
    let too_large = || {
        let because = format!("the body is larger than {} bytes", limits.body_bytes);
        Told::new(StatusCode::PAYLOAD_TOO_LARGE, "refused", because)
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
        let broken = |_| Told::new(StatusCode::BAD_REQUEST, "refused", "the body broke off");
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
    Ok(Held { bytes: bytes.freeze(), _budget: held })
}

fn declared(headers: &HeaderMap) -> Result<Option<usize>, Told> {
    let Some(value) = headers.get(header::CONTENT_LENGTH) else { return Ok(None) };
    let length = value.to_str().ok().and_then(|text| text.parse().ok());
    let bad = || Told::new(StatusCode::BAD_REQUEST, "refused", "`Content-Length` is not a number");
    length.map(Some).ok_or_else(bad)
}

fn reserve(held: &mut Option<OwnedSemaphorePermit>, budget: &Arc<Semaphore>, bytes: usize) -> Result<(), Told> {
    let busy = || Told::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "too many bodies are in flight; try again");
    let bytes = u32::try_from(bytes).map_err(|_| busy())?;
    let more = budget.clone().try_acquire_many_owned(bytes).map_err(|_| busy())?;
    match held {
        Some(held) => held.merge(more),
        None => *held = Some(more),
    }
    Ok(())
}
