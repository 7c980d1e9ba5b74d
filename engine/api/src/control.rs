//! The server's control socket for its own machine: a Unix socket in the data
//! folder that only the server's user may open. `bespin journal` asks here,
//! because the store admits one process.

use crate::commands::{NotTaken, StartRun};
use crate::problem::Problem;
use crate::state::ApiState;
use axum::Json;
use axum::body::Body;
use axum::extract::{Path as UrlPath, Query, State};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use decide::by::By;
use decide::stream::Stream;
use futures::StreamExt;
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

/// Where the socket of a server with this data folder is.
fn socket(data: &Path) -> PathBuf {
    data.join("control.sock")
}

/// Listens until the state's `stop`. A socket that a dead server left behind is
/// replaced; the journal's own lock has shown by now that it is dead.
///
/// # Errors
/// The socket cannot be made.
pub fn listen(data: &Path, state: ApiState) -> std::io::Result<()> {
    let path = socket(data);
    if path.exists() {
        std::fs::remove_file(&path)?;
    }
    let listener = UnixListener::bind(&path)?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    let stop = state.stop.clone();
    let router = axum::Router::new()
        .route("/journal/backup", get(backup))
        .route("/journal/export", get(export))
        .route("/apps/{verb}/{*name}", get(change_hands))
        .route("/runs", post(start_run))
        .with_state(state);
    tokio::spawn(async move {
        let serving = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned());
        if let Err(error) = serving.await {
            tracing::warn!(%error, "the control socket failed");
        }
        let _gone = std::fs::remove_file(path);
    });
    Ok(())
}

async fn backup(State(state): State<ApiState>) -> Response {
    lines(journal::backup(state.journal))
}

#[derive(Deserialize)]
struct Export {
    #[serde(default)]
    prefix: String,
}

async fn export(State(state): State<ApiState>, Query(asked): Query<Export>) -> Response {
    lines(journal::export(state.journal, &asked.prefix))
}

/// Starts a run, and answers its id.
async fn start_run(State(state): State<ApiState>, Json(asked): Json<StartRun>) -> Response {
    match state.commands.start_run(asked, person()).await {
        Ok(run) => run.into_response(),
        Err(not_taken) => {
            let said = not_taken.to_string();
            (Problem::not_taken("starting a run", not_taken).status(), said).into_response()
        }
    }
}

/// Who asks here: nobody knows which of those that may open the socket.
fn person() -> By {
    By::Person("control-socket".into())
}

/// Finds the application, records the wish, and tells in lines what becomes of it until it is done.
async fn change_hands(State(state): State<ApiState>, UrlPath((verb, name)): UrlPath<(String, String)>) -> Response {
    let (stream, wanted) = match ask_for(&state, &verb, &name).await {
        Ok(asked) => asked,
        Err(not_taken) => {
            let said = format!("{not_taken}\n");
            return (Problem::not_taken(verb, not_taken).status(), said).into_response();
        }
    };
    let asked = format!("{} is to be {wanted}\n", stream.rest());
    let told = futures::stream::unfold(Some(String::new()), move |last| {
        let (board, stream) = (state.board.clone(), stream.clone());
        async move {
            let last = last?;
            let mut changed = board.changed();
            loop {
                changed.mark_unchanged();
                let done = board.apps().get(stream.as_str()).is_some_and(|app| app.ownership == wanted);
                let said = board.status(stream.as_str()).map(|said| said.status.message).unwrap_or_default();
                if done {
                    return Some((Ok(format!("{stream} is {wanted} now\n")), None));
                }
                if said != last && !said.is_empty() {
                    return Some((Ok(format!("{said}\n")), Some(said)));
                }
                changed.changed().await.ok()?;
            }
        }
    });
    lines(futures::stream::once(async { Ok(asked) }).chain(told).boxed())
}

/// Records the wish; answers the application, and the word that the board has for it once it is done.
async fn ask_for(state: &ApiState, verb: &str, name: &str) -> Result<(Stream, &'static str), NotTaken> {
    let wanted = match verb {
        "take" => "owned",
        "give" => "observed",
        _ => return Err(NotTaken::Refused(format!("`{verb}` is neither take nor give"))),
    };
    let (stream, by) = (state.commands.app_named(name).await?, person());
    match wanted {
        "owned" => state.commands.take_app(&stream, by).await?,
        _ => state.commands.give_app(&stream, by).await?,
    }
    Ok((stream, wanted))
}

/// An error ends the answer without its proper end, so that no one takes it for whole.
fn lines(lines: futures::stream::BoxStream<'static, Result<String, journal::Error>>) -> Response {
    Response::new(Body::from_stream(lines.map(|line| line.map_err(std::io::Error::other))))
}

/// Asks the running server and copies its whole answer.
///
/// # Errors
/// No server runs on this data folder, or its answer broke off.
pub async fn ask(data: &Path, path: &str, out: &mut (impl AsyncWrite + Unpin)) -> Result<(), String> {
    send(data, http::Request::get(path), String::new(), out).await
}

/// Asks the running server to start a run; answers its id.
///
/// # Errors
/// No server runs on this data folder, or everything that is wrong with what is asked for.
pub async fn start(data: &Path, asked: &StartRun) -> Result<String, String> {
    let body = serde_json::to_string(asked).map_err(|error| error.to_string())?;
    let request = http::Request::post("/runs").header("content-type", "application/json");
    let mut run = Vec::new();
    send(data, request, body, &mut run).await?;
    String::from_utf8(run).map_err(|error| format!("the answer is no text: {error}"))
}

async fn send(
    data: &Path,
    request: http::request::Builder,
    body: String,
    out: &mut (impl AsyncWrite + Unpin),
) -> Result<(), String> {
    let socket = socket(data);
    let failed = |error: &dyn std::fmt::Display| {
        format!("asking the server at {}: {error}; is `bespin serve` running on this data folder?", socket.display())
    };
    let stream = UnixStream::connect(&socket).await.map_err(|error| failed(&error))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
    let connection = tokio::spawn(connection);
    let request = request.header("host", "bespin").body(body).map_err(|error| failed(&error))?;
    let mut answer = sender.send_request(request).await.map_err(|error| failed(&error))?;
    if !answer.status().is_success() {
        let text = answer.into_body().collect().await.map(|body| body.to_bytes()).unwrap_or_default();
        return Err(String::from_utf8_lossy(&text).trim().to_owned());
    }
    while let Some(frame) = answer.frame().await {
        let frame = frame.map_err(|error| format!("the answer broke off: {error}"))?;
        if let Some(data) = frame.data_ref() {
            out.write_all(data).await.map_err(|error| format!("writing: {error}"))?;
        }
    }
    out.flush().await.map_err(|error| format!("writing: {error}"))?;
    drop(sender);
    connection.abort();
    Ok(())
}
