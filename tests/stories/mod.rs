//! The stories: what a user does, and what must have happened then.

mod push_to_canary;
mod real_parts;
mod restart_midway;
