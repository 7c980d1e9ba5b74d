//! Webhooks: the one door that strangers may knock at.
//!
//! The order is the whole point. Nothing is read for a hook that does not
//! exist or a request without a signature; no byte is kept beyond the budget
//! that all requests share; nothing is parsed before the signature fits; and
//! the answer 202 is given only when the delivery is on the disk.

mod body;
mod serve;

pub use serve::serve;

use crate::drive::{Begun, Drivers};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use bytes::Bytes;
use decide::by::By;
use decide::delivery::{self, Received};
use forge::signature::{self, Verdict};
use secrecy::SecretString;
use serde::Serialize;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;

/// Bodies above this are hashed and parsed where they hold up nobody, in bytes.
const HEAVY: usize = 256 * 1024;

/// One hook.
#[derive(Clone, Debug)]
pub struct Hook {
    /// The last part of its address.
    pub name: String,
    /// The secrets that sign its deliveries: one, or two while they rotate.
    pub secrets: Vec<SecretString>,
    /// The repositories whose deliveries it takes, as `owner/repo`.
    pub repositories: Vec<String>,
}

/// What the listener takes upon itself.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most bytes of one body; GitHub sends at most 25 MB.
    pub body_bytes: usize,
    /// The most bytes of all bodies in flight.
    pub budget_bytes: usize,
    /// How long a whole body may take.
    pub body_time: Duration,
    /// How long a request's head may take.
    pub head_time: Duration,
    /// The most connections at once.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            body_bytes: 25 * 1024 * 1024,
            budget_bytes: 64 * 1024 * 1024,
            body_time: Duration::from_secs(10),
            head_time: Duration::from_secs(5),
            connections: 1_024,
        }
    }
}

/// Everything that the webhooks' handlers share.
#[derive(Clone)]
pub struct HookState {
    inner: Arc<Inner>,
}

struct Inner {
    hooks: BTreeMap<String, Hook>,
    limits: Limits,
    budget: Arc<Semaphore>,
    drivers: Arc<Drivers>,
}

impl HookState {
    /// Binds the hooks to the journal (through the drivers) and to the stage
    /// that works deliveries off.
    pub fn new(hooks: Vec<Hook>, limits: Limits, drivers: &Arc<Drivers>) -> HookState {
        let hooks = hooks.into_iter().map(|hook| (hook.name.clone(), hook)).collect();
        let budget = Arc::new(Semaphore::new(limits.budget_bytes));
        let inner = Inner { hooks, limits, budget, drivers: drivers.clone() };
        HookState { inner: Arc::new(inner) }
    }
}

/// The routes `POST /hooks/github/{hook}` and `POST /hooks/github`, which is
/// the hook `default`. [`serve`] adds the limits of the connection itself.
pub fn router(state: HookState) -> Router {
    Router::new().route("/hooks/github/{hook}", post(named)).route("/hooks/github", post(default)).with_state(state)
}

async fn named(State(state): State<HookState>, Path(hook): Path<String>, request: Request) -> Response {
    receive(&state, &hook, request).await.into_response()
}

async fn default(State(state): State<HookState>, request: Request) -> Response {
    receive(&state, "default", request).await.into_response()
}

/// What a sender is told, as JSON.
#[derive(Debug, Serialize)]
struct Told {
    #[serde(skip)]
    status: StatusCode,
    answer: &'static str,
    because: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<String>,
}

impl Told {
    fn new(status: StatusCode, answer: &'static str, because: impl Into<String>) -> Told {
        Told { status, answer, because: because.into(), stream: None }
    }
}

impl IntoResponse for Told {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(&self)).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert("retry-after", axum::http::HeaderValue::from_static("10"));
        }
        response
    }
}

async fn receive(state: &HookState, hook: &str, request: Request) -> Told {
    match check(state, hook, request).await {
        Ok(received) => record(state, *received).await,
        Err(told) => told,
    }
}

/// Reads and judges a request; `Err` is every answer but an accepted delivery.
async fn check(state: &HookState, hook: &str, request: Request) -> Result<Box<Received>, Told> {
    let inner = &state.inner;
    let unknown = || Told::new(StatusCode::NOT_FOUND, "refused", "there is no hook of this name");
    let hook = inner.hooks.get(hook).ok_or_else(unknown)?.clone();
    let unsigned = || Told::new(StatusCode::UNAUTHORIZED, "refused", "`X-Hub-Signature-256` is missing; set a secret");
    let (parts, body) = request.into_parts();
    let given = parts.headers.get("x-hub-signature-256").cloned().ok_or_else(unsigned)?;
    let held = body::read(&parts.headers, body, &inner.limits, &inner.budget).await?;
    let bytes: Bytes = held.bytes.clone();
    let judge = move || judge(&hook, &parts.headers, given.as_bytes(), &bytes);
    if held.bytes.len() <= HEAVY {
        return judge();
    }
    let judged = tokio::task::spawn_blocking(judge).await;
    let judged = judged.map_err(|_| Told::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", "the server is stopping"));
    drop(held);
    judged?
}

fn judge(hook: &Hook, headers: &HeaderMap, given: &[u8], body: &[u8]) -> Result<Box<Received>, Told> {
    if signature::verify(&hook.secrets, given, body) == Verdict::Wrong {
        let because = "`X-Hub-Signature-256` is not by a secret of this hook";
        return Err(Told::new(StatusCode::UNAUTHORIZED, "refused", because));
    }
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let answer = delivery::respond(&delivery::Webhook {
        hook: &hook.name,
        repositories: &hook.repositories,
        event: header("x-github-event"),
        delivery: header("x-github-delivery"),
        content_type: header("content-type"),
        body,
    });
    match answer {
        delivery::Response::Accepted(received) => Ok(received),
        delivery::Response::Ignored { because } => Err(Told::new(StatusCode::ACCEPTED, "ignored", because)),
        delivery::Response::Malformed(mistake) => {
            Err(Told::new(StatusCode::BAD_REQUEST, "refused", mistake.to_string()))
        }
        delivery::Response::Foreign { because } => Err(Told::new(StatusCode::FORBIDDEN, "refused", because)),
    }
}

/// Makes the delivery durable, and only then accepts it.
async fn record(state: &HookState, received: Received) -> Told {
    let stream = received.stream();
    let by = By::Delivery(received.delivery().to_owned());
    let told = match state.inner.drivers.open(&stream, &by, &received.entry()).await {
        Ok(Begun::Now) => Told::new(StatusCode::ACCEPTED, "accepted", "the delivery is recorded"),
        Ok(Begun::Before) => Told::new(StatusCode::ACCEPTED, "duplicate", "this delivery was recorded before"),
        Err(error) => {
            tracing::error!(%error, %stream, "a delivery could not be recorded");
            return Told::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", error.to_string());
        }
    };
    Told { stream: Some(stream.to_string()), ..told }
}

#[cfg(test)]
mod tests;
