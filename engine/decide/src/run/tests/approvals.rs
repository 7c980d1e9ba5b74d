//! Steps that wait for a person.

use super::*;
use pipeline::Approval;
use std::sync::Arc;

const DAY_MS: u64 = 86_400_000;

fn asks(id: &str, needs: &[&str], by: &[&str]) -> Step {
    let by = by.iter().map(|name| (*name).to_owned()).collect();
    let approval = Approval { ask: format!("{id}, ${{{{ run.title }}}}?"), by, timeout_ms: DAY_MS };
    Step { approval: Some(approval), ..step(id, needs) }
}

/// A plan, an apply that asks, what follows it, and a final step.
fn gated(by: &[&str]) -> Vec<Entry> {
    let steps = vec![step("plan", &[]), asks("apply", &["plan"], by), step("tag", &["apply"])];
    vec![opened(steps, vec![step("slack", &[])])]
}

fn ann() -> By {
    By::Person("ann".into())
}

fn asked(people: People) -> World {
    let mut world = start(gated(&[]));
    world.people = people;
    world
}

const ANN_APPROVES: People = |_| Some((ann(), Answer::Approved));
const ANN_REFUSES: People = |_| Some((ann(), Answer::Refused));
const SILENCE: People = |_| None;

/// Goes on until something waits for an answer.
fn until_it_asks(mut world: World) -> World {
    for _ in 0..50 {
        if world.run().asking().next().is_some() {
            world.turn();
            return world;
        }
        world.turn();
        world.end_one(all_well);
    }
    panic!("nobody is asked: {:#?}", world.journal);
}

fn has_started(world: &World, step: &str) -> bool {
    world.acts.iter().any(|act| matches!(act, Act::Start { step: started, .. } if started == step))
}

#[test]
fn nothing_starts_before_a_person_says_so() {
    let mut world = until_it_asks(start(gated(&[])));
    let since = world.run().asked("apply").expect("it asked").since;
    assert_eq!(world.turn(), Wake::At(since + DAY_MS));
    assert_eq!(world.because, "apply waits for approval: apply, t?");
    assert!(!has_started(&world, "apply"));
    let told = |world: &World| match world.acts.last() {
        Some(Act::Report { outcome: None, text }) => text.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(told(&world), "apply waits for approval: apply, t?");
    world.write(ann(), Entry::ApprovalAnswered { step: "apply".into(), answer: Answer::Approved });
    world.turn();
    assert!(has_started(&world, "apply"));
    world.turn();
    assert_eq!((world.because.as_str(), told(&world).as_str()), ("apply running", "running"));
    assert_eq!(world.finish(all_well).ending(), Some(&Entry::Closed { outcome: RunOutcome::Succeeded }));
}

#[test]
fn a_refusal_and_silence_fail_the_step_and_the_final_steps_run() {
    for (people, because) in [(ANN_REFUSES, "ann refused it"), (SILENCE, "nobody approved it in time")] {
        let world = asked(people).finish(all_well);
        assert_eq!(world.ending(), Some(&Entry::Closed { outcome: RunOutcome::Failed }));
        let run = world.run();
        assert_eq!(run.status("apply"), Status::Refused { because: because.into() });
        assert_eq!(run.status("tag"), Status::Skipped { because: "apply did not succeed".into() });
        assert!(matches!(run.status("slack"), Status::Ended { outcome: Outcome::Succeeded { .. }, .. }));
        assert!(!has_started(&world, "apply") && world.because == format!("apply: {because}"), "{}", world.because);
    }
}

/// Kill the server after every entry; the ending must not change.
#[test]
fn every_prefix_of_a_journal_with_questions_ends_the_same() {
    let retried = |step: &str, attempt| match (step, attempt) {
        ("apply", 1) => Outcome::Transient { because: "busy".into() },
        _ => all_well(step, attempt),
    };
    for people in [ANN_APPROVES, ANN_REFUSES, SILENCE] {
        let mut entries = gated(&["ann"]);
        let Entry::Opened { run } = &mut entries[0] else { unreachable!() };
        let run = Arc::make_mut(run);
        run.pipeline.steps[1].retry = 1;
        run.pipeline.steps.push(asks("beside", &[], &[]));
        let mut whole = start(entries);
        whole.people = people;
        let whole = whole.finish(retried);
        let questions = whole.journal.iter().filter(|(.., entry)| matches!(entry, Entry::ApprovalAsked { .. }));
        assert_eq!(questions.count(), 2, "a step asks once, however often it is tried");
        for cut in 1..=whole.journal.len() {
            let mut resumed = World::resume(whole.journal[..cut].to_vec());
            resumed.people = people;
            let resumed = resumed.finish(retried);
            assert_eq!(resumed.ending(), whole.ending(), "killed after {:?}", whole.journal[cut - 1]);
            let stands = |world: &World| ["apply", "beside", "tag"].map(|step| world.run().status(step));
            let refused = |status: &Status| matches!(status, Status::Refused { .. });
            let [before, after] = [&whole, &resumed].map(|world| stands(world).iter().map(refused).collect::<Vec<_>>());
            assert_eq!(before, after, "killed after {:?}", whole.journal[cut - 1]);
        }
    }
}

#[test]
fn an_answer_that_does_not_fit_changes_nothing() {
    let approved = |step: &str| Entry::ApprovalAnswered { step: step.into(), answer: Answer::Approved };
    let expired = Entry::ApprovalAnswered { step: "apply".into(), answer: Answer::Expired };
    let mut early = start(gated(&["ann"]));
    early.write(ann(), approved("apply"));
    assert_eq!(early.run().fits("apply", Answer::Approved, &ann(), 0), Err(Unfit::NotAsked("apply".into())));
    let mut world = until_it_asks(early);
    let strangers = [By::Server, By::Delivery("d".into()), By::Run("r".into()), By::Person("bob".into())];
    for by in strangers {
        world.write(by, approved("apply"));
    }
    world.write(ann(), approved("plan"));
    world.write(ann(), approved("nobody"));
    world.write(ann(), expired.clone());
    world.write(By::Server, expired);
    assert!(matches!(world.turn(), Wake::At(_)));
    assert_eq!(world.run().approved_by("apply"), None);
    assert!(!has_started(&world, "apply"), "{:#?}", world.journal);
    let bob = By::Person("bob".into());
    let refused = world.run().fits("apply", Answer::Approved, &bob, world.now).expect_err("bob is not named");
    assert_eq!(refused.to_string(), "`apply` takes the answer of ann");
}

#[test]
fn the_first_answer_counts_and_says_who_gave_it() {
    let mut world = until_it_asks(start(gated(&[])));
    let (bob, now) = (By::Person("bob".into()), world.now);
    let fits = |world: &World, answer, by: &By, now| world.run().fits("apply", answer, by, now);
    assert_eq!(fits(&world, Answer::Refused, &bob, now), Ok(Fit::New));
    world.write(ann(), Entry::ApprovalAnswered { step: "apply".into(), answer: Answer::Approved });
    world.write(bob.clone(), Entry::ApprovalAnswered { step: "apply".into(), answer: Answer::Refused });
    assert_eq!(fits(&world, Answer::Approved, &ann(), now), Ok(Fit::Same));
    let late = fits(&world, Answer::Refused, &bob, now).expect_err("ann was faster");
    assert_eq!(late.to_string(), "`apply`: ann approved it");
    let world = world.finish(all_well);
    assert_eq!(world.ending(), Some(&Entry::Closed { outcome: RunOutcome::Succeeded }));
    assert_eq!(fits(&world, Answer::Approved, &ann(), now), Ok(Fit::Same), "whoever lost the reply may ask again");
    assert!(matches!(fits(&world, Answer::Refused, &bob, now), Err(Unfit::Answered { .. })));
}

#[test]
fn an_answer_after_its_time_is_none() {
    let mut world = until_it_asks(start(gated(&[])));
    // The server was down when the time ran out, and a person is faster than its first look.
    world.now += DAY_MS;
    let late = world.run().fits("apply", Answer::Approved, &ann(), world.now).expect_err("its time is up");
    assert_eq!(late.to_string(), "`apply` waited 1d for an answer, and its time is up");
    world.write(ann(), Entry::ApprovalAnswered { step: "apply".into(), answer: Answer::Approved });
    let world = world.finish(all_well);
    assert_eq!(world.ending(), Some(&Entry::Closed { outcome: RunOutcome::Failed }));
    assert!(!has_started(&world, "apply"));
}

#[test]
fn a_run_that_is_to_end_waits_for_nobody() {
    for (cause, outcome) in
        [(CancelCause::Asked, RunOutcome::Cancelled), (CancelCause::Superseded, RunOutcome::Superseded)]
    {
        let mut world = until_it_asks(start(gated(&[])));
        world.write(By::Server, Entry::CancelAsked { because: "newer".into(), cause });
        world.write(ann(), Entry::ApprovalAnswered { step: "apply".into(), answer: Answer::Approved });
        let world = world.finish(all_well);
        assert_eq!(world.ending(), Some(&Entry::Closed { outcome }));
        assert!(!has_started(&world, "apply"));
        let mut unanswered = until_it_asks(start(gated(&[])));
        unanswered.write(By::Server, Entry::CancelAsked { because: "newer".into(), cause });
        unanswered.turn();
        let over = unanswered.run().fits("apply", Answer::Approved, &ann(), unanswered.now);
        assert_eq!(over, Err(Unfit::Over("apply".into())));
        assert_eq!(unanswered.run().asking().count(), 0);
    }
}

#[test]
fn a_run_that_waits_behind_another_asks_nobody_yet() {
    let mut world = start(vec![opened(vec![asks("apply", &[], &[])], vec![])]);
    world.seen.ahead = Some("o/r/p/0".into());
    assert_eq!(world.turn(), Wake::OnChange);
    assert_eq!(world.run().asking().count(), 0);
    world.seen.ahead = None;
    world.people = ANN_APPROVES;
    assert_eq!(world.finish(all_well).ending(), Some(&Entry::Closed { outcome: RunOutcome::Succeeded }));
}

#[test]
fn a_step_whose_condition_does_not_hold_asks_nobody() {
    let mut entries = gated(&[]);
    let Entry::Opened { run } = &mut entries[0] else { unreachable!() };
    let run = Arc::make_mut(run);
    run.pipeline.steps[1].condition = Some("failure()".into());
    let world = ends(entries, all_well, RunOutcome::Succeeded);
    assert_eq!(world.run().asked("apply"), None);
}

#[test]
fn a_question_that_cannot_be_asked_fails_its_step() {
    let long: fn(&str, u32) -> Outcome = |_, _| Outcome::Succeeded { outputs: json!({ "summary": "+".repeat(4_001) }) };
    for (ask, answers) in [("${{ steps.plan.summary }}?", all_well as Answers), ("${{ steps.plan.summary }}", long)] {
        let mut entries = gated(&[]);
        let Entry::Opened { run } = &mut entries[0] else { unreachable!() };
        let run = Arc::make_mut(run);
        run.pipeline.steps[1].approval = Some(Approval { ask: ask.into(), ..Approval::default() });
        let world = ends(entries, answers, RunOutcome::Failed);
        assert!(matches!(world.run().status("apply"), Status::Ended { outcome: Outcome::Rejected { .. }, .. }));
    }
}

#[test]
fn a_long_question_is_told_by_its_beginning() {
    let mut entries = gated(&["ann", "bob"]);
    let Entry::Opened { run } = &mut entries[0] else { unreachable!() };
    let run = Arc::make_mut(run);
    let approval = run.pipeline.steps[1].approval.as_mut().expect("it asks");
    approval.ask = "Apply?\n+ 3 to add".into();
    let world = until_it_asks(start(entries));
    assert_eq!(world.because, "apply waits for approval by ann or bob: Apply?…");
    assert_eq!(world.run().asked("apply").expect("it asked").ask, "Apply?\n+ 3 to add");
}

#[test]
fn later_steps_may_name_who_approved() {
    let mut entries = gated(&[]);
    let Entry::Opened { run } = &mut entries[0] else { unreachable!() };
    let run = Arc::make_mut(run);
    run.pipeline.finally[0].with.insert("text".into(), "by ${{ steps.apply.approved_by }}".into());
    let mut world = start(entries);
    world.people = ANN_APPROVES;
    let world = world.finish(all_well);
    let text = world.acts.iter().find_map(|act| match act {
        Act::Start { step, settings, .. } if step == "slack" => settings["text"].as_str(),
        _ => None,
    });
    assert_eq!(text, Some("by ann"));
}

#[test]
fn each_attempt_is_told_who_approved_its_step() {
    let retried = |step: &str, attempt| match (step, attempt) {
        ("apply", 1) => Outcome::Transient { because: "busy".into() },
        _ => all_well(step, attempt),
    };
    let mut entries = gated(&["ann"]);
    let Entry::Opened { run } = &mut entries[0] else { unreachable!() };
    let run = Arc::make_mut(run);
    run.pipeline.steps[1].retry = 1;
    let mut world = start(entries);
    world.people = ANN_APPROVES;
    let world = world.finish(retried);
    let told = |world: &World| {
        let each = world.acts.iter().filter_map(|act| match act {
            Act::Start { step, attempt, approved_by, .. } => Some(format!("{step} {attempt}: {approved_by:?}")),
            _ => None,
        });
        each.collect::<Vec<_>>()
    };
    let ann = r#"Some("ann")"#;
    let whole =
        ["plan 1: None".to_owned(), format!("apply 1: {ann}"), format!("apply 2: {ann}"), "tag 1: None".to_owned()];
    assert_eq!(told(&world)[..4], whole);

    // A server that died knows it from the journal alone.
    let answered = |(.., entry): &(Timestamp, By, Entry)| matches!(entry, Entry::ApprovalAnswered { .. });
    let cut = world.journal.iter().position(answered).expect("ann answered") + 1;
    let resumed = World::resume(world.journal[..cut].to_vec()).finish(all_well);
    assert_eq!(told(&resumed)[0], whole[1]);
}

#[test]
fn a_refusal_and_silence_are_nobodys_approval() {
    for people in [ANN_REFUSES, SILENCE] {
        let run = asked(people).finish(all_well).run();
        assert!(run.asked("apply").expect("it asked").answered.is_some());
        assert_eq!(run.approved_by("apply"), None);
    }
}
