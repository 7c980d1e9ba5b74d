//! Whether the server is well: `/healthz` and `/readyz`, for whoever starts and stops it and for load balancers.

use async_trait::async_trait;
use axum::body::Body;
use axum::http::{Method, Response, StatusCode, header};
use axum::response::IntoResponse;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::Instant;

/// How long an answer of a server counts.
const FRESH: Duration = Duration::from_secs(1);

/// What the server needs in order to do its work. The server implements it.
#[async_trait]
pub trait Readiness: Send + Sync + 'static {
    /// What keeps it from working, a sentence each; empty where nothing does. Strangers read them: no path, no address.
    async fn hindrances(&self) -> Vec<String>;
}

/// Whether the process serves, and whether the server can work.
#[derive(Default)]
pub struct Health {
    readiness: Option<Arc<dyn Readiness>>,
    /// How long an answer counts: strangers may ask, and each look costs a write.
    fresh: Duration,
    last: Mutex<Option<(Instant, Vec<String>)>>,
}

impl Health {
    /// Asks this whether the server is ready; by default it always is.
    pub fn of(readiness: Arc<dyn Readiness>) -> Arc<Health> {
        Arc::new(Health { readiness: Some(readiness), fresh: FRESH, last: Mutex::default() })
    }

    /// The answer to a request for one of its addresses; `None` for any other.
    pub(crate) async fn answer(&self, method: &Method, path: &str) -> Option<Response<Body>> {
        if !matches!(path, "/healthz" | "/readyz") {
            return None;
        }
        if !matches!(*method, Method::GET | Method::HEAD) {
            return Some((StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, HEAD")]).into_response());
        }
        let hindrances = if path == "/readyz" { self.hindrances().await } else { Vec::new() };
        let (status, text) = match hindrances.as_slice() {
            [] => (StatusCode::OK, "ok\n".to_owned()),
            hindrances => (StatusCode::SERVICE_UNAVAILABLE, hindrances.join("\n") + "\n"),
        };
        let plain = (header::CONTENT_TYPE, "text/plain; charset=utf-8");
        Some((status, [plain, (header::CACHE_CONTROL, "no-store")], text).into_response())
    }

    async fn hindrances(&self) -> Vec<String> {
        let Some(readiness) = &self.readiness else { return Vec::new() };
        let mut last = self.last.lock().await;
        match &*last {
            Some((at, hindrances)) if at.elapsed() < self.fresh => hindrances.clone(),
            _ => {
                let hindrances = readiness.hindrances().await;
                *last = Some((Instant::now(), hindrances.clone()));
                hindrances
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicUsize, Ordering};

    #[derive(Default)]
    struct Counted(AtomicUsize);

    #[async_trait]
    impl Readiness for Counted {
        async fn hindrances(&self) -> Vec<String> {
            match self.0.fetch_add(1, Ordering::SeqCst) {
                0 => vec!["the disk is full".into(), "the journal cannot be written".into()],
                _ => Vec::new(),
            }
        }
    }

    async fn status(health: &Health, method: Method, path: &str) -> StatusCode {
        health.answer(&method, path).await.expect("an address of its own").status()
    }

    #[tokio::test]
    async fn who_lives_is_ready_only_while_nothing_hinders_it() {
        let counted: Arc<dyn Readiness> = Arc::new(Counted::default());
        let mut health = Health { readiness: Some(counted), fresh: Duration::MAX, last: Mutex::default() };
        let hindered = health.answer(&Method::GET, "/readyz").await.unwrap();
        assert_eq!(hindered.status(), StatusCode::SERVICE_UNAVAILABLE);
        let text = axum::body::to_bytes(hindered.into_body(), 1_000).await.unwrap();
        assert_eq!(&text[..], b"the disk is full\nthe journal cannot be written\n");
        assert_eq!(status(&health, Method::GET, "/healthz").await, StatusCode::OK);
        assert_eq!(
            status(&health, Method::HEAD, "/readyz").await,
            StatusCode::SERVICE_UNAVAILABLE,
            "it is not asked again at once"
        );
        health.fresh = Duration::ZERO;
        assert_eq!(status(&health, Method::GET, "/readyz").await, StatusCode::OK);
        assert_eq!(status(&health, Method::POST, "/readyz").await, StatusCode::METHOD_NOT_ALLOWED);
        assert!(health.answer(&Method::GET, "/metrics").await.is_none());
    }
}
