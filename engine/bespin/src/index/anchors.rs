//! Where branches and tags stood since the journal was restored.

use std::collections::{HashMap, VecDeque};

/// How many commits of a branch or tag are known, the newest.
const MOST: usize = 100;

/// The commits by repository and full reference, each once, the newest last.
#[derive(Default)]
pub(super) struct Anchors(HashMap<(String, String), VecDeque<String>>);

impl Anchors {
    /// Whether a branch or tag stood at a commit.
    pub(super) fn stood(&self, repository: &str, reference: &str, commit: &str) -> bool {
        let stood = self.0.get(&(repository.to_owned(), reference.to_owned()));
        stood.is_some_and(|stood| stood.iter().any(|at| at == commit))
    }

    /// Takes in that it stands there.
    pub(super) fn note(&mut self, repository: String, reference: String, commit: String) {
        let stood = self.0.entry((repository, reference)).or_default();
        stood.retain(|at| *at != commit);
        if stood.len() >= MOST {
            stood.pop_front();
        }
        stood.push_back(commit);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_branch_goes_to_and_fro_between_takes_one_place_each() {
        let mut anchors = Anchors::default();
        let mut note = |commit: &str| anchors.note("o/r".into(), "refs/heads/main".into(), commit.into());
        note("first");
        for _ in 0..MOST {
            note("second");
            note("third");
        }
        let stood = |commit| anchors.stood("o/r", "refs/heads/main", commit);
        assert!(stood("first") && stood("second") && stood("third"));
        assert!(!stood("fourth") && !anchors.stood("o/r", "refs/heads/next", "first"));
    }
}
