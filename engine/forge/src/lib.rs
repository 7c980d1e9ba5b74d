//! The door to GitHub and git.
