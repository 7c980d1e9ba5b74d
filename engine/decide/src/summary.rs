//! What stays of a stream that goes on for as long as its object is there: a summary from which it is read, and the
//! entries before it that people still look for.

use crate::by::By;
use crate::request::{Ledger, Requests};
use std::collections::BTreeSet;

/// How many entries after a summary make the next one due.
pub const DUE: usize = 400;
/// How many syncs of an application, or versions of a rollout, stay to be read, the newest.
const NEWEST: usize = 20;

/// How many entries stay at the most, beside those of people and of who waits: an application that is only asked for
/// begins no sync.
const MOST: usize = 4_000;

/// The entries of a stream that has summaries.
pub trait Endless: Requests {
    /// Whether a sync, or a version's progress, begins with this entry.
    fn begins(&self) -> bool;
}

/// One entry at its place in its stream.
#[derive(Clone, Copy, Debug)]
pub struct NumberedEntry<'a, E> {
    /// Its place in the stream, from 0.
    pub index: u64,
    /// Its author: entries by people stay before a summary.
    pub by: &'a By,
    /// The entry, as its stage reads it.
    pub entry: &'a E,
}

/// The indexes of the entries that stay before a summary: those since the twentieth sync or version before it, those
/// of people, and those about requests without a response.
pub fn kept<E: Endless>(entries: &[NumberedEntry<'_, E>]) -> Vec<u64> {
    let begun = entries.iter().rev().filter(|numbered| numbered.entry.begins()).map(|numbered| numbered.index);
    let bound = entries.iter().rev().nth(MOST - 1).map_or(0, |numbered| numbered.index);
    let newest = begun.take(NEWEST).last().unwrap_or(0).max(bound);
    let ledger = Ledger::fold(entries.iter().map(|numbered| numbered.entry));
    let open: BTreeSet<_> = ledger.open().map(|request| &request.key).collect();
    let stays = |numbered: &&NumberedEntry<'_, E>| {
        let is_asked = numbered.entry.key().is_some_and(|key| open.contains(key));
        numbered.index >= newest || matches!(numbered.by, By::Person(_)) || is_asked
    };
    entries.iter().filter(stays).map(|numbered| numbered.index).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::request::{Key, Response};
    use crate::sync::{Cause, Entry, Intent, Outcome, Revision};

    #[test]
    fn the_newest_syncs_the_people_and_who_still_waits_stay() {
        let revision = || Revision::from("a".repeat(40));
        let wanted = Entry::Wanted {
            key: Key { run: "a/b/c/1".into(), step: "sync".into() },
            intent: Intent { revision: revision() },
        };
        let mut entries = vec![(By::Run("a/b/c/1#sync".into()), wanted), (By::Person("ada".into()), Entry::Asked)];
        for _ in 0..100 {
            let (revision, parameters, cause) = (revision(), String::new(), Cause::Automated);
            entries.push((By::Server, Entry::Syncing { revision, parameters, cause }));
            let (revision, parameters, outcome) = (self::tests::revision(), String::new(), Outcome::Succeeded);
            entries.push((By::Server, Entry::Synced { revision, parameters, outcome }));
        }
        let numbered: Vec<_> =
            entries.iter().enumerate().map(|(n, (by, entry))| NumberedEntry { index: n as u64, by, entry }).collect();
        let expected: Vec<u64> = [0, 1].into_iter().chain(162..202).collect();
        assert_eq!(kept(&numbered), expected);
    }

    #[test]
    fn what_begins_nothing_does_not_stay_for_ever() {
        let key = |n: usize| Key { run: format!("a/b/c/{n}"), step: "sync".into() };
        let answer = Response::Met { outputs: serde_json::Value::Null };
        let asked = (0..10_000).flat_map(|n| {
            let intent = Intent { revision: revision() };
            [Entry::Wanted { key: key(n), intent }, Entry::Answered { key: key(n), answer: answer.clone() }]
        });
        let entries: Vec<Entry> = asked.collect();
        let numbered = entries.iter().enumerate();
        let numbered: Vec<_> =
            numbered.map(|(n, entry)| NumberedEntry { index: n as u64, by: &By::Server, entry }).collect();
        assert_eq!(kept(&numbered), (16_000..20_000).collect::<Vec<u64>>());
    }

    fn revision() -> Revision {
        Revision::from("a".repeat(40))
    }
}
