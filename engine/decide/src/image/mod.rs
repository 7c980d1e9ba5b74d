//! Decides about images: build, reuse, push, or refuse.
//!
//! A step asks for one of two things. A *build* is met when the store holds an
//! image for it; the image is then known by its digest, and a second build for
//! the same key is never made. A *push* is met when the registry's tag has that
//! digest. A tag that has another one is never overwritten: whoever deployed
//! it would otherwise run something else tomorrow under the same name.

pub mod build_id;
pub mod dockerfile;
pub mod ignore;

pub use build_id::BuildId;

use crate::next::{Next, Timestamp, Wake};
use crate::want::{Answer, Key};
use pipeline::{BadReference, Digest, ImageRef};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How long a builder or registry may be in trouble before the want is answered, in ms.
pub const PATIENCE_MS: u64 = 60 * 60 * 1000;

/// One line of an image's journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "body", rename_all = "kebab-case")]
pub enum Entry {
    /// A step wants an image built or pushed.
    Wanted {
        /// Which step.
        key: Key,
        /// What it wants.
        intent: Intent,
    },
    /// The want ended.
    Answered {
        /// Which step.
        key: Key,
        /// How.
        answer: Answer,
    },
}

/// What a step can want of this stage.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "intent", rename_all = "kebab-case")]
pub enum Intent {
    /// An image built from a directory of a repository at a commit.
    Build(Build),
    /// A built image under a tag in a registry.
    Push(Push),
}

/// An image to build. Met with the outputs `build` and `digest`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Build {
    /// The repository, as the configuration names it: `owner/name`.
    pub repository: String,
    /// The full commit id.
    pub commit: String,
    /// The directory in the repository that is the context; empty for its root.
    pub context: String,
    /// The Dockerfile's path within the context.
    pub dockerfile: String,
    /// Values for the Dockerfile's `ARG`s.
    #[serde(default)]
    pub build_args: BTreeMap<String, String>,
    /// What its commands reach.
    #[serde(default)]
    pub network: Network,
}

/// What network a `RUN` of a build has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Network {
    /// The builder's own.
    #[default]
    Builder,
    /// None at all: the commands are a stranger's.
    None,
}

/// A built image to push. Met with the outputs `image`, `digest` and `reference`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Push {
    /// What the build answered as `build`.
    pub build: String,
    /// The repository in the registry: `host/name`, without a tag.
    pub to: String,
    /// The tag.
    pub tag: String,
}

/// What an image's stream adds up to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Recorded {
    wants: Vec<(Key, Intent)>,
    answers: BTreeMap<Key, Answer>,
}

/// What the world says about each open want.
pub type Seen = BTreeMap<Key, View>;

/// What the world says about one want.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum View {
    /// No builder and no store has an image for it.
    Unbuilt(Health),
    /// The store holds the image.
    Built(Digest),
    /// The registry has no such tag; the store has the image, or not.
    Untagged(Local, Health),
    /// The registry's tag has this digest.
    Tagged(Digest),
    /// It was tried, and refused for a reason that trying again does not change.
    Refused(String),
}

/// Whether the store still holds a build.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Local {
    /// It can be pushed.
    Held,
    /// It is gone.
    Missing,
}

/// How the last attempts went in this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Health {
    /// Nothing went wrong.
    Well,
    /// They failed for a reason that may pass.
    Failing {
        /// Since the first of them, in ms since the epoch.
        since: Timestamp,
        /// What the last one met.
        because: String,
    },
}

/// What the stage may cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Make the store hold an image for this key.
    Build {
        /// Whose build it is; builders find it again by this key.
        key: Key,
        /// What to build.
        build: Build,
    },
    /// Make the registry's tag have the digest of this build, unless it has another.
    Push {
        /// Whose push it is.
        key: Key,
        /// The build.
        build: BuildId,
        /// Where to, with a tag.
        to: ImageRef,
    },
}

impl Recorded {
    /// Folds a stream's entries.
    pub fn replay<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Recorded {
        let mut recorded = Recorded::default();
        for entry in entries {
            match entry {
                Entry::Wanted { key, intent } if recorded.intent(key).is_none() => {
                    recorded.wants.push((key.clone(), intent.clone()));
                }
                // A want that is known already is the same want; asked for once more, it may be open again.
                Entry::Wanted { key, .. } => {
                    if recorded.answer(key).is_some_and(Answer::is_transient) {
                        recorded.answers.remove(key);
                    }
                }
                Entry::Answered { key, answer } => {
                    recorded.answers.insert(key.clone(), answer.clone());
                }
            }
        }
        recorded
    }

    /// How a want ended, once it has.
    pub fn answer(&self, key: &Key) -> Option<&Answer> {
        self.answers.get(key)
    }

    /// What a step wanted.
    pub fn intent(&self, key: &Key) -> Option<&Intent> {
        self.wants.iter().find(|(known, _)| known == key).map(|(_, intent)| intent)
    }

    /// The wants without an answer, in their order.
    pub fn open(&self) -> impl Iterator<Item = (&Key, &Intent)> {
        self.wants.iter().filter(|(key, _)| !self.answers.contains_key(key)).map(|(key, intent)| (key, intent))
    }
}

impl Push {
    /// Reads the push's names.
    ///
    /// # Errors
    /// A sentence with the mend, for the pipeline's author.
    pub fn target(&self) -> Result<(BuildId, ImageRef), String> {
        let build: BuildId = self.build.parse()?;
        let to: ImageRef = self.to.parse().map_err(|error: BadReference| error.to_string())?;
        if to.tag.is_some() || to.digest.is_some() {
            return Err(format!("`to: {}` has a tag or a digest; write the tag as `tag:`", self.to));
        }
        let to = to.tagged(&self.tag).map_err(|error| error.to_string())?;
        Ok((build, to))
    }
}

/// What one want comes to.
enum Verdict {
    Answer(Answer, String),
    Act(Act, String),
    Hold(String),
}

/// Decides what an image's stream does next.
pub fn decide(recorded: &Recorded, seen: &Seen, now: Timestamp) -> Next<Entry, Act> {
    let mut record = Vec::new();
    let mut acts = Vec::new();
    let mut said: Option<String> = None;
    for (key, intent) in recorded.open() {
        let verdict = match intent {
            Intent::Build(build) => decide_build(key, build, seen.get(key), now),
            Intent::Push(push) => decide_push(key, push, seen.get(key), now),
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
        None => Next::done(Wake::Never, last_word(recorded)),
        Some(because) if record.is_empty() && acts.is_empty() => Next::waiting(Wake::OnChange, because),
        Some(because) => Next { record, acts, ..Next::progressing(Wake::Now, because) },
    }
}

/// What a finished stream says from then on.
fn last_word(recorded: &Recorded) -> String {
    let last = recorded.wants.last().and_then(|(key, _)| recorded.answers.get(key));
    match last {
        None => "nothing is wanted yet".into(),
        Some(Answer::Met { outputs }) => match outputs.get("image").and_then(|image| image.as_str()) {
            Some(image) => format!("{image} is in the registry"),
            None => format!("built {}", outputs["digest"].as_str().unwrap_or("the image")),
        },
        Some(Answer::Superseded { because } | Answer::Failed { because, .. }) => because.clone(),
    }
}

fn decide_build(key: &Key, build: &Build, view: Option<&View>, now: Timestamp) -> Verdict {
    match view {
        Some(View::Built(digest)) => {
            let id = BuildId { key: key.clone(), digest: digest.clone() };
            let outputs = serde_json::json!({ "build": id.to_string(), "digest": digest.as_str() });
            Verdict::Answer(Answer::Met { outputs }, format!("built {}", digest.short()))
        }
        Some(View::Unbuilt(health)) => persist(health, now, || {
            let commit = build.commit.get(..7).unwrap_or(&build.commit);
            let because = format!("building {} of {} at {commit}", build.dockerfile, build.repository);
            Verdict::Act(Act::Build { key: key.clone(), build: build.clone() }, because)
        }),
        Some(View::Refused(because)) => failed(because.clone()),
        Some(View::Untagged(..) | View::Tagged(_)) | None => unseen(),
    }
}

fn decide_push(key: &Key, push: &Push, view: Option<&View>, now: Timestamp) -> Verdict {
    let (build, to) = match push.target() {
        Ok(target) => target,
        Err(because) => return failed(because),
    };
    if build.key.run != key.run {
        let because = format!("the build {build} belongs to another run; push what this run has built");
        return failed(because);
    }
    match view {
        Some(View::Tagged(digest)) if *digest == build.digest => {
            let reference = to.pinned(digest).to_string();
            let outputs =
                serde_json::json!({ "image": to.to_string(), "digest": digest.as_str(), "reference": reference });
            Verdict::Answer(Answer::Met { outputs }, format!("{to} is in the registry"))
        }
        Some(View::Tagged(other)) => failed(format!(
            "{to} exists already with {other}, and this build is {}; a tag is never overwritten: choose another tag",
            build.digest
        )),
        Some(View::Untagged(Local::Missing, _)) => failed(format!(
            "the build {} is no longer held by this server; retry the run, which builds it again",
            build.digest
        )),
        Some(View::Untagged(Local::Held, health)) => persist(health, now, || {
            let because = format!("pushing {to}");
            Verdict::Act(Act::Push { key: key.clone(), build: build.clone(), to: to.clone() }, because)
        }),
        Some(View::Refused(because)) => failed(because.clone()),
        Some(View::Unbuilt(_) | View::Built(_)) | None => unseen(),
    }
}

/// Goes on acting through trouble, until it has lasted too long.
fn persist(health: &Health, now: Timestamp, act: impl FnOnce() -> Verdict) -> Verdict {
    match health {
        Health::Failing { since, because } if now.saturating_sub(*since) >= PATIENCE_MS => {
            let because = format!("given up after {} minutes: {because}", PATIENCE_MS / 60_000);
            Verdict::Answer(Answer::Failed { because: because.clone(), transient: true }, because)
        }
        Health::Failing { .. } | Health::Well => act(),
    }
}

fn failed(because: String) -> Verdict {
    Verdict::Answer(Answer::Failed { because: because.clone(), transient: false }, because)
}

/// A look that says nothing about a want is no ground for an answer.
fn unseen() -> Verdict {
    Verdict::Hold("waiting for a look at the builder and the registry".into())
}

#[cfg(test)]
mod tests;
