//! The health of a cert-manager Certificate.

use bespin_sdk::health::{Health, Status};
use bespin_sdk::{Deserialize, Result};

#[derive(Deserialize)]
struct Certificate {
    status: Option<Conditions>,
}

#[derive(Deserialize)]
struct Conditions {
    #[serde(default)]
    conditions: Vec<Condition>,
}

#[derive(Deserialize)]
struct Condition {
    r#type: String,
    status: String,
    #[serde(default)]
    reason: String,
    #[serde(default)]
    message: String,
}

fn assess(certificate: Certificate) -> Result<Health> {
    let conditions = certificate.status.map(|status| status.conditions).unwrap_or_default();
    let Some(ready) = conditions.into_iter().find(|condition| condition.r#type == "Ready") else {
        return Ok(Health::new(Status::Progressing, "it has no condition yet"));
    };
    let status = match (ready.status.as_str(), ready.reason.as_str()) {
        ("True", _) => Status::Healthy,
        ("False", "Issuing" | "DoesNotExist") => Status::Progressing,
        ("False", _) => Status::Degraded,
        _ => Status::Unknown,
    };
    Ok(Health::new(status, ready.message))
}

bespin_sdk::health!(assess);
