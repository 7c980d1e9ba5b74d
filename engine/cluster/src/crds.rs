//! The kinds of Argo that Bespin reads and serves: installed where none is
//! there, and never changed or removed after that, whoever installed them.

use crate::error::trying;
use crate::{Cluster, Error, MANAGER, Result};
use kube::api::{DynamicObject, PostParams};
use serde_json::Value;
use std::time::{Duration, Instant};

/// What Bespin installs, as YAML.
const OURS: [&str; 7] = [
    include_str!("crds/applications.yaml"),
    include_str!("crds/appprojects.yaml"),
    include_str!("crds/rollouts.yaml"),
    include_str!("crds/analysistemplates.yaml"),
    include_str!("crds/analysisruns.yaml"),
    // Nothing of these is acted upon, but `kubectl argo rollouts get` lists them and waits until it can.
    include_str!("crds/clusteranalysistemplates.yaml"),
    include_str!("crds/experiments.yaml"),
];

/// How long the API server may take to serve a kind that was installed.
const SERVED: Duration = Duration::from_secs(30);

impl Cluster {
    /// Installs those of Argo's kinds that the cluster lacks, and waits until
    /// all of them are served. Answers the names of what was installed.
    ///
    /// # Errors
    /// What the API server refuses, and a kind that is not served in time.
    pub async fn install_crds(&self) -> Result<Vec<String>> {
        let mut installed = Vec::new();
        for text in OURS {
            let definition: Value = serde_saphyr::from_str(text).expect("the definitions are tested to be YAML");
            if self.install(&definition).await? {
                installed.push(definition["metadata"]["name"].as_str().unwrap_or_default().to_owned());
            }
        }
        for text in OURS {
            let definition: Value = serde_saphyr::from_str(text).expect("the definitions are tested to be YAML");
            self.is_served(definition["spec"]["names"]["kind"].as_str().unwrap_or_default()).await?;
        }
        Ok(installed)
    }

    /// Creates a definition, unless one of that name is there.
    async fn install(&self, definition: &Value) -> Result<bool> {
        let api = self.api("apiextensions.k8s.io/v1", "CustomResourceDefinition", None).await?;
        let name = definition["metadata"]["name"].as_str().unwrap_or_default();
        let tried = format!("installing the CustomResourceDefinition {name}");
        if trying(&tried, api.get_opt(name)).await?.is_some() {
            return Ok(false);
        }
        let object: DynamicObject = serde_json::from_value(definition.clone()).expect("a definition is an object");
        let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
        match trying(&tried, api.create(&params, &object)).await {
            Ok(_) => Ok(true),
            // Somebody else was faster; theirs is as good.
            Err(error) if error.is_conflict() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Waits until a kind is served: the API server takes a moment to do so.
    async fn is_served(&self, kind: &str) -> Result<()> {
        let start = Instant::now();
        loop {
            match self.kind("argoproj.io/v1alpha1", kind).await {
                Ok(_) => return Ok(()),
                Err(Error::UnknownKind { .. }) if start.elapsed() < SERVED => {
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
                Err(error) => return Err(error),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definitions_say_what_clients_and_autoscalers_need() {
        let all: Vec<Value> = OURS.iter().map(|text| serde_saphyr::from_str(text).unwrap()).collect();
        for definition in &all {
            let names = &definition["spec"]["names"];
            let name = format!("{}.argoproj.io", names["plural"].as_str().unwrap());
            assert_eq!(definition["metadata"]["name"], name.as_str());
            assert_eq!(definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]["type"], "object", "{name}");
        }
        let scope =
            |kind: &str| all.iter().find(|one| one["spec"]["names"]["kind"] == kind).unwrap()["spec"]["scope"].clone();
        assert_eq!(scope("ClusterAnalysisTemplate"), "Cluster");
        assert_eq!(scope("Experiment"), "Namespaced");
        let rollout = &all[2]["spec"];
        assert_eq!(rollout["names"]["shortNames"][0], "ro");
        let scale = &rollout["versions"][0]["subresources"]["scale"];
        assert_eq!(scale["specReplicasPath"], ".spec.replicas");
        assert_eq!(scale["statusReplicasPath"], ".status.HPAReplicas");
        assert_eq!(scale["labelSelectorPath"], ".status.selector");
    }
}
