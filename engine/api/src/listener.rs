//! What listens: both HTTP listeners, with the limits of their connections.
//!
//! Strangers reach these sockets, so that nothing here is without a bound: how many connections there may be, in all
//! and for each client, how slow a head, a body and the reader of an answer may be, how large a head may be. A
//! connection that is one too many is let in where another one only waits: the one that waits for longest is closed.
//! Streams of events last for hours and are counted apart, so that they take no request's place.

mod late;
mod pace;
mod places;

pub use late::LateRoutes;
pub(crate) use pace::is_too_slow;
pub(crate) use places::StreamPlace;

use crate::client::network;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderValue, Request, Response, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use ipnet::IpNet;
use pace::{AnswerBody, Paced};
use places::{ConnectionPlaces, Place};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio_io_timeout::TimeoutStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The pause after a connection that could not be accepted.
const AGAIN: Duration = Duration::from_millis(50);

/// The fewest connections of a listener, however few files the process may open.
const FEWEST: usize = 16;

/// What a listener takes upon itself.
#[derive(Clone, Debug)]
pub struct ConnectionLimits {
    /// The most connections at once, without those that carry a stream of events.
    pub connections: usize,
    /// The most of them for one client: an address of IPv4, a /64 of IPv6.
    pub per_client: usize,
    /// The most streams of events at once.
    pub streams: usize,
    /// The most of them for one client.
    pub streams_per_client: usize,
    /// How long a request's head may take, and how long a connection may wait for its next request.
    pub head_time: Duration,
    /// How long a body may be silent at its beginning, before its rate counts.
    pub body_grace: Duration,
    /// How fast a body has to come after that, in bytes per second.
    pub body_rate: u32,
    /// How long the other end may take nothing of an answer.
    pub write_time: Duration,
    /// The most headers of a request; GitHub sends about fifteen.
    pub headers: usize,
    /// The most bytes of a request's head.
    pub head_bytes: usize,
    /// Reverse proxies: many clients come from one of these, so that none of them has a share for itself.
    pub proxies: Vec<IpNet>,
}

impl Default for ConnectionLimits {
    fn default() -> ConnectionLimits {
        ConnectionLimits {
            connections: 1_024,
            per_client: 256,
            streams: 512,
            streams_per_client: 64,
            head_time: Duration::from_secs(10),
            body_grace: Duration::from_secs(5),
            body_rate: 4 * 1024,
            write_time: Duration::from_secs(30),
            headers: 64,
            head_bytes: 32 * 1024,
            proxies: Vec::new(),
        }
    }
}

impl ConnectionLimits {
    /// The same for a process that may open so many files: two listeners leave it more than a third of them.
    #[must_use]
    pub fn within(self, descriptors: u64) -> ConnectionLimits {
        let part = |of: u64| usize::try_from(descriptors / of).unwrap_or(usize::MAX).max(FEWEST);
        let (connections, streams) = (self.connections.min(part(4)), self.streams.min(part(8)));
        ConnectionLimits {
            connections,
            per_client: self.per_client.min(connections / 4),
            streams,
            streams_per_client: self.streams_per_client.min(streams / 4),
            ..self
        }
    }
}

/// Serves these routes until `stop`, then lets the requests in flight end.
pub async fn serve(listener: TcpListener, routes: LateRoutes, limits: ConnectionLimits, stop: CancellationToken) {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.head_time).max_headers(limits.headers);
    http.max_header_size(limits.head_bytes).max_buf_size(limits.head_bytes.max(64 * 1024));
    let (limits, connections) = (Arc::new(limits), TaskTracker::new());
    let places = ConnectionPlaces::new(&limits);
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of file descriptors, usually; the next moment may have some.
                tracing::warn!(%error, "a connection was not accepted");
                tokio::time::sleep(AGAIN).await;
                continue;
            }
        };
        let is_proxy = limits.proxies.iter().any(|net| net.contains(&peer.ip().to_canonical()));
        let Some(place) = places.take((!is_proxy).then(|| network(peer.ip()))) else {
            tracing::warn!(%peer, "there are too many connections, and none only waits; one was closed");
            continue;
        };
        let http = http.clone();
        let carried = carry(http, stream, peer, Arc::new(place), routes.clone(), limits.clone(), stop.clone());
        connections.spawn(carried);
    }
    connections.close();
    connections.wait().await;
}

/// Serves one connection to its end.
async fn carry(
    http: http1::Builder,
    stream: TcpStream,
    peer: SocketAddr,
    place: Arc<Place>,
    routes: LateRoutes,
    limits: Arc<ConnectionLimits>,
    stop: CancellationToken,
) {
    let _nodelay = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(limits.write_time));
    let held = place.clone();
    let service = hyper::service::service_fn(move |request: Request<Incoming>| {
        answer(request, peer, place.clone(), routes.clone(), limits.clone())
    });
    let mut connection = std::pin::pin!(http.serve_connection(TokioIo::new(Box::pin(stream)), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = held.evicted() => return,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "a connection broke off");
    }
}

async fn answer(
    request: Request<Incoming>,
    peer: SocketAddr,
    place: Arc<Place>,
    routes: LateRoutes,
    limits: Arc<ConnectionLimits>,
) -> Result<Response<Body>, Infallible> {
    // hyper takes the length away where both stand. Who goes by the length would find a second request in the rest, so
    // that there is none after a body without a length.
    let is_last = request.headers().contains_key(header::TRANSFER_ENCODING);
    place.receiving();
    let mut request = request.map(|body| Body::new(Paced::new(body, place.clone(), &limits)));
    request.extensions_mut().insert(ConnectInfo(peer));
    request.extensions_mut().insert(place.clone());
    let mut response = routes.answer(request).await;
    place.answering();
    if is_last || place.is_streaming() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    Ok(response.map(|body| Body::new(AnswerBody::new(body, place))))
}
