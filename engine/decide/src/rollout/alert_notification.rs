//! Reads what Alertmanager's webhook posts, version "4".
//!
//! The sender is known by the time the bytes come here: its secret was compared.

use super::alert::Alert;
use crate::object::time;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;

/// The version of the payload that is read.
const VERSION: &str = "4";

/// The longest fingerprint; Alertmanager's has 16 digits.
const FINGERPRINT: usize = 64;

/// What one request tells of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Notification {
    /// Its alerts, in their order.
    pub alerts: Vec<ToldAlert>,
    /// How many more there are, which `max_alerts` has left out.
    pub left_out: u64,
}

/// One alert, with its labels.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ToldAlert {
    /// Whether it fires.
    pub state: AlertState,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// What is recorded of it.
    pub alert: Alert,
}

/// Whether an alert fires.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AlertState {
    /// It fires.
    Firing,
    /// It is over.
    Resolved,
}

#[derive(Deserialize)]
struct RawVersion {
    version: Option<Value>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawNotification {
    alerts: Vec<RawAlert>,
    #[serde(default)]
    truncated_alerts: u64,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RawAlert {
    status: AlertState,
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    starts_at: Value,
    #[serde(default)]
    fingerprint: String,
}

/// Reads a body.
///
/// # Errors
/// What is wrong with it, with its place, and what helps.
pub fn read_notification(body: &[u8]) -> Result<Notification, String> {
    let no_notification = |error: serde_json::Error| {
        format!("the body is no notification of Alertmanager: {error}; a receiver's `webhook_configs` sends one")
    };
    let RawVersion { version } = serde_json::from_slice(body).map_err(no_notification)?;
    if version.as_ref().and_then(Value::as_str) != Some(VERSION) {
        let found = version.map_or("missing".to_owned(), |version| version.to_string());
        return Err(format!(
            "/version is {found}, and this server reads \"{VERSION}\": send what a receiver's `webhook_configs` sends"
        ));
    }
    let raw: RawNotification = serde_json::from_slice(body).map_err(no_notification)?;
    let alerts = raw.alerts.into_iter().enumerate().map(|(index, raw)| {
        let mistake = |what: String| format!("/alerts/{index}{what}");
        told(raw).map_err(mistake)
    });
    Ok(Notification { alerts: alerts.collect::<Result<_, _>>()?, left_out: raw.truncated_alerts })
}

fn told(raw: RawAlert) -> Result<ToldAlert, String> {
    let started_at = time(&raw.starts_at).ok_or_else(|| format!("/startsAt is {}, and no time", raw.starts_at))?;
    let is_named = (1..=FINGERPRINT).contains(&raw.fingerprint.len());
    if !is_named || !raw.fingerprint.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        let help = "Alertmanager sends one since 0.21";
        return Err(format!("/fingerprint is not 1 to {FINGERPRINT} letters and digits; {help}"));
    }
    let name = raw.labels.get("alertname").filter(|name| !name.trim().is_empty());
    let name = name.map_or("without a name", String::as_str);
    let summary = raw.annotations.get("summary").map(String::as_str);
    let alert = Alert::new(name, &raw.fingerprint, started_at, summary);
    Ok(ToldAlert { state: raw.status, labels: raw.labels, alert })
}
