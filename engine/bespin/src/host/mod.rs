//! The host's side of the plugins' abilities, over the doors and the stages.

mod attempt;
mod connector;
mod container;
mod lines;

pub use attempt::{Doors, PluginHost};
pub use connector::{Connector, Network};
pub use lines::Waiting;
