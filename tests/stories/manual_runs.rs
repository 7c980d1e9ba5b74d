//! A person starts a run: by the command, and by the dashboard. What they give reaches the step; what is wrong starts
//! nothing; and the run waits for the one ahead of it in its group.

use serde_json::{Value, json};
use world::bespin;
use world::config::Config;
use world::estate::{Estate, Kind, PATIENCE};
use world::github::Github;
use world::process::eventually;

const FILE: &str = ".bespin/release.yaml";

/// A pipeline that asks in production, and tells a place what it was given.
fn pipeline(place: &str) -> String {
    format!(
        r#"name: release
on:
  manual:
    inputs:
      version: {{ description: Which one?, required: true }}
      where: {{ type: choice, options: [staging, production], default: staging }}
      replicas: {{ type: number, default: 2 }}
      dry-run: {{ type: boolean }}
concurrency: {{ group: "to-${{{{ inputs.where }}}}", supersede: always }}
steps:
  - id: gate
    uses: approve
    if: inputs.where == 'production'
    approval: Release ${{{{ inputs.version }}}}?
  - id: tell
    uses: http
    if: not failure()
    with:
      url: "{place}/${{{{ inputs.where }}}}/${{{{ inputs.version }}}}/${{{{ inputs.replicas }}}}/${{{{ inputs['dry-run'] }}}}"
    grants: {{ http: ["{place}"] }}
"#
    )
}

struct World {
    estate: Estate,
    github: Github,
    commit: String,
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_starts_a_run() {
    let world = World::start().await;
    assert!(world.runs().await.is_empty(), "a push is no start by hand");

    // By the command, with what it leaves out.
    let (code, page) = world.command(&[FILE, "--input", "version=1.2", "--key", "job-7"]);
    let first = format!("{}/runs/user/petclinic/release/1\n", world.estate.bespin.dashboard);
    assert_eq!((code, &page), (0, &first));
    assert_eq!(
        world.command(&["release.yaml", "-i", "version=1.2", "--key", "job-7"]),
        (0, first),
        "the job repeats it"
    );
    world.told("staging/1.2/2/false").await;
    let run = world.ended("user/petclinic/release/1").await;
    assert_eq!((&run["event"], &run["sha"]), (&json!("manual"), &json!(world.commit)), "{run:#}");
    assert_eq!((&run["state"], &run["by"]), (&json!("succeeded"), &json!("person:control-socket")), "{run:#}");
    eventually("GitHub shows it apart from a push's check", PATIENCE, || async {
        let status = world.github.status("user/petclinic", &world.commit, "bespin/release (manual)");
        (status.as_deref() == Some("success")).then_some(())
    })
    .await;

    world.is_refused().await;
    world.queues().await;
    let told = world.github.heard().len();
    assert!(told < 60, "a run that has ended is told once, and not {told} times");
}

impl World {
    async fn start() -> World {
        let github = Github::start().await;
        let api = format!("[github]\napi = \"{}\"\ntoken = {{ env = \"STORIES_HOOK\" }}\n", github.url);
        // Only what a person starts may speak to it.
        let row = format!("[[policy]]\nevent = \"manual\"\ngrants = {{ http = [\"{}\"] }}\n", github.url);
        let edit = |config: Config| config.with(&api).with(&row);
        let estate = Estate::configured(Kind::Embedded, "1s", edit).await;
        let commit = estate.push(&[(FILE, pipeline(&github.url))], "Release by hand").await.after;
        let world = World { estate, github, commit };
        eventually("the push is worked off", PATIENCE, || async {
            world.estate.bespin.journal("delivery/").iter().any(|entry| entry["kind"] == "ignored").then_some(())
        })
        .await;
        world
    }

    /// What is wrong is said at once, with what there is, and starts nothing.
    async fn is_refused(&self) {
        let (code, said) = self.command(&["relase.yaml", "--ref", "main"]);
        assert!(code == 1 && said.contains("did you mean `.bespin/release.yaml`?"), "{said}");
        let (_, said) = self.command(&[FILE, "--ref", "mian"]);
        assert!(said.contains("there is no branch or tag `mian`") && said.contains("did you mean `main`?"), "{said}");
        let (_, said) = self.command(&[FILE, "--repo", "user/petclinc"]);
        assert!(said.contains("did you mean `user/petclinic`?"), "{said}");
        let (_, said) = self.command(&[FILE, "-i", "where=prod", "-i", "dry-run=no", "-i", "replcas=1"]);
        for says in ["`version` is required", "`where` has no option `prod`", "not `no`", "did you mean `replicas`?"] {
            assert!(said.contains(says), "{said}");
        }
        let wrong = json!({ "file": FILE, "inputs": { "version": "1", "where": "prod", "replicas": "many" } });
        let (status, said) = self.post(&wrong).await;
        let fields: Vec<&str> =
            said["fields"].as_array().into_iter().flatten().filter_map(|one| one["field"].as_str()).collect();
        assert_eq!((status, fields), (422, vec!["inputs.where", "inputs.replicas"]), "{said}");
        assert_eq!(self.runs().await.len(), 1);
    }

    /// Runs of one group go one after the other, and none takes another's place.
    async fn queues(&self) {
        let listed = self.estate.dashboard().await.get("startable").await;
        assert_eq!(listed["repositories"][0]["pipelines"][0]["inputs"][1]["options"], json!(["staging", "production"]));
        let start = |version: &str| {
            let inputs = json!({ "version": version, "where": "production", "dry-run": true, "replicas": 3 });
            json!({ "repository": "user/petclinic", "file": FILE, "ref": "main", "inputs": inputs })
        };
        let mut started = Vec::new();
        for version in ["2.0", "2.1"] {
            let (status, said) = self.post(&start(version)).await;
            assert_eq!(status, 200, "{said}");
            started.push(said["run"].as_str().expect("a run's id").to_owned());
        }
        let [ahead, behind] = [&started[0], &started[1]];
        self.gate_is(ahead, "asking").await;
        eventually("the second waits", PATIENCE, || async {
            let says = format!("waits for {ahead}, which is ahead in the same group");
            (self.page(behind).await["run"]["status"]["message"] == says).then_some(())
        })
        .await;
        for (run, place) in [(ahead, "production/2.0/3/true"), (behind, "production/2.1/3/true")] {
            self.gate_is(run, "asking").await;
            let (status, said) = self.estate.dashboard().await.press(&format!("runs/{run}/steps/gate/approve")).await;
            assert_eq!(status, 204, "{said}");
            self.told(place).await;
            assert_eq!(self.ended(run).await["state"], "succeeded");
        }
        let (status, again) = self.estate.dashboard().await.press(&format!("runs/{behind}/retry")).await;
        let again: Value = serde_json::from_str(&again).expect("it names the new run");
        let again = again["run"].as_str().unwrap_or_else(|| panic!("{status}")).to_owned();
        assert_eq!(self.page(&again).await["inputs"]["version"], "2.1", "a retry keeps what was given");
    }

    /// `bespin run start` with these arguments.
    fn command(&self, arguments: &[&str]) -> (i32, String) {
        let config = self.estate.bespin.config.to_str().expect("a path is text");
        bespin::run(&[["run", "start", "--config", config].as_slice(), arguments].concat())
    }

    async fn post(&self, asked: &Value) -> (u16, Value) {
        let (status, said) = self.estate.dashboard().await.send("runs", asked).await;
        (status, serde_json::from_str(&said).unwrap_or(Value::String(said)))
    }

    async fn runs(&self) -> Vec<Value> {
        self.estate.dashboard().await.get("runs").await["runs"].as_array().cloned().unwrap_or_default()
    }

    async fn page(&self, run: &str) -> Value {
        self.estate.dashboard().await.get(&format!("runs/{run}")).await
    }

    async fn gate_is(&self, run: &str, state: &str) {
        eventually(&format!("the gate of {run} is {state}"), PATIENCE, || async {
            (self.page(run).await["steps"][0]["summary"]["state"] == state).then_some(())
        })
        .await;
    }

    async fn ended(&self, run: &str) -> Value {
        eventually(&format!("{run} has ended"), PATIENCE, || async {
            let run = self.page(run).await["run"].take();
            (run["state"] != "open").then_some(run)
        })
        .await
    }

    /// Waits until the step has told this.
    async fn told(&self, place: &str) {
        let line = format!("GET /{place} ");
        eventually(&line, PATIENCE, || async {
            self.github.heard().iter().any(|heard| heard.line.starts_with(&line)).then_some(())
        })
        .await;
    }
}
