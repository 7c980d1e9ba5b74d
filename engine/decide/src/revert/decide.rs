//! The rules of a revert.

use super::messages::{body, last_word, message, subject};
use super::{Aside, Branch, Entry, Folder, How, Intent, Observed, Outcome, Request, State, Withdrawal};
use crate::bump::{Report, Swap};
use crate::next::{Next, Phase, Timestamp, Wake};

/// What may be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Commit these files on top of `parent` and push, unless the branch moved.
    Commit {
        /// The branch's short name.
        branch: String,
        /// The full id of the commit that the new one follows.
        parent: String,
        /// Whole new texts, by path.
        files: Vec<(String, String)>,
        /// The message, trailers included.
        message: String,
    },
    /// Open a pull request.
    Request {
        /// The branch that it merges.
        head: String,
        /// The branch that it merges into.
        base: String,
        /// The pull request's title, one line.
        title: String,
        /// Its text, in Markdown.
        body: String,
    },
    /// Have the rollout that asked look at the answer.
    Notify,
}

pub(super) type Move = Next<Entry, Act>;

/// Decides the next move. The clock has no say in it.
pub fn decide(state: &State, observed: &Observed, _now: Timestamp) -> Next<Entry, Act> {
    let Some(intent) = state.open() else { return Next::done(Wake::Never, last_word(state)) };
    if let Some(Withdrawal::Dropped { because }) = &state.withdrawn {
        return answer(intent, Outcome::Dropped { because: because.clone() });
    }
    match observed {
        Observed::Nothing => Next::waiting(Wake::Now, "looking at the manifests"),
        Observed::Unusable { because } => fail(intent, because.clone()),
        Observed::NoBranch { branch } => {
            let repo = &intent.repo;
            fail(intent, format!("{repo} has no {branch} that a commit could go to; put the image back by hand"))
        }
        Observed::Branch(branch) => on_branch(state, intent, branch),
    }
}

fn on_branch(state: &State, intent: &Intent, branch: &Branch) -> Move {
    let report = match read(&branch.files, &intent.images) {
        Ok(report) => report,
        Err(because) => return fail(intent, because),
    };
    // Also when it is overtaken: that may be by the very commit which put the image back.
    if report.files.is_empty() {
        return answer(intent, Outcome::Clean { commit: branch.head.clone() });
    }
    if state.standing().is_none() {
        return answer(intent, Outcome::Overtaken);
    }
    match (intent.how, &branch.aside) {
        (How::Revert, _) => commit(intent, branch, report, &branch.name),
        (How::PullRequest, Aside::Absent) => commit(intent, branch, report, &intent.aside()),
        (How::PullRequest, Aside::There { files }) => match read(files, &intent.images) {
            Ok(aside) if aside.files.is_empty() => request(intent, branch),
            Ok(_) => {
                let because = format!("its branch `{}` names that image, too; delete the branch", intent.aside());
                fail(intent, because)
            }
            Err(because) => fail(intent, because),
        },
    }
}

fn read(files: &Result<Folder, String>, images: &[Swap]) -> Result<Report, String> {
    files.as_ref().map_err(Clone::clone)?.put_back(images)
}

fn commit(intent: &Intent, branch: &Branch, report: Report, onto: &str) -> Move {
    if let Some(refused) = &branch.refused {
        return fail(intent, format!("{} refuses the push to `{onto}`: {refused}", intent.repo));
    }
    let places = report.edits.iter().map(|edit| edit.place()).collect::<Vec<_>>().join(", ");
    let because = format!("putting {} back into {places} on `{onto}`", intent.spoken().1);
    let act = Act::Commit {
        branch: onto.to_owned(),
        parent: branch.head.clone(),
        files: report.files,
        message: message(intent, branch),
    };
    Next { acts: vec![act], ..Next::progressing(Wake::Now, because) }
}

fn request(intent: &Intent, branch: &Branch) -> Move {
    let by_hand = format!("open a pull request from it into `{}`, or merge it", branch.name);
    let pushed = |because: String| Outcome::Pushed { branch: intent.aside(), because };
    match &branch.request {
        Request::Open { url } => answer(intent, Outcome::Requested { url: url.clone() }),
        Request::NoApi => answer(intent, pushed(by_hand)),
        Request::Refused { because } => {
            answer(intent, pushed(format!("{by_hand}, for the forge did not take one from Bespin: {because}")))
        }
        Request::Absent => {
            let act = Act::Request {
                head: intent.aside(),
                base: branch.name.clone(),
                title: subject(intent),
                body: body(intent),
            };
            Next {
                acts: vec![act],
                ..Next::progressing(Wake::Now, format!("opening a pull request in {}", intent.repo))
            }
        }
    }
}

fn fail(intent: &Intent, because: String) -> Move {
    answer(intent, Outcome::Failed { because })
}

fn answer(intent: &Intent, outcome: Outcome) -> Move {
    let mut next = Next::done(Wake::Now, intent.told(Some(&outcome)));
    if matches!(outcome, Outcome::Failed { .. }) {
        next.status.phase = Phase::Blocked;
    }
    // A rollout that is not told looks by itself after a restart.
    Next { record: vec![Entry::Answered { outcome }], acts: vec![Act::Notify], ..next }
}
