//! Decides how a new image's name comes into the manifests repository.
//!
//! The truth is the branch: its head, its files, and the trailers of its
//! commits. A bump that landed is found by its trailer, so it is never made
//! twice; a push that is refused because somebody was faster is looked at again.

mod edit;
mod find;

pub use edit::{Edit, Report, Swap, edit, put_back};
pub(crate) use edit::{mentions, names};
pub(crate) use find::name_of;

use crate::next::{Next, Timestamp, Wake};
use crate::want::{Answer, Key};
use pipeline::ImageRef;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The trailer that names the run, as `owner/repo/pipeline/number`.
pub const RUN_TRAILER: &str = "Bespin-Run";
/// The trailer that names the step.
pub const STEP_TRAILER: &str = "Bespin-Step";
/// The trailer that names the image, as it stands in the manifests.
pub const IMAGE_TRAILER: &str = "Bespin-Image";

/// What a step wants to stand in the manifests repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Intent {
    /// The repository's address.
    pub repo: String,
    /// The branch's short name; the remote's default branch where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub branch: Option<String>,
    /// The folder or file whose image changes.
    pub path: String,
    /// The image, as `host/name:tag`.
    pub image: String,
    /// The commit's subject; one is written where it is absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// One line of a bump's journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "body", rename_all = "kebab-case")]
pub enum Entry {
    /// A step wants an image bumped.
    Wanted {
        /// Which step.
        key: Key,
        /// What it wants.
        intent: Intent,
    },
    /// A want has ended.
    Answered {
        /// Whose want.
        key: Key,
        /// How it ended.
        answer: Answer,
    },
}

/// What a bump's journal adds up to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recorded {
    wants: BTreeMap<Key, (Intent, Option<Answer>)>,
}

impl Recorded {
    /// Folds a journal.
    pub fn replay<'a>(entries: impl IntoIterator<Item = &'a Entry>) -> Recorded {
        let mut recorded = Recorded::default();
        for entry in entries {
            match entry {
                Entry::Wanted { key, intent } => {
                    let (_, answer) = recorded.wants.entry(key.clone()).or_insert_with(|| (intent.clone(), None));
                    answer.take_if(|answer| answer.is_transient());
                }
                Entry::Answered { key, answer } => {
                    if let Some((_, slot)) = recorded.wants.get_mut(key) {
                        slot.get_or_insert_with(|| answer.clone());
                    }
                }
            }
        }
        recorded
    }

    /// How a want ended, once it has.
    pub fn answer(&self, key: &Key) -> Option<&Answer> {
        self.wants.get(key).and_then(|(_, answer)| answer.as_ref())
    }

    /// The wants that have not ended, in the order of their keys.
    pub fn open(&self) -> impl Iterator<Item = (&Key, &Intent)> {
        self.wants.iter().filter(|(_, (_, answer))| answer.is_none()).map(|(key, (intent, _))| (key, intent))
    }
}

/// What is seen for the first open want.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Seen {
    /// Nothing was looked at, for no want is open.
    Nothing,
    /// The address is not one that can be used, or is not one that is allowed.
    Unusable {
        /// Why, as a sentence with the mend.
        because: String,
    },
    /// The repository has no such branch.
    NoBranch {
        /// What was looked for.
        branch: String,
    },
    /// The branch.
    Branch(Box<Branch>),
}

/// A branch of a manifests repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Branch {
    /// Its short name.
    pub name: String,
    /// The commit that it is at.
    pub head: String,
    /// The YAML files below the path, or why they were not read.
    pub files: Result<Vec<File>, String>,
    /// Bespin's own commits, newest first.
    pub bumps: Vec<Past>,
    /// What the remote said when it refused the last push, if it did.
    pub refused: Option<String>,
}

/// A file of the manifests repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its path from the repository's root.
    pub path: String,
    /// Its text.
    pub text: String,
}

/// A commit that an earlier bump made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Past {
    /// The commit.
    pub commit: String,
    /// The run's id.
    pub run: String,
    /// The image, as `host/name:tag`.
    pub image: String,
}

/// What a bump may cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Commit these files on top of `parent` and push, unless the branch moved.
    Commit {
        /// The branch's short name.
        branch: String,
        /// The commit that the branch must still be at.
        parent: String,
        /// Whole new texts, by path.
        files: Vec<(String, String)>,
        /// The message, trailers included.
        message: String,
    },
}

/// Decides what a bump does next. The clock has no say in it.
pub fn decide(recorded: &Recorded, seen: &Seen, _now: Timestamp) -> Next<Entry, Act> {
    let Some((key, intent)) = recorded.open().next() else {
        return Next::done(Wake::Never, "every bump is done");
    };
    let image: ImageRef = match intent.image.parse() {
        Ok(image) => image,
        Err(error) => return fail(key, format!("{error}")),
    };
    if image.tag.is_none() && image.digest.is_none() {
        return fail(key, format!("`{}` names neither a tag nor a digest; write `host/name:tag`", intent.image));
    }
    match seen {
        Seen::Nothing => Next::waiting(Wake::Now, "looking at the manifests"),
        Seen::Unusable { because } => fail(key, because.clone()),
        Seen::NoBranch { branch } => fail(key, format!("{} has no {branch}; create it first", intent.repo)),
        Seen::Branch(branch) => on_branch(key, intent, &image, branch),
    }
}

fn on_branch(key: &Key, intent: &Intent, image: &ImageRef, branch: &Branch) -> Next<Entry, Act> {
    if let Some(past) = branch.bumps.iter().find(|past| past.run == key.run && past.image == intent.image) {
        return met(key, &past.commit, Changed::Yes, &[]);
    }
    if let Some(newer) = newer(key, image, branch) {
        let because = format!("{} has bumped {} to {} already", newer.run, image.name(), newer.image);
        return answer(key, Answer::Superseded { because: because.clone() }, because);
    }
    if let Some(refused) = &branch.refused {
        return fail(key, format!("{} refuses the push to `{}`: {refused}", intent.repo, branch.name));
    }
    let files = match &branch.files {
        Ok(files) => files,
        Err(because) => return fail(key, because.clone()),
    };
    let report = match edit(files, image, &intent.image, &intent.path) {
        Ok(report) => report,
        Err(because) => return fail(key, because),
    };
    if report.files.is_empty() {
        return met(key, &branch.head, Changed::No, &report.warnings);
    }
    let act = Act::Commit {
        branch: branch.name.clone(),
        parent: branch.head.clone(),
        message: message(key, intent, image),
        files: report.files,
    };
    let because = format!(
        "writing {} into {}",
        intent.image,
        report.edits.iter().map(Edit::place).collect::<Vec<_>>().join(", ")
    );
    Next { acts: vec![act], ..Next::progressing(Wake::Now, because) }
}

/// The newest bump of the same image by a later run of the same pipeline.
fn newer<'b>(key: &Key, image: &ImageRef, branch: &'b Branch) -> Option<&'b Past> {
    let (pipeline, number) = split(&key.run)?;
    branch.bumps.iter().find(|past| {
        let same_image = past.image.parse::<ImageRef>().is_ok_and(|other| other.name() == image.name());
        same_image && split(&past.run).is_some_and(|(other, later)| other == pipeline && later > number)
    })
}

/// A run's id as pipeline and number.
fn split(run: &str) -> Option<(&str, u64)> {
    let (pipeline, number) = run.rsplit_once('/')?;
    Some((pipeline, number.parse().ok()?))
}

/// Whether a bump made a commit, or found everything as it should be.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Changed {
    Yes,
    No,
}

fn met(key: &Key, commit: &str, changed: Changed, warnings: &[String]) -> Next<Entry, Act> {
    let mut outputs = Map::new();
    outputs.insert("commit".into(), commit.into());
    outputs.insert("changed".into(), if changed == Changed::Yes { "true" } else { "false" }.into());
    if !warnings.is_empty() {
        outputs.insert("warning".into(), warnings.join("; ").into());
    }
    let because = match changed {
        Changed::Yes => format!("the manifests name the image since {}", short(commit)),
        Changed::No => format!("the manifests name the image already, at {}", short(commit)),
    };
    answer(key, Answer::Met { outputs: Value::Object(outputs) }, because)
}

fn fail(key: &Key, because: String) -> Next<Entry, Act> {
    answer(key, Answer::Failed { because: because.clone(), transient: false }, because)
}

fn answer(key: &Key, answer: Answer, because: String) -> Next<Entry, Act> {
    let record = vec![Entry::Answered { key: key.clone(), answer }];
    // Another want may be open; the next turn finds none, and ends.
    Next { record, ..Next::done(Wake::Now, because) }
}

fn short(commit: &str) -> &str {
    commit.get(..7).unwrap_or(commit)
}

/// A subject, what else the author wrote, and the trailers by which it is found.
fn message(key: &Key, intent: &Intent, image: &ImageRef) -> String {
    let name = image.repository.rsplit('/').next().unwrap_or(&image.repository);
    let to = image.tag.clone().or_else(|| image.digest.as_ref().map(|digest| digest.short().to_owned()));
    let own = format!("Bump {name} to {}", to.unwrap_or_default());
    let given = intent.message.as_deref().unwrap_or(&own);
    // A line that looks like one of our trailers would make the history lie.
    let honest = given.lines().filter(|line| !line.trim_start().to_ascii_lowercase().starts_with("bespin-"));
    let text = honest.collect::<Vec<_>>().join("\n");
    let text = if text.trim().is_empty() { own } else { text.trim().to_owned() };
    let (run, step, image) = (&key.run, &key.step, &intent.image);
    format!("{text}\n\n{RUN_TRAILER}: {run}\n{STEP_TRAILER}: {step}\n{IMAGE_TRAILER}: {image}\n")
}

#[cfg(test)]
mod tests;
