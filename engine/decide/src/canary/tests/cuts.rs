//! The server dies at every point of a walk, and comes to the same ending.

use super::super::*;
use super::world::World;

/// What counts as the ending.
fn ending(world: &World) -> String {
    let hash = world.status("stableRS");
    let git = world.git.as_ref().map(|git| (git.text("main").to_owned(), git.aside(), git.requests.clone()));
    format!("{} {hash} {:?} {:?} {:?} {git:?}", world.phase(), world.running(), world.served(), world.weights)
}

/// The story of one world, from its first version to its end.
fn story(mut world: World, second: &str, then: fn(&mut World)) -> World {
    world.ship("was:v55", 55);
    world.settle();
    world.want("run/56", Some(second), OnTimeout::Hold);
    world.ship(second, 56);
    then(&mut world);
    world.settle();
    world
}

fn at_half(world: &mut World) {
    world.run_until(|world| world.served() == Some(50));
}

fn retreat_at_half(world: &mut World) {
    at_half(world);
    world.ask(Action::Retreat);
}

fn grow_at_half(world: &mut World) {
    at_half(world);
    world.scale(6);
}

#[track_caller]
fn every_cut(start: fn() -> World, second: &str, then: fn(&mut World), phase: &str) {
    let whole = story(start(), second, then);
    let wanted = ending(&whole);
    assert_eq!(whole.phase(), phase, "{:?}", whole.said);
    assert!(whole.recorded().open().count() == 0, "every want has its answer");
    for (turn, acts) in (1..).zip(&whole.acts) {
        for act in 0..*acts {
            let mut world = start();
            world.dies = Some((turn, act));
            let cut = story(world, second, then);
            assert_eq!(ending(&cut), wanted, "the server died in turn {turn} before act {act}");
            assert_eq!(cut.sets.len(), whole.sets.len(), "turn {turn}, act {act}");
        }
    }
    let mut world = start();
    world.stutters = true;
    assert_eq!(ending(&story(world, second, then)), wanted, "every act twice");
}

#[test]
fn a_promotion_ends_the_same() {
    every_cut(World::seed, "was:v56", |_| {}, "Healthy");
}

#[test]
fn a_retreat_by_a_person_ends_the_same() {
    every_cut(World::seed, "was:v56", retreat_at_half, "Degraded");
}

#[test]
fn a_crash_ends_the_same() {
    every_cut(World::seed, "was:v56-crash", |_| {}, "Degraded");
}

#[test]
fn a_retreat_with_a_pull_request_ends_the_same() {
    every_cut(|| World::with_git(None), "was:v56-crash", |_| {}, "Degraded");
}

#[test]
fn a_retreat_that_git_follows_ends_the_same() {
    every_cut(|| World::with_git(Some("revert")), "was:v56", retreat_at_half, "Healthy");
}

#[test]
fn an_autoscaler_in_between_ends_the_same() {
    every_cut(World::seed, "was:v56", grow_at_half, "Healthy");
}

#[test]
fn without_a_router_it_ends_the_same() {
    every_cut(|| World::basic(4), "was:v56", |_| {}, "Healthy");
}

#[test]
fn each_prefix_of_the_journal_is_a_place_to_go_on_from() {
    // A journal that was cut short, with the world as it is at the end: what it
    // has lost is taken from what is seen, and nothing is walked backwards.
    let whole = story(World::seed(), "was:v56", |_| {});
    for length in 0..whole.journal.len() {
        let mut cut = whole.clone();
        cut.journal.truncate(length);
        cut.weights.clear();
        cut.settle();
        assert_eq!(cut.running(), whole.running(), "{length} entries");
        assert_eq!(cut.phase(), "Healthy", "{length} entries: {:?}", cut.said);
    }
}
