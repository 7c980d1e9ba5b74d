//! Recorded cases: what a plugin is given, what the world answers, and what must come of it.
//!
//! A case is a YAML file in the project's `tests` folder; [`FORMAT`] shows what it says.

pub(super) mod calls;
mod check;
mod written;

use super::outcome::{CallOutcome, Ending, WorldAnswer};
use pipeline::lint;
use pipeline::permission::Permissions;
use sandbox::{Failure, Split, World};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

pub(super) use written::Object;

/// The longest case, in bytes.
const LONGEST: u64 = 4 << 20;

/// What `bespin plugin test --help` says of a case.
pub(super) const FORMAT: &str = r###"A case is a YAML file:

  with: { to: https://chat.example/, secret: token }      # as in the pipeline
  grants: { http: [POST chat.example], secrets: [token] } # as in the pipeline
  files: { CHANGELOG.md: "## 1.0" }                       # the pushed commit
  artifacts: { report.json: "{}" }                        # what earlier steps stored
  secrets: { token: s3cret }                              # shown when a case differs: make them up
  http:
    - request: { method: POST, url: https://chat.example/, json: { version: "1.0" } }
      response: { status: 204 }                           # or `fault: { transient: "connection refused" }`
  calls:
    - ask: registry.push                                  # by the names of the contract
      with: { to: host/name, tag: v1 }
      answer: { image: host/name:v1, digest: sha256:1, reference: host/name@sha256:1 }
    - ask: cache.restore
      with: { key: maven-1, prefixes: [maven-] }
      answer: null                                        # or `{ key: maven-0, archive: ... }`
  expect: { verdict: succeeded, outputs: { version: "1.0" }, log: ["info: announcing 1.0"] }

In place of `with` and `outputs` stand, for a plugin of the world

  health     object: { kind: Certificate, ... }           # the whole object
             expect: { verdict: succeeded, health: { status: degraded, message: no such issuer } }
  generate   parameters: { REPLICAS: "3" }                # of the Application, and its `env`; `files` is the folder
             expect: { verdict: succeeded, manifests: ["replicas: 3\n"] }
  measure    metric: { provider: prometheus, ... }        # what the template says of the metric
             expect: { verdict: succeeded, measurement: { value: 0.99, judgement: successful } }
  route      set-weight: { rollout: { ... }, weight: 20 } # or `remove: { ... }`, the whole Rollout, or
             verify-weight: { rollout: { ... }, weight: 20 }
             expect: { verdict: succeeded, verification: verified }

`grants` are then what the configuration gives. A verdict is succeeded, rejected, transient, denied, limit, timed-out or
trapped. `because`, `log` and `message` are compared where a case has them. An answer is found by what is asked, in
whatever order, and given once. What is asked and not recorded is refused and shown; what is recorded and was not asked
is shown as well; either fails the case. So does a step that takes settings, or leaves an output, otherwise than the
plugin declares."###;

/// One case of a file: a request, its surroundings, and what is expected.
#[derive(Debug)]
pub(super) struct Case {
    /// What the plugin is asked.
    pub asked: CaseRequest,
    /// Its permissions; the server's policy is taken to allow it.
    pub grants: Permissions,
    /// The pushed commit or source folder, by path.
    pub files: BTreeMap<String, String>,
    /// What earlier steps of the run have stored, by name.
    pub artifacts: BTreeMap<String, String>,
    /// The server's secrets, by name.
    pub secrets: BTreeMap<String, String>,
    /// Requests and their answers, in any order. Each answers once.
    pub http: Vec<HttpExchange>,
    /// Calls of the other abilities, in any order. Each answers once.
    pub calls: Vec<HostCall>,
    expect: Expected,
}

/// What a plugin is asked, by its world.
#[derive(Debug)]
pub(super) enum CaseRequest {
    /// To run the step, with these settings.
    Step(Object),
    /// How this object is.
    Health(Object),
    /// Manifests of the files, for this Application and its parameters.
    Generate(Value),
    /// To measure this metric.
    Measure(Object),
    /// To share the traffic like this.
    SetWeight(Split),
    /// Whether traffic is shared.
    VerifyWeight(Split),
    /// To take back what it made for this Rollout.
    Remove(Object),
}

/// A request and its answer.
#[derive(Clone, Debug)]
pub(super) struct HttpExchange {
    /// The call that is made into the component.
    pub request: RecordedRequest,
    /// What comes of it.
    pub answer: Result<RecordedResponse, HostFault>,
}

/// A request, as it leaves the host: with its secrets filled in.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RecordedRequest {
    /// The method, in upper case.
    pub method: String,
    /// The whole address, with its scheme.
    pub url: String,
    /// All headers, by names in lower case; without it, any.
    pub headers: Option<BTreeMap<String, String>>,
    /// The body as a text; without this and `json`, there must be none.
    #[serde(default)]
    pub body: String,
    /// The body as JSON, whatever the order of its keys.
    pub json: Option<Value>,
}

/// An answer that the case gives to a request over HTTP.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RecordedResponse {
    /// The HTTP status, from 100 to 599.
    pub status: u16,
    /// Headers by name.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The body as a text.
    #[serde(default)]
    pub body: String,
    /// The body as JSON.
    pub json: Option<Value>,
}

/// A call of an ability and its answer, both of the form that [`calls`] has for it.
#[derive(Clone, Debug)]
pub(super) struct HostCall {
    /// `interface.function`, such as `registry.push`.
    pub ask: String,
    /// What is asked, by the names of the contract; what is not given is left out.
    pub with: Value,
    /// What comes of it, by the names of the contract.
    pub answer: Result<Value, HostFault>,
}

/// Why there is no answer.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HostFault {
    /// The author of the pipeline can fix it.
    Rejected(String),
    /// The same call may succeed later.
    Transient(String),
}

#[derive(Debug)]
struct Expected {
    ending: Ending,
    /// Without it, for any reason.
    because: Option<String>,
    answer: WorldAnswer,
    log: Option<Vec<String>>,
}

impl From<HostFault> for Failure {
    fn from(fault: HostFault) -> Failure {
        match fault {
            HostFault::Rejected(because) => Failure::Rejected(because),
            HostFault::Transient(because) => Failure::Transient(because),
        }
    }
}

impl Case {
    /// What must be told of a run of this case; what it leaves open is taken from what was told.
    pub(super) fn expected(&self, got: &CallOutcome) -> CallOutcome {
        CallOutcome {
            verdict: self.expect.ending.name().to_owned(),
            because: self.expect.because.clone().or_else(|| got.because.clone()),
            answer: self.expect.answer.clone().or_message_of(&got.answer),
            log: self.expect.log.clone().unwrap_or_else(|| got.log.clone()),
            asked: Vec::new(),
        }
    }
}

/// The cases of a folder for a plugin of this world, by name, sorted.
///
/// # Errors
/// The folder cannot be read or has no cases; or every mistake in its cases, with place and help.
pub(super) fn all(folder: &Path, world: World) -> Result<Vec<(String, Case)>, String> {
    let failed = |error: std::io::Error| {
        format!("{}: {error}; a case is a YAML file in this folder, and --cases names another", folder.display())
    };
    let mut paths: Vec<PathBuf> = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_some_and(|extension| extension == "yaml" || extension == "yml") {
            paths.push(path);
        }
    }
    if paths.is_empty() {
        return Err(format!("{} has no cases; a case is a YAML file in this folder", folder.display()));
    }
    paths.sort();
    let (mut cases, mut mistakes) = (Vec::new(), Vec::new());
    for path in &paths {
        let name = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        match Case::parse(&path.display().to_string(), &read(path)?, world) {
            Ok(case) => cases.push((name, case)),
            Err(more) => mistakes.extend(more),
        }
    }
    if mistakes.is_empty() { Ok(cases) } else { Err(lint(&mistakes)) }
}

fn read(path: &Path) -> Result<String, String> {
    let failed = |because: String| format!("{}: {because}", path.display());
    let length = std::fs::metadata(path).map_err(|error| failed(error.to_string()))?.len();
    if length > LONGEST {
        return Err(failed(format!(
            "it has {length} bytes, and a case has {LONGEST} at most; shorten what is recorded"
        )));
    }
    std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))
}

#[cfg(test)]
mod tests;
