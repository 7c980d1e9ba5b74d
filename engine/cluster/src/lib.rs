//! The door to Kubernetes.
