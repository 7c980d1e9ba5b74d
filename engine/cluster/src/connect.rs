//! How a cluster is reached.

use crate::{Error, Result, retry_after};
use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use std::path::PathBuf;
use std::time::Duration;
use tower::limit::ConcurrencyLimitLayer;
use tower::util::AndThenLayer;

/// How many requests to one API server are on their way at once, each of which takes a connection; others wait. A watch
/// counts until it has begun.
const AT_ONCE: usize = 64;

/// One cluster of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Settings {
    /// The name that grants, streams and people use for it.
    pub name: String,
    /// How it is reached.
    pub reach: Reach,
    /// How the AWS load balancers before it are asked what they serve; nobody asks them when absent.
    #[serde(default)]
    pub elb: Option<ElbSettings>,
}

/// How the API of AWS' load balancers is reached. The credentials are those that the AWS SDK finds.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ElbSettings {
    /// The AWS region of the load balancers; the one that the AWS SDK finds when absent.
    #[serde(default)]
    pub region: Option<String>,
    /// Where the API listens, if elsewhere.
    #[serde(default)]
    pub endpoint: Option<String>,
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
    let Settings { name, reach, .. } = settings;
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
    let client = client.with_layer(&AndThenLayer::new(retry_after::keep));
    Ok((name, client.with_layer(&ConcurrencyLimitLayer::new(AT_ONCE)).build()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::sync::{Semaphore, mpsc};

    #[tokio::test]
    async fn an_api_server_that_hangs_takes_no_more_connections_than_the_bound() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (answers, connections) = (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)));
        let (arrived, mut arrivals) = mpsc::unbounded_channel();
        let (may_answer, counted) = (answers.clone(), connections.clone());
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                counted.fetch_add(1, Ordering::SeqCst);
                let (may_answer, arrived) = (may_answer.clone(), arrived.clone());
                tokio::spawn(async move {
                    let mut request = [0; 4096];
                    while stream.read(&mut request).await.is_ok_and(|read| read > 0) {
                        arrived.send(()).unwrap();
                        may_answer.acquire().await.unwrap().forget();
                        let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
                        stream.write_all(answer).await.unwrap();
                    }
                });
            }
        });
        let reach = Reach::Url { url, token: None, ca: None };
        let (_, client) = client(Settings { name: "a".into(), reach, elb: None }).await.unwrap();
        let ask = || {
            let client = client.clone();
            tokio::spawn(
                async move { client.request_text(http::Request::get("/readyz").body(Vec::new()).unwrap()).await },
            )
        };
        let asked: Vec<_> = (0..2 * AT_ONCE).map(|_| ask()).collect();
        for _ in 0..AT_ONCE {
            arrivals.recv().await.unwrap();
        }
        let more = tokio::time::timeout(Duration::from_millis(300), arrivals.recv()).await;
        assert!(more.is_err(), "more than {AT_ONCE} are on their way");
        answers.add_permits(2 * AT_ONCE);
        for answer in asked {
            assert_eq!(answer.await.unwrap().unwrap(), "ok");
        }
        assert!(connections.load(Ordering::SeqCst) <= AT_ONCE);
    }
}
