//! Applies and prunes, each write tied to what was seen.

use crate::error::trying;
use crate::{Cluster, Error, MANAGER, Result};
use decide::object::ObjectRef;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use serde_json::{Value, json};

/// The second manager, to whom a field goes that an autoscaler owns.
const HANDOVER: &str = "bespin-handover";

/// How a JSON patch is refused whose test fails; what validation or admission refuses reads otherwise.
/// Source: Kubernetes, `apimachinery/pkg/api/errors`, `NewGenericServerResponse` for 422.
const FAILED_TEST: &str = "the server rejected our request due to an error in our request";

/// What a write came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is as it was to be.
    Done,
    /// The object has changed since it was seen: look again.
    Stale,
}

impl Cluster {
    /// Applies an object, taking its fields from whoever has them. A uid or
    /// resourceVersion in its metadata must still be the live object's.
    ///
    /// # Errors
    /// What the API server refuses, by the object's name.
    pub async fn apply(&self, object: &Value) -> Result<Written> {
        let params = PatchParams::apply(MANAGER).force();
        self.patch("applying", object, &params).await
    }

    /// Asks whether an object would be accepted; nothing is written.
    ///
    /// # Errors
    /// What the API server would refuse, by the object's name.
    pub async fn rehearse(&self, object: &Value) -> Result<Written> {
        let params = PatchParams { dry_run: true, ..PatchParams::apply(MANAGER).force() };
        self.patch("rehearsing", object, &params).await
    }

    /// Applies a field's live value under the second manager, so that ours may
    /// leave it out without resetting it. Source: Kubernetes, "Server-Side
    /// Apply", transferring ownership between managers.
    ///
    /// # Errors
    /// What the API server refuses, by the object's name.
    pub async fn hand_over(&self, object: &Value) -> Result<Written> {
        let params = PatchParams::apply(HANDOVER).force();
        self.patch("handing over a field of", object, &params).await
    }

    async fn patch(&self, doing: &str, object: &Value, params: &PatchParams) -> Result<Written> {
        let named = Named::of(object);
        let tried = format!("{doing} {named}");
        let api = self.api(named.api_version, named.kind, named.namespace).await?;
        stale(trying(&tried, api.patch(named.name, params, &Patch::Apply(object))).await)
    }

    /// Replaces an object's `managedFields`, if it is still as it was read.
    ///
    /// # Errors
    /// What the API server refuses, by the object's name.
    pub async fn adopt(&self, live: &Value, managed: &Value) -> Result<Written> {
        let named = Named::of(live);
        let tried = format!("taking over the fields of {named}");
        let api = self.api(named.api_version, named.kind, named.namespace).await?;
        let patch: json_patch::Patch = serde_json::from_value(json!([
            { "op": "test", "path": "/metadata/resourceVersion", "value": live["metadata"]["resourceVersion"] },
            { "op": "replace", "path": "/metadata/managedFields", "value": managed },
        ]))
        .expect("the operations are well formed");
        let written = trying(&tried, api.patch(named.name, &PatchParams::default(), &Patch::Json::<()>(patch))).await;
        match written {
            Err(Error::Refused { code: 422, ref message, .. }) if message.contains(FAILED_TEST) => Ok(Written::Stale),
            other => stale(other),
        }
    }

    /// Deletes an object and, first, what it owns, if it is still as it was read.
    ///
    /// # Errors
    /// What the API server refuses, by the object's name.
    pub async fn prune(&self, object: (&str, &str), place: (&str, &str), uid: &str, version: &str) -> Result<Written> {
        let ((api_version, kind), (namespace, name)) = (object, place);
        let tried = format!("pruning {kind} {namespace}/{name}");
        let api = self.api(api_version, kind, Some(namespace).filter(|name| !name.is_empty())).await?;
        let read = Preconditions { uid: Some(uid.to_owned()), resource_version: Some(version.to_owned()) };
        let params = DeleteParams::foreground().preconditions(read);
        match trying(&tried, api.delete(name, &params)).await {
            Err(error) if error.is_not_found() => Ok(Written::Done),
            other => stale(other),
        }
    }

    /// Makes a namespace, unless it is there.
    ///
    /// # Errors
    /// What the API server refuses.
    pub async fn create_namespace(&self, name: &str) -> Result<Written> {
        let api = self.api("v1", "Namespace", None).await?;
        let object = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name } });
        let object = serde_json::from_value(object).expect("a namespace is an object");
        let params = PostParams { field_manager: Some(MANAGER.into()), ..PostParams::default() };
        let tried = format!("creating the namespace {name}");
        match trying(&tried, api.create(&params, &object)).await {
            Err(error) if error.is_conflict() => Ok(Written::Done),
            other => other.map(|_| Written::Done),
        }
    }
}

/// A conflict means that somebody else was there first: the next look sees it.
pub(crate) fn stale<T>(written: Result<T>) -> Result<Written> {
    match written {
        Ok(_) => Ok(Written::Done),
        Err(error) if error.is_conflict() => {
            tracing::debug!(%error, "looking again");
            Ok(Written::Stale)
        }
        Err(error) => Err(error),
    }
}

/// How an object names itself.
pub(crate) struct Named<'a> {
    pub(crate) api_version: &'a str,
    pub(crate) kind: &'a str,
    pub(crate) namespace: Option<&'a str>,
    pub(crate) name: &'a str,
}

impl<'a> Named<'a> {
    pub(crate) fn of(object: &'a Value) -> Named<'a> {
        let text = |value: &'a Value| value.as_str().unwrap_or_default();
        let metadata = &object["metadata"];
        Named {
            api_version: text(&object["apiVersion"]),
            kind: text(&object["kind"]),
            namespace: metadata["namespace"].as_str().filter(|name| !name.is_empty()),
            name: text(&metadata["name"]),
        }
    }
}

impl<'a> From<&'a ObjectRef> for Named<'a> {
    fn from(object: &'a ObjectRef) -> Named<'a> {
        let ObjectRef { api_version, kind, namespace, name, .. } = object;
        Named { api_version, kind, namespace: Some(namespace.as_str()).filter(|name| !name.is_empty()), name }
    }
}

impl std::fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.namespace {
            Some(namespace) => write!(f, "{} {namespace}/{}", self.kind, self.name),
            None => write!(f, "{} {}", self.kind, self.name),
        }
    }
}
