//! A small world with controllers that lag, and the walks through it.

mod cuts;
mod git;
mod plugged;
mod proxy;
mod retreats;
mod specs;
mod walks;
mod world;
