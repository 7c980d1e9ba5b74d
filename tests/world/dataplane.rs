//! A data plane through which requests flow all the time: it shares them between the pods behind two Services, by the
//! weight that it was told, or by what the load balancer serves. Pods that come and go reach it late; one that is going
//! answers no more.

use super::alb::Follower;
use super::balancer::{Pod, ReadyPod, ready};
use super::dice::Dice;
use super::estate::PATIENCE;
use super::kube::Kube;
use super::process::eventually;
use super::weights::Weights;
use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// How often it looks at the cluster.
const LOOK: Duration = Duration::from_millis(20);

const SERVICES: [&str; 2] = ["was-canary", "was-stable"];

/// The names of the Services, and where the ready pods of each are reached.
type Targets = BTreeMap<&'static str, Vec<u16>>;

/// The data plane, until it is dropped.
pub struct DataPlane {
    shared: Arc<Shared>,
    task: tokio::task::JoinHandle<()>,
}

/// Who says how the requests are shared.
pub enum Sharing {
    /// A router's API, beside which the pods are known so late.
    Told(Weights, Duration),
    /// The load balancer, by its rule and by the targets that it holds for healthy.
    Balanced(Follower),
}

struct Shared {
    sharing: Sharing,
    registered: Mutex<Targets>,
}

impl Shared {
    /// The canary's share, in percent, where there is one.
    fn weight(&self) -> Option<u64> {
        match &self.sharing {
            Sharing::Told(weights, _) => weights.of("petclinic/was"),
            Sharing::Balanced(follower) => {
                let weights = follower.serves().weights;
                let all: u32 = weights.values().sum();
                Some(u64::from(*weights.get("was-canary")? * 100).checked_div(u64::from(all))?)
            }
        }
    }
}

impl DataPlane {
    /// Shares as it is said, once it knows pods that serve.
    pub async fn start(kube: &Kube, sharing: Sharing) -> DataPlane {
        let shared = Arc::new(Shared { sharing, registered: Mutex::default() });
        let task = tokio::spawn(follow(kube.clone(), shared.clone()));
        eventually("the data plane knows a pod", PATIENCE, || async {
            let registered = shared.registered.lock().expect("no holder panics");
            registered.get("was-stable").is_some_and(|ports| !ports.is_empty()).then_some(())
        })
        .await;
        DataPlane { shared, task }
    }

    /// The canary's share by which it serves, in percent, where there is one.
    pub fn weight(&self) -> Option<u64> {
        self.shared.weight()
    }

    /// Sends so many requests, a few at a time, and counts the answers; those that failed count by why.
    pub async fn ask(&self, requests: usize) -> BTreeMap<String, usize> {
        const CLIENTS: usize = 8;
        let clients: Vec<_> = (0..CLIENTS)
            .map(|n| {
                let share = requests / CLIENTS + usize::from(n < requests % CLIENTS);
                let shared = self.shared.clone();
                tokio::spawn(async move { client(&shared, share).await })
            })
            .collect();
        let mut all = BTreeMap::new();
        for client in clients {
            for (answer, number) in client.await.expect("no client panics") {
                *all.entry(answer).or_default() += number;
            }
        }
        all
    }

    /// Sends requests one after the other until it is told to stop, and counts those that failed, by why.
    pub fn keep_asking(&self) -> Asking {
        let failed: Arc<Mutex<BTreeMap<String, usize>>> = Arc::default();
        let (shared, into) = (self.shared.clone(), failed.clone());
        let task = tokio::spawn(async move {
            let mut dice = Dice::new();
            loop {
                if let Err(why) = request(&shared, &mut dice).await {
                    *into.lock().expect("no holder panics").entry(why).or_default() += 1;
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        });
        Asking { failed, task }
    }
}

impl Drop for DataPlane {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Requests that are sent all the time.
pub struct Asking {
    failed: Arc<Mutex<BTreeMap<String, usize>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Asking {
    /// Ends it, and answers what failed.
    pub fn stop(self) -> BTreeMap<String, usize> {
        self.task.abort();
        self.failed.lock().expect("no holder panics").clone()
    }
}

/// Follows the cluster: a pod answers as long as it is ready, and is known a while later.
async fn follow(kube: Kube, shared: Arc<Shared>) {
    let mut pods: BTreeMap<String, Pod> = BTreeMap::new();
    // Whoever is taken for a target though its pod is gone is asked all the same.
    let mut ports: BTreeMap<String, u16> = BTreeMap::new();
    let mut coming: VecDeque<(Instant, Targets)> = VecDeque::new();
    loop {
        let (mut targets, mut alive) = (Targets::new(), Vec::new());
        for service in SERVICES {
            let mut of_service = Vec::new();
            for ReadyPod { name, image, address } in ready(&kube, service).await {
                if !pods.contains_key(&name) {
                    pods.insert(name.clone(), Pod::start(image).await);
                }
                ports.insert(address, pods[&name].port);
                of_service.push(pods[&name].port);
                alive.push(name);
            }
            targets.insert(service, of_service);
        }
        pods.retain(|name, _| alive.contains(name));
        let late = match &shared.sharing {
            Sharing::Told(_, late) => *late,
            Sharing::Balanced(follower) => {
                let serves = follower.serves().targets;
                let known = |service: &str| -> Vec<u16> {
                    let addresses = serves.get(service).into_iter().flatten();
                    addresses.filter_map(|address| ports.get(address).copied()).collect()
                };
                targets = SERVICES.map(|service| (service, known(service))).into();
                Duration::ZERO
            }
        };
        coming.push_back((Instant::now() + late, targets));
        while let Some((_, targets)) = coming.pop_front_if(|(from, _)| *from <= Instant::now()) {
            *shared.registered.lock().expect("no holder panics") = targets;
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn client(shared: &Shared, requests: usize) -> BTreeMap<String, usize> {
    let (mut dice, mut all) = (Dice::new(), BTreeMap::new());
    for _ in 0..requests {
        let answer = request(shared, &mut dice).await.unwrap_or_else(|why| format!("failed: {why}"));
        *all.entry(answer).or_default() += 1;
    }
    all
}

/// One request over a connection of its own; answers the image that served it.
async fn request(shared: &Shared, dice: &mut Dice) -> Result<String, String> {
    let weight = shared.weight().unwrap_or(0);
    let service = if dice.below(100) < weight { "was-canary" } else { "was-stable" };
    let ports = shared.registered.lock().expect("no holder panics").get(service).cloned().unwrap_or_default();
    if ports.is_empty() {
        return Err(format!("{service} has no target at {weight} %"));
    }
    let port = ports[usize::try_from(dice.below(ports.len() as u64)).expect("it is small")];
    let failed = |error: std::io::Error| format!("{service}: {error}");
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.map_err(failed)?;
    stream.write_all(b"GET /api HTTP/1.1\r\nhost: petclinic\r\n\r\n").await.map_err(failed)?;
    let mut answer = Vec::new();
    let mut part = [0; 1024];
    loop {
        let text = String::from_utf8_lossy(&answer).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n")
            && head.ends_with(&format!("content-length: {}", body.len()))
        {
            return Ok(body.to_owned());
        }
        match stream.read(&mut part).await.map_err(failed)? {
            0 => return Err(format!("{service}: the pod has hung up")),
            read => answer.extend_from_slice(&part[..read]),
        }
    }
}
