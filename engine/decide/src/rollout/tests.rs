//! A small world with controllers that lag, and rollouts in it.

mod aborts;
mod clients;
mod cuts;
mod failures;
mod git;
mod plugged;
mod proxy;
mod replicas;
mod restart;
mod restored;
mod safety;
mod specs;
mod stable_version;
mod walks;
mod world;
