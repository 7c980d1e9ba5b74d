//! What can be asked of a plugin: one type for each function that a world exports.

use std::collections::BTreeMap;

use wasmtime::Store;

use crate::host::bindings::StepPre;
use crate::host::bindings::bespin::plugin::failures::Failure;
use crate::host::worlds::{generate, health, measure, route};
use crate::state::State;
use crate::verdict::Verdict;
use crate::worlds::{Destination, Health, HealthStatus, Judgement, Measurement, Split, Verification};
use pipeline::limits::Limit;

/// What a guest's function returns: its answer, its failure, or its end.
pub(crate) type Returned<T> = wasmtime::Result<Result<T, Failure>>;

/// One question to a plugin, with the plugin that is asked.
pub(crate) trait Ask: Send + 'static {
    /// What the guest answers.
    type Raw: Send;
    /// What becomes of that.
    type Answer: Send + 'static;

    /// Instantiates the plugin and calls it.
    fn call(&self, store: &mut Store<State>) -> impl Future<Output = Returned<Self::Raw>> + Send;

    /// Judges an answer, which may have `at_most` bytes.
    fn judge(raw: Self::Raw, at_most: usize) -> Verdict<Self::Answer>;
}

/// To run a step.
pub(crate) struct RunStep {
    pub(crate) plugin: StepPre<State>,
    pub(crate) settings: String,
}

/// To judge an object.
pub(crate) struct Assess {
    pub(crate) plugin: health::HealthPre<State>,
    pub(crate) object: String,
}

/// To make the manifests of an Application from a source folder.
pub(crate) struct Generate {
    pub(crate) plugin: generate::GeneratePre<State>,
    pub(crate) parameters: String,
}

/// To measure one metric, by its settings.
pub(crate) struct Measure {
    pub(crate) plugin: measure::MeasurePre<State>,
    pub(crate) metric: String,
}

/// To share the traffic of a rollout as the split says.
pub(crate) struct SetWeight {
    pub(crate) plugin: route::RoutePre<State>,
    pub(crate) split: Split,
}

/// To look how traffic is shared.
pub(crate) struct VerifyWeight {
    pub(crate) plugin: route::RoutePre<State>,
    pub(crate) split: Split,
}

/// To take routes back.
pub(crate) struct Remove {
    pub(crate) plugin: route::RoutePre<State>,
    pub(crate) rollout: String,
}

impl Ask for RunStep {
    type Raw = String;
    type Answer = BTreeMap<String, String>;

    async fn call(&self, store: &mut Store<State>) -> Returned<String> {
        let step = self.plugin.instantiate_async(&mut *store).await?;
        step.bespin_plugin_guest().call_run(store, &self.settings).await
    }

    fn judge(answer: String, at_most: usize) -> Verdict {
        within(answer.len(), at_most, || match outputs(&answer) {
            Ok(outputs) => Verdict::Succeeded { outputs },
            Err(because) => Verdict::Rejected { because },
        })
    }
}

impl Ask for Assess {
    type Raw = health::guest::Health;
    type Answer = Health;

    async fn call(&self, store: &mut Store<State>) -> Returned<Self::Raw> {
        let plugin = self.plugin.instantiate_async(&mut *store).await?;
        plugin.bespin_plugin_health_guest().call_assess(store, &self.object).await
    }

    fn judge(answer: Self::Raw, at_most: usize) -> Verdict<Health> {
        let status = match answer.status {
            health::guest::Status::Healthy => HealthStatus::Healthy,
            health::guest::Status::Progressing => HealthStatus::Progressing,
            health::guest::Status::Degraded => HealthStatus::Degraded,
            health::guest::Status::Suspended => HealthStatus::Suspended,
            health::guest::Status::Missing => HealthStatus::Missing,
            health::guest::Status::Unknown => HealthStatus::Unknown,
        };
        let message = answer.message;
        within(message.len(), at_most, || Verdict::Succeeded { outputs: Health { status, message } })
    }
}

impl Ask for Generate {
    type Raw = Vec<String>;
    type Answer = Vec<String>;

    async fn call(&self, store: &mut Store<State>) -> Returned<Vec<String>> {
        let plugin = self.plugin.instantiate_async(&mut *store).await?;
        plugin.bespin_plugin_generate_guest().call_generate(store, &self.parameters).await
    }

    fn judge(outputs: Vec<String>, at_most: usize) -> Verdict<Vec<String>> {
        within(outputs.iter().map(String::len).sum(), at_most, || Verdict::Succeeded { outputs })
    }
}

impl Ask for Measure {
    type Raw = measure::guest::Measurement;
    type Answer = Measurement;

    async fn call(&self, store: &mut Store<State>) -> Returned<Self::Raw> {
        let plugin = self.plugin.instantiate_async(&mut *store).await?;
        plugin.bespin_plugin_measure_guest().call_measure(store, &self.metric).await
    }

    fn judge(answer: Self::Raw, at_most: usize) -> Verdict<Measurement> {
        let measure::guest::Measurement { value, judgement, message } = answer;
        let judgement = match judgement {
            measure::guest::Judgement::Unjudged => Judgement::Unjudged,
            measure::guest::Judgement::Successful => Judgement::Successful,
            measure::guest::Judgement::Failed => Judgement::Failed,
            measure::guest::Judgement::Inconclusive => Judgement::Inconclusive,
        };
        within(value.len() + message.len(), at_most, || match serde_json::from_str(&value) {
            Ok(value) => Verdict::Succeeded { outputs: Measurement { value, judgement, message } },
            Err(error) => Verdict::Rejected { because: format!("the plugin's value is no JSON: {error}") },
        })
    }
}

impl Ask for SetWeight {
    type Raw = ();
    type Answer = ();

    async fn call(&self, store: &mut Store<State>) -> Returned<()> {
        let plugin = self.plugin.instantiate_async(&mut *store).await?;
        plugin.bespin_plugin_route_guest().call_set_weight(store, &split(&self.split)).await
    }

    fn judge((): (), _: usize) -> Verdict<()> {
        Verdict::Succeeded { outputs: () }
    }
}

impl Ask for VerifyWeight {
    type Raw = route::guest::Verification;
    type Answer = Verification;

    async fn call(&self, store: &mut Store<State>) -> Returned<Self::Raw> {
        let plugin = self.plugin.instantiate_async(&mut *store).await?;
        plugin.bespin_plugin_route_guest().call_verify_weight(store, &split(&self.split)).await
    }

    fn judge(answer: Self::Raw, _: usize) -> Verdict<Verification> {
        let outputs = match answer {
            route::guest::Verification::Verified => Verification::Verified,
            route::guest::Verification::NotVerified => Verification::NotVerified,
            route::guest::Verification::NotSupported => Verification::NotSupported,
        };
        Verdict::Succeeded { outputs }
    }
}

impl Ask for Remove {
    type Raw = ();
    type Answer = ();

    async fn call(&self, store: &mut Store<State>) -> Returned<()> {
        let plugin = self.plugin.instantiate_async(&mut *store).await?;
        plugin.bespin_plugin_route_guest().call_remove(store, &self.rollout).await
    }

    fn judge((): (), _: usize) -> Verdict<()> {
        Verdict::Succeeded { outputs: () }
    }
}

fn split(split: &Split) -> route::guest::Split {
    let other =
        |Destination { service, hash, weight }: Destination| route::guest::Destination { service, hash, weight };
    let Split { rollout, weight, others } = split.clone();
    route::guest::Split { rollout, weight, others: others.into_iter().map(other).collect() }
}

/// The verdict on an answer of this length.
fn within<T>(bytes: usize, at_most: usize, verdict: impl FnOnce() -> Verdict<T>) -> Verdict<T> {
    if bytes > at_most {
        let because = format!("its outputs have {bytes} bytes; {at_most} are allowed");
        return Verdict::Limit { which: Limit::Output, because };
    }
    verdict()
}

/// A step's answer as a flat set of names and texts.
fn outputs(answer: &str) -> Result<BTreeMap<String, String>, String> {
    let outputs: BTreeMap<String, String> = serde_json::from_str(answer)
        .map_err(|error| format!("the plugin's outputs are no flat JSON object of strings: {error}"))?;
    let plain = |name: &str| !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    match outputs.keys().find(|name| !plain(name)) {
        Some(odd) => Err(format!("the plugin's output `{odd}` has a name that no expression can read")),
        None => Ok(outputs),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_flat_texts() {
        assert_eq!(outputs(r#"{"a":"1","b-c":""}"#).unwrap()["a"], "1");
        for answer in [r#"{"a":1}"#, r#"{"a":{"b":"c"}}"#, r#"["a"]"#, "", "{", r#"{"a b":"c"}"#, r#"{"":"c"}"#] {
            assert!(outputs(answer).is_err(), "{answer}");
        }
    }

    #[test]
    fn what_is_too_long_is_no_answer() {
        let generated = Generate::judge(vec!["a".repeat(6), "b".repeat(6)], 11);
        assert!(matches!(generated, Verdict::Limit { which: Limit::Output, .. }), "{generated:?}");
        assert!(matches!(Generate::judge(vec!["a".repeat(6)], 6), Verdict::Succeeded { .. }));
    }
}
