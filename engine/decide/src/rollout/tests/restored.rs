//! The journal is restored from yesterday's backup, or begun anew, while the cluster went on.

use super::super::*;
use super::safety::{nonsense, write};
use super::world::World;
use crate::by::By;

const V55: &str = "was:v55-f31bdcc";
const V56: &str = "was:v56-0a1b2c3";
const V57: &str = "was:v57-9f8e7d6";
const V58: &str = "was:v58-1111111";

/// At the pause after a weight of this image.
fn at_weight(world: &mut World, image: &str, weight: u32) {
    world.run_until(|world| {
        let progress = world.state().progress;
        world.served() == Some(weight)
            && progress.is_some_and(|progress| progress.images == [image] && progress.paused_since.is_some())
    });
    assert_eq!(world.served(), Some(weight), "{:?}", world.said);
}

fn stable(world: &World) -> String {
    world.state().stable.unwrap().hash
}

/// V55 is yesterday's stable version; V56 was promoted since, and V57 is at half of the traffic. What is left of the
/// journal are so many of yesterday's entries.
fn restored(all_of_yesterday: bool) -> (World, String) {
    let mut world = World::seed();
    world.deploy(V55);
    world.settle();
    let yesterday = world.journal.len();
    world.deploy(V56);
    world.settle();
    let before = stable(&world);
    world.deploy(V57);
    at_weight(&mut world, V57, 50);
    give_back(&mut world, if all_of_yesterday { yesterday } else { 0 });
    (world, before)
}

/// The journal is lost, and so many of its first entries come with a backup.
fn give_back(world: &mut World, entries: usize) {
    world.journal.truncate(entries);
    world.restored = entries;
    world.weights.clear();
    world.outcomes = Default::default();
}

#[test]
fn a_backup_of_any_moment_of_a_canary_takes_nothing_back() {
    [World::seed(), World::basic(2)].into_iter().for_each(promoted_since_the_backup);
}

fn promoted_since_the_backup(mut world: World) {
    world.deploy(V55);
    world.settle();
    let first = world.journal.len();
    world.deploy(V56);
    world.settle();
    let (all, before) = (world.journal.len(), stable(&world));
    assert!(all - first > 10, "each of the canary's entries is tried");
    for entries in first..all {
        let mut world = world.clone();
        give_back(&mut world, entries);
        world.settle();
        assert!(world.weights.is_empty(), "{entries} of {all}: no traffic moves: {:?}", world.weights);
        assert_eq!((stable(&world), world.running()), (before.clone(), vec![(V56.to_owned(), 2)]), "{entries}");
        world.deploy(V57);
        world.settle();
        assert_eq!(world.running(), [(V57.to_owned(), 2)], "{entries}: the next version is deployed");
    }
}

#[test]
fn a_backup_of_any_moment_leaves_a_later_step_and_an_abort_as_they_are() {
    for aborted in [false, true] {
        let mut world = World::seed();
        world.deploy(V55);
        world.settle();
        let first = world.journal.len();
        world.deploy(V56);
        at_weight(&mut world, V56, 50);
        if aborted {
            world.ask(Action::Abort);
            world.settle();
        }
        let (all, before) = (world.journal.len(), stable(&world));
        for entries in first..all {
            let mut world = world.clone();
            give_back(&mut world, entries);
            world.turn();
            world.turn();
            assert_eq!((stable(&world), world.state().is_aborted()), (before.clone(), aborted), "{entries} of {all}");
            world.settle();
            let (weights, runs) = if aborted { (Vec::new(), V55) } else { (vec![75, 100, 0], V56) };
            assert_eq!((world.weights.clone(), world.running()), (weights, vec![(runs.to_owned(), 2)]), "{entries}");
        }
    }
}

#[test]
fn steps_that_were_changed_since_the_status_begin_anew() {
    let mut world = World::seed();
    world.deploy(V55);
    world.settle();
    world.deploy(V56);
    let backup = world.journal.len();
    at_weight(&mut world, V56, 50);
    let steps = &mut world.rollout["spec"]["strategy"]["canary"]["steps"];
    *steps = serde_json::json!([{ "setWeight": 20 }, { "pause": { "duration": "1m" } }]);
    world.changed();
    give_back(&mut world, backup);
    at_weight(&mut world, V56, 20);
    assert!(!world.weights.contains(&100), "no step of the new ones is left out: {:?}", world.weights);
}

#[test]
fn a_version_that_was_aborted_since_the_backup_stays_refused_until_its_steps_are_edited() {
    let mut world = World::seed();
    world.deploy(V55);
    world.settle();
    let backup = world.journal.len();
    world.deploy(V56);
    at_weight(&mut world, V56, 10);
    world.ask(Action::Abort);
    world.settle();
    give_back(&mut world, backup);
    world.settle();
    assert_eq!((world.weights.as_slice(), world.running()), (&[][..], vec![(V55.to_owned(), 2)]), "{:?}", world.said);
    assert_eq!(world.state().refused.len(), 1, "it is remembered");
    world.rollout["spec"]["strategy"]["canary"]["steps"][0]["setWeight"] = 20.into();
    world.changed();
    world.settle();
    assert_eq!((world.weights[0], world.phase()), (20, "Healthy"), "{:?}", world.said);
}

#[test]
fn a_canary_goes_on_from_its_status() {
    for all_of_yesterday in [true, false] {
        let (mut world, before) = restored(all_of_yesterday);
        world.turn();
        assert_eq!(stable(&world), before, "the version that was promoted since is the stable one");
        world.settle();
        assert_eq!(world.weights, [75, 100, 0], "no step is taken twice");
        assert_eq!(world.running(), [(V57.to_owned(), 2)]);
    }
}

#[test]
fn an_abort_goes_back_to_the_version_that_was_promoted_since() {
    for all_of_yesterday in [true, false] {
        let (mut world, before) = restored(all_of_yesterday);
        world.turn();
        world.ask(Action::Abort);
        world.settle();
        assert_eq!((stable(&world), world.served()), (before, Some(0)));
        assert!(world.running().contains(&(V56.to_owned(), 2)), "{:?}", world.running());
    }
}

#[test]
fn a_version_that_came_while_the_server_was_down_begins_after_what_the_status_says() {
    for all_of_yesterday in [true, false] {
        let (mut world, before) = restored(all_of_yesterday);
        world.deploy(V58);
        world.turn();
        assert_eq!(stable(&world), before);
        at_weight(&mut world, V58, 10);
        assert_eq!(stable(&world), before);
        world.settle();
        assert_eq!(world.running(), [(V58.to_owned(), 2)]);
    }
}

#[test]
fn versions_that_follow_each_other_faster_than_the_status_are_not_taken_for_lost() {
    let mut world = World::seed();
    world.deploy(V55);
    world.settle();
    world.deploy(V56);
    at_weight(&mut world, V56, 10);
    let status = world.rollout["status"].clone();
    for image in [V57, V58] {
        world.deploy(image);
        world.turn();
        // The write of the status has failed each time.
        world.rollout["status"] = status.clone();
    }
    world.settle();
    assert!(!world.journal.iter().any(|(_, _, entry)| matches!(entry, Entry::Adopted { .. })));
    assert_eq!(world.running(), [(V58.to_owned(), 2)]);
}

/// V55 is yesterday's stable version, V56 and V57 were promoted since; the spec is written into in this place.
fn promoted_twice(place: &(&'static str, serde_json::Value), entries: Option<usize>) -> World {
    let mut world = World::seed();
    world.deploy(V55);
    world.settle();
    let yesterday = world.journal.len();
    for image in [V56, V57] {
        world.deploy(image);
        world.settle();
    }
    write(&mut world, place);
    give_back(&mut world, entries.unwrap_or(yesterday));
    world
}

#[test]
fn whatever_the_spec_says_an_older_journal_takes_nothing_back() {
    for place in nonsense() {
        for entries in [None, Some(0)] {
            let mut world = promoted_twice(&place, entries);
            let hashes = |world: &World| ["currentPodHash", "stableRS"].map(|field| world.status(field).clone());
            let (before, services) = (hashes(&world), world.services.clone());
            let key = world.want("run/1", None, OnTimeout::Hold);
            world.journal.push((world.now, By::Person("mina".into()), Entry::TimedOut { key }));
            world.settle();
            assert_eq!(world.running(), [(V57.to_owned(), 2)], "{place:?}: {:?}", world.said);
            assert_eq!((hashes(&world), &world.services), (before, &services), "{place:?}");
            assert!(world.status("message").as_str().unwrap().starts_with("InvalidSpec"), "{place:?}");
        }
    }
}

#[test]
fn whatever_the_spec_says_an_older_journal_aborts_to_the_version_that_was_promoted_since() {
    for place in nonsense() {
        for all_of_yesterday in [true, false] {
            let (mut world, before) = restored(all_of_yesterday);
            write(&mut world, &place);
            world.settle();
            assert_eq!((world.served(), stable(&world)), (Some(50), before), "{place:?}: {:?}", world.said);
            world.ask(Action::Abort);
            world.settle();
            assert_eq!(world.served(), Some(0), "{place:?}: {:?}", world.said);
            assert!(world.running().contains(&(V56.to_owned(), 2)), "{place:?}: {:?}", world.running());
        }
    }
}

#[test]
fn a_version_that_is_replaced_is_known_though_only_the_status_told_of_it() {
    let mut world = World::seed();
    world.deploy(V55);
    world.settle();
    world.deploy(V56);
    at_weight(&mut world, V56, 50);
    give_back(&mut world, 0);
    world.run_until(|world| world.state().progress.is_some());
    world.set_ready(V55, 0);
    world.deploy(V57);
    for _ in 0..60 {
        world.step();
    }
    let adopted = world.journal.iter().filter(|(_, _, entry)| matches!(entry, Entry::Adopted { .. })).count();
    assert_eq!(adopted, 1, "{:?}", world.said);
    assert!(world.state().progress.is_some_and(|progress| progress.images == [V57]), "{:?}", world.said);
}
