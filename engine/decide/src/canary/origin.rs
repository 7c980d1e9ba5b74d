//! What becomes of git after a retreat. The Application that brought the
//! Rollout says which way; until somebody has gone it, git names an image
//! that does not serve.

use super::Move;
use super::entry::Entry;
use super::look::Look;
use super::recorded::{Recorded, State};
use crate::bump::{Swap, name_of};
use crate::next::{Next, Wake};
use crate::revert::{How, Intent, Outcome};
use crate::sync::application::{self, Maker, OnAbort, Ownership, Source};
use crate::sync::{object, tracking};
use serde_json::Value;

/// Who brought a Rollout, as far as anything depends on it.
#[derive(Clone, Debug, PartialEq)]
pub enum Origin {
    /// Nobody asked.
    NotAsked,
    /// It is not known, or is nobody's; as a sentence with the mend.
    Unknown(String),
    /// An Application of ours.
    Application {
        /// Its name.
        name: String,
        /// Where its manifests are.
        source: Source,
        /// What it says about retreats, or the mistake in that.
        on_abort: Result<OnAbort, String>,
    },
}

/// The name of the Application that brought a Rollout.
pub fn application_of(rollout: &Value) -> Option<&str> {
    tracking::tracked_by(rollout)
}

/// Finds the Application among all of the cluster; `None` where nobody looked.
pub(super) fn read(rollout: &Value, applications: Option<Result<Vec<Value>, String>>) -> Origin {
    let Some(applications) = applications else { return Origin::NotAsked };
    let Some(name) = application_of(rollout) else {
        return Origin::Unknown("no Application has brought this Rollout; put the image back in git by hand".into());
    };
    let all = match applications {
        Ok(all) => all,
        Err(because) => return Origin::Unknown(format!("the Applications cannot be read: {because}")),
    };
    let mut named = all.iter().filter(|one| object::name(one) == name);
    let application = match (named.next(), named.next()) {
        (Some(only), None) => only,
        (None, _) => return Origin::Unknown(format!("the Application `{name}` is not there")),
        (Some(_), Some(_)) => return Origin::Unknown(format!("there are several Applications `{name}`; rename one")),
    };
    if application::ownership(application) == Ownership::Observed {
        return Origin::Unknown(format!("the Application `{name}` is only observed: `bespin take {name}`"));
    }
    match application::read(application) {
        Ok(read) => Origin::Application {
            name: name.to_owned(),
            source: read.source,
            on_abort: application::on_abort(application),
        },
        Err(because) => Origin::Unknown(because),
    }
}

/// Promises that git will be put back, once for each retreat.
pub(super) fn put_back(look: &Look) -> Option<Move> {
    let State::Retreated { because, .. } = &look.walk.state else { return None };
    let Origin::Application { source, on_abort: Ok(on_abort), .. } = &look.live.origin else { return None };
    // Which text of which file becomes the image is known to the plugin alone.
    let Maker::Files(depth) = &source.maker else { return None };
    let how = match on_abort {
        OnAbort::Hold => return None,
        OnAbort::PullRequest => How::PullRequest,
        OnAbort::Revert => How::Revert,
    };
    let images = swaps(look);
    if images.is_empty() || look.recorded.undoing().is_some() {
        return None;
    }
    let target = source.target_revision.as_str();
    let intent = Intent {
        how,
        rollout: look.live.place.clone(),
        repo: source.repo_url.clone(),
        branch: (target != "HEAD").then(|| target.strip_prefix("refs/heads/").unwrap_or(target).to_owned()),
        path: source.path.clone(),
        depth: *depth,
        images,
        because: because.clone(),
    };
    let told = intent.told(None);
    Some(Next { record: vec![Entry::PuttingBack { intent: Box::new(intent) }], ..Next::progressing(Wake::Now, told) })
}

/// Ends a promise about git with the care for its rollout: whatever follows in
/// git is a person's matter, and must not depend on when the server starts.
pub(super) fn let_go(recorded: &Recorded, because: &str) -> Option<Move> {
    let undo = recorded.promised()?;
    let outcome = Outcome::Dropped { because: because.to_owned() };
    let told = undo.intent.told(Some(&outcome));
    Some(Next { record: vec![Entry::PutBack { since: undo.since, outcome }], ..Next::progressing(Wake::Now, told) })
}

/// Each image of the version that retreated, with the stable version's in its place.
fn swaps(look: &Look) -> Vec<Swap> {
    let Some(stable) = &look.recorded.stable else { return Vec::new() };
    let known = look.live.set(&stable.hash).map(|set| set.images.clone());
    let good = known.unwrap_or_else(|| vec![stable.image.clone()]);
    let bad: Vec<&String> = look.walk.images.iter().filter(|image| !good.contains(image)).collect();
    let mut good: Vec<&String> = good.iter().filter(|i| !i.is_empty() && !look.walk.images.contains(i)).collect();
    let mut swaps = Vec::new();
    for from in &bad {
        // A name of its own leads to the image; where only one has changed, it may have changed its name.
        let same = good.iter().position(|to| name_of(to) == name_of(from));
        let only = (bad.len() == 1 && good.len() == 1).then_some(0);
        if let Some(at) = same.or(only) {
            let swap = Swap { from: (*from).clone(), to: good.remove(at).clone() };
            if swaps.iter().all(|known: &Swap| known.from != swap.from) {
                swaps.push(swap);
            }
        }
    }
    swaps
}

/// How git stands to a retreat, in a condition's terms.
pub(super) struct Told {
    /// `True` once nobody has to do anything about git but merge.
    pub status: &'static str,
    /// In one word.
    pub reason: &'static str,
    /// As part of a sentence.
    pub text: String,
}

/// How git stands after a retreat; `None` where there was none.
pub(super) fn told(look: &Look) -> Option<Told> {
    let State::Retreated { .. } = &look.walk.state else { return None };
    let told = |status, reason, text| Some(Told { status, reason, text });
    if let Some(undo) = look.recorded.undoing() {
        let text = undo.intent.told(undo.outcome.as_ref());
        return match &undo.outcome {
            None => told("Unknown", "PuttingBack", text),
            Some(Outcome::Clean { .. }) => told("True", "Reverted", text),
            Some(Outcome::Requested { .. }) => told("True", "PullRequest", text),
            Some(Outcome::Pushed { .. }) => told("True", "BranchPushed", text),
            Some(Outcome::Overtaken) => told("True", "Overtaken", text),
            Some(Outcome::Dropped { .. }) => told("False", "Dropped", text),
            Some(Outcome::Failed { .. }) => told("False", "Failed", text),
        };
    }
    let bad = look.walk.images.first().map_or("", String::as_str);
    let still = |why: &str| format!("git still names {bad}: {why}");
    match &look.live.origin {
        Origin::NotAsked => None,
        Origin::Unknown(because) => told("False", "Unknown", still(because)),
        Origin::Application { on_abort: Err(mistake), .. } => told("False", "Held", still(mistake)),
        Origin::Application { on_abort: Ok(OnAbort::Hold), name, .. } => {
            let why = format!("the Application `{name}` says {}: hold", application::ON_ABORT);
            told("False", "Held", still(&why))
        }
        Origin::Application { source: Source { maker: Maker::Plugin(generator), .. }, .. } => {
            let why = format!("the plugin `{}` makes the manifests, so put it back by hand", generator.name);
            told("False", "Generated", still(&why))
        }
        Origin::Application { .. } => {
            let why = "what has changed is no image, or there is none before it; put it back by hand";
            told("False", "NoImage", still(why))
        }
    }
}
