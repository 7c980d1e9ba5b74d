//! The load balancer's data plane: haproxy, fed from what stands in the cluster.
//!
//! A pool for each Service holds one small loopback server for each Ready pod that the Service selects, and each of
//! them answers with its pod's image. Which pool a request goes to is decided by the weight, as an ALB does it.

use super::kube::Kube;
use super::port::free_port;
use super::process::Process;
use super::watch::weight;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// The part of the AWS Load Balancer Controller that others wait for: every Ingress gets an address.
pub struct Addresses(tokio::task::JoinHandle<()>);

impl Addresses {
    /// Gives addresses until it is dropped.
    pub fn start(kube: &Kube) -> Addresses {
        let kube = kube.clone();
        Addresses(tokio::spawn(async move {
            loop {
                for ingress in kube.list("/apis/networking.k8s.io/v1/ingresses").await {
                    if ingress["status"]["loadBalancer"]["ingress"].is_null() {
                        address(&kube, &ingress["metadata"]).await;
                    }
                }
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }))
    }
}

async fn address(kube: &Kube, metadata: &Value) {
    let text = |field: &str| metadata[field].as_str().unwrap_or_default();
    let (namespace, name) = (text("namespace"), text("name"));
    let path = format!("/apis/networking.k8s.io/v1/namespaces/{namespace}/ingresses/{name}/status");
    let host = serde_json::json!([{ "hostname": format!("{name}.elb.example.com") }]);
    let patch = serde_json::json!({ "status": { "loadBalancer": { "ingress": host } } });
    // An Ingress that is gone by now needs no address.
    let _answer = kube.send(reqwest::Method::PATCH, &path, "application/merge-patch+json", Some(&patch)).await;
}

impl Drop for Addresses {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A proxy that serves what the cluster says at one moment.
pub struct Balancer {
    port: u16,
    _process: Process,
    _pods: Vec<Pod>,
}

/// A loopback server that answers with an image, until it is dropped.
pub(super) struct Pod {
    pub(super) port: u16,
    task: tokio::task::JoinHandle<()>,
}

impl Drop for Pod {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Balancer {
    /// Reads the weight, the Services and the pods of a namespace, and serves them.
    pub async fn start(dir: &Path, kube: &Kube, ingress: &str) -> Balancer {
        let object = kube.get(ingress).await.expect("the Ingress is there");
        Balancer::sharing(dir, kube, weight(&object).expect("the Ingress carries weights")).await
    }

    /// The same for a canary's share in percent that was told in another way.
    pub async fn sharing(dir: &Path, kube: &Kube, canary: u64) -> Balancer {
        let (mut pods, mut pools) = (Vec::new(), String::new());
        for service in ["was-canary", "was-stable"] {
            let _infallible = writeln!(pools, "backend {service}\n  balance roundrobin");
            for ReadyPod { name, image, .. } in ready(kube, service).await {
                let pod = Pod::start(image).await;
                let _infallible = writeln!(pools, "  server {name} 127.0.0.1:{}", pod.port);
                pods.push(pod);
            }
        }
        let port = free_port();
        let config = format!(
            "global\n  maxconn 1000\ndefaults\n  mode http\n  timeout connect 5s\n  timeout client 60s\n  timeout server 60s\n\
             frontend alb\n  bind 127.0.0.1:{port}\n  use_backend was-canary if {{ rand(100) lt {canary} }}\n  \
             default_backend was-stable\n{pools}"
        );
        let file = dir.join("haproxy.cfg");
        std::fs::write(&file, config).expect("a file can be written");
        let mut process = Process::start("haproxy", dir, Command::new("haproxy").arg("-db").arg("-f").arg(&file));
        let listens = || async { TcpStream::connect(("127.0.0.1", port)).await.is_ok() };
        process.ready(Duration::from_secs(30), listens).await;
        Balancer { port, _process: process, _pods: pods }
    }

    /// Sends requests over a few connections, and counts the images that answered.
    pub async fn ask(&self, requests: usize) -> BTreeMap<String, usize> {
        const CONNECTIONS: usize = 8;
        let clients = (0..CONNECTIONS).map(|n| {
            let share = requests / CONNECTIONS + usize::from(n < requests % CONNECTIONS);
            tokio::spawn(client(self.port, share))
        });
        let mut all = BTreeMap::new();
        for client in clients.collect::<Vec<_>>() {
            for image in client.await.expect("no client panics") {
                *all.entry(image).or_default() += 1;
            }
        }
        all
    }
}

/// What was served lies within four standard deviations of what was asked.
pub fn share_is(asked: u64, served: &BTreeMap<String, usize>, canary: &str) {
    let all: usize = served.values().sum();
    let got = served.get(canary).copied().unwrap_or_default() as f64;
    let (n, p) = (all as f64, asked as f64 / 100.0);
    let (expected, deviation) = (n * p, (n * p * (1.0 - p)).sqrt());
    eprintln!("asked {asked} %, served {:.2} % of {all} requests", got / n * 100.0);
    assert!((got - expected).abs() <= 4.0 * deviation, "asked {asked} %, served {served:?}");
    assert_eq!(served.len(), 2, "nothing but the two versions answers: {served:?}");
}

/// A Ready pod.
pub(super) struct ReadyPod {
    pub(super) name: String,
    pub(super) image: String,
    /// Its IP address.
    pub(super) address: String,
}

/// The Ready pods that a Service selects.
pub(super) async fn ready(kube: &Kube, service: &str) -> Vec<ReadyPod> {
    let namespace = "/api/v1/namespaces/petclinic";
    let service = kube.get(&format!("{namespace}/services/{service}")).await.expect("the Service is there");
    let selector = service["spec"]["selector"].as_object().expect("the Service selects").clone();
    let selects = |pod: &&Value| selector.iter().all(|(key, value)| pod["metadata"]["labels"][key] == *value);
    let is_ready = |pod: &&Value| {
        let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
        let mut ready = conditions.filter(|condition| condition["type"] == "Ready");
        pod["metadata"]["deletionTimestamp"].is_null() && ready.any(|condition| condition["status"] == "True")
    };
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let pods = kube.list(&format!("{namespace}/pods")).await;
    let served = pods.iter().filter(selects).filter(is_ready);
    let read = |pod: &Value| ReadyPod {
        name: text(&pod["metadata"]["name"]),
        image: text(&pod["spec"]["containers"][0]["image"]),
        address: text(&pod["status"]["podIP"]),
    };
    served.map(read).collect()
}

impl Pod {
    pub(super) async fn start(image: String) -> Pod {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let port = listener.local_addr().expect("it is bound").port();
        let answer = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{image}", image.len());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, answer.clone()));
            }
        });
        Pod { port, task }
    }
}

async fn serve(stream: TcpStream, answer: String) {
    let mut stream = BufReader::new(stream);
    let mut line = String::new();
    loop {
        line.clear();
        match stream.read_line(&mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) if line == "\r\n" => {
                if stream.write_all(answer.as_bytes()).await.is_err() {
                    return;
                }
            }
            Ok(_) => {}
        }
    }
}

/// Requests one after the other over one connection; answers the bodies.
async fn client(port: u16, requests: usize) -> Vec<String> {
    let stream = TcpStream::connect(("127.0.0.1", port)).await.expect("the proxy listens");
    let mut stream = BufReader::new(stream);
    let mut bodies = Vec::with_capacity(requests);
    for _ in 0..requests {
        stream.write_all(b"GET /api HTTP/1.1\r\nhost: petclinic\r\n\r\n").await.expect("the proxy reads");
        bodies.push(body(&mut stream).await);
    }
    bodies
}

async fn body(stream: &mut BufReader<TcpStream>) -> String {
    let (mut line, mut length) = (String::new(), 0);
    let mut status = None;
    loop {
        line.clear();
        stream.read_line(&mut line).await.expect("the proxy answers");
        status.get_or_insert_with(|| line.trim().to_owned());
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().expect("a length is a number");
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.expect("the body is whole");
    let body = String::from_utf8_lossy(&body).into_owned();
    match status.as_deref() {
        Some(status) if status.contains(" 200") => body,
        status => format!("{status:?}: {body}"),
    }
}
