//! Attempts that wait for a free place: their clock stands still.

use super::*;

const FULL: &str = "waiting for a free place: 4 of 4 are in use";

/// A world whose one step was started at 1,000 ms and waits.
fn queued() -> World {
    let mut world = start(vec![opened(vec![step("slow", &[])], vec![])]);
    world.turn();
    world.seen.queued.insert(("slow".into(), 1), FULL.into());
    world
}

fn at(world: &mut World, now: Timestamp) -> Wake {
    world.now = now;
    world.turn()
}

fn has_timed_out(world: &World) -> bool {
    matches!(world.run().status("slow"), Status::Ended { outcome: Outcome::TimedOut { .. }, .. })
}

#[test]
fn a_step_has_its_whole_time_after_it_waited_for_a_place() {
    let mut world = queued();
    assert_eq!(at(&mut world, 2_000), Wake::OnChange, "nothing runs out");
    assert_eq!(world.because, format!("slow: {FULL}"));
    assert_eq!(at(&mut world, 9_000_000), Wake::OnChange);
    assert!(!has_timed_out(&world));
    world.seen.queued.clear();
    // A second of its time had gone before it waited.
    assert_eq!(at(&mut world, 9_001_000), Wake::At(9_001_000 + 59_000));
    assert_eq!(world.because, "slow running");
    at(&mut world, 9_059_999);
    assert!(!has_timed_out(&world));
    at(&mut world, 9_060_000);
    assert!(has_timed_out(&world));
}

#[test]
fn a_wait_is_written_down_once_and_its_end_once() {
    let mut world = queued();
    for now in [2_000, 3_000, 4_000] {
        at(&mut world, now);
    }
    world.seen.queued.insert(("slow".into(), 1), "waiting for a free place: 1 of 1 are in use".into());
    at(&mut world, 5_000);
    world.seen.queued.clear();
    for now in [6_000, 7_000] {
        at(&mut world, now);
    }
    let [_, _, queued, placed] = &world.journal[..] else { panic!("{:#?}", world.journal) };
    let (step, attempt) = (String::from("slow"), 1);
    assert_eq!(queued.2, Entry::Queued { step: step.clone(), attempt, because: FULL.into() });
    assert_eq!(placed.2, Entry::Placed { step, attempt });
}

#[test]
fn what_another_instance_runs_is_not_said_to_have_its_place() {
    let mut world = queued();
    at(&mut world, 2_000);
    world.seen.instance = Instance("another".into());
    world.seen.queued.clear();
    let entries = world.journal.len();
    assert_eq!(at(&mut world, 3_000), Wake::OnChange);
    assert_eq!(world.journal.len(), entries, "{:#?}", world.journal);
}

#[test]
fn a_step_that_waits_can_be_cancelled_and_a_restart_begins_it_anew() {
    let mut world = queued();
    at(&mut world, 2_000);
    let journal = world.journal.clone();
    world.write(By::Server, Entry::CancelAsked { because: "enough".into(), cause: CancelCause::Asked });
    world.turn();
    assert!(world.acts.contains(&Act::Stop { step: "slow".into(), attempt: 1 }));
    let mut world = World::resume(journal);
    assert_eq!(at(&mut world, 500_000), Wake::Now);
    world.turn();
    assert_eq!(world.turn(), Wake::At(560_000), "{:#?}", world.journal);
}

#[test]
fn the_entries_of_a_wait_read_as_they_were_written() {
    for (entry, text) in [
        (
            Entry::Queued { step: "a".into(), attempt: 2, because: "b".into() },
            r#"{"kind":"queued","body":{"step":"a","attempt":2,"because":"b"}}"#,
        ),
        (Entry::Placed { step: "a".into(), attempt: 2 }, r#"{"kind":"placed","body":{"step":"a","attempt":2}}"#),
    ] {
        assert_eq!(serde_json::to_string(&entry).unwrap(), text);
        assert_eq!(serde_json::from_str::<Entry>(text).unwrap(), entry);
    }
}
