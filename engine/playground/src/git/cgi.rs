//! `git http-backend` behind HTTP, as a CGI program.

use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Arc;
use std::task::{Context, Poll};

use base64::Engine as _;
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{StreamExt, TryStreamExt};
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::Incoming;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::oneshot;
use tokio_util::io::ReaderStream;

use super::receive::Updates;
use super::repository::Repositories;
use super::webhook::Webhooks;
use crate::faults::{Fault, Faults, Target};
use crate::serve::{Body, BoxError, Dropped, respond};

/// The longest head that the backend may answer with, in lines.
const HEAD_LINES: usize = 64;

/// Serves every repository under a directory. Cloning gives another handle.
#[derive(Clone, Debug)]
pub struct GitService {
    root: Arc<PathBuf>,
    /// `user:password`, as basic auth encodes it; without it anyone may read and push.
    credentials: Option<Arc<String>>,
    faults: Faults,
    webhooks: Webhooks,
}

impl GitService {
    /// Binds a directory of bare repositories and who may use them.
    pub fn new(root: PathBuf, user: Option<String>, password: Option<String>, faults: Faults) -> GitService {
        let both = user.zip(password).map(|(user, password)| format!("{user}:{password}"));
        let encoded = both.map(|both| base64::engine::general_purpose::STANDARD.encode(both));
        GitService { root: Arc::new(root), credentials: encoded.map(Arc::new), faults, webhooks: Webhooks::default() }
    }

    /// Where tests and the demo say which pushes are told where.
    pub fn webhooks(&self) -> &Webhooks {
        &self.webhooks
    }

    async fn answer(self, request: Request<Incoming>) -> Result<Response<Body>, BoxError> {
        let fault = self.faults.take(Target::Git, request.method().as_str(), request.uri().path());
        match fault {
            Some(Fault::Status(status)) => {
                let status = StatusCode::from_u16(status)?;
                return Ok(respond(status, "text/plain", "a fault that a test asked for\n"));
            }
            Some(Fault::Drop) => return Err(Dropped.into()),
            Some(Fault::DropAfter) | None => {}
        }
        if !self.admits(request.headers()) {
            let mut refused = respond(StatusCode::UNAUTHORIZED, "text/plain", "who are you?\n");
            refused.headers_mut().insert(header::WWW_AUTHENTICATE, "Basic realm=\"git\"".parse()?);
            return Ok(refused);
        }
        let answered = match received_by(request.uri().path()).map(str::to_owned) {
            Some(repository) => self.receive(repository, request).await,
            None => run(&self.root, request, None).await,
        };
        if fault == Some(Fault::DropAfter) {
            let (_, body) = answered?.into_parts();
            body.collect().await?;
            return Err(Dropped.into());
        }
        answered
    }

    /// Carries a push out, and tells the repository's webhook of each ref that it has moved. The client has its answer
    /// before the webhook is called, as with GitHub.
    async fn receive(&self, repository: String, request: Request<Incoming>) -> Result<Response<Body>, BoxError> {
        let host =
            request.headers().get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default().to_owned();
        let (tell, told) = oneshot::channel();
        let (head, body) = run(&self.root, request, Some(tell)).await?.into_parts();
        let answer = body.collect().await?.to_bytes();
        let moved = told.await.unwrap_or_default().carried_out(&answer);
        if let Some(webhook) = self.webhooks.of(&repository).filter(|_| !moved.is_empty()) {
            tokio::spawn(webhook.tell(Repositories::new(self.root.as_path()), repository, host, moved));
        }
        Ok(Response::from_parts(head, Full::new(answer).map_err(|never| match never {}).boxed_unsync()))
    }

    fn admits(&self, headers: &HeaderMap) -> bool {
        let Some(credentials) = &self.credentials else { return true };
        let given = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        given.and_then(|value| value.strip_prefix("Basic ")) == Some(credentials.as_str())
    }
}

impl tower::Service<Request<Incoming>> for GitService {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        Box::pin(self.clone().answer(request))
    }
}

/// The repository `owner/name` that a request pushes to.
fn received_by(path: &str) -> Option<&str> {
    path.strip_suffix("/git-receive-pack")?.strip_prefix('/')?.strip_suffix(".git")
}

/// Answers a request by the backend; the updates that it asks for go to `tell`.
async fn run(
    root: &PathBuf,
    request: Request<Incoming>,
    tell: Option<oneshot::Sender<Updates>>,
) -> Result<Response<Body>, BoxError> {
    let (head, body) = request.into_parts();
    let mut command = Command::new("git");
    command.arg("http-backend").env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.env("GIT_PROJECT_ROOT", root).env("GIT_HTTP_EXPORT_ALL", "1").env("REMOTE_USER", "playground");
    command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
    command.env("REQUEST_METHOD", head.method.as_str()).env("PATH_INFO", head.uri.path());
    command.env("QUERY_STRING", head.uri.query().unwrap_or_default());
    for (name, variable) in [
        ("content-type", "CONTENT_TYPE"),
        ("content-length", "CONTENT_LENGTH"),
        ("content-encoding", "HTTP_CONTENT_ENCODING"),
        ("git-protocol", "GIT_PROTOCOL"),
    ] {
        if let Some(value) = head.headers.get(name).and_then(|value| value.to_str().ok()) {
            command.env(variable, value);
        }
    }
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null()).kill_on_drop(true);
    let mut child = command.spawn()?;
    let mut stdin = child.stdin.take().ok_or("the backend has no input")?;
    tokio::spawn(async move {
        let (mut body, mut updates) = (body.into_data_stream(), Updates::default());
        while let Some(Ok(chunk)) = body.next().await {
            updates.read(&chunk);
            if stdin.write_all(&chunk).await.is_err() {
                break;
            }
        }
        // Before the backend sees the end, so that they are there when it answers.
        let _unasked = tell.map(|tell| tell.send(updates));
        let _closed = stdin.shutdown().await;
    });
    let stdout = child.stdout.take().ok_or("the backend has no output")?;
    answer(child, BufReader::new(stdout)).await
}

/// Reads the backend's head, and streams its body.
async fn answer(
    child: Child,
    mut stdout: BufReader<impl AsyncRead + Unpin + Send + 'static>,
) -> Result<Response<Body>, BoxError> {
    let mut response = Response::builder();
    for _ in 0..HEAD_LINES {
        let mut line = String::new();
        stdout.read_line(&mut line).await?;
        let line = line.trim_end();
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').ok_or("the backend answered without a head")?;
        let value = value.trim();
        response = match name {
            "Status" => response.status(value.split(' ').next().unwrap_or("500")),
            _ => response.header(name, value),
        };
    }
    // The child lives as long as its output is read, and is killed with it.
    let chunks = ReaderStream::new(stdout).map_ok(Frame::data).map_err(BoxError::from);
    let chunks = futures::stream::unfold((chunks, child), |(mut chunks, child)| async move {
        let next: Result<Frame<Bytes>, BoxError> = chunks.next().await?;
        Some((next, (chunks, child)))
    });
    Ok(response.body(StreamBody::new(chunks).boxed_unsync())?)
}
