//! Reports, by their formats. Each is known by fields that only it has.

use std::fmt;

use bespin_sdk::{Deserialize, Failure, Value};

/// One thing that a scanner found.
pub(crate) struct Finding {
    /// Such as `CVE-2024-3094`.
    pub id: String,
    /// How bad it is.
    pub severity: Severity,
    /// Where: a package and its version, a file.
    place: String,
    /// The version that mends it, if there is one.
    fixed: String,
}

/// How bad a finding is. The worst is first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Severity {
    #[serde(alias = "Critical", alias = "CRITICAL")]
    Critical,
    #[serde(alias = "High", alias = "HIGH")]
    High,
    #[serde(alias = "Medium", alias = "MEDIUM")]
    Medium,
    #[serde(alias = "Low", alias = "LOW")]
    Low,
    #[serde(alias = "Negligible", alias = "NEGLIGIBLE")]
    Negligible,
    /// The scanner does not say, or says what nobody knows.
    #[serde(alias = "Unknown", alias = "UNKNOWN")]
    Unknown,
}

/// Why a report says nothing that can be relied upon.
pub(crate) enum Unreadable {
    /// It has to be made otherwise.
    Odd(String),
    /// The scan has not ended.
    Early(String),
}

type Read<T> = Result<T, Unreadable>;

impl Severity {
    pub(crate) const ALL: [Severity; 6] =
        [Severity::Critical, Severity::High, Severity::Medium, Severity::Low, Severity::Negligible, Severity::Unknown];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Severity::Critical => "critical",
            Severity::High => "high",
            Severity::Medium => "medium",
            Severity::Low => "low",
            Severity::Negligible => "negligible",
            Severity::Unknown => "unknown",
        }
    }

    /// As a scanner writes it. ECR's UNDEFINED and UNTRIAGED are unknown, too.
    fn written(value: &Value) -> Severity {
        match value.as_str().map(str::to_ascii_lowercase).as_deref() {
            Some("critical") => Severity::Critical,
            Some("high") => Severity::High,
            Some("medium") => Severity::Medium,
            Some("low") => Severity::Low,
            Some("negligible" | "informational") => Severity::Negligible,
            _ => Severity::Unknown,
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.severity, self.id)?;
        match (self.place.as_str(), self.fixed.as_str()) {
            ("", _) => Ok(()),
            (place, "") => write!(f, " in {place}"),
            (place, fixed) => write!(f, " in {place}; mended in {fixed}"),
        }
    }
}

impl Unreadable {
    pub(crate) fn of(self, name: &str) -> Failure {
        match self {
            Unreadable::Odd(because) => Failure::Rejected(format!("{name}: {because}")),
            Unreadable::Early(because) => Failure::Transient(format!("{name}: {because}")),
        }
    }
}

/// The scanner's name, and all that it found.
pub(crate) fn read(report: &Value) -> Read<(&'static str, Vec<Finding>)> {
    let has = |key: &str| report.get(key).is_some();
    match (has("SchemaVersion") && has("ArtifactName"), has("matches") && has("descriptor"), has("imageScanStatus")) {
        (true, false, false) => Ok(("Trivy", trivy(report)?)),
        (false, true, false) => Ok(("Grype", grype(report)?)),
        (false, false, true) => Ok(("ECR", ecr(report)?)),
        _ => odd("it is no report of Trivy (`--format json`), Grype (`-o json`) or ECR (describe-image-scan-findings)"),
    }
}

fn odd<T>(because: &str) -> Read<T> {
    Err(Unreadable::Odd(because.to_owned()))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

/// A list that may be left out, or null, when it would be empty.
fn list<'a>(value: &'a Value, key: &str) -> Read<&'a [Value]> {
    match value.get(key) {
        None | Some(Value::Null) => Ok(&[]),
        Some(Value::Array(list)) => Ok(list),
        Some(_) => odd(&format!("its `{key}` is no list")),
    }
}

fn trivy(report: &Value) -> Read<Vec<Finding>> {
    if report["SchemaVersion"] != 2 {
        return odd(&format!("Trivy's schema version is {}, and only 2 is known", report["SchemaVersion"]));
    }
    let results = list(report, "Results")?;
    if results.is_empty() {
        return odd("it has no results: Trivy looked at nothing");
    }
    let mut findings = Vec::new();
    for result in results {
        let Some(target) = result["Target"].as_str() else { return odd("one of its results has no target") };
        for found in list(result, "Vulnerabilities")? {
            findings.push(Finding {
                id: text(&found["VulnerabilityID"]),
                severity: Severity::written(&found["Severity"]),
                place: format!("{} {}", text(&found["PkgName"]), text(&found["InstalledVersion"])),
                fixed: text(&found["FixedVersion"]),
            });
        }
        // What passed is listed as well.
        let failed = list(result, "Misconfigurations")?.iter().filter(|found| found["Status"] != "PASS");
        let others = failed.map(|found| (found, "ID"));
        let others = others.chain(list(result, "Secrets")?.iter().map(|found| (found, "RuleID")));
        let others = others.chain(list(result, "Licenses")?.iter().map(|found| (found, "Name")));
        for (found, id) in others {
            let severity = Severity::written(&found["Severity"]);
            findings.push(Finding { id: text(&found[id]), severity, place: target.to_owned(), fixed: String::new() });
        }
    }
    Ok(findings)
}

fn grype(report: &Value) -> Read<Vec<Finding>> {
    if !report["matches"].is_array() {
        return odd("its `matches` is no list");
    }
    let finding = |found: &Value| {
        let (vulnerability, artifact) = (&found["vulnerability"], &found["artifact"]);
        let fixed = vulnerability["fix"]["versions"].as_array().into_iter().flatten().filter_map(Value::as_str);
        Finding {
            id: text(&vulnerability["id"]),
            severity: Severity::written(&vulnerability["severity"]),
            place: format!("{} {}", text(&artifact["name"]), text(&artifact["version"])),
            fixed: fixed.collect::<Vec<_>>().join(", "),
        }
    };
    Ok(list(report, "matches")?.iter().map(finding).collect())
}

fn ecr(report: &Value) -> Read<Vec<Finding>> {
    match report["imageScanStatus"]["status"].as_str() {
        // Enhanced scanning goes on and on; what it has found stands.
        Some("COMPLETE" | "ACTIVE") => {}
        Some(status @ ("IN_PROGRESS" | "PENDING")) => {
            return Err(Unreadable::Early(format!("the scan has not ended: its status is {status}")));
        }
        status => return odd(&format!("the scan's status is {}", status.unwrap_or("not there"))),
    }
    if report.get("nextToken").is_some_and(|token| !token.is_null()) {
        return odd("it is one page of several; write all of them into one report");
    }
    let found = &report["imageScanFindings"];
    if !found.is_object() {
        return odd("it has no `imageScanFindings`");
    }
    let attribute = |finding: &Value, key: &str| {
        let attributes = finding["attributes"].as_array().into_iter().flatten();
        attributes.filter(|attribute| attribute["key"] == key).map(|attribute| text(&attribute["value"])).next()
    };
    let basic = list(found, "findings")?.iter().map(|finding| {
        let package = [attribute(finding, "package_name"), attribute(finding, "package_version")];
        let place = package.into_iter().flatten().collect::<Vec<_>>().join(" ");
        (text(&finding["name"]), finding, place, String::new())
    });
    let enhanced = list(found, "enhancedFindings")?.iter().map(|finding| {
        let details = &finding["packageVulnerabilityDetails"];
        let package = &details["vulnerablePackages"][0];
        let place = format!("{} {}", text(&package["name"]), text(&package["version"]));
        (text(&details["vulnerabilityId"]), finding, place, text(&package["fixedInVersion"]))
    });
    let finding = |(id, finding, place, fixed): (String, &Value, String, String)| {
        let severity = Severity::written(&finding["severity"]);
        Finding { id, severity, place: place.trim().to_owned(), fixed }
    };
    let findings: Vec<Finding> = basic.chain(enhanced).map(finding).collect();
    let counts = found["findingSeverityCounts"].as_object().into_iter().flat_map(|counts| counts.values());
    let counted: u64 = counts.filter_map(Value::as_u64).sum();
    if counted != findings.len() as u64 {
        return odd(&format!("it counts {counted} findings and lists {}; write all of them into it", findings.len()));
    }
    Ok(findings)
}
