//! The parts of an estate: embedded, or real.

use super::super::alb::Alb;
use super::super::balancer::Addresses;
use super::super::config::{Config, Endpoint};
use super::super::docker::Docker;
use super::super::kube::{ControlPlane, Kube};
use super::super::registry::{Images, Registry};
use super::super::{given, has, missing};
use super::HOOK_SECRET;
use playground::kubelet::{Kubelet, KubeletOptions};
use playground::{Options, Playground};
use std::path::Path;
use std::time::Duration;

/// Which parts an estate stands on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The playground, in the test's own process.
    Embedded,
    /// The real control plane with a kubelet stand-in; the rest as in the playground.
    Kubernetes,
    /// The same, whose Ingresses have load balancers behind an ELBv2 API that the server is told of.
    Balanced,
    /// Docker Engine, a registry behind the ECR API, git over HTTP, and the real control plane.
    Real,
}

impl Kind {
    /// Whether a part of it is missing on this machine; said loudly.
    pub fn is_missing(self) -> bool {
        let plane = || missing("the Kubernetes control plane", given("BESPIN_KUBERNETES").is_some() && has("etcd"));
        let engine = || missing("Docker Engine", has("dockerd") && has("docker"));
        let moto = || missing("moto", given("BESPIN_MOTO").is_some());
        let registry = || missing("docker-registry", has("docker-registry") && has("htpasswd"));
        match self {
            Kind::Embedded => false,
            Kind::Kubernetes => plane(),
            Kind::Balanced => [plane(), moto()].contains(&true),
            Kind::Real => [plane(), engine(), moto(), registry()].contains(&true),
        }
    }
}

/// What the playground's git and registry ask for.
const LOGIN: (&str, &str) = ("bespin", "a password of the stories");

/// The running parts. In all kinds the git remotes are the playground's: `git http-backend`.
pub struct Parts {
    playground: Playground,
    cluster: Option<Cluster>,
    images: Option<RealImages>,
}

struct Cluster {
    alb: Option<Alb>,
    _addresses: Option<Addresses>,
    _kubelet: Kubelet,
    plane: ControlPlane,
}

struct RealImages {
    docker: Docker,
    registry: Registry,
}

impl Parts {
    /// Starts them under `dir`.
    pub async fn start(kind: Kind, dir: &Path) -> Parts {
        let login = || (Some(LOGIN.0.to_owned()), Some(LOGIN.1.to_owned()));
        let ((git_user, git_password), (registry_user, registry_password)) = (login(), login());
        let nodes = if kind == Kind::Embedded { 3 } else { 0 };
        let options = Options { nodes, git_user, git_password, registry_user, registry_password, ..Options::default() };
        let playground = Playground::start(&dir.join("playground"), options).await.expect("the playground starts");
        let (cluster, images) = match kind {
            Kind::Embedded => (None, None),
            Kind::Kubernetes | Kind::Balanced => (Some(Cluster::start(kind, dir).await), None),
            Kind::Real => (Some(Cluster::start(kind, dir).await), Some(RealImages::start(dir).await)),
        };
        Parts { playground, cluster, images }
    }

    /// The playground.
    pub fn playground(&self) -> &Playground {
        &self.playground
    }

    /// The address to clone `owner/name` from, with credentials that may push.
    pub fn clone_url(&self, repository: &str) -> String {
        let (user, password) = (LOGIN.0, LOGIN.1.replace(' ', "%20"));
        let host = self.playground.git_url.trim_start_matches("http://");
        format!("http://{user}:{password}@{host}/{repository}.git")
    }

    /// The cluster.
    pub fn kube(&self) -> Kube {
        match &self.cluster {
            Some(cluster) => cluster.plane.kube.clone(),
            None => Kube::new(&self.playground.kube_url, &self.playground.kube_token, None),
        }
    }

    /// The load balancers of the cluster.
    ///
    /// # Panics
    /// Where the kind has none.
    pub fn alb(&self) -> &Alb {
        self.balanced().expect("the kind is Balanced")
    }

    fn balanced(&self) -> Option<&Alb> {
        self.cluster.as_ref()?.alb.as_ref()
    }

    /// The registry.
    pub fn images(&self) -> Images {
        let login = Some((LOGIN.0.to_owned(), LOGIN.1.to_owned()));
        match &self.images {
            Some(images) => images.registry.images(),
            None => Images { url: format!("http://{}", self.playground.registry), login },
        }
    }

    /// The server's environment: its secrets, and where the parts are that the AWS SDK and Docker's client look for.
    pub fn environment(&self) -> Vec<(String, String)> {
        let mut all = vec![("STORIES_HOOK", HOOK_SECRET), ("STORIES_PASSWORD", LOGIN.1)];
        if let Some(images) = &self.images {
            all.push(("DOCKER_HOST", &images.docker.host));
        }
        if self.images.is_some() || self.balanced().is_some() {
            all.extend([("AWS_ACCESS_KEY_ID", "stories"), ("AWS_SECRET_ACCESS_KEY", "stories")]);
        }
        all.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// The server's configuration.
    pub fn config(&self, dir: &Path) -> Config {
        let password =
            format!(r#"{{ basic = {{ user = "{}", password = {{ env = "STORIES_PASSWORD" }} }} }}"#, LOGIN.0);
        let (builder, registry) = match &self.images {
            None => {
                let endpoint = format!("http://{}", self.playground.registry);
                ("context", Endpoint { url: endpoint, auth: Some(password.clone()) })
            }
            Some(images) => {
                let api = &images.registry.ecr;
                let auth = format!(r#"{{ ecr = {{ region = "ap-northeast-2", api-endpoint = "{api}" }} }}"#);
                ("docker", Endpoint { url: images.registry.url.clone(), auth: Some(auth) })
            }
        };
        let git = Endpoint { url: self.playground.git_url.clone(), auth: Some(password) };
        let config = Config::new(dir, builder, git, registry, self.kubeconfig());
        match self.balanced() {
            Some(alb) => config.cluster(&alb.key()),
            None => config,
        }
    }

    /// What `kubectl` and its plugins are given to reach the cluster.
    pub fn kubeconfig(&self) -> &Path {
        self.cluster.as_ref().map_or(&self.playground.kubeconfig, |cluster| &cluster.plane.kubeconfig)
    }
}

impl Cluster {
    async fn start(kind: Kind, dir: &Path) -> Cluster {
        let bin = given("BESPIN_KUBERNETES").expect("it was looked for before");
        let plane = ControlPlane::start(&bin, dir).await;
        let ca = plane.kube.ca.clone().map(|pem| String::from_utf8(pem).expect("PEM is text"));
        let options = KubeletOptions {
            url: plane.kube.url.clone(),
            token: plane.kube.token.clone(),
            ca_pem: ca,
            nodes: 3,
            ready_delay: Duration::ZERO,
        };
        let kubelet = Kubelet::start(options).await.expect("the nodes register");
        let moto = given("BESPIN_MOTO").filter(|_| kind == Kind::Balanced);
        let alb = match moto {
            Some(moto) => Some(Alb::start(&moto, dir, &plane.kube).await),
            None => None,
        };
        // The stand-in of the controller gives addresses, too.
        let addresses = alb.is_none().then(|| Addresses::start(&plane.kube));
        Cluster { alb, _addresses: addresses, _kubelet: kubelet, plane }
    }
}

impl RealImages {
    async fn start(dir: &Path) -> RealImages {
        let moto = given("BESPIN_MOTO").expect("it was looked for before");
        RealImages { docker: Docker::start(dir).await, registry: Registry::start(&moto, dir).await }
    }
}
