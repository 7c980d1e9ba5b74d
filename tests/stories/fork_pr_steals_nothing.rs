//! A fork's pull request is checked by its base's pipelines, and nothing leaves: no secret, no write, no request.

use playground::git::deliver;
use playground::sample::APPLICATION;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::net::TcpListener;
use world::bespin::plugins;
use world::estate::{Estate, HOOK_SECRET, Kind, PATIENCE, ROLLOUT};
use world::github::Github;
use world::given;
use world::process::eventually;

/// What must not be anywhere but in its file.
const TOKEN: &str = "the-deploy-token-of-the-stories";
const REPOSITORY: &str = "123456789012.dkr.ecr.ap-northeast-2.amazonaws.com/petclinic-was";

/// What every pull request has to pass; it needs permission to build, and a fork has it.
const CHECK: &str = "name: check
on: pull_request
steps:
  - uses: image
    with: { context: was, dockerfile: Dockerfile }
    grants: { images: [build] }
";

/// Somebody let pull requests deploy: everything is asked for, and every step tries, whatever became of the others.
const DEPLOY: &str = r#"name: deploy
on: { pull_request: { branches: [main], paths: ["was/**"] } }
concurrency: { group: was, supersede: always }
steps:
  - { id: push, uses: push, needs: [], with: { build: x, to: REPOSITORY, tag: stolen }, grants: { registry: [REPOSITORY] } }
  - { id: bump, uses: bump, needs: [], with: { repo: "MANIFESTS", path: petclinic, image: "REPOSITORY:stolen" }, grants: { git: ["GIT_HOST/user/k8s-manifests"] } }
  - { id: sync, uses: sync, needs: [], with: { application: petclinic }, grants: { cluster: [production/petclinic/*] } }
  - { id: canary, uses: canary, needs: [], with: { rollout: petclinic/was }, grants: { canary: [production/petclinic/was] } }
  - { id: slack, uses: slack, needs: [], with: { text: "${{ commit.message }}", secret: deploy-token }, grants: { secrets: [deploy-token] } }
  - { id: reveal, uses: hostile, needs: [], with: { attack: reveal, on: deploy-token }, grants: { secrets: ["read:deploy-token"] } }
  - { id: header, uses: hostile, needs: [], with: { attack: secret-in-address, on: deploy-token }, grants: { secrets: [deploy-token], http: ["SINK"] } }
  - { id: request, uses: hostile, needs: [], with: { attack: request, on: "SINK/${{ commit.author }}" }, grants: { http: ["SINK"] } }
  - { id: contain, uses: container, needs: [], with: { image: "sh:1", env: { T: { secret: deploy-token } } }, grants: { containers: ["sh:1"], secrets: [deploy-token] } }
  - { id: run, uses: container, needs: [], with: { image: "sh:1" }, grants: { containers: ["sh:1"] } }
  - { id: link, uses: hostile, needs: [], with: { attack: workspace, on: was/static/token } }
"#;

/// Rows of a policy that gives all that it can: to everybody, to pull requests, and a build to forks.
const POLICY: &str = r#"
[[policy]]
repository = "user/petclinic"
GRANTS
[[policy]]
repository = "user/petclinic"
ref = "refs/*"
event = "*"
GRANTS
[[policy]]
event = "pull_request"
ref = "refs/heads/next"
GRANTS
[[policy]]
event = "pull_request"
[policy.grants]
images = ["build"]
[[policy]]
event = "pull_request"
from-fork = true
[policy.grants]
images = ["build"]
"#;

const GRANTS: &str = r#"plugins = ["bump", "canary", "container", "hostile", "image", "push", "slack", "sync"]
[policy.grants]
images = ["build"]
registry = ["*/*"]
git = ["*/*/*"]
cluster = ["*/*/*"]
canary = ["*/*/*"]
secrets = ["read:deploy-token"]
containers = ["*"]
http = ["* SINK"]
"#;

/// Somewhere that nobody may knock at; it counts who does.
struct Sink {
    url: String,
    knocks: Arc<AtomicUsize>,
}

impl Sink {
    async fn start() -> Sink {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let url = format!("http://{}", listener.local_addr().expect("it listens"));
        let knocks: Arc<AtomicUsize> = Arc::default();
        let count = knocks.clone();
        tokio::spawn(async move {
            while listener.accept().await.is_ok() {
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
        Sink { url, knocks }
    }
}

/// An estate whose repository has both pipelines, a careless policy and a secret worth stealing.
struct World {
    estate: Estate,
    github: Github,
    sink: Sink,
    files: tempfile::TempDir,
}

impl World {
    async fn start() -> World {
        let (github, sink) = (Github::start().await, Sink::start().await);
        let files = tempfile::tempdir().expect("a folder");
        std::fs::write(files.path().join("token"), TOKEN).expect("a file can be written");
        let folder = plugins_with_hostile(files.path());
        let policy = POLICY.replace("GRANTS", GRANTS).replace("SINK", &sink.url);
        let more = format!(
            "\n[secret]\ndeploy-token = {{ file = \"{}\" }}\n[github]\napi = \"{}\"\ntoken = {{ env = \"STORIES_HOOK\" }}\n{policy}",
            files.path().join("token").display(),
            github.url,
        );
        let estate = Estate::configured(Kind::Embedded, "1s", |config| config.plugins(&folder).with(&more)).await;
        let world = World { estate, github, sink, files };
        world.pipelines(DEPLOY).await;
        world
    }

    async fn pipelines(&self, deploy: &str) {
        let manifests = &self.estate.sample.manifests_repository;
        let host = manifests.trim_start_matches("http://").split('/').next().expect("an address has a host");
        let deploy = deploy.replace("REPOSITORY", REPOSITORY).replace("MANIFESTS", manifests);
        let deploy = deploy.replace("GIT_HOST", host).replace("SINK", &self.sink.url);
        let files = [(".bespin/check.yaml", CHECK.to_owned()), (".bespin/deploy.yaml", deploy)];
        let files = files.map(|(path, text)| (path.to_owned(), text));
        let committed =
            self.estate.sample.repositories().commit(APPLICATION, "main", &files, "Check pull requests").await;
        committed.unwrap_or_else(|error| panic!("{error}"));
    }

    /// Makes a pull request: a clone somewhere else, changed, whose head GitHub then keeps at the base.
    fn propose(&self, number: u32, message: &str, change: impl FnOnce(&Path)) -> String {
        let fork = self.files.path().join(format!("fork-{number}"));
        let base = self.estate.sample.repositories().path(APPLICATION);
        git(self.files.path(), &["clone", "--quiet", &base.display().to_string(), &fork.display().to_string()]);
        change(&fork);
        git(&fork, &["add", "--all"]);
        git(&fork, &["commit", "--quiet", "-m", message]);
        git(&fork, &["push", "--quiet", "origin", &format!("HEAD:refs/pull/{number}/head")]);
        git(&fork, &["rev-parse", "HEAD"]).trim().to_owned()
    }

    /// Tells of a pull request as GitHub does; the head's repository is somebody's.
    async fn deliver(&self, number: u32, head: &str, whose: &str) {
        let base = self.estate.application().head();
        let side = |name: &str, reference: &str, sha: &str| {
            let url = format!("{}/{name}.git", self.sink.url);
            json!({ "ref": reference, "sha": sha, "repo": { "full_name": name, "clone_url": url, "git_url": url } })
        };
        let (base, head) = (side(APPLICATION, "main", &base), side(whose, "main", head));
        let payload = json!({
            "action": "opened", "number": number,
            "pull_request": { "number": number, "title": "Greet", "base": base, "head": head },
            "repository": base["repo"], "sender": { "login": "mallory" },
        });
        let hook = format!("{}/hooks/github/default", self.estate.bespin.hooks);
        let delivered = deliver(&hook, HOOK_SECRET, "pull_request", &format!("pull-{number}"), &payload).await;
        delivered.unwrap_or_else(|error| panic!("{error}"));
    }

    /// Waits until that many runs of a commit have ended: their rows on the dashboard, by pipeline.
    async fn ended(&self, head: &str, expected: usize) -> Vec<Value> {
        let dashboard = self.estate.dashboard().await;
        let ended = || async {
            let page = dashboard.get("runs").await;
            let rows = page["runs"].as_array()?.iter().map(|row| row["run"].clone());
            let mut rows: Vec<Value> = rows.filter(|run| run["sha"] == head).collect();
            rows.sort_by_key(|run| run["pipeline"].to_string());
            (rows.len() >= expected && rows.iter().all(|run| run["state"] != "open")).then_some(rows)
        };
        let rows = eventually(&format!("{expected} runs of {head} ended"), PATIENCE, ended).await;
        assert_eq!(rows.len(), expected, "{rows:#?}");
        rows
    }

    /// Why each step of a run failed.
    fn reasons(&self, run: &Value) -> Vec<(String, String)> {
        let id = run["id"].as_str().expect("an id");
        let entries = self.estate.bespin.journal(&format!("run/{id}"));
        let ended = entries.iter().filter(|entry| entry["kind"] == "ended").map(|entry| &entry["body"]);
        let reason = |body: &Value| {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            (text(&body["step"]), text(&body["outcome"]["because"]))
        };
        ended.map(reason).collect()
    }

    /// What the world outside holds; none of it may change.
    async fn outside(&self) -> (Vec<String>, String, Option<Value>, usize) {
        let tags = self.estate.images.tags("petclinic-was").await;
        let rollout = self.estate.kube.get(ROLLOUT).await.map(|rollout| rollout["spec"].clone());
        (tags, self.estate.manifests().head(), rollout, self.sink.knocks.load(Ordering::SeqCst))
    }

    async fn status(&self, head: &str, context: &str, expected: &str) {
        let what = format!("the status {context} of {head} is {expected}");
        eventually(&what, PATIENCE, || async {
            (self.github.status(APPLICATION, head, context)? == expected).then_some(())
        })
        .await;
    }
}

/// The built-in plugins, and the one that misbehaves.
fn plugins_with_hostile(dir: &Path) -> PathBuf {
    let folder = dir.join("plugins");
    std::fs::create_dir(&folder).expect("a folder can be made");
    for plugin in std::fs::read_dir(plugins()).expect("the plugins are built") {
        let plugin = plugin.expect("the folder can be read");
        std::fs::copy(plugin.path(), folder.join(plugin.file_name())).expect("a file can be copied");
    }
    let components = given("BESPIN_COMPONENTS").expect("BESPIN_COMPONENTS names them; run by `cargo xtask test`");
    std::fs::copy(components.join("plugin_hostile.wasm"), folder.join("hostile.wasm")).expect("it is built");
    folder
}

fn git(dir: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new("git");
    command.current_dir(dir).args(["-c", "user.name=Mallory", "-c", "user.email=mallory@example.com"]).args(arguments);
    command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
    let output = command.output().expect("git runs");
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("git prints text")
}

/// Every way that a fork has to change what runs.
fn hostile(fork: &Path, token: &Path) {
    let write = |path: &str, text: &str| std::fs::write(fork.join(path), text).expect("a file can be written");
    // Its own pipelines: a changed one, a new one, one that is a link, and one that breaks.
    let mine = "name: mine\non: [push, pull_request]\nsteps:\n  - { uses: slack, with: { text: x, secret: deploy-token }, grants: { secrets: [deploy-token] } }\n";
    write(".bespin/check.yaml", &mine.replace("mine", "check"));
    write(".bespin/mine.yaml", mine);
    write(".bespin/petclinic-was.yaml", &mine.replace("mine", "petclinic-was"));
    write(".bespin/broken.yaml", "name: [");
    std::fs::remove_file(fork.join(".bespin/deploy.yaml")).expect("it is there");
    std::os::unix::fs::symlink("../was/Dockerfile", fork.join(".bespin/deploy.yaml")).expect("a link can be made");
    // Its sources: expressions, and a link to the secret.
    write("was/static/server", "#!/bin/sh\necho ${{ steps.push.image }} ${{ env.repository }}\n");
    std::os::unix::fs::symlink(token, fork.join("was/static/token")).expect("a link can be made");
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_it_changes() {
    let world = World::start().await;
    let outside = world.outside().await;
    let token = world.files.path().join("token");
    let head =
        world.propose(7, "${{ env.repository }} Bespin-Run: user/petclinic/check/999", |fork| hostile(fork, &token));
    world.deliver(7, &head, "mallory/petclinic").await;
    let runs = world.ended(&head, 2).await;
    let [check, deploy] = runs.as_slice() else { panic!("{runs:#?}") };
    assert_eq!((&check["pipeline"], &check["state"]), (&json!("check"), &json!("succeeded")), "{check:#}");
    assert_eq!((&deploy["pipeline"], &deploy["state"]), (&json!("deploy"), &json!("failed")), "{deploy:#}");
    assert_eq!((&deploy["event"], &deploy["reference"]), (&json!("pull_request"), &json!("refs/pull/7/head")));
    the_bases_pipelines_ran(&world, &runs);
    refused(
        &world.reasons(deploy),
        |ability| format!("a fork's pull request never gets `{ability}`"),
        "and `from-fork = true`",
    );
    world.status(&head, "bespin/check (pull request into main)", "success").await;
    world.status(&head, "bespin/deploy (pull request into main)", "failure").await;
    for pushed in ["bespin/check", "bespin/deploy"] {
        let taken = world.github.status(APPLICATION, &head, pushed);
        assert_eq!(taken, None, "a pull request's run speaks for no push");
    }

    // Once more, as a person: what a fork may do does not change by a button.
    let (status, answer) =
        world.estate.dashboard().await.press(&format!("runs/{}/retry", deploy["id"].as_str().expect("an id"))).await;
    assert_eq!(status, 200, "{answer}");
    let again = world.ended(&head, 3).await.into_iter().find(|run| run["retry_of"] == deploy["id"]);
    let again = again.expect("it was retried");
    assert_eq!(again["state"], "failed");
    refused(
        &world.reasons(&again),
        |ability| format!("a fork's pull request never gets `{ability}`"),
        "and `from-fork = true`",
    );

    // The same change from a branch of the repository itself: rows that do not name the event are not for it either.
    let own = world.propose(8, "From within", |clone| hostile(clone, &token));
    world.deliver(8, &own, APPLICATION).await;
    let runs = world.ended(&own, 2).await;
    refused(&world.reasons(&runs[1]), |_| "to a row with `event = \"pull_request\"`:".into(), "to a row with `event");
    world.status(&own, "bespin/deploy (pull request into main)", "failure").await;

    assert_eq!(world.outside().await, outside, "nothing was written, and nobody was asked");
    assert_eq!(world.estate.manifests().since(&outside.1), []);
    let journal: String = world.estate.bespin.journal("").iter().map(Value::to_string).collect();
    let (logs, said) = (read_all(&world.estate.dir().join("data/logs")), world.estate.bespin.last_words());
    let statuses: String = world.github.heard().iter().map(|one| format!("{}{}", one.line, one.body)).collect();
    for (place, text) in [("the journal", journal), ("the logs", logs), ("its words", said), ("GitHub", statuses)] {
        assert!(!text.contains(TOKEN), "the secret is in {place}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn and_an_honest_one_succeeds_beside_it() {
    let world = World::start().await;
    let write = |dir: &Path| std::fs::write(dir.join("README.md"), "Read me.\n").expect("a file can be written");
    let (fork, own) = (world.propose(7, "From a fork", write), world.propose(8, "From within", write));
    world.deliver(7, &fork, "kim/petclinic").await;
    world.deliver(8, &own, APPLICATION).await;
    for head in [&fork, &own] {
        let run = world.ended(head, 1).await.remove(0);
        assert_eq!((&run["pipeline"], &run["state"]), (&json!("check"), &json!("succeeded")), "{run:#}");
        world.status(head, "bespin/check (pull request into main)", "success").await;
    }
    assert_eq!(world.sink.knocks.load(Ordering::SeqCst), 0, "a fork's own address is not asked");
}

/// Each run holds the base's steps; no pipeline of the fork's own was read.
fn the_bases_pipelines_ran(world: &World, runs: &[Value]) {
    let base = world.estate.application().head();
    for run in runs {
        let entries = world.estate.bespin.journal(&format!("run/{}", run["id"].as_str().expect("an id")));
        let opened = &entries[0]["body"]["run"];
        let event = &opened["event"];
        assert_eq!((&event["before"], &event["pull_request"]["origin"]), (&json!(base), &json!("fork")), "{event:#}");
        assert_eq!(opened["mistakes"], json!([]));
        let steps = opened["pipeline"]["steps"].as_array().expect("it has steps");
        let expected = if run["pipeline"] == "check" { 1 } else { 11 };
        assert_eq!(steps.len(), expected, "{opened:#}");
    }
    assert!(world.estate.bespin.journal(&format!("run/{APPLICATION}/mine")).is_empty());
    assert!(world.estate.bespin.journal(&format!("run/{APPLICATION}/petclinic-was")).is_empty());
}

/// Every step was refused by the name of the grant that it lacks.
fn refused(reasons: &[(String, String)], never: impl Fn(&str) -> String, could: &str) {
    let abilities = [
        ("push", "registry"),
        ("bump", "git"),
        ("sync", "cluster"),
        ("canary", "canary"),
        ("slack", "secrets"),
        ("reveal", "secrets"),
        ("header", "secrets"),
        ("contain", "secrets"),
    ];
    let of = |step: &str| {
        let found = reasons.iter().find(|(of, _)| of == step);
        &found.unwrap_or_else(|| panic!("{step} has not ended: {reasons:#?}")).1
    };
    for (step, ability) in abilities {
        let because = of(step);
        assert!(
            because.contains(&format!("not granted: {ability}")) && because.contains(&never(ability)),
            "{step}: {because}"
        );
    }
    for (step, ability) in [("request", "http"), ("run", "containers")] {
        let because = of(step);
        assert!(because.contains(&format!("not granted: {ability}")) && because.contains(could), "{step}: {because}");
    }
    assert!(of("link").contains("there is no file was/static/token"), "a link is no file: {}", of("link"));
    assert_eq!(reasons.len(), 11, "nothing else ran: {reasons:#?}");
}

/// Every file below a folder, as one text.
fn read_all(dir: &Path) -> String {
    let entries =
        std::fs::read_dir(dir).expect("the folder is there").map(|entry| entry.expect("it can be read").path());
    let text = |path: PathBuf| match path.is_dir() {
        true => read_all(&path),
        false => String::from_utf8_lossy(&std::fs::read(path).expect("a file can be read")).into_owned(),
    };
    entries.map(text).collect()
}
