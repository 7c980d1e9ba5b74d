//! The routers that are plugins: each is asked about a weight, told one, or
//! told to take back what it has made, by the sandbox and within its permissions.
//!
//! How a router takes what it is told is part of what is seen by the next look,
//! and is remembered here until then. Nothing here outlives the process: after
//! a restart a router is told again, which changes nothing.

use crate::config::{RoutePlugin, SecretSource, limited};
use crate::drive::now;
use crate::extensions::{Extension, Extensions};
use crate::host::Connector;
use crate::logs::Masker;
use crate::stages::sync::lines::Lines;
use async_trait::async_trait;
use decide::next::Timestamp;
use decide::rollout::{Remedy, RouterFailure, RouterReply, RouterResponse, RouterStatus, Serves, Split};
use pipeline::limits::{Limit, Limits};
use pipeline::permission::Permissions;
use sandbox::{Abilities, Failure, HttpRequest, HttpResponse, Level, Verdict, Verification, World};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// An answer stands for so long, in ms: whatever wakes a rollout in between asks nobody again.
const STANDS_MS: u64 = 1_000;
/// How long one waits for its turn.
const TURN: Duration = Duration::from_secs(5);
/// How many calls of one router there are at the same time.
const CALLS: u32 = 4;
/// The first pause after a failure, and the longest, in ms.
const PAUSES_MS: (u64, u64) = (1_000, 60_000);
/// A longer text of a failure is cut, in characters.
const TEXT: usize = 500;

/// The routers that this server has plugins for.
#[derive(Default)]
pub struct Routers {
    by_name: BTreeMap<String, Route>,
    /// What was learnt of the router of each stream.
    known: Mutex<HashMap<String, Known>>,
}

/// One router.
struct Route {
    row: RoutePlugin,
    extension: Arc<Extension>,
    grants: Permissions,
    connector: Arc<Connector>,
    secrets: BTreeMap<String, SecretSource>,
}

/// What is known of one rollout's router since the last time that something else was asked of it.
struct Known {
    split: Split,
    told: RouterReply,
    said: Option<(Timestamp, RouterResponse)>,
    /// How often in a row it has not answered, and has not taken what it was told.
    failures: (u32, u32),
}

impl Routers {
    /// Loads the plugins of the configuration's rows.
    ///
    /// # Errors
    /// A row that can never work, as a sentence.
    pub async fn load(
        rows: &[RoutePlugin],
        extensions: &Extensions,
        connector: &Arc<Connector>,
        secrets: &BTreeMap<String, SecretSource>,
    ) -> Result<Routers, String> {
        let mut by_name = BTreeMap::new();
        for row in rows {
            let wrong = |what: Vec<String>| format!("route `{}`: {}", row.name, what.join("; "));
            let limits = limited(&row.limits, limits());
            let route = Route {
                row: row.clone(),
                extension: extensions.load("route", &row.name, &row.plugin, World::Route, limits).await?,
                grants: row.grants().map_err(wrong)?,
                connector: connector.clone(),
                secrets: row
                    .secrets
                    .iter()
                    .filter_map(|name| Some((name.clone(), secrets.get(name)?.clone())))
                    .collect(),
            };
            by_name.insert(row.name.clone(), route);
        }
        Ok(Routers { by_name, ..Routers::default() })
    }

    /// Their names, as Rollouts use them, and whether they serve the rollout of a stream.
    pub(super) fn names(&self, stream: &str) -> BTreeMap<String, Serves> {
        let rollout = stream.strip_prefix("rollout/").unwrap_or(stream);
        let serves = |route: &Route| if route.row.serves(rollout) { Serves::This } else { Serves::Others };
        self.by_name.iter().map(|(name, route)| (name.clone(), serves(route))).collect()
    }

    /// Asks whether the traffic of a stream's rollout is shared like this, unless that is known, or it has failed
    /// and is left alone for now.
    pub(super) async fn ask(&self, stream: &str, split: &Split) -> RouterStatus {
        let stands = |at: Timestamp, said: &RouterResponse| match said {
            RouterResponse::Failed(trouble) => now() < trouble.again,
            RouterResponse::Verified | RouterResponse::NotVerified | RouterResponse::NotSupported => {
                now() < at + STANDS_MS
            }
        };
        let last = self.known(stream, split, |known| known.said.clone());
        if last.is_none_or(|(at, said)| !stands(at, &said)) {
            let asked = self.call(stream, &split.router, |route, host| route.verify(split, host)).await;
            self.known(stream, split, |known| {
                let said = match asked {
                    Ok(Verification::Verified) => RouterResponse::Verified,
                    Ok(Verification::NotVerified) => RouterResponse::NotVerified,
                    Ok(Verification::NotSupported) => RouterResponse::NotSupported,
                    Err(failed) => RouterResponse::Failed(failed.trouble(known.failures.0)),
                };
                if known.failures.0 > 0 && !matches!(said, RouterResponse::Failed(_)) {
                    known.told.answered_again(now());
                }
                known.failures.0 = if matches!(said, RouterResponse::Failed(_)) { known.failures.0 + 1 } else { 0 };
                known.said = Some((now(), said));
            });
        }
        self.known(stream, split, |known| RouterStatus {
            weight: known.split.weight,
            reply: known.told.clone(),
            response: known.said.as_ref().map_or(RouterResponse::NotVerified, |(_, said)| said.clone()),
        })
    }

    /// Has the traffic shared like this.
    pub(super) async fn tell(&self, stream: &str, split: &Split) {
        let told = self.call(stream, &split.router, |route, host| route.set(split, host)).await;
        self.known(stream, split, |known| {
            match told {
                Ok(()) => (known.told, known.failures.1) = (known.told.taken(now()), 0),
                Err(failed) => {
                    known.told = RouterReply::Failed(failed.trouble(known.failures.1));
                    known.failures.1 += 1;
                }
            }
            // What it serves is to be looked at anew.
            known.said.take_if(|(_, said)| !matches!(said, RouterResponse::Failed(_)));
        });
    }

    /// Has a router take back what it has made.
    ///
    /// # Errors
    /// It has not, as a sentence.
    pub(super) async fn take_back(&self, stream: &str, router: &str, rollout: &Value) -> Result<(), String> {
        let rollout = rollout.to_string();
        let done = self.call(stream, router, |route, host| route.remove(&rollout, host)).await;
        done.map_err(|failed| format!("{router} has to take back what it has made first: {}", failed.because))?;
        self.forget(stream);
        Ok(())
    }

    /// Forgets what a stream's router was told: from here on others may tell it something else.
    pub(super) fn forget(&self, stream: &str) {
        self.known.lock().expect("nobody panics while holding what is known").remove(stream);
    }

    /// Reads or changes what is known of a stream's router; nothing, where something else was asked before.
    fn known<T>(&self, stream: &str, split: &Split, change: impl FnOnce(&mut Known) -> T) -> T {
        let fresh = || Known { split: split.clone(), told: RouterReply::NotYet, said: None, failures: (0, 0) };
        let mut all = self.known.lock().expect("nobody panics while holding what is known");
        let known = all.entry(stream.to_owned()).or_insert_with(fresh);
        if !known.split.is_same(split) {
            *known = fresh();
        }
        change(known)
    }

    async fn call<'a, T, F>(
        &'a self,
        stream: &str,
        router: &str,
        call: impl FnOnce(&'a Route, Arc<Host>) -> F,
    ) -> Result<T, Failed>
    where
        F: Future<Output = Result<Verdict<T>, String>>,
    {
        let Some(route) = self.by_name.get(router) else {
            let because = format!("it is no router of this server any more; add [[route]] with name = \"{router}\"");
            return Err(Failed { because, remedy: Remedy::Person });
        };
        let host = Arc::new(Host {
            lines: Lines::new(&route.extension.uses, stream, format!("route {router}")),
            router: router.to_owned(),
            connector: route.connector.clone(),
            secrets: route.secrets.clone(),
            masker: Mutex::default(),
        });
        let late = |_| Failed { because: "it had no turn, for other calls take long".into(), remedy: Remedy::Wait };
        let verdict =
            tokio::time::timeout(route.extension.limits.wall + TURN, call(route, host.clone())).await.map_err(late)?;
        let verdict = verdict.map_err(|because| Failed { because, remedy: Remedy::Wait })?;
        route.judge(verdict).map_err(|failed| failed.hidden(&host))
    }
}

impl Route {
    async fn verify(&self, split: &Split, host: Arc<Host>) -> Result<Verdict<Verification>, String> {
        let (plugin, Extension { limits, .. }) = (self.extension.ready()?.plugin, &*self.extension);
        Ok(self.extension.sandbox().verify_weight(&plugin, &written(split), &self.grants, limits, host).await)
    }

    async fn set(&self, split: &Split, host: Arc<Host>) -> Result<Verdict<()>, String> {
        let (plugin, Extension { limits, .. }) = (self.extension.ready()?.plugin, &*self.extension);
        Ok(self.extension.sandbox().set_weight(&plugin, &written(split), &self.grants, limits, host).await)
    }

    async fn remove(&self, rollout: &str, host: Arc<Host>) -> Result<Verdict<()>, String> {
        let (plugin, Extension { limits, .. }) = (self.extension.ready()?.plugin, &*self.extension);
        Ok(self.extension.sandbox().remove(&plugin, rollout, &self.grants, limits, host).await)
    }

    /// Only a success is one.
    fn judge<T>(&self, verdict: Verdict<T>) -> Result<T, Failed> {
        let (because, remedy) = match verdict {
            Verdict::Succeeded { outputs } => return Ok(outputs),
            Verdict::Rejected { because } => (because, Remedy::Person),
            Verdict::Transient { because } => (because, Remedy::Wait),
            Verdict::Denied(denied) => {
                let (grant, value) = (denied.grant, denied.value);
                let mend = format!("add {grant} = [\"{value}\"] to [[route]] `{}`", self.row.name);
                (format!("not granted: {grant} for {value}; {mend}"), Remedy::Person)
            }
            Verdict::Limit { which: Limit::Concurrent, because } => (because, Remedy::Wait),
            Verdict::Limit { which, because } => (format!("its limit of {which}: {because}"), Remedy::Person),
            Verdict::TimedOut { after } => (format!("it took longer than {after:?}"), Remedy::Wait),
            Verdict::Trapped { because } => (format!("it crashed: {because}"), Remedy::Person),
        };
        Err(Failed { because, remedy })
    }
}

/// What one call may use, where its row says nothing else: a few requests, and no time to speak of.
fn limits() -> Limits {
    Limits {
        cpu: Duration::from_secs(1),
        wall: Duration::from_secs(10),
        output_bytes: 64 << 10,
        log_bytes: 64 << 10,
        host_calls: 200,
        response_bytes: 1 << 20,
        concurrent: CALLS,
        ..Limits::default()
    }
}

/// Why a call came to nothing.
struct Failed {
    because: String,
    remedy: Remedy,
}

impl Failed {
    /// Without the secrets that it may have seen, on one line, and no longer than a person reads.
    fn hidden(self, host: &Host) -> Failed {
        let text = host.hidden(&self.because).split_whitespace().collect::<Vec<_>>().join(" ");
        let text = text.replace(char::is_control, "");
        let because = match text.char_indices().nth(TEXT) {
            Some((end, _)) => format!("{}...", &text[..end]),
            None => text,
        };
        Failed { because, ..self }
    }

    fn trouble(self, failures: u32) -> RouterFailure {
        let (first, longest) = PAUSES_MS;
        let pause = (first << failures.min(6)).min(longest);
        RouterFailure { because: self.because, remedy: self.remedy, again: now() + pause }
    }
}

fn written(split: &Split) -> sandbox::Split {
    // Experiments, whose pods would be the others, are refused with the spec.
    sandbox::Split { rollout: split.rollout.to_string(), weight: split.weight, others: Vec::new() }
}

/// What a router's plugin is offered: requests, its secrets, and the server's log.
struct Host {
    lines: Lines,
    router: String,
    connector: Arc<Connector>,
    secrets: BTreeMap<String, SecretSource>,
    masker: Mutex<Masker>,
}

impl Host {
    fn hidden(&self, text: &str) -> String {
        self.masker.lock().expect("nobody panics while holding the masker").mask(text)
    }
}

#[async_trait]
impl Abilities for Host {
    fn log(&self, level: Level, line: &str) {
        self.lines.line(level, &self.hidden(line));
    }

    /// The calls of one router take turns, so that one that hangs leaves the others their places.
    fn share(&self) -> Option<String> {
        Some(format!("route/{}", self.router))
    }

    async fn http(&self, asked: HttpRequest) -> Result<HttpResponse, Failure> {
        self.connector.send(asked).await
    }

    async fn secret(&self, name: String) -> Result<SecretString, Failure> {
        let source = self.secrets.get(&name);
        let source = source.ok_or_else(|| Failure::Rejected(format!("the server has no secret `{name}`")))?;
        let secret = source.read().map_err(|because| Failure::Transient(format!("secret `{name}`: {because}")))?;
        // From here on the value is in the plugin's reach, so no log and no failure may show it.
        let mut masker = self.masker.lock().expect("nobody panics while holding the masker");
        masker.join(Masker::new([secret.expose_secret()]));
        Ok(secret)
    }
}

#[cfg(test)]
#[path = "routers/tests.rs"]
pub(super) mod tests;
