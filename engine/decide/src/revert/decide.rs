//! The rules of a revert.

use super::messages::{body, message, subject};
use super::{AbortStatus, Aside, Branch, Entry, Folder, Git, How, Observed, Outcome, Promised, Request};
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
    /// Write into the rollout's journal how it ended.
    Answer {
        /// The moment of the promise that is answered, in ms since the epoch.
        since: Timestamp,
        /// How the promise ended.
        outcome: Outcome,
    },
}

pub(super) type Move = Next<Entry, Act>;

/// Decides the next move. The clock has no say in it.
pub fn decide(observed: &Observed, _now: Timestamp) -> Next<Entry, Act> {
    let Observed::Promised(promised) = observed else {
        return Next::done(Wake::Never, "git is as the rollout left it");
    };
    match &promised.git {
        Git::Unusable { because } => fail(promised, because.clone()),
        Git::NoBranch { branch } => {
            let repo = &promised.intent.repo;
            fail(promised, format!("{repo} has no {branch} that a commit could go to; put the image back by hand"))
        }
        Git::Branch(branch) => on_branch(promised, branch),
    }
}

fn on_branch(promised: &Promised, branch: &Branch) -> Move {
    let intent = &promised.intent;
    let report = match read(&branch.files, &intent.images) {
        Ok(report) => report,
        Err(because) => return fail(promised, because),
    };
    if report.files.is_empty() {
        return answer(promised, Outcome::Clean { commit: branch.head.clone() });
    }
    if promised.abort == AbortStatus::No {
        return answer(promised, Outcome::Overtaken);
    }
    match (intent.how, &branch.aside) {
        (How::Revert, _) => commit(promised, branch, report, &branch.name),
        (How::PullRequest, Aside::Absent) => commit(promised, branch, report, &intent.aside()),
        (How::PullRequest, Aside::There { files }) => match read(files, &intent.images) {
            Ok(aside) if aside.files.is_empty() => request(promised, branch),
            Ok(_) => {
                let because = format!("its branch `{}` names that image, too; delete the branch", intent.aside());
                fail(promised, because)
            }
            Err(because) => fail(promised, because),
        },
    }
}

fn read(files: &Result<Folder, String>, images: &[Swap]) -> Result<Report, String> {
    files.as_ref().map_err(Clone::clone)?.put_back(images)
}

fn commit(promised: &Promised, branch: &Branch, report: Report, onto: &str) -> Move {
    let intent = &promised.intent;
    if let Some(refused) = &branch.refused {
        return fail(promised, format!("{} refuses the push to `{onto}`: {refused}", intent.repo));
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

fn request(promised: &Promised, branch: &Branch) -> Move {
    let intent = &promised.intent;
    let by_hand = format!("open a pull request from it into `{}`, or merge it", branch.name);
    let pushed = |because: String| Outcome::Pushed { branch: intent.aside(), because };
    match &branch.request {
        Request::Open { url } => answer(promised, Outcome::Requested { url: url.clone() }),
        Request::NoApi => answer(promised, pushed(by_hand)),
        Request::Refused { because } => {
            answer(promised, pushed(format!("{by_hand}, for the forge did not take one from Bespin: {because}")))
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

fn fail(promised: &Promised, because: String) -> Move {
    answer(promised, Outcome::Failed { because })
}

fn answer(promised: &Promised, outcome: Outcome) -> Move {
    let told = promised.intent.told(Some(&outcome));
    let mut next = Next::done(Wake::Now, told);
    if matches!(outcome, Outcome::Failed { .. }) {
        next.status.phase = Phase::Blocked;
    }
    next.acts.push(Act::Answer { since: promised.since, outcome });
    next
}
