//! The limits of the webhooks' listener, over real connections. What becomes of a delivery is tested where it is recorded.

use super::*;
use crate::listener::{ConnectionLimits, LateRoutes, serve};
use axum::body::{Body, to_bytes};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

const A: &str = "1111111111111111111111111111111111111111";
const B: &str = "2222222222222222222222222222222222222222";

/// The one signature that fits.
pub(crate) const SIGNATURE: &str = "sha256=11";

/// Takes every delivery of one repository that bears [`SIGNATURE`].
pub(crate) struct Taking(Vec<String>);

#[async_trait]
impl Deliveries for Taking {
    fn repositories(&self, _: &str) -> Option<&[String]> {
        Some(&self.0)
    }
    fn is_signed(&self, _: &str, signature: &[u8], _: &[u8]) -> bool {
        signature == SIGNATURE.as_bytes()
    }
    async fn record(&self, _: Received) -> Result<Recorded, String> {
        Ok(Recorded::Now)
    }
}

pub(crate) fn taking(limits: HookLimits) -> HookState {
    HookState::new(Arc::new(Taking(vec!["user/petclinic".into()])), limits)
}

/// How many bytes of bodies are held.
pub(crate) fn held(state: &HookState) -> usize {
    state.inner.budget.held()
}

async fn ask(state: &HookState, request: Request) -> (StatusCode, Value) {
    let response = router(state.clone()).oneshot(request).await.unwrap();
    let status = response.status();
    let bytes = to_bytes(response.into_body(), 100_000).await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

pub(crate) fn push(repository: &str) -> Vec<u8> {
    let payload = json!({
        "ref": "refs/heads/main", "before": A, "after": B, "deleted": false, "created": false, "forced": false,
        "repository": {"full_name": repository}, "pusher": {"name": "kim"},
        "commits": [{"id": B, "added": ["a"], "removed": [], "modified": []}],
    });
    payload.to_string().into_bytes()
}

/// A request as GitHub sends it, before `change` spoils it.
fn request(body: Vec<u8>, change: impl FnOnce(&mut HeaderMap)) -> Request {
    let mut request = Request::post("/hooks/github").body(Body::empty()).unwrap();
    let headers = request.headers_mut();
    headers.insert("x-hub-signature-256", SIGNATURE.parse().unwrap());
    headers.insert("x-github-event", "push".parse().unwrap());
    headers.insert("x-github-delivery", "d-1".parse().unwrap());
    headers.insert("content-type", "application/json".parse().unwrap());
    headers.insert("content-length", body.len().into());
    change(headers);
    *request.body_mut() = Body::from(body);
    request
}

#[tokio::test]
async fn bodies_in_flight_share_a_budget() {
    let state = taking(HookLimits { budget_bytes: 1_000, ..HookLimits::default() });
    let mut held = state.inner.budget.share(client::network("192.0.2.1".parse().unwrap()));
    assert!(held.grow(900));
    let body = push("user/petclinic");
    assert!(body.len() > 100);
    let (status, _) = ask(&state, request(body.clone(), |_| {})).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let (status, _) = ask(&state, request(body.clone(), |h| drop(h.remove("content-length")))).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "without a length the reservation grows");
    drop(held);
    assert_eq!(ask(&state, request(body, |_| {})).await.0, StatusCode::ACCEPTED);
    assert_eq!(state.inner.budget.held(), 0, "everything is given back");
}

async fn served(
    limits: HookLimits,
    connections: ConnectionLimits,
) -> (HookState, std::net::SocketAddr, CancellationToken, tokio::task::JoinHandle<()>) {
    let state = taking(limits);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let stop = CancellationToken::new();
    let routes = LateRoutes::closed(Arc::default());
    routes.open(router(state.clone()));
    let server = tokio::spawn(serve(listener, routes, connections, stop.clone()));
    (state, address, stop, server)
}

async fn send(address: std::net::SocketAddr, text: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(text).await.unwrap();
    let mut answer = Vec::new();
    let _read = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn slow_and_endless_senders_are_cut_off() {
    let short = Duration::from_millis(200);
    let limits = HookLimits { body_time: short, ..HookLimits::default() };
    let connections = ConnectionLimits { head_time: short, ..ConnectionLimits::default() };
    let (state, address, stop, server) = served(limits, connections).await;
    // Each of these waits for an answer or an end that comes by the server's own limit.
    assert!(!send(address, b"POST /hooks/github HTTP/1.1\r\nhost: x\r\nx-a: ").await.contains("202"));
    let head = "POST /hooks/github HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-hub-signature-256: sha256=00\r\n";
    let slow = send(address, format!("{head}content-length: 9\r\n\r\nab").as_bytes()).await;
    assert!(slow.starts_with("HTTP/1.1 408"), "{slow}");
    let many: String = (0..200).map(|n| format!("x-{n}: y\r\n")).collect();
    let many = send(address, format!("{head}{many}\r\n").as_bytes()).await;
    assert!(many.starts_with("HTTP/1.1 431"), "{many}");
    assert_eq!(state.inner.budget.held(), 0);
    let body = push("user/petclinic");
    let good = format!(
        "POST /hooks/github/default HTTP/1.1\r\nhost: x\r\nconnection: close\r\nx-github-event: push\r\nx-github-delivery: d-9\r\n\
         content-type: application/json\r\nx-hub-signature-256: {SIGNATURE}\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{}\r\n0\r\n\r\n",
        body.len(),
        String::from_utf8(body).unwrap()
    );
    let good = send(address, good.as_bytes()).await;
    assert!(good.starts_with("HTTP/1.1 202"), "{good}");
    stop.cancel();
    server.await.unwrap();
}
