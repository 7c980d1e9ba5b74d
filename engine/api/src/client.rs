//! Who asks: the address behind reverse proxies, and what of it counts as one asker.

use axum::extract::ConnectInfo;
use axum::http::{Extensions, HeaderMap};
use ipnet::{IpNet, Ipv4Net, Ipv6Net};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// The other end of a request's connection; `0.0.0.0` where no listener said so.
pub(crate) fn peer(extensions: &Extensions) -> IpAddr {
    let told = extensions.get::<ConnectInfo<SocketAddr>>();
    told.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ConnectInfo(peer)| peer.ip())
}

/// The addresses that count as one asker: one of IPv4, and a /64 of IPv6, which is the least that a single machine is
/// given.
pub(crate) fn network(address: IpAddr) -> IpNet {
    match address.to_canonical() {
        IpAddr::V4(address) => IpNet::V4(Ipv4Net::from(address)),
        IpAddr::V6(address) => IpNet::V6(Ipv6Net::new(address, 64).expect("64 is a length of IPv6").trunc()),
    }
}

/// The addresses that one customer of a provider may have: the same of IPv4, and of IPv6 the /48 that a /64 is of. Who has
/// so many askers does not count as so many.
pub(crate) fn site(network: IpNet) -> IpNet {
    match network {
        IpNet::V4(_) => network,
        IpNet::V6(of) => IpNet::V6(Ipv6Net::new(of.addr(), 48).expect("48 is a length of IPv6").trunc()),
    }
}

/// The right-most address of `X-Forwarded-For` that is none of the trusted
/// proxies: each proxy adds on the right whom it heard, so that whatever stands
/// further left may be made up. Without a trusted proxy at the other end of
/// the connection, that end itself. An entry that is no address ends the walk
/// at the proxy that wrote it.
pub(crate) fn client(peer: IpAddr, headers: &HeaderMap, trusted: &[IpNet]) -> IpAddr {
    let is_proxy = |address: IpAddr| trusted.iter().any(|net| net.contains(&address));
    let mut client = peer.to_canonical();
    let lines = headers.get_all("x-forwarded-for").iter().rev();
    let entries = lines.flat_map(|line| line.to_str().unwrap_or("not ASCII").rsplit(','));
    for entry in entries {
        if !is_proxy(client) {
            break;
        }
        let Some(further) = address(entry.trim()) else { break };
        client = further;
    }
    client
}

/// An address, with or without the port that some proxies write behind it.
fn address(entry: &str) -> Option<IpAddr> {
    let plain = entry.parse::<IpAddr>().ok();
    let address = plain.or_else(|| entry.parse::<SocketAddr>().ok().map(|socket| socket.ip()))?;
    Some(address.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_with_a_whole_64_is_one_asker() {
        let one = |address: &str| network(address.parse().unwrap());
        assert_eq!(one("2001:db8:0:1::1"), one("2001:db8:0:1:ffff::9"));
        assert_ne!(one("2001:db8:0:1::1"), one("2001:db8:0:2::1"));
        assert_ne!(one("192.0.2.1"), one("192.0.2.2"));
        assert_eq!(one("::ffff:192.0.2.1"), one("192.0.2.1"), "an address of IPv4 that IPv6 maps");
    }

    #[test]
    fn a_customer_with_a_whole_48_is_one_site() {
        let site = |address: &str| site(network(address.parse().unwrap()));
        assert_eq!(site("2001:db8:7:1::1"), site("2001:db8:7:ffff::9"));
        assert_ne!(site("2001:db8:7:1::1"), site("2001:db8:8:1::1"));
        assert_ne!(site("192.0.2.1"), site("192.0.2.2"));
    }

    #[test]
    fn only_proxies_are_believed_and_only_about_whom_they_heard() {
        let trusted = ["10.0.0.0/8", "fd00::/8"].map(|net| net.parse().unwrap());
        for (peer, forwarded, expected) in [
            ("192.0.2.1", &["198.51.100.7"][..], "192.0.2.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["198.51.100.7"], "198.51.100.7"),
            ("::ffff:10.0.0.1", &["::ffff:198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", &["203.0.113.9, 198.51.100.7"], "198.51.100.7"),
            ("10.0.0.1", &["203.0.113.9, 198.51.100.7,10.1.1.1"], "198.51.100.7"),
            ("fd00::1", &["203.0.113.9", "198.51.100.7", "10.1.1.1"], "198.51.100.7"),
            ("10.0.0.1", &["198.51.100.7:4711"], "198.51.100.7"),
            ("10.0.0.1", &["[2001:db8::7]:4711"], "2001:db8::7"),
            ("10.0.0.1", &["10.2.2.2, 10.1.1.1"], "10.2.2.2"),
            ("10.0.0.1", &["198.51.100.7, unknown, 10.1.1.1"], "10.1.1.1"),
            ("10.0.0.1", &["198.51.100.7, "], "10.0.0.1"),
        ] {
            let mut headers = HeaderMap::new();
            for line in forwarded {
                headers.append("x-forwarded-for", line.parse().unwrap());
            }
            let client = client(peer.parse().unwrap(), &headers, &trusted);
            assert_eq!(client, expected.parse::<IpAddr>().unwrap(), "{peer} {forwarded:?}");
        }
    }
}
