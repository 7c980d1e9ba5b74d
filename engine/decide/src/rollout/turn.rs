//! Whose turn it is, where two Services take turns.

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
