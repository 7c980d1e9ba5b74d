//! A pod's life: bound, started, ready or not, ended.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::{Value, json};

use super::Shared;
use super::client::{Failure, SCHEDULER};
use super::fate::{self, Fate};
use super::status::{self, Place, Ready, State};

/// How often a write is tried again before the pod is left as it is.
const TRIES: u32 = 20;

fn path(pod: &Value) -> String {
    let text = |field: &str| pod["metadata"][field].as_str().unwrap_or_default();
    format!("/api/v1/namespaces/{}/pods/{}", text("namespace"), text("name"))
}

/// Runs a pod from wherever it is.
pub(super) async fn run(shared: &Shared, pod: &Value) {
    if over(pod) {
        return;
    }
    let mut pod = pod.clone();
    let turn = shared.next.fetch_add(1, Ordering::Relaxed);
    let node = match pod["spec"]["nodeName"].as_str().filter(|n| !n.is_empty()) {
        Some(node) => node.to_owned(),
        None => {
            let node = chosen(&pod).unwrap_or_else(|| format!("node-{}", turn % shared.nodes + 1));
            let target = json!({"apiVersion": "v1", "kind": "Binding", "metadata": {"name": pod["metadata"]["name"],
                "uid": pod["metadata"]["uid"]}, "target": {"apiVersion": "v1", "kind": "Node", "name": node}});
            let path = format!("{}/binding", path(&pod));
            if !retried(|| shared.client.post(&path, SCHEDULER, &target)).await {
                return;
            }
            node
        }
    };
    let n: u32 = node.trim_start_matches("node-").parse().unwrap_or(1);
    let own = pod["status"]["podIP"].as_str().map(str::to_owned);
    let own = own.unwrap_or_else(|| format!("10.244.{}.{}", n + 10 * (turn / 254 % 20), turn % 254 + 1));
    let place = Place { host: status::host(n), pod: own };
    let ready_after = shared.ready_delay + fate::probe_delay(&pod);
    match fate::of(&pod) {
        Fate::Runs => {
            if !ready_after.is_zero() {
                write(shared, &mut pod, &place, State::Running(Ready::No)).await;
                tokio::time::sleep(ready_after).await;
            }
            write(shared, &mut pod, &place, State::Running(Ready::Yes)).await;
        }
        Fate::NeverReady => write(shared, &mut pod, &place, State::Running(Ready::No)).await,
        Fate::NeverPulls => {
            write(shared, &mut pod, &place, State::Waiting { reason: "ErrImagePull", restarts: 0 }).await;
            tokio::time::sleep(ready_after).await;
            write(shared, &mut pod, &place, State::Waiting { reason: "ImagePullBackOff", restarts: 0 }).await;
        }
        Fate::Crashes => crash(shared, &mut pod, &place).await,
        Fate::Finishes(work, code) => {
            write(shared, &mut pod, &place, State::Running(Ready::Yes)).await;
            tokio::time::sleep(work).await;
            write(shared, &mut pod, &place, State::Exited(code)).await;
        }
    }
}

/// The node that a DaemonSet's pod is made for.
fn chosen(pod: &Value) -> Option<String> {
    let required = &pod["spec"]["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"];
    let field = &required["nodeSelectorTerms"][0]["matchFields"][0];
    (field["key"] == "metadata.name").then(|| field["values"][0].as_str().map(str::to_owned))?
}

fn over(pod: &Value) -> bool {
    let finished = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    let conditions = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
    finished || conditions.iter().any(|c| c["type"] == "Ready" && c["status"] == "True")
}

/// Crashes with a back-off that doubles from ten seconds, as a real kubelet's does.
async fn crash(shared: &Shared, pod: &mut Value, place: &Place) {
    write(shared, pod, place, State::Running(Ready::No)).await;
    tokio::time::sleep(shared.ready_delay).await;
    let mut back_off = Duration::from_secs(10);
    for restarts in 1.. {
        write(shared, pod, place, State::Waiting { reason: "CrashLoopBackOff", restarts }).await;
        tokio::time::sleep(back_off).await;
        back_off = (back_off * 2).min(Duration::from_secs(300));
    }
}

async fn write(shared: &Shared, pod: &mut Value, place: &Place, state: State) {
    let mut patch = status::of_pod(pod, place, &state);
    patch["metadata"] = json!({"uid": pod["metadata"]["uid"]});
    let path = format!("{}/status", path(pod));
    retried(|| shared.client.patch(&path, &patch)).await;
    // The next status keeps the times of this one.
    pod["status"] = patch["status"].clone();
}

/// Writes Ready when the gates of a running pod have opened.
pub(super) async fn open_gates(shared: Arc<Shared>, pod: Value) {
    let text = |field: &str| pod["status"][field].as_str().unwrap_or_default().to_owned();
    let place = Place { host: text("hostIP"), pod: text("podIP") };
    write(&shared, &mut pod.clone(), &place, State::Running(Ready::Yes)).await;
}

/// Ends a pod that is being deleted: after its `preStop` hook, and never later than its grace.
pub(super) async fn end(shared: Arc<Shared>, pod: Value) {
    let grace = pod["metadata"]["deletionGracePeriodSeconds"].as_u64().unwrap_or(30);
    tokio::time::sleep(fate::farewell(&pod).min(Duration::from_secs(grace))).await;
    let options = json!({"apiVersion": "v1", "kind": "DeleteOptions", "gracePeriodSeconds": 0,
        "preconditions": {"uid": pod["metadata"]["uid"]}});
    let path = path(&pod);
    retried(|| shared.client.delete(&path, &options)).await;
}

/// Tries until the server has answered for good: whether it said yes.
async fn retried<F: Future<Output = Result<(), Failure>>>(mut attempt: impl FnMut() -> F) -> bool {
    for _ in 0..TRIES {
        match attempt().await {
            Ok(()) => return true,
            // The pod is gone, or another of its name has taken its place.
            Err(Failure::Refused { code: 404 | 409, .. }) => return false,
            Err(failure) => tracing::debug!(%failure, "the kubelet tries again"),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    false
}
