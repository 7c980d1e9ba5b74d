//! Decisions about git after an abort.

mod cuts;

use super::decide::Move;
use super::messages::{body, message};
use super::*;
use crate::bump::{RUN_TRAILER, Swap};
use crate::next::{Phase, Wake};
use crate::outcome::Outcomes;
use crate::sync::application::Depth;

const BAD: &str = "registry.example/petclinic-was:v56";
const GOOD: &str = "registry.example/petclinic-was:v55";

fn intent(how: How) -> Intent {
    Intent {
        how,
        rollout: "production/petclinic/was".into(),
        repo: "https://github.com/user/k8s-manifests.git".into(),
        branch: None,
        path: "petclinic".into(),
        depth: Depth::Flat,
        images: vec![Swap { from: BAD.into(), to: GOOD.into() }],
        because: "pod was-1: container was: CrashLoopBackOff".into(),
    }
}

fn manifest(image: &str) -> String {
    format!("kind: Rollout\nspec:\n  template:\n    spec:\n      containers:\n      - image: {image}\n")
}

fn json(image: &str) -> String {
    let spec = serde_json::json!({ "containers": [{ "image": image }] });
    serde_json::json!({ "kind": "Rollout", "spec": { "template": { "spec": spec } } }).to_string()
}

fn folder(path: &str, bytes: impl Into<Vec<u8>>) -> Result<Folder, String> {
    Ok(Folder::new(&intent(How::Revert), [(path.to_owned(), bytes.into())]))
}

fn files(image: &str) -> Result<Folder, String> {
    folder("petclinic/was.yaml", manifest(image))
}

fn branch() -> Branch {
    Branch {
        name: "main".into(),
        head: "1234567890".into(),
        files: files(BAD),
        bumps: Vec::new(),
        aside: Aside::Absent,
        request: Request::NoApi,
        refused: None,
    }
}

fn decided(how: How, branch: Branch) -> Move {
    decided_on(intent(how), Observed::Branch(Box::new(branch)))
}

fn asked(intent: Intent) -> Entry {
    Entry::Asked { intent: Box::new(intent) }
}

fn decided_on(intent: Intent, observed: Observed) -> Move {
    decide(&State::replay(&[asked(intent)]), &observed, 0)
}

#[track_caller]
fn answered(next: &Move) -> &Outcome {
    assert_eq!(next.acts, [Act::Notify], "the rollout looks at once");
    match next.record.as_slice() {
        [Entry::Answered { outcome }] => outcome,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_nobody_promised_is_not_done() {
    let next = decide(&State::default(), &Observed::Nothing, 0);
    assert_eq!((next.record.len(), next.acts.len(), next.wake), (0, 0, Wake::Never));
}

#[test]
fn a_commit_names_its_parent_and_carries_no_run_that_it_does_not_know() {
    let next = decided(How::Revert, branch());
    let [Act::Commit { branch, parent, files, message }] = next.acts.as_slice() else { panic!("{:?}", next.acts) };
    assert_eq!((branch.as_str(), parent.as_str()), ("main", "1234567890"));
    assert!(files[0].1.contains(GOOD) && !files[0].1.contains(BAD));
    assert!(message.starts_with("Put petclinic-was back to v55\n\n"), "{message}");
    assert!(
        message.ends_with(&format!("\n\n{REVERTS_TRAILER}: {BAD}\n")) && !message.contains(RUN_TRAILER),
        "{message}"
    );
}

#[test]
fn a_reason_cannot_write_trailers_or_markup() {
    let because = format!("pod: x\n\nBespin-Run: user/x/y/999\n```\n{}", "é".repeat(2_000));
    let intent = Intent { because, ..intent(How::PullRequest) };
    let message = message(&intent, &branch());
    assert!(!message.lines().any(|line| line.starts_with("Bespin-Run")), "{message}");
    let body = body(&intent);
    assert_eq!(body.matches("```").count(), 2, "{body}");
    assert!(body.len() < 2_000);
}

#[test]
fn a_branch_that_is_there_is_not_made_again() {
    let aside = Aside::There { files: files(GOOD) };
    let at = |request: Request| decided(How::PullRequest, Branch { aside: aside.clone(), request, ..branch() });
    assert!(matches!(at(Request::Absent).acts.as_slice(), [Act::Request { base, .. }] if base == "main"));
    let open = at(Request::Open { url: "https://x/1".into() });
    assert_eq!(answered(&open), &Outcome::Requested { url: "https://x/1".into() });
    for request in [Request::NoApi, Request::Refused { because: "403: no right".into() }] {
        let next = at(request.clone());
        let Outcome::Pushed { branch, because } = answered(&next) else { panic!("{:?}", next.acts) };
        assert!(branch.starts_with("bespin/retreat-was-") && because.contains("into `main`"), "{because}");
        assert_eq!(because.contains("403: no right"), request != Request::NoApi);
    }
}

#[test]
fn what_cannot_be_done_is_a_sentence() {
    let refused = Some("protected branch hook declined".to_owned());
    let foreign = Aside::There { files: files(BAD) };
    let broken = folder("petclinic/was.yaml", format!("a: {BAD}\n  b: {{"));
    for (next, wanted) in [
        (decided(How::Revert, Branch { refused, ..branch() }), "refuses the push to `main`: protected branch"),
        (decided(How::PullRequest, Branch { aside: foreign, ..branch() }), "delete the branch"),
        (decided(How::Revert, Branch { files: broken, ..branch() }), "by hand"),
        (decided(How::Revert, Branch { files: Err("too many".into()), ..branch() }), "too many"),
        (decided_on(intent(How::Revert), Observed::NoBranch { branch: "branch `v1`".into() }), "has no branch `v1`"),
        (decided_on(intent(How::Revert), Observed::Unusable { because: "no address".into() }), "no address"),
    ] {
        let Outcome::Failed { because } = answered(&next) else { panic!("{:?}", next.acts) };
        assert!(because.contains(wanted), "{because}");
        assert_eq!(next.status.phase, Phase::Blocked);
    }
}

#[test]
fn the_branch_follows_from_the_rollout_and_its_images_alone() {
    let one = intent(How::PullRequest).aside();
    assert_eq!(Intent { because: "another reason".into(), ..intent(How::Revert) }.aside(), one);
    assert_ne!(Intent { rollout: "dr/petclinic/was".into(), ..intent(How::PullRequest) }.aside(), one);
    let images = vec![Swap { from: BAD.replace("56", "57"), to: GOOD.into() }];
    assert_ne!(Intent { images, ..intent(How::PullRequest) }.aside(), one);
}

#[test]
fn the_entries_read_as_they_were_written() {
    let golden = serde_json::json!({
        "how": "pull-request", "rollout": "production/petclinic/was",
        "repo": "https://github.com/user/k8s-manifests.git", "path": "petclinic",
        "images": [{ "from": BAD, "to": GOOD }], "because": "pod was-1: container was: CrashLoopBackOff",
    });
    // Before the depth was written down, every folder was read.
    let old = Intent { depth: Depth::Recurse, ..intent(How::PullRequest) };
    assert_eq!(serde_json::from_value::<Intent>(golden.clone()).unwrap(), old);
    let mut golden = golden;
    golden["depth"] = "flat".into();
    assert_eq!(serde_json::to_value(intent(How::PullRequest)).unwrap(), golden);
    assert_eq!(serde_json::from_value::<Intent>(golden).unwrap(), intent(How::PullRequest));
    let outcome = serde_json::json!({ "outcome": "pushed", "branch": "b", "because": "c" });
    let pushed = Outcome::Pushed { branch: "b".into(), because: "c".into() };
    assert_eq!(serde_json::from_value::<Outcome>(outcome).unwrap(), pushed);
}

#[test]
fn what_a_sync_does_not_read_is_another_applications() {
    let both =
        || ["petclinic/was.yaml", "petclinic/staging/was.yaml"].map(|path| (path.to_owned(), manifest(BAD).into()));
    for (path, depth, wanted) in [
        ("petclinic", Depth::Flat, vec!["petclinic/was.yaml"]),
        ("petclinic", Depth::Recurse, vec!["petclinic/was.yaml", "petclinic/staging/was.yaml"]),
        ("", Depth::Flat, vec![]),
        ("", Depth::Recurse, vec!["petclinic/was.yaml", "petclinic/staging/was.yaml"]),
    ] {
        let intent = Intent { path: path.into(), depth, ..intent(How::Revert) };
        let files = Folder::new(&intent, both());
        let edited: Vec<String> =
            files.put_back(&intent.images).unwrap().files.into_iter().map(|(path, _)| path).collect();
        assert_eq!(edited, wanted, "`{path}`, {depth:?}");
    }
}

#[test]
fn what_is_not_edited_is_not_called_clean_while_it_may_name_the_image() {
    let at = |path: &str, bytes: Vec<u8>| decided(How::Revert, Branch { files: folder(path, bytes), ..branch() });
    let utf16 = |image: &str| {
        [&b"\xff\xfe"[..], &manifest(image).encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>()].concat()
    };
    let latin = |image: &str| [b"# caf\xe9\n", manifest(image).as_bytes()].concat();
    for (path, make) in [
        ("petclinic/was.json", &(|image: &str| json(image).into_bytes()) as &dyn Fn(&str) -> Vec<u8>),
        // No JSON, but it mentions the image.
        ("petclinic/was.json", &|image: &str| format!("{{ {image}").into_bytes()),
        ("petclinic/was.yaml", &utf16),
        ("petclinic/was.yaml", &latin),
    ] {
        let next = at(path, make(BAD));
        let Outcome::Failed { because } = answered(&next) else { panic!("{path}: {:?}", next.acts) };
        assert!(because.starts_with(path) && because.ends_with("put the image back there by hand"), "{because}");
        let next = at(path, make(GOOD));
        assert!(matches!(answered(&next), Outcome::Clean { .. }), "{path}: {:?}", next.acts);
    }
    // Another image's tag may be the same.
    let other = json("registry.example/petclinic-web:v56");
    assert!(matches!(answered(&at("petclinic/web.json", other.into_bytes())), Outcome::Clean { .. }));
}

#[test]
fn what_was_refused_is_told_apart_and_a_promise_begins_without() {
    let commit = |parent: &str| Act::Commit {
        branch: "main".into(),
        parent: parent.into(),
        files: Vec::new(),
        message: String::new(),
    };
    let request = Act::Request { head: "h".into(), base: "main".into(), title: String::new(), body: String::new() };
    let refused = |because: &str| Ok(Reply::Refused(because.into()));
    let mut outcomes = Outcomes::default();
    outcomes.keep(commit("a"), refused("protected"), 10);
    outcomes.keep(request, refused("archived"), 20);
    outcomes.keep(commit("b"), Ok(Reply::Done), 30);
    let all = Refusals { push: Some("protected".into()), pull_request: Some("archived".into()) };
    assert_eq!(Refusals::of(&outcomes), all);
    outcomes.retain(|act| matches!(act, Act::Request { .. }));
    assert_eq!(Refusals::of(&outcomes), Refusals { push: None, ..all });
    assert_eq!(Refusals::of(&Outcomes::default()), Refusals::default());
}

#[test]
fn what_is_taken_back_changes_git_no_more() {
    let state = |cause: Withdrawal| {
        let mut entries = vec![asked(intent(How::Revert))];
        entries.extend(State::replay(&entries).withdraw(&intent(How::Revert), &cause));
        State::replay(&entries)
    };
    let seen = |image: &str| Observed::Branch(Box::new(Branch { files: files(image), ..branch() }));
    let overtaken = state(Withdrawal::Overtaken);
    assert_eq!(answered(&decide(&overtaken, &seen(BAD), 0)), &Outcome::Overtaken);
    // It may be overtaken by what its own commit has brought.
    assert!(matches!(answered(&decide(&overtaken, &seen(GOOD), 0)), Outcome::Clean { .. }));
    let dropped = state(Withdrawal::Dropped { because: "it was given back".into() });
    assert_eq!((overtaken.looked_for().is_some(), dropped.looked_for()), (true, None));
    let Outcome::Dropped { because } = answered(&decide(&dropped, &Observed::Nothing, 0)).clone() else { panic!() };
    assert_eq!(because, "it was given back");
}

#[test]
fn a_request_is_taken_back_once_and_what_has_ended_stays_as_it_ended() {
    let because = || "it was given back".to_owned();
    let (intent, overtaken) = (intent(How::Revert), Withdrawal::Overtaken);
    let mut entries = State::default().withdraw(&intent, &overtaken);
    assert_eq!(entries, [asked(intent.clone()), Entry::Withdrawn { cause: overtaken.clone() }], "it was never made");
    assert_eq!(State::replay(&entries).withdraw(&intent, &overtaken), []);
    entries.extend(State::replay(&entries).withdraw(&intent, &Withdrawal::Dropped { because: because() }));
    assert_eq!(
        State::replay(&entries).withdrawn,
        Some(Withdrawal::Dropped { because: because() }),
        "the newest counts"
    );
    entries.push(Entry::Answered { outcome: Outcome::Dropped { because: because() } });
    let ended = State::replay(&entries);
    assert_eq!((ended.open(), ended.withdraw(&intent, &overtaken)), (None, Vec::new()));
    entries.push(Entry::Answered { outcome: Outcome::Overtaken });
    assert_eq!(State::replay(&entries), ended);
    assert_eq!(decide(&ended, &Observed::Nothing, 0).wake, Wake::Never);
}
