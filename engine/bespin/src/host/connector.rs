//! Sends a plugin's granted request, and to no other address than its grant
//! reaches: names are resolved here, answers are filtered, and the connection
//! goes to what was filtered. Redirects are answers.

use async_trait::async_trait;
use futures::StreamExt;
use pipeline::permission::{Ability, Denied, HostReach};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use sandbox::{Failure, HttpRequest, HttpResponse};
use secrecy::ExposeSecret;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use url::{Host, Url};

/// The longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(10);
/// The longest exchange; a step that waits longer is better told so.
const WHOLE: Duration = Duration::from_secs(60);

/// Where names lead, and where the connections to their addresses go.
#[async_trait]
pub trait Network: Send + Sync + 'static {
    /// The addresses of a name, none of which has been judged.
    ///
    /// # Errors
    /// The name has none, or nobody can be asked.
    async fn resolve(&self, name: &str) -> std::io::Result<Vec<IpAddr>>;

    /// Where a connection goes to an address that was judged; port 0 is the request's own.
    fn dial(&self, address: IpAddr) -> SocketAddr;
}

/// The network of this machine.
struct Machine;

#[async_trait]
impl Network for Machine {
    async fn resolve(&self, name: &str) -> std::io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect())
    }

    fn dial(&self, address: IpAddr) -> SocketAddr {
        SocketAddr::new(address, 0)
    }
}

/// One client for each reach, so that a pooled connection cannot cross over.
pub struct Connector {
    public: reqwest::Client,
    private: reqwest::Client,
    local: reqwest::Client,
}

impl Connector {
    /// Builds the clients.
    ///
    /// # Errors
    /// TLS cannot be set up on this machine.
    pub fn new() -> Result<Connector, reqwest::Error> {
        Connector::over(Arc::new(Machine))
    }

    /// The same over a network of the caller's.
    ///
    /// # Errors
    /// As for [`Connector::new`].
    pub fn over(network: Arc<dyn Network>) -> Result<Connector, reqwest::Error> {
        let client = |reach| {
            reqwest::Client::builder()
                .redirect(reqwest::redirect::Policy::none())
                .no_proxy()
                .connect_timeout(CONNECT)
                .timeout(WHOLE)
                .user_agent(concat!("bespin/", env!("CARGO_PKG_VERSION")))
                .dns_resolver(Arc::new(Filtered { reach, network: network.clone() }))
                .build()
        };
        Ok(Connector {
            public: client(HostReach::Public)?,
            private: client(HostReach::Private)?,
            local: client(HostReach::Local)?,
        })
    }

    /// Sends a request and reads its whole, bounded answer.
    ///
    /// # Errors
    /// Denied where the address is out of the grant's reach; rejected where the request is malformed or the answer too
    /// long; transient where the network failed.
    /// No error text holds the address's query or a header, which may carry secrets.
    pub async fn send(&self, asked: HttpRequest) -> Result<HttpResponse, Failure> {
        let url = Url::parse(asked.url.expose_secret()).map_err(|_| rejected("the address is malformed"))?;
        let place = url.host_str().unwrap_or_default().to_owned();
        literal_allowed(&url, asked.reach)?;
        let method = asked.method.parse().map_err(|_| rejected("the method is malformed"))?;
        let client = match asked.reach {
            HostReach::Public => &self.public,
            HostReach::Private => &self.private,
            HostReach::Local => &self.local,
        };
        let mut request = client.request(method, url).body(asked.body);
        for (name, value) in &asked.headers {
            request = request.header(name, value.expose_secret());
        }
        let failed = |error: reqwest::Error| match out_of_reach(&error) {
            Some(denied) => Failure::Denied(denied),
            None => Failure::Transient(format!("{place}: {}", cause(&error.without_url()))),
        };
        let response = request.send().await.map_err(failed)?;
        let status = response.status().as_u16();
        let text = |value: &http::HeaderValue| value.to_str().ok().map(str::to_owned);
        let headers = response.headers().iter().filter_map(|(name, value)| Some((name.to_string(), text(value)?)));
        let headers = headers.collect();
        let mut body = Vec::new();
        let mut chunks = response.bytes_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(failed)?;
            if (body.len() + chunk.len()) as u64 > asked.at_most {
                return Err(rejected(&format!("{place}: the answer is longer than {} bytes", asked.at_most)));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(HttpResponse { status, headers, body })
    }
}

fn rejected(text: &str) -> Failure {
    Failure::Rejected(text.to_owned())
}

/// The innermost cause, which is what a person can act on.
fn cause(error: &dyn std::error::Error) -> String {
    let mut innermost = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// A literal address never meets the resolver, so it is judged here.
fn literal_allowed(url: &Url, reach: HostReach) -> Result<(), Failure> {
    let address = match url.host() {
        Some(Host::Ipv4(address)) => IpAddr::V4(address),
        Some(Host::Ipv6(address)) => IpAddr::V6(address),
        Some(Host::Domain(_)) => return Ok(()),
        None => return Err(rejected("the address has no host")),
    };
    if reaches(reach, address) {
        return Ok(());
    }
    Err(Failure::Denied(OutOfReach { name: address.to_string(), addresses: vec![address] }.denied()))
}

/// Every address of a name is further away than the grant reaches.
#[derive(Debug)]
struct OutOfReach {
    name: String,
    addresses: Vec<IpAddr>,
}

impl OutOfReach {
    fn denied(&self) -> Denied {
        let addresses: Vec<_> = self.addresses.iter().map(IpAddr::to_string).collect();
        let help = format!(
            "it leads to {}: a private address is reached by a grant of that very name, this machine and its \
             neighbours only by a grant of that very address",
            addresses.join(", ")
        );
        Denied { grant: Ability::Http, value: self.name.clone(), help }
    }
}

impl std::fmt::Display for OutOfReach {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.denied().fmt(f)
    }
}

impl std::error::Error for OutOfReach {}

/// The denial that an error comes from, if that is what it comes from.
fn out_of_reach(error: &reqwest::Error) -> Option<Denied> {
    let first: &(dyn std::error::Error + 'static) = error;
    let mut chain = std::iter::successors(Some(first), |error| error.source());
    chain.find_map(|error| error.downcast_ref::<OutOfReach>()).map(OutOfReach::denied)
}

/// Names lead to what is within reach, and nowhere else.
struct Filtered {
    reach: HostReach,
    network: Arc<dyn Network>,
}

impl Resolve for Filtered {
    fn resolve(&self, name: Name) -> Resolving {
        let (reach, network) = (self.reach, self.network.clone());
        Box::pin(async move {
            let found = network.resolve(name.as_str()).await?;
            let allowed: Vec<_> = found.iter().copied().filter(|address| reaches(reach, *address)).collect();
            if allowed.is_empty() {
                let name = name.as_str().to_owned();
                return Err(OutOfReach { name, addresses: found }.into());
            }
            Ok(Box::new(allowed.into_iter().map(move |address| network.dial(address))) as Addrs)
        })
    }
}

/// Where clouds serve credentials to whoever asks from within, beside the link-local address that most of them use:
/// Alibaba's metadata, Azure's wire server, Oracle's metadata.
const METADATA: [Ipv4Addr; 3] =
    [Ipv4Addr::new(100, 100, 100, 200), Ipv4Addr::new(168, 63, 129, 16), Ipv4Addr::new(192, 0, 0, 192)];

/// Whether an address is within a reach. What is not known to be harmless is not.
fn reaches(reach: HostReach, address: IpAddr) -> bool {
    let kind = match address {
        IpAddr::V4(v4) => kind_v4(v4),
        IpAddr::V6(v6) => v6.to_ipv4_mapped().map_or_else(|| kind_v6(v6), kind_v4),
    };
    kind <= reach
}

/// The narrowest reach that includes the address.
fn kind_v4(address: Ipv4Addr) -> HostReach {
    let [a, b, ..] = address.octets();
    let shared = a == 100 && (64..128).contains(&b);
    let special = METADATA.contains(&address)
        || address.is_unspecified()
        || a == 0
        || address.is_loopback()
        || address.is_link_local()
        || address.is_broadcast()
        || address.is_multicast()
        || address.is_documentation()
        || a >= 240;
    match () {
        () if special => HostReach::Local,
        () if address.is_private() || shared || (a == 198 && (18..20).contains(&b)) => HostReach::Private,
        () => HostReach::Public,
    }
}

fn kind_v6(address: Ipv6Addr) -> HostReach {
    let [a, b, ..] = address.segments();
    // Amazon's metadata service answers in the unique-local range, too.
    let metadata = (a, b) == (0xfd00, 0x0ec2);
    let global = (0x2000..0x4000).contains(&a);
    // Addresses that carry an IPv4 address could lead anywhere that one does.
    let carries_v4 = a == 0x2002 || (a, b) == (0x2001, 0) || (a, b) == (0x0064, 0xff9b);
    match () {
        () if metadata || carries_v4 => HostReach::Local,
        () if (a & 0xfe00) == 0xfc00 => HostReach::Private,
        () if global => HostReach::Public,
        () => HostReach::Local,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_reached_only_by_a_grant_that_says_so() {
        for (address, public, private) in [
            ("8.8.8.8", true, true),
            ("10.1.2.3", false, true),
            ("100.64.0.1", false, true),
            ("127.0.0.1", false, false),
            ("169.254.169.254", false, false),
            ("100.100.100.200", false, false),
            ("168.63.129.16", false, false),
            ("0.0.0.0", false, false),
            ("224.0.0.1", false, false),
            ("::1", false, false),
            ("::ffff:127.0.0.1", false, false),
            ("::ffff:169.254.169.254", false, false),
            ("fe80::1", false, false),
            ("fd00:ec2::254", false, false),
            ("fd12::1", false, true),
            ("2606:4700::1", true, true),
            ("2002:7f00:1::", false, false),
            ("64:ff9b::7f00:1", false, false),
        ] {
            let ip: IpAddr = address.parse().expect("an address");
            assert_eq!(
                (reaches(HostReach::Public, ip), reaches(HostReach::Private, ip)),
                (public, private),
                "{address}"
            );
            assert!(reaches(HostReach::Local, ip));
        }
    }
}
