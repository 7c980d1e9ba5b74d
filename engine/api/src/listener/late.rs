//! Routes that come later than the first connection: who asks while the server starts, waits.

use crate::health::Health;
use crate::problem::Problem;
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::http::{Response, StatusCode};
use axum::response::IntoResponse;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tower::ServiceExt;

/// How long a request waits for the server to start; GitHub waits for ten seconds.
const PATIENCE: Duration = Duration::from_secs(8);

/// What a listener serves: at once whether the server is well, and everything else once its routes are there.
#[derive(Clone)]
pub struct LateRoutes {
    health: Arc<Health>,
    routes: watch::Sender<Option<Router>>,
    patience: Duration,
}

impl LateRoutes {
    /// Has requests wait until [`LateRoutes::open`].
    pub fn closed(health: Arc<Health>) -> LateRoutes {
        LateRoutes { health, routes: watch::Sender::new(None), patience: PATIENCE }
    }

    /// Serves these routes from now on.
    pub fn open(&self, routes: Router) {
        self.routes.send_replace(Some(routes));
    }

    pub(super) async fn answer(&self, request: Request) -> Response<Body> {
        if let Some(response) = self.health.answer(request.method(), request.uri().path()).await {
            return response;
        }
        match self.opened().await {
            Some(routes) => routes.oneshot(request).await.unwrap_or_else(|never| match never {}),
            None => {
                let (tried, help) = (format!("asking for `{}`", request.uri().path()), "try again in a moment");
                let got = "the server is still starting";
                Problem::new(StatusCode::SERVICE_UNAVAILABLE, tried, got, help).retry_after(2).into_response()
            }
        }
    }

    async fn opened(&self) -> Option<Router> {
        let mut routes = self.routes.subscribe();
        let opened = tokio::time::timeout(self.patience, routes.wait_for(Option::is_some)).await;
        opened.ok()?.ok()?.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::routing::get;

    fn request(path: &str) -> Request {
        Request::get(path).body(Body::empty()).unwrap()
    }

    #[tokio::test]
    async fn who_comes_before_the_routes_waits_for_them() {
        let mut routes = LateRoutes { patience: Duration::from_millis(1), ..LateRoutes::closed(Arc::default()) };
        assert_eq!(routes.answer(request("/healthz")).await.status(), StatusCode::OK);
        let refused = routes.answer(request("/")).await;
        assert_eq!(refused.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(refused.headers()["retry-after"], "2");
        routes.patience = Duration::from_secs(60);
        let opening = async {
            tokio::task::yield_now().await;
            routes.open(Router::new().route("/", get(|| async { "here" })));
        };
        let (answered, ()) = tokio::join!(routes.answer(request("/")), opening);
        assert_eq!(answered.status(), StatusCode::OK);
    }
}
