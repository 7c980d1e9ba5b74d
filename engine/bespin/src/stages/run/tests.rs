//! A run's end, over a real journal.

use super::*;
use crate::attempts::Alone;
use crate::drive::Drivers;
use crate::logs::{Logs, Masker};
use crate::places::{AttemptKey, PlaceWaits, in_use};
use crate::steps::Asked;
use api::board::Board;
use decide::by::By;
use decide::run::{Event, Instance, Outcome};

const ID: &str = "user/petclinic/was/1";

/// Writes a line that shows what the step was told, and succeeds.
struct Talker(Arc<Logs>);

#[async_trait]
impl Executor for Talker {
    async fn run(&self, asked: Asked) -> Outcome {
        self.0.mask(&asked.run.id, Masker::new(["hush"]));
        self.0.line(&asked.run.id, &asked.step, asked.attempt, "info", "the secret is hush");
        Outcome::Succeeded { outputs: serde_json::json!({}) }
    }
}

/// Knows which outcomes were told.
#[derive(Default)]
struct Told(Mutex<Vec<Option<RunOutcome>>>);

#[async_trait]
impl Reporter for Told {
    async fn report(&self, _run: &Opened, outcome: Option<RunOutcome>, _text: &str, _url: &str) -> Result<(), Trouble> {
        self.0.lock().unwrap().push(outcome);
        Ok(())
    }
}

#[tokio::test]
async fn a_closed_run_leaves_its_log_and_no_workspace() {
    let directory = tempfile::tempdir().unwrap();
    let journal = journal::open(&directory.path().join("journal")).unwrap();
    let drivers = Drivers::new(journal, Arc::new(Board::default()));
    let logs = Arc::new(Logs::open(directory.path().join("logs")));
    let workspace = directory.path().join("workspaces").join(ID);
    std::fs::create_dir_all(workspace.join("src")).unwrap();
    let leftovers = Arc::new(Leftovers::new(
        logs.clone(),
        directory.path().join("workspaces"),
        crate::host::Artifacts::open(directory.path().join("artifacts")),
    ));
    let (talker, told) = (Arc::new(Talker(logs.clone())), Arc::new(Told::default()));
    let index = Arc::new(JournalIndex::new(drivers.journal().clone()));
    let owners = Arc::new(Alone::start());
    let url = "http://localhost".to_owned();
    let stage = Arc::new(RunStage::new(talker, told.clone(), leftovers, index, owners, url));

    let text = "name: was\non:\n  manual: {}\nsteps:\n  - id: talk\n    uses: talk\n";
    let opened = Opened {
        id: ID.into(),
        number: 1,
        repository: "user/petclinic".into(),
        pipeline_file: ".bespin/was.yaml".into(),
        pipeline: pipeline::parse("was.yaml", text).expect("it is a pipeline"),
        event: Event::default(),
        commit: decide::run::Commit::default(),
        title: "Fix it".into(),
        mistakes: Vec::new(),
        retry_of: None,
    };
    drivers.register(&stage);
    let stream = Stream::run(ID);
    let opening = |_: &[Written<Entry>]| Some(vec![Entry::Opened { run: Arc::new(opened.clone()) }]);
    drivers.append(&stream, By::Server, opening).await.unwrap();
    drivers.ensure(&stream);
    let over = async {
        while drivers.is_driven(&stream) {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), over).await.expect("the run ends");

    assert_eq!(told.0.lock().unwrap().last(), Some(&Some(RunOutcome::Succeeded)));
    assert!(!workspace.exists(), "nobody needs the workspace any more");
    let lines = logs.read(&api::reading::LogPlace::new(ID, "talk", 1), 1, 10).unwrap();
    assert_eq!(lines.len(), 1, "the log stays");
    assert!(!lines[0].text.contains("hush"), "{}", lines[0].text);
    drivers.stop().await;
}

/// Reports to no forge.
struct Silent;

#[async_trait]
impl Reporter for Silent {
    async fn report(&self, _: &Opened, _: Option<RunOutcome>, _: &str, _: &str) -> Result<(), Trouble> {
        Ok(())
    }
}

/// A registry with this process, and another instance that exists or not.
struct Two {
    other_exists: bool,
    mine: Instance,
}

impl Owners for Two {
    fn instance(&self) -> &Instance {
        &self.mine
    }

    fn exists(&self, instance: &Instance) -> bool {
        *instance == self.mine || self.other_exists
    }
}

fn stage(directory: &std::path::Path, drivers: &Drivers, owners: Arc<dyn Owners>) -> RunStage {
    let logs = Arc::new(Logs::open(directory.join("logs")));
    let artifacts = crate::host::Artifacts::open(directory.join("artifacts"));
    let leftovers = Arc::new(Leftovers::new(logs.clone(), directory.join("workspaces"), artifacts));
    let index = Arc::new(JournalIndex::new(drivers.journal().clone()));
    RunStage::new(Arc::new(Talker(logs)), Arc::new(Silent), leftovers, index, owners, String::new())
}

#[tokio::test]
async fn a_queued_run_that_is_looked_at_first_waits_all_the_same() {
    for names in [["a", "b"], ["b", "a"]] {
        let directory = tempfile::tempdir().unwrap();
        let journal = journal::open(&directory.path().join("journal")).unwrap();
        let drivers = Drivers::new(journal, Arc::new(Board::default()));
        let [older, younger] = names.map(|name| crate::index::tests::opened(name, 1, Some("deploy")));
        for run in [&older, &younger] {
            let opening = |_: &[Written<Entry>]| Some(vec![Entry::Opened { run: Arc::new(run.clone()) }]);
            drivers.append(&Stream::run(&run.id), By::Server, opening).await.unwrap();
        }
        // A new process; the older run has no driver yet.
        let stage = stage(directory.path(), &drivers, Arc::new(Alone::start()));
        let stream = Stream::run(&younger.id);
        let turn = Turn::new(&drivers, &stream);
        let state = fold(&crate::drive::read::<Entry>(drivers.journal(), &stream).await.unwrap());
        assert_eq!(
            stage.observe(&turn, &state, &Outcomes::default()).await.unwrap().ahead,
            Some(older.id),
            "{names:?}"
        );
        drivers.stop().await;
    }
}

#[tokio::test]
async fn what_an_instance_that_is_gone_had_started_is_lost() {
    let directory = tempfile::tempdir().unwrap();
    let journal = journal::open(&directory.path().join("journal")).unwrap();
    let drivers = Drivers::new(journal, Arc::new(Board::default()));
    let [mine, other] = ["mine", "other"].map(|id| Instance(id.into()));
    let mut run = crate::index::tests::opened("a", 1, None);
    run.pipeline = pipeline::parse("a.yaml", "name: a\non: push\nsteps:\n  - id: talk\n    uses: talk\n").unwrap();
    let (id, key) = (run.id.clone(), ("talk".to_owned(), 1));
    let entries = |owner: Option<&Instance>| {
        let started = Entry::Started { step: "talk".into(), attempt: 1, owner: owner.cloned() };
        [Entry::Opened { run: Arc::new(run.clone()) }, started]
    };
    let cases = [
        ("an old journal names none", None, true, false),
        ("another that exists", Some(&other), true, true),
        ("another that is gone", Some(&other), false, false),
        ("this one, which does not run it", Some(&mine), true, false),
    ];
    let stream = Stream::run(&id);
    let turn = Turn::new(&drivers, &stream);
    for (name, owner, other_exists, alive) in cases {
        let stage = stage(directory.path(), &drivers, Arc::new(Two { other_exists, mine: mine.clone() }));
        let state = State::replay(entries(owner).iter().map(|entry| (1, &By::Server, entry)));
        let observed = stage.observe(&turn, &state, &Outcomes::default()).await.unwrap();
        assert_eq!(observed.alive.contains(&key), alive, "{name}");
        assert_eq!(observed.instance, mine);
    }
    let stage = stage(directory.path(), &drivers, Arc::new(Two { other_exists: false, mine: mine.clone() }));
    stage.attempts.start(&id, "talk", 1, std::future::pending(), || {});
    let state = State::replay(entries(Some(&mine)).iter().map(|entry| (1, &By::Server, entry)));
    assert!(stage.observe(&turn, &state, &Outcomes::default()).await.unwrap().alive.contains(&key), "it runs here");
    stage.attempts.stop(&id, "talk", 1).await;
    drivers.stop().await;
}

/// Attempts that go on until they are stopped, and leave something that ends when that of another one does.
struct Lasting(tokio::sync::Barrier);

#[async_trait]
impl Executor for Lasting {
    async fn run(&self, _: Asked) -> Outcome {
        std::future::pending().await
    }

    async fn settle(&self, _: &AttemptKey) {
        self.0.wait().await;
    }
}

#[tokio::test]
async fn what_is_stopped_has_its_time_to_end_beside_the_others() {
    let directory = tempfile::tempdir().unwrap();
    let journal = journal::open(&directory.path().join("journal")).unwrap();
    let drivers = Drivers::new(journal, Arc::new(Board::default()));
    let lasting = Arc::new(Lasting(tokio::sync::Barrier::new(2)));
    let stage = RunStage { executor: lasting, ..stage(directory.path(), &drivers, Arc::new(Alone::start())) };
    let mut run = crate::index::tests::opened("a", 1, None);
    let text = "name: a\non: push\nsteps:\n  - id: a\n    uses: a\n  - id: b\n    uses: b\n    needs: []\n  \
                - id: c\n    uses: c\n    needs: []\n";
    run.pipeline = pipeline::parse("a.yaml", text).unwrap();
    let id = run.id.clone();
    let mut entries = vec![Entry::Opened { run: Arc::new(run) }];
    for step in ["a", "b", "c"] {
        stage.attempts.start(&id, step, 1, std::future::pending(), || {});
        entries.push(Entry::Started { step: step.into(), attempt: 1, owner: None });
    }
    let over = |step: &str| Entry::Ended { step: step.into(), attempt: 1, outcome: Outcome::Cancelled };
    entries.extend([over("a"), over("b")]);
    let state = State::replay(entries.iter().map(|entry| (1, &By::Server, entry)));
    let stream = Stream::run(&id);
    let stop = Act::Stop { step: "a".into(), attempt: 1 };
    let turn = Turn::new(&drivers, &stream);
    let stopped = stage.act(&turn, &state, &stop);
    tokio::time::timeout(std::time::Duration::from_secs(60), stopped).await.expect("both end together").unwrap();
    let alive: Vec<_> = stage.attempts.of(&id).alive.into_iter().collect();
    assert_eq!(alive, [("c".to_owned(), 1)], "what goes on is left alone");
    stage.attempts.stop(&id, "c", 1).await;
    drivers.stop().await;
}

/// Waits for a place until it is told that there is one.
struct Waits(Arc<PlaceWaits>, tokio::sync::Notify);

#[async_trait]
impl Executor for Waits {
    async fn run(&self, asked: Asked) -> Outcome {
        let wait = self.0.begin(asked.key(), in_use(4));
        self.1.notified().await;
        drop(wait);
        self.1.notified().await;
        Outcome::Succeeded { outputs: serde_json::json!({}) }
    }
}

#[tokio::test]
async fn an_attempt_that_waits_for_a_place_is_queued_and_placed() {
    let directory = tempfile::tempdir().unwrap();
    let journal = journal::open(&directory.path().join("journal")).unwrap();
    let drivers = Drivers::new(journal, Arc::new(Board::default()));
    let waits = PlaceWaits::new(&drivers);
    let executor = Arc::new(Waits(waits.clone(), tokio::sync::Notify::new()));
    let stage = stage(directory.path(), &drivers, Arc::new(Alone::start()));
    let stage = RunStage { executor: executor.clone(), ..stage }.queueing(waits);
    let mut run = crate::index::tests::opened("a", 1, None);
    run.pipeline = pipeline::parse("a.yaml", "name: a\non: push\nsteps:\n  - uses: talk\n").unwrap();
    let stream = Stream::run(&run.id);
    drivers.register(&Arc::new(stage));
    let opening = |_: &[Written<Entry>]| Some(vec![Entry::Opened { run: Arc::new(run.clone()) }]);
    drivers.append(&stream, By::Server, opening).await.unwrap();
    drivers.ensure(&stream);
    let written = async |expected: Entry| {
        let look = async {
            while !crate::drive::read::<Entry>(drivers.journal(), &stream)
                .await
                .unwrap()
                .iter()
                .any(|w| w.entry == expected)
            {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(60), look).await.expect("it is written");
    };
    let because = "waiting for a free place: 4 of 4 are in use".to_owned();
    written(Entry::Queued { step: "talk".into(), attempt: 1, because: because.clone() }).await;
    let told = async {
        while drivers
            .board()
            .status(stream.as_str())
            .is_none_or(|told| told.status.message != format!("talk: {because}"))
        {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), told).await.expect("it says for what it waits");
    executor.1.notify_one();
    written(Entry::Placed { step: "talk".into(), attempt: 1 }).await;
    executor.1.notify_one();
    written(Entry::Closed { outcome: RunOutcome::Succeeded }).await;
    drivers.stop().await;
}

/// Knows that main has moved on.
struct MovedOn;

#[async_trait]
impl LostTime for MovedOn {
    async fn shows(&self, _: &Opened) -> Result<Option<SinceBackup>, Trouble> {
        Ok(Some(SinceBackup::Moved { reference: "refs/heads/main".into() }))
    }
}

#[tokio::test]
async fn a_run_that_came_with_a_backup_is_judged_before_it_goes_on() {
    let bumped = || Entry::Skipped { step: "bump".into(), because: "it is done".into() };
    let (here, elsewhere) = ("1".repeat(40), "2".repeat(40));
    let cases = [
        (1, vec![], None, RunOutcome::Cancelled),
        (2, vec![bumped()], None, RunOutcome::Succeeded),
        (1, vec![bumped()], None, RunOutcome::Succeeded),
        (0, vec![], None, RunOutcome::Succeeded),
        (1, vec![], Some(elsewhere), RunOutcome::Cancelled),
        (1, vec![], Some(here.clone()), RunOutcome::Succeeded),
    ];
    for (up_to, more, seen, outcome) in cases {
        let directory = tempfile::tempdir().unwrap();
        let journal = journal::open(&directory.path().join("journal")).unwrap();
        let drivers = Drivers::new(journal, Arc::new(Board::default()));
        let stage = stage(directory.path(), &drivers, Arc::new(Alone::start()));
        let index = Arc::new(JournalIndex::restored(drivers.journal().clone(), up_to));
        let stage = RunStage { index, ..stage }.judging(Arc::new(MovedOn));
        let mut run = crate::index::tests::opened("a", 1, None);
        run.pipeline = pipeline::parse(
            "a.yaml",
            "name: a\non: push\nsteps:\n  - id: bump\n    uses: talk\n  - uses: talk\n    needs: []\n",
        )
        .unwrap();
        run.pipeline.steps[0].uses = "bump".into();
        run.commit.sha = here.clone();
        let (stream, looks) = (Stream::run(&run.id), Stream::heads(&run.repository));
        drivers.register(&Arc::new(stage));
        let written = [vec![Entry::Opened { run: Arc::new(run) }], more].concat();
        let opening = |_: &[Written<Entry>]| Some(written.clone());
        drivers.append(&stream, By::Server, opening).await.unwrap();
        let heads = seen.map(|at| BTreeMap::from([("refs/heads/main".to_owned(), at)]));
        let looked = heads.map(|heads| vec![decide::heads::Entry::Looked { heads }]);
        drivers.append(&looks, By::Server, |_: &[Written<decide::heads::Entry>]| looked.clone()).await.unwrap();
        drivers.ensure(&stream);
        let mut newest = drivers.journal().newest();
        let ended = async {
            loop {
                newest.mark_unchanged();
                let written = crate::drive::read::<Entry>(drivers.journal(), &stream).await.unwrap();
                if let Some(Entry::Closed { outcome }) = written.last().map(|written| &written.entry) {
                    return *outcome;
                }
                newest.changed().await.unwrap();
            }
        };
        let ended = tokio::time::timeout(std::time::Duration::from_secs(60), ended).await.expect("the run ends");
        assert_eq!(ended, outcome, "with {up_to} entries of a backup");
        drivers.stop().await;
    }
}
