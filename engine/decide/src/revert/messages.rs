//! What git's readers are told about an abort.

use super::{Branch, How, Intent, Outcome, REVERTS_TRAILER, State};
use crate::bump::{IMAGE_TRAILER, RUN_TRAILER, Swap, name_of};
use crate::sync::application::ON_ABORT;

/// How much of a reason is told to other people's repositories, in characters.
const REASON: usize = 300;

impl Intent {
    /// The images that go and come, as people say them.
    pub fn spoken(&self) -> (String, String) {
        let list =
            |pick: fn(&Swap) -> &String| self.images.iter().map(|s| pick(s).as_str()).collect::<Vec<_>>().join(", ");
        (list(|swap| &swap.from), list(|swap| &swap.to))
    }

    /// What becomes of git, as part of a sentence.
    pub fn told(&self, outcome: Option<&Outcome>) -> String {
        let (from, to) = self.spoken();
        match outcome {
            None if self.how == How::Revert => format!("putting {to} back into {}", self.repo),
            None => format!("preparing a pull request for {} that puts {to} back", self.repo),
            Some(Outcome::Clean { commit }) => format!("git no longer names {from}, at {}", short(commit)),
            Some(Outcome::Requested { url }) => format!("git still names {from}; {url} puts {to} back"),
            Some(Outcome::Pushed { branch, because }) => {
                format!("git still names {from}; the branch `{branch}` of {} puts {to} back: {because}", self.repo)
            }
            Some(Outcome::Overtaken) => "another version came before git was put back".to_owned(),
            Some(Outcome::Dropped { because }) => {
                format!("git is left as it stands, for {because}; if it names {from}, put {to} back by hand")
            }
            // What could not be read may have been mended by somebody.
            Some(Outcome::Failed { because }) => format!("git may still name {from}: {because}"),
        }
    }
}

/// What is left to say once nothing is open.
pub(super) fn last_word(state: &State) -> String {
    match &state.intent {
        Some(intent) => intent.told(state.outcome.as_ref()),
        None => "no rollout has asked for a revert here".to_owned(),
    }
}

/// One line, such as `Put petclinic-was back to v55-f31bdcc`.
pub(super) fn subject(intent: &Intent) -> String {
    let Some(swap) = intent.images.first() else { return "Put the images back".into() };
    let name = name_of(&swap.to);
    let to = swap.to[name.len()..].trim_start_matches([':', '@']);
    let more = match intent.images.len() {
        0 | 1 => String::new(),
        n => format!(" and {} more", n - 1),
    };
    format!("Put {}{more} back to {to}", name.rsplit('/').next().unwrap_or(name))
}

/// The reason in one line: it may quote a pod, and a pod may say anything.
fn reason(intent: &Intent) -> String {
    let line = intent.because.chars().map(|c| if c.is_control() || c == '`' { ' ' } else { c });
    line.take(REASON).collect::<String>().trim().to_owned()
}

/// A commit's message, trailers included.
pub(super) fn message(intent: &Intent, branch: &Branch) -> String {
    let (from, to) = intent.spoken();
    let reason = reason(intent);
    let mut text = format!(
        "{}\n\nThe rollout of {} was aborted: {reason}\nGit named {from} until now.\n\n",
        subject(intent),
        intent.rollout
    );
    // The run by whose commit the image came, so that later bumps can tell which is the older one.
    let run = branch.bumps.iter().find(|past| intent.images.iter().any(|swap| swap.from == past.image));
    if let Some(past) = run {
        text.push_str(&format!("{RUN_TRAILER}: {}\n{IMAGE_TRAILER}: {to}\n", past.run));
    }
    text.push_str(&format!("{REVERTS_TRAILER}: {from}\n"));
    text
}

/// A pull request's text, in Markdown.
pub(super) fn body(intent: &Intent) -> String {
    let (from, to) = intent.spoken();
    format!(
        "The rollout of `{}` was aborted:\n\n```\n{}\n```\n\n\
         Git still names `{from}`, while `{to}` serves everything. Merging this makes git say so.\n\n\
         If the cause was elsewhere, a database for example, close this and press *Retry* on the rollout instead.\n\n\
         The Application's annotation `{ON_ABORT}` says what follows an abort: `pull-request` (as here), `revert` or \
         `hold`.\n",
        intent.rollout,
        reason(intent)
    )
}

pub(super) fn short(commit: &str) -> &str {
    commit.get(..7).unwrap_or(commit)
}
