//! Which git addresses Bespin talks to.

use crate::error::Error;
use std::net::IpAddr;

/// A git address that was checked: HTTP or SSH, to another program.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address {
    text: String,
    scheme: AddressScheme,
    host: String,
    port: Option<u16>,
    path: String,
    user: Option<String>,
}

/// How a remote is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AddressScheme {
    /// HTTP over TLS, with the system's certificates.
    Https,
    /// HTTP in the clear.
    Http,
    /// SSH, in either of its two notations.
    Ssh,
}

impl Address {
    /// Checks an address: `https://`, `http://`, `ssh://` or `user@host:path`.
    ///
    /// # Errors
    /// [`Error::Address`] for local paths, `file://`, other schemes, and
    /// addresses that carry a password.
    pub fn parse(text: &str) -> Result<Address, Error> {
        let refuse = |problem: &str| Error::Address { address: without_password(text), problem: problem.into() };
        if text.len() > 2_000 || text.chars().any(|c| c.is_control() || c.is_whitespace()) {
            return Err(refuse("it has spaces or control characters, or is longer than 2,000 bytes"));
        }
        if !text.contains("://") {
            return scp_like(text).ok_or_else(|| {
                refuse("it is a path of this machine; use https://, ssh:// or user@host:path of a git server")
            });
        }
        let url = url::Url::parse(text).map_err(|error| refuse(&error.to_string()))?;
        let scheme = match url.scheme() {
            "https" => AddressScheme::Https,
            "http" => AddressScheme::Http,
            "ssh" => AddressScheme::Ssh,
            "file" => return Err(refuse("local repositories lose concurrent pushes; serve it over HTTP or SSH")),
            _ => return Err(refuse("the scheme is none of https, http and ssh")),
        };
        let user = (!url.username().is_empty()).then(|| url.username().to_owned());
        if url.password().is_some() || (user.is_some() && scheme != AddressScheme::Ssh) {
            return Err(refuse("it carries a credential; put that into the configuration's `git.remotes`"));
        }
        if url.query().is_some() || url.fragment().is_some() {
            return Err(refuse("it has a `?` or a `#`"));
        }
        let host = url.host_str().filter(|h| !h.is_empty()).ok_or_else(|| refuse("it names no host"))?.to_owned();
        let path = url.path().trim_matches('/').to_owned();
        if path.is_empty() {
            return Err(refuse("it names no repository"));
        }
        Ok(Address { text: text.to_owned(), scheme, host, port: url.port(), path, user })
    }

    /// The address as it was given; it carries no password.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// How the remote is reached.
    pub fn scheme(&self) -> AddressScheme {
        self.scheme
    }

    /// The host's name or IP address, without user and port.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port, where the address names one.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// The user of an SSH address; `git` where it names none.
    pub fn user(&self) -> &str {
        self.user.as_deref().unwrap_or("git")
    }

    /// The name by which grants speak of it: `github.com/user/k8s-manifests`.
    pub fn name(&self) -> String {
        let port = self.port.map(|port| format!(":{port}")).unwrap_or_default();
        format!("{}{port}/{}", self.host, self.path.strip_suffix(".git").unwrap_or(&self.path))
    }

    /// Whether the remote is on this machine.
    pub(crate) fn is_loopback(&self) -> bool {
        let host = self.host.trim_start_matches('[').trim_end_matches(']');
        host == "localhost" || host.parse::<IpAddr>().is_ok_and(|ip| ip.is_loopback())
    }
}

/// `user@host:path`. Without a user it could be a Windows drive or a typo.
fn scp_like(text: &str) -> Option<Address> {
    let (user, rest) = text.split_once('@')?;
    let (host, path) = rest.split_once(':')?;
    let path = path.trim_matches('/');
    let name = |s: &str| !s.is_empty() && s.bytes().all(|b| b.is_ascii_alphanumeric() || b"-._".contains(&b));
    if !name(user) || !name(host) || path.is_empty() || user.starts_with('-') || host.starts_with('-') {
        return None;
    }
    let (host, path, user) = (host.to_owned(), path.to_owned(), Some(user.to_owned()));
    Some(Address { text: text.to_owned(), scheme: AddressScheme::Ssh, host, port: None, path, user })
}

fn without_password(text: &str) -> String {
    match (text.find("://"), text.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme => format!("{}***{}", &text[..scheme + 3], &text[at..]),
        _ => text.chars().take(200).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_taken_and_how_grants_call_it() {
        for (text, name, scheme) in [
            ("https://github.com/user/k8s-manifests.git", "github.com/user/k8s-manifests", AddressScheme::Https),
            ("http://127.0.0.1:3000/user/x", "127.0.0.1:3000/user/x", AddressScheme::Http),
            ("ssh://git@host:2222/user/x.git", "host:2222/user/x", AddressScheme::Ssh),
            ("git@github.com:user/x.git", "github.com/user/x", AddressScheme::Ssh),
        ] {
            let address = Address::parse(text).unwrap();
            assert_eq!((address.name().as_str(), address.scheme()), (name, scheme));
        }
    }

    #[test]
    fn what_is_refused_and_why() {
        for (text, problem) in [
            ("/srv/git/x.git", "path of this machine"),
            ("../x.git", "path of this machine"),
            ("file:///srv/x.git", "lose concurrent pushes"),
            ("git://host/x", "none of https"),
            ("ext::sh -c id", "spaces"),
            ("https://user:hush@host/x", "carries a credential"),
            ("https://hush@host/x", "carries a credential"),
            ("https://host/", "names no repository"),
            ("https://host/x?y", "has a `?`"),
            ("-oProxyCommand=x@host:y", "path of this machine"),
        ] {
            let error = Address::parse(text).unwrap_err().to_string();
            assert!(error.contains(problem), "{text}: {error}");
            assert!(!error.contains("hush"), "{error}");
        }
    }
}
