//! The server: command line, configuration, driver, stages, API and dashboard.

pub mod board;
pub mod drive;
pub mod logs;
pub mod stages;
pub mod views;
