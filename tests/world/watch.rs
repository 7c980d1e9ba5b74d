//! Every change of a kind of object, in the order in which the API server tells them.

use super::kube::Kube;
use reqwest::Method;
use serde_json::Value;
use std::sync::{Arc, Mutex};

/// A watch that runs until it is dropped.
pub struct Watch {
    seen: Arc<Mutex<Vec<Value>>>,
    task: tokio::task::JoinHandle<()>,
}

impl Watch {
    /// Lists what is at `path`, then follows it. The first events are the objects as they are now.
    pub async fn start(kube: &Kube, path: &str) -> Watch {
        let list = kube.get(path).await.unwrap_or_else(|| panic!("there is nothing to list at {path}"));
        let items = list["items"].as_array().cloned().unwrap_or_default();
        let version = list["metadata"]["resourceVersion"].as_str().unwrap_or("0").to_owned();
        let seen = Arc::new(Mutex::new(items));
        let mut answer = kube
            .request(Method::GET, &format!("{path}?watch=true&resourceVersion={version}"))
            .send()
            .await
            .expect("the watch begins");
        assert!(answer.status().is_success(), "watching {path}: {}", answer.status());
        let all = seen.clone();
        let task = tokio::spawn(async move {
            let mut rest = Vec::new();
            while let Ok(Some(bytes)) = answer.chunk().await {
                rest.extend_from_slice(&bytes);
                while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
                    let line: Vec<u8> = rest.drain(..=end).collect();
                    let event: Value = serde_json::from_slice(&line).expect("an event is a line of JSON");
                    if event["type"] != "BOOKMARK" {
                        all.lock().expect("no holder panics").push(event["object"].clone());
                    }
                }
            }
        });
        Watch { seen, task }
    }

    /// Every state of every object so far, oldest first.
    pub fn all(&self) -> Vec<Value> {
        self.seen.lock().expect("no holder panics").clone()
    }

    /// The object `name` in each of its states so far, oldest first; a deleted one as it was last.
    pub fn states(&self, name: &str) -> Vec<Value> {
        let seen = self.seen.lock().expect("no holder panics");
        seen.iter().filter(|object| object["metadata"]["name"] == name).cloned().collect()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// The values without immediate repeats.
pub fn distinct<T: PartialEq>(values: impl IntoIterator<Item = T>) -> Vec<T> {
    let mut all: Vec<T> = values.into_iter().collect();
    all.dedup();
    all
}

/// The canary's share in percent by the ALB annotation of an Ingress, read as the AWS controller reads it.
pub fn weight(ingress: &Value) -> Option<u64> {
    let annotations = ingress["metadata"]["annotations"].as_object()?;
    let action = annotations.get("alb.ingress.kubernetes.io/actions.was-stable")?.as_str()?;
    let action: Value = serde_json::from_str(action).expect("the annotation is JSON");
    assert_eq!(action["Type"], "forward");
    let groups = action["ForwardConfig"]["TargetGroups"].as_array().expect("the target groups are listed");
    let of = |service: &str| groups.iter().find(|group| group["ServiceName"] == service)?["Weight"].as_u64();
    let (canary, stable) = (of("was-canary")?, of("was-stable")?);
    assert_eq!(canary + stable, 100, "weights are percent: {action}");
    Some(canary)
}
