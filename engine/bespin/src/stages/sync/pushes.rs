//! Wakes the applications of a repository as soon as a push to it was received.
//!
//! It follows the journal instead of the webhooks: what stands there is
//! authentic, and from a repository that the hook's configuration lists.

use super::SyncStage;
use crate::drive::Drivers;
use decide::delivery::Push;
use forge::{Address, Forge};
use std::sync::Arc;

/// How many entries are read at once.
const CHUNK: usize = 500;

impl SyncStage {
    /// Follows the deliveries until the server stops. Those before it are of no
    /// interest: at the start, every application is looked at.
    pub async fn hear(self: Arc<Self>, drivers: Arc<Drivers>, forge: Arc<Forge>) {
        let mut newest = drivers.journal().newest();
        let mut after = *newest.borrow_and_update();
        loop {
            tokio::select! {
                () = drivers.stopping().cancelled() => return,
                changed = newest.changed() => if changed.is_err() { return },
            }
            while after < *newest.borrow_and_update() {
                let entries = match drivers.journal().tail(after, CHUNK).await {
                    Ok(entries) => entries,
                    Err(error) => {
                        tracing::warn!(%error, "the deliveries cannot be read; applications look again by themselves");
                        break;
                    }
                };
                let Some(last) = entries.last() else { break };
                after = last.seq;
                let addresses =
                    entries.iter().filter_map(pushed).filter_map(|push| forge.address(&push.repository).ok());
                addresses.for_each(|address| self.pushed(&drivers, &address));
            }
        }
    }
}

/// The push that an entry records, if it records one.
fn pushed(entry: &journal::Entry) -> Option<Push> {
    let is_push = entry.stream.starts_with("delivery/") && entry.kind == "received";
    is_push.then(|| serde_json::from_value(entry.body.clone()).ok())?
}

/// Whether two addresses lead to the same repository, by whichever protocol.
/// Where a server minds the case of a name, one look too many is no harm.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    match (Address::parse(one), Address::parse(other)) {
        (Ok(one), Ok(other)) => one.name().eq_ignore_ascii_case(&other.name()),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::is_same;

    #[test]
    fn a_repository_is_the_same_by_every_protocol() {
        let https = "https://github.com/user/k8s-manifests.git";
        for same in ["https://github.com/user/k8s-manifests", "git@github.com:User/k8s-manifests.git", https] {
            assert!(is_same(https, same), "{same}");
        }
        for other in ["https://github.com/user/k8s", "https://gitlab.com/user/k8s-manifests.git", "", "k8s-manifests"] {
            assert!(!is_same(https, other), "{other}");
        }
        assert!(!is_same("", ""));
    }
}
