//! An OCI registry (the distribution specification's push, pull and listing), kept in files.

mod protocol;
mod referrers;
mod service;
mod store;
mod upload;

pub use service::Registry;
pub use store::Counters;

#[cfg(test)]
mod tests;
