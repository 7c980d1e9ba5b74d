//! Which alerts act, on which rollout, and how: the rows `[[alerts.rule]]` of the configuration.

use super::alert::{Alert, AlertAction};
use super::alert_notification::{AlertState, Notification};
use crate::stream::Stream;
use serde::Deserialize;
use std::collections::BTreeMap;

/// One rule. The first whose labels fit an alert counts.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AlertRule {
    /// The labels that an alert has, each with just this value; an empty value means that it has none.
    #[serde(default, rename = "match")]
    pub labels: BTreeMap<String, String>,
    /// What happens to the rollout.
    #[serde(rename = "do")]
    pub action: AlertAction,
    /// The rollout's cluster; else the alert's label `cluster`, and where it has none the only cluster.
    #[serde(default)]
    pub cluster: Option<String>,
    /// The rollout's namespace; else the alert's label `namespace`.
    #[serde(default)]
    pub namespace: Option<String>,
    /// The rollout's name; else the alert's label `rollout`.
    #[serde(default)]
    pub rollout: Option<String>,
}

/// What one alert of a notification asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedAlert {
    /// The alert.
    pub alert: Alert,
    /// The stream of the rollout that it is about and what it does to it; or why it does nothing, as a sentence.
    pub asks: Result<(Stream, AlertAction), String>,
}

/// What each alert asks for by these rules. Those that abort come first, so that nothing is paused that goes back anyway.
pub fn plan_alerts(rules: &[AlertRule], clusters: &[String], told: Notification) -> Vec<PlannedAlert> {
    let plan = |told: super::alert_notification::ToldAlert| {
        let rule = rules.iter().find(|rule| rule.fits(&told.labels));
        let asks = match (told.state, rule) {
            (AlertState::Resolved, _) => Err("it is over; that neither aborts nor resumes anything".to_owned()),
            (AlertState::Firing, None) => Err("no rule of this hook matches its labels".to_owned()),
            (AlertState::Firing, Some(rule)) => rule.stream(&told.labels, clusters).map(|stream| (stream, rule.action)),
        };
        PlannedAlert { alert: told.alert, asks }
    };
    let mut planned: Vec<PlannedAlert> = told.alerts.into_iter().map(plan).collect();
    planned.sort_by_key(|one| !matches!(one.asks, Ok((_, AlertAction::Abort))));
    planned
}

impl AlertRule {
    /// Whether it is about an alert with these labels.
    fn fits(&self, labels: &BTreeMap<String, String>) -> bool {
        self.labels.iter().all(|(name, value)| labels.get(name).map_or("", String::as_str) == value)
    }

    /// The stream of the rollout that an alert with these labels is about.
    ///
    /// # Errors
    /// Which part of its name is not known, and what helps.
    fn stream(&self, labels: &BTreeMap<String, String>, clusters: &[String]) -> Result<Stream, String> {
        let part = |fixed: &Option<String>, label: &str| {
            let part = fixed.as_ref().or_else(|| labels.get(label)).filter(|part| !part.is_empty());
            match part {
                None => Err(format!(
                    "it has no label `{label}`; add one to the alerting rule, or write `{label} = ...` in the rule \
                     of [[alerts]]"
                )),
                Some(part) if part.contains('/') => Err(format!("its label `{label}` is `{part}`, which is no name")),
                Some(part) => Ok(part.clone()),
            }
        };
        let (namespace, name) = (part(&self.namespace, "namespace")?, part(&self.rollout, "rollout")?);
        let has_label = self.cluster.is_some() || labels.get("cluster").is_some_and(|label| !label.is_empty());
        let cluster = match clusters {
            [only] if !has_label => only.clone(),
            _ => part(&self.cluster, "cluster")?,
        };
        if !clusters.contains(&cluster) {
            let known = clusters.join("`, `");
            return Err(format!(
                "there is no cluster `{cluster}`, only `{known}`; write `cluster = ...` in the rule of [[alerts]]"
            ));
        }
        Ok(Stream::rollout(&cluster, &namespace, &name))
    }
}
