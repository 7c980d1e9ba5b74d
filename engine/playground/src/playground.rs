//! Starting and stopping all the parts together.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::json;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::api::{Api, Write, persist};
use crate::controllers::{self, Loads};
use crate::faults::Faults;
use crate::git::{GitService, Repositories, Webhooks};
use crate::kubelet::{Kubelet, KubeletOptions};
use crate::registry::Registry;
use crate::serve;

/// How to start a [`Playground`].
#[derive(Clone, Debug)]
pub struct Options {
    /// Where the Kubernetes API listens; port 0 takes any free port.
    pub kube_addr: SocketAddr,
    /// Where the OCI registry listens; port 0 takes any free port.
    pub registry_addr: SocketAddr,
    /// Where the git remotes listen; port 0 takes any free port.
    pub git_addr: SocketAddr,
    /// How many nodes the kubelet stand-in plays. With 0 no pod ever runs.
    pub nodes: u32,
    /// How long a pod takes from being bound to being Ready.
    pub ready_delay: Duration,
    /// The user that git asks for. Without a user and a password anyone may read and push.
    pub git_user: Option<String>,
    /// The password that git asks for.
    pub git_password: Option<String>,
    /// The user that the registry asks for. Without a user and a password anyone may pull and push.
    pub registry_user: Option<String>,
    /// The password that the registry asks for.
    pub registry_password: Option<String>,
}

impl Default for Options {
    fn default() -> Options {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        Options {
            kube_addr: any,
            registry_addr: any,
            git_addr: any,
            nodes: 3,
            ready_delay: Duration::ZERO,
            git_user: None,
            git_password: None,
            registry_user: None,
            registry_password: None,
        }
    }
}

/// Why the playground, or a part of it, did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or a socket refused.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// A `git` command failed.
    #[error("git {command}: {message}")]
    Git {
        /// The arguments that git was given.
        command: String,
        /// What git wrote to its standard error.
        message: String,
    },
    /// An HTTP request of ours failed, or was answered by an error.
    #[error("{what}: {message}")]
    Http {
        /// What was being asked.
        what: String,
        /// What came back instead.
        message: String,
    },
}

impl Error {
    /// Wraps what the system said in what was being done.
    pub(crate) fn io(what: impl Into<String>, source: std::io::Error) -> Error {
        Error::Io { what: what.into(), source }
    }
}

/// A running playground. Dropping it leaves the parts running until the runtime ends; [`Playground::stop`] is the
/// orderly way.
#[derive(Debug)]
pub struct Playground {
    /// The address of the Kubernetes API, such as `http://127.0.0.1:34567`.
    pub kube_url: String,
    /// The bearer token that the Kubernetes API asks for.
    pub kube_token: String,
    /// A kubeconfig file for this API.
    pub kubeconfig: PathBuf,
    /// Where the OCI registry listens (plain HTTP).
    pub registry: SocketAddr,
    /// The prefix of every clone URL, such as `http://127.0.0.1:34568`, without credentials and without a last slash.
    pub git_url: String,
    api: Api,
    blobs: Registry,
    loads: Loads,
    faults: Faults,
    repositories: Repositories,
    webhooks: Webhooks,
    kubelet: Kubelet,
    stop: CancellationToken,
    tasks: TaskTracker,
    keeper: tokio::task::JoinHandle<()>,
    keep: CancellationToken,
}

impl Playground {
    /// Starts every part, taking up what an earlier playground left in `dir`.
    ///
    /// # Errors
    /// When `dir` cannot be written, an address is taken, or what is in `dir` cannot be read.
    pub async fn start(dir: &Path, options: Options) -> Result<Playground, Error> {
        let registry_dir = dir.join("registry");
        let git_dir = dir.join("git");
        for made in [dir, &registry_dir, &git_dir] {
            std::fs::create_dir_all(made).map_err(|e| Error::io(format!("create {}", made.display()), e))?;
        }
        let (faults, loads) = (Faults::default(), Loads::default());
        let (stop, keep, tasks) = (CancellationToken::new(), CancellationToken::new(), TaskTracker::new());

        let token = token(dir)?;
        let snapshot = dir.join("kube.json");
        let api = Api::new(persist::load(&snapshot)?, token.clone(), faults.clone());
        furnish(&api)?;
        let (listener, kube_addr) = serve::bind(options.kube_addr).await?;
        tasks.spawn(serve::run(listener, api.clone(), stop.clone()));
        tasks.spawn(controllers::run(api.clone(), loads.clone(), stop.clone()));
        let keeper = tokio::spawn(persist::keep(api.clone(), snapshot, keep.clone()));
        let kubeconfig = write_kubeconfig(dir, kube_addr, &token)?;

        let blobs = Registry::open(registry_dir, options.registry_user, options.registry_password, faults.clone())?;
        let (listener, registry) = serve::bind(options.registry_addr).await?;
        tasks.spawn(serve::run(listener, blobs.clone(), stop.clone()));

        let repositories = Repositories::new(&git_dir);
        let git = GitService::new(git_dir, options.git_user, options.git_password, faults.clone());
        let webhooks = git.webhooks().clone();
        let (listener, git_addr) = serve::bind(options.git_addr).await?;
        tasks.spawn(serve::run(listener, git, stop.clone()));

        let kube_url = format!("http://{kube_addr}");
        let kubelet = Kubelet::start(KubeletOptions {
            url: kube_url.clone(),
            token: token.clone(),
            ca_pem: None,
            nodes: options.nodes,
            ready_delay: options.ready_delay,
        })
        .await?;
        Ok(Playground {
            kube_url,
            kube_token: token,
            kubeconfig,
            registry,
            git_url: format!("http://{git_addr}"),
            api,
            blobs,
            loads,
            faults,
            repositories,
            webhooks,
            kubelet,
            stop,
            tasks,
            keeper,
            keep,
        })
    }

    /// The Kubernetes API itself: a tower service, and a way past HTTP for tests.
    pub fn api(&self) -> &Api {
        &self.api
    }

    /// The registry itself, with its counters.
    pub fn registry_store(&self) -> &Registry {
        &self.blobs
    }

    /// Where tests ask for faults.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Where tests set the load that autoscalers see.
    pub fn loads(&self) -> &Loads {
        &self.loads
    }

    /// The bare repositories below the folder, past HTTP, for tests that commit or look.
    pub fn repositories(&self) -> Repositories {
        self.repositories.clone()
    }

    /// Where it is said which repositories' pushes are told where.
    pub fn webhooks(&self) -> &Webhooks {
        &self.webhooks
    }

    /// Stops every part and writes what must survive.
    pub async fn stop(self) {
        self.kubelet.stop().await;
        self.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
        self.keep.cancel();
        if let Err(error) = self.keeper.await {
            tracing::error!(%error, "the last snapshot was not written");
        }
    }
}

/// The namespaces that every cluster has.
fn furnish(api: &Api) -> Result<(), Error> {
    let namespaces = api.built_in("Namespace");
    for name in ["default", "kube-system", "kube-public", "kube-node-lease"] {
        if api.exists(&namespaces, "", name) {
            continue;
        }
        let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        let made = api.create(&namespaces, "", namespace, &Write::by("kube-apiserver"));
        made.map_err(|e| Error::Http { what: format!("create the namespace {name}"), message: e.to_string() })?;
    }
    Ok(())
}

/// The token of an earlier playground here, or a new random one.
fn token(dir: &Path) -> Result<String, Error> {
    let path = dir.join("token");
    if let Ok(old) = std::fs::read_to_string(&path)
        && !old.trim().is_empty()
    {
        return Ok(old.trim().to_owned());
    }
    let token = format!("{:032x}", rand::random::<u128>());
    write_private(&path, &token)?;
    Ok(token)
}

fn write_private(path: &Path, text: &str) -> Result<(), Error> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let write = || -> std::io::Result<()> {
        let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)?;
        file.write_all(text.as_bytes())
    };
    write().map_err(|e| Error::io(format!("write {}", path.display()), e))
}

/// The token is in the address as well: kubectl sends no bearer token to a plain HTTP address.
fn write_kubeconfig(dir: &Path, addr: SocketAddr, token: &str) -> Result<PathBuf, Error> {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "playground",
        "clusters": [{"name": "playground", "cluster": {"server": format!("http://playground:{token}@{addr}")}}],
        "users": [{"name": "playground", "user": {"token": token}}],
        "contexts": [{"name": "playground", "context": {"cluster": "playground", "user": "playground", "namespace": "default"}}],
    });
    let path = dir.join("kubeconfig");
    write_private(&path, &format!("{config:#}\n"))?;
    Ok(path)
}
