//! How a pod fares: by its annotation, or by what its image is called.

use std::time::Duration;

use serde_json::Value;

/// The annotation that decides.
pub(super) const ANNOTATION: &str = "playground.bespin.dev/fate";

/// How a pod fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It runs and becomes Ready.
    Runs,
    /// Its containers crash again and again.
    Crashes,
    /// It runs and never becomes Ready.
    NeverReady,
    /// Its image cannot be pulled.
    NeverPulls,
    /// It does its work after this time, and exits with this code.
    Finishes(Duration, i64),
}

/// Decides a pod's fate.
pub(super) fn of(pod: &Value) -> Fate {
    let annotation = pod["metadata"]["annotations"][ANNOTATION].as_str().unwrap_or_default();
    let containers = pod["spec"]["containers"].as_array().map(Vec::as_slice).unwrap_or_default();
    let images = containers.iter().filter_map(|c| c["image"].as_str());
    // The registry's host is no part of the name: `crash.example.com/web` is fine.
    let names: Vec<&str> = images.map(|image| image.split_once('/').map_or(image, |(_, name)| name)).collect();
    let says = |word: &str| annotation == word || names.iter().any(|name| name.contains(word));
    if says("never-pulls") {
        return Fate::NeverPulls;
    }
    if says("never-ready") {
        return Fate::NeverReady;
    }
    if says("crash") {
        return Fate::Crashes;
    }
    match pod["spec"]["restartPolicy"].as_str() {
        Some("Never" | "OnFailure") => {
            let words = command(containers.first().unwrap_or(&Value::Null));
            Fate::Finishes(Duration::from_secs(after(&words, "sleep")), after(&words, "exit").cast_signed())
        }
        _ => Fate::Runs,
    }
}

fn command(container: &Value) -> Vec<String> {
    let lists = ["command", "args"].into_iter().filter_map(|field| container[field].as_array());
    let words = lists.flatten().filter_map(Value::as_str);
    words.flat_map(|w| w.split([' ', ';', '&'])).filter(|w| !w.is_empty()).map(str::to_owned).collect()
}

/// The number after a word; 0 without one.
fn after(words: &[String], word: &str) -> u64 {
    let at = words.iter().position(|w| w == word || w.ends_with(&format!("/{word}")));
    at.and_then(|at| words.get(at + 1)?.parse().ok()).unwrap_or(0)
}

/// How long a `preStop` hook that sleeps takes.
pub(super) fn farewell(pod: &Value) -> Duration {
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    let hooks = containers.map(|c| &c["lifecycle"]["preStop"]);
    let seconds =
        hooks.map(|hook| hook["sleep"]["seconds"].as_u64().unwrap_or_else(|| after(&command(&hook["exec"]), "sleep")));
    Duration::from_secs(seconds.max().unwrap_or(0))
}

/// The longest initial delay of the readiness probes.
pub(super) fn probe_delay(pod: &Value) -> Duration {
    let containers = pod["spec"]["containers"].as_array().into_iter().flatten();
    let seconds = containers.filter_map(|c| c["readinessProbe"]["initialDelaySeconds"].as_u64());
    Duration::from_secs(seconds.max().unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn pod(image: &str) -> Value {
        json!({"metadata": {}, "spec": {"restartPolicy": "Always", "containers": [{"name": "a", "image": image}]}})
    }

    #[test]
    fn the_image_decides_unless_it_is_only_the_registry_that_is_called_so() {
        assert_eq!(of(&pod("crash.example.com/web:v1")), Fate::Runs);
        assert_eq!(of(&pod("example.com/web:v1-crash")), Fate::Crashes);
        assert_eq!(of(&pod("example.com/never-pulls:1")), Fate::NeverPulls);
        assert_eq!(of(&pod("example.com/web:never-ready")), Fate::NeverReady);
    }

    #[test]
    fn the_annotation_decides_too() {
        let mut pod = pod("example.com/web:v1");
        pod["metadata"]["annotations"] = json!({ANNOTATION: "never-ready"});
        assert_eq!(of(&pod), Fate::NeverReady);
    }

    #[test]
    fn a_pod_that_is_not_restarted_finishes() {
        let mut pod = pod("example.com/job:v1");
        pod["spec"]["restartPolicy"] = "Never".into();
        pod["spec"]["containers"][0]["command"] = json!(["sh", "-c", "sleep 2; exit 3"]);
        assert_eq!(of(&pod), Fate::Finishes(Duration::from_secs(2), 3));
    }
}
