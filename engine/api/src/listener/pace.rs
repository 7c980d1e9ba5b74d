//! How slowly a body may come, and when an answer is sent.

use super::ConnectionLimits;
use super::places::Place;
use axum::body::{Body, Bytes};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Instant, Sleep};

/// A body that came more slowly than the listener allows.
#[derive(Debug, thiserror::Error)]
#[error("the body comes too slowly")]
struct TooSlow;

/// Whether this is why a body ended early.
pub(crate) fn is_too_slow(error: &(dyn std::error::Error + 'static)) -> bool {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if error.is::<TooSlow>() {
            return true;
        }
        cause = error.source();
    }
    false
}

/// A request's body, which has to keep a rate.
pub(super) struct Paced {
    body: Incoming,
    place: Arc<Place>,
    grace: Duration,
    rate: u32,
    received: u64,
    /// From the moment when somebody asked for the first byte.
    began: Option<Instant>,
    late: Pin<Box<Sleep>>,
}

impl Paced {
    pub(super) fn new(body: Incoming, place: Arc<Place>, limits: &ConnectionLimits) -> Paced {
        let late = Box::pin(tokio::time::sleep(limits.body_grace));
        if body.is_end_stream() {
            place.answering();
        }
        Paced { body, place, grace: limits.body_grace, rate: limits.body_rate, received: 0, began: None, late }
    }
}

impl HttpBody for Paced {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        let this = &mut *self;
        let began = *this.began.get_or_insert_with(Instant::now);
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            match &frame {
                Some(Ok(frame)) => this.received += frame.data_ref().map_or(0, |data| data.len() as u64),
                Some(Err(_)) | None => this.place.answering(),
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let earned = Duration::from_millis(this.received.saturating_mul(1_000) / u64::from(this.rate.max(1)));
        this.late.as_mut().reset(began + this.grace + earned);
        ready!(this.late.as_mut().poll(cx));
        Poll::Ready(Some(Err(TooSlow.into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer's body: when it is gone, the connection waits for its next request.
pub(super) struct AnswerBody {
    body: Body,
    place: Arc<Place>,
}

impl AnswerBody {
    pub(super) fn new(body: Body, place: Arc<Place>) -> AnswerBody {
        AnswerBody { body, place }
    }
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        self.place.waiting();
    }
}
