//! A data plane that a plugin tells its weights.

use super::super::*;
use super::world::World;
use crate::outcome::{Attempted, Failure, Outcomes};
use crate::retry::Retry;
use serde_json::{Value, json};

pub(super) const NAME: &str = "example/http";

/// How the plugin is today.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// It tells what is served.
    Verifies,
    /// It cannot tell how the traffic is shared.
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

/// The data plane behind the router.
#[derive(Clone, Debug)]
pub(super) struct Proxy {
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
    /// What it was told last.
    pub told: Option<Split>,
    /// How often it was told a weight.
    pub calls: usize,
    /// Turns without anything happening.
    pub idle: usize,
}

impl World {
    /// The seed's world, its traffic shared by a plugin.
    pub(super) fn plugged() -> World {
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
            calls: 0,
            idle: 0,
        });
        world
    }

    pub(super) fn proxy(&mut self) -> &mut Proxy {
        self.proxy.as_mut().expect("there is a proxy")
    }

    /// What the router says of a share.
    pub(super) fn ask_router(&mut self, split: &Split) -> Result<Reply, Failure> {
        let proxy = self.proxy();
        let is_there = proxy.wanted.is_some() && proxy.at.as_ref() == Some(settings(&split.rollout));
        match proxy.mode {
            Mode::Forgets if !is_there => Err(failure(Retry::NeedsPerson)),
            Mode::Verifies | Mode::Ignores | Mode::Forgets if proxy.serving == split.weight && is_there => {
                Ok(Reply::Verified)
            }
            Mode::Verifies | Mode::Ignores | Mode::Forgets => Ok(Reply::NotVerified),
            Mode::CannotTell => Ok(Reply::NotSupported),
            Mode::Silent | Mode::Mute => Err(failure(Retry::PASSING)),
            Mode::Refuses => Err(failure(Retry::NeedsPerson)),
        }
    }

    pub(super) fn tell_router(&mut self, split: &Split) -> Result<Reply, Failure> {
        let proxy = self.proxy();
        proxy.calls += 1;
        match proxy.mode {
            Mode::Silent => return Err(failure(Retry::PASSING)),
            Mode::Refuses => return Err(failure(Retry::NeedsPerson)),
            Mode::Verifies | Mode::CannotTell | Mode::Ignores | Mode::Forgets | Mode::Mute => {}
        }
        let here = settings(&split.rollout);
        if let Some(before) = proxy.at.replace(here.clone()).filter(|before| before != here) {
            proxy.left.push((before, std::mem::take(&mut proxy.serving)));
        }
        if proxy.wanted.replace(split.weight) != Some(split.weight) {
            proxy.lag.1 = proxy.lag.0;
        }
        proxy.told = Some(split.clone());
        Ok(Reply::Done)
    }

    /// Takes back what it has made.
    pub(super) fn unroute(&mut self, rollout: &Value) -> Result<Reply, Failure> {
        let proxy = self.proxy();
        match proxy.mode {
            Mode::Silent => return Err(failure(Retry::PASSING)),
            Mode::Refuses => return Err(failure(Retry::NeedsPerson)),
            Mode::Verifies | Mode::CannotTell | Mode::Ignores | Mode::Forgets | Mode::Mute => {}
        }
        if proxy.at.as_ref() == Some(settings(rollout)) {
            (proxy.wanted, proxy.serving, proxy.at) = (None, 0, None);
        }
        proxy.left.retain(|(left, _)| left != settings(rollout));
        proxy.removed.push(rollout.clone());
        Ok(Reply::Done)
    }

    /// The proxy follows what it was told; whether anything changed.
    pub(super) fn proxy_follows(&mut self) -> bool {
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
    /// What anything can follow from. What came of asking and telling a router that tells what it serves matters only
    /// while it serves something else.
    pub(super) fn matters(&self, outcomes: &Outcomes<ActKey, Reply>) -> impl PartialEq + use<> {
        let remembers = self.mode == Mode::CannotTell || self.wanted != Some(self.serving);
        let counts = |one: &&Attempted<ActKey, Reply>| remembers || matches!(one.act, ActKey::Unroute(_));
        let outcomes: Vec<_> = outcomes.iter().filter(counts).cloned().collect();
        let place = (self.lag, self.at.clone(), self.left.clone(), self.removed.clone());
        (self.mode, self.wanted, self.serving, place, outcomes)
    }
}

/// Two Rollouts with different settings have different places in the data plane.
fn settings(rollout: &Value) -> &Value {
    &rollout["spec"]["strategy"]["canary"]["trafficRouting"]
}

fn failure(retry: Retry) -> Failure {
    Failure { message: "no route to the proxy".to_owned(), retry }
}
