//! Recorded cases: what a plugin is given, what the world answers, and what must come of it.
//!
//! A case is a YAML file in the project's `tests` folder:
//!
//! ```yaml
//! with: { to: https://chat.example/, secret: token }     # as in the pipeline
//! grants: { http: [POST chat.example], secrets: [token] } # as in the pipeline
//! files: { CHANGELOG.md: "## 1.0" }                       # the pushed commit
//! secrets: { token: s3cret }
//! http:
//!   - request: { method: POST, url: https://chat.example/, json: { version: "1.0" } }
//!     response: { status: 204 }                           # or `fault: { transient: "connection refused" }`
//! calls:
//!   - ask: registry.push
//!     with: { to: host/name, tag: v1 }
//!     answer: { image: host/name:v1, digest: sha256:1, reference: host/name@sha256:1 }
//! expect: { verdict: succeeded, outputs: { version: "1.0" }, log: ["info: announcing 1.0"] }
//! ```

use super::told::Told;
use sandbox::Failure;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The longest case, in bytes.
const LONGEST: u64 = 4 << 20;

/// One case.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Case {
    /// The step's settings.
    #[serde(default)]
    pub with: BTreeMap<String, Value>,
    /// The step's grants; the server's policy is taken to allow them.
    #[serde(default)]
    pub grants: BTreeMap<String, Vec<String>>,
    /// The pushed commit, by path.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// What earlier steps of the run have stored, by name.
    #[serde(default)]
    pub artifacts: BTreeMap<String, String>,
    /// The server's secrets, by name. They are shown when a case differs, so they should be made up.
    #[serde(default)]
    pub secrets: BTreeMap<String, String>,
    /// Requests and their answers, in any order. Each answers once.
    #[serde(default)]
    pub http: Vec<Exchange>,
    /// Calls of the other abilities, in any order. Each answers once.
    #[serde(default)]
    pub calls: Vec<Call>,
    /// What must come of it.
    pub expect: Expected,
}

/// A request and its answer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    /// What is asked.
    pub request: Request,
    /// The answer; without it, there is a fault.
    pub response: Option<Response>,
    /// Why there is no answer.
    pub fault: Option<Fault>,
}

/// A request, as it leaves the host: with its secrets filled in.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// In upper case.
    pub method: String,
    /// The whole address.
    pub url: String,
    /// All headers, by names in lower case; without it, any.
    pub headers: Option<BTreeMap<String, String>>,
    /// The body as a text; without this and `json`, there must be none.
    #[serde(default)]
    pub body: String,
    /// The body as JSON, whatever the order of its keys.
    pub json: Option<Value>,
}

/// An answer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Response {
    /// 100 to 599.
    pub status: u16,
    /// By name.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// The body as a text.
    #[serde(default)]
    pub body: String,
    /// The body as JSON.
    pub json: Option<Value>,
}

/// A call of an ability and its answer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Call {
    /// `interface.function`, such as `registry.push`.
    pub ask: String,
    /// What is asked, by the names of the contract; what is not given is left out.
    #[serde(default)]
    pub with: BTreeMap<String, Value>,
    /// The answer, by the names of the contract; without it, there is a fault.
    pub answer: Option<Value>,
    /// Why there is no answer.
    pub fault: Option<Fault>,
}

/// Why there is no answer.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Fault {
    /// The author of the pipeline can fix it.
    Rejected(String),
    /// The same call may succeed later.
    Transient(String),
}

/// What must come of a case.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Expected {
    /// How it ends.
    pub verdict: Ending,
    /// Why, word for word; without it, for any reason.
    pub because: Option<String>,
    /// The outputs, all of them.
    #[serde(default)]
    pub outputs: BTreeMap<String, String>,
    /// The log, line by line, as `info: text`; without it, any.
    pub log: Option<Vec<String>>,
}

/// How a step ends.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Ending {
    /// It did what it is there for.
    Succeeded,
    /// The author of the pipeline can fix it.
    Rejected,
    /// The same step may succeed later.
    Transient,
    /// It lacked a grant.
    Denied,
    /// It exceeded a limit.
    Limit,
    /// It took too long.
    TimedOut,
    /// It crashed.
    Trapped,
}

impl Ending {
    /// As it is written in a case.
    pub fn name(self) -> &'static str {
        match self {
            Ending::Succeeded => "succeeded",
            Ending::Rejected => "rejected",
            Ending::Transient => "transient",
            Ending::Denied => "denied",
            Ending::Limit => "limit",
            Ending::TimedOut => "timed-out",
            Ending::Trapped => "trapped",
        }
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Failure {
        match fault {
            Fault::Rejected(because) => Failure::Rejected(because),
            Fault::Transient(because) => Failure::Transient(because),
        }
    }
}

impl Case {
    /// Reads a case.
    ///
    /// # Errors
    /// Its first mistake, with file and place.
    pub fn read(path: &Path) -> Result<Case, String> {
        let failed = |because: String| format!("{}: {because}", path.display());
        let length = std::fs::metadata(path).map_err(|error| failed(error.to_string()))?.len();
        if length > LONGEST {
            return Err(failed(format!("it has {length} bytes; {LONGEST} are allowed")));
        }
        let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
        Case::parse(&text).map_err(failed)
    }

    /// Reads a case's text.
    ///
    /// # Errors
    /// Its first mistake, with its place.
    pub fn parse(text: &str) -> Result<Case, String> {
        let case: Case = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
        let answers = case.http.iter().map(|one| (&one.request.url, one.response.is_some(), one.fault.is_some()));
        let calls = case.calls.iter().map(|one| (&one.ask, one.answer.is_some(), one.fault.is_some()));
        for (what, answer, fault) in answers {
            if answer == fault {
                return Err(format!("the request to {what} needs either a `response` or a `fault`"));
            }
        }
        for (what, answer, fault) in calls {
            if answer == fault {
                return Err(format!("the call of {what} needs either an `answer` or a `fault`"));
            }
        }
        Ok(case)
    }

    /// What must be told of a run of this case; what it leaves open is taken from what was told.
    pub fn expected(&self, got: &Told) -> Told {
        Told {
            verdict: self.expect.verdict.name().to_owned(),
            because: self.expect.because.clone().or_else(|| got.because.clone()),
            outputs: self.expect.outputs.clone(),
            log: self.expect.log.clone().unwrap_or_else(|| got.log.clone()),
            asked: Vec::new(),
        }
    }
}

/// The cases of a folder, by name, sorted.
///
/// # Errors
/// The folder cannot be read or has no cases, or a case has a mistake.
pub fn all(folder: &Path) -> Result<Vec<(String, Case)>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}; a case is a YAML file in this folder", folder.display());
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
    let name = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    paths.iter().map(|path| Ok((name(path), Case::read(path)?))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mistakes_are_told_with_their_place() {
        for (text, because) in [
            ("expect: { verdict: succeded }", "succeded"),
            ("grant: {}\nexpect: { verdict: succeeded }", "grant"),
            ("with: {}", "expect"),
            (
                "http: [{ request: { method: GET, url: https://a.example/ } }]\nexpect: { verdict: succeeded }",
                "the request to https://a.example/ needs either a `response` or a `fault`",
            ),
            (
                "calls: [{ ask: git.bump, answer: {}, fault: { transient: busy } }]\nexpect: { verdict: succeeded }",
                "the call of git.bump needs either an `answer` or a `fault`",
            ),
        ] {
            let refused = Case::parse(text).unwrap_err();
            assert!(refused.contains(because), "{refused}");
        }
    }

    #[test]
    fn a_folder_without_cases_is_no_success() {
        let folder = tempfile::tempdir().unwrap();
        assert!(all(folder.path()).unwrap_err().contains("has no cases"));
    }
}
