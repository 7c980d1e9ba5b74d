//! The stage's decisions: tables, and a small world that crashes everywhere.

use super::*;
use crate::next::{Next, Phase, Timestamp, Wake};
use crate::request::{Key, Response};
use pipeline::Digest;
use std::collections::BTreeMap;

fn key(step: &str) -> Key {
    Key { run: "user/petclinic/was/56".into(), step: step.into() }
}

fn digest(text: &str) -> Digest {
    Digest::of(text.as_bytes())
}

fn build() -> Intent {
    Intent::Build(Build {
        repository: "user/petclinic".into(),
        commit: "f31bdcc0a1b2c3d4e5f60718293a4b5c6d7e8f90".into(),
        context: "was".into(),
        dockerfile: "Dockerfile".into(),
        build_args: BTreeMap::new(),
        network: Network::Builder,
        timeout_ms: None,
    })
}

fn push() -> Push {
    let build = BuildId { key: key("image"), digest: digest("was") }.to_string();
    Push { build, to: "registry.local:5000/petclinic-was".into(), tag: "v56-f31bdcc".into(), timeout_ms: None }
}

fn wanted(step: &str, intent: Intent) -> Entry {
    Entry::Wanted { key: key(step), intent }
}

fn look(step: &str, intent: Intent, availability: Availability, now: Timestamp) -> Next<Entry, Act> {
    let state = State::replay(&[wanted(step, intent)]);
    decide(&state, &Observed::from([(key(step), availability)]), now)
}

fn failure(next: &Next<Entry, Act>) -> (&str, bool) {
    match &next.record[..] {
        [Entry::Answered { answer: Response::Failed { because, transient }, .. }] => (because, *transient),
        other => panic!("not a failure: {other:?}"),
    }
}

#[test]
fn a_push_of_what_is_there_is_met() {
    let next = look("push", Intent::Push(push()), Availability::Tagged(digest("was")), 0);
    let Entry::Answered { answer: Response::Met { outputs }, .. } = &next.record[0] else { panic!("{next:?}") };
    assert_eq!(outputs["image"], "registry.local:5000/petclinic-was:v56-f31bdcc");
    assert_eq!(outputs["digest"], digest("was").as_str());
    assert_eq!(outputs["reference"], format!("registry.local:5000/petclinic-was@{}", digest("was")));
    assert!(next.acts.is_empty());
}

#[test]
fn a_tag_with_another_digest_is_never_overwritten() {
    let next = look("push", Intent::Push(push()), Availability::Tagged(digest("other")), 0);
    let (because, transient) = failure(&next);
    assert!(because.contains("never overwritten"), "{because}");
    assert!(!transient && next.acts.is_empty());
}

#[test]
fn a_push_that_cannot_be_read_is_refused_before_anything_is_seen() {
    let rows = [
        (Push { build: "v55".into(), ..push() }, "is not a build"),
        (Push { to: "registry.local:5000/WAS".into(), ..push() }, "capital letter"),
        (Push { to: "registry.local:5000/was:v1".into(), ..push() }, "write the tag as `tag:`"),
        (Push { tag: "v1+2".into(), ..push() }, "`+`"),
        (Push { build: push().build.replace("/56#", "/55#"), ..push() }, "belongs to another run"),
    ];
    for (push, wanted) in rows {
        let next = look("push", Intent::Push(push), Availability::Untagged(Local::Held, Health::Well), 0);
        let (because, transient) = failure(&next);
        assert!(because.contains(wanted) && !transient, "{because}");
    }
}

#[test]
fn trouble_is_borne_for_an_hour() {
    let since = 1_000;
    let failing = Health::Failing { since, because: "the daemon is away".into() };
    let availability = Availability::Unbuilt(failing);
    assert_eq!(look("image", build(), availability.clone(), since + PATIENCE_MS - 1).acts.len(), 1);
    let next = look("image", build(), availability, since + PATIENCE_MS);
    let (because, transient) = failure(&next);
    assert!(because.contains("the daemon is away") && transient, "{because}");
}

#[test]
fn trouble_is_borne_for_as_long_as_the_step_may_take() {
    let since = 1_000;
    let failing = Health::Failing { since, because: "the daemon is away".into() };
    for timeout_ms in [PATIENCE_MS / 4, 3 * PATIENCE_MS] {
        let Intent::Build(build) = build() else { panic!("it is a build") };
        let build = Intent::Build(Build { timeout_ms: Some(timeout_ms), ..build });
        let pushed = Intent::Push(Push { timeout_ms: Some(timeout_ms), ..push() });
        for (intent, availability) in [
            (build, Availability::Unbuilt(failing.clone())),
            (pushed, Availability::Untagged(Local::Held, failing.clone())),
        ] {
            assert_eq!(look("image", intent.clone(), availability.clone(), since + timeout_ms - 1).acts.len(), 1);
            assert!(failure(&look("image", intent, availability, since + timeout_ms)).1);
        }
    }
}

#[test]
fn a_lost_build_and_a_refused_one_are_failures() {
    let next = look("push", Intent::Push(push()), Availability::Untagged(Local::Missing, Health::Well), 0);
    assert!(failure(&next).0.contains("no longer held"));
    let next = look("image", build(), Availability::Refused("line 3: RUN".into()), 0);
    assert_eq!(failure(&next), ("line 3: RUN", false));
    let next = look("image", build(), Availability::NotBuilt("line 3: RUN".into()), 0);
    assert_eq!(failure(&next), ("line 3: RUN", true), "a later attempt of the step builds again");
}

#[test]
fn nothing_wanted_and_nothing_seen_do_nothing() {
    assert_eq!(decide(&State::default(), &Observed::new(), 0).wake, Wake::Never);
    let state = State::replay(&[wanted("image", build())]);
    let next = decide(&state, &Observed::new(), 0);
    assert_eq!((next.status.phase, next.wake), (Phase::Waiting, Wake::OnChange));
}

/// The journal's text is a promise to every later version.
#[test]
fn entries_keep_their_written_form() {
    let entries = [wanted("image", build()), wanted("push", Intent::Push(push()))];
    let text = serde_json::to_value(&entries).expect("entries are plain data");
    let was = digest("was");
    let mut golden = serde_json::json!([
        { "kind": "wanted", "body": {
            "key": { "run": "user/petclinic/was/56", "step": "image" },
            "intent": { "intent": "build", "repository": "user/petclinic",
                "commit": "f31bdcc0a1b2c3d4e5f60718293a4b5c6d7e8f90", "context": "was",
                "dockerfile": "Dockerfile", "build-args": {}, "network": "builder" } } },
        { "kind": "wanted", "body": {
            "key": { "run": "user/petclinic/was/56", "step": "push" },
            "intent": { "intent": "push", "build": format!("user/petclinic/was/56#image@{was}"),
                "to": "registry.local:5000/petclinic-was", "tag": "v56-f31bdcc" } } },
    ]);
    assert_eq!(text, golden);
    assert_eq!(serde_json::from_value::<Vec<Entry>>(golden.clone()).expect("golden entries"), entries);
    // Written before a build's network was.
    golden[0]["body"]["intent"].as_object_mut().expect("an intent").remove("network");
    assert_eq!(serde_json::from_value::<Vec<Entry>>(golden).expect("golden entries"), entries);
}

/// A builder, a store and a registry, as far as the decision can tell.
#[derive(Clone, Default)]
struct World {
    built: BTreeMap<Key, Digest>,
    tags: BTreeMap<String, Digest>,
    builds_made: usize,
    tags_moved: usize,
}

impl World {
    fn look(&self, state: &State) -> Observed {
        let availability = |key: &Key, intent: &Intent| match intent {
            Intent::Build(_) => {
                self.built.get(key).map_or(Availability::Unbuilt(Health::Well), |d| Availability::Built(d.clone()))
            }
            Intent::Push(push) => {
                let (build, to) = push.target().expect("the test's push is well-formed");
                let local = if self.built.contains_key(&build.key) { Local::Held } else { Local::Missing };
                let tag = self.tags.get(&to.to_string()).cloned();
                tag.map_or(Availability::Untagged(local, Health::Well), Availability::Tagged)
            }
        };
        state.open().map(|(key, intent)| (key.clone(), availability(key, intent))).collect()
    }

    fn act(&mut self, act: &Act) {
        match act {
            Act::Build { key, .. } => {
                if self.built.insert(key.clone(), digest("was")).is_none() {
                    self.builds_made += 1;
                }
            }
            Act::Push { build, to, .. } => {
                if self.tags.insert(to.to_string(), build.digest.clone()).as_ref() != Some(&build.digest) {
                    self.tags_moved += 1;
                }
            }
        }
    }
}

/// Where the server is killed within a turn.
#[derive(Clone, Copy, PartialEq)]
enum Cut {
    Never,
    AfterAppend(usize),
    AfterActs(usize),
}

/// Drives until the stream is finished or the server dies in turn `cut`.
fn drive(mut journal: Vec<Entry>, world: &mut World, cut: Cut) -> Vec<Entry> {
    for turn in 0..20 {
        let state = State::replay(&journal);
        let next = decide(&state, &world.look(&state), 0);
        journal.extend(next.record);
        if cut == Cut::AfterAppend(turn) {
            return journal;
        }
        for act in &next.acts {
            world.act(act);
        }
        if cut == Cut::AfterActs(turn) {
            return journal;
        }
        if next.wake == Wake::Never {
            if state.intent(&key("push")).is_some() {
                return journal;
            }
            // The run goes on to its next step once the image is there.
            journal.push(wanted("push", Intent::Push(push())));
        }
    }
    panic!("the stream never ends: {journal:?}");
}

#[test]
fn killed_anywhere_it_ends_the_same() {
    let start = vec![wanted("image", build())];
    let mut whole_world = World::default();
    let whole = drive(start.clone(), &mut whole_world, Cut::Never);
    assert_eq!(whole.len(), 4, "{whole:?}");
    for turn in 0..7 {
        for cut in [Cut::AfterAppend(turn), Cut::AfterActs(turn)] {
            let mut world = World::default();
            let journal = drive(start.clone(), &mut world, cut);
            let journal = drive(journal, &mut world, Cut::Never);
            let answers = |journal: &[Entry]| State::replay(journal).requests;
            assert_eq!(answers(&journal), answers(&whole));
            assert_eq!((world.builds_made, world.tags_moved), (1, 1));
            assert_eq!((&world.built, &world.tags), (&whole_world.built, &whole_world.tags));
        }
    }
}

/// The same, cut after each entry of the finished journal, the world being as it was left.
#[test]
fn every_prefix_of_the_journal_ends_the_same() {
    let start = vec![wanted("image", build())];
    let mut world = World::default();
    let whole = drive(start, &mut world, Cut::Never);
    for len in 1..=whole.len() {
        let mut world = world.clone();
        let ended = drive(whole[..len].to_vec(), &mut world, Cut::Never);
        assert_eq!(State::replay(&ended), State::replay(&whole));
        assert_eq!((world.builds_made, world.tags_moved), (1, 1), "nothing is done twice");
    }
}
