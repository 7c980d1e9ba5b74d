//! A run waits for the one ahead of it in its group, and goes on waiting when the server is killed and started again:
//! the order is the journal's, whatever the pipelines are called and whichever run the new process looks at first.

use serde_json::Value;
use world::estate::{Estate, Kind, PATIENCE};
use world::process::eventually;

/// Two pipelines of one group. At a start, runs are looked at in the order of their names.
const NAMES: [&str; 2] = ["aa", "zz"];

/// A pipeline that holds its group until a person lets it go.
fn pipeline(name: &str) -> String {
    format!(
        "name: {name}\non:\n  push: {{ branches: [main], paths: [\"{name}/**\"] }}\n\
         concurrency: {{ group: deploy, supersede: never }}\n\
         steps:\n  - id: gate\n    uses: approve\n    approval: Deploy?\n"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn groups_survive_a_restart() {
    let mut world = World { estate: Estate::undeclared(Kind::Embedded, "1s").await };
    let [first, last] = NAMES;
    world.one_after_the_other(first, last).await;
    world.one_after_the_other(last, first).await;
}

struct World {
    estate: Estate,
}

impl World {
    /// Opens a run of each pipeline and kills the server twice before the older one ends.
    async fn one_after_the_other(&mut self, older: &str, younger: &str) {
        let older = self.push(older).await;
        self.asks(&older).await;
        let younger = self.push(younger).await;
        self.waits(&younger, &older).await;
        for _ in 0..2 {
            self.estate.restart(&[]).await;
            self.waits(&younger, &older).await;
            self.asks(&older).await;
        }
        assert_eq!(kinds(&self.journal(&younger)), ["opened"], "{younger} has done nothing but wait");

        self.approve(&older).await;
        self.asks(&younger).await;
        self.approve(&younger).await;
        self.ended(&younger).await;
        let seq = |entry: &Value| entry["seq"].as_u64().expect("a sequence");
        let (older, younger) = (self.journal(&older), self.journal(&younger));
        let closed = older.last().expect("it has entries");
        assert_eq!(closed["kind"], "closed", "{closed}");
        let early: Vec<_> = younger[1..].iter().filter(|entry| seq(entry) < seq(closed)).collect();
        assert!(early.is_empty(), "done before the run ahead had ended: {early:?}");
        let attempts = younger.iter().filter(|entry| entry["kind"] == "started").count();
        assert_eq!(attempts, 1, "{younger:#?}");
    }

    /// Pushes a change that one pipeline is for; answers the run's id.
    async fn push(&self, name: &str) -> String {
        let notes = format!("{name} {}\n", self.estate.application().head());
        let notes_at = format!("{name}/notes");
        let pipelines = NAMES.map(|name| (format!(".bespin/{name}.yaml"), pipeline(name)));
        let mut files: Vec<_> = pipelines.iter().map(|(path, text)| (path.as_str(), text.clone())).collect();
        files.push((&notes_at, notes));
        let commit = self.estate.push(&files, &format!("Deploy {name}")).await.after;
        eventually("the run is open", PATIENCE, || async {
            let rows = self.rows().await;
            rows.iter().find(|run| run["sha"] == commit)?["id"].as_str().map(str::to_owned)
        })
        .await
    }

    async fn rows(&self) -> Vec<Value> {
        let runs = self.estate.dashboard().await.get("runs").await;
        let rows = runs["runs"].as_array().cloned().unwrap_or_default();
        rows.into_iter().map(|row| row["run"].clone()).collect()
    }

    async fn row(&self, run: &str) -> Value {
        let rows = self.rows().await;
        rows.into_iter().find(|row| row["id"] == run).unwrap_or_else(|| panic!("{run} is not listed"))
    }

    async fn gate(&self, run: &str) -> Value {
        self.estate.dashboard().await.get(&format!("runs/{run}")).await["steps"][0]["summary"]["state"].take()
    }

    /// Waits until a run's step asks.
    async fn asks(&self, run: &str) {
        eventually(&format!("{run} asks"), PATIENCE, || async { (self.gate(run).await == "asking").then_some(()) })
            .await;
    }

    /// Waits until the server has decided that a run waits for another; until then it must not start.
    async fn waits(&self, run: &str, ahead: &str) {
        let says = format!("waits for {ahead}, which is ahead in the same group");
        eventually(&says, PATIENCE, || async {
            assert_eq!(self.gate(run).await, "waiting", "{run} starts beside {ahead}");
            (self.row(run).await["status"]["message"] == says.as_str()).then_some(())
        })
        .await;
    }

    async fn approve(&self, run: &str) {
        let (status, said) = self.estate.dashboard().await.press(&format!("runs/{run}/steps/gate/approve")).await;
        assert_eq!(status, 204, "{said}");
    }

    async fn ended(&self, run: &str) {
        let what = format!("{run} has ended");
        let state = eventually(&what, PATIENCE, || async {
            let state = self.row(run).await["state"].take();
            (state != "open").then_some(state)
        });
        assert_eq!(state.await, "succeeded");
    }

    fn journal(&self, run: &str) -> Vec<Value> {
        self.estate.bespin.journal(&format!("run/{run}"))
    }
}

fn kinds(entries: &[Value]) -> Vec<&str> {
    entries.iter().filter_map(|entry| entry["kind"].as_str()).collect()
}
