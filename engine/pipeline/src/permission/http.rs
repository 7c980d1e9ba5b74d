//! Permission to send requests: `[METHOD[,METHOD] ][http://]host[:port]`.
//!
//! Without methods it is permission to read (GET and HEAD); `*` is any method.
//! Without `http://` it is permission for https alone, so that a token never
//! travels in the clear unless somebody wrote that it may.

use std::fmt;

use url::{Host, Url};

/// Which addresses a granted host may resolve to. Each includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum HostReach {
    /// Global unicast only: the grant was a pattern.
    Public,
    /// Private ranges as well: the grant names this very host. Still no loopback and no link-local.
    Private,
    /// Anything: the grant names this literal address, or `localhost`.
    Local,
}

/// Where a request goes, as a grant judges it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    method: String,
    scheme: UrlScheme,
    host: String,
    /// None is the scheme's own.
    port: Option<u16>,
}

#[derive(Clone, Debug)]
pub(super) struct HttpRule {
    methods: Methods,
    scheme: UrlScheme,
    host: Pattern,
    port: Option<u16>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum UrlScheme {
    Https,
    Http,
}

#[derive(Clone, Debug)]
enum Methods {
    Reading,
    Any,
    Listed(Vec<String>),
}

#[derive(Clone, Debug)]
enum Pattern {
    /// A name in its normal spelling.
    Name(String),
    /// A literal address, or `localhost`.
    Literal(String),
    /// `*.example.com`, kept as `.example.com`.
    Under(String),
}

impl Target {
    /// Where a request to this address goes.
    ///
    /// # Errors
    ///
    /// The address has a scheme other than `http` and `https`, a user, a password or no host.
    /// The text does not repeat the address, which may hold a secret.
    pub fn of(method: &str, url: &Url) -> Result<Target, &'static str> {
        let scheme = match url.scheme() {
            "https" => UrlScheme::Https,
            "http" => UrlScheme::Http,
            _ => return Err("only http and https addresses are requested"),
        };
        if !url.username().is_empty() || url.password().is_some() {
            return Err("an address has no user or password in it; use a header");
        }
        let Some(host) = url.host_str() else { return Err("the address has no host") };
        let host = host.trim_end_matches('.').to_owned();
        Ok(Target { method: method.to_owned(), scheme, host, port: url.port() })
    }

    /// Whether it is sent by POST.
    pub fn is_post(&self) -> bool {
        self.method == "POST"
    }

    /// How far an address may reach that the server's own administrator stored as a secret.
    pub fn reach_by_its_own_name(&self) -> HostReach {
        match Pattern::parse(&self.host) {
            Ok(Pattern::Literal(_)) => HostReach::Local,
            Ok(Pattern::Name(_)) => HostReach::Private,
            _ => HostReach::Public,
        }
    }
}

/// As a grant for it is written.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !matches!(self.method.as_str(), "GET" | "HEAD") {
            write!(f, "{} ", self.method)?;
        }
        if self.scheme == UrlScheme::Http {
            f.write_str("http://")?;
        }
        f.write_str(&self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl HttpRule {
    pub(super) fn parse(value: &str) -> Result<HttpRule, String> {
        let mut words = value.split(' ').filter(|word| !word.is_empty());
        let (methods, address) = match (words.next(), words.next(), words.next()) {
            (Some(address), None, None) => (Methods::Reading, address),
            (Some(methods), Some(address), None) => (Methods::parse(methods)?, address),
            _ => return Err("write `[METHOD[,METHOD] ]host[:port]`".to_owned()),
        };
        let (scheme, address) = match address.split_once("://") {
            None => (UrlScheme::Https, address),
            Some(("https", address)) => (UrlScheme::Https, address),
            Some(("http", address)) => (UrlScheme::Http, address),
            Some(_) => return Err("only http and https are requested".to_owned()),
        };
        if address.contains(['/', '?', '#', '@']) {
            return Err("a grant names a host, not a page of it".to_owned());
        }
        let (host, port) = match address.rsplit_once(':') {
            Some((host, port)) if !port.contains(']') => {
                (host, Some(port.parse().map_err(|_| format!("`{port}` is no port"))?))
            }
            _ => (address, None),
        };
        let usual = if scheme == UrlScheme::Https { 443 } else { 80 };
        Ok(HttpRule { methods, scheme, host: Pattern::parse(host)?, port: port.filter(|&port| port != usual) })
    }

    /// How far the target's name may reach by this rule; none if the rule is not about it.
    pub(super) fn reach(&self, target: &Target) -> Option<HostReach> {
        let same = self.scheme == target.scheme && self.port == target.port && self.methods.include(&target.method);
        if same { self.host.reach(&target.host) } else { None }
    }
}

impl Methods {
    fn parse(written: &str) -> Result<Methods, String> {
        if written == "*" {
            return Ok(Methods::Any);
        }
        let methods: Vec<String> = written.split(',').map(str::to_owned).collect();
        match methods.iter().find(|m| m.is_empty() || !m.chars().all(|c| c.is_ascii_uppercase())) {
            Some(wrong) => Err(format!("`{wrong}` is no method; write it in upper case, such as POST")),
            None => Ok(Methods::Listed(methods)),
        }
    }

    fn include(&self, method: &str) -> bool {
        match self {
            Methods::Reading => matches!(method, "GET" | "HEAD"),
            Methods::Any => true,
            Methods::Listed(methods) => methods.iter().any(|m| m == method),
        }
    }
}

impl Pattern {
    fn parse(host: &str) -> Result<Pattern, String> {
        if let Some(domain) = host.strip_prefix("*.") {
            return match Host::parse(domain) {
                Ok(Host::Domain(domain)) if !domain.contains('*') => Ok(Pattern::Under(format!(".{domain}"))),
                _ => Err("after `*.` comes the name of a domain".to_owned()),
            };
        }
        match Host::parse(host) {
            Ok(Host::Domain(domain)) if domain == "localhost" => Ok(Pattern::Literal(domain)),
            Ok(Host::Domain(domain)) if !domain.contains('*') => Ok(Pattern::Name(domain)),
            Ok(literal @ (Host::Ipv4(_) | Host::Ipv6(_))) => Ok(Pattern::Literal(literal.to_string())),
            _ => Err(format!("`{host}` is no host; `*` is allowed as `*.example.com`")),
        }
    }

    fn reach(&self, host: &str) -> Option<HostReach> {
        match self {
            Pattern::Name(name) => (name == host).then_some(HostReach::Private),
            Pattern::Literal(literal) => (literal == host).then_some(HostReach::Local),
            Pattern::Under(domain) => {
                (host.len() > domain.len() && host.ends_with(domain)).then_some(HostReach::Public)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reach(grant: &str, method: &str, url: &str) -> Option<HostReach> {
        HttpRule::parse(grant).unwrap().reach(&Target::of(method, &Url::parse(url).unwrap()).unwrap())
    }

    #[test]
    fn a_host_alone_may_be_read_over_https() {
        assert_eq!(reach("api.example.com", "GET", "https://api.example.com/x"), Some(HostReach::Private));
        assert_eq!(reach("api.example.com", "GET", "https://API.example.com.:443/x"), Some(HostReach::Private));
        for (method, url) in [
            ("POST", "https://api.example.com/x"),
            ("GET", "http://api.example.com/x"),
            ("GET", "https://api.example.com:8443/x"),
            ("GET", "https://api.example.com.attacker.net/x"),
            ("GET", "https://attacker.net/?api.example.com"),
        ] {
            assert_eq!(reach("api.example.com", method, url), None, "{method} {url}");
        }
    }

    #[test]
    fn methods_ports_and_patterns() {
        assert_eq!(
            reach("POST,PUT api.example.com:8443", "PUT", "https://api.example.com:8443"),
            Some(HostReach::Private)
        );
        assert_eq!(reach("* *.example.com", "DELETE", "https://a.b.example.com"), Some(HostReach::Public));
        assert_eq!(reach("* *.example.com", "DELETE", "https://example.com"), None);
        assert_eq!(reach("* *.example.com", "GET", "https://badexample.com"), None);
    }

    #[test]
    fn a_literal_has_one_spelling() {
        let grant = "http://127.0.0.1:8080";
        for url in ["http://127.0.0.1:8080", "http://0x7f.1:8080/", "http://2130706433:8080/"] {
            assert_eq!(reach(grant, "GET", url), Some(HostReach::Local), "{url}");
        }
        assert_eq!(reach("http://[::1]", "GET", "http://[0:0:0:0:0:0:0:1]/"), Some(HostReach::Local));
        assert_eq!(reach("http://localhost", "GET", "http://localhost/"), Some(HostReach::Local));
        assert_eq!(reach("http://localhost", "GET", "http://127.0.0.1/"), None);
    }

    #[test]
    fn what_is_no_plain_address_is_refused() {
        for url in ["file:///etc/passwd", "https://user@host/", "https://user:word@host/", "ftp://host/", "data:,x"] {
            assert!(Target::of("GET", &Url::parse(url).unwrap()).is_err(), "{url}");
        }
        for grant in ["", "GET", "get host", "host/page", "user@host", "ho*st", "*", "*.1.2.3.4", "host:x", "a b c"] {
            let parsed = HttpRule::parse(grant);
            assert!(parsed.is_err() || grant == "GET", "{grant}: {parsed:?}");
        }
    }

    #[test]
    fn a_denied_request_is_written_as_its_grant() {
        for (method, url, grant) in [
            ("POST", "https://hooks.slack.com/services/T0/B0/x", "POST hooks.slack.com"),
            ("GET", "http://127.0.0.1:9090/metrics", "http://127.0.0.1:9090"),
        ] {
            let target = Target::of(method, &Url::parse(url).unwrap()).unwrap();
            assert_eq!(target.to_string(), grant);
            assert!(HttpRule::parse(grant).unwrap().reach(&target).is_some());
        }
    }
}
