//! The rules of builds and pushes.

use super::messages::last_word;
use super::{Availability, Build, BuildId, Entry, Health, Intent, Local, Observed, Push, Reply, State};
use crate::next::{Next, Timestamp, Wake};
use crate::outcome::Outcomes;
use crate::request::{Key, Response};
use pipeline::ImageRef;

/// How long a builder or registry may be in trouble before the request of a step of an unknown timeout is answered, in ms.
pub const PATIENCE_MS: u64 = 60 * 60 * 1000;

/// What the stage may cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Make the store hold an image for this key.
    Build {
        /// Whose build it is; builders find it again by this key.
        key: Key,
        /// The directory, commit and Dockerfile to build from.
        build: Build,
    },
    /// Make the registry's tag have the digest of this build, unless it has another.
    Push {
        /// Whose push it is.
        key: Key,
        /// The build to push: whose it is, and its digest.
        build: BuildId,
        /// Where to, with a tag.
        to: ImageRef,
    },
}

impl Act {
    /// Whose act it is.
    pub fn key(&self) -> &Key {
        match self {
            Act::Build { key, .. } | Act::Push { key, .. } => key,
        }
    }
}

/// How the attempts at one request went, since the server started.
///
/// # Errors
/// The newest was refused: no more are made, and this is what is observed.
pub fn attempts(key: &Key, outcomes: &Outcomes<Act, Reply>) -> Result<Health, Availability> {
    let newest = outcomes.iter().rev().find(|attempted| attempted.act.key() == key);
    match newest.map(|attempted| (&attempted.result, attempted.since)) {
        Some((Ok(Reply::Refused(because)), _)) => Err(match newest.map(|attempted| &attempted.act) {
            Some(Act::Build { .. }) => Availability::NotBuilt(because.clone()),
            Some(Act::Push { .. }) | None => Availability::Refused(because.clone()),
        }),
        Some((Err(failure), since)) => Ok(Health::Failing { since, because: failure.message.clone() }),
        Some((Ok(Reply::Done), _)) | None => Ok(Health::Well),
    }
}

/// What one request comes to.
enum Verdict {
    Answer(Response, String),
    Act(Act, String),
    Hold(String),
}

/// Decides what an image's stream does next.
pub fn decide(state: &State, observed: &Observed, now: Timestamp) -> Next<Entry, Act> {
    let mut record = Vec::new();
    let mut acts = Vec::new();
    let mut said: Option<String> = None;
    for (key, intent) in state.open() {
        let verdict = match intent {
            Intent::Build(build) => decide_build(key, build, observed.get(key), now),
            Intent::Push(push) => decide_push(key, push, observed.get(key), now),
        };
        let because = match verdict {
            Verdict::Answer(answer, because) => {
                record.push(Entry::Answered { key: key.clone(), answer });
                because
            }
            Verdict::Act(act, because) => {
                acts.push(act);
                because
            }
            Verdict::Hold(because) => because,
        };
        said.get_or_insert(because);
    }
    match said {
        None => Next::done(Wake::Never, last_word(state)),
        Some(because) if record.is_empty() && acts.is_empty() => Next::waiting(Wake::OnChange, because),
        Some(because) => Next { record, acts, ..Next::progressing(Wake::Now, because) },
    }
}

fn decide_build(key: &Key, build: &Build, availability: Option<&Availability>, now: Timestamp) -> Verdict {
    match availability {
        Some(Availability::Built(digest)) => {
            let id = BuildId { key: key.clone(), digest: digest.clone() };
            let outputs = serde_json::json!({ "build": id.to_string(), "digest": digest.as_str() });
            Verdict::Answer(Response::Met { outputs }, format!("built {}", digest.short()))
        }
        Some(Availability::Unbuilt(health)) => persist(health, build.timeout_ms, now, || {
            let commit = build.commit.get(..7).unwrap_or(&build.commit);
            let because = format!("building {} of {} at {commit}", build.dockerfile, build.repository);
            Verdict::Act(Act::Build { key: key.clone(), build: build.clone() }, because)
        }),
        Some(Availability::Refused(because)) => failed(because.clone()),
        // A command of the Dockerfile may do better next time: `retry:` of the step builds again.
        Some(Availability::NotBuilt(because)) => {
            Verdict::Answer(Response::Failed { because: because.clone(), transient: true }, because.clone())
        }
        Some(Availability::Untagged(..) | Availability::Tagged(_)) | None => unseen(),
    }
}

fn decide_push(key: &Key, push: &Push, availability: Option<&Availability>, now: Timestamp) -> Verdict {
    let (build, to) = match push.target() {
        Ok(target) => target,
        Err(because) => return failed(because),
    };
    if build.key.run != key.run {
        let because = format!("the build {build} belongs to another run; push what this run has built");
        return failed(because);
    }
    match availability {
        Some(Availability::Tagged(digest)) if *digest == build.digest => {
            let reference = to.pinned(digest).to_string();
            let outputs =
                serde_json::json!({ "image": to.to_string(), "digest": digest.as_str(), "reference": reference });
            Verdict::Answer(Response::Met { outputs }, format!("{to} is in the registry"))
        }
        Some(Availability::Tagged(other)) => failed(format!(
            "{to} exists already with {other}, and this build is {}; a tag is never overwritten: choose another tag",
            build.digest
        )),
        Some(Availability::Untagged(Local::Missing, _)) => failed(format!(
            "the build {} is no longer held by this server; retry the run, which builds it again",
            build.digest
        )),
        Some(Availability::Untagged(Local::Held, health)) => persist(health, push.timeout_ms, now, || {
            let because = format!("pushing {to}");
            Verdict::Act(Act::Push { key: key.clone(), build: build.clone(), to: to.clone() }, because)
        }),
        Some(Availability::Refused(because)) => failed(because.clone()),
        Some(Availability::Unbuilt(_) | Availability::Built(_) | Availability::NotBuilt(_)) | None => unseen(),
    }
}

/// Goes on acting through trouble, for as long as the step may take: its timeout comes first wherever it still waits.
fn persist(health: &Health, timeout_ms: Option<u64>, now: Timestamp, act: impl FnOnce() -> Verdict) -> Verdict {
    let patience = timeout_ms.unwrap_or(PATIENCE_MS);
    match health {
        Health::Failing { since, because } if now.saturating_sub(*since) >= patience => {
            let because = format!("given up after {} minutes: {because}", patience / 60_000);
            Verdict::Answer(Response::Failed { because: because.clone(), transient: true }, because)
        }
        Health::Failing { .. } | Health::Well => act(),
    }
}

fn failed(because: String) -> Verdict {
    Verdict::Answer(Response::Failed { because: because.clone(), transient: false }, because)
}

/// A look that says nothing about a request is no ground for an answer.
fn unseen() -> Verdict {
    Verdict::Hold("waiting for a look at the builder and the registry".into())
}
