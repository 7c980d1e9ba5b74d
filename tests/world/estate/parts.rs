//! The parts of an estate: embedded, or real.

use super::super::balancer::Addresses;
use super::super::bespin::{hash, plugins};
use super::super::dashboard::{PASSWORD, USER};
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
    /// Docker Engine, a registry behind the ECR API, git over HTTP, and the real control plane.
    Real,
}

impl Kind {
    /// Whether a part of it is missing on this machine; said loudly.
    pub fn is_missing(self) -> bool {
        self == Kind::Real
            && [
                missing("the Kubernetes control plane", given("BESPIN_KUBERNETES").is_some() && has("etcd")),
                missing("Docker Engine", has("dockerd") && has("docker")),
                missing("moto", given("BESPIN_MOTO").is_some()),
                missing("docker-registry", has("docker-registry") && has("htpasswd")),
            ]
            .contains(&true)
    }
}

/// The registry in the sample's image names.
pub const REGISTRY: &str = "123456789012.dkr.ecr.ap-northeast-2.amazonaws.com";

/// What the playground's git and registry ask for.
const LOGIN: (&str, &str) = ("bespin", "a password of the stories");

/// The running parts. In both kinds the git remotes are the playground's: `git http-backend`.
pub struct Parts {
    playground: Playground,
    real: Option<Real>,
}

struct Real {
    _addresses: Addresses,
    _kubelet: Kubelet,
    plane: ControlPlane,
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
        let real = match kind {
            Kind::Embedded => None,
            Kind::Real => Some(Real::start(dir).await),
        };
        Parts { playground, real }
    }

    /// The playground.
    pub fn playground(&self) -> &Playground {
        &self.playground
    }

    /// The cluster.
    pub fn kube(&self) -> Kube {
        match &self.real {
            Some(real) => real.plane.kube.clone(),
            None => Kube::new(&self.playground.kube_url, &self.playground.kube_token, None),
        }
    }

    /// The registry.
    pub fn images(&self) -> Images {
        let login = Some((LOGIN.0.to_owned(), LOGIN.1.to_owned()));
        match &self.real {
            Some(real) => real.registry.images(),
            None => Images { url: format!("http://{}", self.playground.registry), login },
        }
    }

    /// The server's environment: its secrets, and where the parts are that the AWS SDK and Docker's client look for.
    pub fn environment(&self) -> Vec<(String, String)> {
        let mut all = vec![("STORIES_HOOK", HOOK_SECRET), ("STORIES_PASSWORD", LOGIN.1)];
        if let Some(real) = &self.real {
            all.push(("DOCKER_HOST", &real.docker.host));
            all.extend([("AWS_ACCESS_KEY_ID", "stories"), ("AWS_SECRET_ACCESS_KEY", "stories")]);
        }
        all.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
    }

    /// The server's configuration.
    pub fn config(&self, dir: &Path) -> String {
        let password =
            format!(r#"{{ basic = {{ user = "{}", password = {{ env = "STORIES_PASSWORD" }} }} }}"#, LOGIN.0);
        let registry = match &self.real {
            None => Place { endpoint: format!("http://{}", self.playground.registry), auth: Some(password.clone()) },
            Some(real) => {
                let api = &real.registry.ecr;
                let auth = format!(r#"{{ ecr = {{ region = "ap-northeast-2", api-endpoint = "{api}" }} }}"#);
                Place { endpoint: real.registry.url.clone(), auth: Some(auth) }
            }
        };
        let kubeconfig = self.real.as_ref().map_or(&self.playground.kubeconfig, |real| &real.plane.kubeconfig);
        let git = Place { endpoint: self.playground.git_url.clone(), auth: Some(password) };
        let builder = if self.real.is_some() { "docker" } else { "context" };
        config(dir, builder, &git, &registry, kubeconfig)
    }
}

impl Real {
    async fn start(dir: &Path) -> Real {
        let bin = given("BESPIN_KUBERNETES").expect("it was looked for before");
        let moto = given("BESPIN_MOTO").expect("it was looked for before");
        let plane = ControlPlane::start(&bin, dir).await;
        let docker = Docker::start(dir).await;
        let registry = Registry::start(&moto, dir).await;
        let ca = plane.kube.ca.clone().map(|pem| String::from_utf8(pem).expect("PEM is text"));
        let options = KubeletOptions {
            url: plane.kube.url.clone(),
            token: plane.kube.token.clone(),
            ca_pem: ca,
            nodes: 3,
            ready_delay: Duration::ZERO,
        };
        let kubelet = Kubelet::start(options).await.expect("the nodes register");
        let _addresses = Addresses::start(&plane.kube);
        Real { _addresses, _kubelet: kubelet, plane, docker, registry }
    }
}

/// Where something listens, and how to log in.
pub(crate) struct Place {
    /// Its address.
    pub endpoint: String,
    /// The value of `auth`; nobody is asked for anything without it.
    pub auth: Option<String>,
}

impl Place {
    fn auth(&self) -> String {
        self.auth.as_ref().map(|auth| format!("auth = {auth}")).unwrap_or_default()
    }
}

/// The configuration of every estate.
pub(crate) fn config(dir: &Path, builder: &str, git: &Place, registry: &Place, kubeconfig: &Path) -> String {
    let (git_url, registry_url) = (&git.endpoint, &registry.endpoint);
    let git_host = git_url.trim_start_matches("http://");
    format!(
        r#"[server]
listen = "127.0.0.1:0"
hooks = "127.0.0.1:0"
data = "{data}"
plugins = "{plugins}"
builder = "{builder}"
numbers = {{ "user/petclinic/petclinic-was" = 55 }}

[[user]]
name = "{USER}"
role = "operator"
hash = "{hash}"

[[hook]]
secrets = [{{ env = "STORIES_HOOK" }}]
repositories = [{{ name = "user/petclinic", url = "{git_url}/user/petclinic.git" }}]

[[git]]
url = "{git_url}/"
{git_auth}

[[registry]]
host = "{REGISTRY}"
endpoint = "{registry_url}"
{registry_auth}

[[cluster]]
name = "production"
reach = {{ kubeconfig = {{ path = "{kubeconfig}" }} }}

[[policy]]
repository = "user/petclinic"
ref = "refs/heads/main"
event = "push"
[policy.grants]
images = ["build"]
registry = ["{REGISTRY}/petclinic-was"]
git = ["{git_host}/user/k8s-manifests"]
cluster = ["production/petclinic/*"]
canary = ["production/petclinic/was"]
"#,
        data = dir.join("data").display(),
        plugins = plugins().display(),
        hash = hash(PASSWORD),
        git_auth = git.auth(),
        registry_auth = registry.auth(),
        kubeconfig = kubeconfig.display(),
    )
}
