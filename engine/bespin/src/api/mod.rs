//! The API of the dashboard, and the dashboard itself.
//!
//! Everything that it answers was recorded in the journal, written to a log,
//! or stands on the board; nothing is guessed here. What changes is told by
//! one stream of server-sent events, and fetched again by whoever shows it.

mod approvals;
mod assets;
mod events;
mod fold;
mod guard;
mod home;
mod index;
mod log;
pub mod plugins;
mod problem;
mod runs;
mod session;
mod stages;

use crate::drive::Drivers;
use crate::login::Login;
use crate::logs::Logs;
use crate::retention::Memory;
use async_trait::async_trait;
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use decide::by::By;
use index::Index;
use std::collections::BTreeSet;
use std::sync::Arc;
use tower_http::compression::CompressionLayer;

/// What a person may cause by a button. Each answers with a sentence when it cannot be done.
#[async_trait]
pub trait Commands: Send + Sync + 'static {
    /// Opens a new run like this one, and returns its id.
    async fn retry_run(&self, run: &str, by: By) -> Result<String, String>;
    /// Asks a run to end early.
    async fn cancel_run(&self, run: &str, by: By) -> Result<(), String>;
    /// Does one of the actions that the rollout's view offers, on its stream `rollout/...`.
    async fn rollout_action(&self, stream: &str, action: &str, by: By) -> Result<(), String>;
    /// Syncs an application now, by its stream `app/...`.
    async fn sync_app(&self, stream: &str, by: By) -> Result<(), String>;
}

/// What the routes share.
#[derive(Clone)]
pub struct ApiState {
    /// The journal, the board and the drivers behind them.
    pub drivers: Arc<Drivers>,
    /// The logs of steps.
    pub logs: Arc<Logs>,
    /// Users and sessions.
    pub login: Arc<Login>,
    /// What the buttons do.
    pub commands: Arc<dyn Commands>,
    index: Arc<Index>,
    installed: Option<Arc<plugins::Installed>>,
}

impl ApiState {
    /// Binds the API to the parts of the server.
    pub fn new(drivers: Arc<Drivers>, logs: Arc<Logs>, login: Arc<Login>, commands: Arc<dyn Commands>) -> ApiState {
        ApiState { drivers, logs, login, commands, index: Arc::default(), installed: None }
    }

    /// Shows the server's plugins as well.
    #[must_use]
    pub fn showing(self, installed: plugins::Installed) -> ApiState {
        ApiState { installed: Some(Arc::new(installed)), ..self }
    }
}

#[async_trait]
impl Memory for ApiState {
    async fn forget(&self, runs: &BTreeSet<String>) {
        self.index.forget(runs).await;
    }
}

/// The longest body that any route reads, in bytes.
const MAX_BODY: usize = 64 * 1024;

/// The whole dashboard: the API under `/api/v1`, the login link, and the page.
///
/// Serve it with `into_make_service_with_connect_info::<SocketAddr>()`; without
/// the peers' addresses, one-time links are refused.
pub fn router(state: ApiState) -> Router {
    let api = Router::new()
        .route("/session", get(session::session))
        .route("/login", post(session::login))
        .route("/logout", post(session::logout))
        .route("/home", get(home::home))
        .route("/events", get(events::events))
        .route("/plugins", get(plugins::plugins))
        .route("/runs", get(runs::runs))
        .route("/runs/{owner}/{repo}/{pipeline}/{number}", get(runs::run))
        .route("/runs/{owner}/{repo}/{pipeline}/{number}/retry", post(runs::retry))
        .route("/runs/{owner}/{repo}/{pipeline}/{number}/cancel", post(runs::cancel))
        .route("/runs/{owner}/{repo}/{pipeline}/{number}/steps/{step}/approve", post(approvals::approve))
        .route("/runs/{owner}/{repo}/{pipeline}/{number}/steps/{step}/refuse", post(approvals::refuse))
        .route("/runs/{owner}/{repo}/{pipeline}/{number}/steps/{step}/attempts/{attempt}/log", get(log::follow))
        .route("/runs/{owner}/{repo}/{pipeline}/{number}/steps/{step}/attempts/{attempt}/log.txt", get(log::download))
        .route("/apps", get(stages::apps))
        .route("/apps/{cluster}/{namespace}/{name}", get(stages::app))
        .route("/apps/{cluster}/{namespace}/{name}/sync", post(stages::sync))
        .route("/rollouts", get(stages::rollouts))
        .route("/rollouts/{cluster}/{namespace}/{name}", get(stages::rollout))
        .route("/rollouts/{cluster}/{namespace}/{name}/actions/{action}", post(stages::act))
        .fallback(unknown);
    Router::new()
        .nest("/api/v1", api)
        .route("/login/once", get(session::once))
        .fallback(assets::asset)
        .layer(CompressionLayer::new())
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn_with_state(state.clone(), guard::guard))
        .with_state(state)
}

async fn unknown(uri: axum::http::Uri) -> problem::Problem {
    problem::Problem::missing(format!("asking for `{}`", uri.path()), "the API has no such address")
}

#[cfg(test)]
mod tests;
#[cfg(test)]
mod typescript;
