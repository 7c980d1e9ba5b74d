//! Argo CD's `Application`, as it stands in a cluster.
//!
//! What this version does not do is a warning where the outcome is the same
//! without it, and a refusal where it would be another. Nothing is ignored in silence.
//! Source: argo-cd `Application` v1alpha1, docs/operator-manual/application.yaml.

use super::generator::{self, Generator};
use super::ignore::{Respect, Rule};
use super::object::{self, annotation};
use super::order::Last;
use super::tracking::Approval;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use sha2::{Digest, Sha256};

pub use crate::annotations::{ON_ABORT, ON_RETREAT, OWNER};
/// The annotation by which Argo CD lets an Application go.
pub const SKIP: &str = "argocd.argoproj.io/skip-reconcile";

/// An Application that this version can sync.
#[derive(Clone, Debug, PartialEq)]
pub struct Application {
    /// Its name, which tracking ids carry.
    pub name: String,
    /// Where the manifests are.
    pub source: Source,
    /// The namespace of objects that name none; empty where the Application names none.
    pub namespace: String,
    /// What is done without being asked.
    pub automated: Option<Automated>,
    /// Whether a missing namespace is made.
    pub create_namespace: CreateNamespace,
    /// What is sent for ignored fields.
    pub respect: Respect,
    /// Whether pruning waits for everything else.
    pub prune_last: Last,
    /// What is left out of the comparison.
    pub rules: Vec<Rule>,
    /// Whether a person approved deletions.
    pub approval: Approval,
    /// A digest of everything but the revision that says what is applied.
    pub parameters: String,
    /// What this version does otherwise than Argo CD, as sentences.
    pub warnings: Vec<String>,
}

/// Where the manifests are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// The repository's address, by HTTP or SSH.
    pub repo_url: String,
    /// A branch, a tag, a commit, or `HEAD`.
    pub target_revision: String,
    /// The folder; empty for the root.
    pub path: String,
    /// How manifests are made of it.
    pub maker: Maker,
}

/// How manifests are made of a folder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Maker {
    /// Its files are manifests.
    Files(Depth),
    /// A plugin makes them.
    Plugin(Generator),
}

/// How the names of manifests end.
pub const MANIFESTS: [&str; 3] = [".yaml", ".yml", ".json"];

/// How deep a folder is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Depth {
    /// Only its own files.
    Flat,
    /// The manifests of the folders below it as well.
    Recurse,
}

impl Depth {
    /// Whether a file is read, by its name relative to the folder.
    pub fn reaches(self, name: &str) -> bool {
        self == Depth::Recurse || !name.contains('/')
    }
}

/// What is done without being asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Automated {
    /// Whether what left git is deleted.
    pub prune: Prune,
    /// Whether drift is healed.
    pub self_heal: SelfHeal,
    /// Whether git may name nothing at all.
    pub empty: Empty,
}

/// Whether what left git is deleted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Prune {
    /// What left git is deleted from the cluster.
    On,
    /// It stays, and the application stays out of sync.
    Off,
}

/// Whether drift is healed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SelfHeal {
    /// Drift is healed without a new commit.
    On,
    /// It is shown only.
    Off,
}

/// Whether git may name nothing at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Empty {
    /// Then everything is pruned.
    Allowed,
    /// Nothing is pruned then: an empty folder is more likely a mistake.
    Refused,
}

/// Whether a missing namespace is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreateNamespace {
    /// `CreateNamespace=true`: the sync makes it.
    Yes,
    /// Its absence is a mistake.
    No,
}

/// Whose an Application is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ownership {
    /// It carries our annotation.
    Owned,
    /// It does not: nothing is written.
    Observed,
}

/// Whose an Application is.
pub fn ownership(application: &Value) -> Ownership {
    match annotation(application, OWNER) {
        Some(_) => Ownership::Owned,
        None => Ownership::Observed,
    }
}

/// What becomes of git after a rollout was aborted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnAbort {
    /// Git goes on naming the image that failed.
    Hold,
    /// A pull request puts the image before it back.
    PullRequest,
    /// A commit on the deployed branch puts it back.
    Revert,
}

/// What becomes of git after a rollout was aborted. An Application that does not say gets a pull request: the cause
/// may have been elsewhere.
///
/// # Errors
/// A word that is none of the three, as a sentence; nothing may follow from it.
pub fn on_abort(application: &Value) -> Result<OnAbort, String> {
    let newer = annotation(application, ON_ABORT).map(|word| (ON_ABORT, word));
    let Some((name, word)) = newer.or_else(|| annotation(application, ON_RETREAT).map(|word| (ON_RETREAT, word)))
    else {
        return Ok(OnAbort::PullRequest);
    };
    match word {
        "pull-request" => Ok(OnAbort::PullRequest),
        "revert" => Ok(OnAbort::Revert),
        "hold" => Ok(OnAbort::Hold),
        other => {
            let word: String = other.chars().take(40).collect();
            Err(format!("{name}: `{word}` is none of hold, pull-request and revert, and is taken as hold"))
        }
    }
}

/// What is to be said about the name of the annotation.
fn older_name(application: &Value) -> Option<String> {
    annotation(application, ON_RETREAT)?;
    Some(match annotation(application, ON_ABORT) {
        None => {
            format!("the annotation {ON_RETREAT} is called {ON_ABORT} now; the older name is still read: rename it")
        }
        Some(_) => format!("the annotation {ON_RETREAT} has no effect beside {ON_ABORT}: remove it"),
    })
}

/// Reads an Application.
///
/// # Errors
/// What this version cannot do, as one sentence with the help.
pub fn read(object: &Value) -> Result<Application, String> {
    let spec = &object["spec"];
    let mut warnings = Vec::new();
    let source = source(spec, &mut warnings)?;
    let namespace = destination(&spec["destination"])?;
    let policy = &spec["syncPolicy"];
    let options: Vec<&str> = policy["syncOptions"].as_array().into_iter().flatten().filter_map(Value::as_str).collect();
    warn_of_options(&options, &mut warnings);
    let known = ["automated", "syncOptions", "retry", "managedNamespaceMetadata"];
    unknown(policy, &known, "spec.syncPolicy", &mut warnings);
    for later in ["retry", "managedNamespaceMetadata"] {
        if !policy[later].is_null() {
            warnings.push(format!("spec.syncPolicy.{later} is not used by this version"));
        }
    }
    let known = [
        "project",
        "source",
        "sources",
        "destination",
        "syncPolicy",
        "ignoreDifferences",
        "info",
        "revisionHistoryLimit",
    ];
    unknown(spec, &known, "spec", &mut warnings);
    if spec["project"].as_str().is_some_and(|project| project != "default") {
        warnings.push("the limits of AppProjects are not enforced by this version".into());
    }
    if object["metadata"]["finalizers"].as_array().is_some_and(|all| !all.is_empty()) {
        warnings.push("finalizers are not run by this version: deleting the Application deletes nothing else".into());
    }
    warnings.extend(older_name(object));
    warnings.extend(on_abort(object).err());
    let rules = spec["ignoreDifferences"].clone();
    let rules = if rules.is_null() { Value::Array(Vec::new()) } else { rules };
    let rules =
        serde_json::from_value(rules).map_err(|error| format!("spec.ignoreDifferences cannot be read: {error}"))?;
    let has = |option: &str| options.contains(&option);
    Ok(Application {
        name: object::name(object).to_owned(),
        parameters: parameters(spec),
        source,
        namespace,
        automated: automated(&policy["automated"], &mut warnings),
        create_namespace: if has("CreateNamespace=true") { CreateNamespace::Yes } else { CreateNamespace::No },
        respect: if has("RespectIgnoreDifferences=true") { Respect::Live } else { Respect::Git },
        prune_last: if has("PruneLast=true") { Last::Yes } else { Last::Asked },
        rules,
        approval: match annotation(object, "argocd.argoproj.io/deletion-approved") {
            Some(_) => Approval::Given,
            None => Approval::None,
        },
        warnings,
    })
}

fn parameters(spec: &Value) -> String {
    let said = serde_json::json!([
        spec["source"],
        spec["destination"],
        spec["syncPolicy"]["syncOptions"],
        spec["ignoreDifferences"]
    ]);
    hex::encode(&Sha256::digest(said.to_string())[..8])
}

fn source(spec: &Value, warnings: &mut Vec<String>) -> Result<Source, String> {
    if spec["sources"].as_array().is_some_and(|sources| !sources.is_empty()) {
        return Err("spec.sources: several sources are not supported by this version; use spec.source".into());
    }
    let source = &spec["source"];
    for tool in ["chart", "helm", "kustomize"] {
        if !source[tool].is_null() {
            return Err(format!(
                "spec.source.{tool} is not supported by this version; commit rendered manifests instead"
            ));
        }
    }
    let directory = &source["directory"];
    for narrowing in ["include", "exclude", "jsonnet"] {
        let set = match &directory[narrowing] {
            Value::Null => false,
            Value::String(text) => !text.is_empty(),
            Value::Object(map) => !map.is_empty(),
            _ => true,
        };
        if set {
            return Err(format!(
                "spec.source.directory.{narrowing} is not supported by this version; use a folder of its own"
            ));
        }
    }
    unknown(
        source,
        &["repoURL", "targetRevision", "path", "directory", "chart", "helm", "kustomize", "plugin"],
        "spec.source",
        warnings,
    );
    let text = |key: &str| source[key].as_str().unwrap_or_default().trim().to_owned();
    let repo_url = text("repoURL");
    if repo_url.is_empty() {
        return Err("spec.source.repoURL is missing: name the manifests repository".into());
    }
    let target = text("targetRevision");
    let path = text("path");
    let path = path.trim_matches('/').trim_start_matches("./");
    if path.split('/').any(|part| part == "..") {
        return Err(format!("spec.source.path `{path}` leaves the repository"));
    }
    let depth = if directory["recurse"] == true { Depth::Recurse } else { Depth::Flat };
    let maker = match &source["plugin"] {
        Value::Null => Maker::Files(depth),
        plugin => Maker::Plugin(generator::read(plugin, warnings)?),
    };
    if matches!(maker, Maker::Plugin(_)) && !directory.is_null() {
        return Err("spec.source has both `directory` and `plugin`: keep the one that makes the manifests".into());
    }
    Ok(Source {
        repo_url,
        target_revision: if target.is_empty() { "HEAD".into() } else { target },
        path: if path == "." { String::new() } else { path.to_owned() },
        maker,
    })
}

/// `https://kubernetes.default.svc` means the cluster that the Application was read from.
fn destination(destination: &Value) -> Result<String, String> {
    let text = |key: &str| destination[key].as_str().unwrap_or_default();
    let here = matches!((text("server"), text("name")), ("https://kubernetes.default.svc", _) | ("", "in-cluster"));
    match here {
        true => Ok(text("namespace").to_owned()),
        false => Err(format!(
            "spec.destination names {}{}; this version syncs only the cluster that the Application lives in \
             (server: https://kubernetes.default.svc)",
            text("server"),
            text("name")
        )),
    }
}

fn automated(automated: &Value, warnings: &mut Vec<String>) -> Option<Automated> {
    let on = |key: &str| automated[key] == true;
    if !automated.is_object() || automated["enabled"] == false {
        return None;
    }
    unknown(automated, &["prune", "selfHeal", "allowEmpty", "enabled"], "spec.syncPolicy.automated", warnings);
    Some(Automated {
        prune: if on("prune") { Prune::On } else { Prune::Off },
        self_heal: if on("selfHeal") { SelfHeal::On } else { SelfHeal::Off },
        empty: if on("allowEmpty") { Empty::Allowed } else { Empty::Refused },
    })
}

fn warn_of_options(options: &[&str], warnings: &mut Vec<String>) {
    for option in options {
        let warning = match *option {
            "CreateNamespace=true"
            | "CreateNamespace=false"
            | "ServerSideApply=true"
            | "PruneLast=true"
            | "PruneLast=false"
            | "RespectIgnoreDifferences=true"
            | "RespectIgnoreDifferences=false"
            | "ApplyOutOfSyncOnly=true"
            | "ApplyOutOfSyncOnly=false"
            | "PrunePropagationPolicy=foreground"
            | "Validate=true"
            | "Replace=false"
            | "Force=false"
            | "FailOnSharedResource=true" => continue,
            "ServerSideApply=false" => "ServerSideApply=false is not used: every apply is server-side".to_owned(),
            other => format!("the sync option {other} is not used by this version"),
        };
        warnings.push(warning);
    }
}

pub(super) fn unknown(map: &Value, known: &[&str], place: &str, warnings: &mut Vec<String>) {
    for key in map.as_object().into_iter().flat_map(|map| map.keys()).filter(|key| !known.contains(&key.as_str())) {
        warnings.push(format!("{place}.{key} is not known to this version and has no effect"));
    }
}

#[cfg(test)]
#[path = "application/tests.rs"]
mod tests;
