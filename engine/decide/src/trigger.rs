//! Decides which runs a delivery opens, and which older ones they supersede.
//!
//! A run is known by its [`RunKey`]: the same push never opens a second run of
//! a pipeline, by whichever delivery it comes and however often the server
//! dies between opening the run and recording that it did.

mod floor;
mod plan;

pub use floor::{Place, by_tags, by_trailers, places, unnumbered};
pub use plan::{Plan, idle, plan};

use crate::delivery::{Change, Ended, Entry, Push, Received, Recorded, Skipped};
use crate::next::{Next, Timestamp, Wake};
use crate::run::{Commit, Event, Opened};
use pipeline::{Pipeline, Supersede};
use std::collections::BTreeMap;

/// How long a commit may be missing before the delivery is given up, in ms.
pub const PATIENCE_MS: u64 = 10 * 60 * 1_000;

/// What the trigger sees.
#[derive(Clone, Debug)]
pub enum Seen {
    /// Nothing was looked at, for nothing depends on it.
    Nothing,
    /// The commit is not in the repository, as of a fetch just now; or the base branch is not.
    Missing,
    /// The commit cannot be read, and the repository's branches could be just now.
    Unreadable {
        /// Why, as a fragment.
        because: String,
    },
    /// Nothing will come of it, whatever is looked at further.
    Refused {
        /// Why, as a fragment.
        because: String,
    },
    /// The commit and all that depends on it.
    Found(Box<Found>),
}

/// A commit and all that depends on it.
#[derive(Clone, Debug)]
pub struct Found {
    /// The commit.
    pub commit: Commit,
    /// The pipeline files, as they are at `files_at`.
    pub files: Vec<File>,
    /// The commit that the pipelines were read at: the pushed one, or the head of a pull request's base branch.
    pub files_at: String,
    /// Which paths the push or the pull request changed.
    pub changed: Changed,
    /// Whether the pull request has moved on.
    pub standing: Standing,
    /// The repository's runs, in the order in which they were opened.
    pub runs: Vec<Known>,
    /// The last number used elsewhere, by pipeline.
    pub floors: BTreeMap<String, u64>,
}

/// A pipeline file.
#[derive(Clone, Debug)]
pub struct File {
    /// Its path, such as `.bespin/was.yaml`.
    pub path: String,
    /// What it says, or every mistake in it, each as a whole text.
    pub pipeline: Result<Pipeline, Vec<String>>,
}

/// Whether a pull request has moved on since the delivery was sent. A push's runs tell that by their ancestry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It has not, or it is a push.
    Current,
    /// The pull request has a newer head, which contains the commit.
    Passed {
        /// The newer head.
        by: String,
    },
}

/// Which paths a push or a pull request changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// These.
    Paths(Vec<String>),
    /// It cannot be told, so everything counts.
    Everything,
}

/// What makes two runs the same, the repository being given.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum RunKey<'a> {
    /// Of a push.
    Push {
        /// The full reference.
        reference: &'a str,
        /// The commit before.
        before: &'a str,
        /// The commit after.
        after: &'a str,
        /// The pipeline's file.
        file: &'a str,
    },
    /// Of a pull request. Another base branch makes another run of it; where that branch stands makes none.
    PullRequest {
        /// Its number.
        number: u64,
        /// The full reference of its base branch.
        base: &'a str,
        /// Its commit.
        head: &'a str,
        /// The pipeline's file.
        file: &'a str,
    },
}

impl<'a> RunKey<'a> {
    /// The key of the run of a pipeline file that a delivery would open.
    pub fn of(received: &'a Received, file: &'a str) -> RunKey<'a> {
        match received {
            Received::Push(push) => {
                RunKey::Push { reference: &push.reference, before: &push.before, after: &push.after, file }
            }
            Received::PullRequest(asked) => {
                RunKey::PullRequest { number: asked.number, base: &asked.base, head: &asked.head_sha, file }
            }
        }
    }
}

/// A run that exists.
#[derive(Clone, Debug, PartialEq)]
pub struct Known {
    /// The run's id.
    pub id: String,
    /// Its number.
    pub number: u64,
    /// Its pipeline's name.
    pub pipeline: String,
    /// Its pipeline's file.
    pub file: String,
    /// What caused it.
    pub event: Event,
    /// How it came to be.
    pub origin: Origin,
    /// Whether its pipeline could be read.
    pub file_state: FileState,
    /// Its concurrency group, if it has one.
    pub group: Option<String>,
    /// Where it stands.
    pub state: State,
    /// Whether its bump is recorded.
    pub bump: Bump,
    /// How its commit stands to the pushed one.
    pub ancestry: Ancestry,
}

/// How a run came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// By a push or a pull request.
    Push,
    /// By a person; never the same as a run that a delivery opened.
    Person,
}

/// Whether a run's pipeline file could be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileState {
    /// It could.
    Sound,
    /// It had mistakes, so that nobody could look where its pipeline has left numbers.
    Broken,
}

/// Where a run stands, as far as superseding goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It goes on.
    Open,
    /// It was asked to end.
    Ending,
    /// It has ended.
    Closed,
}

/// Whether a run's bump is recorded; after it, it goes on to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bump {
    /// Not yet.
    Ahead,
    /// It is.
    Recorded,
}

/// How a run's commit stands to the pushed one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ancestry {
    /// Its history contains the pushed commit, and is longer.
    Newer,
    /// Anything else.
    Other,
}

impl Known {
    /// Reads what superseding needs out of a run's opening.
    pub fn new(opened: &Opened) -> Known {
        Known {
            id: opened.id.clone(),
            number: opened.number,
            pipeline: opened.pipeline.name.clone(),
            file: opened.pipeline_file.clone(),
            event: opened.event.clone(),
            origin: if opened.retry_of.is_none() && opened.event.kind != "manual" {
                Origin::Push
            } else {
                Origin::Person
            },
            file_state: if opened.mistakes.is_empty() { FileState::Sound } else { FileState::Broken },
            group: opened.pipeline.concurrency.as_ref().map(|concurrency| concurrency.group.clone()),
            state: State::Open,
            bump: Bump::Ahead,
            ancestry: Ancestry::Other,
        }
    }

    fn is(&self, key: &RunKey<'_>) -> bool {
        let (event, file) = (&self.event, self.file.as_str());
        let mine = match &event.pull_request {
            Some(asked) => RunKey::PullRequest { number: asked.number, base: &asked.base, head: &event.after, file },
            None => RunKey::Push { reference: &event.reference, before: &event.before, after: &event.after, file },
        };
        self.origin == Origin::Push && mine == *key
    }
}

/// What the trigger may cause.
#[derive(Clone, Debug, PartialEq)]
pub enum Act {
    /// Open a run, unless its stream exists already.
    Open(Box<Opened>),
    /// Ask an older run to end, unless it was asked or has ended.
    Supersede {
        /// The older run's id.
        run: String,
        /// The newer run's id.
        by: String,
    },
}

/// Decides what a delivery does next.
pub fn decide(recorded: &Recorded, seen: &Seen, now: Timestamp) -> Next<Entry, Act> {
    match &recorded.ended {
        Some(Ended::Opened(runs)) => return Next::done(Wake::Never, format!("opened {}", runs.join(", "))),
        Some(Ended::Ignored(because)) => return Next::done(Wake::Never, because.clone()),
        None => {}
    }
    let Some((received, at)) = &recorded.received else {
        return Next::blocked("this delivery's journal does not begin with its receipt");
    };
    if let Received::Push(Push { change: Change::Deleted, reference, .. }) = received {
        return ignore(format!("`{reference}` was deleted, and a deletion opens no runs"));
    }
    let waited = now.saturating_sub(*at);
    let again = Wake::At(now + (waited / 2).clamp(500, 30_000));
    match seen {
        Seen::Nothing => Next::waiting(Wake::Now, "looking at the repository"),
        Seen::Missing if waited > PATIENCE_MS => ignore(format!(
            "the commit {} is not in {}; its reference was moved or deleted before it could be read",
            received.commit(),
            received.repository()
        )),
        Seen::Missing => {
            Next::waiting(again, format!("waiting until the commit {} can be read", &received.commit()[..7]))
        }
        Seen::Unreadable { because } if waited > PATIENCE_MS => {
            ignore(format!("{because}; given up after {} minutes", PATIENCE_MS / 60_000))
        }
        Seen::Unreadable { because } => Next::waiting(again, format!("{because}; trying again")),
        Seen::Refused { because } => ignore(because.clone()),
        Seen::Found(found) => open(received, found),
    }
}

fn ignore(because: String) -> Next<Entry, Act> {
    let record = vec![Entry::Ignored { because: because.clone() }];
    Next { record, ..Next::done(Wake::Never, because) }
}

fn open(received: &Received, found: &Found) -> Next<Entry, Act> {
    let plans = plan(received, found);
    let (mut acts, mut runs, mut skipped) = (Vec::new(), Vec::new(), Vec::new());
    for plan in plans {
        match plan {
            Plan::Open(opened) => acts.push(Act::Open(opened)),
            Plan::Exists { run, supersede } => {
                acts.extend(superseded(&run, supersede, found).map(|old| Act::Supersede { run: old, by: run.clone() }));
                runs.push(run);
            }
            Plan::Skip { file, because } => skipped.push(Skipped { file, because }),
        }
    }
    if !acts.is_empty() {
        let because = format!("opening the runs of {}", &found.commit.short);
        return Next { acts, ..Next::progressing(Wake::Now, because) };
    }
    if runs.is_empty() {
        return ignore(why_nothing(&found.files_at, &skipped));
    }
    let because = format!("opened {}", runs.join(", "));
    Next { record: vec![Entry::Opened { runs, skipped }], ..Next::done(Wake::Never, because) }
}

/// The older runs of the group that the run takes the place of.
fn superseded<'a>(run: &str, supersede: Option<Supersede>, found: &'a Found) -> impl Iterator<Item = String> + 'a {
    let place = found.runs.iter().position(|known| known.id == run).unwrap_or(0);
    let mine = found.runs.get(place);
    found.runs[..place].iter().filter_map(move |old| {
        let same_group = mine.is_some_and(|mine| mine.group.is_some() && mine.group == old.group);
        // Two pipelines that one push opens do not take each other's place.
        let same_push = mine.is_some_and(|mine| mine.event.delivery == old.event.delivery);
        let may = match supersede {
            None | Some(Supersede::Never) => false,
            Some(Supersede::UntilBump) => old.bump == Bump::Ahead,
            Some(Supersede::Always) => true,
        };
        (same_group && !same_push && may && old.state == State::Open).then(|| old.id.clone())
    })
}

fn why_nothing(commit: &str, skipped: &[Skipped]) -> String {
    if skipped.is_empty() {
        return format!("there is no pipeline in `.bespin` at {}", commit.get(..7).unwrap_or(commit));
    }
    let shown = skipped.iter().take(5).map(|skipped| format!("{}: {}", skipped.file, skipped.because));
    let more = skipped.len().saturating_sub(5);
    let more = if more > 0 { format!("; and {more} more") } else { String::new() };
    format!("no pipeline is for this: {}{more}", shown.collect::<Vec<_>>().join("; "))
}

#[cfg(test)]
mod tests;
