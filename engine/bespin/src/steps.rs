//! One attempt of one step: the plugin, caged by two keys, with the host's
//! abilities behind it.

use crate::drive::Trouble;
use crate::patience::until_known;
use crate::places::AttemptKey;
use crate::plugins::{Known, Plugins};
use async_trait::async_trait;
use decide::run::{Opened, Outcome};
use futures::future::BoxFuture;
use pipeline::declaration::Declared;
use pipeline::limits::Limits;
use pipeline::permission::{self, Permissions, Policy, Whose};
use sandbox::{Abilities, Sandbox, Verdict};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// What a run asks for.
#[derive(Clone, Debug)]
pub struct Asked {
    /// What the step's run rests on.
    pub run: Arc<Opened>,
    /// The step's id within the pipeline.
    pub step: String,
    /// The attempt, from 1.
    pub attempt: u32,
    /// The plugin's name, as `uses` writes it.
    pub uses: String,
    /// The settings, with their expressions rendered.
    pub settings: Value,
    /// The step's own grants, rendered.
    pub grants: BTreeMap<String, Vec<String>>,
    /// What it may take, in ms.
    pub timeout_ms: u64,
    /// Who approved the step in this run, as its journal has it.
    pub approved_by: Option<String>,
}

impl Asked {
    /// The attempt among all others.
    pub fn key(&self) -> AttemptKey {
        (self.run.id.clone(), self.step.clone(), self.attempt)
    }
}

/// Carries attempts out. Dropping the future stops the attempt.
#[async_trait]
pub trait Executor: Send + Sync + 'static {
    /// Runs an attempt to its end.
    async fn run(&self, asked: Asked) -> Outcome;
    /// Waits until nothing is left of an attempt that ended or was stopped: a program has a little time to end by itself.
    async fn settle(&self, _key: &AttemptKey) {}
}

/// Makes the abilities of one attempt.
pub trait Host: Send + Sync + 'static {
    /// The abilities behind the plugin.
    fn abilities(&self, asked: &Asked) -> Arc<dyn Abilities>;
    /// Writes a line of the server's own to the attempt's log.
    fn note(&self, asked: &Asked, level: &str, text: &str);
    /// The text with the run's secrets hidden: a journal is read by more people than a secret is for.
    fn hidden(&self, asked: &Asked, text: &str) -> String;
    /// The attempt has ended: its log is complete, but for the last words of what has not ended with it.
    fn ended(&self, asked: &Asked);
    /// Ready once nothing is left of the attempt.
    fn settled<'a>(&'a self, _key: &'a AttemptKey) -> BoxFuture<'a, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// Runs attempts as plugins in the sandbox.
pub struct PluginSteps {
    sandbox: Arc<Sandbox>,
    plugins: Arc<Plugins>,
    policy: Vec<Policy>,
    host: Arc<dyn Host>,
}

impl PluginSteps {
    /// Binds the sandbox, the plugins that are known, the policy and the host.
    pub fn new(sandbox: Arc<Sandbox>, plugins: Arc<Plugins>, policy: Vec<Policy>, host: Arc<dyn Host>) -> PluginSteps {
        PluginSteps { sandbox, plugins, policy, host }
    }

    async fn attempt(&self, asked: &Asked) -> Outcome {
        let look = || async {
            let plugin = self.plugins.get(&self.sandbox, &asked.uses).await;
            plugin.map_err(crate::plugins::Error::to_a_step)
        };
        let told = |trouble: &Trouble| self.host.note(asked, "warn", &format!("{trouble}; trying again"));
        // The run ends the wait at the step's timeout.
        let Known { plugin, identity, declared } = match until_known(look, told).await {
            Ok(known) => known,
            Err(trouble) => return Outcome::Rejected { because: trouble.message },
        };
        if let Some((manifest, signer)) = &identity.pulled {
            let from = format!("the plugin {manifest}, signed by {signer}");
            self.host.note(asked, "info", &from);
            // The server's own were checked when the file was read.
            match checked(&declared, &asked.uses, &asked.settings) {
                Ok(None) => {}
                Ok(Some(unchecked)) => self.host.note(asked, "info", &unchecked),
                Err(refused) => return refused,
            }
        }
        let own = match Permissions::parse(Whose::Step, &asked.grants) {
            Ok(own) => own,
            Err(mistakes) => return Outcome::Rejected { because: mistakes.join("; ") },
        };
        let (rows, approved_by) = (identity.rows(&self.policy), asked.approved_by.as_deref());
        let run = asked.run.subject();
        let permissions = permission::both(&rows, &run, approved_by, own);
        // The run ends an attempt at its timeout; the sandbox's own clock ends it as well.
        let wall = Duration::from_millis(asked.timeout_ms);
        let limits = Limits { wall, ..permission::limits(&rows, &run, approved_by) };
        let abilities = self.host.abilities(asked);
        let verdict = self.sandbox.run(&plugin, &asked.settings.to_string(), &permissions, &limits, abilities).await;
        outcome(verdict)
    }
}

#[async_trait]
impl Executor for PluginSteps {
    async fn run(&self, asked: Asked) -> Outcome {
        let _ended = Ended { host: &*self.host, asked: &asked };
        self.host.note(&asked, "info", &format!("{} attempt {}: {}", asked.step, asked.attempt, asked.uses));
        let outcome = hidden(self.attempt(&asked).await, |text| self.host.hidden(&asked, text));
        match &outcome {
            Outcome::Succeeded { outputs } => {
                for (name, value) in outputs.as_object().into_iter().flatten() {
                    self.host.note(&asked, "info", &format!("{name}: {}", value.as_str().unwrap_or_default()));
                }
            }
            Outcome::Rejected { because }
            | Outcome::Failed { because }
            | Outcome::Transient { because }
            | Outcome::Limit { because, .. } => {
                self.host.note(&asked, "error", because);
            }
            Outcome::TimedOut { .. } | Outcome::Lost | Outcome::Cancelled => {}
        }
        outcome
    }

    async fn settle(&self, key: &AttemptKey) {
        self.host.settled(key).await;
    }
}

/// Checks a registry's plugin by what it declares, now that it is here; a sentence where it declares nothing.
fn checked(declared: &Declared, uses: &str, settings: &Value) -> Result<Option<String>, Outcome> {
    match declared {
        Declared::Unchecked { because } => Ok(Some(format!("its settings are not checked: {because}"))),
        Declared::Known(declaration) => {
            let mistakes = declaration.mistakes(uses, settings);
            if mistakes.is_empty() {
                Ok(None)
            } else {
                Err(Outcome::Rejected { because: format!("with: {}", mistakes.join("; ")) })
            }
        }
    }
}

/// What is journaled of an outcome: all that a plugin says of it, without the secrets that it was given.
fn hidden(outcome: Outcome, hide: impl Fn(&str) -> String) -> Outcome {
    match outcome {
        Outcome::Succeeded { outputs } => {
            let hidden = |(name, value): (&String, &Value)| {
                (hide(name), Value::String(hide(value.as_str().unwrap_or_default())))
            };
            let outputs = outputs.as_object().into_iter().flatten().map(hidden).collect();
            Outcome::Succeeded { outputs: Value::Object(outputs) }
        }
        Outcome::Rejected { because } => Outcome::Rejected { because: hide(&because) },
        Outcome::Failed { because } => Outcome::Failed { because: hide(&because) },
        Outcome::Transient { because } => Outcome::Transient { because: hide(&because) },
        Outcome::Limit { which, because } => Outcome::Limit { which, because: hide(&because) },
        Outcome::TimedOut { .. } | Outcome::Lost | Outcome::Cancelled => outcome,
    }
}

/// Ends an attempt's log however the attempt ends, also when it is dropped.
struct Ended<'a> {
    host: &'a dyn Host,
    asked: &'a Asked,
}

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.host.ended(self.asked);
    }
}

fn outcome(verdict: Verdict) -> Outcome {
    match verdict {
        Verdict::Succeeded { outputs } => {
            let outputs = outputs.into_iter().map(|(name, value)| (name, Value::String(value))).collect();
            Outcome::Succeeded { outputs: Value::Object(outputs) }
        }
        // What the plugin says of its settings is a mistake in the file, which no attempt mends.
        Verdict::Rejected { because } if because.starts_with("with: ") => Outcome::Rejected { because },
        Verdict::Rejected { because } => Outcome::Failed { because },
        Verdict::Transient { because } => Outcome::Transient { because },
        Verdict::Denied(denied) => Outcome::Rejected { because: denied.to_string() },
        Verdict::Limit { which, because } => Outcome::Limit { which: which.to_string(), because },
        Verdict::TimedOut { after } => Outcome::TimedOut { after_ms: after.as_millis() as u64 },
        Verdict::Trapped { because } => Outcome::Failed { because: format!("the plugin crashed: {because}") },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_plugin_of_a_registry_is_checked_as_its_step_starts() {
        let uses = format!("ghcr.io/acme/talk@sha256:{}", "b".repeat(64));
        let text = r#"{ "settings": { "type": "object", "properties": { "text": { "type": "string" } },
                       "required": ["text"], "additionalProperties": false } }"#;
        let declared = Declared::of(Some(text.as_bytes()));
        assert_eq!(checked(&declared, &uses, &json!({ "text": "hello" })), Ok(None));
        let because = "with: `talk` has no setting `txet`; did you mean `text`?".to_owned();
        assert_eq!(checked(&declared, &uses, &json!({ "txet": "hello" })), Err(Outcome::Rejected { because }));
        let unchecked = checked(&Declared::of(None), &uses, &json!({ "anything": "goes" }));
        assert_eq!(unchecked, Ok(Some("its settings are not checked: it declares none".to_owned())));
    }
}
