//! Webhooks: the one listener that strangers may reach.
//!
//! The order is the whole point. Nothing is read for a hook that does not
//! exist or a request without a signature; no byte is kept beyond the budget
//! that all requests share; nothing is parsed before the signature fits; and
//! the answer 202 is given only when the delivery is on the disk.

pub mod alerts;
mod body;
mod budget;

use crate::client;
use async_trait::async_trait;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use budget::BodyBudget;
use bytes::Bytes;
use decide::delivery::{self, Received};
use ipnet::IpNet;
use serde::Serialize;
use std::sync::Arc;
use std::time::Duration;

/// Bodies above this are hashed and parsed where they hold up nobody, in bytes.
const HEAVY: usize = 256 * 1024;

/// What the server does with deliveries. It holds the hooks' secrets; this crate never sees them.
#[async_trait]
pub trait Deliveries: Send + Sync + 'static {
    /// The repositories whose deliveries a hook takes, as `owner/repo`; `None` where there is no hook of this name.
    fn repositories(&self, hook: &str) -> Option<&[String]>;
    /// Whether `signature`, as it stands in `X-Hub-Signature-256`, is by a secret of the hook over these bytes.
    fn is_signed(&self, hook: &str, signature: &[u8], body: &[u8]) -> bool;
    /// Makes a delivery durable and has it worked off.
    ///
    /// # Errors
    /// It is not on the disk; the sentence is what the sender is told.
    async fn record(&self, received: Received) -> Result<Recorded, String>;
}

/// What became of a delivery.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Recorded {
    /// It is on the disk since this call.
    Now,
    /// It was there before, and nothing was written.
    Before,
}

/// What the listener takes upon itself.
#[derive(Clone, Copy, Debug)]
pub struct HookLimits {
    /// The most bytes of one body; GitHub sends at most 25 MB.
    pub body_bytes: usize,
    /// The most bytes of all bodies in flight.
    pub budget_bytes: usize,
    /// The most of them for one client: an address of IPv4, a /64 of IPv6.
    pub client_bytes: usize,
    /// How long a whole body may take.
    pub body_time: Duration,
}

impl Default for HookLimits {
    fn default() -> HookLimits {
        HookLimits {
            body_bytes: 25 * 1024 * 1024,
            budget_bytes: 96 * 1024 * 1024,
            client_bytes: 36 * 1024 * 1024,
            body_time: Duration::from_secs(10),
        }
    }
}

/// What the webhooks' handlers share.
#[derive(Clone)]
pub struct HookState {
    inner: Arc<Inner>,
}

struct Inner {
    deliveries: Arc<dyn Deliveries>,
    limits: HookLimits,
    budget: Arc<BodyBudget>,
    /// Those whose word counts about who asks.
    proxies: Vec<IpNet>,
}

impl HookState {
    /// Binds the webhooks to what takes their deliveries.
    pub fn new(deliveries: Arc<dyn Deliveries>, limits: HookLimits) -> HookState {
        HookState::behind(deliveries, limits, Vec::new())
    }

    /// The same behind reverse proxies, whose `X-Forwarded-For` is believed.
    pub fn behind(deliveries: Arc<dyn Deliveries>, limits: HookLimits, proxies: Vec<IpNet>) -> HookState {
        let budget = BodyBudget::new(limits.budget_bytes, limits.client_bytes);
        HookState { inner: Arc::new(Inner { deliveries, limits, budget, proxies }) }
    }
}

/// The routes `POST /hooks/github/{hook}` and `POST /hooks/github`, which is
/// the hook `default`. [`serve`](crate::listener::serve) adds the limits of the connection itself.
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
struct HookReply {
    #[serde(skip)]
    status: StatusCode,
    answer: &'static str,
    because: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<String>,
}

impl HookReply {
    fn new(status: StatusCode, answer: &'static str, because: impl Into<String>) -> HookReply {
        HookReply { status, answer, because: because.into(), stream: None }
    }
}

impl IntoResponse for HookReply {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(&self)).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert("retry-after", axum::http::HeaderValue::from_static("10"));
        }
        response
    }
}

async fn receive(state: &HookState, hook: &str, request: Request) -> HookReply {
    match check(state, hook, request).await {
        Ok(received) => record(state, *received).await,
        Err(reply) => reply,
    }
}

/// Reads and judges a request; `Err` is every answer but an accepted delivery.
async fn check(state: &HookState, hook: &str, request: Request) -> Result<Box<Received>, HookReply> {
    let inner = state.inner.clone();
    if inner.deliveries.repositories(hook).is_none() {
        return Err(HookReply::new(StatusCode::NOT_FOUND, "refused", "there is no hook of this name"));
    }
    let unsigned =
        || HookReply::new(StatusCode::UNAUTHORIZED, "refused", "`X-Hub-Signature-256` is missing; set a secret");
    let (parts, body) = request.into_parts();
    let given = parts.headers.get("x-hub-signature-256").cloned().ok_or_else(unsigned)?;
    let client = client::client(client::peer(&parts.extensions), &parts.headers, &inner.proxies);
    let share = inner.budget.share(client::network(client));
    let held = body::read(&parts.headers, body, &inner.limits, share).await?;
    let (hook, bytes): (String, Bytes) = (hook.to_owned(), held.bytes.clone());
    let judge = move || judge(&*inner.deliveries, &hook, &parts.headers, given.as_bytes(), &bytes);
    if held.bytes.len() <= HEAVY {
        return judge();
    }
    let judged = tokio::task::spawn_blocking(judge).await;
    let judged =
        judged.map_err(|_| HookReply::new(StatusCode::INTERNAL_SERVER_ERROR, "failed", "the server is stopping"));
    drop(held);
    judged?
}

fn judge(
    deliveries: &dyn Deliveries,
    hook: &str,
    headers: &HeaderMap,
    given: &[u8],
    body: &[u8],
) -> Result<Box<Received>, HookReply> {
    if !deliveries.is_signed(hook, given, body) {
        let because = "`X-Hub-Signature-256` is not by a secret of this hook";
        return Err(HookReply::new(StatusCode::UNAUTHORIZED, "refused", because));
    }
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let answer = delivery::respond(&delivery::Webhook {
        hook,
        repositories: deliveries.repositories(hook).unwrap_or_default(),
        event: header("x-github-event"),
        delivery: header("x-github-delivery"),
        content_type: header("content-type"),
        body,
    });
    match answer {
        delivery::Response::Accepted(received) => Ok(received),
        delivery::Response::Ignored { because } => Err(HookReply::new(StatusCode::ACCEPTED, "ignored", because)),
        delivery::Response::Malformed(mistake) => {
            Err(HookReply::new(StatusCode::BAD_REQUEST, "refused", mistake.to_string()))
        }
        delivery::Response::Foreign { because } => Err(HookReply::new(StatusCode::FORBIDDEN, "refused", because)),
    }
}

/// Makes the delivery durable, and only then accepts it.
async fn record(state: &HookState, received: Received) -> HookReply {
    let stream = received.stream();
    let reply = match state.inner.deliveries.record(received).await {
        Ok(Recorded::Now) => HookReply::new(StatusCode::ACCEPTED, "accepted", "the delivery is recorded"),
        Ok(Recorded::Before) => HookReply::new(StatusCode::ACCEPTED, "duplicate", "this delivery was recorded before"),
        Err(error) => {
            tracing::error!(error, %stream, "a delivery could not be recorded");
            return HookReply::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", error);
        }
    };
    HookReply { stream: Some(stream.to_string()), ..reply }
}

#[cfg(test)]
pub(crate) mod tests;
