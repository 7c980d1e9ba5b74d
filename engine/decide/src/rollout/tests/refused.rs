//! Writes that the API server refuses.

use super::super::router::plugin::RouterFailure;
use super::super::{Act, ActKey, Action, Observed, WriteKey};
use super::world::{V56, World, at_weight, settled};

const FORBIDDEN: &str = "patching it is forbidden";

fn objects_written(world: &World) -> Option<String> {
    let conditions = world.status("conditions").as_array().cloned().unwrap_or_default();
    let condition = conditions.into_iter().find(|condition| condition["type"] == "ObjectsWritten")?;
    Some(format!("{}: {}", condition["status"].as_str().unwrap(), condition["message"].as_str().unwrap()))
}

fn unwritten(world: &World) -> Vec<(WriteKey, RouterFailure)> {
    let Observed::Present(observed) = world.observed() else { panic!("the Rollout is there") };
    observed.unwritten
}

#[test]
fn a_write_that_is_refused_holds_nothing_up_and_is_said() {
    let is_stamp = |act: &Act| matches!(act, Act::Stamp { .. });
    let mut world = settled(World::seed());
    world.denies = Some((is_stamp, FORBIDDEN));
    world.deploy(V56);
    world.run_until(|world| world.phase() == "Healthy" && world.running() == [(V56.to_owned(), 2)]);
    assert_eq!(world.served(), Some(0), "{:?}", world.said);
    let said = objects_written(&world).unwrap();
    assert!(said.starts_with("False: not written, and tried again") && said.contains(FORBIDDEN), "{said}");
    assert!(world.said.1.contains(FORBIDDEN), "{:?}", world.said);

    let (turns, from) = (world.turns, world.now);
    world.run_until(|world| world.now >= from + 600_000);
    assert!(world.turns - turns <= 40, "it is tried {} times in ten minutes", world.turns - turns);

    world.denies = None;
    world.settle();
    assert_eq!((world.phase(), objects_written(&world)), ("Healthy", None), "{:?}", world.said);
}

#[test]
fn pods_that_the_api_server_does_not_let_be_asked_for_have_their_deadline() {
    let is_more = |act: &Act| matches!(act, Act::Scale { pods, .. } if *pods > 1 && *pods < 10);
    let mut world = World::seed();
    world.scale(10);
    let mut world = settled(world);
    world.deploy(V56);
    let mut world = at_weight(world, 10);
    world.denies = Some((is_more, "exceeded quota"));
    world.run_until(|world| world.phase() == "Degraded" && world.status("abort") == true);
    let message = world.status("message").as_str().unwrap_or_default().to_owned();
    assert!(message.contains("no progress") && message.contains("exceeded quota"), "{message}");
    world.settle();
    assert_eq!((world.served(), objects_written(&world)), (Some(0), None), "{:?}", world.said);
}

#[test]
fn a_service_that_cannot_be_changed_gives_the_canary_no_traffic_and_a_deadline() {
    let is_select = |act: &Act| matches!(act, Act::Select { .. });
    let mut world = settled(World::seed());
    world.denies = Some((is_select, FORBIDDEN));
    world.deploy(V56);
    world.run_until(|world| world.status("abort") == true);
    assert!(world.weights.iter().all(|weight| *weight == 0), "{:?}", world.weights);
    let message = world.status("message").as_str().unwrap_or_default().to_owned();
    assert!(message.contains("no progress") && message.contains(FORBIDDEN), "{message}");
}

#[test]
fn a_status_that_is_refused_stops_no_step() {
    let is_status = |act: &Act| matches!(act, Act::Status { .. });
    let mut world = settled(World::seed());
    world.denies = Some((is_status, FORBIDDEN));
    world.deploy(V56);
    world.run_until(|world| world.running() == [(V56.to_owned(), 2)] && world.served() == Some(0));
    assert!(world.state().stable.is_some_and(|stable| stable.image == V56), "{:?}", world.said);
    world.denies = None;
    world.settle();
    assert_eq!(world.phase(), "Healthy", "{:?}", world.said);
}

#[test]
fn another_write_of_the_same_object_waits_for_nothing() {
    let is_more = |act: &Act| matches!(act, Act::Route { annotations, .. } if annotations.values().any(|value| value.contains("\"Weight\":25")));
    let mut world = settled(World::seed());
    world.deploy(V56);
    let mut world = at_weight(world, 10);
    world.denies = Some((is_more, FORBIDDEN));
    world.run_until(|world| objects_written(world).is_some());
    world.ask(Action::Abort);
    let from = world.now;
    world.run_until(|world| world.served() == Some(0));
    assert!(world.now - from < 1_000, "the abort waited {} ms", world.now - from);
}

#[test]
fn what_was_refused_at_an_earlier_step_is_tried_at_once_and_blames_no_version() {
    let is_stamp = |act: &Act| matches!(act, Act::Stamp { .. });
    let mut world = settled(World::seed());
    world.denies = Some((is_stamp, FORBIDDEN));
    world.deploy(V56);
    world.run_until(|world| !unwritten(world).is_empty());
    let mut world = at_weight(world, 10);
    let step = world.state().progress.map(|progress| progress.at);
    world.run_until(|world| world.state().progress.map(|progress| progress.at) != step);
    assert_eq!(unwritten(&world), [], "{:?}", world.said);
}

#[test]
fn the_many_writes_of_a_walk_leave_nothing_to_be_kept() {
    let mut world = settled(World::seed());
    world.deploy(V56);
    world.settle();
    let is_write = |kept: &ActKey| matches!(kept, ActKey::Write(_) | ActKey::Written);
    assert!(!world.outcomes.iter().any(|one| is_write(&one.act)), "{:?}", world.outcomes);
    assert!(world.outcomes.iter().any(|one| matches!(one.act, ActKey::Create(_))), "{:?}", world.outcomes);
}
