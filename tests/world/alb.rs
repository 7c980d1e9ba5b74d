//! The AWS Load Balancer Controller before moto's ELBv2: the Ingresses of the real control plane get load balancers
//! whose weights and targets follow late, and everything that they serve is remembered.
//!
//! Bespin's `endpoint` is a proxy of ours, since at moto each target is healthy at once. The lags are up to 3 s and the
//! same in each run; `BESPIN_LATE=60` makes them as long as that, in seconds.

mod api;
mod controller;
mod late;
mod model;
mod proxy;
mod state;

pub use state::{Moment, Serves, Throttling};

use super::kube::Kube;
use super::process::Process;
use super::registry::start_moto;
use api::{Api, REGION};
use controller::Controller;
use state::State;
use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;

/// The longest lag where nothing else is said.
const LATEST: Duration = Duration::from_secs(3);

/// The load balancers of a cluster, until it is dropped.
pub struct Alb {
    endpoint: String,
    state: Arc<State>,
    latest: Duration,
    tasks: [tokio::task::JoinHandle<()>; 2],
    _moto: Process,
}

/// What the load balancers serve, for whoever follows it.
#[derive(Clone)]
pub struct Follower(Arc<State>);

impl Follower {
    /// What is served now.
    pub fn serves(&self) -> Serves {
        self.0.serves()
    }
}

impl Alb {
    /// Starts moto under `dir`, and balances what the cluster asks for.
    pub async fn start(moto: &Path, dir: &Path, kube: &Kube) -> Alb {
        let (process, url) = start_moto(moto, dir).await;
        let latest = latest();
        let (api, state): (_, Arc<State>) = (Api::new(&url), Arc::default());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let endpoint = format!("http://{}", listener.local_addr().expect("it is bound"));
        let controller = Controller::new(kube, api.clone(), state.clone(), latest);
        let proxy = tokio::spawn(proxy::run(listener, api, state.clone()));
        let tasks = [tokio::spawn(controller.run()), proxy];
        Alb { endpoint, state, latest, tasks, _moto: process }
    }

    /// The key of `[[cluster]]` by which a server asks it.
    pub fn key(&self) -> String {
        format!("elb = {{ region = \"{REGION}\", endpoint = \"{}\" }}", self.endpoint)
    }

    /// Where the server asks it.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The longest time that a weight or a registration takes to get there; a target that is there takes half as long
    /// again to become healthy.
    pub fn latest(&self) -> Duration {
        self.latest
    }

    /// From now on the controller does nothing; the load balancers serve what they serve.
    pub fn sleeps(&self) {
        self.state.sleep(true);
    }

    /// From now on the controller works again.
    pub fn wakes(&self) {
        self.state.sleep(false);
    }

    /// From now on the API refuses so.
    pub fn throttle(&self, throttling: Throttling) {
        self.state.throttle(throttling);
    }

    /// From now on the checks of the targets with these addresses fail, and of no others.
    pub fn fail(&self, addresses: impl IntoIterator<Item = String>) {
        self.state.fail(addresses.into_iter().collect::<BTreeSet<_>>());
    }

    /// How often the server was answered to an action, such as `DescribeRules`.
    pub fn answered(&self, action: &str) -> usize {
        self.state.answered(action)
    }

    /// How often the server was refused.
    pub fn throttled(&self) -> usize {
        self.state.throttled()
    }

    /// What is served now.
    pub fn serves(&self) -> Serves {
        self.state.serves()
    }

    /// What is served, to be followed.
    pub fn follower(&self) -> Follower {
        Follower(self.state.clone())
    }

    /// All that was seen so far, oldest first; what did not change was not seen again.
    pub fn moments(&self) -> Vec<Moment> {
        self.state.moments()
    }

    /// What was seen last.
    pub fn last(&self) -> Option<Moment> {
        self.moments().pop()
    }

    /// Each time in which a group had a weight and no healthy target whose pod was there, while another group had one:
    /// what was lost, and when.
    pub fn faults(&self) -> Vec<String> {
        self.state.faults()
    }
}

fn latest() -> Duration {
    let said = std::env::var("BESPIN_LATE").ok();
    said.map_or(LATEST, |said| Duration::from_secs(said.parse().expect("BESPIN_LATE is a number of seconds")))
}

impl Drop for Alb {
    fn drop(&mut self) {
        self.tasks.iter().for_each(tokio::task::JoinHandle::abort);
    }
}
