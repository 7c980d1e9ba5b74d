//! `kubectl argo rollouts`, the peer's own client as people type it, and the sample as they change it by hand.

use super::estate::{Estate, INGRESSES, Kind, NAMESPACE, PATIENCE, REPLICASETS, ROLLOUT, declare};
use super::process::{eventually, output};
use super::watch::weight;
use super::{given, missing};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The label by which a version's ReplicaSet, pods and Services are known.
pub const HASH: &str = "rollouts-pod-template-hash";

/// The client of Argo Rollouts for one namespace.
pub struct Client {
    program: PathBuf,
    kubeconfig: PathBuf,
    namespace: &'static str,
}

impl Client {
    /// The client that `cargo xtask test` has built; `None`, said loudly, where there is none.
    pub fn new(kubeconfig: &Path, namespace: &'static str) -> Option<Client> {
        let program = given("BESPIN_ROLLOUTS");
        if missing("the client of Argo Rollouts", program.is_some()) {
            return None;
        }
        Some(Client { program: program?, kubeconfig: kubeconfig.into(), namespace })
    }

    /// What a command prints; it must succeed.
    pub fn run(&self, arguments: &[&str]) -> String {
        let (success, text) = self.try_run(arguments);
        assert!(success, "kubectl argo rollouts {}: {text}", arguments.join(" "));
        text
    }

    /// Whether a command succeeds, and what it prints.
    pub fn try_run(&self, arguments: &[&str]) -> (bool, String) {
        let mut command = Command::new(&self.program);
        command.arg("--kubeconfig").arg(&self.kubeconfig).args(["--namespace", self.namespace]).args(arguments);
        let done = output(&mut command);
        let text = [done.stdout, done.stderr].concat();
        (done.status.success(), String::from_utf8_lossy(&text).into_owned())
    }
}

/// The sample on the real control plane, where people change the Rollout by hand: the sync leaves that alone.
pub struct ByHand {
    /// All of it.
    pub estate: Estate,
    /// What people type.
    pub argo: Client,
}

/// A version of the sample's Rollout, as its image has it.
pub fn image(tag: &str) -> String {
    format!("123456789012.dkr.ecr.ap-northeast-2.amazonaws.com/petclinic-was:{tag}")
}

/// The sample, settled, whose sync leaves alone what people change by hand.
pub async fn left_alone(kind: Kind, pause: &str) -> Estate {
    let estate = Estate::undeclared(kind, pause).await;
    let mut application = estate.sample.application();
    application["spec"]["syncPolicy"]["automated"]["selfHeal"] = json!(false);
    declare(&estate.kube, &application).await;
    estate.settled().await;
    estate
}

impl ByHand {
    /// The sample, settled; `None`, said loudly, where a part is missing. `pause` is each step's, in Argo's notation.
    pub async fn start(pause: &str) -> Option<ByHand> {
        ByHand::on(Kind::Kubernetes, pause).await
    }

    /// The same on parts of another kind, whose cluster is a real control plane.
    pub async fn on(kind: Kind, pause: &str) -> Option<ByHand> {
        if kind.is_missing() {
            return None;
        }
        let estate = left_alone(kind, pause).await;
        let argo = Client::new(estate.parts.kubeconfig(), "petclinic")?;
        Some(ByHand { estate, argo })
    }

    /// Another version by `kubectl argo rollouts set image`.
    pub fn set_image(&self, tag: &str) {
        self.argo.run(&["set", "image", "was", &format!("was={}", image(tag))]);
    }

    /// Another version, once it pauses at its first weight.
    pub async fn at_ten(&self, tag: &str) {
        self.set_image(tag);
        self.paused_at(10).await;
    }

    /// Changes the Rollout as `kubectl edit` does.
    pub async fn edit(&self, patch: &Value) {
        self.estate.kube.merge(&format!("{ROLLOUT}?fieldManager=kubectl-edit"), patch).await;
    }

    /// A field of the Rollout's status, null where it has none.
    pub async fn status(&self, field: &str) -> Value {
        self.estate.rollout().await["status"][field].clone()
    }

    /// Waits until the status has a phase, and answers the Rollout then.
    pub async fn is(&self, phase: &str) -> Value {
        eventually(&format!("it is {phase}"), PATIENCE, || async {
            let rollout = self.estate.kube.get(ROLLOUT).await?;
            let generation = rollout["metadata"]["generation"].to_string();
            let observed = rollout["status"]["observedGeneration"] == generation;
            (observed && rollout["status"]["phase"] == phase).then_some(rollout)
        })
        .await
    }

    /// Waits until a condition's message has these words, and answers it.
    pub async fn condition(&self, kind: &str, words: &str) -> Value {
        eventually(&format!("the condition {kind} says {words}"), PATIENCE, || async {
            let conditions = self.status("conditions").await;
            let mut all = conditions.as_array()?.iter();
            let says = |one: &&Value| {
                one["type"] == kind
                    && one["status"] == "True"
                    && one["message"].as_str().is_some_and(|it| it.contains(words))
            };
            all.find(says).cloned()
        })
        .await
    }

    /// The canary's weight in the Ingress, in percent.
    pub async fn weight(&self) -> Option<u64> {
        weight(&self.estate.kube.get(&format!("{INGRESSES}/petclinic-ingress")).await?)
    }

    /// Waits until it pauses at a weight.
    pub async fn paused_at(&self, percent: u64) {
        eventually(&format!("it pauses at {percent} %"), PATIENCE, || async {
            let phase = self.status("phase").await;
            (phase == "Paused" && self.weight().await == Some(percent)).then_some(())
        })
        .await;
    }

    /// Waits until it was aborted, and the stable version has all traffic.
    pub async fn went_back(&self) {
        eventually("the stable version has all traffic", PATIENCE, || async {
            let rollout = self.estate.rollout().await;
            let aborted = rollout["status"]["phase"] == "Degraded" && rollout["status"]["abort"] == true;
            (aborted && self.weight().await == Some(0)).then_some(())
        })
        .await;
    }

    /// Waits until the stable Service selects so many ready pods, all of this version.
    pub async fn serves(&self, tag: &str, number: usize) {
        eventually(&format!("{number} pods of {tag} serve"), PATIENCE, || async {
            let pods = self.behind("was-stable").await;
            let serve = |pod: &Value| is_ready(pod) && is_of(pod, tag);
            (pods.len() == number && pods.iter().all(serve)).then_some(())
        })
        .await;
    }

    /// The pods that a Service selects, but for those that are on their way out.
    pub async fn behind(&self, service: &str) -> Vec<Value> {
        let service = self.estate.kube.get(&format!("{NAMESPACE}/services/{service}")).await.unwrap_or_default();
        let Some(selector) = service["spec"]["selector"].as_object() else { return Vec::new() };
        let selects = |pod: &Value| selector.iter().all(|(key, value)| pod["metadata"]["labels"][key] == *value);
        self.pods().await.into_iter().filter(selects).collect()
    }

    /// The Rollout's pods, but for those that are on their way out.
    pub async fn pods(&self) -> Vec<Value> {
        let pods = self.estate.kube.list(&format!("{NAMESPACE}/pods?labelSelector=app%3Dwas")).await;
        pods.into_iter().filter(|pod| pod["metadata"]["deletionTimestamp"].is_null()).collect()
    }

    /// The Rollout's ReplicaSets.
    pub async fn sets(&self) -> Vec<Value> {
        self.estate.kube.list(&format!("{REPLICASETS}?labelSelector=app%3Dwas")).await
    }
}

/// Whether a pod is ready.
pub fn is_ready(pod: &Value) -> bool {
    let mut conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    conditions.any(|condition| condition["type"] == "Ready" && condition["status"] == "True")
}

/// Whether a pod, or the template of a ReplicaSet, is of a version.
pub fn is_of(object: &Value, tag: &str) -> bool {
    let spec = object.pointer("/spec/template/spec").unwrap_or(&object["spec"]);
    spec["containers"][0]["image"] == image(tag)
}

/// The names of objects, sorted.
pub fn names(objects: &[Value]) -> Vec<String> {
    let mut names: Vec<_> =
        objects.iter().filter_map(|one| Some(one["metadata"]["name"].as_str()?.to_owned())).collect();
    names.sort();
    names
}
