//! What a person's start opens, and every way in which it is refused.

use super::*;
use crate::delivery::{Changed, Standing};
use crate::epoch::Epoch;
use crate::run::Commit;
use pipeline::parse;
use serde_json::json;
use std::collections::BTreeSet;

const RELEASE: &str = "name: release
on:
  manual:
    inputs:
      version: { required: true }
      where: { type: choice, options: [staging, production], default: staging }
concurrency: { group: \"to-${{ inputs.where }}\", supersede: always }
steps: [{ uses: image }]
";
const WAS: &str = "name: was\non: push\nsteps: [{ uses: image }]\n";

fn context() -> Context {
    let file = |path: &str, text: &str| File {
        path: path.into(),
        pipeline: parse(path, text).map_err(|all| all.iter().map(ToString::to_string).collect()),
    };
    let message = "Fix it\n\n[skip ci]".to_owned();
    Context {
        commit: Commit { sha: "c".repeat(40), short: "ccccccc".into(), message, author: "Kim".into() },
        files: vec![
            file(".bespin/broken.yaml", "name: broken\n"),
            file(".bespin/release.yaml", RELEASE),
            file(".bespin/twin.yaml", RELEASE),
            file(".bespin/was.yaml", WAS),
        ],
        files_at: "c".repeat(40),
        changed: Changed::Everything,
        standing: Standing::Current,
        receipt: Epoch::This,
        same: BTreeSet::new(),
        brought: Vec::new(),
        runs: Vec::new(),
        floors: BTreeMap::new(),
        configured: BTreeMap::new(),
    }
}

fn asked(file: &str, key: &str, inputs: Value) -> ManualRequest {
    ManualRequest {
        repository: "user/petclinic".into(),
        file: file.into(),
        reference: "refs/heads/main".into(),
        key: key.into(),
        inputs: serde_json::from_value(inputs).unwrap(),
    }
}

fn open(asked: &ManualRequest, context: &Context) -> Opened {
    match plan_manual(asked, context) {
        Ok(ManualPlan::Open(opened)) => *opened,
        other => panic!("not opened: {other:?}"),
    }
}

fn refused(asked: &ManualRequest, context: &Context) -> Vec<String> {
    let refused = plan_manual(asked, context).unwrap_err();
    refused.into_iter().map(|one| format!("{}: {}; {}", one.field, one.message, one.help)).collect()
}

#[test]
fn a_start_opens_a_run_with_its_inputs_in_its_group() {
    let mut world = context();
    world.floors.insert("release".into(), 7);
    let start = asked(".bespin/release.yaml", "k-1", json!({ "version": "1.2", "where": "production" }));
    let opened = open(&start, &world);
    assert_eq!((opened.id.as_str(), opened.title.as_str()), ("user/petclinic/release/8", "Fix it"));
    assert_eq!((opened.event.kind, opened.event.after.as_str()), (EventKind::Manual, "c".repeat(40).as_str()));
    assert_eq!(opened.pipeline.concurrency.as_ref().unwrap().group, "to-production", "its group is rendered");
    let inputs = json!({ "version": "1.2", "where": "production" });
    assert_eq!(json!(opened.event.inputs(&opened.pipeline)), inputs);
    let subject = opened.subject();
    assert_eq!((subject.event, subject.pipeline), ("manual", ".bespin/release.yaml"));
    assert_eq!(json!(opened.event)["manual"], json!({ "key": "k-1", "inputs": inputs, "given": inputs }));
    let again: Opened = serde_json::from_value(json!(opened)).unwrap();
    assert_eq!(again, opened, "it comes back from the journal");
}

#[test]
fn the_same_key_starts_nothing_twice() {
    let mut world = context();
    let start = asked(".bespin/release.yaml", "k-1", json!({ "version": "1.2" }));
    let first = open(&start, &world);
    world.runs.push(KnownRun::new(&first));
    assert_eq!(plan_manual(&start, &world), Ok(ManualPlan::Exists(first.id.clone())));
    world.commit.sha = "d".repeat(40);
    assert_eq!(plan_manual(&start, &world), Ok(ManualPlan::Exists(first.id)), "also once the branch has moved");
    let says = "key: the key `k-1` has started user/petclinic/release/1, by another file, ref or inputs; \
                take a key of its own for each start";
    let tag = ManualRequest { reference: "refs/tags/v1".into(), ..start.clone() };
    let inputs = asked(".bespin/release.yaml", "k-1", json!({ "version": "1.3" }));
    for other in [tag, inputs] {
        assert_eq!(refused(&other, &world), [says]);
    }
    assert_eq!(open(&ManualRequest { key: "k-2".into(), ..start }, &world).number, 2);
}

#[test]
fn a_start_that_is_asked_for_again_does_not_depend_on_the_file_of_today() {
    let mut world = context();
    let start = asked(".bespin/release.yaml", "k-1", json!({ "version": "1.2" }));
    let first = open(&start, &world);
    assert_eq!(json!(first.event.manual)["given"], json!({ "version": "1.2" }), "beside the default");
    world.runs.push(KnownRun::new(&first));
    let exists = Ok(ManualPlan::Exists(first.id));
    let others =
        [("default: staging", "default: production"), ("version:", "tag:"), ("manual:", "push:"), ("steps", "x")];
    for (was, is) in others {
        let pipeline = parse("release.yaml", &RELEASE.replace(was, is));
        world.files[1].pipeline = pipeline.map_err(|all| all.iter().map(ToString::to_string).collect());
        assert_eq!(plan_manual(&start, &world), exists, "{is}");
    }
    world.files.clear();
    assert_eq!(plan_manual(&start, &world), exists, "the file is gone");
    // The same values, one of them by the default: whoever asks for something else is told.
    let filled = asked(".bespin/release.yaml", "k-1", json!({ "version": "1.2", "where": "staging" }));
    assert!(refused(&filled, &world)[0].starts_with("key: the key `k-1` has started "));
    assert_eq!(started_before(&ManualRequest { key: "k-2".into(), ..start }, &world.runs), Ok(None));
}

#[test]
fn a_start_without_inputs_writes_none_and_older_entries_have_none() {
    let start = crate::run::ManualStart { key: "k".into(), ..Default::default() };
    assert_eq!(json!(start), json!({ "key": "k", "inputs": {} }));
    assert_eq!(serde_json::from_value::<crate::run::ManualStart>(json!({ "key": "k" })).unwrap(), start);
}

#[test]
fn a_name_may_mean_a_reference() {
    let may = |named, full| may_mean(named, Some("main"), full);
    assert!(may(None, "refs/heads/main") && may(Some("a/b"), "refs/heads/a/b") && may(Some("v1"), "refs/tags/v1"));
    assert!(may(Some("refs/tags/v1"), "refs/tags/v1"));
    assert!(
        !may(None, "refs/tags/main") && !may(Some("v"), "refs/tags/v1") && !may_mean(None, None, "refs/heads/main")
    );
    assert!(!may_mean(None, None, "refs/tags/v1"), "no default branch is no branch");
}

#[test]
fn what_is_wrong_is_said_at_its_place() {
    let world = context();
    for (start, expected) in [
        (
            asked(".bespin/relase.yaml", "k", json!({})),
            vec![
                "file: there is no pipeline file `.bespin/relase.yaml` at ccccccc; did you mean `.bespin/release.yaml`?",
            ],
        ),
        (
            asked(".bespin/was.yaml", "k", json!({ "version": "1" })),
            vec![
                "file: `.bespin/was.yaml`: it does not start by hand; `on` has no `manual`; add `manual: {}` to its `on`; \
                 of those that start by hand there are `.bespin/release.yaml`, `.bespin/twin.yaml`",
            ],
        ),
        (
            asked(".bespin/twin.yaml", "k", json!({ "version": "1" })),
            vec![
                "file: `.bespin/twin.yaml`: the name `release` is taken by .bespin/release.yaml; give this pipeline another",
            ],
        ),
        (
            asked(".bespin/release.yaml", "a key", json!({ "vresion": "1", "where": "prod" })),
            vec![
                "key: a key has 1 to 100 letters, digits, `.`, `_` and `-`; take a random one, such as a UUID",
                "inputs.vresion: there is no input `vresion`; did you mean `version`?",
                "inputs.version: `version` is required; give it a text",
                "inputs.where: `where` has no option `prod`; the options are `staging`, `production`",
            ],
        ),
    ] {
        assert_eq!(refused(&start, &world), expected, "{}", start.file);
    }
    let broken = refused(&asked(".bespin/broken.yaml", "k", json!({})), &world);
    assert!(broken[0].starts_with("file: `.bespin/broken.yaml` has mistakes at ccccccc:\n"), "{broken:?}");
    assert!(broken[0].contains("the pipeline has no `steps`"), "{broken:?}");
}

#[test]
fn a_ref_is_a_branch_or_a_tag() {
    let known = ["refs/heads/main", "refs/heads/both", "refs/tags/both", "refs/tags/v1", "refs/heads/a/b"];
    let named = |named, default| {
        let found = reference_named(named, default, known.into_iter());
        found.map_err(|refused| format!("{}; {}", refused.message, refused.help))
    };
    let is = |full: &str| Ok(full.to_owned());
    assert_eq!(named(None, Some("main")), is("refs/heads/main"));
    assert_eq!(named(Some("v1"), None), is("refs/tags/v1"));
    assert_eq!(named(Some("a/b"), None), is("refs/heads/a/b"));
    assert_eq!(named(Some("refs/tags/both"), None), is("refs/tags/both"));
    let wrong = |text: &str| Err(text.to_owned());
    assert_eq!(named(None, None), wrong("the repository has no default branch; name a branch or a tag"));
    assert_eq!(named(None, Some("gone")), wrong("the repository has no default branch; name a branch or a tag"));
    assert_eq!(
        named(Some("both"), None),
        wrong("`both` is a branch and a tag; write `refs/heads/both` or `refs/tags/both`")
    );
    assert_eq!(named(Some("mian"), None), wrong("there is no branch or tag `mian`; did you mean `main`?"));
    let there = "there are `main`, `both`, `both`, `v1`, `a/b`";
    for name in ["elsewhere", "refs/pull/7/head", "refs/heads/elsewhere"] {
        assert_eq!(named(Some(name), None), wrong(&format!("there is no branch or tag `{name}`; {there}")));
    }
}

#[test]
fn a_run_by_a_push_has_the_defaults() {
    let pipeline = parse("release.yaml", RELEASE).unwrap();
    assert_eq!(json!(Event::default().inputs(&pipeline)), json!({ "version": "", "where": "staging" }));
    assert_eq!(
        with_group(&pipeline, &Event::default(), &Commit::default()).unwrap().concurrency.unwrap().group,
        "to-staging"
    );
}
