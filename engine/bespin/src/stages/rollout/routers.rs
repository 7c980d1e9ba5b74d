//! The routers that are plugins: each is asked about a weight, told one, or
//! told to take back what it has made, by the sandbox and within its permissions.
//!
//! What a router answers is an act's outcome, which the driver keeps; `decide`
//! says when it is called again. After a restart a router is told again, which
//! changes nothing.

use crate::config::{RoutePlugin, SecretSource, limited};
use crate::drive::Trouble;
use crate::extensions::{Extension, Extensions};
use crate::host::Connector;
use crate::logs::{MaskedText, Masker, PieceEnd};
use crate::stages::sync::lines::Lines;
use async_trait::async_trait;
use decide::retry::Retry;
use decide::rollout::{Reply, Serves, Split};
use pipeline::limits::{Limit, Limits};
use pipeline::permission::Permissions;
use sandbox::{Abilities, Failure, HttpRequest, HttpResponse, Level, Verdict, Verification, World};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How long one waits for its turn.
const TURN: Duration = Duration::from_secs(5);
/// How many calls of one router there are at the same time.
const CALLS: u32 = 4;
/// A longer text of a failure is cut, in characters.
const TEXT: usize = 500;

/// The routers that this server has plugins for.
#[derive(Default)]
pub struct Routers {
    by_name: BTreeMap<String, Route>,
}

/// One router: a plugin with its row of the configuration.
struct Route {
    row: RoutePlugin,
    extension: Arc<Extension>,
    grants: Permissions,
    connector: Arc<Connector>,
    secrets: BTreeMap<String, SecretSource>,
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
        Ok(Routers { by_name })
    }

    /// Their names, as Rollouts use them, and whether they serve the rollout of a stream.
    pub(super) fn names(&self, stream: &str) -> BTreeMap<String, Serves> {
        let rollout = stream.strip_prefix("rollout/").unwrap_or(stream);
        let serves = |route: &Route| if route.row.serves(rollout) { Serves::This } else { Serves::Others };
        self.by_name.iter().map(|(name, route)| (name.clone(), serves(route))).collect()
    }

    /// Asks whether the traffic of a stream's rollout is shared like this.
    ///
    /// # Errors
    /// It does not say.
    pub(super) async fn ask(&self, stream: &str, split: &Split) -> Result<Reply, Trouble> {
        let asked = self.call(stream, &split.router, |route, host| route.verify(split, host)).await?;
        Ok(match asked {
            Verification::Verified => Reply::Verified,
            Verification::NotVerified => Reply::NotVerified,
            Verification::NotSupported => Reply::NotSupported,
        })
    }

    /// Has the traffic shared like this.
    ///
    /// # Errors
    /// It has not taken it.
    pub(super) async fn tell(&self, stream: &str, split: &Split) -> Result<Reply, Trouble> {
        self.call(stream, &split.router, |route, host| route.set(split, host)).await?;
        Ok(Reply::Done)
    }

    /// Has a router take back what it has made.
    ///
    /// # Errors
    /// It has not done so, or not as far as it says.
    pub(super) async fn take_back(&self, stream: &str, router: &str, rollout: &Value) -> Result<Reply, Trouble> {
        let rollout = rollout.to_string();
        self.call(stream, router, |route, host| route.remove(&rollout, host)).await?;
        Ok(Reply::Done)
    }

    async fn call<'a, T, F>(
        &'a self,
        stream: &str,
        router: &str,
        call: impl FnOnce(&'a Route, Arc<Host>) -> F,
    ) -> Result<T, Trouble>
    where
        F: Future<Output = Result<Verdict<T>, String>>,
    {
        let Some(route) = self.by_name.get(router) else {
            let because = format!("it is no router of this server any more; add [[route]] with name = \"{router}\"");
            return Err(Trouble { message: because, retry: Retry::NeedsPerson });
        };
        let host = Arc::new(Host {
            lines: Lines::new(&route.extension.uses, stream, format!("route {router}")),
            router: router.to_owned(),
            connector: route.connector.clone(),
            secrets: route.secrets.clone(),
            masker: Mutex::default(),
            said: Mutex::default(),
        });
        let late = |_| Trouble::passing("it had no turn, for other calls take long");
        let verdict =
            tokio::time::timeout(route.extension.limits.wall + TURN, call(route, host.clone())).await.map_err(late)?;
        route.judge(verdict.map_err(Trouble::passing)?).map_err(|trouble| readable(trouble, &host))
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
    fn judge<T>(&self, verdict: Verdict<T>) -> Result<T, Trouble> {
        let (message, retry) = match verdict {
            Verdict::Succeeded { outputs } => return Ok(outputs),
            Verdict::Rejected { because } => (because, Retry::NeedsPerson),
            Verdict::Transient { because } => (because, Retry::PASSING),
            Verdict::Denied(denied) => {
                let (grant, value) = (denied.grant, denied.value);
                let mend = format!("add {grant} = [\"{value}\"] to [[route]] `{}`", self.row.name);
                (format!("not granted: {grant} for {value}; {mend}"), Retry::NeedsPerson)
            }
            Verdict::Limit { which: Limit::Concurrent, because } => (because, Retry::PASSING),
            Verdict::Limit { which, because } => (format!("its limit of {which}: {because}"), Retry::NeedsPerson),
            Verdict::TimedOut { after } => (format!("it took longer than {after:?}"), Retry::PASSING),
            Verdict::Trapped { because } => (format!("it crashed: {because}"), Retry::NeedsPerson),
        };
        Err(Trouble { message, retry })
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

/// Without the secrets that it may have seen, on one line, and no longer than a person reads.
fn readable(trouble: Trouble, host: &Host) -> Trouble {
    let text = host.hidden(&trouble.message).split_whitespace().collect::<Vec<_>>().join(" ");
    let text = text.replace(char::is_control, "");
    let message = match text.char_indices().nth(TEXT) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    };
    Trouble { message, ..trouble }
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
    /// What waits of each level's lines until it is known whether it begins a secret.
    said: Mutex<BTreeMap<&'static str, (Level, MaskedText)>>,
}

impl Host {
    fn hidden(&self, text: &str) -> String {
        self.masker.lock().expect("nobody panics while holding the masker").mask(text)
    }

    fn piece(&self, level: Level, piece: &str, end: PieceEnd) {
        let mut said = self.said.lock().expect("nobody panics while holding what was said");
        let (_, text) = said.entry(level.name()).or_insert_with(|| (level, MaskedText::default()));
        let shown = text.push(&self.masker.lock().expect("nobody panics while holding the masker"), piece, end);
        for line in shown.lines() {
            self.lines.line(level, line);
        }
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let (Ok(said), Ok(masker)) = (self.said.get_mut(), self.masker.lock()) else { return };
        for (level, text) in said.values_mut() {
            for line in text.finish(&masker).lines() {
                self.lines.line(*level, line);
            }
        }
    }
}

#[async_trait]
impl Abilities for Host {
    fn log(&self, level: Level, line: &str) {
        self.piece(level, line, PieceEnd::Line);
    }

    fn log_part(&self, level: Level, part: &str) {
        self.piece(level, part, PieceEnd::Open);
    }

    fn hidden(&self, because: String) -> String {
        Host::hidden(self, &because)
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
