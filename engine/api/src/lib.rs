//! What is reached by HTTP: the dashboard and its API, the login, webhooks, the control socket.
//!
//! It owns the views (what clients are told) and the traits that the server implements for it: [`commands`] for what
//! people cause, [`reading`] for what is shown beside the journal and the board, [`hooks::Deliveries`] for webhooks.

mod approvals;
mod assets;
pub mod board;
mod client;
pub mod clock;
pub mod commands;
pub mod control;
mod deliveries;
mod delivery_fold;
mod events;
mod fold;
mod guard;
pub mod health;
mod home;
pub mod hooks;
mod index;
pub mod listener;
mod log;
pub mod login;
mod plugins;
mod problem;
pub mod reading;
mod router;
mod runs;
mod session;
mod stages;
mod starts;
mod state;
pub mod views;

pub use router::router;
pub use state::ApiState;

#[cfg(test)]
mod tests;
#[cfg(test)]
mod typescript;
