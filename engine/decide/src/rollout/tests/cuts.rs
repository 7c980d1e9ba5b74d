//! The server dies at every point of a rollout, and comes to the same ending.

use super::super::*;
use super::late_balancer::{Lag, LateBalancer};
use super::proxy::Mode;
use super::world::{Step, World};
use crate::by::By;
use crate::next::Timestamp;
use serde_json::Value;

/// What counts as the ending.
fn ending(world: &World) -> String {
    let hash = world.status("stableRS");
    let git = world.git.as_ref().map(|git| (git.text("main").to_owned(), git.aside(), git.requests.clone()));
    format!("{} {hash} {:?} {:?} {:?} {git:?}", world.phase(), world.running(), world.served(), world.weights)
}

/// How a scene begins, and what ends it before the world has come to rest.
type Scene = (Box<dyn Fn(&mut World)>, fn(&World) -> bool);

const REST: fn(&World) -> bool = |_| false;
const HALF: fn(&World) -> bool = |world| world.served() == Some(50);

/// A place in a story: the scene, and the world before a turn.
#[derive(Clone)]
struct Place {
    scene: usize,
    world: World,
}

/// The story of one world: its first version, the second one up to `until`, and what happens then.
fn story(second: &'static str, until: fn(&World) -> bool, then: Option<fn(&mut World)>) -> Vec<Scene> {
    let ship = move |world: &mut World| {
        world.want("run/56", Some(second), OnTimeout::Hold);
        world.ship(second, 56);
    };
    let mut scenes: Vec<Scene> = vec![(Box::new(|world| world.ship("was:v55", 55)), REST), (Box::new(ship), until)];
    scenes.extend(then.map(|then| -> Scene { (Box::new(then), REST) }));
    scenes
}

/// A story from its beginning, or from a place in it, to its end or until `stop`.
#[track_caller]
fn go_on(scenes: &[Scene], mut place: Place, mut stop: impl FnMut(&Place) -> bool) -> Place {
    while !stop(&place) {
        assert!(place.world.turns < 4000, "never comes to rest: {:?}", place.world.said);
        let until = scenes[place.scene].1;
        if !until(&place.world) && place.world.step() == Step::On {
            continue;
        }
        place.scene += 1;
        let Some((begin, _)) = scenes.get(place.scene) else { break };
        begin(&mut place.world);
    }
    place
}

fn begin(scenes: &[Scene], mut world: World) -> Place {
    scenes[0].0(&mut world);
    Place { scene: 0, world }
}

/// Whether two places are the same but for the versions of their objects, which
/// nobody reads and which are only compared with themselves. What follows from
/// the one follows from the other, for nothing else goes into a turn.
fn same(one: &Place, other: &Place) -> bool {
    let (a, b) = (&one.world, &other.world);
    (one.scene, a.now, a.journal.len()) == (other.scene, b.now, b.journal.len())
        && (&a.journal, &a.weights, &a.git) == (&b.journal, &b.weights, &b.git)
        && (&a.reverts, &a.driven) == (&b.reverts, &b.driven)
        && a.proxy.as_ref().map(|proxy| proxy.matters(&a.outcomes))
            == b.proxy.as_ref().map(|proxy| proxy.matters(&b.outcomes))
        && a.balancer.as_ref().map(LateBalancer::matters) == b.balancer.as_ref().map(LateBalancer::matters)
        && alike(&a.rollout, &b.rollout)
        && [(&a.sets, &b.sets), (&a.pods, &b.pods), (&a.services, &b.services), (&a.ingresses, &b.ingresses)]
            .iter()
            .all(|(a, b)| a.len() == b.len() && a.iter().zip(*b).all(|(a, b)| alike(a, b)))
}

fn alike(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Object(a), Value::Object(b)) => {
            let pair = |(key, a)| key == "resourceVersion" || b.get(key).is_some_and(|b| alike(a, b));
            a.len() == b.len() && a.iter().all(pair)
        }
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b)),
        _ => a == b,
    }
}

/// How often outcomes are lost, each time others.
const SEEDS: u64 = 8;

/// Longer than any progress deadline of these worlds.
const DOWN_MS: Timestamp = 3_600_000;

/// Dies before every act of a story, and goes on from there until it is in a
/// place that the whole story has seen as well, or else to the end. It is
/// back at once, and also only after the progress deadline.
#[track_caller]
fn every_cut(start: fn() -> World, scenes: &[Scene], phase: &str) {
    let mut observed: Vec<Place> = Vec::new();
    let whole = go_on(scenes, begin(scenes, start()), |place| {
        observed.push(place.clone());
        false
    });
    let whole = whole.world;
    let wanted = ending(&whole);
    assert_eq!(whole.phase(), phase, "{:?}", whole.said);
    assert!(whole.state().open().count() == 0, "every want has its answer");
    for (turn, acts) in (1..).zip(&whole.acts) {
        let before =
            observed.iter().rfind(|place| place.world.turns < turn).expect("the story begins before its turns");
        for act in 0..*acts {
            let mut cut = before.clone();
            cut.world.dies = Some((turn, act));
            let mut is_back = false;
            let cut = go_on(scenes, cut, |place| {
                is_back = place.world.turns >= turn && observed.iter().any(|known| same(known, place));
                is_back
            });
            assert!(is_back || ending(&cut.world) == wanted, "the server died in turn {turn} before act {act}");
            assert!(is_back || cut.world.sets.len() == whole.sets.len(), "turn {turn}, act {act}");
            let mut fails = before.clone();
            fails.world.fails = Some((turn, act));
            let mut is_back = false;
            let fails = go_on(scenes, fails, |place| {
                is_back = place.world.turns > turn && observed.iter().any(|known| same(known, place));
                is_back
            });
            let said = &fails.world.said;
            assert!(is_back || ending(&fails.world) == wanted, "act {act} of turn {turn} fails: {said:?}");
            let mut late = before.clone();
            (late.world.dies, late.world.down) = (Some((turn, act)), DOWN_MS);
            let late = go_on(scenes, late, |_| false).world;
            assert_eq!(ending(&late), wanted, "{} ms down in turn {turn} before act {act}: {:?}", DOWN_MS, late.said);
        }
    }
    let mut world = start();
    world.stutters = true;
    let twice = go_on(scenes, begin(scenes, world), |_| false);
    assert_eq!(ending(&twice.world), wanted, "every act twice");
    for seed in (1..=SEEDS).filter(|_| whole.proxy.is_some()) {
        let mut world = start();
        world.loses = Some(seed);
        let hints = go_on(scenes, begin(scenes, world), |_| false).world;
        assert_eq!(ending(&hints), wanted, "outcomes are lost by seed {seed}: {:?}", hints.said);
    }
}

#[test]
fn a_promotion_ends_the_same() {
    every_cut(World::seed, &story("was:v56", REST, None), "Healthy");
}

#[test]
fn a_retreat_by_a_person_ends_the_same() {
    every_cut(World::seed, &story("was:v56", HALF, Some(|world| world.ask(Action::Abort))), "Degraded");
}

/// An alert that fires at this moment acts.
fn alerted(world: &mut World, action: AlertAction) {
    let alert = Alert::new("HighErrorRate", "aa", world.now, None);
    let entry = heed_alert(&world.state(), &alert, action).unwrap();
    world.journal.push((world.now, By::Alert(alert.author()), entry));
}

#[test]
fn services_that_take_turns_end_the_same() {
    every_cut(World::by_turns, &story("was:v56", REST, None), "Healthy");
}

#[test]
fn a_retreat_by_an_alert_ends_the_same() {
    every_cut(World::seed, &story("was:v56", HALF, Some(|world| alerted(world, AlertAction::Abort))), "Degraded");
}

#[test]
fn a_hold_by_an_alert_that_a_person_resumes_ends_the_same() {
    let mut scenes = story("was:v56", HALF, Some(|world| alerted(world, AlertAction::Pause)));
    scenes.push((Box::new(|world| world.ask(Action::Resume)), REST));
    every_cut(World::seed, &scenes, "Healthy");
}

#[test]
fn a_crash_ends_the_same() {
    every_cut(World::seed, &story("was:v56-crash", REST, None), "Degraded");
}

#[test]
fn a_retreat_with_a_pull_request_ends_the_same() {
    every_cut(|| World::with_git(None), &story("was:v56-crash", REST, None), "Degraded");
}

#[test]
fn a_retreat_that_git_follows_ends_the_same() {
    let scenes = story("was:v56", HALF, Some(|world| world.ask(Action::Abort)));
    every_cut(|| World::with_git(Some("revert")), &scenes, "Healthy");
}

#[test]
fn an_autoscaler_in_between_ends_the_same() {
    every_cut(World::seed, &story("was:v56", HALF, Some(|world| world.scale(6))), "Healthy");
}

#[test]
fn without_a_router_it_ends_the_same() {
    every_cut(|| World::basic(4), &story("was:v56", REST, None), "Healthy");
}

/// Rules and targets come some seconds late, and there is one step.
fn late() -> World {
    let mut world = World::balanced(Lag { rule: 2_000, target: 4_000, check: 3_000, drain: 5_000 });
    let steps = &mut world.rollout["spec"]["strategy"]["canary"]["steps"];
    *steps = Value::from(vec![steps[2].take()]);
    world
}

#[test]
fn a_promotion_by_a_late_load_balancer_ends_the_same() {
    every_cut(late, &story("was:v56", REST, None), "Healthy");
}

#[test]
fn an_abort_by_a_late_load_balancer_ends_the_same() {
    every_cut(late, &story("was:v56", HALF, Some(|world| world.ask(Action::Abort))), "Degraded");
}

/// Its data plane follows what it was told some turns later.
fn slow() -> World {
    let mut world = World::plugged();
    world.proxy().lag.0 = 3;
    world
}

#[test]
fn a_promotion_by_a_plugin_ends_the_same() {
    every_cut(slow, &story("was:v56", REST, None), "Healthy");
}

#[test]
fn a_retreat_by_a_plugin_ends_the_same() {
    every_cut(slow, &story("was:v56", HALF, Some(|world| world.ask(Action::Abort))), "Degraded");
}

#[test]
fn a_crash_behind_a_plugin_ends_the_same() {
    every_cut(World::plugged, &story("was:v56-crash", REST, None), "Degraded");
}

#[test]
fn a_plugin_that_cannot_tell_ends_the_same() {
    let start = || {
        let mut world = World::plugged();
        world.proxy().mode = Mode::CannotTell;
        world
    };
    every_cut(start, &story("was:v56", REST, None), "Healthy");
}

#[test]
fn a_plugin_that_fails_for_a_while_ends_the_same() {
    const SHIFTING: fn(&World) -> bool = |world| world.weights.len() == 3;
    // Longer than the progress deadline.
    const LATE: fn(&World) -> bool =
        |world| world.state().progress.is_some_and(|progress| world.now > progress.since + 700_000);
    let mut scenes = story("was:v56", SHIFTING, Some(|world| world.proxy().mode = Mode::Silent));
    scenes[2].1 = LATE;
    scenes.push((Box::new(|world: &mut World| world.proxy().mode = Mode::Verifies), REST));
    every_cut(slow, &scenes, "Healthy");
}

#[test]
fn leaving_a_plugin_ends_the_same() {
    let leave = |world: &mut World| {
        world.rollout["spec"]["strategy"]["canary"].as_object_mut().unwrap().remove("trafficRouting");
        world.changed();
    };
    every_cut(World::plugged, &story("was:v56", HALF, Some(leave)), "Healthy");
}

#[test]
fn each_prefix_of_the_journal_is_a_place_to_go_on_from() {
    // A journal that was cut short, with the world as it is at the end: what it
    // has lost is taken from what is seen, and nothing is walked backwards.
    let scenes = story("was:v56", REST, None);
    let whole = go_on(&scenes, begin(&scenes, World::seed()), |_| false).world;
    for length in 0..whole.journal.len() {
        let mut cut = whole.clone();
        cut.journal.truncate(length);
        cut.weights.clear();
        cut.settle();
        assert_eq!(cut.running(), whole.running(), "{length} entries");
        assert_eq!(cut.phase(), "Healthy", "{length} entries: {:?}", cut.said);
    }
}
