//! Starts at a real git server, in a real journal.

use super::*;
use crate::drive::read;
use crate::stages::delivery::tests::{Started, server};
use crate::stages::git_server::GitServer;
use decide::run::{EventKind, Opened};
use serde_json::{Value, json};

const REPOSITORY: &str = "user/petclinic";
const RELEASE: &str = "name: petclinic-was
on:
  manual:
    inputs:
      version: { description: Which one?, required: true }
      dry-run: { type: boolean }
concurrency: release-${{ ref.name }}
steps: [{ uses: image }]
";

struct World {
    git: GitServer,
    drivers: Arc<Drivers>,
    manual: ManualRuns,
    _directory: tempfile::TempDir,
}

impl World {
    async fn new() -> World {
        let git = GitServer::start().await;
        git.create(REPOSITORY, &[(".bespin/release.yaml", RELEASE), (".bespin/broken.yaml", "name: x\n")]);
        let directory = tempfile::tempdir().unwrap();
        let (drivers, stage, _) = server(&git, &directory, "journal");
        let manual = ManualRuns::new(stage, [REPOSITORY.to_owned(), "user/gone".to_owned()]);
        World { git, drivers, manual, _directory: directory }
    }

    async fn start(&self, asked: Value) -> Result<String, NotTaken> {
        let asked = serde_json::from_value(asked).unwrap();
        self.manual.start(&self.drivers, asked, By::Person("ann".into())).await
    }

    async fn opened(&self, run: &str) -> (Arc<Opened>, By) {
        let written = read::<Entry>(self.drivers.journal(), Stream::run(run)).await.unwrap();
        let Entry::Opened { run } = &written[0].entry else { panic!("{run} is not opened") };
        (run.clone(), written[0].by.clone())
    }

    async fn streams(&self) -> usize {
        self.drivers.journal().streams("").await.unwrap().len()
    }
}

fn release(key: &str) -> Value {
    json!({ "repository": REPOSITORY, "file": "release.yaml", "inputs": { "version": "1", "dry-run": "true" }, "key": key })
}

#[tokio::test]
async fn a_start_is_a_run_of_the_commit_where_the_ref_stands_now() {
    let world = World::new().await;
    assert_eq!(world.start(release("k-1")).await.unwrap(), "user/petclinic/petclinic-was/56", "its number goes on");
    let (opened, by) = world.opened("user/petclinic/petclinic-was/56").await;
    assert_eq!((opened.event.kind, by), (EventKind::Manual, By::Person("ann".into())));
    assert_eq!(opened.pipeline.concurrency.as_ref().unwrap().group, "release-main");
    assert_eq!(json!(opened.event.inputs(&opened.pipeline)), json!({ "version": "1", "dry-run": true }));

    // Nobody told of these.
    let moved = world.git.commit(REPOSITORY, "main", &[("a", "2")], "Moved on");
    world.git.git(REPOSITORY, &["tag", "v1", "main~1"]);
    assert_eq!(world.start(release("k-1")).await.unwrap(), opened.id, "its answer was lost, and it is asked again");
    let (next, _) = world.opened(&world.start(release("k-2")).await.unwrap()).await;
    assert_eq!((next.number, &next.commit.sha, next.title.as_str()), (57, &moved, "Moved on"));
    let mut tagged = release("k-3");
    tagged["ref"] = "v1".into();
    let (next, _) = world.opened(&world.start(tagged).await.unwrap()).await;
    assert_eq!((next.event.reference.as_str(), &next.commit.sha), ("refs/tags/v1", &opened.commit.sha));
    assert_eq!(world.streams().await, 3);
}

#[tokio::test]
async fn starts_at_the_same_time_have_numbers_of_their_own() {
    let world = World::new().await;
    let keys: Vec<String> = (0..6).map(|n| format!("k-{}", n / 2)).collect();
    let started = futures::future::join_all(keys.iter().map(|key| world.start(release(key)))).await;
    let started: Vec<String> = started.into_iter().map(Result::unwrap).collect();
    let numbers: BTreeSet<&String> = started.iter().collect();
    assert_eq!((numbers.len(), world.streams().await), (3, 3), "{started:?}");
    assert!(started.chunks(2).all(|pair| pair[0] == pair[1]), "{started:?}");
}

#[tokio::test]
async fn a_start_looks_at_the_branch_in_its_turn() {
    let world = World::new().await;
    let turn = world.manual.delivery.turn(REPOSITORY).await.unwrap();
    let mut start = Box::pin(world.start(release("k-1")));
    // Long enough for whoever looks before.
    assert!(tokio::time::timeout(Duration::from_millis(500), &mut start).await.is_err(), "it is another's turn");
    let moved = world.git.commit(REPOSITORY, "main", &[("a", "2")], "Moved on");
    drop(turn);
    let (opened, _) = world.opened(&start.await.unwrap()).await;
    assert_eq!(opened.commit.sha, moved);
}

#[tokio::test]
async fn a_ref_that_cannot_be_fetched_is_no_mistake_of_the_person() {
    let world = World::new().await;
    let head = world.git.git(REPOSITORY, &["rev-parse", "main"]);
    // A directory cannot be in the place of a file.
    let packed = format!("# pack-refs with: peeled fully-peeled sorted \n{head} refs/heads/a\n{head} refs/heads/a/1\n");
    std::fs::write(world.git.bare(REPOSITORY).join("packed-refs"), packed).unwrap();
    for named in ["a/1", "refs/heads/a/1"] {
        let mut start = release("k-1");
        start["ref"] = named.into();
        let Err(NotTaken::Unavailable(said)) = world.start(start).await else {
            panic!("{named} is refused, or starts")
        };
        assert!(said.contains("`refs/heads/a/1` of "), "{said}");
    }
    assert_eq!(world.streams().await, 0);
}

#[tokio::test]
async fn a_start_that_is_asked_for_again_needs_no_repository_and_has_its_run_driven() {
    let world = World::new().await;
    let mut start = release("k-1");
    let run = world.start(start.clone()).await.unwrap();
    std::fs::rename(world.git.bare(REPOSITORY), world.git.bare("user/renamed")).unwrap();
    // Another process of the same journal, which drives nothing yet.
    let drivers = Drivers::new(world.drivers.journal().clone(), Arc::default());
    drivers.register(&Arc::new(Started(Arc::default())));
    let by = By::Person("ann".into());
    let again = world.manual.start(&drivers, serde_json::from_value(start.clone()).unwrap(), by).await;
    assert_eq!((again.unwrap(), drivers.is_driven(&Stream::run(&run))), (run, true));
    start["inputs"]["version"] = "2".into();
    let Err(NotTaken::NotStarted(refused)) = world.start(start).await else { panic!("it starts") };
    assert_eq!(refused[0].field, "key");
}

/// What is asked for beside the inputs, and which field is refused, and what it says.
const REFUSED: [(&str, &str, &str, &str); 7] = [
    ("repository", "user/petclinc", "repository", "did you mean `user/petclinic`?"),
    ("file", "relase.yaml", "file", "did you mean `.bespin/release.yaml`?"),
    ("file", "broken.yaml", "file", "the pipeline has no `on`"),
    ("ref", "mian", "ref", "did you mean `main`?"),
    ("ref", "refs/pull/7/head", "ref", "there is no branch or tag"),
    ("key", "a key", "key", "letters, digits"),
    ("repository", "user/other", "repository", "there are `user/gone`, `user/petclinic`"),
];

#[tokio::test]
async fn a_start_that_is_refused_leaves_no_trace() {
    let world = World::new().await;
    for (asked, value, field, says) in REFUSED {
        let mut start = release("k-1");
        start[asked] = value.into();
        let Err(NotTaken::NotStarted(refused)) = world.start(start).await else { panic!("{value} starts") };
        assert_eq!(refused[0].field, field, "{refused:?}");
        let said = format!("{}; {}", refused[0].message, refused[0].help);
        assert!(said.contains(says), "{said}");
    }
    let mut start = release("k-1");
    start["inputs"] = json!({ "vresion": "1", "dry-run": "maybe" });
    let said = world.start(start).await.unwrap_err().to_string();
    for says in ["did you mean `version`?", "`version` is required", "`dry-run` is true or false, not `maybe`"] {
        assert!(said.contains(says), "{said}");
    }
    let mut start = release("k-1");
    start["repository"] = Value::Null;
    let said = world.start(start).await.unwrap_err().to_string();
    assert_eq!(said, "the repository is not named\n  help: there are `user/gone`, `user/petclinic`");
    let mut start = release("k-1");
    start["repository"] = "user/gone".into();
    let Err(NotTaken::Unavailable(said)) = world.start(start).await else { panic!("it starts") };
    assert!(said.starts_with("user/gone cannot be fetched now: "), "{said}");
    assert_eq!(world.streams().await, 0);
}

#[tokio::test]
async fn what_can_be_started_is_listed_with_what_stands_in_the_way() {
    let world = World::new().await;
    let found = json!(world.manual.startable(None, None).await.unwrap());
    let [gone, petclinic] = [0, 1].map(|at| &found["repositories"][at]);
    assert_eq!((&gone["repository"], &gone["pipelines"]), (&json!("user/gone"), &json!([])));
    assert!(gone["problem"].as_str().unwrap().starts_with("this may be old: fetching"), "{gone}");
    assert_eq!((&petclinic["reference"], petclinic["sha"].as_str().unwrap().len()), (&json!("refs/heads/main"), 40));
    assert_eq!(petclinic["problem"], "`.bespin/broken.yaml` has mistakes and cannot be started");
    let version = json!({ "name": "version", "description": "Which one?", "kind": "string", "options": [], "required": true,
        "default": null });
    let release = &petclinic["pipelines"][0];
    assert_eq!((&release["file"], &release["name"]), (&json!(".bespin/release.yaml"), &json!("petclinic-was")));
    assert_eq!((&release["inputs"][0], &release["inputs"][1]["kind"]), (&version, &json!("boolean")));

    let at = json!(world.manual.startable(Some(REPOSITORY), Some("mian")).await.unwrap());
    assert_eq!(at["repositories"][0]["problem"], "there is no branch or tag `mian`\n  help: did you mean `main`?");
    assert!(matches!(world.manual.startable(Some("x/y"), None).await, Err(NotTaken::NotStarted(_))));
}
