//! A Kubernetes control plane: the real one, started from its own programs,
//! or any other that has an address and a token.

use super::port::free_port;
use super::process::{ANSWER, Process};
use reqwest::Method;
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

/// Where a Kubernetes API is, and how to speak with it.
#[derive(Clone)]
pub struct Kube {
    /// Its address.
    pub url: String,
    /// A token that may do everything.
    pub token: String,
    /// The authority of its certificate, for HTTPS.
    pub ca: Option<Vec<u8>>,
    client: reqwest::Client,
}

impl Kube {
    /// Binds a client.
    pub fn new(url: &str, token: &str, ca: Option<Vec<u8>>) -> Kube {
        let mut builder = reqwest::Client::builder().no_proxy();
        for certificate in ca.iter().flat_map(|pem| reqwest::Certificate::from_pem_bundle(pem).expect("a PEM file")) {
            builder = builder.add_root_certificate(certificate);
        }
        Kube { url: url.into(), token: token.into(), ca, client: builder.build().expect("a client") }
    }

    /// Gets an object or a list; `None` where there is none.
    pub async fn get(&self, path: &str) -> Option<Value> {
        let answer = self.request(Method::GET, path).timeout(ANSWER).send().await.ok()?;
        if !answer.status().is_success() {
            return None;
        }
        answer.json().await.ok()
    }

    /// The items of a list; none where there is no such list.
    pub async fn list(&self, path: &str) -> Vec<Value> {
        let list = self.get(path).await.unwrap_or_default();
        list["items"].as_array().cloned().unwrap_or_default()
    }

    /// Creates an object.
    pub async fn create(&self, path: &str, object: &Value) -> Value {
        self.demand(Method::POST, path, "application/json", object).await
    }

    /// Merges a patch into an object.
    pub async fn merge(&self, path: &str, patch: &Value) -> Value {
        self.demand(Method::PATCH, path, "application/merge-patch+json", patch).await
    }

    /// Scales an object by its scale subresource, as `kubectl scale` does.
    pub async fn scale(&self, path: &str, replicas: u32) {
        let patch = serde_json::json!({ "spec": { "replicas": replicas } });
        self.merge(&format!("{path}/scale?fieldManager=kubectl"), &patch).await;
    }

    async fn demand(&self, method: Method, path: &str, kind: &str, body: &Value) -> Value {
        let (status, answer) = self.send(method.clone(), path, kind, Some(body)).await;
        assert!((200..300).contains(&status), "{method} {path}: {status}: {answer}");
        answer
    }

    /// Sends any request; answers the status and the JSON that came back.
    pub async fn send(&self, method: Method, path: &str, kind: &str, body: Option<&Value>) -> (u16, Value) {
        let mut request = self.request(method.clone(), path).timeout(ANSWER);
        if let Some(body) = body {
            request = request.header("content-type", kind).body(body.to_string());
        }
        let answer = request.send().await.unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        let status = answer.status().as_u16();
        let text = answer.text().await.unwrap_or_default();
        (status, serde_json::from_str(&text).unwrap_or(Value::String(text)))
    }

    /// A request to it, with the token.
    pub fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        self.client.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token)
    }
}

/// etcd, kube-apiserver and kube-controller-manager on loopback.
pub struct ControlPlane {
    /// How to speak with it.
    pub kube: Kube,
    /// For Bespin and kubectl.
    pub kubeconfig: PathBuf,
    _parts: Vec<Process>,
}

const TOKEN: &str = "stories";
const CONTROLLERS: &str = "namespace,serviceaccount,serviceaccount-token,root-ca-certificate-publisher-controller,deployment,\
replicaset,statefulset,daemonset,job,cronjob,ttl-after-finished,garbage-collector-controller,pod-garbage-collector-controller,\
horizontal-pod-autoscaler-controller,endpoints-controller,endpointslice,disruption,\
persistentvolume-binder-controller,persistentvolumeclaim-protection-controller,persistentvolume-protection-controller,\
resourcequota,clusterrole-aggregation";

impl ControlPlane {
    /// Starts everything under `dir`; `bin` holds the two Kubernetes programs.
    pub async fn start(bin: &Path, dir: &Path) -> ControlPlane {
        let (etcd, etcd_port) = start_etcd(dir).await;
        let (api, kube, kubeconfig) = start_api(bin, dir, etcd_port).await;
        let manager = start_manager(bin, dir, &kubeconfig, &kube).await;
        ControlPlane { kube, kubeconfig, _parts: vec![manager, api, etcd] }
    }
}

async fn start_etcd(dir: &Path) -> (Process, u16) {
    let (client, peer) = (free_port(), free_port());
    let (client_url, peer_url) = (format!("http://127.0.0.1:{client}"), format!("http://127.0.0.1:{peer}"));
    let mut command = Command::new("etcd");
    command.arg("--data-dir").arg(dir.join("etcd")).args(["--unsafe-no-fsync", "--log-level", "warn"]);
    command.args(["--listen-client-urls", &client_url, "--advertise-client-urls", &client_url]);
    command.args(["--listen-peer-urls", &peer_url, "--initial-advertise-peer-urls", &peer_url]);
    command.args(["--initial-cluster", &format!("default={peer_url}")]);
    let mut etcd = Process::start("etcd", dir, &mut command);
    let health = format!("{client_url}/health");
    etcd.ready(Duration::from_secs(30), || async {
        reqwest::get(&health).await.is_ok_and(|a| a.status().is_success())
    })
    .await;
    (etcd, client)
}

async fn start_api(bin: &Path, dir: &Path, etcd_port: u16) -> (Process, Kube, PathBuf) {
    let port = free_port();
    let key = dir.join("service-account.key");
    let made = Command::new("openssl").args(["genrsa", "-out"]).arg(&key).arg("2048").output();
    assert!(made.is_ok_and(|made| made.status.success()), "openssl makes a key");
    let tokens = dir.join("tokens.csv");
    std::fs::write(&tokens, format!("{TOKEN},admin,admin,system:masters\n")).expect("a file can be written");
    let certificates = dir.join("certificates");
    let mut command = Command::new(bin.join("kube-apiserver"));
    command.args(["--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none"]);
    command.args(["--authorization-mode=RBAC", "--service-cluster-ip-range=10.96.0.0/16", "--profiling=false"]);
    command.arg(format!("--secure-port={port}")).arg(format!("--etcd-servers=http://127.0.0.1:{etcd_port}"));
    command.arg(format!("--token-auth-file={}", tokens.display()));
    command.arg(format!("--cert-dir={}", certificates.display()));
    command.arg("--service-account-issuer=https://kubernetes.default.svc");
    command.arg(format!("--service-account-key-file={}", key.display()));
    command.arg(format!("--service-account-signing-key-file={}", key.display()));
    let mut api = Process::start("kube-apiserver", dir, &mut command);
    let url = format!("https://127.0.0.1:{port}");
    let authority = certificates.join("apiserver.crt");
    // It writes the certificate first, and not in one go; the key comes once that is whole.
    api.ready(Duration::from_secs(60), || async { certificates.join("apiserver.key").exists() }).await;
    let kube = Kube::new(&url, TOKEN, Some(std::fs::read(&authority).expect("the certificate is there")));
    api.ready(Duration::from_secs(90), || async { kube.get("/api/v1/namespaces/default").await.is_some() }).await;
    let kubeconfig = write_kubeconfig(dir, &url, &authority);
    (api, kube, kubeconfig)
}

fn write_kubeconfig(dir: &Path, url: &str, authority: &Path) -> PathBuf {
    let kubeconfig = dir.join("kubeconfig");
    let config = serde_json::json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "real",
        "clusters": [{ "name": "real", "cluster": { "server": url, "certificate-authority": authority } }],
        "users": [{ "name": "admin", "user": { "token": TOKEN } }],
        "contexts": [{ "name": "real", "context": { "cluster": "real", "user": "admin" } }],
    });
    std::fs::write(&kubeconfig, config.to_string()).expect("a file can be written");
    kubeconfig
}

async fn start_manager(bin: &Path, dir: &Path, kubeconfig: &Path, kube: &Kube) -> Process {
    let mut command = Command::new(bin.join("kube-controller-manager"));
    command.arg(format!("--kubeconfig={}", kubeconfig.display()));
    command.args(["--leader-elect=false", "--kube-api-qps=200", "--kube-api-burst=400", "--bind-address=127.0.0.1"]);
    command.arg(format!("--secure-port={}", free_port())).arg(format!("--controllers={CONTROLLERS}"));
    command.arg("--horizontal-pod-autoscaler-sync-period=1s");
    command.arg(format!("--cert-dir={}", dir.join("manager").display()));
    command.arg(format!("--service-account-private-key-file={}", dir.join("service-account.key").display()));
    let mut manager = Process::start("kube-controller-manager", dir, &mut command);
    let account = "/api/v1/namespaces/default/serviceaccounts/default";
    manager.ready(Duration::from_secs(60), || async { kube.get(account).await.is_some() }).await;
    manager
}
