//! The server's two HTTP listeners. They say whether it is well from the first moment on; what else is asked of them
//! waits until it has started.

use crate::config::Config;
use crate::readiness::ServerReadiness;
use api::health::Health;
use api::listener::{ConnectionLimits, LateRoutes, serve};
use rustix::process::{Resource, getrlimit};
use std::net::SocketAddr;
use std::sync::Arc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

/// Both listeners, bound and listening.
pub struct Listeners {
    /// The dashboard's routes, once there are some.
    pub pages: LateRoutes,
    /// The webhooks' routes, once there are some.
    pub deliveries: LateRoutes,
    /// Where the dashboard listens, without a slash at its end.
    pub pages_url: String,
    /// Where the webhooks' listener is, without a slash at its end.
    pub deliveries_url: String,
    ready: Arc<ServerReadiness>,
}

impl Listeners {
    /// Listens where the configuration says, until `stop`.
    ///
    /// # Errors
    /// An address that cannot be listened on.
    pub async fn bind(config: &Config, stop: &CancellationToken) -> Result<Listeners, String> {
        let (listener, pages_url) = listen(config.server.listen).await?;
        let (hook_listener, deliveries_url) = listen(config.server.hooks).await?;
        let ready = Arc::new(ServerReadiness::new(&config.server.data));
        let health = Health::of(ready.clone());
        let (pages, deliveries) = (LateRoutes::closed(health.clone()), LateRoutes::closed(health));
        let descriptors = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
        let proxies = config.server.trusted_proxies.clone();
        let limits = ConnectionLimits { proxies, ..ConnectionLimits::default() }.within(descriptors);
        tokio::spawn(serve(listener, pages.clone(), limits.clone(), stop.clone()));
        tokio::spawn(serve(hook_listener, deliveries.clone(), limits, stop.clone()));
        Ok(Listeners { pages, deliveries, pages_url, deliveries_url, ready })
    }

    /// The journal was read, and everything that was under way is driven again.
    pub fn started(&self) {
        self.ready.started();
    }
}

async fn listen(address: SocketAddr) -> Result<(TcpListener, String), String> {
    let failed = |error: std::io::Error| format!("listening on {address}: {error}");
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, format!("http://{bound}")))
}
