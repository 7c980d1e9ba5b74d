//! Looks at a small repository, each with what the journal knows by then.

use super::*;
use crate::delivery::{Change, NOTHING, Paths, Push, Source};
use crate::next::{Phase, Timestamp, Wake};
use std::collections::BTreeMap;

const LONG_AGO: Timestamp = 1_000;
const NOW: Timestamp = LONG_AGO + SETTLE_MS;

fn id(commit: char) -> String {
    if commit == '0' { NOTHING.to_owned() } else { commit.to_string().repeat(40) }
}

/// Heads, each as `main=1`.
fn heads(text: &str) -> BTreeMap<String, String> {
    let parts = text.split_whitespace().map(|part| part.split_once('=').unwrap());
    parts.map(|(name, at)| (format!("refs/heads/{name}"), id(at.chars().next().unwrap()))).collect()
}

/// A journal of heads, and of deliveries that told of them, as the server's index folds both.
#[derive(Clone, Default)]
struct World {
    entries: Vec<Entry>,
    known: BTreeMap<String, Known>,
    git: BTreeMap<String, String>,
    opened: Vec<Push>,
    /// How many of the entries came with a backup.
    backup: usize,
    /// What deliveries of the backup had told of.
    formerly: Vec<&'static str>,
}

impl World {
    fn told(&mut self, text: &str, at: Timestamp) {
        for (name, to) in heads(text) {
            self.known.insert(name, Known { at: to, told_ms: Some(at) });
        }
    }

    fn observed(&self) -> Observed {
        let formerly = self.formerly.iter().map(|name| format!("refs/heads/{name}"));
        let is_unknown = |name: &String| !self.git.contains_key(name) && !self.known.contains_key(name);
        let formerly = formerly.filter(is_unknown).collect();
        let ways = self.known.keys().map(|name| (name.clone(), Way::Forward)).collect();
        Observed {
            repository: "user/petclinic".into(),
            hook: "default".into(),
            heads: self.git.clone(),
            known: self.known.clone(),
            formerly,
            ways,
            lost: Vec::new(),
            look: if self.entries.len() > self.backup { Look::Later } else { Look::First },
            jitter_ms: 7,
        }
    }

    fn turn(&mut self, now: Timestamp) -> Wake {
        let next = decide(&State::replay(&self.entries), &self.observed(), now);
        for entry in next.record {
            let seen = entry.heads().clone().into_iter();
            self.known.extend(seen.map(|(name, at)| (name, Known { at, told_ms: None })));
            self.entries.push(entry);
        }
        for act in next.acts {
            let Act::Open(push) = act else { panic!("{act:?}") };
            self.known.insert(push.reference.clone(), Known { at: push.after.clone(), told_ms: Some(now) });
            self.opened.push(*push);
        }
        next.wake
    }

    /// Looks until it rests; what was opened, as `main:1>2`.
    fn look(&mut self, git: &str, now: Timestamp) -> Vec<String> {
        self.git = heads(git);
        self.opened.clear();
        for _ in 0..5 {
            if self.turn(now) != Wake::Now {
                let short = |push: &Push| {
                    let name = push.reference.trim_start_matches("refs/heads/");
                    format!("{name}:{}>{}", &push.before[..1], &push.after[..1])
                };
                return self.opened.iter().map(short).collect();
            }
        }
        panic!("it does not rest: {:?}", self.opened)
    }
}

#[test]
fn the_first_look_opens_nothing_and_later_ones_what_moved_untold() {
    let mut world = World::default();
    assert!(world.look("main=1 next=2", NOW).is_empty());
    assert_eq!(world.entries, [Entry::Looked { heads: heads("main=1 next=2") }]);
    assert!(world.look("main=1 next=2", 2 * NOW).is_empty());
    assert_eq!(world.entries.len(), 1, "no news is not written down");
    assert_eq!(world.look("main=3 tip=4", 3 * NOW), ["main:1>3", "tip:0>4"]);
    assert_eq!(world.opened.iter().map(|push| push.change).collect::<Vec<_>>(), [Change::Forward, Change::New]);
    assert_eq!(world.entries[1..], [Entry::Moved { heads: heads("main=3 next=0 tip=4") }], "what is gone is noted");
    assert!(world.look("main=3 tip=4", 4 * NOW).is_empty());
    assert_eq!(world.look("main=3 next=2 tip=4", 5 * NOW), ["next:0>2"], "it was made again");
    let state = State::replay(&world.entries);
    assert_eq!(state.heads, Some(heads("main=3 next=2 tip=4")));
    let last = Entry::Moved { heads: heads("main=0") };
    let summary = [state.summary().unwrap(), last.clone()];
    assert_eq!(State::replay(&summary), State::replay(world.entries.iter().chain([&last])));
    assert_eq!(State::default().summary(), None);
}

#[test]
fn after_a_backup_everything_begins_anew() {
    let mut world = World::default();
    world.look("main=1 next=2", NOW);
    // What came with the backup says nothing of where the heads stood last.
    (world.backup, world.known) = (1, BTreeMap::new());
    assert!(world.look("main=3 tip=4", 2 * NOW).is_empty());
    assert_eq!(world.entries[1..], [Entry::Looked { heads: heads("main=3 tip=4") }]);
    assert_eq!(world.look("main=5 tip=4", 3 * NOW), ["main:3>5"]);
}

#[test]
fn what_a_first_look_does_not_show_is_gone() {
    let mut world = World { formerly: vec!["main", "v1"], ..World::default() };
    world.told("next=2", LONG_AGO);
    assert!(world.look("", NOW).is_empty(), "a listing without any head says nothing");
    assert!(world.entries.is_empty());
    assert!(world.look("main=3", NOW).is_empty());
    assert_eq!(world.entries, [Entry::Looked { heads: heads("main=3 next=0 v1=0") }]);
    assert_eq!(State::replay(&world.entries).heads, Some(heads("main=3")));
    assert_eq!(world.look("main=3 v1=4", 2 * NOW), ["v1:0>4"], "it was made again");
}

#[test]
fn what_a_delivery_told_is_noted_and_not_opened() {
    let mut world = World::default();
    world.told("main=1", LONG_AGO);
    assert_eq!(world.look("main=2 next=5", NOW), ["main:1>2"], "a delivery has seen it, and none told of the rest");
    world.told("main=3", NOW);
    assert!(world.look("main=3 next=5", NOW).is_empty());
    world.told("main=4", NOW);
    world.told("main=3", NOW);
    assert!(world.look("main=3 next=5", 2 * NOW).is_empty());
    world.told("main=6", 2 * NOW);
    assert_eq!(world.look("main=3 next=5", 3 * NOW), ["main:6>3"], "it was set back, and nobody told");
}

#[test]
fn what_was_told_a_moment_ago_may_be_shown_late() {
    let mut world = World::default();
    world.look("main=1", NOW);
    for told in ["main=2", "new=3"] {
        world.told(told, 2 * NOW);
    }
    world.git = heads("main=1");
    let entries = world.entries.clone();
    for now in [2 * NOW, 2 * NOW + SETTLE_MS - 1, 2 * NOW - 5] {
        assert_eq!(world.turn(now), Wake::At(now + SETTLE_MS / 2));
    }
    assert_eq!((&world.entries, world.opened.len()), (&entries, 0));
    assert_eq!(world.look("main=1", 2 * NOW + SETTLE_MS), ["main:2>1"]);
    assert_eq!(world.entries.last(), Some(&Entry::Moved { heads: heads("new=0") }));
}

#[test]
fn what_nobody_took_is_asked_for_after_the_first_look() {
    let lost = Lost { hook: 7, attempt: 9, delivery: "d".into() };
    let mut world = World { git: heads("main=1"), ..World::default() };
    let at = |world: &World| {
        let observed = Observed { lost: vec![lost.clone()], ..world.observed() };
        decide(&State::replay(&world.entries), &observed, NOW)
    };
    assert!(at(&world).acts.is_empty(), "what happened before it is of no interest");
    world.look("main=1", NOW);
    let next = at(&world);
    let asks = (vec![Act::AskAgain(lost.clone())], Wake::At(NOW + SETTLE_MS));
    assert_eq!((next.acts, next.wake), asks);
    world.git = heads("main=3");
    let next = at(&world);
    assert_eq!((next.acts, next.wake), asks, "the pushes that led there come first, in their order");
}

#[test]
fn a_repository_without_heads_says_nothing() {
    let mut world = World::default();
    world.look("main=1", NOW);
    world.git.clear();
    let next = decide(&State::replay(&world.entries), &world.observed(), 2 * NOW);
    assert_eq!((next.record, next.acts, next.status.phase), (Vec::new(), Vec::new(), Phase::Waiting));
    assert!(World::default().look("", NOW).is_empty());
}

#[test]
fn what_is_found_goes_the_way_of_every_delivery() {
    let mut world = World::default();
    world.look("main=1", NOW);
    let deep = format!("deep/{}=2 deep-{}=2", "x".repeat(80), "x".repeat(80));
    world.look(&format!("main=2 {deep}"), 2 * NOW);
    let ids: Vec<&str> = world.opened.iter().map(|push| push.delivery.as_str()).collect();
    assert_eq!(ids.iter().collect::<std::collections::BTreeSet<_>>().len(), 3, "{ids:?}");
    for push in &world.opened {
        let is_id = push.delivery.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        assert!(is_id && push.delivery.len() <= 100, "{}", push.delivery);
        assert_eq!((push.hook.as_str(), push.source), ("default", Source::Heads));
        assert!(matches!(push.paths, Paths::Compare { .. }));
    }
    let json = serde_json::to_value(&world.opened[0]).unwrap();
    assert_eq!(json["source"], "heads");
    assert_eq!(serde_json::from_value::<Push>(json).unwrap(), world.opened[0]);
}

/// Dies after each turn, and within each turn after each of its acts.
#[test]
fn cut_anywhere_everything_is_opened_once() {
    let mut before = World::default();
    before.look("main=1 next=2", NOW);
    before.git = heads("main=3 next=4 tip=5");
    let whole = |world: &mut World| {
        while world.turn(2 * NOW) == Wake::Now {}
        let mut opened: Vec<String> = world.opened.iter().map(|push| push.reference.clone()).collect();
        opened.sort();
        (opened, world.entries.clone())
    };
    let expected = whole(&mut before.clone());
    assert_eq!(expected.0.len(), 3);
    for acts in 0..4 {
        let mut cut = before.clone();
        cut.opened.clear();
        let next = decide(&State::replay(&cut.entries), &cut.observed(), 2 * NOW);
        for act in next.acts.into_iter().take(acts) {
            let Act::Open(push) = act else { panic!("{act:?}") };
            cut.known.insert(push.reference.clone(), Known { at: push.after.clone(), told_ms: Some(2 * NOW) });
            cut.opened.push(*push);
        }
        assert_eq!(whole(&mut cut), expected, "cut after {acts} acts");
    }
}
