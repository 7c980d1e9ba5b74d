//! What one observation of an application brings in, before it is understood.

use super::Revision;
use super::outcomes::{Refused, TakenObject, WrittenStatus};
use super::prepare::Served;
use crate::health::Judged;
use serde_json::Value;
use std::collections::BTreeMap;

/// A kind as objects name it: `apiVersion` and `kind`.
pub type Gvk = (String, String);

/// One observation, as it came in.
#[derive(Clone, Debug, Default)]
pub struct Objects {
    /// The Application, where it is still there.
    pub application: Option<Value>,
    /// The revision that its target revision names now; empty where the
    /// Application cannot be read.
    pub head: Revision,
    /// What git names at that commit, or every mistake in it.
    pub manifests: Option<Result<Vec<Value>, Vec<String>>>,
    /// Live objects of the kinds in use.
    pub live: Vec<Value>,
    /// How the cluster serves the kinds that git names.
    pub served: BTreeMap<Gvk, Served>,
    /// The namespaces that exist, of those that matter.
    pub namespaces: Vec<String>,
    /// How the head stands to each revision that is wanted.
    pub standing: BTreeMap<Revision, Standing>,
    /// What the API server refused, by what was sent.
    pub refused: Vec<Refused>,
    /// What it would accept, by a rehearsal; a hint that may be lost.
    pub rehearsed: Vec<TakenObject>,
    /// What was applied, the newest first; a hint that may be lost.
    pub applied: Vec<TakenObject>,
    /// The status that was written last.
    pub written: Option<WrittenStatus>,
    /// What plugins say of the live objects of their kinds.
    pub judged: Judged,
    /// What the Application asks for and this server has not, with the help.
    pub lacking: Option<String>,
    /// Whether every kind of the cluster has been looked through once.
    pub scope: Scope,
}

/// How git's head stands to a wanted revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// The head is the revision or comes after it.
    Contained,
    /// The head comes before it: the branch has not arrived there yet.
    Behind,
    /// The branch went another way.
    Diverged,
    /// It cannot be told, with the reason.
    Unknown(String),
}

/// How much of the cluster has been looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scope {
    /// The kinds in use only: nothing may be pruned yet.
    #[default]
    InUse,
    /// Every kind, once since the server started.
    Full,
}
