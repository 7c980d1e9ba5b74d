//! What a pod alone can be asked: to be bound to a node, and to be evicted.

use super::delete::Deletion;
use super::refusal::Refusal;
use super::route::{Query, Route};
use super::server::{created, decode};
use super::{Api, parameters};
use crate::serve::Body;
use http::{Method, Response, request::Parts};
use serde_json::{Value, json};

impl Api {
    pub(super) fn binding(
        &self,
        parts: &Parts,
        route: &Route,
        name: &str,
        query: &Query,
        body: &[u8],
    ) -> Result<Response<Body>, Refusal> {
        let binding = posted(parts, body, name, "Binding")?;
        let Some(node) = binding["target"]["name"].as_str().filter(|n| !n.is_empty()) else {
            return Err(Refusal::bad_request("target.name: Required value"));
        };
        self.bind(&route.namespace, name, node, &parameters::write(parts, query)?)?;
        Ok(succeeded())
    }

    /// Deletes a pod as an `Eviction` asks for. No budget is looked at: the playground has no disruption controller.
    pub(super) fn eviction(
        &self,
        parts: &Parts,
        route: &Route,
        name: &str,
        body: &[u8],
    ) -> Result<Response<Body>, Refusal> {
        let eviction = posted(parts, body, name, "Eviction")?;
        self.delete(&route.kind, &route.namespace, name, &Deletion::read(&eviction["deleteOptions"])?)?;
        Ok(succeeded())
    }
}

/// An object of this kind that is posted, about the pod of the path.
fn posted(parts: &Parts, body: &[u8], name: &str, kind: &str) -> Result<Value, Refusal> {
    if parts.method != Method::POST {
        return Err(Refusal::method_not_allowed());
    }
    let object = decode(parts, body)?;
    match object["metadata"]["name"].as_str() == Some(name) {
        true => Ok(object),
        false => Err(Refusal::bad_request(format!("name in URL does not match name in {kind} object"))),
    }
}

fn succeeded() -> Response<Body> {
    created(&json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}))
}
