//! Which of two Services is whose: whose turn it is, where they take turns, and what they were when the traffic was shared.

use serde::{Deserialize, Serialize};

/// Which of two Services is the stable version's, as `status.canary.stablePingPong` has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Turn {
    /// `pingPong.pingService`.
    Ping,
    /// `pingPong.pongService`: also before any version was replaced.
    Pong,
}

/// The two Services that share the traffic.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Sharing {
    /// The canary's.
    pub canary: String,
    /// The stable version's.
    pub stable: String,
}

impl Sharing {
    /// The same with each Service in the other's place.
    pub(super) fn turned(self) -> Sharing {
        Sharing { canary: self.stable, stable: self.canary }
    }

    /// Whether these are the two Services.
    pub(super) fn are(&self, canary: &str, stable: &str) -> bool {
        self.canary == canary && self.stable == stable
    }

    /// Whose turn it is between `ping` and `pong`, where these are the two.
    pub(super) fn turn(&self, ping: &str, pong: &str) -> Option<Turn> {
        match () {
            () if self.are(ping, pong) => Some(Turn::Pong),
            () if self.are(pong, ping) => Some(Turn::Ping),
            () => None,
        }
    }
}

impl Turn {
    /// The one of this name.
    pub(super) fn named(name: &str) -> Option<Turn> {
        [Turn::Ping, Turn::Pong].into_iter().find(|turn| turn.name() == name)
    }

    /// Its name in the status.
    pub(super) fn name(self) -> &'static str {
        match self {
            Turn::Ping => "ping",
            Turn::Pong => "pong",
        }
    }

    /// Whose turn is next.
    pub(super) fn other(self) -> Turn {
        match self {
            Turn::Ping => Turn::Pong,
            Turn::Pong => Turn::Ping,
        }
    }
}
