//! A router that is a plugin: what it is asked, what it said, and what follows.
//!
//! It is asked about the weight that the journal says was asked of it. What it
//! did not verify counts as traffic, and so does what nobody could learn.

use super::Move;
use super::entry::{Act, Entry};
use super::look::Look;
use super::read::Mistake;
use super::recorded::Recorded;
use super::router::{Router, path_of};
use super::seen::{Live, Owner};
use super::spec::{self, Spec};
use crate::next::{Next, Timestamp, Wake};
use serde_json::{Value, json};

/// After how long a weight that is not verified is asked for and told again, in ms: Argo's verify retry.
pub const VERIFY_AGAIN_MS: u64 = 10_000;
/// After how long a router that is where it should be is asked again, in ms: nobody tells of what happens there.
pub const LOOK_AGAIN_MS: u64 = 60_000;

/// How the traffic of a rollout is to be shared. What is left over is the stable version's.
#[derive(Clone, Debug, PartialEq)]
pub struct Split {
    /// The plugin's name in the Rollout.
    pub router: String,
    /// The canary's share, in percent.
    pub weight: u32,
    /// The whole Rollout; its status has the hashes of both versions as they were decided.
    pub rollout: Value,
}

/// Which Rollouts a router is for, by the server's configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serves {
    /// The one that is looked at.
    This,
    /// Others alone.
    Others,
}

/// A router that is in use, from before it is told anything until it has taken that back.
#[derive(Clone, Debug, PartialEq)]
pub struct Routed {
    /// Its name in the Rollout.
    pub router: String,
    /// What it needs of the Rollout to find what it has made.
    pub rollout: Value,
}

/// What a router said in one look, and how it took what it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    /// The canary's share that it was asked about, in percent.
    pub weight: u32,
    /// Whether it was told this share, since the server's start.
    pub told: Told,
    /// What it said.
    pub said: Said,
}

/// How a router took the share that it was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Told {
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
    Failed(Trouble),
}

/// What a router says of a share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// The traffic is shared so.
    Verified,
    /// It is not, or not yet.
    NotVerified,
    /// The router cannot tell. As with Argo, what it has taken counts then.
    NotSupported,
    /// It could not be asked.
    Failed(Trouble),
}

/// Why a router did not answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Why, as a sentence.
    pub because: String,
    /// What it takes to mend it.
    pub mends: Mends,
    /// It is left alone until then, in ms since the epoch.
    pub again: Timestamp,
}

/// What it takes to mend a trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mends {
    /// The same call may succeed later.
    ByItself,
    /// Somebody has to change something.
    ByAPerson,
}

impl Split {
    /// Whether it asks for the same shares of the same versions at the same place.
    pub fn is_same(&self, other: &Split) -> bool {
        let hashes = |split: &Split| ["currentPodHash", "stableRS"].map(|hash| split.rollout["status"][hash].clone());
        (&self.router, self.weight, hashes(self), place(&self.rollout))
            == (&other.router, other.weight, hashes(other), place(&other.rollout))
    }
}

impl Told {
    /// It has taken the share, maybe not for the first time: being told again gives it no more time.
    pub fn taken(&self, now: Timestamp) -> Told {
        let since = if let Told::Taken { since, .. } = self { *since } else { now };
        Told::Taken { at: now, since }
    }

    /// The router answers after it has not: only from here on can it be late.
    pub fn answered_again(&mut self, now: Timestamp) {
        if let Told::Taken { since, .. } = self {
            *since = now;
        }
    }
}

impl Reply {
    /// Since when the router has had the chance to serve the share, in ms since the epoch.
    pub fn since(&self) -> Option<Timestamp> {
        if let Told::Taken { since, .. } = &self.told { Some(*since) } else { None }
    }

    /// The share that was verified, in percent.
    pub fn verified(&self) -> Option<u32> {
        (self.said == Said::Verified).then_some(self.weight)
    }

    /// The share that counts as served, in percent.
    pub fn counts(&self) -> Option<u32> {
        match (&self.said, &self.told) {
            (Said::Verified, _) | (Said::NotSupported, Told::Taken { .. }) => Some(self.weight),
            _ => None,
        }
    }

    /// What stands in the way, if something does.
    pub fn trouble(&self) -> Option<&Trouble> {
        match (&self.told, &self.said) {
            _ if self.counts().is_some() => None,
            (Told::Failed(trouble), _) | (_, Said::Failed(trouble)) => Some(trouble),
            _ => None,
        }
    }
}

/// What a rollout's router is to be asked in a look: nothing before it was promised to be used.
pub fn question(recorded: &Recorded, live: &Live) -> Option<Split> {
    let spec = read(live).ok().filter(|_| live.owner == Owner::Ours)?;
    let router = spec.router.as_ref().and_then(Router::plugin)?;
    recorded.routed.as_ref().filter(|routed| routed.router == router)?;
    split(recorded, live, router)
}

fn split(recorded: &Recorded, live: &Live, router: &str) -> Option<Split> {
    let mut rollout = live.rollout.clone();
    let newest = &recorded.walk.as_ref()?.hash;
    let stable = recorded.stable.as_ref().map(|stable| &stable.hash);
    if !rollout["status"].is_object() {
        rollout["status"] = json!({});
    }
    rollout["status"]["currentPodHash"] = json!(newest);
    rollout["status"]["stableRS"] = json!(stable.unwrap_or(newest));
    Some(Split { router: router.to_owned(), weight: recorded.asked, rollout })
}

/// What a router needs of a Rollout to find what it has made for it: no template, for whatever stands there is none
/// of its business.
fn place(rollout: &Value) -> Value {
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

/// Reads the spec, and refuses a plugin that this server has not, or not for this Rollout.
pub(super) fn read(live: &Live) -> Result<Spec, Vec<Mistake>> {
    let spec = spec::parse(&live.rollout)?;
    let Some(name) = spec.router.as_ref().and_then(Router::plugin) else { return Ok(spec) };
    let (got, add) = match live.routers.get(name) {
        Some(Serves::This) => return Ok(spec),
        Some(Serves::Others) => {
            ("does not serve this Rollout", format!("\"{}\" to `rollouts` of [[route]] `{name}` in", live.place))
        }
        None => ("is no router of this server", format!("[[route]] with name = \"{name}\" to")),
    };
    let mend =
        format!("an administrator adds {add} the server's configuration; or leave this Rollout to Argo Rollouts");
    Err(vec![Mistake::new(&path_of(name), got, &mend)])
}

/// Before a router is told anything, it is written down which one, and where.
pub(super) fn promise(look: &Look) -> Option<Move> {
    let router = look.spec.router.as_ref().and_then(Router::plugin)?;
    let routed = Routed { router: router.to_owned(), rollout: place(&look.live.rollout) };
    (look.recorded.routed.as_ref() != Some(&routed)).then(|| {
        let Routed { router, rollout } = routed;
        let text = format!("{router} shares the traffic from here on");
        Next { record: vec![Entry::Routing { router, rollout }], ..Next::progressing(Wake::Now, text) }
    })
}

/// A rollout that has left its router, or the place where that one was told: it takes back what it has made there
/// before anything else is done.
pub(super) fn leave(look: &Look) -> Option<Move> {
    let routed = look.recorded.routed.as_ref()?;
    let is_named = look.spec.router.as_ref().and_then(Router::plugin) == Some(routed.router.as_str());
    let stays = is_named && without_uid(&routed.rollout) == without_uid(&place(&look.live.rollout));
    (!stays).then(|| taken_back(routed, look.now))
}

/// A Rollout that is made anew under its old name is at the same place.
fn without_uid(place: &Value) -> Value {
    let mut place = place.clone();
    if let Some(uid) = place.pointer_mut("/metadata/uid") {
        *uid = Value::Null;
    }
    place
}

/// The same where there is no Rollout any more.
pub(super) fn gone(recorded: &Recorded, now: Timestamp) -> Option<Move> {
    recorded.routed.as_ref().map(|routed| taken_back(routed, now))
}

fn taken_back(routed: &Routed, now: Timestamp) -> Move {
    let Routed { router, rollout } = routed.clone();
    let text = format!("{router} takes back what it has made, and all traffic is the stable version's");
    let acts = vec![Act::Unroute { router, rollout }];
    Next { acts, ..Next::progressing(Wake::At(now + VERIFY_AGAIN_MS), text) }
}

/// Somebody else's from here on: what the router serves is theirs to decide, so it is told nothing.
pub(super) fn let_go(recorded: &Recorded) -> Option<Move> {
    let Routed { router, .. } = recorded.routed.as_ref()?;
    let text = format!("{router} is left as it is, for the Rollout is not Bespin's any more");
    let record = vec![Entry::Unrouted { router: router.clone() }];
    Some(Next { record, ..Next::progressing(Wake::Now, text) })
}

/// Tells the router the weight that was promised, unless it serves it, has just been told, or is left alone for now.
pub(super) fn weigh(look: &Look) -> Option<Act> {
    let reply = look.reply()?;
    let due = match &reply.told {
        _ if reply.weight != look.recorded.asked => true,
        _ if reply.counts().is_some() => false,
        Told::NotYet => true,
        // What it took it may have lost since; then it may even refuse to say what it serves.
        Told::Taken { at, .. } => look.now >= at + VERIFY_AGAIN_MS,
        Told::Failed(trouble) => look.now >= trouble.again,
    };
    let split = split(look.recorded, look.live, look.router()?.plugin()?)?;
    due.then_some(Act::Weigh { split: Box::new(split) })
}

/// When the router is to be asked again.
pub(super) fn wake(look: &Look) -> Option<Timestamp> {
    let reply = look.reply()?;
    if reply.counts().is_some() {
        return Some(look.now + LOOK_AGAIN_MS);
    }
    let told = match &reply.told {
        Told::NotYet => None,
        Told::Taken { at, .. } => Some(at + VERIFY_AGAIN_MS),
        Told::Failed(trouble) => Some(trouble.again),
    };
    // It may be over since it was asked, a moment ago: then nobody else would ask again.
    let said = if let Said::Failed(trouble) = &reply.said { trouble.again } else { look.now + VERIFY_AGAIN_MS };
    told.filter(|at| *at > look.now).into_iter().chain([said.max(look.now + 1)]).min()
}

/// How the router stands to the weight, as a condition: status, reason and message.
pub(super) fn told(look: &Look) -> Option<(&'static str, &'static str, String)> {
    let (reply, router) = (look.reply()?, look.router()?.plugin()?);
    let weight = reply.weight;
    if let Some(trouble) = reply.trouble() {
        let reason = match trouble.mends {
            Mends::ByItself => "RouterFailed",
            Mends::ByAPerson => "RouterRejected",
        };
        return Some(("Unknown", reason, stuck(router, trouble)));
    }
    Some(match &reply.said {
        Said::Verified => ("True", "Verified", format!("{router} serves {weight} % to the canary")),
        Said::NotSupported => {
            let text = format!("{router} cannot verify weights: {weight} % counts as served once it was taken");
            ("Unknown", "NotSupported", text)
        }
        Said::NotVerified | Said::Failed(_) => {
            ("False", "NotVerified", format!("{router} does not serve {weight} % to the canary yet"))
        }
    })
}

/// What stands in the way at the router, as a sentence.
pub(super) fn stuck(router: &str, trouble: &Trouble) -> String {
    match trouble.mends {
        Mends::ByItself => format!("{router} fails: {}; nothing is scaled down until it answers", trouble.because),
        Mends::ByAPerson => format!("{router} refuses: {}", trouble.because),
    }
}
