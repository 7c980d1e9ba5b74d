//! The dashboard's addresses.
//!
//! Everything that it answers was recorded in the journal, written to a log,
//! or stands on the board; nothing is guessed here. What changes is told by
//! one stream of server-sent events, and fetched again by whoever shows it.

use crate::problem::Problem;
use crate::state::ApiState;
use crate::{approvals, assets, deliveries, events, guard, home, log, plugins, runs, session, stages, starts};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{get, post};
use tower_http::compression::CompressionLayer;
use tower_http::limit::RequestBodyLimitLayer;

/// The longest body that any route reads, in bytes.
const MAX_BODY: usize = 64 * 1024;

/// The whole dashboard: the API under `/api/v1`, the login link, and the page.
///
/// [`serve`](crate::listener::serve) tells it the peers. Without their addresses, one-time links are refused.
pub fn router(state: ApiState) -> Router {
    let api = Router::new()
        .route("/session", get(session::session))
        .route("/login", post(session::login))
        .route("/logout", post(session::logout))
        .route("/home", get(home::home))
        .route("/events", get(events::events))
        .route("/plugins", get(plugins::plugins))
        .route("/deliveries", get(deliveries::deliveries))
        .route("/startable", get(starts::startable))
        .route("/runs", get(runs::runs).post(starts::start))
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
        .layer(DefaultBodyLimit::disable())
        .layer(RequestBodyLimitLayer::new(MAX_BODY))
        .layer(from_fn_with_state(state.clone(), guard::guard))
        .with_state(state)
}

async fn unknown(uri: axum::http::Uri) -> Problem {
    Problem::missing(format!("asking for `{}`", uri.path()), "the API has no such address")
}
