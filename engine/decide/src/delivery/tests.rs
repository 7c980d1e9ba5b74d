//! What a delivery opens, as tables, and its whole way with every cut.

use super::decide::open;
use super::*;
use crate::epoch::Epoch;
use crate::next::{Timestamp, Wake};
use crate::run::{Commit, EventKind, Opened};
use pipeline::{Concurrency, On, Tag};
use pipeline::{Pipeline, Supersede};
use std::collections::{BTreeMap, BTreeSet};

const A: &str = "1111111111111111111111111111111111111111";
const B: &str = "2222222222222222222222222222222222222222";

fn push() -> Push {
    Push {
        hook: "default".into(),
        delivery: "d1".into(),
        repository: "user/petclinic".into(),
        reference: "refs/heads/main".into(),
        before: A.into(),
        after: B.into(),
        change: Change::Forward,
        pusher: "kim".into(),
        paths: Paths::Listed { paths: vec!["was/x".into()] },
        source: Source::Webhook,
    }
}

fn was(supersede: Supersede) -> Pipeline {
    let on = pipeline::Push { branches: vec!["main".into()], paths: vec!["was/**".into()], ..Default::default() };
    Pipeline {
        name: "petclinic-was".into(),
        on: On { push: Some(on), ..On::default() },
        concurrency: Some(Concurrency { group: "was".into(), supersede }),
        ..Pipeline::default()
    }
}

fn file(path: &str, pipeline: Pipeline) -> File {
    File { path: path.into(), pipeline: Ok(pipeline) }
}

fn found(files: Vec<File>) -> Context {
    let commit = Commit { sha: B.into(), short: B[..7].into(), message: "Fix it\n\nlong".into(), author: "Kim".into() };
    let changed = Changed::Paths(vec!["was/x".into()]);
    Context {
        commit,
        files,
        files_at: B.into(),
        changed,
        standing: Standing::Current,
        receipt: Epoch::This,
        same: BTreeSet::new(),
        brought: Vec::new(),
        runs: Vec::new(),
        floors: BTreeMap::new(),
        configured: BTreeMap::new(),
    }
}

fn known(number: u64, after: &str, delivery: &str) -> KnownRun {
    let found = found(Vec::new());
    let push = Push { after: after.into(), delivery: delivery.into(), ..push() };
    let one = Context { files: vec![file(".bespin/was.yaml", was(Supersede::UntilBump))], ..found };
    let Some(Plan::Open(mut opened)) = plan(&pushed(&push), &one).pop() else { panic!("it opens") };
    opened.number = number;
    opened.id = format!("user/petclinic/petclinic-was/{number}");
    KnownRun::new(&opened)
}

fn pushed(push: &Push) -> Received {
    Received::Push(push.clone())
}

fn plan_one(push: &Push, found: &Context) -> Plan {
    plan(&pushed(push), found).remove(0)
}

fn skip(plan: Plan) -> String {
    match plan {
        Plan::Skip { because, .. } => because,
        other => panic!("not skipped: {other:?}"),
    }
}

fn run_of(plan: Plan) -> Opened {
    match plan {
        Plan::Open(opened) => *opened,
        other => panic!("not opened: {other:?}"),
    }
}

#[test]
fn a_push_opens_its_run_with_the_next_number() {
    let mut world = found(vec![file(".bespin/was.yaml", was(Supersede::UntilBump))]);
    world.floors.insert("petclinic-was".into(), 55);
    let opened = run_of(plan_one(&push(), &world));
    assert_eq!(opened.id, "user/petclinic/petclinic-was/56");
    assert_eq!((opened.title.as_str(), opened.event.kind), ("Fix it", EventKind::Push));
    world.configured.insert("petclinic-was".into(), 57);
    assert_eq!(run_of(plan_one(&push(), &world)).number, 58, "the highest of all");
    world.runs.push(known(60, A, "d0"));
    assert_eq!(run_of(plan_one(&push(), &world)).number, 61);
}

#[test]
fn which_pushes_a_pipeline_is_for() {
    let world = found(vec![file(".bespin/was.yaml", was(Supersede::Never))]);
    let other_branch = Push { reference: "refs/heads/feature/x".into(), ..push() };
    assert!(skip(plan_one(&other_branch, &world)).contains("`feature/x` is not among `main`"));
    let elsewhere = Context { changed: Changed::Paths(vec!["web/x".into()]), ..world.clone() };
    assert!(skip(plan_one(&push(), &elsewhere)).contains("nothing changed in `was/**`"));
    let unknown = Context { changed: Changed::Everything, ..world.clone() };
    run_of(plan_one(&push(), &unknown));
    let tag = Push { reference: "refs/tags/v1.2".into(), before: NOTHING.into(), change: Change::New, ..push() };
    assert!(skip(plan_one(&tag, &world)).contains("does not start on tags"));
    let mut on_tag = was(Supersede::Never);
    on_tag.on = On { tag: Some(Tag { tags: vec!["v*".into()] }), ..On::default() };
    let world = found(vec![file(".bespin/was.yaml", on_tag)]);
    assert_eq!(run_of(plan_one(&tag, &world)).event.kind, EventKind::Tag);
    assert!(skip(plan_one(&Push { reference: "refs/tags/x".into(), ..tag }, &world)).contains("`x` is not among `v*`"));
    assert!(skip(plan_one(&push(), &world)).contains("does not start on pushes"));
}

#[test]
fn a_bad_file_opens_a_run_that_has_failed() {
    let bad = File { path: ".bespin/was.yaml".into(), pipeline: Err(vec!["one".into(), "two".into()]) };
    let mut world = found(vec![bad]);
    let opened = run_of(plan_one(&push(), &world));
    assert_eq!((opened.id.as_str(), opened.mistakes.len()), ("user/petclinic/was/1", 2));
    world.runs.push(known(60, A, "d0"));
    let opened = run_of(plan_one(&push(), &world));
    assert_eq!(opened.id, "user/petclinic/petclinic-was/61", "under the name that the file had");
}

#[test]
fn two_files_of_one_name() {
    let files = ["a", "b"].map(|stem| file(&format!(".bespin/{stem}.yaml"), was(Supersede::Never)));
    let mut plans = plan(&pushed(&push()), &found(files.to_vec()));
    let second = run_of(plans.pop().unwrap());
    assert!(second.mistakes[0].contains("taken by .bespin/a.yaml"), "{:?}", second.mistakes);
    assert!(run_of(plans.pop().unwrap()).mistakes.is_empty());
}

#[test]
fn a_late_delivery_of_an_older_commit_opens_nothing() {
    let mut world = found(vec![file(".bespin/was.yaml", was(Supersede::UntilBump))]);
    world.runs.push(KnownRun { ancestry: Ancestry::Newer, ..known(7, A, "d9") });
    world.standing = Standing::Moved { to: Some(A.into()) };
    assert!(skip(plan_one(&push(), &world)).contains("/7 is a run of a newer commit"));
    for standing in [Standing::Current, Standing::Moved { to: None }] {
        // Whatever ran before: it is what the branch is now, or nothing is.
        let runs = if standing == Standing::Current { world.runs.clone() } else { vec![known(7, A, "d9")] };
        run_of(plan_one(&push(), &Context { standing, runs, ..world.clone() }));
    }
    world.standing = Standing::Current;
    run_of(plan_one(&Push { change: Change::Forced, ..push() }, &world));
    world.standing = Standing::Moved { to: Some(A.into()) };
    world.files = vec![file(".bespin/was.yaml", was(Supersede::Never))];
    run_of(plan_one(&push(), &world));
    let text = "name: petclinic-was\non: { push: {} }\nsteps: [{ id: bump, uses: bump, with: { repo: x } }]\n";
    let bumps = pipeline::read(".bespin/was.yaml", text).pipeline.unwrap();
    world.files = vec![file(".bespin/was.yaml", bumps)];
    assert!(skip(plan_one(&push(), &world)).contains("/7 is a run of a newer commit"), "its bump would go back");
    world.runs[0].opened_by = OpenedBy::Person;
    run_of(plan_one(&push(), &world));
    world.runs[0].bump = Bump::Recorded;
    assert!(skip(plan_one(&push(), &world)).contains("/7 is a run of a newer commit"), "git names what a person ran");
}

#[test]
fn a_push_that_came_with_a_backup_runs_only_where_its_branch_still_stands() {
    for supersede in [Supersede::UntilBump, Supersede::Never] {
        let mut world = found(vec![file(".bespin/was.yaml", was(supersede))]);
        world.receipt = Epoch::Restored;
        run_of(plan_one(&push(), &world));
        for to in [Some(A.to_owned()), None] {
            world.standing = Standing::Moved { to };
            let because = skip(plan_one(&push(), &world));
            assert!(because.contains("`refs/heads/main` has moved on since the backup"), "{because}");
            run_of(plan_one(&push(), &Context { receipt: Epoch::This, ..world.clone() }));
        }
        let newer = KnownRun { ancestry: Ancestry::Newer, ..known(7, A, "d9") };
        world.runs.push(newer);
        skip(plan_one(&push(), &world));
        // The other pipeline's run was opened while the branch stood there.
        world.runs.push(KnownRun { file: ".bespin/web.yaml".into(), ..known(8, B, "d1") });
        world.runs.remove(0);
        run_of(plan_one(&push(), &world));
    }
}

#[test]
fn what_went_away_and_came_back_opens_its_run() {
    let mut world = found(vec![file(".bespin/was.yaml", was(Supersede::Never))]);
    world.runs = vec![known(7, B, "d0"), known(8, A, "d5")];
    world.same.insert("d0".into());
    assert!(matches!(plan_one(&push(), &world), Plan::Exists { run, .. } if run.ends_with("/7")), "told twice");
    world.same.clear();
    assert_eq!(run_of(plan_one(&push(), &world)).number, 9, "it moved in between");
    world.standing = Standing::Moved { to: None };
    assert_eq!(run_of(plan_one(&push(), &world)).number, 9, "nothing is built for what it is now");
    world.standing = Standing::Moved { to: Some(A.into()) };
    world.runs[1].ancestry = Ancestry::Newer;
    let because = "`refs/heads/main` has moved on, and user/petclinic/petclinic-was/8 is a run of a newer commit";
    assert_eq!(skip(plan_one(&push(), &world)), because, "its commit had a run, and so has what came after it");
    world.runs[0].event.after = "4".repeat(40);
    run_of(plan_one(&push(), &world));
}

#[test]
fn a_push_takes_the_place_of_its_own_line_alone() {
    let mine = known(9, B, "d1");
    let older = known(8, A, "d0");
    assert_eq!((mine.group.as_deref(), mine.event.kind), (Some("was"), EventKind::Push));
    let of = |change: fn(&mut KnownRun)| {
        let mut run = older.clone();
        change(&mut run);
        run
    };
    let rows: [(&str, KnownRun, bool); 9] = [
        ("the same branch", older.clone(), true),
        ("another branch", of(|run| run.event.reference = "refs/heads/next".into()), false),
        ("another file", of(|run| run.file = ".bespin/web.yaml".into()), false),
        ("another group", of(|run| run.group = Some("web".into())), false),
        ("a person's", of(|run| run.event.kind = EventKind::Manual), false),
        ("the clock's", of(|run| run.event.kind = EventKind::Schedule), false),
        ("an alert's", of(|run| run.event.kind = EventKind::Alert), false),
        ("a release's", of(|run| run.event.kind = EventKind::Release), false),
        ("a pull request's", of(|run| run.event.kind = EventKind::PullRequest), false),
    ];
    for (name, old, expected) in rows {
        let mut world = found(vec![file(".bespin/was.yaml", was(Supersede::Always))]);
        world.runs = vec![old, mine.clone()];
        let acts = open(&pushed(&push()), &world).acts;
        assert_eq!(!acts.is_empty(), expected, "{name}: {acts:?}");
    }
}

#[test]
fn a_group_is_rendered_when_the_run_is_opened() {
    let grouped = |group: &str| {
        let mut pipeline = was(Supersede::Never);
        pipeline.env.insert("STAGE".into(), "blue".into());
        pipeline.concurrency = Some(Concurrency { group: group.into(), supersede: Supersede::Never });
        run_of(plan_one(&push(), &found(vec![file(".bespin/was.yaml", pipeline)])))
    };
    let opened = grouped("deploy-${{ ref.name }}-${{ env.STAGE }}");
    assert_eq!(opened.pipeline.concurrency.unwrap().group, "deploy-main-blue");
    for (group, because) in [
        ("${{ commit.message | split(',') }}", "is [\"Fix it\\n\\nlong\"], not a text"),
        ("${{ commit.nothing }}", "there is no `commit.nothing`"),
        ("${{ '' }}", "is empty"),
    ] {
        let opened = grouped(group);
        let [mistake] = &opened.mistakes[..] else { panic!("{group}: {:?}", opened.mistakes) };
        assert!(
            mistake.starts_with(".bespin/was.yaml: concurrency: group: ") && mistake.contains(because),
            "{mistake}"
        );
    }
    let mut world = proposed_to(Some(Supersede::Never));
    world.files[0].pipeline.as_mut().unwrap().concurrency.as_mut().unwrap().group = "deploy-${{ ref.name }}".into();
    let group = run_of(plan_asked(&asked(), &world)).pipeline.concurrency.unwrap().group;
    assert_eq!(group, "deploy-pull/7/head of refs/pull/7/head");
}

const BUMP: &str = "Bump was to v56\n\nBespin-Run: user/petclinic/petclinic-was/56\n";

#[test]
fn commits_of_our_own_start_nothing_unless_they_are_asked_for() {
    let mut world = found(vec![file(".bespin/was.yaml", was(Supersede::Never))]);
    world.commit.message = BUMP.into();
    run_of(plan_one(&push(), &world));
    world.brought = vec![BUMP.into(), BUMP.into()];
    let because = skip(plan_one(&push(), &world));
    assert!(because.contains("`Bespin-Run`") && because.contains("own-commits: run"), "{because}");
    assert!(depends_on_all(&pushed(&push()), BUMP) && !depends_on_all(&pushed(&push()), "Fix it"));
    let merged = Context { brought: vec![BUMP.into(), "Fix it".into()], ..world.clone() };
    run_of(plan_one(&push(), &merged));
    let mut asked_for = world.clone();
    let on = &mut asked_for.files[0].pipeline.as_mut().unwrap().on;
    on.push.as_mut().unwrap().own_commits = pipeline::OwnCommits::Run;
    run_of(plan_one(&push(), &asked_for));
    // A tag at such a commit is a person's.
    let mut on_tag = was(Supersede::Never);
    on_tag.on = On { tag: Some(Tag::default()), ..On::default() };
    let tag = Push { reference: "refs/tags/v1".into(), before: NOTHING.into(), change: Change::New, ..push() };
    run_of(plan_one(&tag, &Context { files: vec![file(".bespin/was.yaml", on_tag)], ..world }));
}

#[test]
fn what_a_message_asks_is_heard() {
    let mut world = found(vec![file(".bespin/was.yaml", was(Supersede::Never))]);
    world.files.push(File { path: ".bespin/bad.yaml".into(), pipeline: Err(vec!["one".into()]) });
    world.commit.message = "Words [skip ci]".into();
    for plan in plan(&pushed(&push()), &world) {
        assert_eq!(skip(plan), "its commit's message says `[skip ci]`");
    }
    // Of several pushes that were found at once, the last one's message speaks for itself alone.
    let found = Push { source: Source::Heads, ..push() };
    assert!(depends_on_all(&pushed(&found), &world.commit.message));
    world.brought = vec!["Words [skip ci]".into(), BUMP.into()];
    skip(plan_one(&found, &world));
    world.brought.push("Fix it".into());
    run_of(plan_one(&found, &world));
    skip(plan_one(&push(), &world));
    let mut proposed = proposed_to(None);
    proposed.commit.message = "Words [no ci]".into();
    assert_eq!(skip(plan_asked(&asked(), &proposed)), "its commit's message says `[no ci]`");
    proposed.commit.message = BUMP.into();
    run_of(plan_asked(&asked(), &proposed));
}

#[test]
fn which_runs_are_superseded() {
    let mine = known(9, B, "d1");
    let cases: [(&str, Supersede, KnownRun, bool); 7] = [
        ("an older one", Supersede::UntilBump, known(8, A, "d0"), true),
        ("its bump is recorded", Supersede::UntilBump, KnownRun { bump: Bump::Recorded, ..known(8, A, "d0") }, false),
        ("whatever its bump", Supersede::Always, KnownRun { bump: Bump::Recorded, ..known(8, A, "d0") }, true),
        ("never", Supersede::Never, known(8, A, "d0"), false),
        ("it has ended", Supersede::Always, KnownRun { phase: RunPhase::Closed, ..known(8, A, "d0") }, false),
        ("it was asked", Supersede::Always, KnownRun { phase: RunPhase::Ending, ..known(8, A, "d0") }, false),
        ("the same push", Supersede::Always, KnownRun { file: "other".into(), ..known(8, B, "d1") }, false),
    ];
    for (name, supersede, old, expected) in cases {
        let mut world = found(vec![file(".bespin/was.yaml", was(supersede))]);
        // A run that was opened later is never superseded, whatever its number.
        world.runs = vec![old, mine.clone(), known(4, A, "d2")];
        let next = open(&pushed(&push()), &world);
        let supersede = Act::Supersede { run: "user/petclinic/petclinic-was/8".into(), by: mine.id.clone() };
        assert_eq!(next.acts, if expected { vec![supersede] } else { Vec::new() }, "{name}");
        assert_eq!(next.record.is_empty(), expected, "{name}: recorded once nothing is left to do");
    }
}

#[test]
fn what_needs_no_look_and_what_is_given_up() {
    let recorded = |push: Push| State { received: Some((Received::Push(push), 500)), missed: Some(1_000), ended: None };
    let gone = Push { change: Change::Deleted, after: NOTHING.into(), ..push() };
    let next = decide(&recorded(gone), &Observed::Nothing, 2_000);
    assert!(matches!(&next.record[..], [Entry::Ignored { because }] if because.contains("was deleted")));
    let next = decide(&recorded(push()), &Observed::Missing, 3_000);
    assert_eq!((next.wake, next.record.len()), (Wake::At(4_000), 0));
    let next = decide(&recorded(push()), &Observed::Missing, 1_001 + PATIENCE_MS);
    assert!(matches!(&next.record[..], [Entry::Ignored { .. }]));
    let next = decide(&recorded(push()), &Observed::Readable(Box::new(found(Vec::new()))), 2_000);
    assert!(matches!(&next.record[..], [Entry::Ignored { because }] if because.contains("no pipeline in `.bespin`")));
    assert_eq!(decide(&State::default(), &Observed::Nothing, 0).wake, Wake::OnChange);
}

#[test]
fn what_cannot_be_read_is_given_up_after_a_while() {
    let state = State { received: Some((Received::PullRequest(asked()), 500)), missed: Some(1_000), ended: None };
    let seen = Observed::Unreadable { because: "it is broken".into() };
    let next = decide(&state, &seen, 3_000);
    assert_eq!((next.wake, next.record.len()), (Wake::At(4_000), 0));
    assert_eq!(next.status.message, "it is broken; trying again");
    let next = decide(&state, &seen, 1_000 + PATIENCE_MS);
    assert!(next.record.is_empty(), "{next:?}");
    let next = decide(&state, &seen, 1_001 + PATIENCE_MS);
    let because = "it is broken; given up after 10 minutes".to_owned();
    assert_eq!(next.record, [Entry::Ignored { because }]);
}

#[test]
fn patience_begins_with_the_first_look_that_missed() {
    for (seen, because) in [
        (Observed::Missing, "waiting until the commit 2222222 can be read"),
        (Observed::Unreadable { because: "it is broken".into() }, "it is broken; trying again"),
    ] {
        // An outage of an hour lies before the first look that was answered.
        let (received, first) = (Entry::Received(push()), 3_600_000);
        let next = decide(&State::replay([(1_000, &received)]), &seen, first);
        let missed = Entry::Missed { because: because.into() };
        assert_eq!((&next.record[..], next.wake), (&[missed.clone()][..], Wake::At(first + 500)));
        let again = Entry::Missed { because: "later".into() };
        let state = State::replay([(1_000, &received), (first, &missed), (first + 9_000, &again)]);
        assert_eq!(state.missed, Some(first));
        let next = decide(&state, &seen, first + PATIENCE_MS);
        assert!(next.record.is_empty() && next.wake != Wake::Never, "{next:?}");
        let next = decide(&state, &seen, first + PATIENCE_MS + 1);
        assert!(matches!(&next.record[..], [Entry::Ignored { .. }]), "{next:?}");
        let next = decide(&state, &Observed::Readable(Box::new(found(Vec::new()))), first + PATIENCE_MS + 1);
        assert!(matches!(&next.record[..], [Entry::Ignored { because }] if because.contains("no pipeline")));
    }
}

/// A world of one repository; acts are done or lost, as a crash has it.
#[derive(Clone)]
struct World {
    found: Context,
    journal: Vec<(Timestamp, Entry)>,
    opened: Vec<Opened>,
    cancelled: Vec<String>,
}

impl World {
    fn turn(&mut self) -> Wake {
        let state = State::replay(self.journal.iter().map(|(at, entry)| (*at, entry)));
        let next = decide(&state, &Observed::Readable(Box::new(self.found.clone())), 2_000);
        self.journal.extend(next.record.into_iter().map(|entry| (2_000, entry)));
        for act in next.acts {
            self.act(act);
        }
        next.wake
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Open(opened) => {
                assert!(self.opened.iter().all(|other| other.id != opened.id), "a stream is opened once");
                self.found.runs.push(KnownRun::new(&opened));
                self.opened.push(*opened);
            }
            Act::Supersede { run, .. } => {
                let old = self.found.runs.iter_mut().find(|known| known.id == run).unwrap();
                assert_eq!(old.phase, RunPhase::Open, "nobody is asked twice");
                old.phase = RunPhase::Ending;
                self.cancelled.push(run);
            }
        }
    }

    fn finish(mut self) -> (Vec<(Timestamp, Entry)>, Vec<Opened>, Vec<String>) {
        for _ in 0..20 {
            if self.turn() == Wake::Never {
                return (self.journal, self.opened, self.cancelled);
            }
        }
        panic!("it does not end");
    }
}

#[test]
fn cut_anywhere_it_ends_the_same() {
    let mut web = was(Supersede::Always);
    web.name = "web".into();
    web.concurrency = None;
    let files = vec![file(".bespin/was.yaml", was(Supersede::UntilBump)), file(".bespin/web.yaml", web)];
    let mut found = found(files);
    found.runs.push(known(8, A, "d0"));
    let world =
        World { found, journal: vec![(1_000, Entry::Received(push()))], opened: Vec::new(), cancelled: Vec::new() };
    let whole = world.clone().finish();
    assert_eq!(
        whole.1.iter().map(|o| o.id.as_str()).collect::<Vec<_>>(),
        ["user/petclinic/petclinic-was/9", "user/petclinic/web/1"]
    );
    assert_eq!(whole.2, ["user/petclinic/petclinic-was/8"]);
    // Die after each turn, and within each turn after each of its acts.
    for turns in 0..4 {
        for acts in 0..4 {
            let mut cut = world.clone();
            for _ in 0..turns {
                let _wake = cut.turn();
            }
            let state = State::replay(cut.journal.iter().map(|(at, entry)| (*at, entry)));
            let next = decide(&state, &Observed::Readable(Box::new(cut.found.clone())), 2_000);
            cut.journal.extend(next.record.into_iter().map(|entry| (2_000, entry)));
            next.acts.into_iter().take(acts).for_each(|act| cut.act(act));
            assert_eq!(cut.finish(), whole, "cut after {turns} turns and {acts} acts");
        }
    }
}

const BASE: &str = "3333333333333333333333333333333333333333";

fn asked() -> PullRequest {
    PullRequest {
        hook: "default".into(),
        delivery: "d1".into(),
        repository: "user/petclinic".into(),
        number: 7,
        activity: pipeline::Activity::Opened,
        base: "refs/heads/main".into(),
        base_sha: A.into(),
        head: "fix".into(),
        head_sha: B.into(),
        origin: Origin::Fork,
        sender: "kim".into(),
    }
}

/// A world whose pipeline stands at the base's head and is for pull requests to `main`.
fn proposed_to(supersede: Option<Supersede>) -> Context {
    let pull_request = pipeline::PullRequest { branches: vec!["main".into()], ..Default::default() };
    let mut check = was(Supersede::Never);
    check.on = On { pull_request: Some(pull_request), ..On::default() };
    check.concurrency = supersede.map(|supersede| Concurrency { group: "was".into(), supersede });
    Context { files_at: BASE.into(), ..found(vec![file(".bespin/was.yaml", check)]) }
}

fn plan_asked(asked: &PullRequest, found: &Context) -> Plan {
    plan(&Received::PullRequest(asked.clone()), found).remove(0)
}

#[test]
fn a_pull_request_opens_a_run_of_its_head_that_says_whose_it_is() {
    let opened = run_of(plan_asked(&asked(), &proposed_to(None)));
    let event = &opened.event;
    assert_eq!((event.kind, event.reference.as_str()), (EventKind::PullRequest, "refs/pull/7/head"));
    assert_eq!((event.before.as_str(), event.after.as_str()), (BASE, B), "the base's pipeline, the head's commit");
    let expected =
        crate::run::PullRequest { number: 7, base: "refs/heads/main".into(), head: "fix".into(), origin: Origin::Fork };
    assert_eq!(event.pull_request, Some(expected));
    let json = serde_json::to_value(&opened).unwrap();
    assert_eq!(json["event"]["pull_request"]["origin"], "fork");
    assert_eq!(serde_json::from_value::<Opened>(json).unwrap(), opened);
    let json = serde_json::to_value(run_of(plan_one(&push(), &found(vec![file("x", was(Supersede::Never))])))).unwrap();
    assert_eq!(json["event"].get("pull_request"), None, "older servers read what they know");
}

#[test]
fn which_pull_requests_a_pipeline_is_for() {
    let world = proposed_to(None);
    let other = PullRequest { base: "refs/heads/next".into(), ..asked() };
    assert_eq!(skip(plan_asked(&other, &world)), "the branch `next` is not among `main`");
    let ready = PullRequest { activity: pipeline::Activity::ReadyForReview, ..asked() };
    let because = "`ready_for_review` is not among `opened`, `synchronize`, `reopened`";
    assert_eq!(skip(plan_asked(&ready, &world)), because);
    let moved = Context { standing: Standing::Passed { by: A.into() }, ..world.clone() };
    assert_eq!(skip(plan_asked(&asked(), &moved)), "the pull request has a newer head, 1111111");
    let pushes = found(vec![file(".bespin/was.yaml", was(Supersede::Never))]);
    assert_eq!(skip(plan_asked(&asked(), &pushes)), "it does not start on pull requests");
    assert_eq!(skip(plan_one(&push(), &world)), "it does not start on pushes to branches");
}

#[test]
fn what_can_be_told_without_the_head() {
    let idle = |asked: &PullRequest, files: &[File]| idle(&Received::PullRequest(asked.clone()), BASE, files);
    let check = proposed_to(None).files.remove(0);
    let pushes = file(".bespin/push.yaml", was(Supersede::Never));
    assert_eq!(idle(&asked(), &[pushes.clone(), check.clone()]), None, "one is enough");
    let because = "no pipeline is for this: .bespin/push.yaml: it does not start on pull requests";
    assert_eq!(idle(&asked(), std::slice::from_ref(&pushes)).as_deref(), Some(because));
    let other = PullRequest { base: "refs/heads/next".into(), ..asked() };
    assert!(idle(&other, std::slice::from_ref(&check)).unwrap().contains("`next` is not among `main`"));
    let ready = PullRequest { activity: pipeline::Activity::ReadyForReview, ..asked() };
    assert!(idle(&ready, std::slice::from_ref(&check)).is_some());
    let mut of_paths = check.clone();
    let on = &mut of_paths.pipeline.as_mut().unwrap().on;
    on.pull_request.as_mut().unwrap().paths = vec!["web/**".into()];
    assert_eq!(idle(&asked(), &[of_paths]), None, "what it changes is not known");
    let broken = File { path: "x".into(), pipeline: Err(vec!["one".into()]) };
    assert_eq!(idle(&asked(), &[pushes, broken]), None, "it may be for anything");
    assert!(idle(&asked(), &[]).unwrap().contains("there is no pipeline in `.bespin` at 3333333"));
}

#[test]
fn the_same_head_opens_no_second_run_wherever_the_base_stands() {
    let mut world = proposed_to(None);
    let first = run_of(plan_asked(&asked(), &world));
    world.runs.push(KnownRun::new(&first));
    world.files_at = A.into();
    // Also after it has moved on: a resumed delivery finds the run that it opened.
    world.standing = Standing::Passed { by: A.into() };
    let again =
        PullRequest { delivery: "d2".into(), activity: pipeline::Activity::Reopened, base_sha: B.into(), ..asked() };
    assert!(matches!(plan_asked(&again, &world), Plan::Exists { run, .. } if run == first.id));
    world.standing = Standing::Current;
    for other in [PullRequest { number: 8, ..asked() }, PullRequest { head_sha: A.into(), ..asked() }] {
        assert_eq!(run_of(plan_asked(&other, &world)).number, 2);
    }
    // A head that was left is back: it was pushed again, unless only its news is late.
    let left = PullRequest { head_sha: A.into(), delivery: "d3".into(), ..asked() };
    let mut back = world.clone();
    back.runs.push(KnownRun::new(&run_of(plan_asked(&left, &back))));
    assert_eq!(run_of(plan_asked(&again, &back)).number, 3);
    let own = PullRequest { delivery: "d1".into(), ..again.clone() };
    assert!(matches!(plan_asked(&own, &back), Plan::Exists { run, .. } if run == first.id), "resumed");
    back.standing = Standing::Passed { by: A.into() };
    assert!(matches!(plan_asked(&again, &back), Plan::Exists { run, .. } if run == first.id));
    // Another base branch is checked anew, by its own pipelines.
    let mut everywhere = world.clone();
    everywhere.files[0].pipeline.as_mut().unwrap().on.pull_request = Some(pipeline::PullRequest::default());
    let retargeted = PullRequest { base: "refs/heads/next".into(), ..again.clone() };
    let second = run_of(plan_asked(&retargeted, &everywhere));
    assert_eq!((second.number, second.event.pull_request.as_ref().unwrap().base.as_str()), (2, "refs/heads/next"));
    everywhere.runs.push(KnownRun::new(&second));
    assert!(matches!(plan_asked(&retargeted, &everywhere), Plan::Exists { run, .. } if run == second.id));
    assert!(matches!(plan_asked(&again, &everywhere), Plan::Exists { run, .. } if run == first.id));
    // A push of the same commit is another run, and so is the pull request beside a push's.
    let pushed =
        KnownRun::new(&run_of(plan_one(&push(), &found(vec![file(".bespin/was.yaml", was(Supersede::Never))]))));
    world.runs = vec![pushed];
    run_of(plan_asked(&asked(), &world));
}

#[test]
fn a_pull_request_stands_in_nobody_elses_way() {
    for (supersede, expected) in [
        (None, Supersede::Always),
        (Some(Supersede::Never), Supersede::Never),
        (Some(Supersede::UntilBump), Supersede::UntilBump),
    ] {
        let mut world = proposed_to(supersede);
        let mine = run_of(plan_asked(&asked(), &world));
        let concurrency = mine.pipeline.concurrency.clone().unwrap();
        assert_eq!(concurrency.supersede, expected);
        let older = |number: u64, delivery: &str| {
            let asked = PullRequest { number, head_sha: A.into(), delivery: delivery.into(), ..asked() };
            KnownRun::new(&run_of(plan_asked(&asked, &proposed_to(supersede))))
        };
        // A deployment of the same group, an older head of another pull request, and one of its own.
        let deployment = known(8, A, "d0");
        assert_eq!(deployment.group.as_deref(), Some("was"));
        let others = KnownRun { id: "others".into(), ..older(6, "d2") };
        let own = KnownRun { id: "own".into(), ..older(7, "d3") };
        world.runs = vec![deployment, others, own, KnownRun::new(&mine)];
        let next = open(&Received::PullRequest(asked()), &world);
        let ended = Act::Supersede { run: "own".into(), by: mine.id.clone() };
        assert_eq!(next.acts, if expected == Supersede::Never { Vec::new() } else { vec![ended] });
    }
}

#[test]
fn a_pull_request_leaves_the_numbers_to_its_base() {
    let opened = unnumbered(&Received::PullRequest(asked()), &proposed_to(None)).remove(0);
    assert_eq!((opened.event.kind, opened.event.reference.as_str()), (EventKind::Push, "refs/heads/main"));
    assert_eq!((opened.event.pull_request, opened.commit), (None, Commit::default()));
}
