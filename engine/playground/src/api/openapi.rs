//! As much of the OpenAPI v3 document as kubectl reads before it applies: that each kind can be patched, and which
//! parameters a patch takes.

use serde_json::{Map, Value, json};

use super::kind::Kinds;

/// Where the version 2 document is: kubectl asks for it, in protobuf, when it applies a `List`.
pub(super) const OLD_PATH: &str = "/openapi/v2";
/// The media type of that document.
pub(super) const OLD_MEDIA: &str = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf";
/// A protobuf message without fields: a document that describes nothing, so that nothing is validated by it.
pub(super) const OLD_DOCUMENT: &[u8] = b"";

/// The document at a path below `/openapi/v3`; `None` when it is none.
pub(super) fn document(kinds: &Kinds, path: &str) -> Option<Value> {
    let rest = path.strip_prefix("/openapi/v3")?.trim_matches('/');
    if rest.is_empty() {
        let mut paths = Map::new();
        for kind in kinds.all() {
            let at = prefix(&kind.group, &kind.version);
            // The hash in a real server's address lets clients cache; nothing here is worth it.
            paths.insert(at.clone(), json!({"serverRelativeURL": format!("/openapi/v3/{at}")}));
        }
        return Some(json!({"paths": paths}));
    }
    let mut paths = Map::new();
    for kind in kinds.all().filter(|kind| prefix(&kind.group, &kind.version) == rest) {
        let namespace = if kind.namespaced() { "/namespaces/{namespace}" } else { "" };
        let parameter =
            |name: &str| json!({"name": name, "in": "query", "schema": {"type": "string", "uniqueItems": true}});
        let parameters: Vec<Value> = ["dryRun", "fieldManager", "fieldValidation", "force"].map(parameter).to_vec();
        let operation = json!({
            "operationId": format!("patch{}", kind.kind),
            "x-kubernetes-action": "patch",
            "x-kubernetes-group-version-kind": {"group": kind.group, "version": kind.version, "kind": kind.kind},
            "parameters": parameters,
            "responses": {"200": {"description": "OK"}},
        });
        paths.insert(format!("/{rest}{namespace}/{}/{{name}}", kind.plural), json!({"patch": operation}));
    }
    if paths.is_empty() {
        return None;
    }
    Some(json!({"openapi": "3.0.0", "info": {"title": "Kubernetes", "version": "v1.33.0"}, "paths": paths,
        "components": {"schemas": {}}}))
}

fn prefix(group: &str, version: &str) -> String {
    if group.is_empty() { format!("api/{version}") } else { format!("apis/{group}/{version}") }
}
