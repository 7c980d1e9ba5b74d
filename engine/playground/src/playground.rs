//! Starting and stopping all the parts together.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

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
}

impl Playground {
    /// Starts every part, taking up what an earlier playground left in `dir`.
    ///
    /// # Errors
    /// When `dir` cannot be written, an address is taken, or what is in `dir` cannot be read.
    pub async fn start(dir: &Path, options: Options) -> Result<Playground, Error> {
        let _ = (dir, options);
        Err(Error::Http { what: "start".into(), message: "not built yet".into() })
    }

    /// Stops every part and writes what must survive.
    pub async fn stop(self) {}
}
