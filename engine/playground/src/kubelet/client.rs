//! The HTTP client of the kubelet stand-in: any API server, by address and token.

use bytes::Bytes;
use futures::{Stream, StreamExt};
use reqwest::Method;
use serde_json::Value;

use super::KubeletOptions;
use crate::Error;

/// Who a request says that it comes from: it becomes the field manager.
pub(super) const KUBELET: &str = "kubelet/v1.33.0";
/// As [`KUBELET`], for bindings.
pub(super) const SCHEDULER: &str = "kube-scheduler/v1.33.0";

/// A client of one API server.
#[derive(Clone, Debug)]
pub(super) struct Client {
    http: reqwest::Client,
    url: String,
    token: String,
}

/// An answer that is an error.
#[derive(Debug, thiserror::Error)]
pub(super) enum Failure {
    /// The server answered with this code and message.
    #[error("{code}: {message}")]
    Refused {
        /// The HTTP status code.
        code: u16,
        /// The message of the `Status` in the answer, or the whole text where it is none.
        message: String,
    },
    /// No answer came, or one that could not be read; what the client says of it.
    #[error("no answer: {0}")]
    Silent(String),
}

impl Client {
    /// A client with these options.
    ///
    /// # Errors
    /// When the CA is no PEM certificate.
    pub(super) fn new(options: &KubeletOptions) -> Result<Client, Error> {
        let wrong =
            |e: reqwest::Error| Error::Http { what: "set up the kubelet's client".into(), message: e.to_string() };
        let mut builder = reqwest::Client::builder().no_proxy().tcp_nodelay(true);
        if let Some(pem) = &options.ca_pem {
            let bundle = reqwest::Certificate::from_pem_bundle(pem.as_bytes()).map_err(wrong)?;
            builder = builder.tls_certs_only(bundle);
        }
        let http = builder.build().map_err(wrong)?;
        Ok(Client { http, url: options.url.trim_end_matches('/').to_owned(), token: options.token.clone() })
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        agent: &str,
        media: &str,
        body: Option<&Value>,
    ) -> Result<reqwest::Response, Failure> {
        let silent = |e: reqwest::Error| Failure::Silent(e.to_string());
        let mut request = self.http.request(method, format!("{}{path}", self.url)).bearer_auth(&self.token);
        request = request.header("user-agent", agent).header("accept", "application/json");
        if let Some(body) = body {
            request = request.header("content-type", media).body(body.to_string());
        }
        let response = request.send().await.map_err(silent)?;
        let code = response.status().as_u16();
        if response.status().is_success() {
            return Ok(response);
        }
        let text = response.text().await.map_err(silent)?;
        let status: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
        let message = status["message"].as_str().map_or(text, str::to_owned);
        Err(Failure::Refused { code, message })
    }

    /// The answer to a GET below the server's address, as JSON.
    pub(super) async fn get(&self, path: &str) -> Result<Value, Failure> {
        let response = self.send(Method::GET, path, KUBELET, "", None).await?;
        response.json().await.map_err(|e| Failure::Silent(e.to_string()))
    }

    /// Creates what the body says; `agent` is the name that the server records as the manager.
    pub(super) async fn post(&self, path: &str, agent: &str, body: &Value) -> Result<(), Failure> {
        self.send(Method::POST, path, agent, "application/json", Some(body)).await.map(drop)
    }

    /// Patches, lists of built-in kinds by key.
    pub(super) async fn patch(&self, path: &str, body: &Value) -> Result<(), Failure> {
        self.send(Method::PATCH, path, KUBELET, "application/strategic-merge-patch+json", Some(body)).await.map(drop)
    }

    /// Deletes with these `DeleteOptions`.
    pub(super) async fn delete(&self, path: &str, options: &Value) -> Result<(), Failure> {
        self.send(Method::DELETE, path, KUBELET, "application/json", Some(options)).await.map(drop)
    }

    /// The lines of a watch.
    pub(super) async fn watch(&self, path: &str) -> Result<impl Stream<Item = Value> + use<>, Failure> {
        let response = self.send(Method::GET, path, KUBELET, "", None).await?;
        let chunks = Box::pin(response.bytes_stream());
        Ok(futures::stream::unfold((chunks, Vec::new()), |(mut chunks, mut rest)| async move {
            loop {
                if let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = rest.drain(..=end).collect();
                    match serde_json::from_slice(&line) {
                        Ok(value) => return Some((value, (chunks, rest))),
                        Err(_) => return None,
                    }
                }
                let chunk: Bytes = chunks.next().await?.ok()?;
                rest.extend_from_slice(&chunk);
            }
        }))
    }
}
