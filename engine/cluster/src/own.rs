//! How Applications change hands, and what is written on them.

use crate::apply::{Named, Written, stale};
use crate::error::trying;
use crate::{Cluster, Error, MANAGER, Result};
use decide::annotations::OWNER;
use decide::object::ObjectRef;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

/// The annotation by which Argo CD lets an Application go.
const SKIP: &str = "argocd.argoproj.io/skip-reconcile";

impl Cluster {
    /// Tells Argo CD to let an Application go, if it is still as it was read.
    ///
    /// # Errors
    /// What the API server refuses.
    pub async fn let_go(&self, application: &ObjectRef) -> Result<Written> {
        self.annotate(application, json!({ SKIP: "true" })).await
    }

    /// Makes an Application ours, if it is still as it was read.
    ///
    /// # Errors
    /// What the API server refuses.
    pub async fn claim(&self, application: &ObjectRef) -> Result<Written> {
        self.annotate(application, json!({ OWNER: MANAGER })).await
    }

    /// Gives an Application back to Argo CD, if it is still as it was read.
    ///
    /// # Errors
    /// What the API server refuses.
    pub async fn release(&self, application: &ObjectRef) -> Result<Written> {
        self.annotate(application, json!({ OWNER: null, SKIP: null })).await
    }

    async fn annotate(&self, object: &ObjectRef, annotations: Value) -> Result<Written> {
        let change = json!({ "metadata": {
            "uid": object.uid, "resourceVersion": object.resource_version, "annotations": annotations } });
        let named = Named::from(object);
        let tried = format!("annotating {named}");
        let api = self.api(named.api_version, named.kind, named.namespace).await?;
        let params = PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() };
        stale(trying(&tried, api.patch(named.name, &params, &Patch::Merge(&change))).await)
    }

    /// Creates an Application that is ours from birth.
    ///
    /// # Errors
    /// What the API server refuses: above all, one of that name is there.
    pub async fn create_application(&self, mut application: Value) -> Result<()> {
        if !application["metadata"]["annotations"].is_object() {
            application["metadata"]["annotations"] = json!({});
        }
        application["metadata"]["annotations"][OWNER] = MANAGER.into();
        let named = Named::of(&application);
        let tried = format!("creating {named}");
        let api = self.api(named.api_version, named.kind, named.namespace).await?;
        let object = serde_json::from_value(application.clone())
            .map_err(|error| Error::Malformed { tried: tried.clone(), cause: error.to_string() })?;
        let params = PostParams { field_manager: Some(MANAGER.into()), ..PostParams::default() };
        trying(&tried, api.create(&params, &object)).await.map(drop)
    }

    /// Writes some of an object's status: through the subresource where the
    /// kind has one, and on the object itself where, as in Argo CD's own
    /// definition of Applications, it has none.
    ///
    /// # Errors
    /// What the API server refuses.
    pub async fn write_status(&self, object: &ObjectRef, status: &Value) -> Result<Written> {
        let named = Named::from(object);
        let tried = format!("writing the status of {named}");
        let kind = self.kind(named.api_version, named.kind).await?;
        let api = self.api_of(&kind, named.namespace);
        let change = json!({ "metadata": { "uid": object.uid }, "status": status });
        let params = PatchParams { field_manager: Some(MANAGER.into()), ..PatchParams::default() };
        let patch = Patch::Merge(&change);
        match kind.subresources.iter().any(|name| name == "status") {
            true => stale(trying(&tried, api.patch_status(named.name, &params, &patch)).await),
            false => stale(trying(&tried, api.patch(named.name, &params, &patch)).await),
        }
    }
}
