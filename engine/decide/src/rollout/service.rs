//! A Service, and how many ready pods it selects.

use super::act::Guard;
use super::hash::HASH;
use super::pods::Pod;
use crate::object::{self, annotation};
use serde_json::Value;
use std::collections::BTreeMap;

/// The annotation of a Service whose selector a Rollout moves.
pub const MANAGED_BY: &str = "argo-rollouts.argoproj.io/managed-by-rollouts";

/// A Service that the strategy names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Name, uid and version.
    pub guard: Guard,
    /// The version that it selects; all of them when absent.
    pub hash: Option<String>,
    /// What else its pods must have: the rest of its selector.
    pub selector: BTreeMap<String, String>,
    /// The Rollout that says it manages the selector.
    pub managed_by: Option<String>,
    /// How many ready pods it selects.
    pub(super) ready: u32,
}

impl Service {
    /// Reads a Service, and counts whom of these pods it selects.
    pub(super) fn read<'p>(service: &Value, pods: impl Iterator<Item = &'p Pod>) -> Service {
        let mut selector = object::texts(service.pointer("/spec/selector"));
        let hash = selector.remove(HASH);
        let managed_by = annotation(service, MANAGED_BY).map(str::to_owned);
        let names = |pod: &&Pod| hash.as_ref().is_none_or(|hash| pod.is_of(hash)) && pod.has(&selector);
        let ready = u32::try_from(pods.filter(|pod| pod.is_ready()).filter(names).count()).unwrap_or(u32::MAX);
        Service { guard: Guard::of(service), hash, selector, managed_by, ready }
    }

    /// Whether it selects a ready pod, of whichever version.
    pub(super) fn serves(&self) -> bool {
        self.ready > 0
    }

    /// How many ready pods it selects; `None` of one that selects every version.
    pub(super) fn behind(&self) -> Option<u32> {
        self.hash.as_ref().map(|_| self.ready)
    }
}
