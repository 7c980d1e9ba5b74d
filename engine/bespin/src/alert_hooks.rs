//! Alertmanager's webhooks: whose secret admits, and how what an alert does is recorded.

use crate::config::KeptSecret;
use crate::drive::Drivers;
use crate::stages::rollout::RolloutStage;
use api::hooks::alerts::{Alerts, HeededAlert};
use async_trait::async_trait;
use decide::rollout::{AlertAction, AlertRule, Notification, PlannedAlert, plan_alerts};
use secrecy::ExposeSecret;
use std::collections::BTreeMap;
use std::sync::Arc;
use subtle::{Choice, ConstantTimeEq};

/// A hook for Alertmanager, with what its notifications must bear and what they do.
#[derive(Debug)]
pub struct AlertHook {
    /// The last part of its address.
    pub name: String,
    /// The secrets that admit: one, or two while they rotate, in files of their own or on two lines.
    pub secrets: Vec<KeptSecret>,
    /// What each alert does, the first that fits.
    pub rules: Vec<AlertRule>,
}

/// The hooks of the configuration, over the stage `rollout`.
pub struct AlertHooks {
    hooks: BTreeMap<String, AlertHook>,
    clusters: Vec<String>,
    rollout: Arc<RolloutStage>,
    drivers: Arc<Drivers>,
}

impl AlertHooks {
    /// Binds the hooks to the rollouts of these clusters.
    pub fn new(
        hooks: Vec<AlertHook>,
        clusters: Vec<String>,
        rollout: Arc<RolloutStage>,
        drivers: &Arc<Drivers>,
    ) -> AlertHooks {
        let hooks = hooks.into_iter().map(|hook| (hook.name.clone(), hook)).collect();
        AlertHooks { hooks, clusters, rollout, drivers: drivers.clone() }
    }

    async fn heed_one(&self, planned: PlannedAlert) -> Result<HeededAlert, String> {
        let PlannedAlert { alert, asks } = planned;
        let (rollout, done) = match asks {
            Err(because) => (None, Err(because)),
            Ok((stream, action)) => {
                let heeded = self.rollout.heed(&self.drivers, &stream, &alert, action).await;
                let heeded = heeded.map_err(|error| format!("{}: {error}", stream.rest()))?;
                (Some(stream.rest().to_owned()), heeded.map(|()| action))
            }
        };
        let about = rollout.as_deref().unwrap_or_default();
        match &done {
            Ok(action) => tracing::warn!(alert = %alert, alert.fingerprint, rollout = about, ?action, "an alert acts"),
            Err(because) => {
                tracing::info!(alert = %alert, alert.fingerprint, rollout = about, because, "an alert does nothing");
            }
        }
        let because = match &done {
            Ok(AlertAction::Abort) => "it goes back to the stable version".to_owned(),
            Ok(AlertAction::Pause) => "it is held until a person resumes it".to_owned(),
            Err(because) => because.clone(),
        };
        Ok(HeededAlert { alert: alert.name, fingerprint: alert.fingerprint, rollout, did: done.ok(), because })
    }
}

#[async_trait]
impl Alerts for AlertHooks {
    fn is_hook(&self, hook: &str) -> bool {
        self.hooks.contains_key(hook)
    }

    fn admits(&self, hook: &str, secret: &[u8]) -> bool {
        let Some(hook) = self.hooks.get(hook) else { return false };
        // All are compared, so that the time tells of none.
        let known = hook.secrets.iter().flat_map(KeptSecret::lines);
        let fits = known.map(|known| known.expose_secret().as_bytes().ct_eq(secret));
        fits.fold(Choice::from(0), |any, one| any | one).into()
    }

    async fn heed(&self, hook: &str, told: Notification) -> Result<Vec<HeededAlert>, String> {
        let rules = self.hooks.get(hook).map(|hook| hook.rules.as_slice()).unwrap_or_default();
        let (mut heeded, mut failed) = (Vec::new(), None);
        for planned in plan_alerts(rules, &self.clusters, told) {
            match self.heed_one(planned).await {
                Ok(one) => heeded.push(one),
                // The others are about other rollouts, perhaps.
                Err(error) => drop(failed.get_or_insert(error)),
            }
        }
        failed.map_or(Ok(heeded), Err)
    }
}

#[cfg(test)]
mod tests;
