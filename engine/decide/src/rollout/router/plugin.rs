//! A router that is a plugin of the world `route`: what it is told, and what it says of that.
//!
//! It is asked about the weight that the journal says was asked of it. What it did not verify counts as traffic, and so
//! does what could not be learnt.

use crate::next::Timestamp;
use crate::outcome::Failure;
use crate::retry::Retry;
use crate::rollout::act::Split;
use crate::rollout::fields::{CANARY, Mistake, Mistakes};
use serde_json::{Value, json};

/// A plugin's part of a Rollout. Its settings are its own: it reads them in the Rollout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plugin {
    /// Its name in `trafficRouting.plugins`, such as `argoproj-labs/gatewayAPI`.
    pub name: String,
}

/// After how long a weight that is not verified is asked for and told again, in ms: Argo's verify retry.
pub const VERIFY_AGAIN_MS: u64 = 10_000;
/// After how long a router that is where it should be is asked again, in ms: nobody tells of what happens there.
pub const LOOK_AGAIN_MS: u64 = 60_000;
/// For how long an answer stands, in ms: whatever wakes a rollout in between asks nobody again.
pub(in crate::rollout) const STANDS_MS: u64 = 1_000;
/// The shortest pause after a failure, and the longest, in ms: traffic waits for it.
const PAUSES_MS: (u64, u64) = (1_000, 60_000);

/// Which Rollouts a router is for, by the server's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serves {
    /// The one that is looked at.
    This,
    /// It serves other rollouts, and not this one.
    Others,
}

/// What a router said last, and how it took what it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouterStatus {
    /// The canary's share that it was asked about, in percent.
    pub weight: u32,
    /// Whether it was told this share, since the server's start.
    pub reply: RouterReply,
    /// What the router said when it was asked last.
    pub response: RouterResponse,
    /// Until when that stands, in ms since the epoch; from then on it is asked again.
    pub stands_until: Timestamp,
}

/// How a router took the share that it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouterReply {
    /// Nobody has told it yet.
    NotYet,
    /// It has taken it; whether it serves it is another matter.
    Taken {
        /// When it was told last, in ms since the epoch.
        at: Timestamp,
        /// Since when it has had the chance to serve it: first taken, or answering again after a failure.
        since: Timestamp,
    },
    /// It has not taken it.
    Failed(RouterFailure),
}

/// What a router says of a share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RouterResponse {
    /// It was not asked yet.
    NotAsked,
    /// The traffic is shared so.
    Verified,
    /// It is not, or not yet.
    NotVerified,
    /// The router cannot tell. As with Argo, what it has taken counts then.
    NotSupported,
    /// It could not be asked.
    Failed(RouterFailure),
}

/// Why a router did not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouterFailure {
    /// Why, as a sentence.
    pub because: String,
    /// What it takes to fix it.
    pub remedy: Remedy,
    /// It is left alone until then, in ms since the epoch.
    pub again: Timestamp,
}

/// What it takes to fix a trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Remedy {
    /// The same call may succeed later.
    Wait,
    /// Somebody has to change something.
    Person,
}

impl RouterStatus {
    /// Whether it has to be asked before anything rests on what it said.
    pub(in crate::rollout) fn is_old(&self, now: Timestamp) -> bool {
        now >= self.stands_until
    }

    /// Since when the router has had the chance to serve the share, in ms since the epoch.
    pub fn since(&self) -> Option<Timestamp> {
        if let RouterReply::Taken { since, .. } = &self.reply { Some(*since) } else { None }
    }

    /// The share that was verified, in percent.
    pub fn verified(&self) -> Option<u32> {
        (self.response == RouterResponse::Verified).then_some(self.weight)
    }

    /// The share that counts as served, in percent.
    pub fn counts(&self) -> Option<u32> {
        match (&self.response, &self.reply) {
            (RouterResponse::Verified, _) | (RouterResponse::NotSupported, RouterReply::Taken { .. }) => {
                Some(self.weight)
            }
            _ => None,
        }
    }

    /// What stands in the way, if something does.
    pub fn trouble(&self) -> Option<&RouterFailure> {
        match (&self.reply, &self.response) {
            _ if self.counts().is_some() => None,
            (RouterReply::Failed(trouble), _) | (_, RouterResponse::Failed(trouble)) => Some(trouble),
            _ => None,
        }
    }
}

impl RouterFailure {
    /// The newest of so many failures in a row, which ended at `at`, in ms since the epoch.
    pub fn of(failure: &Failure, failures: u32, at: Timestamp) -> RouterFailure {
        let (shortest, longest) = PAUSES_MS;
        let remedy = match failure.retry {
            Retry::Passing { .. } => Remedy::Wait,
            Retry::NeedsPerson | Retry::Permanent => Remedy::Person,
        };
        let pause = failure.retry.pause_ms(failures, 0.5).clamp(shortest, longest);
        RouterFailure { because: failure.message.clone(), remedy, again: at + pause }
    }

    /// What stands in the way at the router, as a sentence.
    pub fn message(&self, router: &str) -> String {
        match self.remedy {
            Remedy::Wait => format!("{router} fails: {}; nothing is scaled down until it answers", self.because),
            Remedy::Person => format!("{router} refuses: {}", self.because),
        }
    }
}

impl Plugin {
    /// What it is to be told or asked: the share of the versions with these hashes.
    pub(in crate::rollout) fn split(&self, weight: u32, newest: &str, stable: &str, rollout: &Value) -> Split {
        let mut rollout = rollout.clone();
        if !rollout["status"].is_object() {
            rollout["status"] = json!({});
        }
        rollout["status"]["currentPodHash"] = json!(newest);
        rollout["status"]["stableRS"] = json!(stable);
        Split { router: self.name.clone(), weight, rollout }
    }

    /// Whether it has to be told a weight, in percent: unless it serves it, has just been told, or is left alone for
    /// now.
    pub(super) fn is_due(status: &RouterStatus, weight: u32, now: Timestamp) -> bool {
        match &status.reply {
            _ if status.weight != weight => true,
            _ if status.counts().is_some() => false,
            RouterReply::NotYet => true,
            // What it took it may have lost since; then it may even refuse to say what it serves.
            RouterReply::Taken { at, .. } => now >= at + VERIFY_AGAIN_MS,
            RouterReply::Failed(failure) => now >= failure.again,
        }
    }

    /// When it is to be asked again.
    pub(super) fn wake(status: &RouterStatus, now: Timestamp) -> Timestamp {
        if status.counts().is_some() {
            return now + LOOK_AGAIN_MS;
        }
        let told = match &status.reply {
            RouterReply::NotYet => None,
            RouterReply::Taken { at, .. } => Some(at + VERIFY_AGAIN_MS),
            RouterReply::Failed(failure) => Some(failure.again),
        };
        let asked = match &status.response {
            RouterResponse::Failed(failure) => failure.again,
            _ => now + VERIFY_AGAIN_MS,
        };
        told.filter(|at| *at > now).map_or(asked, |told| told.min(asked))
    }

    /// What it refuses, as a sentence.
    pub(super) fn problems(&self, status: &RouterStatus) -> Vec<String> {
        let refused = status.trouble().filter(|failure| failure.remedy == Remedy::Person);
        refused.map(|failure| failure.message(&self.name)).into_iter().collect()
    }
}

/// Where a plugin stands in a Rollout.
pub(in crate::rollout) fn path_of(plugin: &str) -> String {
    format!("{CANARY}.trafficRouting.plugins[{plugin}]")
}

/// What a router needs of a Rollout to find what it has made for it: no template, for whatever stands there is none
/// of its business.
pub(in crate::rollout) fn place(rollout: &Value) -> Value {
    let (metadata, canary) = (&rollout["metadata"], &rollout["spec"]["strategy"]["canary"]);
    json!({
        "apiVersion": rollout["apiVersion"],
        "kind": rollout["kind"],
        "metadata": { "name": metadata["name"], "namespace": metadata["namespace"], "uid": metadata["uid"] },
        "spec": { "strategy": { "canary": {
            "canaryService": canary["canaryService"],
            "stableService": canary["stableService"],
            "trafficRouting": canary["trafficRouting"],
        } } },
    })
}

/// Whether two places are the same. A Rollout that is made anew under its old name is where it was.
pub(in crate::rollout) fn is_same_place(one: &Value, other: &Value) -> bool {
    let without_uid = |place: &Value| {
        let mut place = place.clone();
        if let Some(uid) = place.pointer_mut("/metadata/uid") {
            *uid = Value::Null;
        }
        place
    };
    without_uid(one) == without_uid(other)
}

/// Reads `trafficRouting.plugins`: one plugin, and no more.
pub(super) fn read(plugins: &Value, mistakes: &mut Mistakes) -> Option<Plugin> {
    let path = format!("{CANARY}.trafficRouting.plugins");
    let help = "write one plugin's name, and its settings below it";
    let all: Vec<(&String, &Value)> = plugins.as_object().into_iter().flatten().collect();
    match all.as_slice() {
        [] => mistakes.push(Mistake::new(&path, "names no plugin", help)),
        [(name, settings)] if settings.is_object() || settings.is_null() => {
            return Some(Plugin { name: (*name).clone() });
        }
        [(name, _)] => mistakes.push(Mistake::new(&path_of(name), "is not an object", "write its settings below it")),
        [_, others @ ..] => {
            let message = "is a second plugin, and one router is followed at a time";
            let second = |(name, _): &(&String, &Value)| Mistake::new(&path_of(name), message, "remove all but one");
            mistakes.extend(others.iter().map(second));
        }
    }
    None
}
