//! A small world around the rules of a run: it can be cut after any entry, and resumed.

mod approvals;
mod conditions;
mod places;

use super::*;
use crate::by::By;
use crate::next::Timestamp;
use crate::next::Wake;
use pipeline::{Concurrency, Grants, Pipeline, Step, Supersede};
use serde_json::json;
use std::sync::Arc;

/// How the small world answers an attempt of a step: by step and attempt.
type Answers = fn(&str, u32) -> Outcome;

fn step(id: &str, needs: &[&str]) -> Step {
    Step {
        id: id.into(),
        uses: id.into(),
        needs: needs.iter().map(|need| (*need).to_owned()).collect(),
        timeout_ms: 60_000,
        ..Step::default()
    }
}

fn opened(steps: Vec<Step>, finally: Vec<Step>) -> Entry {
    let pipeline = Pipeline { name: "p".into(), steps, finally, ..Pipeline::default() };
    Entry::Opened { run: Arc::new(Opened { id: "o/r/p/1".into(), number: 1, pipeline, ..opening() }) }
}

fn opening() -> Opened {
    Opened {
        id: String::new(),
        number: 0,
        repository: "o/r".into(),
        pipeline_file: ".bespin/p.yaml".into(),
        pipeline: Pipeline::default(),
        event: Event { reference: "refs/heads/main".into(), ..Event::default() },
        commit: Commit { short: "f31bdcc".into(), ..Commit::default() },
        title: "t".into(),
        mistakes: Vec::new(),
        retry_of: None,
    }
}

/// A diamond with a final step.
fn diamond() -> Vec<Entry> {
    let steps = vec![step("test", &[]), step("lint", &[]), step("image", &["test", "lint"]), step("bump", &["image"])];
    vec![opened(steps, vec![step("slack", &[])])]
}

fn all_well(_: &str, _: u32) -> Outcome {
    Outcome::Succeeded { outputs: json!({}) }
}

fn lint_fails(step: &str, attempt: u32) -> Outcome {
    if step == "lint" { Outcome::Rejected { because: "bad".into() } } else { all_well(step, attempt) }
}

fn image_recovers(step: &str, attempt: u32) -> Outcome {
    match (step, attempt) {
        ("image", 1) => Outcome::Transient { because: "busy".into() },
        _ => all_well(step, attempt),
    }
}

/// What the people of the small world say to a step that asks; `None` is silence.
type People = fn(&str) -> Option<(By, Answer)>;

/// A journal, its clock, and what lives in the process.
struct World {
    journal: Vec<(Timestamp, By, Entry)>,
    seen: Observed,
    now: Timestamp,
    acts: Vec<Act>,
    people: People,
    because: String,
}

impl World {
    fn resume(journal: Vec<(Timestamp, By, Entry)>) -> World {
        let now = journal.last().map_or(0, |(at, ..)| *at);
        World { journal, seen: Observed::default(), now, acts: Vec::new(), people: |_| None, because: String::new() }
    }

    fn run(&self) -> State {
        State::replay(self.journal.iter().map(|(at, by, entry)| (*at, by, entry)))
    }

    fn write(&mut self, by: By, entry: Entry) {
        self.journal.push((self.now, by, entry));
    }

    /// One turn: decide, record, act. Returns the wake.
    fn turn(&mut self) -> Wake {
        let next = decide(&self.run(), &self.seen, self.now);
        self.because = next.status.message;
        self.journal.extend(next.record.into_iter().map(|entry| (self.now, By::Server, entry)));
        for act in &next.acts {
            match act {
                Act::Start { step, attempt, .. } => {
                    self.seen.alive.insert((step.clone(), *attempt));
                }
                Act::Stop { step, attempt } => {
                    self.seen.alive.remove(&(step.clone(), *attempt));
                }
                Act::GiveUp { .. } | Act::Report { .. } => {}
            }
        }
        self.acts.extend(next.acts);
        next.wake
    }

    fn finish(mut self, answers: Answers) -> World {
        for _ in 0..200 {
            match self.turn() {
                Wake::Never => return self,
                Wake::Now => continue,
                Wake::At(_) | Wake::OnChange if self.end_one(answers) || self.answer_one() => continue,
                Wake::At(at) => self.now = at,
                Wake::OnChange => panic!("waits for a change that never comes: {:#?}", self.journal),
            }
        }
        panic!("does not come to an end: {:#?}", self.journal);
    }

    fn end_one(&mut self, answers: Answers) -> bool {
        let Some((step, attempt)) = self.seen.alive.pop_first() else { return false };
        let outcome = answers(&step, attempt);
        self.seen.exits.insert((step, attempt), outcome);
        true
    }

    fn answer_one(&mut self) -> bool {
        let asking: Vec<String> = self.run().asking().map(|(step, ..)| step.id.clone()).collect();
        let said = asking.into_iter().find_map(|step| (self.people)(&step).map(|said| (step, said)));
        let Some((step, (by, answer))) = said else { return false };
        self.write(by, Entry::ApprovalAnswered { step, answer });
        true
    }

    fn ending(&self) -> Option<&Entry> {
        self.journal.last().map(|(.., entry)| entry)
    }
}

fn start(entries: Vec<Entry>) -> World {
    World::resume(entries.into_iter().map(|entry| (1_000, By::Server, entry)).collect())
}

#[track_caller]
fn ends(entries: Vec<Entry>, answers: Answers, outcome: RunOutcome) -> World {
    let world = start(entries).finish(answers);
    assert_eq!(world.ending(), Some(&Entry::Closed { outcome }));
    world
}

#[test]
fn a_run_ends_as_its_steps_end() {
    ends(diamond(), all_well, RunOutcome::Succeeded);
    ends(diamond(), lint_fails, RunOutcome::Failed);
}

/// Kill the server after every entry; the ending must not change.
#[test]
fn every_prefix_of_a_journal_ends_the_same() {
    let mut retried = diamond();
    let Entry::Opened { run } = &mut retried[0] else { unreachable!() };
    let run = Arc::make_mut(run);
    run.pipeline.steps[2].retry = 1;
    let cases: [(Vec<Entry>, Answers); 3] = [(diamond(), all_well), (diamond(), lint_fails), (retried, image_recovers)];
    for (entries, answers) in cases {
        let whole = start(entries).finish(answers);
        for cut in 1..=whole.journal.len() {
            let resumed = World::resume(whole.journal[..cut].to_vec()).finish(answers);
            assert_eq!(resumed.ending(), whole.ending(), "killed after {:?}", whole.journal[cut - 1]);
        }
    }
}

#[test]
fn a_failure_skips_what_needs_it_but_not_the_final_steps() {
    let world = ends(diamond(), lint_fails, RunOutcome::Failed);
    let run = world.run();
    assert_eq!(run.status("image"), Status::Skipped { because: "lint did not succeed".into() });
    assert_eq!(run.status("bump"), Status::Skipped { because: "lint did not succeed".into() });
    assert!(matches!(run.status("slack"), Status::Ended { outcome: Outcome::Succeeded { .. }, .. }));
}

#[test]
fn an_attempt_that_a_restart_took_does_not_count() {
    let mut journal: Vec<_> = diamond().into_iter().map(|entry| (0, By::Server, entry)).collect();
    journal.push((0, By::Server, Entry::Started { step: "lint".into(), attempt: 1, owner: None }));
    let mut world = World::resume(journal);
    world.turn();
    world.turn();
    let restarted = |act: &Act| matches!(act, Act::Start { step, attempt: 2, .. } if step == "lint");
    assert!(world.acts.iter().any(restarted), "{:#?}", world.journal);
}

#[test]
fn a_failure_that_may_pass_is_tried_again_later_and_only_as_often_as_asked() {
    let mut entries = diamond();
    let Entry::Opened { run } = &mut entries[0] else { unreachable!() };
    let run = Arc::make_mut(run);
    run.pipeline.steps[2].retry = 1;
    let world = ends(entries, image_recovers, RunOutcome::Succeeded);
    let started = |attempt| Entry::Started { step: "image".into(), attempt, owner: Some(Instance::default()) };
    let at = |entry| world.journal.iter().find(|(.., e)| *e == entry).map(|(at, ..)| *at).expect("it was recorded");
    assert_eq!(at(started(2)) - at(started(1)), 2_000);
    ends(diamond(), image_recovers, RunOutcome::Failed);
}

#[test]
fn an_attempt_that_takes_too_long_is_stopped() {
    let mut world = start(vec![opened(vec![step("slow", &[])], vec![])]);
    assert_eq!(world.turn(), Wake::Now);
    assert_eq!(world.turn(), Wake::At(61_000));
    world.now = 61_000;
    world.turn();
    assert!(world.acts.contains(&Act::Stop { step: "slow".into(), attempt: 1 }));
    let before = world.acts.len();
    let world = world.finish(all_well);
    assert_eq!(world.ending(), Some(&Entry::Closed { outcome: RunOutcome::Failed }));
    let given_up = Act::GiveUp { step: "slow".into() };
    assert!(world.acts[..before].contains(&given_up) && world.acts[before..].contains(&given_up));
}

#[test]
fn mistakes_in_the_file_fail_the_run_without_starting_anything() {
    let run = Opened { id: "o/r/p/1".into(), mistakes: vec!["line 3: bad".into()], ..opening() };
    let world = ends(vec![Entry::Opened { run: Arc::new(run) }], all_well, RunOutcome::Failed);
    assert!(world.acts.iter().all(|act| matches!(act, Act::Report { .. })));
}

#[test]
fn a_closed_run_tells_how_it_ended_for_a_day() {
    let mut world = start(diamond()).finish(all_well);
    let closed_at = world.journal.last().map(|(at, ..)| *at).unwrap();
    let mut reports = |now| {
        (world.now, world.acts) = (now, Vec::new());
        assert_eq!(world.turn(), Wake::Never);
        world.acts.iter().filter(|act| matches!(act, Act::Report { outcome: Some(_), .. })).count()
    };
    assert_eq!([0, 86_399_999, 86_400_000].map(|after| reports(closed_at + after)), [1, 1, 0]);
}

fn cancelled(cause: CancelCause, after: &str) -> World {
    let mut world = start(diamond());
    let is_started = |world: &World| world.run().status(after) != Status::Waiting;
    while !is_started(&world) {
        world.turn();
        if !is_started(&world) {
            world.end_one(all_well);
        }
    }
    world.write(By::Server, Entry::CancelAsked { because: "newer".into(), cause });
    world.finish(all_well)
}

#[test]
fn a_newer_run_takes_the_place_only_before_the_bump() {
    let superseded = Some(Entry::Closed { outcome: RunOutcome::Superseded });
    assert_eq!(cancelled(CancelCause::Superseded, "image").ending(), superseded.as_ref());
    let succeeded = Some(Entry::Closed { outcome: RunOutcome::Succeeded });
    assert_eq!(cancelled(CancelCause::Superseded, "bump").ending(), succeeded.as_ref());
    let by_hand = Some(Entry::Closed { outcome: RunOutcome::Cancelled });
    assert_eq!(cancelled(CancelCause::Asked, "bump").ending(), by_hand.as_ref());
}

#[test]
fn a_run_waits_behind_an_older_one_of_its_group() {
    let mut world = start(diamond());
    let Entry::Opened { run } = &mut world.journal[0].2 else { unreachable!() };
    let run = Arc::make_mut(run);
    run.pipeline.concurrency = Some(Concurrency { group: "was".into(), supersede: Supersede::UntilBump });
    world.seen.ahead = Some("o/r/p/0".into());
    assert_eq!(world.turn(), Wake::OnChange);
    assert_eq!(world.journal.len(), 1);
    world.seen.ahead = None;
    assert_eq!(world.finish(all_well).ending(), Some(&Entry::Closed { outcome: RunOutcome::Succeeded }));
}

#[test]
fn settings_are_rendered_from_what_earlier_steps_gave() {
    let mut push = step("push", &["image"]);
    push.with = json!({ "tag": "v${{ run.number }}-${{ commit.short }}", "build": "${{ steps.image.build }}" })
        .as_object()
        .cloned()
        .expect("an object");
    push.grants = Grants([("registry".to_owned(), vec!["${{ env.repository }}".to_owned()])].into());
    let mut entry = opened(vec![step("image", &[]), push], vec![]);
    let Entry::Opened { run } = &mut entry else { unreachable!() };
    let run = Arc::make_mut(run);
    run.pipeline.env = [("repository".to_owned(), "host/was".to_owned())].into();
    let answers: Answers = |_, _| Outcome::Succeeded { outputs: json!({ "build": "b1" }) };
    let world = ends(vec![entry], answers, RunOutcome::Succeeded);
    let rendered = world.acts.iter().find_map(|act| match act {
        Act::Start { step, settings, grants, .. } if step == "push" => Some((settings.clone(), grants.clone())),
        _ => None,
    });
    let (settings, grants) = rendered.expect("push was started");
    assert_eq!(settings, json!({ "tag": "v1-f31bdcc", "build": "b1" }));
    assert_eq!(grants["registry"], ["host/was"]);
}

#[test]
fn a_name_that_does_not_exist_rejects_the_step() {
    let mut only = step("only", &[]);
    only.with.insert("x".into(), "${{ steps.nobody.output }}".into());
    let world = ends(vec![opened(vec![only], vec![])], all_well, RunOutcome::Failed);
    let is_rejected = matches!(world.run().status("only"), Status::Ended { outcome: Outcome::Rejected { .. }, .. });
    assert!(is_rejected, "{:#?}", world.journal);
}

#[test]
fn an_event_keeps_its_word_and_an_unknown_one_is_refused() {
    let words = ["push", "tag", "pull_request", "schedule", "manual", "alert", "release"];
    for word in words {
        let kind: EventKind = serde_json::from_value(json!(word)).expect("it is a kind");
        assert_eq!((kind.as_str(), serde_json::to_value(kind).unwrap()), (word, json!(word)));
    }
    for unknown in ["", "Push", "pull-request", "deployment"] {
        assert!(serde_json::from_value::<EventKind>(json!(unknown)).is_err(), "{unknown}");
    }
}

#[test]
fn an_attempt_names_the_instance_that_runs_it() {
    let observed = Observed { instance: Instance("01A".into()), ..Observed::default() };
    let mut world = World::resume(start(diamond()).journal);
    world.seen = observed;
    world.turn();
    let run = world.run();
    let Status::Started { owner, .. } = run.status("test") else { panic!("it starts: {:?}", run.status("test")) };
    assert_eq!(owner, Some(Instance("01A".into())));
    let old: Entry =
        serde_json::from_value(json!({ "kind": "started", "body": { "step": "a", "attempt": 1 } })).unwrap();
    assert_eq!(old, Entry::Started { step: "a".into(), attempt: 1, owner: None });
    let again = serde_json::to_value(&old).unwrap();
    assert_eq!(again, json!({ "kind": "started", "body": { "step": "a", "attempt": 1 } }), "as it was written");
}

#[test]
fn a_run_that_may_have_ended_in_the_lost_time_is_not_repeated() {
    let moved = || Some(SinceBackup::Moved { reference: "refs/heads/main".into() });
    let bumped = Some(SinceBackup::Bumped { repo: "https://host.example/manifests".into() });
    let cases = [(moved(), "`refs/heads/main` has moved on"), (bumped, "its bump has come to https://host.example")];
    let lost = Entry::Started { step: "lint".into(), attempt: 1, owner: None };
    for (since_backup, because) in cases {
        for backup in [diamond(), [diamond(), vec![lost.clone()]].concat()] {
            let mut world = start(backup);
            world.seen.since_backup = since_backup.clone();
            let world = world.finish(all_well);
            assert_eq!(world.ending(), Some(&Entry::Closed { outcome: RunOutcome::Cancelled }));
            let run = world.run();
            let Status::Skipped { because: said } = run.status("bump") else { panic!("{:?}", run.status("bump")) };
            assert!(said.starts_with(because) && said.contains("start it again"), "{said}");
            let started = |act: &&Act| matches!(act, Act::Start { step, .. } if step != "slack");
            assert_eq!(world.acts.iter().filter(started).count(), 0);
            assert!(matches!(run.status("slack"), Status::Ended { .. }), "the final steps run");
        }
    }
    let mut asked = start(diamond());
    let entry = Entry::CancelAsked { because: "kim asked".into(), cause: CancelCause::Asked };
    asked.write(By::Person("kim".into()), entry);
    asked.seen.since_backup = moved();
    let asked = asked.finish(all_well);
    assert_eq!(asked.run().cancel().map(|(_, because)| because.to_owned()), Some("kim asked".into()), "it stays");
}
