//! The rules of a bump.

use super::messages::{message, short};
use super::{Branch, Edit, Entry, Intent, Observed, Past, Reply, State, edit};
use crate::next::{Next, Timestamp, Wake};
use crate::outcome::Outcomes;
use crate::request::{Key, Response};
use pipeline::ImageRef;
use serde_json::{Map, Value};

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

/// What the remote said when it refused the newest push, if it did.
pub fn refused(outcomes: &Outcomes<Act, Reply>) -> Option<String> {
    match &outcomes.iter().next_back()?.result {
        Ok(Reply::Refused(because)) => Some(because.clone()),
        Ok(Reply::Done) | Err(_) => None,
    }
}

/// Decides what a bump does next. The clock has no say in it.
pub fn decide(state: &State, observed: &Observed, _now: Timestamp) -> Next<Entry, Act> {
    let Some((key, intent)) = state.open().next() else {
        return Next::done(Wake::Never, "every bump is done");
    };
    let image: ImageRef = match intent.image.parse() {
        Ok(image) => image,
        Err(error) => return fail(key, format!("{error}")),
    };
    if image.tag.is_none() && image.digest.is_none() {
        return fail(key, format!("`{}` names neither a tag nor a digest; write `host/name:tag`", intent.image));
    }
    match observed {
        Observed::Nothing => Next::waiting(Wake::Now, "looking at the manifests"),
        Observed::Unusable { because } => fail(key, because.clone()),
        Observed::NoBranch { branch } => fail(key, format!("{} has no {branch}; create it first", intent.repo)),
        Observed::Branch(branch) => on_branch(key, intent, &image, branch),
    }
}

fn on_branch(key: &Key, intent: &Intent, image: &ImageRef, branch: &Branch) -> Next<Entry, Act> {
    if let Some(past) = branch.bumps.iter().find(|past| past.run == key.run && past.image == intent.image) {
        return met(key, &past.commit, ChangedFiles::Yes, &[]);
    }
    if let Some(newer) = newer(key, image, branch) {
        let because = format!("{} has bumped {} to {} already", newer.run, image.name(), newer.image);
        return answer(key, Response::Superseded { because: because.clone() }, because);
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
        return met(key, &branch.head, ChangedFiles::No, &report.warnings);
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
enum ChangedFiles {
    Yes,
    No,
}

fn met(key: &Key, commit: &str, changed: ChangedFiles, warnings: &[String]) -> Next<Entry, Act> {
    let mut outputs = Map::new();
    outputs.insert("commit".into(), commit.into());
    outputs.insert("changed".into(), if changed == ChangedFiles::Yes { "true" } else { "false" }.into());
    if !warnings.is_empty() {
        outputs.insert("warning".into(), warnings.join("; ").into());
    }
    let because = match changed {
        ChangedFiles::Yes => format!("the manifests name the image since {}", short(commit)),
        ChangedFiles::No => format!("the manifests name the image already, at {}", short(commit)),
    };
    answer(key, Response::Met { outputs: Value::Object(outputs) }, because)
}

fn fail(key: &Key, because: String) -> Next<Entry, Act> {
    answer(key, Response::Failed { because: because.clone(), transient: false }, because)
}

fn answer(key: &Key, answer: Response, because: String) -> Next<Entry, Act> {
    let record = vec![Entry::Answered { key: key.clone(), answer }];
    // Another request may be open; the next turn finds none, and ends.
    Next { record, ..Next::done(Wake::Now, because) }
}
