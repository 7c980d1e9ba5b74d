//! The journal is restored from yesterday's backup, or begun anew, while the cluster went on.

use super::super::*;
use super::world::World;

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
    world.journal.truncate(if all_of_yesterday { yesterday } else { 0 });
    world.weights.clear();
    (world, before)
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
