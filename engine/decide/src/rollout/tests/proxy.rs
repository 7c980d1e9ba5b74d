//! A data plane that a plugin tells its weights, and the memory of the server that asks it.

use super::super::*;
use super::world::World;
use crate::by::By;
use crate::next::Timestamp;
use serde_json::{Value, json};

pub const NAME: &str = "example/http";

/// How the plugin is today.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// It tells what is served.
    Verifies,
    /// It cannot tell.
    CannotTell,
    /// It refuses to tell what it serves until it was told something.
    Forgets,
    /// It takes what it is told, and nothing comes of it.
    Ignores,
    /// It does not answer.
    Silent,
    /// It takes what it is told, and does not answer what it serves.
    Mute,
    /// It refuses whatever it is asked.
    Refuses,
}

/// The data plane.
#[derive(Clone, Debug)]
pub struct Proxy {
    pub mode: Mode,
    /// The canary's share that it was told; none of it before that, and after it was taken back.
    pub wanted: Option<u32>,
    /// The canary's share that it serves: a moment later.
    pub serving: u32,
    /// How many turns later, and how many of them are left.
    pub lag: (u32, u32),
    /// The settings by which it was told that.
    at: Option<Value>,
    /// What it still serves by settings that the Rollout has no more.
    pub left: Vec<(Value, u32)>,
    /// Where it was told to take back what it had made.
    pub removed: Vec<Value>,
    /// The server's memory, which a crash takes: what was told last, and how it was taken.
    pub reply: Option<(Split, RouterReply)>,
    /// What it said last is such a memory, too.
    pub response: Option<RouterResponse>,
    /// How often it was told a weight.
    pub calls: usize,
    /// Turns without anything happening.
    pub idle: usize,
}

impl World {
    /// The seed's world, its traffic shared by a plugin.
    pub fn plugged() -> World {
        let mut world = World::seed();
        let plugins = json!({ NAME: { "address": "http://proxy.example" } });
        world.rollout["spec"]["strategy"]["canary"]["trafficRouting"] = json!({ "plugins": plugins });
        world.ingresses.clear();
        world.proxy = Some(Proxy {
            mode: Mode::Verifies,
            wanted: None,
            serving: 0,
            lag: (0, 0),
            at: None,
            left: Vec::new(),
            removed: Vec::new(),
            reply: None,
            response: None,
            calls: 0,
            idle: 0,
        });
        world
    }

    pub fn proxy(&mut self) -> &mut Proxy {
        self.proxy.as_mut().expect("there is a proxy")
    }

    /// What a look learns of the router.
    pub fn ask_router(&mut self, observed: &mut Observed) {
        let (now, state) = (self.now, self.state());
        let (Observed::Present(observed), Some(proxy)) = (observed, &mut self.proxy) else { return };
        observed.routers.insert(NAME.to_owned(), Serves::This);
        let Some(split) = question(&state, observed) else { return };
        let is_there = proxy.wanted.is_some() && proxy.at.as_ref() == Some(settings(&split.rollout));
        let response = match proxy.mode {
            Mode::Forgets if !is_there => RouterResponse::Failed(trouble(Remedy::Person, now)),
            Mode::Verifies | Mode::Ignores | Mode::Forgets if proxy.serving == split.weight && is_there => {
                RouterResponse::Verified
            }
            Mode::Verifies | Mode::Ignores | Mode::Forgets => RouterResponse::NotVerified,
            Mode::CannotTell => RouterResponse::NotSupported,
            Mode::Silent | Mode::Mute => RouterResponse::Failed(trouble(Remedy::Wait, now)),
            Mode::Refuses => RouterResponse::Failed(trouble(Remedy::Person, now)),
        };
        let reply = proxy.reply.as_mut().filter(|(reply, _)| reply.is_same(&split)).map(|(_, reply)| reply);
        let reply = reply.map(|reply| {
            if proxy.response.as_ref().is_some_and(has_failed) && !has_failed(&response) {
                reply.answered_again(now);
            }
            reply.clone()
        });
        proxy.response = Some(response.clone());
        observed.hear(RouterStatus { weight: split.weight, reply: reply.unwrap_or(RouterReply::NotYet), response });
    }

    pub fn tell_router(&mut self, split: &Split) {
        let now = self.now;
        let proxy = self.proxy();
        proxy.calls += 1;
        let reply = match proxy.mode {
            Mode::Silent => RouterReply::Failed(trouble(Remedy::Wait, now)),
            Mode::Refuses => RouterReply::Failed(trouble(Remedy::Person, now)),
            Mode::Verifies | Mode::CannotTell | Mode::Ignores | Mode::Forgets | Mode::Mute => {
                let here = settings(&split.rollout);
                if let Some(before) = proxy.at.replace(here.clone()).filter(|before| before != here) {
                    proxy.left.push((before, std::mem::take(&mut proxy.serving)));
                }
                if proxy.wanted.replace(split.weight) != Some(split.weight) {
                    proxy.lag.1 = proxy.lag.0;
                }
                let before = proxy.reply.as_ref().filter(|(reply, _)| reply.is_same(split)).map(|(_, reply)| reply);
                before.unwrap_or(&RouterReply::NotYet).taken(now)
            }
        };
        proxy.reply = Some((split.clone(), reply));
    }

    /// Takes back what it has made; that is recorded by whoever does it.
    pub fn unroute(&mut self, router: &str, rollout: &Value) {
        let proxy = self.proxy();
        if matches!(proxy.mode, Mode::Silent | Mode::Refuses) {
            return;
        }
        proxy.reply = None;
        if proxy.at.as_ref() == Some(settings(rollout)) {
            (proxy.wanted, proxy.serving, proxy.at) = (None, 0, None);
        }
        proxy.left.retain(|(left, _)| left != settings(rollout));
        proxy.removed.push(rollout.clone());
        self.journal.push((self.now, By::Server, Entry::Unrouted { router: router.to_owned() }));
    }

    /// The proxy follows what it was told; whether anything changed.
    pub fn proxy_follows(&mut self) -> bool {
        let Some(proxy) = self.proxy.as_mut().filter(|proxy| proxy.mode != Mode::Ignores) else { return false };
        let wanted = proxy.wanted.unwrap_or(0);
        if wanted != proxy.serving && proxy.lag.1 > 0 {
            proxy.lag.1 -= 1;
            return true;
        }
        std::mem::replace(&mut proxy.serving, wanted) != wanted
    }
}

impl Proxy {
    /// What anything can follow from. What the server remembers of a router that tells what it serves matters only
    /// while it serves something else.
    pub fn matters(&self) -> impl PartialEq {
        let remembers = self.mode == Mode::CannotTell || self.wanted != Some(self.serving);
        let reply = self.reply.clone().filter(|_| remembers);
        let place = (self.lag, self.at.clone(), self.left.clone(), self.removed.clone());
        (self.mode, self.wanted, self.serving, place, reply, self.response.as_ref().is_some_and(has_failed))
    }

    /// The server dies, and its memory with it.
    pub fn forgotten(&mut self) {
        (self.reply, self.response) = (None, None);
    }
}

fn has_failed(response: &RouterResponse) -> bool {
    matches!(response, RouterResponse::Failed(_))
}

/// Two Rollouts with different settings have different places in the data plane.
fn settings(rollout: &Value) -> &Value {
    &rollout["spec"]["strategy"]["canary"]["trafficRouting"]
}

fn trouble(remedy: Remedy, now: Timestamp) -> RouterFailure {
    RouterFailure { because: "no route to the proxy".to_owned(), remedy, again: now + 20_000 }
}
