//! The loop of the driver without the server around it: look, decide, write
//! down, act.

use cluster::{Cluster, Error, Reach, Settings, Written};
use decide::outcome::Outcomes;
use decide::sync::prepare::Served;
use decide::sync::{self, Act, ActKey, Entry, Gvk, Objects, Observed, Refused, RefusedObject, Reply, Scope, State};
use playground::{Options, Playground};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

const APPLICATION: (&str, &str) = ("argoproj.io/v1alpha1", "Application");

pub(crate) struct Driver {
    pub cluster: Cluster,
    playground: Playground,
    _dir: tempfile::TempDir,
    journal: Vec<(u64, Entry)>,
    manifests: Vec<Value>,
    kinds: BTreeSet<Gvk>,
    refused: Vec<Refused>,
    outcomes: Outcomes<ActKey, Reply>,
    commit: u32,
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_millis() as u64
}

impl Driver {
    pub(crate) async fn start(manifests: &[Value]) -> Driver {
        let dir = tempfile::tempdir().expect("a folder");
        let playground = Playground::start(dir.path(), Options::default()).await.expect("it starts");
        let reach = Reach::Kubeconfig { path: playground.kubeconfig.clone(), context: None };
        let cluster = Cluster::connect(Settings { name: "test".into(), reach, elb: None }).await.expect("it answers");
        cluster.install_crds().await.expect("they are installed");
        cluster.create_namespace("argocd").await.expect("it is made");
        let application = json!({ "apiVersion": APPLICATION.0, "kind": APPLICATION.1,
            "metadata": { "name": "petclinic", "namespace": "argocd" },
            "spec": { "project": "default",
                "source": { "repoURL": "http://git/k8s-manifests.git", "targetRevision": "HEAD", "path": "petclinic" },
                "destination": { "server": "https://kubernetes.default.svc", "namespace": "petclinic" },
                "syncPolicy": { "automated": { "prune": true, "selfHeal": true }, "syncOptions": ["CreateNamespace=true"] } } });
        cluster.create_application(application).await.expect("it is made");
        let kinds = [("apps/v1", "ReplicaSet"), ("v1", "Pod"), ("autoscaling/v2", "HorizontalPodAutoscaler")];
        let kinds = kinds.iter().map(|(version, kind)| ((*version).to_owned(), (*kind).to_owned())).collect();
        let mut driver = Driver {
            cluster,
            playground,
            _dir: dir,
            journal: Vec::new(),
            manifests: Vec::new(),
            kinds,
            refused: Vec::new(),
            outcomes: Outcomes::default(),
            commit: 0,
        };
        driver.push(manifests);
        driver
    }

    pub(crate) async fn stop(self) {
        self.playground.stop().await;
    }

    pub(crate) fn push(&mut self, manifests: &[Value]) {
        self.commit += 1;
        self.manifests = manifests.to_vec();
        let gvk = |object: &Value| {
            let text = |key: &str| object[key].as_str().expect("a type").to_owned();
            (text("apiVersion"), text("kind"))
        };
        self.kinds.extend(manifests.iter().map(gvk));
    }

    /// Turns until the decision says something that starts with `expected`.
    pub(crate) async fn until(&mut self, expected: &str) -> String {
        let mut last = String::new();
        for _turn in 0..300 {
            last = self.turn().await;
            if last.starts_with(expected) {
                return last;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("it never says `{expected}`, but at last `{last}`");
    }

    pub(crate) async fn turn(&mut self) -> String {
        let seen = Observed::read(self.look().await);
        let recorded = State::fold(self.journal.iter().map(|(at, entry)| (*at, entry)));
        let next = sync::decide(&recorded, &seen, now());
        self.journal.extend(next.record.into_iter().map(|entry| (now(), entry)));
        for act in &next.acts {
            if let Err(error) = self.act(act).await {
                assert!(!error.retry().may_pass(), "{error}");
                let sent = match act {
                    Act::Apply(objects) | Act::Rehearse(objects) => objects
                        .iter()
                        .find(|object| error.to_string().contains(object["metadata"]["name"].as_str().unwrap_or("?"))),
                    _ => None,
                };
                let object = RefusedObject { sent: sent.map(sync::sent), because: error.to_string() };
                self.refused.push(Refused { object, at: now() });
                break;
            }
            self.outcomes.keep(act.clone().into(), Ok(Reply::Done), now());
        }
        next.status.message
    }

    async fn act(&self, act: &Act) -> Result<(), Error> {
        let cluster = &self.cluster;
        let written = match act {
            Act::CreateNamespace(name) => cluster.create_namespace(name).await,
            Act::Rehearse(objects) => {
                for object in objects {
                    cluster.rehearse(object).await?;
                }
                Ok(Written::Done)
            }
            Act::Apply(objects) => {
                for object in objects {
                    cluster.apply(object).await?;
                }
                Ok(Written::Done)
            }
            Act::Adopt { live, managed } => cluster.adopt(live, managed).await,
            Act::HandOver(object) => cluster.hand_over(object).await,
            Act::Prune { id, api_version, uid, resource_version } => {
                cluster.prune((api_version, &id.kind), (&id.namespace, &id.name), uid, resource_version).await
            }
            Act::Status { application, status } => cluster.write_status(application, status).await,
            Act::LetGo(application) => cluster.let_go(application).await,
            Act::Claim(application) => cluster.claim(application).await,
            Act::Release(application) => cluster.release(application).await,
        };
        written.map(drop)
    }

    async fn look(&self) -> Objects {
        let namespaces = BTreeSet::from(["petclinic".to_owned()]);
        let live = self.cluster.look(&self.kinds, &namespaces, &|_| true).await.expect("it is read");
        let mut served: BTreeMap<Gvk, Served> = self.kinds.iter().map(|gvk| (gvk.clone(), Served::Missing)).collect();
        for kind in self.cluster.served(&self.kinds).await.expect("it is read") {
            let scope = match kind.scope {
                cluster::Scope::Cluster => Served::Cluster,
                cluster::Scope::Namespaced => Served::Namespaced,
            };
            served.insert((kind.api_version(), kind.kind.clone()), scope);
        }
        let namespace = self.cluster.get("v1", "Namespace", "", "petclinic").await.expect("it is read");
        Objects {
            application: Some(self.application().await),
            head: format!("c{}", self.commit).into(),
            manifests: Some(Ok(self.manifests.clone())),
            live,
            served,
            namespaces: namespace.map(|_| "petclinic".to_owned()).into_iter().collect(),
            standing: BTreeMap::new(),
            refused: self.refused.clone(),
            rehearsed: sync::rehearsed(&self.outcomes),
            applied: sync::applied(&self.outcomes),
            scope: Scope::Full,
            ..Objects::default()
        }
    }

    pub(crate) async fn application(&self) -> Value {
        let found = self.cluster.get(APPLICATION.0, APPLICATION.1, "argocd", "petclinic").await;
        found.expect("it is read").expect("it is there")
    }

    pub(crate) async fn find(&self, api_version: &str, kind: &str, name: &str) -> Option<Value> {
        self.cluster.get(api_version, kind, "petclinic", name).await.expect("it is read")
    }

    pub(crate) async fn live(&self, api_version: &str, kind: &str, name: &str) -> Value {
        self.find(api_version, kind, name).await.expect("it is there")
    }

    /// The generation and managers of everything that git names: what a write of ours would change.
    pub(crate) async fn versions(&self) -> Vec<Value> {
        let mut versions = Vec::new();
        for object in &self.manifests {
            let text = |value: &Value| value.as_str().expect("a text").to_owned();
            let (version, kind, name) =
                (text(&object["apiVersion"]), text(&object["kind"]), text(&object["metadata"]["name"]));
            let live = self.live(&version, &kind, &name).await;
            let ours = decide::sync::fields::applied_by(&live, "bespin").map(|share| share.time.to_owned());
            versions.push(json!([kind, name, live["metadata"]["generation"], ours]));
        }
        versions
    }

    /// A person's or a controller's write, past this adapter.
    pub(crate) async fn change(&self, api_version: &str, kind: &str, name: &str, patch: Value) {
        let url = self.address(api_version, kind, name).await;
        self.send(&url, patch).await;
    }

    pub(crate) async fn scale(&self, name: &str, count: i64) {
        let url = format!("{}/scale", self.address("apps/v1", "Deployment", name).await);
        self.send(&url, json!({ "spec": { "replicas": count } })).await;
    }

    async fn address(&self, api_version: &str, kind: &str, name: &str) -> String {
        let kind = self.cluster.kind(api_version, kind).await.expect("it is served");
        let root = if kind.group.is_empty() { "api" } else { "apis" };
        format!("{}/{root}/{api_version}/namespaces/petclinic/{}/{name}", self.playground.kube_url, kind.plural)
    }

    /// A merge patch over plain HTTP, as any other client would send it.
    async fn send(&self, url: &str, patch: Value) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let rest = url.strip_prefix("http://").expect("the playground speaks plain HTTP");
        let (host, path) = rest.split_once('/').expect("a path");
        let body = patch.to_string();
        let request = format!(
            "PATCH /{path}?fieldManager=somebody HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {}\r\n\
             Content-Type: application/merge-patch+json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
            self.playground.kube_token,
            body.len()
        );
        let mut stream = tokio::net::TcpStream::connect(host).await.expect("it listens");
        stream.write_all(request.as_bytes()).await.expect("it reads");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("it answers");
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}
