//! What each way of failing says about trying again: one table for everything that Bespin talks to.
//!
//! Each adapter's test brings every fault about on a real socket, and holds its error's class to this table.

use decide::retry::Retry;

/// A way in which a request fails.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing listens at the port.
    Refused,
    /// The name has no address.
    Dns,
    /// What answers does not speak TLS.
    Tls,
    /// The connection is taken, and nothing is ever answered.
    Timeout,
    /// The connection is reset in the middle of the request.
    Reset,
    /// An HTTP status; 429 and 503 with `Retry-After: 240`.
    Status(u16),
}

/// Who is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// A git remote, over HTTP.
    Git,
    /// GitHub's API.
    GitHub,
    /// An image registry.
    Registry,
    /// A Kubernetes API server.
    Kubernetes,
    /// A Docker Engine.
    Docker,
    /// An API of AWS, such as ECR's.
    Aws,
}

/// What `Retry-After: 240` asks for.
pub(crate) const ASKED: Retry = Retry::Passing { after_ms: Some(240_000) };

/// The rule: a fault, its class, and why.
pub(crate) const RULES: [(Fault, Retry, &str); 16] = [
    (Fault::Refused, Retry::PASSING, "the peer starts again"),
    (Fault::Dns, Retry::PASSING, "a resolver recovers, and a name that is new becomes known"),
    (Fault::Tls, Retry::PASSING, "a proxy answers in plain text while what is behind it starts"),
    (Fault::Timeout, Retry::PASSING, "the peer is overloaded, or the network drops packets"),
    (Fault::Reset, Retry::PASSING, "the peer was stopped in the middle"),
    (Fault::Status(401), Retry::NeedsPerson, "a token is renewed, and is read again"),
    (Fault::Status(403), Retry::NeedsPerson, "a right is granted"),
    (Fault::Status(404), Retry::NeedsPerson, "what is missing is made, or may be seen once a right is granted"),
    (Fault::Status(409), Retry::PASSING, "another writer was first: the next look sees what it wrote"),
    (Fault::Status(410), Retry::Permanent, "it says that it is gone for good"),
    (Fault::Status(422), Retry::Permanent, "the request itself is refused, and stays the same"),
    (Fault::Status(429), ASKED, "the limit says when it ends"),
    (Fault::Status(500), Retry::PASSING, "the peer is at fault, not the request"),
    (Fault::Status(502), Retry::PASSING, "what is behind the proxy starts again"),
    (Fault::Status(503), ASKED, "the outage says when it ends"),
    (Fault::Status(504), Retry::PASSING, "what is behind the proxy is slow"),
];

/// Where a peer means something else by a fault, or its client hides something, and why.
const EXCEPTIONS: [(Peer, Fault, Retry, &str); 11] = [
    (Peer::Kubernetes, Fault::Status(404), Retry::PASSING, "a namespace or a kind comes by another application"),
    (Peer::Kubernetes, Fault::Status(410), Retry::PASSING, "a list or a watch has expired, and is begun anew"),
    (Peer::Aws, Fault::Status(404), Retry::NeedsPerson, "a request for a token is wrong only in who asks, and where"),
    (Peer::Aws, Fault::Status(410), Retry::NeedsPerson, "the same"),
    (Peer::Aws, Fault::Status(422), Retry::NeedsPerson, "the same"),
    (Peer::GitHub, Fault::Status(403), Retry::NeedsPerson, "without a rate limit's headers it is a missing right"),
    (Peer::Git, Fault::Status(429), Retry::PASSING, "libgit2 hides `Retry-After`"),
    (Peer::Git, Fault::Status(503), Retry::PASSING, "libgit2 hides `Retry-After`"),
    (Peer::Registry, Fault::Status(404), Retry::NeedsPerson, "a push is told so; to a look it is a tag not yet pushed"),
    (Peer::Docker, Fault::Status(429), Retry::PASSING, "the engine's client hides `Retry-After`"),
    (Peer::Docker, Fault::Status(503), Retry::PASSING, "the engine's client hides `Retry-After`"),
];

/// What a peer's fault says about trying again.
pub(crate) fn expected(peer: Peer, fault: Fault) -> Retry {
    let exception = EXCEPTIONS.iter().find(|(of, at, ..)| (*of, *at) == (peer, fault));
    let rule = || RULES.iter().find(|(at, ..)| *at == fault).map(|(_, retry, _)| *retry);
    exception.map(|(_, _, retry, _)| *retry).or_else(rule).expect("the table has every fault")
}
