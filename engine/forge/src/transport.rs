//! How remotes are talked to: credentials, trust, timeouts.

use crate::address::{Address, AddressScheme};
use crate::error::Error;
use crate::known_hosts;
use crate::secret::GitSecret;
use crate::settings::{Credentials, HeadLimits, PlainHttp, Remote, Settings};
use git2::{CertificateCheckStatus, Cred, CredentialType, ErrorClass, ErrorCode, RemoteCallbacks};
use secrecy::ExposeSecret;
use std::cell::OnceCell;
use std::sync::Once;
use std::time::{Duration, Instant};

/// Sets libgit2's timeouts, once for the process.
pub(crate) fn set_timeouts(settings: &Settings) {
    static SET: Once = Once::new();
    let (connect, silence) = (clamp(settings.connect_timeout_ms), clamp(settings.timeout_ms));
    SET.call_once(|| {
        #[expect(
            unsafe_code,
            reason = "libgit2 keeps timeouts in process globals; this runs once, before any transfer"
        )]
        // SAFETY: both write a C global. `Once` lets one thread through, and no
        // transfer can read them before the first `Forge` exists, which is later.
        let set = unsafe {
            git2::opts::set_server_connect_timeout_in_milliseconds(connect)
                .and_then(|()| git2::opts::set_server_timeout_in_milliseconds(silence))
        };
        if let Err(error) = set {
            tracing::warn!(%error, "git remotes are talked to without timeouts");
        }
    });
}

fn clamp(ms: u32) -> i32 {
    i32::try_from(ms).unwrap_or(i32::MAX)
}

/// Why the host of one transfer was not trusted: libgit2 puts words of its own in the place of ours.
#[derive(Default)]
pub(crate) struct Distrust(OnceCell<String>);

impl Distrust {
    /// The error with our words, where there are any.
    pub(crate) fn explain(&self, error: git2::Error) -> git2::Error {
        match self.0.get() {
            Some(because) => git2::Error::new(error.code(), error.class(), because),
            None => error,
        }
    }
}

/// What one transfer needs to know of its remote.
#[derive(Clone)]
pub(crate) struct Transport {
    address: Address,
    credentials: Credentials,
    limit: Duration,
}

impl Transport {
    /// Finds the credentials for an address.
    ///
    /// # Errors
    /// [`Error::Address`] where they would cross a network in the clear.
    pub(crate) fn new(settings: &Settings, address: &Address) -> Result<Transport, Error> {
        if cfg!(not(feature = "encrypted")) && address.scheme() != AddressScheme::Http {
            let problem =
                "this build talks to git over plain HTTP alone; build Bespin with the feature `encrypted-git`";
            return Err(Error::Address { address: address.as_str().into(), problem: problem.into() });
        }
        let remote = settings.remote(address.as_str());
        let credentials = remote.map(|r| r.credentials.clone()).unwrap_or_default();
        let secret = !matches!(credentials, Credentials::None);
        let anywhere = remote.is_some_and(|r: &Remote| r.plain_http == PlainHttp::Anywhere);
        if secret && address.scheme() == AddressScheme::Http && !address.is_loopback() && !anywhere {
            let problem = "its credentials would cross the network in the clear; use https://, or say \
                           `plain-http = \"anywhere\"` for this remote";
            return Err(Error::Address { address: address.as_str().into(), problem: problem.into() });
        }
        let limit = Duration::from_millis(settings.fetch_timeout_ms);
        Ok(Transport { address: address.clone(), credentials, limit })
    }

    /// Fresh callbacks for one transfer; the time limit starts now.
    pub(crate) fn callbacks<'a>(&'a self, distrust: &'a Distrust) -> RemoteCallbacks<'a> {
        self.callbacks_within(HeadLimits { bytes: usize::MAX, time: self.limit }, distrust)
    }

    /// The same for a transfer that ends once it has received more bytes, or taken longer, than that.
    pub(crate) fn callbacks_within<'a>(&'a self, limits: HeadLimits, distrust: &'a Distrust) -> RemoteCallbacks<'a> {
        let HeadLimits { bytes, time } = limits;
        let deadline = Instant::now() + time.min(self.limit);
        let mut callbacks = RemoteCallbacks::new();
        let mut asked = 0;
        callbacks.credentials(move |_, _, allowed| {
            // libgit2 asks again after a refusal, for ever; the second time is one too many.
            asked += 1;
            self.credential(allowed, asked)
        });
        callbacks.transfer_progress(move |so_far| Instant::now() < deadline && so_far.received_bytes() <= bytes);
        callbacks.sideband_progress(move |_| Instant::now() < deadline);
        if self.address.scheme() == AddressScheme::Ssh {
            callbacks.certificate_check(|certificate, host| {
                let key = certificate.as_hostkey().and_then(|key| key.hostkey());
                self.check_host(host, key).map_err(|problem| git2::Error::from_str(distrust.0.get_or_init(|| problem)))
            });
        }
        callbacks
    }

    fn check_host(&self, host: &str, key: Option<&[u8]>) -> Result<CertificateCheckStatus, String> {
        let Credentials::SshKey(ssh) = &self.credentials else {
            return Err("no SSH key and no known hosts are configured for this remote".into());
        };
        let key = key.ok_or("the remote showed no host key")?;
        known_hosts::check(&ssh.known_hosts, host, self.address.port(), key)?;
        Ok(CertificateCheckStatus::CertificateOk)
    }

    fn credential(&self, allowed: CredentialType, asked: u32) -> Result<Cred, git2::Error> {
        if allowed.contains(CredentialType::USERNAME) {
            return Cred::username(self.address.user());
        }
        if asked > 2 {
            return Err(refused("the remote refused the configured credentials"));
        }
        match &self.credentials {
            Credentials::Token(token) if allowed.contains(CredentialType::USER_PASS_PLAINTEXT) => {
                Cred::userpass_plaintext("x-access-token", token.now().expose_secret())
            }
            Credentials::Basic { username, password } if allowed.contains(CredentialType::USER_PASS_PLAINTEXT) => {
                Cred::userpass_plaintext(username, password.now().expose_secret())
            }
            Credentials::SshKey(key) if allowed.contains(CredentialType::SSH_KEY) => {
                let (private_key, passphrase) = (key.private_key.now(), key.passphrase.as_ref().map(GitSecret::now));
                let passphrase = passphrase.as_ref().map(ExposeSecret::expose_secret);
                Cred::ssh_key_from_memory(self.address.user(), None, private_key.expose_secret(), passphrase)
            }
            Credentials::None => {
                Err(refused("the remote wants credentials; add them to the configuration's `git.remotes`"))
            }
            _ => Err(refused("the remote does not take the kind of credentials that is configured")),
        }
    }
}

fn refused(problem: &str) -> git2::Error {
    git2::Error::new(ErrorCode::Auth, ErrorClass::Callback, problem)
}
