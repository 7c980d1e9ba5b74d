//! Conditions that do not hold, or cannot be evaluated, and what needs the steps that have them.

use super::*;

fn when(id: &str, needs: &[&str], condition: &str) -> Step {
    Step { condition: Some(condition.to_owned()), condition_line: Some(7), ..step(id, needs) }
}

fn outcome(world: &World, id: &str) -> String {
    match world.run().status(id) {
        Status::Skipped { because } => format!("skipped: {because}"),
        Status::Ended { outcome: Outcome::Succeeded { .. }, .. } => "succeeded".to_owned(),
        Status::Ended { outcome: Outcome::Rejected { because }, .. } => format!("rejected: {because}"),
        other => format!("{other:?}"),
    }
}

fn told(world: &World) -> Vec<(RunOutcome, &str)> {
    let reports = world.acts.iter().filter_map(|act| match act {
        Act::Report { outcome: Some(outcome), text } => Some((*outcome, text.as_str())),
        _ => None,
    });
    reports.collect()
}

#[test]
fn a_condition_that_cannot_be_evaluated_fails_its_step_and_the_run() {
    for condition in ["success() and (steps.test.changes == 'some')", "steps.test.changes == 'some' or always()"] {
        let steps = vec![step("test", &[]), when("gate", &["test"], condition), step("deploy", &["gate"])];
        let world = ends(vec![opened(steps, vec![step("slack", &[])])], all_well, RunOutcome::Failed);
        let written = condition.trim_start_matches("success() and (").trim_end_matches(')');
        let written = if condition.starts_with("success") { written } else { condition };
        let because = format!(
            "its condition `{written}` cannot be evaluated (.bespin/p.yaml:7): there is no `steps.test.changes`; \
             `steps.test` has outcome; where it may be missing, write `| default('')` after its name"
        );
        assert_eq!(outcome(&world, "gate"), format!("rejected: {because}"));
        assert_eq!(outcome(&world, "deploy"), "skipped: gate did not succeed");
        assert_eq!(outcome(&world, "slack"), "succeeded");
        assert_eq!(told(&world), [(RunOutcome::Failed, format!("gate: {because}").as_str())]);
        assert!(!world.acts.iter().any(|act| matches!(act, Act::Start { step, .. } if step == "gate")));
    }
}

#[test]
fn a_condition_that_is_neither_true_nor_false_fails_its_step() {
    let steps = vec![when("gate", &[], "run.title"), step("deploy", &["gate"])];
    let world = ends(vec![opened(steps, vec![])], all_well, RunOutcome::Failed);
    assert_eq!(
        outcome(&world, "gate"),
        "rejected: its condition `run.title` cannot be evaluated (.bespin/p.yaml:7): `run.title` is the text `t`, \
         neither true nor false; compare it with something"
    );
}

#[test]
fn what_needs_a_skipped_step_is_skipped_unless_it_says_otherwise() {
    let steps = vec![
        when("gate", &[], "success() and (commit.branch == 'other')"),
        step("deploy", &["gate"]),
        step("after", &["deploy"]),
        when("asks", &["gate"], "success() and (commit.branch == 'main')"),
        when("success", &["gate"], "success()"),
        when("failure", &["gate"], "failure()"),
        when("always", &["gate"], "always()"),
        when("unless", &["gate"], "not failure() and not cancelled()"),
        step("beside", &[]),
        step("goes-on", &["always"]),
    ];
    let finally = vec![when("tell", &[], "success()"), step("slack", &["tell"])];
    let world = ends(vec![opened(steps, finally)], all_well, RunOutcome::Succeeded);
    for (id, expected) in [
        ("gate", "skipped: its condition `commit.branch == 'other'` does not hold"),
        ("deploy", "skipped: gate was skipped"),
        ("after", "skipped: deploy was skipped"),
        ("asks", "skipped: gate was skipped"),
        ("success", "skipped: its condition `success()` does not hold"),
        ("failure", "skipped: its condition `failure()` does not hold"),
        ("always", "succeeded"),
        ("unless", "succeeded"),
        ("beside", "succeeded"),
        ("goes-on", "succeeded"),
        ("tell", "succeeded"),
        ("slack", "succeeded"),
    ] {
        assert_eq!(outcome(&world, id), expected, "{id}");
    }
    let text = "every step succeeded but gate, deploy, after, asks, success, failure, skipped";
    assert_eq!(told(&world), [(RunOutcome::Succeeded, text)]);
}

#[test]
fn a_final_step_runs_after_one_that_was_skipped_and_one_that_fails_is_told() {
    let finally = vec![when("broken", &[], "steps.test.x == 'y'"), step("slack", &["broken"])];
    let world = ends(vec![opened(vec![step("test", &[])], finally)], all_well, RunOutcome::Succeeded);
    assert!(outcome(&world, "broken").starts_with("rejected: its condition `steps.test.x == 'y'`"));
    assert_eq!(outcome(&world, "slack"), "succeeded");
    let [(RunOutcome::Succeeded, text)] = told(&world)[..] else { panic!("{:?}", told(&world)) };
    assert!(text.starts_with("every step succeeded; then broken: its condition"), "{text}");
}

#[test]
fn a_program_that_fails_is_tried_again_where_its_step_asks_for_that() {
    fn fails_once(step: &str, attempt: u32) -> Outcome {
        match (step, attempt) {
            ("flaky", 1) => Outcome::Failed { because: "the container ended with exit code 1".into() },
            _ => all_well(step, attempt),
        }
    }
    let retried = || vec![Step { retry: 2, ..step("flaky", &[]) }, step("deploy", &["flaky"])];
    let world = ends(vec![opened(retried(), vec![])], fails_once, RunOutcome::Succeeded);
    let attempts = |world: &World| {
        let started = world.journal.iter().filter_map(|(_, _, entry)| match entry {
            Entry::Started { step, attempt, .. } if step == "flaky" => Some(*attempt),
            _ => None,
        });
        started.collect::<Vec<_>>()
    };
    assert_eq!(attempts(&world), [1, 2]);
    let once = vec![step("flaky", &[])];
    assert_eq!(attempts(&ends(vec![opened(once, vec![])], fails_once, RunOutcome::Failed)), [1]);
    let always: Answers = |_, _| Outcome::Failed { because: "no".into() };
    assert_eq!(attempts(&ends(vec![opened(retried(), vec![])], always, RunOutcome::Failed)), [1, 2, 3]);
    for never in [(|_, _| Outcome::Rejected { because: "not granted".into() }) as Answers, |_, _| Outcome::Limit {
        which: "memory".into(),
        because: "64 MiB".into(),
    }] {
        assert_eq!(attempts(&ends(vec![opened(retried(), vec![])], never, RunOutcome::Failed)), [1]);
    }
}
