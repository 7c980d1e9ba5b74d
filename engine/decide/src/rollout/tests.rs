//! A small world with controllers that lag, and rollouts in it.

mod aborts;
mod alerts;
mod balanced;
mod clients;
mod cuts;
mod dynamic;
mod events;
mod failures;
mod faults;
mod fields;
mod git;
mod late_balancer;
mod metadata;
mod plugged;
mod proxy;
mod random;
mod refused;
mod replicas;
mod restart;
mod restored;
mod safety;
mod services;
mod specs;
mod stable_version;
mod walks;
mod world;
