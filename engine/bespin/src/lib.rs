//! The server: command line, configuration, driver, stages, and what the API asks of it.

pub mod attempts;
pub mod cli;
pub mod commands;
pub mod compiler;
pub mod config;
pub mod demo;
pub mod doors;
pub mod drive;
pub mod extensions;
pub mod external_run_numbers;
pub mod hooks;
pub mod host;
pub mod index;
pub mod installed;
pub mod journal_commands;
pub mod leftovers;
pub mod lint;
pub mod logs;
pub mod ownership;
pub mod play;
pub mod plugins;
pub mod reporter;
pub mod requests;
pub mod resume;
pub mod retention;
pub mod serve;
pub mod sources;
pub mod stages;
pub mod steps;
mod trouble;

// For the stages that still name them by the path that they had here.
pub use api::{board, views};
