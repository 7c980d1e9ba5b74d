//! The dashboard's addresses, and its listener.
//!
//! Everything that it answers was recorded in the journal, written to a log,
//! or stands on the board; nothing is guessed here. What changes is told by
//! one stream of server-sent events, and fetched again by whoever shows it.

use crate::problem::Problem;
use crate::state::ApiState;
use crate::{approvals, assets, events, guard, home, log, plugins, runs, session, stages};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use std::net::SocketAddr;
use tokio::net::TcpListener;
use tower_http::compression::CompressionLayer;

/// The longest body that any route reads, in bytes.
const MAX_BODY: usize = 64 * 1024;

/// Serves the dashboard until the state's `stop`, then lets the requests in flight end.
pub async fn serve(listener: TcpListener, state: ApiState) {
    let stop = state.stop.clone();
    let service = router(state).into_make_service_with_connect_info::<SocketAddr>();
    let serving = axum::serve(listener, service).with_graceful_shutdown(stop.cancelled_owned());
    if let Err(error) = serving.await {
        tracing::error!(%error, "the dashboard's listener failed");
    }
}

/// The whole dashboard: the API under `/api/v1`, the login link, and the page.
///
/// [`serve`] tells it the peers. Without
/// their addresses, one-time links are refused.
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

async fn unknown(uri: axum::http::Uri) -> Problem {
    Problem::missing(format!("asking for `{}`", uri.path()), "the API has no such address")
}
