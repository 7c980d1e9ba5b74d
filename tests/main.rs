//! One binary: the stories, run against the real program.

mod stories;
