//! What becomes of git after an abort. The Application that brought the Rollout says which way; until it was gone, git
//! names an image that does not serve.

use super::act::{Act, Move};
use super::application::Origin;
use super::context::Context;
use super::entry::Entry;
use super::progress::ProgressState;
use super::state::State;
use crate::annotations::ON_ABORT;
use crate::bump::{Swap, name_of};
use crate::next::{Next, Wake};
use crate::revert::{self, How, Intent, Outcome, Withdrawal};
use crate::sync::application::{Maker, OnAbort, Source};

/// Promises that git will be put back, once for each abort.
pub(super) fn put_back(context: &Context) -> Option<Move> {
    let ProgressState::Aborted { because, .. } = &context.progress.state else { return None };
    let Origin::Application { source, on_abort: Ok(on_abort), .. } = &context.observed.origin else { return None };
    // Which text of which file becomes the image is known to the plugin alone.
    let Maker::Files(depth) = &source.maker else { return None };
    let how = match on_abort {
        OnAbort::Hold => return None,
        OnAbort::PullRequest => How::PullRequest,
        OnAbort::Revert => How::Revert,
    };
    let images = swaps(context);
    // One promise at a time: an earlier one that was overtaken ends first.
    if images.is_empty() || context.state.undoing().is_some() || context.state.promised().is_some() {
        return None;
    }
    let target = source.target_revision.as_str();
    let intent = Intent {
        how,
        rollout: context.observed.place.clone(),
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

/// Writes down how a promise about git has ended, once its revert has answered; whosever the Rollout is by then.
pub(super) fn heard(state: &State, revert: &revert::State) -> Option<Move> {
    let undo = state.promised()?;
    let outcome = revert.outcome.clone()?;
    let told = undo.intent.told(Some(&outcome));
    Some(Next { record: vec![Entry::PutBack { since: undo.since, outcome }], ..Next::progressing(Wake::Now, told) })
}

/// Adds to a decision about a Rollout of ours that the promise about git is kept: by a revert, which is asked as long
/// as the abort is what the rollout is at.
pub(super) fn kept(state: &State, mut next: Move) -> Move {
    let Some(undo) = state.promised() else { return next };
    let (since, intent) = (undo.since, Box::new(undo.intent.clone()));
    let act = match state.undoing() {
        Some(_) if next.record.is_empty() => Act::AskRevert { since, intent },
        Some(_) => return next,
        // At once, before the revert changes git.
        None => Act::WithdrawRevert { since, intent, cause: Withdrawal::Overtaken },
    };
    // First: git does not wait for an API server that refuses something.
    next.acts.insert(0, act);
    next
}

/// Ends a promise about git with the care for its rollout: whatever follows in
/// git is a person's matter, and must not depend on when the server starts.
pub(super) fn let_go(state: &State, revert: &revert::State, because: &str) -> Option<Move> {
    let undo = state.promised()?;
    let (since, because) = (undo.since, because.to_owned());
    let outcome = Outcome::Dropped { because: because.clone() };
    let told = undo.intent.told(Some(&outcome));
    if revert.intent.is_none() {
        return Some(Next { record: vec![Entry::PutBack { since, outcome }], ..Next::progressing(Wake::Now, told) });
    }
    // Its answer says what has become of git until then.
    let (intent, cause) = (Box::new(undo.intent.clone()), Withdrawal::Dropped { because });
    let acts = vec![Act::WithdrawRevert { since, intent, cause }];
    Some(Next { acts, ..Next::progressing(Wake::OnChange, told) })
}

/// Each image of the version that was aborted, with the stable version's in its place.
fn swaps(context: &Context) -> Vec<Swap> {
    let Some(stable) = &context.state.stable else { return Vec::new() };
    let known = context.observed.set(&stable.hash).map(|set| set.images.clone());
    let good = known.unwrap_or_else(|| vec![stable.image.clone()]);
    let bad: Vec<&String> = context.progress.images.iter().filter(|image| !good.contains(image)).collect();
    let mut good: Vec<&String> =
        good.iter().filter(|i| !i.is_empty() && !context.progress.images.contains(i)).collect();
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

/// How git stands to an abort, in a condition's terms.
pub(super) struct GitStatus {
    /// `True` once nobody has to do anything about git but merge.
    pub status: &'static str,
    /// The condition's reason, in one word.
    pub reason: &'static str,
    /// As part of a sentence.
    pub text: String,
}

/// How git stands after an abort; `None` where there was none.
pub(super) fn git_status(context: &Context) -> Option<GitStatus> {
    let ProgressState::Aborted { .. } = &context.progress.state else { return None };
    let told = |status, reason, text| Some(GitStatus { status, reason, text });
    if let Some(undo) = context.state.undoing() {
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
    if let Some(undo) = context.state.promised() {
        let earlier = undo.intent.spoken().0;
        return told("Unknown", "PuttingBack", format!("the revert of {earlier} before this one has to end first"));
    }
    let bad = context.progress.images.first().map_or("", String::as_str);
    let still = |why: &str| format!("git still names {bad}: {why}");
    match &context.observed.origin {
        Origin::NotAsked => None,
        Origin::Unknown(because) => told("False", "Unknown", still(because)),
        Origin::Application { on_abort: Err(mistake), .. } => told("False", "Held", still(mistake)),
        Origin::Application { on_abort: Ok(OnAbort::Hold), name, .. } => {
            let why = format!("the Application `{name}` says {}: hold", ON_ABORT);
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
