//! What becomes of git after an abort.

use super::super::*;
use super::git::Git;
use super::world::World;
use crate::annotations::OWNER;
use crate::by::By;
use crate::next::{Phase, Wake};
use crate::revert::{self, Outcome, Withdrawal};

const V55: &str = "was:v55-f31bdcc";
const V56: &str = "was:v56-crash";

/// A world in which v55 serves everything, and v56 has just been shipped.
fn shipped(on_abort: Option<&str>) -> World {
    let mut world = World::with_git(on_abort);
    world.ship(V55, 55);
    world.settle();
    assert_eq!(world.phase(), "Healthy", "{:?}", world.said);
    world.ship(V56, 56);
    world
}

fn git(world: &World) -> &Git {
    world.git.as_ref().unwrap()
}

fn condition(world: &World) -> (String, String) {
    let all = world.status("conditions").as_array().unwrap();
    let one = all.iter().find(|one| one["type"] == "OnAbort").unwrap_or_else(|| panic!("no condition: {all:#?}"));
    (one["reason"].as_str().unwrap().to_owned(), one["message"].as_str().unwrap().to_owned())
}

fn outcome(world: &World) -> Outcome {
    world.state().undo.unwrap().outcome.unwrap()
}

#[test]
fn without_a_word_a_pull_request_is_opened() {
    let mut world = shipped(None);
    world.settle();
    assert_eq!(git(&world).image().as_deref(), Some(V56), "the branch that is deployed is a person's");
    let aside = git(&world).aside();
    assert_eq!(aside.len(), 1);
    let (branch, commits) = &aside[0];
    assert!(branch.starts_with("bespin/retreat-was-") && *commits == 1, "{aside:?}");
    assert_eq!(git(&world).text(branch), git(&world).text("main").replace(V56, V55), "byte for byte");
    assert_eq!(git(&world).requests, std::slice::from_ref(branch));
    assert_eq!(condition(&world).0, "PullRequest");
    assert!(world.said.1.contains(&format!("http://git/pulls/{branch}")), "{:?}", world.said);
    assert_eq!(world.said.0, Phase::Blocked);
}

#[test]
fn without_an_api_the_branch_is_there_and_a_person_is_told_how_to_go_on() {
    let mut world = shipped(Some("pull-request"));
    world.git.as_mut().unwrap().has_api = false;
    world.settle();
    assert_eq!(git(&world).aside().len(), 1);
    assert_eq!(git(&world).requests, Vec::<String>::new());
    let (reason, message) = condition(&world);
    assert_eq!(reason, "BranchPushed");
    assert!(message.contains("open a pull request from it into `main`"), "{message}");
}

#[test]
fn revert_puts_the_image_before_it_back_and_the_rollout_comes_to_rest() {
    let mut world = shipped(Some("revert"));
    world.settle();
    assert_eq!(git(&world).image().as_deref(), Some(V55));
    assert_eq!(git(&world).aside(), []);
    assert!(matches!(outcome(&world), Outcome::Clean { .. }));
    assert_eq!((world.phase(), world.running()), ("Healthy", vec![(V55.to_owned(), 2)]));
    let main = &git(&world).branches["main"];
    assert_eq!(main.len(), 3);
    let message = &main[2].message;
    let wanted = "Bespin-Run: user/petclinic/was/56\nBespin-Image: was:v55-f31bdcc\nBespin-Reverts: was:v56-crash\n";
    assert!(message.ends_with(wanted), "{message}");
    assert!(message.starts_with("Put was back to v55-f31bdcc\n\nThe rollout of production/petclinic/was"), "{message}");
}

#[test]
fn hold_changes_nothing_and_so_does_a_word_that_nobody_knows() {
    for (word, reply) in [("hold", "says bespin.dev/on-abort: hold"), ("undo", "`undo` is none of hold,")] {
        let mut world = shipped(Some(word));
        world.run_until(|world| world.phase() == "Degraded" && world.running().len() == 1);
        world.run_until(|world| world.said.1.contains("on-abort"));
        assert_eq!((git(&world).image().as_deref(), git(&world).aside()), (Some(V56), Vec::new()));
        let (reason, message) = condition(&world);
        assert!(reason == "Held" && message.contains(reply), "{message}");
        // A person may change their mind.
        world.git.as_mut().unwrap().application["metadata"]["annotations"]["bespin.dev/on-abort"] = "revert".into();
        world.settle();
        assert_eq!(git(&world).image().as_deref(), Some(V55));
    }
}

#[test]
fn an_application_that_is_not_ours_is_left_alone() {
    let mut world = shipped(Some("revert"));
    world.git.as_mut().unwrap().application["metadata"]["annotations"].as_object_mut().unwrap().remove(OWNER);
    world.run_until(|world| world.said.1.contains("only observed"));
    assert_eq!((git(&world).image().as_deref(), git(&world).aside()), (Some(V56), Vec::new()));
    assert!(condition(&world).1.contains("bespin take petclinic"));
}

#[test]
fn a_newer_image_in_git_stays() {
    let mut world = shipped(Some("revert"));
    world.run_until(|world| world.state().is_aborted());
    // Another run has bumped before this one's abort gets to git.
    world.git.as_mut().unwrap().bump("was:v57", 57);
    world.settle();
    assert_eq!(git(&world).image().as_deref(), Some("was:v57"));
    assert_eq!((world.phase(), world.running()), ("Healthy", vec![("was:v57".to_owned(), 2)]));
}

#[test]
fn a_retry_overtakes_what_was_promised() {
    let mut world = shipped(Some("revert"));
    world.run_until(|world| world.state().undoing().is_some());
    world.ask(Action::Retry);
    world.run_until(|world| world.state().promised().is_none());
    assert_eq!(outcome(&world), Outcome::Overtaken);
    assert_eq!(git(&world).image().as_deref(), Some(V56));
    // It fails again, and that is another abort with a promise of its own.
    world.now += 1_000;
    world.settle();
    assert_eq!(git(&world).image().as_deref(), Some(V55));
}

#[test]
fn a_second_retreat_of_the_same_image_finds_its_pull_request() {
    let mut world = shipped(None);
    world.settle();
    world.ask(Action::Retry);
    world.settle();
    assert_eq!(world.phase(), "Degraded");
    let retreats = world.journal.iter().filter(|(.., entry)| matches!(entry, Entry::PuttingBack { .. })).count();
    assert_eq!((retreats, git(&world).aside().len(), git(&world).requests.len()), (2, 1, 1));
    assert_eq!(git(&world).aside()[0].1, 1, "one commit");
}

#[test]
fn what_overtakes_a_promise_takes_its_request_back_before_git_is_changed() {
    let mut world = requested();
    world.ask(Action::Retry);
    world.turn();
    let (.., entries) = world.revert();
    assert!(
        matches!(entries.as_slice(), [_, revert::Entry::Withdrawn { cause: Withdrawal::Overtaken }]),
        "{entries:?}"
    );
    let commits = git(&world).branches["main"].len();
    world.run_until(|world| world.state().promised().is_none());
    assert_eq!((outcome(&world), git(&world).branches["main"].len()), (Outcome::Overtaken, commits));
}

#[test]
fn a_second_promise_waits_for_the_end_of_the_first() {
    let mut world = requested();
    // The repository is away, so that nothing can be said about git.
    world.is_away = true;
    world.ask(Action::Retry);
    world.run_until(|world| world.said.1.contains("has to end first") && world.running().len() == 1);
    assert_eq!((world.phase(), world.running()), ("Degraded", vec![(V55.to_owned(), 2)]));
    assert_eq!(world.reverts.len(), 1);
    assert_eq!(condition(&world).0, "PuttingBack");
    world.is_away = false;
    world.settle();
    let ends: Vec<_> = world.reverts.values().map(|entries| revert::State::replay(entries).outcome).collect();
    assert!(matches!(ends.as_slice(), [Some(Outcome::Overtaken), Some(Outcome::Clean { .. })]), "{ends:?}");
    assert_eq!(git(&world).image().as_deref(), Some(V55));
}

/// A promise that nobody has kept yet.
fn promised() -> World {
    let mut world = shipped(Some("revert"));
    world.run_until(|world| world.state().promised().is_some());
    world
}

/// A revert that was asked, and has not done anything yet.
fn requested() -> World {
    let mut world = promised();
    while world.reverts.is_empty() {
        world.turn();
    }
    world
}

fn given(mut world: World) -> World {
    world.rollout["metadata"]["annotations"].as_object_mut().unwrap().remove(OWNER);
    world
}

#[test]
fn a_promise_ends_with_the_care_for_its_rollout() {
    let mut world = given(promised());
    while world.state().promised().is_some() {
        assert!(world.turn() == Wake::Now, "{:?}", world.said);
    }
    let Outcome::Dropped { because } = outcome(&world) else { panic!("{:?}", outcome(&world)) };
    assert!(because.contains("not Bespin's"), "{because}");
    assert!(world.turn() != Wake::Now && world.said.1.contains("bespin take"), "{:?}", world.said);
    assert!(!world.git_turn(), "nobody is left to keep it");
    assert_eq!(git(&world).image().as_deref(), Some(V56));
    assert_eq!(world.reverts.len(), 0, "nobody was asked");
    // Whoever takes it back is told.
    world.rollout["metadata"]["annotations"][OWNER] = "bespin".into();
    world.settle();
    let (reason, message) = condition(&world);
    assert!(reason == "Dropped" && message.contains("by hand"), "{message}");
    assert_eq!(git(&world).image().as_deref(), Some(V56));
}

#[test]
fn a_revert_that_was_asked_answers_that_it_was_dropped() {
    let mut world = given(requested());
    world.turn();
    assert!(world.state().promised().is_some(), "it is the revert that answers");
    assert!(world.git_turn());
    assert!(!world.git_turn(), "nobody is left to keep it");
    world.turn();
    let Outcome::Dropped { because } = outcome(&world) else { panic!("{:?}", outcome(&world)) };
    assert!(because.contains("not Bespin's"), "{because}");
    assert_eq!(git(&world).image().as_deref(), Some(V56));
}

#[test]
fn a_promise_that_was_kept_first_stays_kept() {
    let mut world = promised();
    world.run_until(|world| world.answered().is_some());
    assert!(world.state().promised().is_some(), "the rollout has not heard it yet");
    let mut world = given(world);
    world.turn();
    let kept = outcome(&world);
    assert!(matches!(kept, Outcome::Clean { .. }), "{kept:?}");
    world.turn();
    assert_eq!(outcome(&world), kept);
}

#[test]
fn a_promise_about_a_rollout_that_is_gone_is_dropped_once() {
    let world = promised();
    let mut state = world.state();
    let gone = Observed::read(Objects::default());
    let next = decide(&state, &gone, world.now);
    let [entry @ Entry::PutBack { outcome: Outcome::Dropped { because }, .. }] = next.record.as_slice() else {
        panic!("{next:?}")
    };
    assert!(because.contains("no such Rollout"), "{because}");
    state.apply(world.now, &By::Server, entry);
    let next = decide(&state, &gone, world.now);
    assert_eq!((next.record.len(), next.wake), (0, Wake::Never));
}

#[test]
fn git_is_put_back_though_the_spec_cannot_be_followed() {
    let mut world = shipped(None);
    world.run_until(|world| world.sets.len() == 2 && world.pods.len() > 2);
    assert!(!world.state().is_aborted());
    world.rollout["spec"]["analysis"] = serde_json::json!({});
    world.changed();
    world.settle();
    assert!(world.state().is_aborted(), "{:?}", world.said);
    assert_eq!(git(&world).aside().len(), 1, "{:?}", world.said);
}
