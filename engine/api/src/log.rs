//! A step's log: followed live, or downloaded.

use crate::events::{Events, event, last_event_id};
use crate::guard::Viewer;
use crate::listener::StreamPlace;
use crate::problem::Problem;
use crate::reading::{LogCursor, LogPlace};
use crate::runs;
use crate::state::ApiState;
use crate::views::Line;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use std::convert::Infallible;
use std::fmt::Write as _;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::StreamExt as _;
use tokio_stream::wrappers::ReceiverStream;

/// How many lines go into one event.
const CHUNK: usize = 1000;

/// How often the journal is asked whether a quiet attempt still runs.
const ASK: Duration = Duration::from_secs(2);

/// The parts of a log's address.
#[derive(Deserialize)]
pub(crate) struct LogPath {
    #[serde(flatten)]
    run: runs::RunPath,
    step: String,
    attempt: u32,
}

#[derive(Deserialize)]
pub(crate) struct From {
    /// A line's number, from 1.
    #[serde(default)]
    from: u64,
}

/// Sends `lines` (a JSON array, its id the last line's number), waits for
/// more, and ends with `end`.
pub(crate) async fn follow(
    State(state): State<ApiState>,
    _: Viewer,
    _: StreamPlace,
    Path(path): Path<LogPath>,
    Query(From { from }): Query<From>,
    headers: HeaderMap,
) -> Result<Events, Problem> {
    let place = LogPlace::new(&path.run.id(), &path.step, path.attempt);
    let from = last_event_id(&headers).map_or(from, |seen| seen + 1);
    let cursor = open(&state, &place, from)?;
    let (events, stream) = mpsc::channel(8);
    tokio::spawn(pump(state, place, cursor, events));
    Ok(Sse::new(ReceiverStream::new(stream)))
}

async fn pump(
    state: ApiState,
    place: LogPlace,
    mut cursor: Box<dyn LogCursor>,
    events: mpsc::Sender<Result<Event, Infallible>>,
) {
    let stopping = state.stop.clone();
    let mut ended = has_ended(&state, &place).await;
    loop {
        let lines = tokio::select! {
            () = stopping.cancelled() => return,
            () = events.closed() => return,
            lines = next_lines(&mut *cursor, ended) => lines,
            () = tokio::time::sleep(ASK) => {
                ended = has_ended(&state, &place).await;
                continue;
            }
        };
        let next = match lines {
            Ok(Some(lines)) => {
                let last = lines.last().map_or(0, |line| line.n);
                event("lines", &lines).id(last.to_string())
            }
            Ok(None) => {
                let _gone = events.send(Ok(event("end", &()))).await;
                return;
            }
            Err(error) => {
                tracing::warn!(run = place.run, step = place.step, %error, "a log cannot be read");
                return;
            }
        };
        if events.send(Ok(next)).await.is_err() {
            return;
        }
    }
}

/// The next lines; `None` at the end of a log that has one.
async fn next_lines(cursor: &mut dyn LogCursor, ended: bool) -> std::io::Result<Option<Vec<Line>>> {
    if !ended {
        return cursor.next(CHUNK).await;
    }
    let rest = cursor.ready(CHUNK)?;
    Ok(Some(rest).filter(|rest| !rest.is_empty()))
}

/// Whether no more lines will come: after a restart only the journal knows.
async fn has_ended(state: &ApiState, place: &LogPlace) -> bool {
    runs::read(state, &place.run).await.is_ok_and(|(fold, _)| fold.has_ended(&place.step, place.attempt))
}

/// The log as plain text, a line each.
pub(crate) async fn download(
    State(state): State<ApiState>,
    _: Viewer,
    Path(path): Path<LogPath>,
) -> Result<Response, Problem> {
    let place = LogPlace::new(&path.run.id(), &path.step, path.attempt);
    let mut cursor = open(&state, &place, 1)?;
    let (chunks, stream) = mpsc::channel::<std::io::Result<Bytes>>(4);
    tokio::spawn(async move {
        loop {
            let chunk = match cursor.ready(CHUNK) {
                Ok(lines) if lines.is_empty() => return,
                Ok(lines) => {
                    let mut text = String::new();
                    for line in lines {
                        let _infallible = writeln!(text, "{}", line.text);
                    }
                    Ok(Bytes::from(text))
                }
                Err(error) => Err(error),
            };
            if chunks.send(chunk).await.is_err() {
                return;
            }
        }
    });
    let name = format!("{}-{}-{}.txt", place.run.replace('/', "-"), place.step, place.attempt);
    let name: String = name.chars().filter(|c| c.is_ascii_alphanumeric() || "-_.".contains(*c)).collect();
    let headers = [
        (header::CONTENT_TYPE, "text/plain; charset=utf-8".to_owned()),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")),
    ];
    Ok((headers, Body::from_stream(ReceiverStream::new(stream).map(|chunk| chunk))).into_response())
}

fn open(state: &ApiState, place: &LogPlace, from: u64) -> Result<Box<dyn LogCursor>, Problem> {
    state.logs.follow(place, from).map_err(|error| {
        let tried = format!("reading the log of `{}`, step `{}`, attempt {}", place.run, place.step, place.attempt);
        let help = "check the address; if it is right, look at the server's own log";
        Problem::new(StatusCode::BAD_REQUEST, tried, error.to_string(), help)
    })
}
