//! Gates on the findings of a vulnerability scanner's report: Trivy's, Grype's or ECR's, as JSON.
//!
//! What cannot be read is no pass: an unknown format, a report of nothing, a scan that has not ended, and a finding
//! whose severity nobody knows.

mod report;

use std::collections::{BTreeMap, BTreeSet};

use bespin_sdk::{Deserialize, Outputs, Result, Value, artifacts, info, reject, warn, workspace};
use report::{Finding, Severity};

/// Findings that are written to the log one by one.
const SHOWN: usize = 100;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Settings {
    /// The report's path in the repository.
    report: Option<String>,
    /// The report's name among the artifacts of the run.
    artifact: Option<String>,
    /// Severities that are refused. An unknown one always is.
    #[serde(default = "serious")]
    refuse: Vec<Severity>,
    /// Findings that somebody has looked at and accepts, by id, such as `CVE-2024-3094`.
    #[serde(default)]
    accept: BTreeSet<String>,
}

fn serious() -> Vec<Severity> {
    vec![Severity::Critical, Severity::High]
}

fn run(settings: Settings) -> Result<Outputs> {
    let (name, bytes) = match (&settings.report, &settings.artifact) {
        (Some(path), None) => (path, workspace::read(path)?),
        (None, Some(name)) => (name, artifacts::get(name)?),
        _ => reject!("with: write either `report`, a path, or `artifact`, a name"),
    };
    let json: Value = match serde_json::from_slice(&bytes) {
        Ok(json) => json,
        Err(error) => reject!("{name} is no JSON: {error}"),
    };
    let (scanner, findings) = report::read(&json).map_err(|because| because.of(name))?;
    let (accepted, open): (Vec<Finding>, Vec<Finding>) =
        findings.into_iter().partition(|finding| settings.accept.contains(&finding.id));
    let known: BTreeSet<&String> = accepted.iter().map(|finding| &finding.id).collect();
    for id in settings.accept.iter().filter(|id| !known.contains(id)) {
        warn!("{id} is accepted, and the report does not have it");
    }
    let refused =
        |finding: &&Finding| finding.severity == Severity::Unknown || settings.refuse.contains(&finding.severity);
    let refused: Vec<&Finding> = open.iter().filter(refused).collect();
    info!("{scanner} found {}; {} accepted", open.len() + accepted.len(), accepted.len());
    for finding in refused.iter().take(SHOWN) {
        warn!("{finding}");
    }
    if refused.len() > SHOWN {
        warn!("and {} more", refused.len() - SHOWN);
    }
    if !refused.is_empty() {
        let counts = counts(refused.into_iter()).into_iter().filter(|(_, count)| *count > 0);
        let counts: Vec<String> = counts.map(|(severity, count)| format!("{count} {severity}")).collect();
        reject!("{name} has findings that are refused: {}", counts.join(", "));
    }
    let outputs = Outputs::new().with("scanner", scanner).with("accepted", accepted.len().to_string());
    let count =
        |outputs: Outputs, (severity, count): (Severity, usize)| outputs.with(severity.name(), count.to_string());
    Ok(counts(open.iter()).into_iter().fold(outputs, count))
}

/// How many there are of each severity, the worst first.
fn counts<'a>(findings: impl Iterator<Item = &'a Finding>) -> BTreeMap<Severity, usize> {
    let mut counts: BTreeMap<Severity, usize> = Severity::ALL.into_iter().map(|severity| (severity, 0)).collect();
    findings.for_each(|finding| *counts.entry(finding.severity).or_default() += 1);
    counts
}

bespin_sdk::step!(run);
bespin_sdk::settings!("settings.json");
