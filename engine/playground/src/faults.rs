//! Faults on request: the next N requests of a kind fail, so that tests can see what happens then.

use std::sync::{Arc, Mutex};

/// Which part of the playground a fault is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target {
    /// The Kubernetes API; a fault matches by the request's method and path.
    Kube,
    /// The OCI registry; a fault matches by the request's method and path.
    Registry,
    /// The git remotes over HTTP; a fault matches by the request's method and path.
    Git,
}

/// How a request fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// It is answered with this HTTP status, and nothing happens (500, 503, 409, ...).
    Status(u16),
    /// The connection is closed without an answer, and nothing happens.
    Drop,
    /// It is carried out, and then the connection is closed without an answer.
    DropAfter,
}

#[derive(Debug)]
struct Rule {
    target: Target,
    method: Option<String>,
    path: String,
    fault: Fault,
    left: u32,
}

/// The faults that are to come. Cloning gives another handle to the same ones.
#[derive(Clone, Debug, Default)]
pub struct Faults(Arc<Mutex<Vec<Rule>>>);

impl Faults {
    /// Makes the next `count` requests fail whose method is `method` (any without it) and whose path contains `path`.
    pub fn inject(&self, target: Target, method: Option<&str>, path: &str, fault: Fault, count: u32) {
        let rule = Rule { target, method: method.map(str::to_owned), path: path.into(), fault, left: count };
        self.rules().push(rule);
    }

    /// Forgets the faults that have not come yet.
    pub fn clear(&self) {
        self.rules().clear();
    }

    /// How many faults are still to come.
    pub fn left(&self) -> u32 {
        self.rules().iter().map(|rule| rule.left).sum()
    }

    /// The fault of this request, which is used up by asking.
    pub(crate) fn take(&self, target: Target, method: &str, path: &str) -> Option<Fault> {
        let mut rules = self.rules();
        let fits = |r: &&mut Rule| {
            r.target == target && r.method.as_deref().is_none_or(|m| m == method) && path.contains(&r.path)
        };
        let rule = rules.iter_mut().find(fits)?;
        rule.left = rule.left.saturating_sub(1);
        let fault = rule.fault;
        rules.retain(|rule| rule.left > 0);
        Some(fault)
    }

    fn rules(&self) -> std::sync::MutexGuard<'_, Vec<Rule>> {
        self.0.lock().expect("no holder of this lock panics")
    }
}
