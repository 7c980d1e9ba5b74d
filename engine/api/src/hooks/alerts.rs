//! Alertmanager's webhook. What an alert does is on the disk before the answer, so that Alertmanager's own repeats make up
//! for an outage; and what was done once is not done again.

use super::{HookLimits, HookReply, HookState, body};
use crate::client;
use async_trait::async_trait;
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::post;
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use decide::rollout::{AlertAction, Notification, read_notification};
use serde::Serialize;
use std::sync::Arc;

/// The most bytes of one notification; `max_alerts` of the receiver keeps it smaller.
const LARGEST: usize = 1024 * 1024;

/// What the server does with alerts. It holds the hooks' secrets; this crate never sees them.
#[async_trait]
pub trait Alerts: Send + Sync + 'static {
    /// Whether there is a hook of this name.
    fn is_hook(&self, hook: &str) -> bool;
    /// Whether this is a secret of the hook.
    fn admits(&self, hook: &str, secret: &[u8]) -> bool;
    /// Makes durable what the alerts do, and answers what that is for each.
    ///
    /// # Errors
    /// Not all of it is on the disk; the sentence is what the sender is told, who sends it again.
    async fn heed(&self, hook: &str, told: Notification) -> Result<Vec<HeededAlert>, String>;
}

/// What one alert has done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HeededAlert {
    /// Its name.
    pub alert: String,
    /// What Alertmanager calls its labels.
    pub fingerprint: String,
    /// The rollout that it is about, as `cluster/namespace/name`, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rollout: Option<String>,
    /// What it did to it by this request; absent where it did nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub did: Option<AlertAction>,
    /// Why, as a sentence.
    pub because: String,
}

/// What Alertmanager is told, as JSON.
#[derive(Serialize)]
struct AlertsReply {
    answer: &'static str,
    because: String,
    alerts: Vec<HeededAlert>,
}

#[derive(Clone)]
struct AlertHookState {
    hooks: HookState,
    alerts: Arc<dyn Alerts>,
}

/// The routes `POST /hooks/alertmanager/{hook}` and `POST /hooks/alertmanager`, which is the hook `default`. Their bodies
/// have the budget of the other webhooks.
pub fn router(hooks: HookState, alerts: Arc<dyn Alerts>) -> Router {
    let state = AlertHookState { hooks, alerts };
    let routes = Router::new().route("/hooks/alertmanager/{hook}", post(named));
    routes.route("/hooks/alertmanager", post(default)).with_state(state)
}

async fn named(State(state): State<AlertHookState>, Path(hook): Path<String>, request: Request) -> Response {
    respond(receive(&state, &hook, request).await)
}

async fn default(State(state): State<AlertHookState>, request: Request) -> Response {
    respond(receive(&state, "default", request).await)
}

fn respond(received: Result<AlertsReply, HookReply>) -> Response {
    received.map_or_else(HookReply::into_response, |reply| (StatusCode::OK, Json(reply)).into_response())
}

async fn receive(state: &AlertHookState, hook: &str, request: Request) -> Result<AlertsReply, HookReply> {
    let refused = |status, because: &str| HookReply::new(status, "refused", because);
    if !state.alerts.is_hook(hook) {
        return Err(refused(StatusCode::NOT_FOUND, "there is no hook of this name; add it to [[alerts]]"));
    }
    let (parts, body) = request.into_parts();
    let help = "set `http_config.authorization.credentials_file`, or `basic_auth`, of the receiver";
    let secret = secret(&parts.headers).ok_or_else(|| {
        refused(StatusCode::UNAUTHORIZED, &format!("`Authorization` has neither a bearer token nor a password; {help}"))
    })?;
    if !state.alerts.admits(hook, &secret) {
        return Err(refused(StatusCode::UNAUTHORIZED, "`Authorization` does not have a secret of this hook"));
    }
    let inner = &state.hooks.inner;
    let client = client::client(client::peer(&parts.extensions), &parts.headers, &inner.proxies);
    let share = inner.budget.share(client::network(client));
    let limits = HookLimits { body_bytes: LARGEST.min(inner.limits.body_bytes), ..inner.limits };
    let held = body::read(&parts.headers, body, &limits, share).await?;
    let told = read_notification(&held.bytes).map_err(|mistake| refused(StatusCode::BAD_REQUEST, &mistake))?;
    let left_out = told.left_out;
    let heeded = state.alerts.heed(hook, told).await.map_err(|error| {
        tracing::error!(error, hook, "an alert could not be heeded");
        HookReply::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", error)
    })?;
    Ok(reply(heeded, left_out))
}

fn reply(alerts: Vec<HeededAlert>, left_out: u64) -> AlertsReply {
    let acted = alerts.iter().filter(|heeded| heeded.did.is_some()).count();
    let answer = if acted > 0 { "recorded" } else { "nothing" };
    let mut because = format!("{acted} of {} alerts did something, and that is recorded", alerts.len());
    if left_out > 0 {
        because.push_str(&format!("; `max_alerts` of the receiver left out {left_out}"));
    }
    AlertsReply { answer, because, alerts }
}

/// The bearer token, or the password; whose name stands before that does not matter.
fn secret(headers: &HeaderMap) -> Option<Vec<u8>> {
    let (scheme, value) = headers.get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    let value = value.trim();
    let secret = if scheme.eq_ignore_ascii_case("bearer") {
        value.as_bytes().to_vec()
    } else if scheme.eq_ignore_ascii_case("basic") {
        let pair = STANDARD.decode(value).ok()?;
        let colon = pair.iter().position(|byte| *byte == b':')?;
        pair[colon + 1..].to_vec()
    } else {
        return None;
    };
    Some(secret).filter(|secret| !secret.is_empty())
}
