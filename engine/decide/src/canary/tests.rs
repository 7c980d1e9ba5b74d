//! A small world with controllers that lag, and the walks through it.

mod cuts;
mod specs;
mod walks;
mod world;
