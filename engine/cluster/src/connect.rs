//! How a cluster is reached.

use crate::{Error, Result, retry_after};
use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use std::path::PathBuf;
use std::time::Duration;
use tower::util::AndThenLayer;

/// One cluster of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// The name that grants, streams and people use for it.
    pub name: String,
    /// How it is reached.
    pub reach: Reach,
}

/// How a cluster is reached.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub enum Reach {
    /// By a kubeconfig file.
    Kubeconfig {
        /// Where the file is.
        path: PathBuf,
        /// Which of its contexts; the current one when absent.
        #[serde(default)]
        context: Option<String>,
    },
    /// By the service account of the pod that Bespin runs in.
    InCluster,
    /// By an address and a token.
    Url {
        /// The API server's address, such as `https://127.0.0.1:6443`.
        url: String,
        /// The bearer token; none is sent when absent.
        #[serde(default)]
        token: Option<SecretString>,
        /// A PEM file with the authority that signed the server's certificate;
        /// the machine's own authorities when absent.
        #[serde(default)]
        ca: Option<PathBuf>,
    },
}

/// Builds the client of one cluster, and answers its name with it.
pub(crate) async fn client(settings: Settings) -> Result<(String, kube::Client)> {
    let Settings { name, reach } = settings;
    let wrong = |what: String| Error::Settings { cluster: name.clone(), what };
    let mut config = match reach {
        Reach::Kubeconfig { path, context } => {
            let file = Kubeconfig::read_from(&path).map_err(|e| wrong(format!("reading {}: {e}", path.display())))?;
            let options = KubeConfigOptions { context, ..KubeConfigOptions::default() };
            kube::Config::from_custom_kubeconfig(file, &options)
                .await
                .map_err(|e| wrong(format!("{} cannot be used: {e}", path.display())))?
        }
        Reach::InCluster => kube::Config::incluster().map_err(|e| wrong(format!("not inside a cluster: {e}")))?,
        Reach::Url { url, token, ca } => {
            let uri = url.parse().map_err(|e| wrong(format!("`{url}` is no address: {e}")))?;
            let mut config = kube::Config::new(uri);
            config.auth_info.token = token.map(|token| token.expose_secret().to_owned().into());
            config.root_cert_file = ca;
            config
        }
    };
    config.connect_timeout = Some(Duration::from_secs(10));
    // A watch is quiet for long; a half-open connection must die all the same.
    config.read_timeout = Some(Duration::from_secs(295));
    config.write_timeout = Some(Duration::from_secs(30));
    // Otherwise the time that a pooled connection was idle counts against the next answer.
    config.reset_reader_on_write = true;
    // Whoever asks tries again, and keeps to what the server asks for: see `retry_after`.
    config.default_retry = false;
    let client = ClientBuilder::try_from(config).map_err(|e| wrong(e.to_string()))?;
    Ok((name, client.with_layer(&AndThenLayer::new(retry_after::keep)).build()))
}
