//! All parts together: what runs on a playground behaves as on a cluster.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::api::kind::Kind;
use crate::api::patch::Patch;
use crate::api::{Deletion, Part, Write};
use crate::sample::{Sample, SampleOptions};
use crate::{Options, Playground};

async fn start(dir: &Path) -> Playground {
    Playground::start(dir, Options::default()).await.unwrap()
}

/// Waits, change by change, until an object is as wanted.
async fn until(playground: &Playground, kind: &Kind, name: &str, what: &str, holds: impl Fn(&Value) -> bool) -> Value {
    let api = playground.api();
    let mut changes = api.changes();
    let wait = async {
        loop {
            match api.get(kind, "n", name) {
                Ok(object) if holds(&object) => return Value::clone(&object),
                _ => changes.changed().await.unwrap(),
            }
        }
    };
    let waited = tokio::time::timeout(Duration::from_secs(20), wait).await;
    waited.unwrap_or_else(|_| panic!("never: {what}; {:?}", api.get(kind, "n", name)))
}

fn namespace(playground: &Playground) {
    let api = playground.api();
    api.create(&api.built_in("Namespace"), "", json!({"metadata": {"name": "n"}}), &Write::by("test")).unwrap();
}

fn deployment(image: &str, replicas: u32) -> Value {
    json!({"metadata": {"name": "web"}, "spec": {
        "replicas": replicas,
        "selector": {"matchLabels": {"app": "web"}},
        "template": {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": image}]}},
    }})
}

fn available(n: u64) -> impl Fn(&Value) -> bool {
    move |d: &Value| {
        d["status"]["observedGeneration"] == d["metadata"]["generation"]
            && d["status"]["availableReplicas"] == n
            && d["status"]["updatedReplicas"] == n
            && d["status"]["replicas"] == n
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_rolls_from_image_to_image() {
    let dir = tempfile::tempdir().unwrap();
    let playground = start(dir.path()).await;
    namespace(&playground);
    let api = playground.api();
    let kind = api.built_in("Deployment");
    api.create(&kind, "n", deployment("web:1", 3), &Write::by("test")).unwrap();
    let live = until(&playground, &kind, "web", "three pods are available", available(3)).await;
    let progressing =
        live["status"]["conditions"].as_array().unwrap().iter().find(|c| c["type"] == "Progressing").unwrap();
    assert_eq!(progressing["reason"], "NewReplicaSetAvailable");
    let patch =
        Patch::Strategic(json!({"spec": {"template": {"spec": {"containers": [{"name": "web", "image": "web:2"}]}}}}));
    api.patch(&kind, "n", "web", Part::Whole, &patch, &Write::by("test")).unwrap();
    let second = |d: &Value| d["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "2";
    until(&playground, &kind, "web", "the new image is out", |d| available(3)(d) && second(d)).await;
    let (sets, _) = api.list(&api.built_in("ReplicaSet"), "n", &Default::default());
    let mut counts: Vec<i64> = sets.iter().map(|s| s["spec"]["replicas"].as_i64().unwrap()).collect();
    counts.sort_unstable();
    assert_eq!(counts, [0, 3]);
    playground.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn pods_fail_as_their_image_says() {
    let dir = tempfile::tempdir().unwrap();
    let playground = start(dir.path()).await;
    namespace(&playground);
    let api = playground.api();
    let pods = api.built_in("Pod");
    for (name, image, reason) in
        [("crashing", "web:v1-crash", "CrashLoopBackOff"), ("pulling", "web:never-pulls", "ImagePullBackOff")]
    {
        let pod = json!({"metadata": {"name": name}, "spec": {"containers": [{"name": "c", "image": image}]}});
        api.create(&pods, "n", pod, &Write::by("test")).unwrap();
        let waiting = |p: &Value| p["status"]["containerStatuses"][0]["state"]["waiting"]["reason"] == reason;
        until(&playground, &pods, name, reason, waiting).await;
    }
    let pod = json!({"metadata": {"name": "job"}, "spec": {"restartPolicy": "Never",
        "containers": [{"name": "c", "image": "job", "command": ["sh", "-c", "exit 3"]}]}});
    api.create(&pods, "n", pod, &Write::by("test")).unwrap();
    let done = until(&playground, &pods, "job", "it exits", |p| p["status"]["phase"] == "Failed").await;
    assert_eq!(done["status"]["containerStatuses"][0]["state"]["terminated"]["exitCode"], 3);
    playground.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_autoscaler_owns_the_number_through_the_scale() {
    let dir = tempfile::tempdir().unwrap();
    let playground = start(dir.path()).await;
    namespace(&playground);
    let api = playground.api();
    let (kind, autoscalers) = (api.built_in("Deployment"), api.built_in("HorizontalPodAutoscaler"));
    api.create(&kind, "n", deployment("web:1", 1), &Write::by("test")).unwrap();
    let hpa = json!({"metadata": {"name": "h"}, "spec": {"minReplicas": 2, "maxReplicas": 5,
        "scaleTargetRef": {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web"},
        "metrics": [{"type": "Resource", "resource": {"name": "cpu", "target": {"type": "Utilization", "averageUtilization": 60}}}]}});
    api.create(&autoscalers, "n", hpa, &Write::by("test")).unwrap();
    until(&playground, &kind, "web", "at least two", |d| d["spec"]["replicas"] == 2).await;
    playground.loads().set("n", "h", 230.0);
    let live = until(&playground, &kind, "web", "four carry the load", |d| d["spec"]["replicas"] == 4).await;
    let managers = live["metadata"]["managedFields"].as_array().unwrap();
    let scaler = managers.iter().find(|m| m["subresource"] == "scale").unwrap();
    assert_eq!(scaler["manager"], "kube-controller-manager");
    playground.loads().set("n", "h", 6000.0);
    until(&playground, &kind, "web", "no more than five", |d| d["spec"]["replicas"] == 5).await;
    let limited = |h: &Value| {
        h["status"]["conditions"].as_array().is_some_and(|l| l.iter().any(|c| c["reason"] == "TooManyReplicas"))
    };
    until(&playground, &autoscalers, "h", "it says so", limited).await;
    playground.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_has_the_addresses_of_its_ready_pods() {
    let dir = tempfile::tempdir().unwrap();
    let playground = start(dir.path()).await;
    namespace(&playground);
    let api = playground.api();
    let service = json!({"metadata": {"name": "web"}, "spec": {"selector": {"app": "web"}, "ports": [{"port": 80}]}});
    api.create(&api.built_in("Service"), "n", service, &Write::by("test")).unwrap();
    api.create(&api.built_in("Deployment"), "n", deployment("web:1", 2), &Write::by("test")).unwrap();
    let endpoints = api.built_in("Endpoints");
    let two = |e: &Value| e["subsets"][0]["addresses"].as_array().is_some_and(|a| a.len() == 2);
    until(&playground, &endpoints, "web", "two addresses", two).await;
    api.delete(&api.built_in("Deployment"), "n", "web", &Deletion::default()).unwrap();
    until(&playground, &endpoints, "web", "no address", |e| e["subsets"].is_null()).await;
    playground.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_there_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let playground = start(dir.path()).await;
    namespace(&playground);
    let api = playground.api().clone();
    let kind = api.built_in("Deployment");
    api.create(&kind, "n", deployment("web:1", 2), &Write::by("test")).unwrap();
    let before = until(&playground, &kind, "web", "it is available", available(2)).await;
    let (token, version) = (playground.kube_token.clone(), api.version());
    playground.stop().await;
    let again = start(dir.path()).await;
    assert_eq!(again.kube_token, token);
    assert!(again.api().version() >= version, "versions never go back");
    let after = again.api().get(&kind, "n", "web").unwrap();
    assert_eq!(after["metadata"]["uid"], before["metadata"]["uid"]);
    assert_eq!(again.api().since(1).unwrap_err().code, 410);
    let patch = Patch::Merge(json!({"spec": {"replicas": 3}}));
    again.api().patch(&kind, "n", "web", Part::Whole, &patch, &Write::by("test")).unwrap();
    until(&again, &kind, "web", "it goes on", available(3)).await;
    again.stop().await;
}

/// Runs kubectl, or says loudly that it is not there.
async fn kubectl(playground: &Playground, arguments: &[&str], input: &str) -> Option<String> {
    use std::io::Write;
    let mut command = Command::new("kubectl");
    command.env("KUBECONFIG", &playground.kubeconfig).args(arguments);
    command
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            eprintln!("SKIPPED: kubectl is not here ({error}): nothing was checked");
            return None;
        }
    };
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap();
    let said = String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned();
    assert!(output.status.success(), "{arguments:?}: {said}");
    Some(said)
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_finds_its_way() {
    let dir = tempfile::tempdir().unwrap();
    let playground = start(dir.path()).await;
    let Some(_) = kubectl(&playground, &["create", "namespace", "n"], "").await else { return };
    let manifest = json!({"apiVersion": "v1", "kind": "List", "items": [
        {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "n"}, "spec": deployment("web:1", 2)["spec"]},
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c", "namespace": "n"}, "data": {"a": "b"}},
    ]});
    let applied = kubectl(&playground, &["apply", "--server-side", "-f", "-"], &manifest.to_string()).await.unwrap();
    assert!(applied.contains("deployment.apps/web serverside-applied"), "{applied}");
    kubectl(&playground, &["-n", "n", "rollout", "status", "deployment/web", "--timeout=20s"], "").await.unwrap();
    let pods = kubectl(&playground, &["-n", "n", "get", "pods"], "").await.unwrap();
    assert_eq!(pods.matches("Running").count(), 2, "{pods}");
    let described = kubectl(&playground, &["-n", "n", "describe", "deployment", "web"], "").await.unwrap();
    assert!(described.contains("MinimumReplicasAvailable"), "{described}");
    kubectl(&playground, &["-n", "n", "scale", "deployment/web", "--replicas=3"], "").await.unwrap();
    kubectl(
        &playground,
        &["-n", "n", "wait", "--for=jsonpath={.status.availableReplicas}=3", "deployment/web", "--timeout=20s"],
        "",
    )
    .await
    .unwrap();
    kubectl(&playground, &["-n", "n", "apply", "-f", "-"], &manifest["items"][1].to_string()).await.unwrap();
    kubectl(&playground, &["delete", "namespace", "n", "--timeout=20s"], "").await.unwrap();
    playground.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sample_stands_in_its_repositories() {
    let dir = tempfile::tempdir().unwrap();
    let playground = start(dir.path()).await;
    let options = SampleOptions { pause: "1s".into(), hook_url: None, hook_secret: "s".into() };
    let sample = Sample::create(&playground, options).await.unwrap();
    let rollout =
        sample.repositories().file(crate::sample::MANIFESTS, "main", "petclinic/was-rollout.yaml").await.unwrap();
    let rollout: Value = serde_saphyr::from_str(&rollout).unwrap();
    assert_eq!(rollout["spec"]["strategy"]["canary"]["steps"][0]["pause"]["duration"], "1s");
    let first = sample.push_change(1).await.unwrap();
    let second = sample.push_change(2).await.unwrap();
    assert_eq!(first.after, second.before);
    playground.stop().await;
}
