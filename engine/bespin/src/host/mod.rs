//! The host's side of the plugins' abilities, over the adapters and the stages.

mod archives;
mod artifacts;
mod attempt;
mod connector;
mod container;
pub mod disk;
mod lines;
mod metrics;
pub mod terraform;

pub use archives::Archives;
pub use artifacts::Artifacts;
pub use attempt::{Adapters, PluginHost};
pub use connector::{Connector, Network};
pub use container::ContainerSteps;
pub use lines::Waiting;
pub use metrics::Provider;
pub use terraform::{Plans, Terraform};
