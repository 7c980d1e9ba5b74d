//! The seed's Rollout on the playground's Kubernetes API, walked by the real
//! decisions through this adapter.

use crate::rollout::Acted;
use crate::{Cluster, NoBalancer, Reach, Settings};
use decide::by::By;
use decide::next::{Timestamp, Wake};
use decide::rollout::{Act, Action, Entry, Guard, Marked, Objects, Observed, State, Through, decide};
use futures::StreamExt;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use playground::{Options, Playground};
use serde_json::{Value, json};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tempfile::TempDir;

const NAMESPACE: &str = "petclinic";
const PATIENCE: Duration = Duration::from_secs(60);

struct World {
    playground: Playground,
    cluster: Cluster,
    journal: Vec<(Timestamp, By, Entry)>,
    _dir: TempDir,
}

impl World {
    async fn start() -> World {
        let dir = tempfile::tempdir().unwrap();
        let playground = Playground::start(dir.path(), Options::default()).await.unwrap();
        let reach = Reach::Kubeconfig { path: playground.kubeconfig.clone(), context: None };
        let cluster = Cluster::connect(Settings { name: "test".into(), reach, elb: None }).await.unwrap();
        let installed = cluster.install_crds().await.unwrap();
        let kinds = ["applications", "appprojects", "rollouts", "analysistemplates", "analysisruns"];
        let kinds = kinds.into_iter().chain(["clusteranalysistemplates", "experiments"]);
        let kinds: Vec<String> = kinds.map(|kind| format!("{kind}.argoproj.io")).collect();
        assert_eq!(installed, kinds, "none was there");
        assert_eq!(cluster.install_crds().await.unwrap(), [""; 0], "what is there is left alone");
        World { playground, cluster, journal: Vec::new(), _dir: dir }
    }

    async fn seeded() -> World {
        let world = World::start().await;
        world.create(json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})).await;
        for name in ["was-stable", "was-canary"] {
            let spec = json!({"selector": {"app": "was"}, "ports": [{"port": 8080}]});
            world
                .create(json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name}, "spec": spec}))
                .await;
        }
        let backend = json!({"service": {"name": "was-stable", "port": {"name": "use-annotation"}}});
        let rules = json!([{"http": {"paths": [{"path": "/", "pathType": "Prefix", "backend": backend}]}}]);
        world
            .create(json!({
                "apiVersion": "networking.k8s.io/v1", "kind": "Ingress",
                "metadata": {"name": "petclinic-ingress"}, "spec": {"rules": rules},
            }))
            .await;
        let step = |weight: u32| json!({"setWeight": weight, "pause": {"duration": "1s"}});
        world
            .create(json!({
                "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout",
                "metadata": {"name": "was", "annotations": {"bespin.dev/owner": "test"}},
                "spec": {
                    "replicas": 2,
                    "selector": {"matchLabels": {"app": "was"}},
                    "strategy": {"canary": {
                        "canaryService": "was-canary", "stableService": "was-stable",
                        "trafficRouting": {"alb": {"ingress": "petclinic-ingress", "servicePort": 8080}},
                        "scaleDownDelaySeconds": 1, "abortScaleDownDelaySeconds": 1,
                        "steps": [step(10), step(25), step(50), step(75)],
                    }},
                    "template": {
                        "metadata": {"labels": {"app": "was"}},
                        "spec": {"containers": [{"name": "was", "image": "petclinic-was:v55-f31bdcc"}]},
                    },
                },
            }))
            .await;
        world
    }

    async fn create(&self, object: Value) {
        let (api_version, kind) = (object["apiVersion"].as_str().unwrap(), object["kind"].as_str().unwrap());
        let api = self.cluster.api(api_version, kind, Some(NAMESPACE)).await.unwrap();
        api.create(&PostParams::default(), &serde_json::from_value(object.clone()).unwrap()).await.unwrap();
    }

    async fn deploy(&self, image: &str) {
        let api = self.cluster.api("argoproj.io/v1alpha1", "Rollout", Some(NAMESPACE)).await.unwrap();
        let template = json!({"spec": {"containers": [{"name": "was", "image": image}]}});
        let patch = Patch::Merge(json!({"spec": {"template": template}}));
        api.patch("was", &PatchParams::default(), &patch).await.unwrap();
    }

    async fn look(&self) -> Objects {
        self.cluster.look_at_rollout(NAMESPACE, "was", &NoBalancer).await.unwrap()
    }

    fn recorded(&self) -> State {
        State::fold(self.journal.iter().map(|(at, by, entry)| (*at, by, entry)))
    }

    fn weights(&self) -> Vec<u32> {
        let weight = |entry: &Entry| if let Entry::Shifting { weight, .. } = entry { Some(*weight) } else { None };
        self.journal.iter().filter_map(|(_, _, entry)| weight(entry)).collect()
    }

    /// Drives until something is so; only changes and the decisions' own clock wake it.
    async fn drive(&mut self, stop: impl Fn(&Objects) -> bool) -> Objects {
        let walk = async {
            let mut changes = self.cluster.watch_rollouts().await.unwrap();
            loop {
                let objects = self.cluster.look_at_rollout(NAMESPACE, "was", &NoBalancer).await.unwrap();
                let now = now();
                let recorded = State::fold(self.journal.iter().map(|(at, by, entry)| (*at, by, entry)));
                let next = decide(&recorded, &Observed::read(objects.clone()), now);
                self.journal.extend(next.record.into_iter().map(|entry| (now, By::Server, entry)));
                let mut wake = next.wake;
                for act in &next.acts {
                    if self.cluster.act_on_rollout(NAMESPACE, act).await.unwrap() == Acted::Stale {
                        wake = Wake::Now;
                    }
                }
                if next.acts.is_empty() && stop(&objects) {
                    return objects;
                }
                let pause = match wake {
                    Wake::Now => continue,
                    Wake::At(at) => Duration::from_millis(at.saturating_sub(now)),
                    Wake::OnChange | Wake::Never => PATIENCE,
                };
                tokio::select! {
                    _ = changes.next() => {}
                    () = tokio::time::sleep(pause) => {}
                }
            }
        };
        tokio::time::timeout(PATIENCE, walk).await.expect("it never comes to that")
    }
}

fn now() -> Timestamp {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_millis().try_into().unwrap()
}

fn phase(objects: &Objects) -> &str {
    objects.rollout.as_ref().and_then(|rollout| rollout["status"]["phase"].as_str()).unwrap_or_default()
}

/// Pods asked for, by image.
fn pods(objects: &Objects) -> Vec<(String, u64)> {
    let pods = objects.sets.iter().map(|set| {
        let image = set["spec"]["template"]["spec"]["containers"][0]["image"].as_str().unwrap();
        (image.to_owned(), set["spec"]["replicas"].as_u64().unwrap())
    });
    let mut pods: Vec<_> = pods.filter(|(_, pods)| *pods > 0).collect();
    pods.sort();
    pods
}

fn only(objects: &Objects, image: &str) -> bool {
    pods(objects) == [(image.to_owned(), 2)]
}

const V55: &str = "petclinic-was:v55-f31bdcc";
const V56: &str = "petclinic-was:v56-0a1b2c3";

#[tokio::test]
async fn the_seeds_rollout_walks_from_v55_to_v56() {
    let mut world = World::seeded().await;
    world.drive(|seen| phase(seen) == "Healthy" && only(seen, V55)).await;
    assert_eq!(world.weights(), [0; 0]);
    world.deploy(V56).await;
    let end = world.drive(|seen| phase(seen) == "Healthy" && only(seen, V56)).await;
    assert_eq!(world.weights(), [10, 25, 50, 75, 100, 0]);
    assert_eq!(served(&end), Some(0));
    let rollout = end.rollout.unwrap();
    assert_eq!(rollout["status"]["HPAReplicas"], 2);
    assert_eq!(rollout["status"]["stableRS"], rollout["status"]["currentPodHash"]);
    assert_eq!(end.services.len(), 2, "the stable and the canary Service");
    for service in &end.services {
        assert_eq!(service["spec"]["selector"]["rollouts-pod-template-hash"], rollout["status"]["stableRS"]);
    }
    let scale = world.cluster.api("argoproj.io/v1alpha1", "Rollout", Some(NAMESPACE)).await.unwrap();
    let scale = scale.get_scale("was").await.unwrap();
    assert_eq!(scale.status.unwrap().selector.as_deref(), Some("app=was"));
    world.playground.stop().await;
}

#[tokio::test]
async fn the_version_before_another_selector_is_still_the_stable_one() {
    let mut world = World::seeded().await;
    world.drive(|seen| phase(seen) == "Healthy" && only(seen, V55)).await;
    let labels = json!({"app": "was", "tier": "web"});
    let containers = json!([{"name": "was", "image": V56}]);
    let template = json!({"metadata": {"labels": labels}, "spec": {"containers": containers}});
    let spec = json!({"selector": {"matchLabels": labels}, "template": template});
    let api = world.cluster.api("argoproj.io/v1alpha1", "Rollout", Some(NAMESPACE)).await.unwrap();
    api.patch("was", &PatchParams::default(), &Patch::Merge(json!({ "spec": spec }))).await.unwrap();
    let seen = world.look().await;
    assert_eq!((seen.sets.len(), seen.pods.len()), (1, 2), "what the selector before it selected is still its own");
    world.drive(|seen| phase(seen) == "Healthy" && only(seen, V56)).await;
    assert_eq!(world.weights(), [10, 25, 50, 75, 100, 0], "it goes through its steps");
    world.playground.stop().await;
}

#[tokio::test]
async fn an_image_that_crashes_retreats() {
    let mut world = World::seeded().await;
    world.drive(|seen| phase(seen) == "Healthy" && only(seen, V55)).await;
    world.deploy("petclinic-was:v56-crash").await;
    let end = world.drive(|seen| phase(seen) == "Degraded" && only(seen, V55)).await;
    let message = end.rollout.as_ref().unwrap()["status"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("CrashLoopBackOff"), "{message}");
    assert_eq!(served(&end), Some(0));
    world.deploy("petclinic-was:v57-never-pulls").await;
    let end = world.drive(|seen| phase(seen) == "Degraded" && only(seen, V55) && pulled(seen)).await;
    assert_eq!(served(&end), Some(0));
    world.playground.stop().await;
}

/// The weight that counts as served.
fn served(objects: &Objects) -> Option<u32> {
    match Observed::read(objects.clone()) {
        Observed::Present(observed) => observed.served,
        Observed::Absent { .. } => None,
    }
}

fn pulled(objects: &Objects) -> bool {
    let message = objects.rollout.as_ref().and_then(|rollout| rollout["status"]["message"].as_str());
    message.is_some_and(|message| message.contains("ImagePullBackOff"))
}

#[tokio::test]
async fn a_person_retreats_in_mid_walk_and_an_autoscaler_grows_it() {
    let mut world = World::seeded().await;
    world.drive(|seen| phase(seen) == "Healthy" && only(seen, V55)).await;
    world.deploy(V56).await;
    world.drive(|seen| served(seen) == Some(25)).await;
    let api = world.cluster.api("argoproj.io/v1alpha1", "Rollout", Some(NAMESPACE)).await.unwrap();
    let four = Patch::Merge(json!({"spec": {"replicas": 4}}));
    api.patch("was", &PatchParams::default(), &four).await.unwrap();
    world.drive(|seen| served(seen) == Some(50) && pods(seen) == [(V55.to_owned(), 4), (V56.to_owned(), 2)]).await;
    let asked = Entry::Asked { action: Action::Abort, through: Through::Api };
    world.journal.push((now(), By::Person("mina".into()), asked));
    let end = world.drive(|seen| phase(seen) == "Degraded" && pods(seen) == [(V55.to_owned(), 4)]).await;
    assert_eq!(served(&end), Some(0));
    assert_eq!(world.weights(), [10, 25, 50, 0]);
    assert!(world.recorded().refused.iter().any(|refused| refused.because == "asked for by mina"));
    world.playground.stop().await;
}

#[tokio::test]
async fn what_rests_on_an_old_look_changes_nothing() {
    let mut world = World::seeded().await;
    world.drive(|seen| phase(seen) == "Healthy" && only(seen, V55)).await;
    let objects = world.look().await;
    let guard = |object: &Value| Guard {
        name: object["metadata"]["name"].as_str().unwrap().into(),
        uid: object["metadata"]["uid"].as_str().unwrap().into(),
        resource_version: object["metadata"]["resourceVersion"].as_str().unwrap().into(),
    };
    let fresh = guard(&objects.sets[0]);
    let old = Guard { resource_version: "1".into(), ..fresh.clone() };
    let other = Guard { uid: "another".into(), ..fresh };
    for set in [old, other] {
        let annotations = std::collections::BTreeMap::new();
        let scale = Act::Scale { set: set.clone(), pods: 0, min_ready_seconds: 0, annotations };
        assert_eq!(world.cluster.act_on_rollout(NAMESPACE, &scale).await.unwrap(), Acted::Stale);
        let forget = Act::Forget { set };
        assert_eq!(world.cluster.act_on_rollout(NAMESPACE, &forget).await.unwrap(), Acted::Stale);
    }
    let service = Guard { resource_version: "1".into(), ..guard(&objects.services[0]) };
    let select = Act::Select { service, hash: "nobody".into(), rollout: "was".into() };
    assert_eq!(world.cluster.act_on_rollout(NAMESPACE, &select).await.unwrap(), Acted::Stale);
    assert!(only(&world.look().await, V55));
    let nobody = world.cluster.look_at_rollout(NAMESPACE, "nobody", &NoBalancer).await.unwrap();
    assert_eq!(nobody, Objects::default());
    world.playground.stop().await;
}

#[tokio::test]
async fn what_a_rollout_left_behind_is_owned_only_by_one_that_stays() {
    let mut world = World::seeded().await;
    world.drive(|seen| phase(seen) == "Healthy" && only(seen, V55)).await;
    let rollouts = world.cluster.api("argoproj.io/v1alpha1", "Rollout", Some(NAMESPACE)).await.unwrap();
    let old = world.look().await;
    let set = Guard::of(&old.sets[0]);
    rollouts.delete("was", &DeleteParams::orphan()).await.unwrap();
    while rollouts.get_opt("was").await.unwrap().is_some() {
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let own = |rollout: &Guard, set: &Guard| Act::Own {
        rollout: rollout.clone(),
        set: set.clone(),
        owners: vec![json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Rollout", "name": "was", "uid": rollout.uid,
            "controller": true, "blockOwnerDeletion": true,
        })],
    };
    let act = own(&Guard::of(old.rollout.as_ref().unwrap()), &set);
    assert_eq!(world.cluster.act_on_rollout(NAMESPACE, &act).await.unwrap(), Acted::Stale, "its Rollout is gone");

    let mut anew = old.rollout.clone().unwrap();
    anew["metadata"] = json!({"name": "was", "annotations": {"bespin.dev/owner": "test"}});
    anew.as_object_mut().unwrap().remove("status");
    world.create(anew).await;
    let now = world.look().await;
    let rollout = Guard::of(now.rollout.as_ref().unwrap());
    let stale = Guard { resource_version: "1".into(), ..set.clone() };
    let act = own(&rollout, &stale);
    assert_eq!(world.cluster.act_on_rollout(NAMESPACE, &act).await.unwrap(), Acted::Stale);
    let end = world.drive(|seen| phase(seen) == "Healthy" && only(seen, V55)).await;
    assert_eq!((end.sets.len(), &end.sets[0]["metadata"]["uid"]), (1, &json!(set.uid)), "the same set");
    assert_eq!(end.sets[0]["metadata"]["ownerReferences"][0]["uid"], rollout.uid.as_str());
    world.playground.stop().await;
}

/// Each kind is served at once, and answers a list: `kubectl argo rollouts get` waits for that.
#[tokio::test]
async fn every_kind_of_argo_is_served() {
    let world = World::seeded().await;
    let kinds = ["Application", "AppProject", "Rollout", "AnalysisTemplate", "AnalysisRun", "Experiment"];
    for kind in kinds.into_iter().chain(["ClusterAnalysisTemplate"]) {
        let namespace = (kind != "ClusterAnalysisTemplate").then_some(NAMESPACE);
        let api = world.cluster.api("argoproj.io/v1alpha1", kind, namespace).await.unwrap();
        let listed = api.list(&ListParams::default()).await.unwrap();
        assert_eq!(listed.items.len(), usize::from(kind == "Rollout"), "{kind}");
    }
    world.playground.stop().await;
}

/// What each pod of an image has of a label.
fn roles(objects: &Objects, image: &str) -> Vec<Value> {
    let pods = objects.pods.iter().filter(|pod| pod["spec"]["containers"][0]["image"] == image);
    pods.map(|pod| pod["metadata"]["labels"]["role"].clone()).collect()
}

#[tokio::test]
async fn pods_carry_what_their_version_is_and_another_pod_of_the_name_is_not_touched() {
    let mut world = World::seeded().await;
    let metadata = |role: &str| json!({"labels": {"role": role}, "annotations": {"example.com/role": role}});
    let canary = json!({"canaryMetadata": metadata("canary"), "stableMetadata": metadata("stable")});
    let spec = json!({"strategy": {"canary": canary}});
    let api = world.cluster.api("argoproj.io/v1alpha1", "Rollout", Some(NAMESPACE)).await.unwrap();
    api.patch("was", &PatchParams::default(), &Patch::Merge(json!({ "spec": spec }))).await.unwrap();
    world.drive(|seen| phase(seen) == "Healthy" && roles(seen, V55) == ["stable", "stable"]).await;
    world.deploy(V56).await;
    let seen = world.drive(|seen| served(seen) == Some(25) && !roles(seen, V56).is_empty()).await;
    assert_eq!((roles(&seen, V55), roles(&seen, V56)), (vec![json!("stable"); 2], vec![json!("canary")]));
    let end =
        world.drive(|seen| phase(seen) == "Healthy" && only(seen, V56) && roles(seen, V56) == ["stable"; 2]).await;
    let first = end.pods.iter().find(|pod| pod["spec"]["containers"][0]["image"] == V56).unwrap();
    assert_eq!(first["metadata"]["annotations"]["example.com/role"], "stable");
    let set =
        end.sets.iter().find(|set| set["metadata"]["uid"] == first["metadata"]["ownerReferences"][0]["uid"]).unwrap();
    let put = set["metadata"]["annotations"][decide::rollout::EPHEMERAL].as_str().unwrap();
    assert_eq!(serde_json::from_str::<Value>(put).unwrap(), metadata("stable"));

    let mark = |guard: Guard| Act::Mark {
        object: guard,
        marked: Marked::Pod,
        labels: [("role".to_owned(), json!("nobody"))].into(),
        annotations: std::collections::BTreeMap::new(),
    };
    let other = mark(Guard { uid: "another".into(), ..Guard::of(first) });
    assert_eq!(world.cluster.act_on_rollout(NAMESPACE, &other).await.unwrap(), Acted::Stale);
    let gone = mark(Guard { name: "gone".into(), ..Guard::of(first) });
    assert_eq!(world.cluster.act_on_rollout(NAMESPACE, &gone).await.unwrap(), Acted::Stale);
    assert_eq!(roles(&world.look().await, V56), ["stable", "stable"]);
    world.playground.stop().await;
}
