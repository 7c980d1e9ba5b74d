//! A run waits for a person: over a death of the server, past people who may not answer, until somebody says yes, or
//! no, or nothing. What the policy holds back until bob has said yes, nobody gets without him.

use serde_json::{Value, json};
use world::bespin::hash;
use world::config::Config;
use world::dashboard::{Dashboard, PASSWORD};
use world::estate::{Estate, Kind, PATIENCE};
use world::github::Github;
use world::process::eventually;

const REPOSITORY: &str = "user/petclinic";

/// A gate of its own, a step that one person alone may let start, and a final step.
const PIPELINE: &str = r#"name: release
on:
  push: { branches: [main], paths: ["release/**"] }
concurrency: { group: release, supersede: never }
steps:
  - id: gate
    uses: approve
    approval: Release ${{ run.title }}?
  - id: apply
    uses: approve
    approval: { ask: "Apply what ${{ steps.gate.approved_by }} let through?", by: [bob], timeout: 1h }
finally:
  - id: last
    uses: image
"#;

/// A request to a place that the policy grants only after bob's approval, with whatever asks for one.
fn request(approval: &str, place: &str, path: &str) -> String {
    format!(
        "name: release\non: {{ push: {{ branches: [main], paths: [\"release/**\"] }} }}\nsteps:\n  - id: tell\n    \
         uses: http\n{approval}    with: {{ url: \"{place}/{path}\" }}\n    grants: {{ http: [\"{place}\"] }}\n"
    )
}

struct World {
    estate: Estate,
    github: Github,
    bob: Dashboard,
}

#[tokio::test(flavor = "multi_thread")]
async fn approval_is_asked() {
    let mut world = World::start().await;

    let (commit, run) = world.push(PIPELINE, "Yes").await;
    let asked = world.asks(&run, 0).await;
    assert_eq!(asked["ask"], "Release Yes?");
    let question = "gate waits for approval: Release Yes?";
    world.github_says(&commit, "pending", question).await;
    assert_eq!(world.times_told(&commit, question), 1);

    // Nothing but the journal knows of the question, and the server dies.
    world.restart().await;
    let again = world.asks(&run, 0).await;
    assert_eq!(again["asked_ms"], asked["asked_ms"], "the same question stands; its time goes on");
    eventually("GitHub is told once more", PATIENCE, || async {
        (world.times_told(&commit, question) == 2).then_some(())
    })
    .await;

    let val = Dashboard::login_as(&world.estate.bespin.dashboard, "val").await;
    let (status, said) = val.press(&format!("runs/{run}/steps/gate/approve")).await;
    assert_eq!(status, 403, "a viewer only looks: {said}");
    assert_eq!(world.answer(&run, "apply", "approve").await.0, 403, "the second question is for bob");
    assert_eq!(world.bob_answers(&run, "apply", "approve").await.0, 409, "and is not asked yet");
    assert_eq!(world.answer(&run, "gate", "approve").await.0, 204);
    assert_eq!(world.answer(&run, "gate", "approve").await.0, 204, "saying it again changes nothing");

    let asked = world.asks(&run, 1).await;
    assert_eq!(asked["ask"], "Apply what ann let through?");
    assert_eq!(world.answer(&run, "apply", "approve").await.0, 403, "ann is not named");
    assert_eq!(world.bob_answers(&run, "apply", "approve").await.0, 204);
    let ended = world.estate.ended(&commit).await;
    assert_eq!(ended["state"], "succeeded", "{ended}");
    // The final step has no settings, and fails: that is told, and the run has succeeded all the same.
    world.github_begins(&commit, "success", "every step succeeded; then last: ").await;
    assert_eq!(world.times_told(&commit, question), 2, "once by each process, however often it looked");
    assert_eq!(world.answers(&run), ["gate approved by person:ann", "apply approved by person:bob"]);
    assert_eq!(world.bob_answers(&run, "apply", "refuse").await.0, 409, "the run has ended");

    let (commit, run) = world.push(PIPELINE, "No").await;
    world.asks(&run, 0).await;
    assert_eq!(world.bob_answers(&run, "gate", "refuse").await.0, 204);
    let ended = world.estate.ended(&commit).await;
    assert_eq!(ended["state"], "failed", "{ended}");
    assert_eq!(ended["status"]["message"], "gate: bob refused it");
    world.github_says(&commit, "failure", "gate: bob refused it").await;
    let page = world.page(&run).await;
    let state = |step: usize| page["steps"][step]["summary"]["state"].clone();
    assert_eq!([state(0), state(1)], ["failed", "skipped"], "{page:#}");
    assert_eq!(page["steps"][2]["attempts"][0]["attempt"], 1, "the final step ran: {page:#}");
    assert_eq!(page["steps"][0]["attempts"], Value::Array(Vec::new()), "and the refused one did not");

    let hasty = PIPELINE.replace("approval: Release ${{ run.title }}?", "approval: { ask: Release?, timeout: 1s }");
    let (commit, run) = world.push(&hasty, "Silence").await;
    let ended = world.estate.ended(&commit).await;
    assert_eq!(ended["status"]["message"], "gate: nobody approved it in time", "{ended}");
    assert_eq!(world.answers(&run), ["gate expired by server"]);
    assert_eq!(world.answer(&run, "gate", "approve").await.0, 409);
}

#[tokio::test(flavor = "multi_thread")]
async fn leave_waits_for_bobs_approval() {
    let world = World::start().await;
    let place = world.github.url.clone();
    let went_out = |path: &str| {
        let line = format!("GET /{path} ");
        world.github.heard().iter().filter(|heard| heard.line.starts_with(&line)).count()
    };

    // Whoever can push a branch can take the question out, and gets nothing by it.
    let (commit, _) = world.push(&request("", &place, "unasked"), "Dropped").await;
    let denied = format!(
        "not granted: http for {place}; this permission needs an approval by bob: add approval: {{ ask: ..., by: [bob] }} to \
         the step"
    );
    let says = |ended: &Value| ended["status"]["message"].as_str().is_some_and(|text| text.ends_with(&denied));
    let ended = world.estate.ended(&commit).await;
    assert!(says(&ended), "{ended}");
    assert_eq!(world.row().await, json!([{ "number": 2, "approved_by": ["bob"], "approved": null }]));

    // Nor by another's approval, though ann is an operator as well.
    let (commit, run) = world.push(&request("    approval: Tell?\n", &place, "anns"), "Ann's").await;
    world.asks(&run, 0).await;
    assert_eq!(world.answer(&run, "tell", "approve").await.0, 204);
    let ended = world.estate.ended(&commit).await;
    assert!(says(&ended), "{ended}");
    assert_eq!(world.row().await, json!([{ "number": 2, "approved_by": ["bob"], "approved": null }]));

    let asks = "    approval: { ask: \"Tell?\", by: [bob] }\n";
    let (commit, run) = world.push(&request(asks, &place, "bobs"), "Bob's").await;
    world.asks(&run, 0).await;
    assert_eq!(world.bob_answers(&run, "tell", "approve").await.0, 204);
    let ended = world.estate.ended(&commit).await;
    assert_eq!(ended["state"], "succeeded", "{ended}");
    assert_eq!(world.row().await, json!([{ "number": 2, "approved_by": ["bob"], "approved": "bob" }]));
    assert_eq!(["unasked", "anns", "bobs"].map(went_out), [0, 0, 1]);

    // The same again is another run, and asks again.
    let (status, retried) = world.bob.press(&format!("runs/{run}/retry")).await;
    assert!(matches!(status, 200..=299), "{retried}");
    let retried: Value = serde_json::from_str(&retried).expect("it names the new run");
    let again = retried["run"].as_str().expect("a run's id");
    assert_ne!(again, run);
    world.asks(again, 0).await;
    assert_eq!(world.row().await, json!([{ "number": 2, "approved_by": ["bob"], "approved": null }]));
    assert_eq!(went_out("bobs"), 1);
}

impl World {
    async fn start() -> World {
        let github = Github::start().await;
        let (hash, api) = (hash(PASSWORD), &github.url);
        let person =
            |name: &str, role: &str| format!("\n[[user]]\nname = \"{name}\"\nrole = \"{role}\"\nhash = \"{hash}\"\n");
        let people = person("bob", "operator") + &person("val", "viewer");
        let api = format!("[github]\napi = \"{api}\"\ntoken = {{ env = \"STORIES_HOOK\" }}\n");
        let waits = format!("[[policy]]\napproved-by = [\"bob\"]\ngrants = {{ http = [\"{}\"] }}\n", github.url);
        let edit = |config: Config| config.with(&people).with(&api).with(&waits);
        let estate = Estate::configured(Kind::Embedded, "1s", edit).await;
        let bob = Dashboard::login_as(&estate.bespin.dashboard, "bob").await;
        World { estate, github, bob }
    }

    async fn restart(&mut self) {
        self.estate.restart(&[]).await;
        self.bob = Dashboard::login_as(&self.estate.bespin.dashboard, "bob").await;
    }

    /// Pushes a commit; answers its id, and its run's.
    async fn push(&self, pipeline: &str, message: &str) -> (String, String) {
        let files = [(".bespin/release.yaml", pipeline.to_owned()), ("release/notes", message.to_owned())];
        let commit = self.estate.push(&files, message).await.after;
        let dashboard = self.estate.dashboard().await;
        let run = eventually("the run is open", PATIENCE, || async {
            let runs = dashboard.get("runs").await;
            let rows = runs["runs"].as_array().cloned().unwrap_or_default();
            rows.iter().find(|row| row["run"]["sha"] == commit)?["run"]["id"].as_str().map(str::to_owned)
        });
        (commit.clone(), run.await)
    }

    async fn page(&self, run: &str) -> Value {
        self.estate.dashboard().await.get(&format!("runs/{run}")).await
    }

    /// Waits until a step waits for an answer; answers what it asks.
    async fn asks(&self, run: &str, step: usize) -> Value {
        eventually("the step asks", PATIENCE, || async {
            let step = self.page(run).await["steps"][step].take();
            (step["summary"]["state"] == "asking").then(|| step["approval"].clone())
        })
        .await
    }

    async fn answer(&self, run: &str, step: &str, verb: &str) -> (u16, String) {
        self.estate.dashboard().await.press(&format!("runs/{run}/steps/{step}/{verb}")).await
    }

    async fn bob_answers(&self, run: &str, step: &str, verb: &str) -> (u16, String) {
        self.bob.press(&format!("runs/{run}/steps/{step}/{verb}")).await
    }

    /// By which rows of the policy the newest run's `tell` has leave, as the dashboard shows it.
    async fn row(&self) -> Value {
        let page = self.estate.dashboard().await.get("plugins").await;
        let all = page["plugins"].as_array().cloned().unwrap_or_default();
        let plugin = all.iter().find(|plugin| plugin["uses"] == "http").expect("it is built in");
        plugin["used"][0]["rows"].clone()
    }

    /// Waits until the last status of a commit is this one.
    async fn github_says(&self, commit: &str, state: &str, description: &str) {
        eventually(description, PATIENCE, || async {
            let last = self.statuses(commit).pop()?;
            (last["state"] == state && last["description"] == description).then_some(())
        })
        .await;
    }

    async fn github_begins(&self, commit: &str, state: &str, description: &str) {
        eventually(description, PATIENCE, || async {
            let last = self.statuses(commit).pop()?;
            let begins = last["description"].as_str().is_some_and(|text| text.starts_with(description));
            (last["state"] == state && begins).then_some(())
        })
        .await;
    }

    fn times_told(&self, commit: &str, description: &str) -> usize {
        self.statuses(commit).iter().filter(|status| status["description"] == description).count()
    }

    /// The statuses that were posted for a commit, in order.
    fn statuses(&self, commit: &str) -> Vec<Value> {
        let place = format!("POST /repos/{REPOSITORY}/statuses/{commit} ");
        let mut heard = self.github.heard();
        heard.retain(|one| one.line.starts_with(&place) && one.body["context"] == "bespin/release");
        heard.into_iter().map(|one| one.body).collect()
    }

    /// The answers in a run's journal.
    fn answers(&self, run: &str) -> Vec<String> {
        let mut entries = self.estate.bespin.journal(&format!("run/{run}"));
        entries.retain(|entry| entry["kind"] == "approval-answered");
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let one = |entry: &Value| {
            let body = &entry["body"];
            format!("{} {} by {}", text(&body["step"]), text(&body["answer"]), text(&entry["by"]))
        };
        entries.iter().map(one).collect()
    }
}
