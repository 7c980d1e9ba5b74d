//! The listener of the webhooks, with the limits of its connections.

use super::{HookState, router};
use axum::body::Body;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::ServiceExt;

/// The most headers of one request; GitHub sends about fifteen.
const HEADERS: usize = 64;
/// The most bytes of one request's head.
const HEAD_BYTES: usize = 64 * 1024;

/// Serves the webhooks until `stop`, then lets the requests in flight end.
/// A slow sender is cut off, and so is the connection that is one too many.
pub async fn serve(listener: TcpListener, state: HookState, stop: CancellationToken) {
    let limits = state.inner.limits;
    let places = Arc::new(Semaphore::new(limits.connections));
    let routes = router(state).map_request(|request: hyper::Request<hyper::body::Incoming>| request.map(Body::new));
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.head_time).max_headers(HEADERS).max_buf_size(HEAD_BYTES);
    let connections = TaskTracker::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // Out of file descriptors, usually; the next moment may have some.
                tracing::warn!(%error, "a webhook's connection was not accepted");
                tokio::time::sleep(std::time::Duration::from_millis(50)).await;
                continue;
            }
        };
        let Ok(place) = places.clone().try_acquire_owned() else {
            tracing::warn!("too many connections to the webhooks; one was closed");
            continue;
        };
        let _nodelay = stream.set_nodelay(true);
        let service = TowerToHyperService::new(routes.clone());
        let connection = http.serve_connection(TokioIo::new(stream), service);
        let stop = stop.clone();
        connections.spawn(async move {
            let _place = place;
            let mut connection = std::pin::pin!(connection);
            let ended = tokio::select! {
                ended = connection.as_mut() => ended,
                () = stop.cancelled() => {
                    connection.as_mut().graceful_shutdown();
                    connection.await
                }
            };
            if let Err(error) = ended {
                tracing::debug!(%error, "a webhook's connection broke off");
            }
        });
    }
    connections.close();
    connections.wait().await;
}
