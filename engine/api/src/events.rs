//! The one stream of server-sent events: what changed, not what it became.
//!
//! - `hello`: the first of every connection; the page fetches what it shows.
//! - `journal`: streams that grew; its id is the newest sequence, so that a
//!   reconnecting browser misses nothing.
//! - `board`: a new version of what is seen right now.
//! - `beat`: every ten seconds, so that the page knows when it is behind.

use crate::clock::now;
use crate::guard::{Viewer, cookie};
use crate::listener::StreamPlace;
use crate::problem::Problem;
use crate::state::ApiState;
use crate::views::{BeatView, ChangedView};
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::sse::{Event, Sse};
use axum_extra::extract::cookie::CookieJar;
use serde::Serialize;
use std::convert::Infallible;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::sync::watch::Receiver;
use tokio_stream::wrappers::ReceiverStream;

/// How often a quiet stream says that it is alive.
const BEAT: Duration = Duration::from_secs(10);

/// Board changes closer together than this are told as one.
const CALM: Duration = Duration::from_millis(150);

/// How many entries are gathered into one event.
const CHUNK: usize = 500;

/// The event stream of a response.
pub(crate) type Events = Sse<ReceiverStream<Result<Event, Infallible>>>;

pub(crate) async fn events(
    State(state): State<ApiState>,
    Viewer(_): Viewer,
    _: StreamPlace,
    jar: CookieJar,
    headers: HeaderMap,
) -> Result<Events, Problem> {
    let cookie = cookie(&jar).ok_or_else(Problem::nobody)?;
    let (events, stream) = mpsc::channel(16);
    let newest = state.journal.newest();
    let now_at = *newest.borrow();
    // A journal that was restored from a backup may be shorter than the browser remembers.
    let after = last_event_id(&headers).filter(|&seen| seen <= now_at).unwrap_or(now_at);
    let board = state.board.changed();
    tokio::spawn(Feed { state, cookie, events, newest, board, after }.run());
    Ok(Sse::new(ReceiverStream::new(stream)))
}

/// The id of the last event that a reconnecting browser saw.
pub(crate) fn last_event_id(headers: &HeaderMap) -> Option<u64> {
    headers.get("last-event-id")?.to_str().ok()?.parse().ok()
}

/// What a stream does after it sent something.
enum Goes {
    On,
    Home,
}

struct Feed {
    state: ApiState,
    cookie: String,
    events: mpsc::Sender<Result<Event, Infallible>>,
    newest: Receiver<u64>,
    board: Receiver<u64>,
    after: u64,
}

impl Feed {
    async fn run(mut self) {
        let stopping = self.state.stop.clone();
        let mut beat = tokio::time::interval(BEAT);
        beat.reset();
        let mut goes = self.hello().await;
        while let Goes::On = goes {
            goes = tokio::select! {
                () = stopping.cancelled() => Goes::Home,
                () = self.events.closed() => Goes::Home,
                changed = self.newest.changed() => match changed {
                    Ok(()) => self.journal().await,
                    Err(_) => Goes::Home,
                },
                changed = self.board.changed() => match changed {
                    Ok(()) => self.board().await,
                    Err(_) => Goes::Home,
                },
                _ = beat.tick() => self.beat().await,
            };
        }
    }

    async fn hello(&mut self) -> Goes {
        let hello = event("hello", &self.now()).id(self.after.to_string());
        match self.send(hello).await {
            Goes::On => self.journal().await,
            Goes::Home => Goes::Home,
        }
    }

    async fn journal(&mut self) -> Goes {
        loop {
            let entries = match self.state.journal.tail(self.after, CHUNK).await {
                Ok(entries) => entries,
                Err(error) => {
                    tracing::warn!(%error, "the dashboard's event stream cannot read the journal");
                    return Goes::Home;
                }
            };
            let Some(last) = entries.last() else { return Goes::On };
            self.after = last.seq;
            let mut streams: Vec<String> = entries.into_iter().map(|entry| entry.stream).collect();
            streams.sort();
            streams.dedup();
            let changed = ChangedView { seq: self.after, streams };
            if let Goes::Home = self.send(event("journal", &changed).id(self.after.to_string())).await {
                return Goes::Home;
            }
        }
    }

    async fn board(&mut self) -> Goes {
        tokio::time::sleep(CALM).await;
        self.board.borrow_and_update();
        self.send(event("board", &self.now())).await
    }

    /// A session that ended takes its stream with it.
    async fn beat(&mut self) -> Goes {
        if self.state.login.session(&self.cookie, now()).is_none() {
            return Goes::Home;
        }
        self.send(event("beat", &self.now())).await
    }

    fn now(&self) -> BeatView {
        BeatView { now_ms: now(), seq: *self.newest.borrow(), board: *self.board.borrow() }
    }

    async fn send(&self, event: Event) -> Goes {
        match self.events.send(Ok(event)).await {
            Ok(()) => Goes::On,
            Err(_) => Goes::Home,
        }
    }
}

/// An event of this name with a JSON body.
pub(crate) fn event(name: &str, data: &impl Serialize) -> Event {
    let data = serde_json::to_string(data).expect("views are plain structs with text keys");
    Event::default().event(name).data(data)
}
