//! The dashboard over a made-up world, for working on the dashboard alone:
//! `cargo run -p bespin --features fixture --example fixture`. It prints its
//! address. Nothing of it is part of the server.

#![expect(clippy::unwrap_used, reason = "a fixture that cannot start has nothing better to say")]

use bespin::api::{ApiState, Commands, router};
use bespin::board::Board;
use bespin::drive::{Drivers, now};
use bespin::login::{Login, Role, User, hash_password};
use bespin::logs::Logs;
use bespin::views::{
    ActionView, AppView, PodView, ResourceView, RevisionView, RolloutView, StepView, SyncedView, WeightView,
};
use decide::by::By;
use decide::next::{Because, Mood};
use journal::{Journal, NewEntry};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

const WAS: &str = "user/petclinic/petclinic-was/56";
const ROLLOUT: &str = "rollout/production/petclinic/was";
const APP: &str = "app/production/argocd/petclinic";
const ECR: &str = "123456789012.dkr.ecr.ap-northeast-2.amazonaws.com/petclinic-was";

#[tokio::main]
async fn main() {
    let dir = tempfile::tempdir().unwrap();
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:0".into());
    let listener = tokio::net::TcpListener::bind(address).await.unwrap();
    let url = url::Url::parse(&format!("http://{}/", listener.local_addr().unwrap())).unwrap();
    let hash = hash_password("petclinic").unwrap();
    let user = |name: &str, role| User { name: name.into(), role, hash: hash.clone() };
    let login = Arc::new(Login::new(vec![user("ann", Role::Operator), user("val", Role::Viewer)], &url).unwrap());
    let journal: Journal = journal::open(&dir.path().join("journal")).unwrap();
    let drivers = Drivers::new(journal, Arc::new(Board::default()));
    let logs = Arc::new(Logs::open(dir.path().join("logs")));
    let world = Arc::new(World { drivers: drivers.clone(), logs: logs.clone(), canary: Mutex::new(Canary::new()) });
    if std::env::var_os("EMPTY").is_none() {
        world.past().await;
        tokio::spawn(world.clone().live());
    }
    println!("{url}login/once?token={}", login.one_time_link());
    let app = router(ApiState::new(drivers, logs, login, world));
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>()).await.unwrap();
}

struct World {
    drivers: Arc<Drivers>,
    logs: Arc<Logs>,
    canary: Mutex<Canary>,
}

struct Canary {
    at: usize,
    until: u64,
    retreated: bool,
    weights: Vec<WeightView>,
}

impl Canary {
    fn new() -> Canary {
        let start = now() - 95_000;
        let point = |after: u64, asked, served| WeightView { at_ms: start + after, asked, served: Some(served) };
        let weights = vec![
            point(0, 0, 0),
            point(4_000, 10, 0),
            point(7_000, 10, 10),
            point(37_000, 25, 10),
            point(41_000, 25, 25),
            point(71_000, 50, 25),
            point(76_000, 50, 50),
        ];
        Canary { at: 5, until: now() + 600_000, retreated: false, weights }
    }
}

#[async_trait::async_trait]
impl Commands for World {
    async fn retry_run(&self, run: &str, by: By) -> Result<String, String> {
        let number = 57 + self.drivers.journal().streams("run/user/petclinic/petclinic-was/").await.unwrap().len();
        let id = format!("user/petclinic/petclinic-was/{number}");
        let mut opened = opened(&id, "petclinic-was", "Fix the vet list, again", &was_steps());
        opened["body"]["run"]["retry_of"] = run.into();
        self.write(&format!("run/{id}"), now(), by, &[opened, started("image", 1)]).await;
        self.say(&format!("run/{id}"), "run", Mood::Moving, "image runs");
        Ok(id)
    }
    async fn cancel_run(&self, run: &str, by: By) -> Result<(), String> {
        let asked = json!({ "kind": "cancel-asked", "body": { "because": format!("{by} asked"), "cause": "asked" } });
        let closed = json!({ "kind": "closed", "body": { "outcome": "cancelled" } });
        self.write(&format!("run/{run}"), now(), by, &[asked, closed]).await;
        Ok(())
    }
    async fn rollout_action(&self, _: &str, action: &str, by: By) -> Result<(), String> {
        {
            let mut canary = self.canary.lock().unwrap();
            match action {
                "promote" => canary.at = (canary.at + 2).min(8),
                "promote-full" => canary.at = 8,
                "retreat" => canary.retreated = true,
                "retry" => (canary.retreated, canary.at) = (false, 1),
                other => return Err(format!("`{other}` is unknown to the fixture")),
            }
            canary.until = now() + 600_000;
        }
        let entry = json!({ "kind": "asked", "body": { "action": action } });
        self.write(ROLLOUT, now(), by, &[entry]).await;
        self.show();
        Ok(())
    }
    async fn sync_app(&self, stream: &str, by: By) -> Result<(), String> {
        self.write(stream, now(), by, &[json!({ "kind": "asked", "body": {} })]).await;
        Ok(())
    }
}

impl World {
    async fn past(&self) {
        let hour = 3_600_000;
        self.failed("user/petclinic/petclinic-was/54", now() - 5 * hour).await;
        self.succeeded("user/petclinic/petclinic-was/55", now() - 2 * hour).await;
        let delivery = || By::Delivery("7c1f5a52-a5e1-11f0".into());
        let at = now() - 130_000;
        let run = format!("run/{WAS}");
        let first = opened(WAS, "petclinic-was", "Fix the vet list when a vet has no specialty", &was_steps());
        self.write(&run, at, delivery(), &[first, started("image", 1)]).await;
        let key =
            |step: &str| json!({ "kind": "wanted", "body": { "key": { "run": WAS, "step": step }, "intent": {} } });
        let by = || By::Run(format!("{WAS}#step"));
        self.write(&format!("image/{WAS}/image"), at + 100, by(), &[key("image")]).await;
        let tag = format!("{ECR}:v56-4be1d07");
        let outputs = |value: Value| json!({ "is": "succeeded", "outputs": value });
        let built = outputs(json!({ "build": "b-56", "digest": "sha256:9f2c61d3a2b9" }));
        let hung = json!({ "is": "transient", "because": "the registry answered 503 to the upload of a layer" });
        self.write(&run, at + 14_000, By::Server, &[ended("image", 1, built), started("push", 1)]).await;
        self.write(&run, at + 16_000, By::Server, &[ended("push", 1, hung)]).await;
        self.write(&run, at + 17_000, By::Server, &[started("push", 2)]).await;
        let pushed = outputs(
            json!({ "image": tag, "digest": "sha256:9f2c61d3a2b9", "reference": format!("{ECR}@sha256:9f2c61d3a2b9") }),
        );
        self.write(&run, at + 21_000, By::Server, &[ended("push", 2, pushed), started("bump", 1)]).await;
        self.write(&format!("bump/{WAS}/bump"), at + 21_100, by(), &[key("bump")]).await;
        let bumped = outputs(json!({ "commit": "c0ffee1234567890c0ffee1234567890c0ffee12", "changed": "true" }));
        self.write(&run, at + 24_000, By::Server, &[ended("bump", 1, bumped), started("sync", 1)]).await;
        self.write(APP, at + 24_100, by(), &[key("sync")]).await;
        let synced = outputs(json!({ "revision": "c0ffee1234567890c0ffee1234567890c0ffee12" }));
        self.write(&run, at + 33_000, By::Server, &[ended("sync", 1, synced), started("canary", 1)]).await;
        self.write(ROLLOUT, at + 33_100, by(), &[key("canary")]).await;
        self.say(&run, "run", Mood::Moving, "canary runs");
        let web = "user/petclinic/petclinic-web/31";
        let first =
            opened(web, "petclinic-web", "Serve the vets' pictures as WebP", &["image", "push", "bump", "sync"]);
        self.write(&format!("run/{web}"), now() - 12_000, delivery(), &[first, started("image", 1)]).await;
        self.say(&format!("run/{web}"), "run", Mood::Moving, "image runs, attempt 1 of 2");
        for n in 0..if is_big() { 100_000 } else { 400 } {
            let text = match n % 7 {
                0 => format!("\u{1b}[1;34m[INFO]\u{1b}[0m Building petclinic-was step {n}/400"),
                3 => "\u{1b}[33mWARNING\u{1b}[0m: parameter 'finalName' is unknown".to_owned(),
                _ => format!("Downloading from central: https://repo.example/org/springframework/spring-core-{n}.jar"),
            };
            self.logs.line(WAS, "image", 1, "stdout", &text);
        }
        self.logs.line(WAS, "push", 1, "error", "PUT /v2/petclinic-was/blobs/uploads/…: 503 Service Unavailable");
        self.logs.line(WAS, "canary", 1, "info", "the canary was wanted: v56-4be1d07");
        self.show();
    }

    async fn succeeded(&self, id: &str, at: u64) {
        let run = format!("run/{id}");
        let first = opened(id, "petclinic-was", "Upgrade to Spring Boot 3.5", &was_steps());
        self.write(&run, at, By::Delivery("d-55".into()), &[first]).await;
        for (n, step) in was_steps().iter().enumerate() {
            let done = ended(step, 1, json!({ "is": "succeeded", "outputs": {} }));
            self.write(&run, at + n as u64 * 20_000, By::Server, &[started(step, 1), done]).await;
        }
        let closed = json!({ "kind": "closed", "body": { "outcome": "succeeded" } });
        self.write(&run, at + 140_000, By::Server, &[closed]).await;
    }

    async fn failed(&self, id: &str, at: u64) {
        let run = format!("run/{id}");
        let mut first = opened(id, "petclinic-was", "Try a scan step", &[]);
        let mistake = ".bespin/was.yaml:14:5: `imagee` is no key of a step\n   14 |     imagee: petclinic\n      |     ^^^^^^ here\nmend: write `image`, or remove the line";
        first["body"]["run"]["mistakes"] = json!([mistake]);
        let closed = json!({ "kind": "closed", "body": { "outcome": "failed" } });
        self.write(&run, at, By::Delivery("d-54".into()), &[first, closed]).await;
    }

    async fn live(self: Arc<Self>) {
        let mut n = 0u64;
        loop {
            tokio::time::sleep(Duration::from_secs(2)).await;
            n += 1;
            self.logs.line(WAS, "canary", 1, "info", &format!("look {n}: the load balancer serves what was asked"));
            self.show();
        }
    }

    fn show(&self) {
        let mut canary = self.canary.lock().unwrap();
        let rollout = rollout(&mut canary);
        let (mood, text) = match (canary.retreated, canary.at >= 8) {
            (true, _) => (
                Mood::Stuck,
                "ann retreated: 3 pods of v55-f31bdcc carry all traffic, and git still names v56-4be1d07".to_owned(),
            ),
            (_, true) => (Mood::Done, "v56-4be1d07 carries all traffic".to_owned()),
            _ => (
                Mood::Waiting,
                format!(
                    "pausing after {} %: 2 of 2 canary pods are ready, and the load balancer serves {} %",
                    rollout.asked, rollout.asked
                ),
            ),
        };
        drop(canary);
        self.drivers.board().show_rollout(ROLLOUT, rollout);
        self.drivers.board().show_app(APP, app());
        self.say(ROLLOUT, "canary", mood, &text);
        self.say(APP, "sync", Mood::Waiting, "waiting for Rollout/was to become Healthy: it pauses at 50 %; ConfigMap/web-nginx drifted and heals in 4 s");
    }

    fn say(&self, stream: &str, stage: &str, mood: Mood, text: &str) {
        self.drivers.board().say(stream, stage, Because { mood, text: text.into() }, now());
    }

    async fn write(&self, stream: &str, at_ms: u64, by: By, entries: &[Value]) {
        let journal = self.drivers.journal();
        let len = journal.read(stream).await.unwrap().len() as u64;
        let new = |entry: &Value| NewEntry {
            at_ms,
            by: by.clone(),
            kind: entry["kind"].as_str().unwrap().into(),
            body: entry["body"].clone(),
        };
        journal.append(stream, len, entries.iter().map(new).collect()).await.unwrap();
    }
}

/// Whether to show a log of 100,000 lines and an application of 1,000 resources.
fn is_big() -> bool {
    std::env::var_os("BIG").is_some()
}

fn was_steps() -> [&'static str; 5] {
    ["image", "push", "bump", "sync", "canary"]
}

fn started(step: &str, attempt: u32) -> Value {
    json!({ "kind": "started", "body": { "step": step, "attempt": attempt } })
}

fn ended(step: &str, attempt: u32, outcome: Value) -> Value {
    json!({ "kind": "ended", "body": { "step": step, "attempt": attempt, "outcome": outcome } })
}

fn opened(id: &str, name: &str, title: &str, steps: &[&str]) -> Value {
    let step = |(n, id): (usize, &&str)| {
        let needs: Vec<&str> = n.checked_sub(1).map(|before| steps[before]).into_iter().collect();
        let (with, grants) = match *id {
            "image" => (json!({ "dockerfile": "Dockerfile" }), json!({ "images": ["build"] })),
            "push" => (
                json!({ "to": "${{ env.repository }}", "tag": "v${{ run.number }}-${{ commit.short }}" }),
                json!({ "registry": ["${{ env.repository }}"] }),
            ),
            "bump" => (
                json!({ "repo": "https://github.com/user/k8s-manifests.git", "path": "petclinic", "image": "${{ steps.push.image }}" }),
                json!({ "git": ["github.com/user/k8s-manifests"] }),
            ),
            "sync" => (
                json!({ "application": "petclinic", "revision": "${{ steps.bump.commit }}" }),
                json!({ "cluster": ["production/petclinic/*"] }),
            ),
            _ => (
                json!({ "rollout": "petclinic/was", "on-timeout": "hold" }),
                json!({ "canary": ["production/petclinic/was"] }),
            ),
        };
        json!({ "id": id, "uses": id, "with": with, "needs": needs, "condition": null, "timeout_ms": 1_800_000, "retry": 1, "grants": grants })
    };
    let slack = json!({ "id": "slack", "uses": "slack", "with": { "text": "${{ run.outcome }}: ${{ run.title }}" }, "needs": [],
        "condition": null, "timeout_ms": 60_000, "retry": 0, "grants": { "secrets": ["slack-webhook"] } });
    let all: Vec<Value> = steps.iter().enumerate().map(step).collect();
    let finally = if steps.is_empty() { json!([]) } else { json!([slack]) };
    let number: u64 = id.rsplit('/').next().unwrap().parse().unwrap();
    json!({ "kind": "opened", "body": { "run": {
        "id": id, "number": number, "repository": "user/petclinic", "pipeline_file": ".bespin/was.yaml",
        "pipeline": { "name": name, "on": {}, "concurrency": null, "env": {}, "steps": all, "finally": finally },
        "event": { "kind": "push", "reference": "refs/heads/main", "before": "f31bdcc0aa", "after": "4be1d07", "delivery": "7c1f5a52-a5e1-11f0-8d6c", "forced": false },
        "commit": { "sha": "4be1d07c2d9a4f0f9b7bd1c8be5f6a7d8e9f0a1b", "short": "4be1d07", "message": format!("{title}\n\nThe list threw where the set was null."), "author": "Ann Lee" },
        "title": title } } })
}

fn rollout(canary: &mut Canary) -> RolloutView {
    let weights = [10, 25, 50, 75];
    let asked = match (canary.retreated, canary.at) {
        (true, _) => 0,
        (_, 8..) => 100,
        (_, at) => weights[at / 2],
    };
    canary.weights.push(WeightView { at_ms: now(), asked, served: Some(asked) });
    let steps = weights.iter().flat_map(|&weight| {
        let text = format!("send {weight} % to the canary");
        let pause = StepView { kind: "pause".into(), text: "pause 30 s".into(), weight: None };
        [StepView { kind: "weight".into(), text, weight: Some(weight) }, pause]
    });
    let pods = |hash: &str, n: u32| {
        (0..n)
            .map(|at| PodView {
                name: format!("was-{hash}-{}", ["x7k2p", "m9qd4", "t5w8z"][at as usize]),
                phase: "Running".into(),
                ready: true,
            })
            .collect::<Vec<_>>()
    };
    let revision = |revision, role: &str, hash: &str, tag: &str, n| RevisionView {
        revision,
        role: role.into(),
        hash: hash.into(),
        image: format!("{ECR}:{tag}"),
        wanted: n,
        ready: n,
        pods: pods(hash, n),
    };
    let moving = !canary.retreated && canary.at < 8;
    let action = |action: &str, label: &str, effect: &str| ActionView {
        action: action.into(),
        label: label.into(),
        effect: effect.into(),
    };
    let actions = if moving {
        vec![
            action("promote", "Promote", "Ends this pause and sends 75 % of the traffic to v56-4be1d07."),
            action("promote-full", "Promote fully", "Skips the remaining steps and sends all traffic to v56-4be1d07."),
            action(
                "retreat",
                "Retreat",
                "Sends all traffic back to v55-f31bdcc, then removes the canary's pods. Git goes on naming v56-4be1d07.",
            ),
        ]
    } else if canary.retreated {
        vec![action("retry", "Retry", "Starts the walk of v56-4be1d07 again, at 10 %.")]
    } else {
        Vec::new()
    };
    RolloutView {
        name: "petclinic/was".into(),
        cluster: "production".into(),
        phase: if canary.retreated {
            "Degraded"
        } else if moving {
            "Paused"
        } else {
            "Healthy"
        }
        .into(),
        message: if canary.retreated { "RolloutAborted: ann retreated from v56-4be1d07" } else { "" }.into(),
        ownership: "owned".into(),
        steps: steps.collect(),
        at: canary.at,
        asked,
        served: Some(asked),
        stable_image: format!("{ECR}:v55-f31bdcc"),
        canary_image: format!("{ECR}:v56-4be1d07"),
        revisions: vec![
            revision(56, "canary", "6d4cf56db6", "v56-4be1d07", 2),
            revision(55, "stable", "7b9f8c6d5f", "v55-f31bdcc", 3),
        ],
        weights: canary.weights.clone(),
        actions,
        paused_until_ms: moving.then_some(canary.until),
    }
}

fn app() -> AppView {
    let one = |kind: &str, name: &str, parent: &str, sync: &str, health: &str| ResourceView {
        group: match kind {
            "Deployment" | "ReplicaSet" | "StatefulSet" => "apps",
            "Rollout" => "argoproj.io",
            "HorizontalPodAutoscaler" => "autoscaling",
            "Ingress" => "networking.k8s.io",
            _ => "",
        }
        .into(),
        version: match kind {
            "HorizontalPodAutoscaler" => "v2",
            "Rollout" => "v1alpha1",
            _ => "v1",
        }
        .into(),
        kind: kind.into(),
        namespace: if kind == "Namespace" { "" } else { "petclinic" }.into(),
        name: name.into(),
        sync: sync.into(),
        health: health.into(),
        message: String::new(),
        parent: parent.into(),
        owned: Vec::new(),
        desired: format!("apiVersion: v1\nkind: {kind}\nmetadata:\n  name: {name}\n  namespace: petclinic\n"),
        live: format!("apiVersion: v1\nkind: {kind}\nmetadata:\n  name: {name}\n  namespace: petclinic\n"),
    };
    let mut nginx = one("ConfigMap", "web-nginx", "", "out-of-sync", "");
    nginx.desired = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: web-nginx\n  namespace: petclinic\ndata:\n  nginx.conf: |\n    worker_processes auto;\n    events { worker_connections 1024; }\n    http {\n      client_max_body_size 1m;\n      server {\n        listen 8080;\n      }\n    }\n".into();
    nginx.live = nginx
        .desired
        .replace("client_max_body_size 1m", "client_max_body_size 64m")
        .replace("        listen 8080;\n", "        listen 8080;\n        access_log off;\n");
    let mut was = one("Rollout", "was", "", "synced", "Suspended");
    was.message = "pausing at 50 %".into();
    was.owned = vec![
        "replicas: 4, owned by HPA was, 2 to 10".into(),
        "spec.template.metadata.annotations, owned by kubectl rollout restart".into(),
    ];
    was.desired = "apiVersion: argoproj.io/v1alpha1\nkind: Rollout\nmetadata:\n  name: was\nspec:\n  strategy:\n    canary:\n      steps:\n      - setWeight: 10\n".into();
    was.live = was.desired.replace("spec:\n", "spec:\n  replicas: 4\n");
    let mut web = one("Deployment", "web", "", "synced", "Healthy");
    web.owned = vec!["replicas: 2, owned by HPA web, 2 to 6".into()];
    let resources = vec![
        one("Namespace", "petclinic", "", "synced", ""),
        nginx,
        one("Secret", "db-secret", "", "synced", ""),
        one("Service", "was-stable", "", "synced", "Healthy"),
        one("Service", "was-canary", "", "synced", "Healthy"),
        one("Service", "web", "", "synced", "Healthy"),
        was,
        one("ReplicaSet", "was-7b9f8c6d5f", "Rollout/was", "observed", "Healthy"),
        one("Pod", "was-7b9f8c6d5f-x7k2p", "ReplicaSet/was-7b9f8c6d5f", "observed", "Healthy"),
        one("Pod", "was-7b9f8c6d5f-m9qd4", "ReplicaSet/was-7b9f8c6d5f", "observed", "Healthy"),
        one("ReplicaSet", "was-6d4cf56db6", "Rollout/was", "observed", "Progressing"),
        one("Pod", "was-6d4cf56db6-x7k2p", "ReplicaSet/was-6d4cf56db6", "observed", "Progressing"),
        web,
        one("ReplicaSet", "web-5c7d", "Deployment/web", "observed", "Healthy"),
        one("Pod", "web-5c7d-abcde", "ReplicaSet/web-5c7d", "observed", "Healthy"),
        one("StatefulSet", "redis", "", "synced", "Healthy"),
        one("Pod", "redis-0", "StatefulSet/redis", "observed", "Healthy"),
        one("HorizontalPodAutoscaler", "was", "", "synced", "Healthy"),
        one("HorizontalPodAutoscaler", "web", "", "synced", "Healthy"),
        one("Ingress", "petclinic-ingress", "", "synced", "Healthy"),
    ];
    let crowd = (0..if is_big() { 1000 } else { 0 })
        .map(|n| one("Pod", &format!("web-5c7d-{n:04}"), "ReplicaSet/web-5c7d", "observed", "Healthy"));
    let resources = resources.into_iter().chain(crowd).collect();
    AppView {
        name: "argocd/petclinic".into(),
        cluster: "production".into(),
        repo: "https://github.com/user/k8s-manifests.git".into(),
        path: "petclinic".into(),
        revision: "c0ffee1234567890c0ffee1234567890c0ffee12".into(),
        sync: "out-of-sync".into(),
        health: "Suspended".into(),
        ownership: "owned".into(),
        resources,
        history: vec![
            SyncedView {
                revision: "c0ffee1234567890c0ffee1234567890c0ffee12".into(),
                at_ms: now() - 97_000,
                outcome: "applied 1 object, 12 were as wanted".into(),
            },
            SyncedView {
                revision: "badc0de987654321badc0de987654321badc0de9".into(),
                at_ms: now() - 7_200_000,
                outcome: "applied 1 object, pruned ConfigMap/old".into(),
            },
        ],
        warnings: vec![
            "the ignoreDifferences rule for argoproj.io/Rollout /spec/replicas is not needed: HPA was owns that field"
                .into(),
        ],
    }
}
