//! The adapter to GitHub and git.
//!
//! Everything of libgit2 runs on threads that may block; what leaves this
//! crate is plain data. Mirrors are bare: there is no work tree anywhere.

#![deny(unsafe_code)]

pub mod address;
mod archive;
mod bump;
mod changes;
mod clock;
mod damage;
mod error;
mod fetch;
mod github;
mod heads;
mod known_hosts;
mod list;
mod look;
mod mirror;
mod notices;
pub mod pulls;
mod reach;
pub mod redelivery;
mod secret;
mod settings;
mod shape;
pub mod signature;
mod state;
pub mod status;
mod transport;
mod upkeep;
mod walk;

pub use address::Address;
pub use bump::{NewCommit, Pushed};
pub use changes::Changed;
pub use error::Error;
pub use heads::{Fetched, HEAD_KEPT, Head, Heads, MOST_HEADS};
pub use list::{Listed, ListedKind};
pub use look::{Commit, FileAt, Limits, Trailered};
pub use mirror::{Forge, Mirror};
pub use notices::Notices;
pub use secret::GitSecret;
pub use settings::{Credentials, HeadLimits, Identity, PlainHttp, Remote, Settings, SshKey};
pub use state::Unfetched;
