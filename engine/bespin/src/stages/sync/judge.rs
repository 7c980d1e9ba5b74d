//! Asks plugins of the world `health` how the live objects of their kinds are.
//!
//! A look asks only about what has changed since it was asked about, and it asks for a bounded time: what it did not
//! come to is unknown, and is the next look's. A plugin that hangs is left alone for a while, for then no number of
//! looks would come to everything.

use super::lines::Lines;
use crate::config::{HealthPlugin, limited};
use crate::extensions::{Extension, Extensions, SHARE, answer, in_turn};
use decide::health::{Health, Judged, Kind, Status};
use decide::sync::object::{self, Id};
use pipeline::limits::{Limit, Limits};
use sandbox::{HealthStatus, Verdict, World};
use serde_json::Value;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// For how long one look begins to ask.
const BUDGET: Duration = Duration::from_secs(5);
/// How long a failure stands for an object that does not change.
const AGAIN: Duration = Duration::from_secs(60);
/// How many answers are remembered; past them the half that was not used for the longest time goes.
const REMEMBERED: usize = 10_000;
/// A longer message is cut, in characters.
const MESSAGE: usize = 500;

/// The plugins by the kinds that they judge, and what they said.
#[derive(Default)]
pub struct Judges {
    by_kind: BTreeMap<Kind, Arc<Extension>>,
    said: Mutex<HashMap<(String, String), Response>>,
    /// By their digests, the plugins that hung: until when they are not asked, and why.
    hung: Mutex<HashMap<String, (Instant, String)>>,
}

/// What a plugin said of one version of an object.
struct Response {
    plugin: String,
    version: String,
    health: Health,
    /// Until when it stands, where it is no answer.
    until: Option<Instant>,
    used: Instant,
}

/// Whether a look came to every object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Coverage {
    /// The plugin has answered for all objects.
    ToAll,
    /// Another look has to go on.
    ToSome,
}

impl Judges {
    /// Loads the plugins of the configuration's rows.
    ///
    /// # Errors
    /// A row that can never work, as a sentence.
    pub async fn load(rows: &[HealthPlugin], extensions: &Extensions) -> Result<Judges, String> {
        let mut by_kind = BTreeMap::new();
        for row in rows {
            let kind: Kind = row.kind.parse().map_err(|because| format!("{}: {because}", row.place()))?;
            let limits = limited(&row.limits, limits());
            by_kind.insert(kind, extensions.load("health", &row.kind, &row.plugin, World::Health, limits).await?);
        }
        Ok(Judges { by_kind, ..Judges::default() })
    }

    /// What plugins say of the live objects of a cluster.
    pub(super) async fn ask(&self, stream: &str, cluster: &str, live: &[Value]) -> (Judged, Coverage) {
        self.ask_until(stream, cluster, live, Instant::now() + BUDGET).await
    }

    async fn ask_until(&self, stream: &str, cluster: &str, live: &[Value], end: Instant) -> (Judged, Coverage) {
        let kinds = self.by_kind.keys().cloned().collect();
        let mut judged = Judged { kinds, answers: BTreeMap::new() };
        let mut came = Coverage::ToAll;
        let mut live: Vec<&Value> = live.iter().filter(|object| judged.asks_about(object)).collect();
        // What a plugin hung over must not keep it from the rest a second time.
        live.sort_by_cached_key(|object| self.failed(cluster, object));
        for object in live {
            let Some(extension) = self.by_kind.get(&Kind::of(object)) else { continue };
            let health = match self.health(stream, cluster, extension, object, end).await {
                Some(health) => health,
                None => {
                    came = Coverage::ToSome;
                    continue;
                }
            };
            judged.answers.insert(object::uid(object).to_owned(), health);
        }
        (judged, came)
    }

    /// How one object is; `None` where it would have to be asked about and there is no time for it.
    async fn health(
        &self,
        stream: &str,
        cluster: &str,
        extension: &Extension,
        live: &Value,
        end: Instant,
    ) -> Option<Health> {
        let plugin = match extension.ready() {
            Ok(known) => known.plugin,
            Err(because) => return Some(unknown(&because)),
        };
        let key = (cluster.to_owned(), object::uid(live).to_owned());
        let version = object::resource_version(live);
        if let Some(known) = self.remembered(&key, plugin.digest(), version) {
            return Some(known);
        }
        if let Some(because) = self.hung(plugin.digest()) {
            return Some(unknown(&because));
        }
        if Instant::now() >= end {
            return None;
        }
        let about = Lines::new(plugin.name(), stream, Id::of(live).to_string());
        let (told, limits) = (told(live), &extension.limits);
        let call = extension.sandbox().health(&plugin, &told, limits, Arc::new(about));
        let verdict = in_turn(limits.wall, call).await;
        let is_slow =
            matches!(verdict, Verdict::TimedOut { .. } | Verdict::Limit { which: Limit::Cpu | Limit::Concurrent, .. });
        let (health, until) = match answer(verdict) {
            Ok(said) => (Health::new(status(said.status), cut(&said.message)), None),
            Err(because) => (unknown(&because), Some(Instant::now() + AGAIN)),
        };
        let (plugin, version) = (plugin.digest().to_owned(), version.to_owned());
        if is_slow && Instant::now() >= end {
            let because = format!("its plugin is left alone for a while: at {}, {}", Id::of(live), health.message);
            let until = Instant::now() + AGAIN;
            self.hung.lock().expect("nobody panics while holding the names").insert(plugin.clone(), (until, because));
        }
        self.remember(key, Response { plugin, version, health: health.clone(), until, used: Instant::now() });
        Some(health)
    }

    /// Why a plugin is not asked at the moment, if it is not.
    fn hung(&self, plugin: &str) -> Option<String> {
        let now = Instant::now();
        let mut hung = self.hung.lock().expect("nobody panics while holding the names");
        hung.retain(|_, (until, _)| now < *until);
        hung.get(plugin).map(|(_, because)| because.clone())
    }

    /// Whether the last that was said of an object was no answer.
    fn failed(&self, cluster: &str, live: &Value) -> bool {
        let key = (cluster.to_owned(), object::uid(live).to_owned());
        let said = self.said.lock().expect("nobody panics while holding the answers");
        said.get(&key).is_some_and(|known| known.until.is_some())
    }

    fn remembered(&self, key: &(String, String), plugin: &str, version: &str) -> Option<Health> {
        let now = Instant::now();
        let mut said = self.said.lock().expect("nobody panics while holding the answers");
        let known = said.get_mut(key)?;
        let holds = known.plugin == plugin && known.version == version && known.until.is_none_or(|until| now < until);
        known.used = now;
        holds.then(|| known.health.clone())
    }

    fn remember(&self, key: (String, String), fresh: Response) {
        let mut said = self.said.lock().expect("nobody panics while holding the answers");
        if said.len() >= REMEMBERED && !said.contains_key(&key) {
            let mut used: Vec<Instant> = said.values().map(|known| known.used).collect();
            let middle = used.len() / 2;
            let (_, middle, _) = used.select_nth_unstable(middle);
            let middle = *middle;
            said.retain(|_, known| known.used > middle);
        }
        said.insert(key, fresh);
    }
}

/// What judging one object may use, where its row says nothing else. It is asked often, and sees no more than the
/// object.
fn limits() -> Limits {
    Limits {
        cpu: Duration::from_secs(1),
        wall: Duration::from_secs(5),
        output_bytes: 64 << 10,
        log_bytes: 64 << 10,
        host_calls: 1_000,
        concurrent: SHARE,
        ..Limits::default()
    }
}

/// The object as a plugin sees it: whole, but for what a Secret keeps.
fn told(live: &Value) -> String {
    if object::kind(live) != "Secret" || !object::group_version(object::api_version(live)).0.is_empty() {
        return live.to_string();
    }
    let mut bare = live.clone();
    for path in [
        &["data"][..],
        &["stringData"][..],
        // What was applied is what is kept.
        &["metadata", "annotations", "kubectl.kubernetes.io/last-applied-configuration"][..],
    ] {
        object::remove(&mut bare, path);
    }
    bare.to_string()
}

fn status(said: HealthStatus) -> Status {
    match said {
        HealthStatus::Healthy => Status::Healthy,
        HealthStatus::Progressing => Status::Progressing,
        HealthStatus::Degraded => Status::Degraded,
        HealthStatus::Suspended => Status::Suspended,
        HealthStatus::Missing => Status::Missing,
        HealthStatus::Unknown => Status::Unknown,
    }
}

fn unknown(because: &str) -> Health {
    Health::new(Status::Unknown, cut(because))
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MESSAGE) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
#[path = "judge/tests.rs"]
mod tests;
