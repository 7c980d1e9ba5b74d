//! Runs: the list, one of them whole, and what a person may do to one.

use crate::fold::Fold;
use crate::guard::{Operator, Viewer};
use crate::problem::Problem;
use crate::state::ApiState;
use crate::views::{EntryView, RetriedView, RunRowView, RunView, RunsView};
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use decide::stream::Stream;
use serde::Deserialize;

/// How many runs or deliveries one page lists at most.
pub(crate) const MAX_PAGE: usize = 200;

/// The parts of a run's id in an address.
#[derive(Deserialize)]
pub(crate) struct RunPath {
    owner: String,
    repo: String,
    pipeline: String,
    number: String,
}

impl RunPath {
    pub(crate) fn id(&self) -> String {
        format!("{}/{}/{}/{}", self.owner, self.repo, self.pipeline, self.number)
    }
}

/// Which runs or deliveries to list.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Wish {
    /// Words that each of them must contain: a run in its id, title, author, branch or commit.
    #[serde(default)]
    search: String,
    #[serde(default)]
    pub(crate) skip: usize,
    pub(crate) limit: Option<usize>,
    /// Only those that are in this state, by its word; all of them where it is absent.
    pub(crate) only: Option<String>,
}

impl Wish {
    /// The words of the search, in lower case.
    pub(crate) fn words(&self) -> Vec<String> {
        self.search.split_whitespace().map(str::to_lowercase).collect()
    }
}

pub(crate) async fn runs(
    State(state): State<ApiState>,
    _: Viewer,
    Query(wish): Query<Wish>,
) -> Result<Json<RunsView>, Problem> {
    let known = state.index.known(&state.journal, &state.board).await;
    let known = known.map_err(|error| Problem::journal("listing the runs", error))?;
    let (words, only) = (wish.words(), wish.only.as_deref());
    let is = |row: &RunRowView, word: &str| serde_json::to_value(row.run.state).is_ok_and(|state| state == word);
    let mut runs = [known.open, known.ended].concat();
    runs.retain(|row| matches(row, &words) && only.is_none_or(|only| is(row, only)));
    let total = runs.len();
    let limit = wish.limit.unwrap_or(50).min(MAX_PAGE);
    Ok(Json(RunsView { runs: runs.into_iter().skip(wish.skip).take(limit).collect(), total }))
}

fn matches(row: &RunRowView, words: &[String]) -> bool {
    let run = &row.run;
    let text = [&run.id, &run.title, &run.author, &run.reference, &run.sha].map(|text| text.to_lowercase()).join("\n");
    words.iter().all(|word| text.contains(word))
}

pub(crate) async fn run(
    State(state): State<ApiState>,
    _: Viewer,
    Path(path): Path<RunPath>,
) -> Result<Json<RunView>, Problem> {
    let id = path.id();
    let (fold, mut journal) = read(&state, &id).await?;
    let (store, board) = (&state.journal, &state.board);
    let failed = |error| Problem::journal(format!("reading the run `{id}`"), error);
    let wants = state.index.requests(&id, store, board).await.map_err(failed)?;
    let own = [Stream::image(&id, ""), Stream::bump(&id, "")];
    for stream in wants.values().filter(|stream| own.iter().any(|prefix| stream.starts_with(prefix.as_str()))) {
        journal.extend(store.read(stream).await.map_err(failed)?);
    }
    journal.sort_by_key(|entry| entry.seq);
    let row = fold.row(&wants, board).ok_or_else(|| absent(&id))?;
    let opened = fold.opened().ok_or_else(|| absent(&id))?;
    let newer = state.index.newer(&row.run, store, board).await.map_err(failed)?;
    Ok(Json(RunView {
        run: row.run,
        newer,
        pipeline_file: opened.pipeline_file.clone(),
        message: opened.commit.message.clone(),
        before: opened.event.before.clone(),
        delivery: opened.event.delivery.clone(),
        forced: opened.event.forced,
        inputs: opened.event.manual.as_ref().map(|manual| manual.inputs.clone()).unwrap_or_default(),
        mistakes: opened.mistakes.clone(),
        cancel_asked: fold.cancel_asked.clone(),
        steps: fold.steps(&wants, board),
        journal: journal.into_iter().map(EntryView::from).collect(),
    }))
}

/// Reads and folds a run's stream.
pub(crate) async fn read(state: &ApiState, id: &str) -> Result<(Fold, Vec<journal::Entry>), Problem> {
    let tried = || format!("reading the run `{id}`");
    let entries = state.journal.read(Stream::run(id).as_str()).await;
    let entries = entries.map_err(|error| Problem::journal(tried(), error))?;
    if entries.is_empty() {
        return Err(absent(id));
    }
    let mut fold = Fold::default();
    for entry in &entries {
        fold.add(entry).map_err(|error| {
            let got = format!("entry {} of kind `{}` is not known to this version: {error}", entry.index, entry.kind);
            let help = "start the version of Bespin that wrote it";
            Problem::new(StatusCode::INTERNAL_SERVER_ERROR, tried(), got, help)
        })?;
    }
    Ok((fold, entries))
}

fn absent(id: &str) -> Problem {
    Problem::missing(format!("reading the run `{id}`"), "the journal holds no run of this id")
}

pub(crate) async fn retry(
    State(state): State<ApiState>,
    Operator(person): Operator,
    Path(path): Path<RunPath>,
) -> Result<Json<RetriedView>, Problem> {
    let id = path.id();
    let run = state.commands.retry_run(&id, person.by()).await;
    let run = run.map_err(|got| Problem::not_taken(format!("retrying the run `{id}`"), got))?;
    Ok(Json(RetriedView { run }))
}

pub(crate) async fn cancel(
    State(state): State<ApiState>,
    Operator(person): Operator,
    Path(path): Path<RunPath>,
) -> Result<StatusCode, Problem> {
    let id = path.id();
    let done = state.commands.cancel_run(&id, person.by()).await;
    done.map_err(|got| Problem::not_taken(format!("cancelling the run `{id}`"), got))?;
    Ok(StatusCode::NO_CONTENT)
}
