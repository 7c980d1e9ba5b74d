//! The kubelet stand-in: nodes that run every pod at once, and a scheduler that puts them there.
//!
//! It speaks HTTP with a token to any API server, the playground's or a real one. No process is started: only the
//! statuses are written that a real kubelet writes.

mod client;
mod fate;
mod life;
mod status;

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

use futures::StreamExt;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Error;
use client::{Client, Failure, KUBELET};

/// How to start a [`Kubelet`].
#[derive(Clone, Debug)]
pub struct KubeletOptions {
    /// The address of the API server, such as `https://127.0.0.1:6443`.
    pub url: String,
    /// The bearer token that the API server takes from it.
    pub token: String,
    /// The certificate authority of the server, as PEM; the system's ones without it.
    pub ca_pem: Option<String>,
    /// How many nodes there are, `node-1` and so on. With 0 nothing runs.
    pub nodes: u32,
    /// How long a pod takes from being bound to being Ready, besides its own probe's initial delay.
    pub ready_delay: Duration,
}

/// A running kubelet stand-in.
#[derive(Debug)]
pub struct Kubelet {
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// What every pod's life needs.
#[derive(Debug)]
struct Shared {
    client: Client,
    nodes: u32,
    ready_delay: Duration,
    next: AtomicU32,
}

struct Known {
    alive: CancellationToken,
    ending: Ending,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Ending {
    NotYet,
    Begun,
}

impl Kubelet {
    /// Creates the nodes and starts to run pods.
    ///
    /// # Errors
    /// When the API server does not accept the nodes within ten seconds.
    pub async fn start(options: KubeletOptions) -> Result<Kubelet, Error> {
        let client = Client::new(&options)?;
        for n in 1..=options.nodes {
            register(&client, n).await?;
        }
        let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
        let shared = Arc::new(Shared {
            client,
            nodes: options.nodes,
            ready_delay: options.ready_delay,
            next: AtomicU32::new(0),
        });
        if options.nodes > 0 {
            tasks.spawn(follow(shared, stop.clone(), tasks.clone()));
        }
        Ok(Kubelet { stop, tasks })
    }

    /// Stops looking after pods; their last statuses stay.
    pub async fn stop(self) {
        self.stop.cancel();
        self.tasks.close();
        // A pod's last hook may sleep for long; nobody waits for it here.
        if tokio::time::timeout(Duration::from_secs(1), self.tasks.wait()).await.is_err() {
            tracing::debug!("some pods were still ending");
        }
    }
}

async fn register(client: &Client, n: u32) -> Result<(), Error> {
    let name = format!("node-{n}");
    let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {
        "kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64",
        "topology.kubernetes.io/zone": format!("zone-{}", (n - 1) % 3 + 1),
    }}, "spec": {"podCIDR": format!("10.244.{n}.0/24"), "podCIDRs": [format!("10.244.{n}.0/24")]}});
    let mut last = None;
    for _ in 0..100 {
        let made = client.post("/api/v1/nodes", KUBELET, &node).await;
        let written = match made {
            Ok(()) | Err(Failure::Refused { code: 409, .. }) => {
                client.patch(&format!("/api/v1/nodes/{name}/status"), &status::of_node(&name, n)).await
            }
            other => other,
        };
        match written {
            Ok(()) => return Ok(()),
            Err(failure) => last = Some(failure),
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let message = last.map_or_else(String::new, |failure| failure.to_string());
    Err(Error::Http { what: format!("register {name}"), message })
}

/// Lists, then watches, for ever.
async fn follow(shared: Arc<Shared>, stop: CancellationToken, tasks: TaskTracker) {
    let mut pods: HashMap<String, Known> = HashMap::new();
    loop {
        let round = tokio::select! {
            () = stop.cancelled() => break,
            round = once(&shared, &mut pods, &tasks) => round,
        };
        if let Err(failure) = round {
            tracing::debug!(%failure, "the kubelet's watch ended");
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(Duration::from_millis(100)) => {}
            }
        }
    }
    for known in pods.into_values() {
        known.alive.cancel();
    }
}

async fn once(shared: &Arc<Shared>, pods: &mut HashMap<String, Known>, tasks: &TaskTracker) -> Result<(), Failure> {
    let list = shared.client.get("/api/v1/pods").await?;
    let items = list["items"].as_array().cloned().unwrap_or_default();
    let uids: Vec<&str> = items.iter().filter_map(|pod| pod["metadata"]["uid"].as_str()).collect();
    pods.retain(|uid, known| {
        let there = uids.contains(&uid.as_str());
        if !there {
            known.alive.cancel();
        }
        there
    });
    for pod in &items {
        seen(shared, pods, tasks, pod);
    }
    let version = list["metadata"]["resourceVersion"].as_str().unwrap_or("0");
    let path = format!("/api/v1/pods?watch=true&allowWatchBookmarks=true&resourceVersion={version}");
    let mut events = Box::pin(shared.client.watch(&path).await?);
    while let Some(event) = events.next().await {
        let pod = &event["object"];
        match event["type"].as_str() {
            Some("ADDED" | "MODIFIED") => seen(shared, pods, tasks, pod),
            Some("DELETED") => {
                if let Some(known) = pod["metadata"]["uid"].as_str().and_then(|uid| pods.remove(uid)) {
                    known.alive.cancel();
                }
            }
            Some("BOOKMARK") => {}
            _ => return Err(Failure::Silent(format!("the watch said: {pod}"))),
        }
    }
    Ok(())
}

/// Starts what a pod's state asks for.
fn seen(shared: &Arc<Shared>, pods: &mut HashMap<String, Known>, tasks: &TaskTracker, pod: &Value) {
    let Some(uid) = pod["metadata"]["uid"].as_str() else {
        return;
    };
    let node = pod["spec"]["nodeName"].as_str().unwrap_or_default();
    if !node.is_empty() && !shared.is_ours(node) {
        return;
    }
    let scheduler = pod["spec"]["schedulerName"].as_str().unwrap_or("default-scheduler");
    if node.is_empty() && scheduler != "default-scheduler" {
        return;
    }
    let fresh = !pods.contains_key(uid);
    let known =
        pods.entry(uid.to_owned()).or_insert_with(|| Known { alive: CancellationToken::new(), ending: Ending::NotYet });
    if pod["metadata"]["deletionTimestamp"].is_string() {
        if known.ending == Ending::NotYet && !node.is_empty() {
            known.ending = Ending::Begun;
            known.alive.cancel();
            tasks.spawn(life::end(shared.clone(), pod.clone()));
        }
        return;
    }
    if fresh {
        let alive = known.alive.clone();
        let (shared, pod) = (shared.clone(), pod.clone());
        tasks.spawn(async move { alive.run_until_cancelled(life::run(&shared, &pod)).await });
    } else if status::gates_opened(pod) {
        tasks.spawn(life::open_gates(shared.clone(), pod.clone()));
    }
}

impl Shared {
    fn is_ours(&self, node: &str) -> bool {
        node.strip_prefix("node-").and_then(|n| n.parse::<u32>().ok()).is_some_and(|n| (1..=self.nodes).contains(&n))
    }
}
