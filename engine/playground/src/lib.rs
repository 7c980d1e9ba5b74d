//! The embedded default: a Kubernetes API, an OCI registry and git remotes to try Bespin on.
