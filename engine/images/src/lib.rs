//! The door to image builders and registries.
