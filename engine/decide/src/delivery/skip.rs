//! Commits that start nothing: those whose message asks for it, and Bespin's own.

use super::entry::{Push, Received, Reference, Source};
use super::observed::Context;
use crate::bump::RUN_TRAILER;
use crate::revert::REVERTS_TRAILER;
use pipeline::{OwnCommits, Pipeline};

/// What keeps a push or a pull request from starting anything. Source: GitHub's documentation, "Skipping workflow runs".
const MARKS: [&str; 5] = ["[skip ci]", "[ci skip]", "[no ci]", "[skip actions]", "[actions skip]"];
/// The trailer that does the same, when it is `true`.
const SKIP_TRAILER: &str = "skip-checks";

/// Why the commits of a delivery start nothing, if they do not; `pipeline` is absent where its file has mistakes.
pub(super) fn starts_nothing(received: &Received, context: &Context, pipeline: Option<&Pipeline>) -> Option<String> {
    let head = &context.commit.message;
    let Received::Push(push) = received else { return marked(head).map(says) };
    let own = pipeline.and_then(|pipeline| pipeline.on.push.as_ref()).map(|push| push.own_commits);
    let minds_own = is_branch(push) && own.unwrap_or_default() == OwnCommits::Ignore;
    let is_own = |message: &str| minds_own && is_own(message);
    let all = |is_quiet: &dyn Fn(&str) -> bool| {
        is_quiet(head) && !context.brought.is_empty() && context.brought.iter().all(|message| is_quiet(message))
    };
    // What was found may have been several pushes, each with a head of its own.
    let several = push.source == Source::Heads;
    let either = |message: &str| is_own(message) || marked(message).is_some();
    match marked(head) {
        Some(mark) if !several || all(&either) => Some(says(mark)),
        _ if all(&is_own) => Some(format!(
            "its commits are Bespin's own, by their trailer `{RUN_TRAILER}`; `own-commits: run` takes them as well"
        )),
        _ if several && all(&either) => {
            Some("each of its commits is Bespin's own, or asks to start nothing".to_owned())
        }
        _ => None,
    }
}

/// Whether it depends on every commit that a delivery brought, beside its head, what it starts.
pub fn depends_on_all(received: &Received, head: &str) -> bool {
    let Received::Push(push) = received else { return false };
    (is_branch(push) && is_own(head)) || (push.source == Source::Heads && marked(head).is_some())
}

fn is_branch(push: &Push) -> bool {
    matches!(push.short_reference(), Some(Reference::Branch(_)))
}

fn says(mark: &str) -> String {
    format!("its commit's message says `{mark}`")
}

/// What in a message asks to start nothing.
fn marked(message: &str) -> Option<&'static str> {
    let lower = message.to_ascii_lowercase();
    let mark = MARKS.into_iter().find(|mark| lower.contains(mark));
    mark.or_else(|| {
        trailers(message)
            .any(|(name, value)| is(name, SKIP_TRAILER) && is(value, "true"))
            .then_some("skip-checks: true")
    })
}

/// Whether a bump or a revert of ours made the commit.
fn is_own(message: &str) -> bool {
    trailers(message).any(|(name, _)| is(name, RUN_TRAILER) || is(name, REVERTS_TRAILER))
}

fn is(text: &str, word: &str) -> bool {
    text.eq_ignore_ascii_case(word)
}

/// The trailers of a message: the lines of its last paragraph, unless that is its subject.
fn trailers(message: &str) -> impl Iterator<Item = (&str, &str)> {
    let mut lines = message.trim().lines().rev().peekable();
    let mut last: Vec<&str> = Vec::new();
    while let Some(line) = lines.next_if(|line| !line.trim().is_empty()) {
        last.push(line);
    }
    if lines.peek().is_none() {
        last.clear();
    }
    let parts = last.into_iter().rev().filter_map(|line| line.split_once(':'));
    parts.map(|(name, value)| (name.trim(), value.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_asks_to_start_nothing() {
        for message in
            ["Fix it [skip ci]", "[CI skip] words", "x\n\nbody\n[no ci]", "a [skip actions]", "[actions skip]"]
        {
            assert!(marked(message).is_some(), "{message}");
        }
        assert_eq!(marked("Words\n\nBody.\n\n\nskip-checks:true\n"), Some("skip-checks: true"));
        for message in
            ["Fix it", "skip ci", "x\n\nskip-checks: false", "skip-checks: true", "a\n\nskip-checks: true\n\nb"]
        {
            assert_eq!(marked(message), None, "{message}");
        }
    }

    #[test]
    fn our_own_commits_are_known_by_their_trailer() {
        let bump = "Bump was to v56\n\nBespin-Run: user/petclinic/was/56\nBespin-Step: bump\n";
        assert!(is_own(bump));
        assert!(is_own("Put was back\n\nThe rollout was aborted\n\nBespin-Reverts: host/was:v56\n"));
        for message in
            [format!("Revert it\n\n{bump}\n\nIt was bad.\n"), "Bespin-Run: a subject".into(), "Fix it".into()]
        {
            assert!(!is_own(&message), "{message}");
        }
    }
}
