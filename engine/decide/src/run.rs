//! Decides which steps of a run start next, and how the run ends.
