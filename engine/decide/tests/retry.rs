//! The rule for HTTP is the table that every adapter is held to.

#[path = "faults/cases.rs"]
mod cases;

use cases::{Fault, Peer, RULES, expected};
use decide::retry::Retry;

#[test]
fn statuses_have_the_classes_of_the_table() {
    for (fault, retry, because) in RULES {
        let Fault::Status(status) = fault else {
            assert!(retry.may_pass(), "{fault:?}: what was never answered may pass");
            continue;
        };
        let after_ms = matches!(status, 429 | 503).then_some(240_000);
        assert_eq!(Retry::of_status(status, after_ms), retry, "{status}: {because}");
    }
}

#[test]
fn no_peer_makes_final_what_the_rule_lets_pass() {
    let peers = [Peer::Git, Peer::GitHub, Peer::Registry, Peer::Kubernetes, Peer::Docker, Peer::Aws];
    for (fault, retry, _) in RULES {
        for peer in peers {
            assert!(expected(peer, fault).may_pass() || !retry.may_pass(), "{peer:?} {fault:?}");
        }
    }
}
