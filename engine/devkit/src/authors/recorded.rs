//! The abilities of a recorded case: what is not recorded is refused by its name.

mod terraform;

use super::cases::calls::{number, read_bytes, write_bytes};
use super::cases::{Case, HostCall, HttpExchange};
use super::outcome::pretty;
use async_trait::async_trait;
use sandbox::{
    Abilities, Applied, ApplyRequest, Artifact, Build, Built, Bump, Bumped, Container, Exit, Failure, Follow, Followed,
    Found, HttpRequest, HttpResponse, Level, List, Listed, ListedKind, Mount, Named, OnTimeout, Place, PlanRequest,
    Planned, Process, Push, Pushed, Query, Read, Restore, Sample, Save, Saved, Stored, SyncRequest, Synced,
};
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, MutexGuard};

/// The world of one run of a case.
pub(super) struct Recorded {
    files: BTreeMap<String, String>,
    artifacts: BTreeMap<String, String>,
    secrets: BTreeMap<String, String>,
    left: Mutex<Unanswered>,
}

/// What is still recorded, and what happened.
#[derive(Default)]
struct Unanswered {
    http: Vec<HttpExchange>,
    calls: Vec<HostCall>,
    log: Vec<String>,
    unrecorded: Vec<String>,
}

/// A request with everything in it that a recording may name.
struct RequestKey {
    method: String,
    url: String,
    headers: BTreeMap<String, String>,
    body: Vec<u8>,
}

impl Recorded {
    /// The world of a case.
    pub(super) fn of(case: &Case) -> Recorded {
        let left = Unanswered { http: case.http.clone(), calls: case.calls.clone(), ..Unanswered::default() };
        let (files, artifacts) = (case.files.clone(), case.artifacts.clone());
        Recorded { files, artifacts, secrets: case.secrets.clone(), left: Mutex::new(left) }
    }

    /// The log, as `level: text`.
    pub(super) fn log(&self) -> Vec<String> {
        self.left().log.clone()
    }

    /// What was asked and is not recorded.
    pub(super) fn unrecorded(&self) -> Vec<String> {
        self.left().unrecorded.clone()
    }

    /// What is recorded and was not asked.
    pub(super) fn unasked(&self) -> Vec<String> {
        let left = self.left();
        let requests = left.http.iter().map(|exchange| exchange.request.shown());
        requests.chain(left.calls.iter().map(|call| shown_call(&call.ask, &call.with))).collect()
    }

    fn left(&self) -> MutexGuard<'_, Unanswered> {
        self.left.lock().expect("nobody panics while holding it")
    }

    /// Finds the answer to a call among those that are left.
    fn call(&self, ask: &str, asked: Value) -> Result<Value, Failure> {
        let mut left = self.left();
        let same = |call: &HostCall| call.ask == ask && pretty(&call.with) == pretty(&asked);
        let Some(at) = left.calls.iter().position(same) else {
            left.unrecorded.push(shown_call(ask, &asked));
            return Err(not_recorded(ask));
        };
        left.calls.remove(at).answer.map_err(Failure::from)
    }

    /// Whether a rollout is still to be followed with this word for what becomes of it when the step's time runs out.
    fn follows_with(&self, on_timeout: &str) -> bool {
        let is_one = |call: &HostCall| call.ask == "canary.follow" && call.with["on-timeout"] == on_timeout;
        self.left().calls.iter().any(is_one)
    }
}

fn not_recorded(what: &str) -> Failure {
    Failure::Rejected(format!("{what} is not recorded in this case"))
}

fn shown_call(ask: &str, with: &Value) -> String {
    format!("{ask}\n{}", pretty(with))
}

/// A file, if it is there and not too long.
fn whole(files: &BTreeMap<String, String>, asked: &Read, missing: impl Fn() -> String) -> Result<Vec<u8>, Failure> {
    match files.get(&asked.path) {
        None => Err(Failure::Rejected(missing())),
        Some(file) if file.len() as u64 > asked.at_most => {
            let because = format!("{} has {} bytes; {} are allowed", asked.path, file.len(), asked.at_most);
            Err(Failure::Rejected(because))
        }
        Some(file) => Ok(file.clone().into_bytes()),
    }
}

/// A text of an answer. That it is there was looked at when the case was read, and so with whatever else is taken.
fn text(answer: &Value, name: &str) -> Result<String, Failure> {
    answer[name].as_str().map(str::to_owned).ok_or_else(|| no_answer(name))
}

fn no_answer(name: &str) -> Failure {
    Failure::Rejected(format!("the recorded answer has no `{name}` that fits"))
}

/// Leaves out what was not given.
fn given(pairs: Value) -> Value {
    match pairs {
        Value::Object(map) => map.into_iter().filter(|(_, value)| !value.is_null()).collect(),
        other => other,
    }
}

#[async_trait]
impl Abilities for Recorded {
    fn log(&self, level: Level, line: &str) {
        self.left().log.push(format!("{}: {line}", level.name()));
    }

    async fn read(&self, asked: Read) -> Result<Vec<u8>, Failure> {
        whole(&self.files, &asked, || format!("there is no file {} at this commit", asked.path))
    }

    async fn stored(&self, asked: Read) -> Result<Vec<u8>, Failure> {
        whole(&self.artifacts, &asked, || format!("no step of this run has stored {}", asked.path))
    }

    async fn artifacts(&self) -> Result<Vec<Stored>, Failure> {
        let stored = |(name, text): (&String, &String)| Stored {
            name: name.clone(),
            size: text.len() as u64,
            step: "recorded".to_owned(),
        };
        Ok(self.artifacts.iter().map(stored).collect())
    }

    async fn store(&self, asked: Artifact) -> Result<(), Failure> {
        let content = write_bytes(asked.content);
        self.call("artifacts.put", json!({ "name": asked.name, "content": content })).map(|_done| ())
    }

    async fn restore(&self, asked: Restore) -> Result<Option<Found>, Failure> {
        let prefixes = if asked.prefixes.is_empty() { Value::Null } else { json!(asked.prefixes) };
        let answer = self.call("cache.restore", given(json!({ "key": asked.key, "prefixes": prefixes })))?;
        if answer.is_null() {
            return Ok(None);
        }
        let archive = read_bytes(&answer["archive"]).ok_or_else(|| no_answer("archive"))?;
        Ok(Some(Found { key: text(&answer, "key")?, archive }))
    }

    async fn save(&self, asked: Save) -> Result<Saved, Failure> {
        let answer = self.call("cache.save", json!({ "key": asked.key, "archive": write_bytes(asked.archive) }))?;
        match answer.as_str() {
            Some("saved") => Ok(Saved::Saved),
            Some("kept") => Ok(Saved::Kept),
            Some("read-only") => Ok(Saved::ReadOnly),
            _ => Err(no_answer("saved")),
        }
    }

    async fn list(&self, asked: List) -> Result<Vec<Listed>, Failure> {
        let folder = if asked.path.is_empty() { String::new() } else { format!("{}/", asked.path) };
        let below = || self.files.iter().filter_map(|(path, text)| Some((path.strip_prefix(&folder)?, text)));
        let directories: BTreeSet<_> = below().filter_map(|(path, _)| Some(path.split_once('/')?.0)).collect();
        let files = below().filter(|(path, _)| !path.contains('/'));
        let file = |(name, text): (&str, &String)| (name.to_owned(), ListedKind::File, text.len() as u64);
        let directory = |name: &str| (name.to_owned(), ListedKind::Directory, 0);
        let mut listed: Vec<_> = files.map(file).chain(directories.into_iter().map(directory)).collect();
        if listed.is_empty() && !asked.path.is_empty() {
            return Err(Failure::Rejected(format!("there is no folder {}", asked.path)));
        }
        listed.sort_by(|one, other| one.0.cmp(&other.0));
        Ok(listed.into_iter().map(|(name, kind, size)| Listed { name, kind, size }).collect())
    }

    async fn http(&self, asked: HttpRequest) -> Result<HttpResponse, Failure> {
        let asked = RequestKey::of(asked);
        let mut left = self.left();
        let Some(at) = left.http.iter().position(|exchange| exchange.request.is(&asked)) else {
            left.unrecorded.push(asked.shown());
            return Err(not_recorded(&format!("{} {}", asked.method, asked.url)));
        };
        let response = left.http.remove(at).answer.map_err(Failure::from)?;
        let json = response.json.map(|json| json.to_string().into_bytes());
        let body = json.unwrap_or_else(|| response.body.into_bytes());
        Ok(HttpResponse { status: response.status, headers: response.headers.into_iter().collect(), body })
    }

    async fn secret(&self, name: String) -> Result<SecretString, Failure> {
        let missing = || Failure::Rejected(format!("the server has no secret `{name}`"));
        self.secrets.get(&name).map(|value| value.clone().into()).ok_or_else(missing)
    }

    async fn container(&self, asked: Container) -> Result<Exit, Failure> {
        let env = asked.env.iter().map(|(name, value)| (name.clone(), value.expose_secret().to_owned()));
        let process = match &asked.process {
            Process::Image => Value::Null,
            Process::Args(args) => json!({ "args": args }),
            Process::Command(command) => json!({ "command": command }),
        };
        let workspace = match asked.workspace {
            Mount::None => "none",
            Mount::ReadOnly => "read-only",
            Mount::ReadWrite => "read-write",
        };
        let env = env.collect::<BTreeMap<_, _>>();
        let asked = json!({
            "image": asked.image, "process": process, "workdir": asked.workdir, "workspace": workspace,
            "env": if env.is_empty() { Value::Null } else { json!(env) },
        });
        let answer = self.call("containers.run", given(asked))?;
        let code = answer["code"].as_i64().and_then(|code| i32::try_from(code).ok());
        Ok(Exit { code: code.ok_or_else(|| no_answer("code"))? })
    }

    async fn build(&self, asked: Build) -> Result<Built, Failure> {
        let args = if asked.build_args.is_empty() { Value::Null } else { json!(asked.build_args) };
        let asked = json!({ "context": asked.context, "dockerfile": asked.dockerfile, "build-args": args });
        let answer = self.call("images.build", given(asked))?;
        Ok(Built { build: text(&answer, "build")?, digest: text(&answer, "digest")? })
    }

    async fn push(&self, asked: Push) -> Result<Pushed, Failure> {
        let asked = json!({ "build": asked.build, "to": asked.to, "tag": asked.tag });
        let answer = self.call("registry.push", given(asked))?;
        let (image, digest) = (text(&answer, "image")?, text(&answer, "digest")?);
        Ok(Pushed { image, digest, reference: text(&answer, "reference")? })
    }

    async fn bump(&self, asked: Bump) -> Result<Bumped, Failure> {
        let Bump { repo, branch, path, image, message } = asked;
        let asked = json!({ "repo": repo, "branch": branch, "path": path, "image": image, "message": message });
        let answer = self.call("git.bump", given(asked))?;
        let changed = answer["changed"].as_bool().ok_or_else(|| no_answer("changed"))?;
        Ok(Bumped { commit: text(&answer, "commit")?, changed })
    }

    async fn plan(&self, asked: PlanRequest) -> Result<Planned, Failure> {
        self.planned(asked)
    }

    async fn planned_folder(&self, plan: String) -> Result<String, Failure> {
        self.planned_folder(&plan)
    }

    async fn apply(&self, asked: ApplyRequest) -> Result<Applied, Failure> {
        self.applied(asked)
    }

    async fn locate(&self, asked: Named) -> Result<Place, Failure> {
        let (Named::Application(name) | Named::Rollout(name)) = asked;
        match name.split('/').collect::<Vec<_>>().as_slice() {
            [cluster, namespace, name] => {
                Ok(Place { cluster: (*cluster).into(), namespace: (*namespace).into(), name: (*name).into() })
            }
            _ => {
                Err(Failure::Rejected(format!("a case names it in full, as cluster/namespace/name, and not `{name}`")))
            }
        }
    }

    async fn sync(&self, asked: SyncRequest) -> Result<Synced, Failure> {
        let asked = json!({ "application": asked.application, "revision": asked.revision });
        let answer = self.call("cluster.sync", given(asked))?;
        Ok(Synced { revision: text(&answer, "revision")? })
    }

    async fn follow(&self, asked: Follow) -> Result<Followed, Failure> {
        let on_timeout = match asked.on_timeout {
            OnTimeout::Hold => "hold",
            // Cases may still say it by its older word.
            OnTimeout::Retreat if self.follows_with("retreat") => "retreat",
            OnTimeout::Retreat => "abort",
        };
        let asked = json!({ "rollout": asked.rollout, "image": asked.image, "on-timeout": on_timeout });
        let answer = self.call("canary.follow", given(asked))?;
        Ok(Followed { outcome: text(&answer, "outcome")? })
    }

    async fn query(&self, asked: Query) -> Result<Vec<Sample>, Failure> {
        let asked = json!({ "provider": asked.provider, "query": asked.query });
        let answer = self.call("metrics.query", asked)?;
        answer.as_array().ok_or_else(|| no_answer("samples"))?.iter().map(sample).collect()
    }
}

fn sample(recorded: &Value) -> Result<Sample, Failure> {
    let value = number(&recorded["value"]).ok_or_else(|| no_answer("value"))?;
    let labels = recorded["labels"].as_object().into_iter().flatten();
    let label = |(name, value): (&String, &Value)| Some((name.clone(), value.as_str()?.to_owned()));
    Ok(Sample { labels: labels.filter_map(label).collect(), value })
}

impl RequestKey {
    fn of(request: HttpRequest) -> RequestKey {
        let header = |(name, value): (String, SecretString)| (name, value.expose_secret().to_owned());
        RequestKey {
            method: request.method,
            url: request.url.expose_secret().to_owned(),
            headers: request.headers.into_iter().map(header).collect(),
            body: request.body,
        }
    }

    fn shown(&self) -> String {
        let body = match serde_json::from_slice::<Value>(&self.body) {
            Ok(json) => pretty(&json),
            Err(_) => String::from_utf8_lossy(&self.body).into_owned(),
        };
        shown_request(&self.method, &self.url, &self.headers, &body)
    }
}

impl super::cases::RecordedRequest {
    fn is(&self, asked: &RequestKey) -> bool {
        let headers = self.headers.as_ref().is_none_or(|headers| *headers == asked.headers);
        let body = match &self.json {
            None => self.body.as_bytes() == asked.body,
            Some(json) => serde_json::from_slice::<Value>(&asked.body).is_ok_and(|body| pretty(&body) == pretty(json)),
        };
        self.method == asked.method && self.url == asked.url && headers && body
    }

    fn shown(&self) -> String {
        let body = self.json.as_ref().map_or_else(|| self.body.clone(), pretty);
        shown_request(&self.method, &self.url, &self.headers.clone().unwrap_or_default(), &body)
    }
}

fn shown_request(method: &str, url: &str, headers: &BTreeMap<String, String>, body: &str) -> String {
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\n")).collect();
    format!("{method} {url}\n{headers}{body}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use sandbox::World;

    fn world(case: &str) -> Recorded {
        Recorded::of(&Case::parse("a.yaml", &format!("{case}\nexpect: {{ verdict: succeeded }}"), World::Step).unwrap())
    }

    #[tokio::test]
    async fn an_answer_is_found_by_what_is_asked_and_given_once() {
        let world = world(
            r#"calls:
  - { ask: metrics.query, with: { provider: p, query: first }, answer: [{ labels: { a: b }, value: 1.5 }] }
  - { ask: metrics.query, with: { provider: p, query: second }, answer: [{ value: inf }] }
  - { ask: metrics.query, with: { provider: p, query: third }, fault: { transient: busy } }"#,
        );
        let ask = async |query: &str| world.query(Query { provider: "p".into(), query: query.into() }).await;
        assert_eq!(ask("second").await.unwrap()[0].value, f64::INFINITY);
        let first = ask("first").await.unwrap();
        assert_eq!((first[0].labels["a"].as_str(), first[0].value), ("b", 1.5));
        assert_eq!(ask("first").await, Err(Failure::Rejected("metrics.query is not recorded in this case".into())));
        assert!(world.unrecorded()[0].contains("first"), "{:?}", world.unrecorded());
        assert!(matches!(world.unasked().as_slice(), [only] if only.contains("third")), "{:?}", world.unasked());
        assert_eq!(ask("third").await, Err(Failure::Transient("busy".into())));
        assert!(world.unasked().is_empty());
    }

    #[tokio::test]
    async fn the_cache_answers_as_recorded() {
        let world = world(
            r#"calls:
  - { ask: cache.restore, with: { key: m-2, prefixes: [m-] }, answer: { key: m-1, archive: { base64: /wA= } } }
  - { ask: cache.restore, with: { key: none }, answer: null }
  - { ask: cache.save, with: { key: m-2, archive: { base64: /wA= } }, answer: kept }
  - { ask: cache.save, with: { key: m-2, archive: text }, fault: { rejected: too long } }"#,
        );
        let restore = async |key: &str, prefixes: &[&str]| {
            let prefixes = prefixes.iter().map(ToString::to_string).collect();
            world.restore(Restore { key: key.into(), prefixes, at_most: 8 }).await
        };
        let found = Found { key: "m-1".into(), archive: vec![0xff, 0] };
        assert_eq!(restore("m-2", &["m-"]).await, Ok(Some(found)));
        assert_eq!(restore("none", &[]).await, Ok(None));
        let save = async |archive: &[u8]| world.save(Save { key: "m-2".into(), archive: archive.to_vec() }).await;
        assert_eq!(save(b"text").await, Err(Failure::Rejected("too long".into())));
        assert_eq!(save(&[0xff, 0]).await, Ok(Saved::Kept));
        assert_eq!(save(b"other").await, Err(Failure::Rejected("cache.save is not recorded in this case".into())));
        assert!(world.unrecorded()[0].contains("other") && world.unasked().is_empty(), "{:?}", world.unrecorded());
    }

    #[tokio::test]
    async fn folders_are_those_of_the_files() {
        let world = world("files: { a/b/c.txt: x, a/d.txt: yy, e.txt: z }");
        let list = async |path: &str| world.list(List { path: path.into() }).await;
        let names = |listed: Vec<Listed>| listed.into_iter().map(|one| (one.name, one.size)).collect::<Vec<_>>();
        assert_eq!(names(list("").await.unwrap()), [("a".to_owned(), 0), ("e.txt".to_owned(), 1)]);
        assert_eq!(names(list("a").await.unwrap()), [("b".to_owned(), 0), ("d.txt".to_owned(), 2)]);
        assert!(list("nowhere").await.is_err());
    }
}
