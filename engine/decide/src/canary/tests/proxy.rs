//! A data plane that a plugin tells its weights, and the memory of the server that asks it.

use super::super::*;
use super::world::World;
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
    pub told: Option<(Split, Told)>,
    /// What it said last is such a memory, too.
    pub said: Option<Said>,
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
            told: None,
            said: None,
            calls: 0,
            idle: 0,
        });
        world
    }

    pub fn proxy(&mut self) -> &mut Proxy {
        self.proxy.as_mut().expect("there is a proxy")
    }

    /// What a look learns of the router.
    pub fn ask_router(&mut self, seen: &mut Seen) {
        let (now, recorded) = (self.now, self.recorded());
        let (Seen::Present(live), Some(proxy)) = (seen, &mut self.proxy) else { return };
        live.routers.insert(NAME.to_owned(), Serves::This);
        let Some(split) = question(&recorded, live) else { return };
        let is_there = proxy.wanted.is_some() && proxy.at.as_ref() == Some(settings(&split.rollout));
        let said = match proxy.mode {
            Mode::Forgets if !is_there => Said::Failed(trouble(Mends::ByAPerson, now)),
            Mode::Verifies | Mode::Ignores | Mode::Forgets if proxy.serving == split.weight && is_there => {
                Said::Verified
            }
            Mode::Verifies | Mode::Ignores | Mode::Forgets => Said::NotVerified,
            Mode::CannotTell => Said::NotSupported,
            Mode::Silent | Mode::Mute => Said::Failed(trouble(Mends::ByItself, now)),
            Mode::Refuses => Said::Failed(trouble(Mends::ByAPerson, now)),
        };
        let told = proxy.told.as_mut().filter(|(told, _)| told.is_same(&split)).map(|(_, told)| told);
        let told = told.map(|told| {
            if proxy.said.as_ref().is_some_and(has_failed) && !has_failed(&said) {
                told.answered_again(now);
            }
            told.clone()
        });
        proxy.said = Some(said.clone());
        live.hear(Reply { weight: split.weight, told: told.unwrap_or(Told::NotYet), said });
    }

    pub fn tell_router(&mut self, split: &Split) {
        let now = self.now;
        let proxy = self.proxy();
        proxy.calls += 1;
        let told = match proxy.mode {
            Mode::Silent => Told::Failed(trouble(Mends::ByItself, now)),
            Mode::Refuses => Told::Failed(trouble(Mends::ByAPerson, now)),
            Mode::Verifies | Mode::CannotTell | Mode::Ignores | Mode::Forgets | Mode::Mute => {
                let here = settings(&split.rollout);
                if let Some(before) = proxy.at.replace(here.clone()).filter(|before| before != here) {
                    proxy.left.push((before, std::mem::take(&mut proxy.serving)));
                }
                if proxy.wanted.replace(split.weight) != Some(split.weight) {
                    proxy.lag.1 = proxy.lag.0;
                }
                let before = proxy.told.as_ref().filter(|(told, _)| told.is_same(split)).map(|(_, told)| told);
                before.unwrap_or(&Told::NotYet).taken(now)
            }
        };
        proxy.told = Some((split.clone(), told));
    }

    /// Takes back what it has made; that is recorded by whoever does it.
    pub fn unroute(&mut self, router: &str, rollout: &Value) {
        let proxy = self.proxy();
        if matches!(proxy.mode, Mode::Silent | Mode::Refuses) {
            return;
        }
        proxy.told = None;
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
        let told = self.told.clone().filter(|_| remembers);
        let place = (self.lag, self.at.clone(), self.left.clone(), self.removed.clone());
        (self.mode, self.wanted, self.serving, place, told, self.said.as_ref().is_some_and(has_failed))
    }

    /// The server dies, and its memory with it.
    pub fn forgotten(&mut self) {
        (self.told, self.said) = (None, None);
    }
}

fn has_failed(said: &Said) -> bool {
    matches!(said, Said::Failed(_))
}

/// Two Rollouts with different settings have different places in the data plane.
fn settings(rollout: &Value) -> &Value {
    &rollout["spec"]["strategy"]["canary"]["trafficRouting"]
}

fn trouble(mends: Mends, now: Timestamp) -> Trouble {
    Trouble { because: "no route to the proxy".to_owned(), mends, again: now + 20_000 }
}
