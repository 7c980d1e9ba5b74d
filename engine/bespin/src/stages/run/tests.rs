//! A run's end, over a real journal.

use super::*;
use crate::board::Board;
use crate::logs::{Logs, Masker};
use decide::by::By;
use decide::run::{Event, Outcome};

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
    let stage = Arc::new(RunStage::new(&drivers, talker, told.clone(), leftovers, "http://localhost".into()));

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
    let stream = format!("run/{ID}");
    let opening = |_: &[Written<Entry>]| Some(vec![Entry::Opened { run: Box::new(opened.clone()) }]);
    drivers.append(&stream, By::Server, opening).await.unwrap();
    drivers.ensure(&stage, &stream);
    let over = async {
        while drivers.is_driven(&stream) {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(60), over).await.expect("the run ends");

    assert_eq!(told.0.lock().unwrap().last(), Some(&Some(RunOutcome::Succeeded)));
    assert!(!workspace.exists(), "nobody needs the workspace any more");
    let lines = logs.read(&crate::logs::Place::new(ID, "talk", 1), 1, 10).unwrap();
    assert_eq!(lines.len(), 1, "the log stays");
    assert!(!lines[0].text.contains("hush"), "{}", lines[0].text);
    drivers.stop().await;
}
