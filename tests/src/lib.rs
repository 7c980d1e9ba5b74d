//! The stories live in `main.rs`; this library is empty.
