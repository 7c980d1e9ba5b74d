//! What the API promises, spoken to as a client would.

mod deleting;
mod owning;
mod printing;
mod reading;
mod refusing;
mod writing;

use bytes::Bytes;
use http::Request;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use tower::Service;

use super::Api;
use super::store::Store;
use super::write::Write;
use crate::faults::Faults;

const TOKEN: &str = "t0ken";

/// An API with the namespace `n`.
fn api() -> Api {
    let api = Api::new(Store::new(0, Vec::new()), TOKEN.into(), Faults::default());
    let namespace = json!({"metadata": {"name": "n"}});
    api.create(&api.built_in("Namespace"), "", namespace, &Write::by("test")).unwrap();
    api
}

/// Sends a request and returns the code and the object that came back.
async fn send(api: &Api, method: &str, path: &str, media: &str, body: &Value) -> (u16, Value) {
    let body = if body.is_null() { Bytes::new() } else { body.to_string().into() };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("authorization", format!("Bearer {TOKEN}"))
        .header("user-agent", "tester/1")
        .header("content-type", media)
        .body(Full::new(body))
        .unwrap();
    let response = api.clone().call(request).await.unwrap();
    let code = response.status().as_u16();
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    (code, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

async fn get(api: &Api, path: &str) -> (u16, Value) {
    send(api, "GET", path, "", &Value::Null).await
}

async fn post(api: &Api, path: &str, body: &Value) -> (u16, Value) {
    send(api, "POST", path, "application/json", body).await
}

async fn put(api: &Api, path: &str, body: &Value) -> (u16, Value) {
    send(api, "PUT", path, "application/json", body).await
}

async fn merge(api: &Api, path: &str, body: &Value) -> (u16, Value) {
    send(api, "PATCH", path, "application/merge-patch+json", body).await
}

async fn apply(api: &Api, path: &str, manager: &str, body: &Value) -> (u16, Value) {
    send(api, "PATCH", &format!("{path}?fieldManager={manager}"), "application/apply-patch+yaml", body).await
}

const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/n/deployments";
const WEB: &str = "/apis/apps/v1/namespaces/n/deployments/web";

fn deployment() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "labels": {"a": "1"}},
        "spec": {
            "replicas": 2,
            "selector": {"matchLabels": {"app": "web"}},
            "template": {
                "metadata": {"labels": {"app": "web"}},
                "spec": {"containers": [
                    {"name": "web", "image": "web:1", "ports": [{"containerPort": 80}],
                        "env": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}]},
                ]},
            },
        },
    })
}

fn config_map(name: &str) -> Value {
    json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"x": "1"}})
}
