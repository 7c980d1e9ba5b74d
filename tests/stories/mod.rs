//! The stories: what a user does, and what must have happened then.

mod real_parts;
