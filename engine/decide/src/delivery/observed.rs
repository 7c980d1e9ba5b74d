//! What a delivery observes: the commit, its pipeline files, and the repository's runs.

use super::used_run_numbers::Traces;
use crate::epoch::Epoch;
use crate::run::{Commit, Event, EventKind, Opened};
use pipeline::Pipeline;
use std::collections::{BTreeMap, BTreeSet};

/// What a delivery observes.
#[derive(Clone, Debug)]
pub enum Observed {
    /// Nothing was observed, for nothing depends on it.
    Nothing,
    /// The commit is not in the repository, as of a fetch just now; or the base branch is not.
    Missing,
    /// The commit cannot be read, and the repository's branches could be just now.
    Unreadable {
        /// Why, as a fragment.
        because: String,
    },
    /// Nothing will come of it, whatever else is observed.
    Refused {
        /// Why, as a fragment.
        because: String,
    },
    /// The commit and all that depends on it.
    Readable(Box<Context>),
}

/// A commit and all that depends on it.
#[derive(Clone, Debug)]
pub struct Context {
    /// The pushed or proposed commit.
    pub commit: Commit,
    /// The pipeline files, as they are at `files_at`.
    pub files: Vec<File>,
    /// The commit that the pipelines were read at: the pushed one, or the head of a pull request's base branch.
    pub files_at: String,
    /// Which paths the push or the pull request changed.
    pub changed: Changed,
    /// Whether the pull request, or the pushed branch or tag, has moved on.
    pub standing: Standing,
    /// Whether what the delivery tells happened since the journal was begun or restored, as far as that is known.
    pub receipt: Epoch,
    /// The other deliveries, by their ids, that tell of the same move of the pushed branch or tag; at least those that
    /// have opened runs.
    pub same: BTreeSet<String>,
    /// The messages of all commits that the push brought, where they matter; see
    /// [`depends_on_all`](super::depends_on_all). Empty where it brought none, or more than are read.
    pub brought: Vec<String>,
    /// The repository's runs, in the order in which they were opened.
    pub runs: Vec<KnownRun>,
    /// The last number whose traces were found elsewhere, by pipeline.
    pub floors: BTreeMap<String, u64>,
    /// The last number used elsewhere, by pipeline, as the configuration has it. It was true when it was written.
    pub configured: BTreeMap<String, u64>,
}

/// A pipeline file as it stands at one commit.
#[derive(Clone, Debug)]
pub struct File {
    /// Its path, such as `.bespin/was.yaml`.
    pub path: String,
    /// What it says, or every mistake in it, each as a whole text.
    pub pipeline: Result<Pipeline, Vec<String>>,
}

/// Where a pull request, or a pushed branch or tag, stands since the delivery was sent, as git says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// At the commit, or nothing depends on it.
    Current,
    /// The pull request has a newer head, which contains the commit.
    Passed {
        /// The newer head's full id.
        by: String,
    },
    /// The branch or tag is elsewhere.
    Moved {
        /// The full id of the commit that it leads to; `None` where it is gone.
        to: Option<String>,
    },
}

/// Which paths a push or a pull request changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Changed {
    /// These, relative to the repository's root.
    Paths(Vec<String>),
    /// It cannot be told, so everything counts.
    Everything,
}

/// A run that exists.
#[derive(Clone, Debug, PartialEq)]
pub struct KnownRun {
    /// The run's id, `owner/repo/pipeline/number`.
    pub id: String,
    /// Its number, which no other run of the pipeline has.
    pub number: u64,
    /// Its pipeline's name, from which its numbers count.
    pub pipeline: String,
    /// Its pipeline's file, by which runs of one pipeline are known.
    pub file: String,
    /// The event that opened it.
    pub event: Event,
    /// How it came to be.
    pub opened_by: OpenedBy,
    /// The traces of earlier runs that its number rests on.
    pub traces: Traces,
    /// Its concurrency group, if it has one.
    pub group: Option<String>,
    /// Whether it goes on, ends, or has ended.
    pub phase: RunPhase,
    /// Whether its bump is recorded.
    pub bump: Bump,
    /// Whether it was opened since the journal was begun or restored.
    pub epoch: Epoch,
    /// How its commit stands to the pushed one, if that has been left.
    pub ancestry: Ancestry,
}

/// How a run came to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenedBy {
    /// By a push or a pull request.
    Delivery,
    /// By a person; never the same as a run that a delivery opened.
    Person,
}

/// Where a run stands, as far as superseding goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunPhase {
    /// It goes on, and nothing has asked it to end.
    Open,
    /// It was asked to end.
    Ending,
    /// It has ended, and its journal is closed.
    Closed,
}

/// Whether a run's bump is recorded; after it, it goes on to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bump {
    /// Its bump is not recorded yet.
    Ahead,
    /// Its bump is recorded.
    Recorded,
}

/// How a run's commit stands to the pushed one, where the branch or tag has moved on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ancestry {
    /// The branch or tag stands at it now, or it lies between the pushed commit and that.
    Newer,
    /// It is neither, or it is the same commit, or they were not compared.
    Other,
}

impl KnownRun {
    /// Reads what superseding needs out of a run's opening.
    pub fn new(opened: &Opened) -> KnownRun {
        KnownRun {
            id: opened.id.clone(),
            number: opened.number,
            pipeline: opened.pipeline.name.clone(),
            file: opened.pipeline_file.clone(),
            event: opened.event.clone(),
            opened_by: if opened.retry_of.is_none() && opened.event.kind != EventKind::Manual {
                OpenedBy::Delivery
            } else {
                OpenedBy::Person
            },
            traces: Traces::of(opened),
            group: opened.pipeline.concurrency.as_ref().map(|concurrency| concurrency.group.clone()),
            phase: RunPhase::Open,
            bump: Bump::Ahead,
            epoch: Epoch::This,
            ancestry: Ancestry::Other,
        }
    }
}
