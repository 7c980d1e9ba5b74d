//! Registries: where they are, who may enter, and what their tags name.

use crate::ecr::Ecr;
use crate::error::Error;
use crate::freshness::Freshness;
use crate::refusal::RegistryRefusal;
use crate::secret::RegistrySecret;
use decide::retry::Retry;
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};
use pipeline::{Digest, ImageRef};
use secrecy::ExposeSecret;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

/// One registry of the configuration.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct RegistrySettings {
    /// The host in image names.
    pub host: String,
    /// Where it listens, if elsewhere, as `http://` or `https://` and a host; names stay as they are.
    #[serde(default)]
    pub endpoint: Option<String>,
    /// How to log in.
    #[serde(default)]
    pub auth: Auth,
}

/// How to log in to a registry.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Auth {
    /// Without credentials; public registries still hand out a token to pull.
    #[default]
    None,
    /// By a user's name and a password.
    Basic {
        /// The user's name; with a token for a password, what the registry asks for.
        username: String,
        /// The password, or a token in its place.
        password: RegistrySecret,
    },
    /// By a token of the ECR API, with the credentials that the AWS SDK finds.
    #[serde(rename_all = "kebab-case")]
    Ecr {
        /// The AWS region of the registry, such as `ap-northeast-2`.
        region: String,
        /// Where the API listens, if elsewhere.
        #[serde(default)]
        api_endpoint: Option<String>,
    },
}

/// All registries that are known, by host.
#[derive(Default)]
pub struct Registries {
    all: BTreeMap<String, Arc<Registry>>,
}

/// A registry that can be asked and pushed to.
pub struct Registry {
    pub(crate) host: String,
    pub(crate) address: String,
    pub(crate) protocol: ClientProtocol,
    login: Login,
    /// The client of the login at hand: what one login was told is never used under the next.
    session: Mutex<Option<Session>>,
    /// For the requests that the registry's client cannot make, or whose answers it does not hand on.
    http: OnceLock<reqwest::Client>,
}

#[derive(Clone)]
struct Session {
    client: Client,
    auth: RegistryAuth,
}

enum Login {
    Anonymous,
    Basic { username: String, password: RegistrySecret },
    Ecr(Ecr),
}

impl Registries {
    /// Takes the configuration's registries.
    ///
    /// # Errors
    /// An endpoint that is no address, or a login that this build has no code for.
    pub fn new(settings: Vec<RegistrySettings>) -> Result<Registries, Error> {
        let registry = |one: RegistrySettings| Ok((one.host.clone(), Arc::new(Registry::new(one)?)));
        Ok(Registries { all: settings.into_iter().map(registry).collect::<Result<_, Error>>()? })
    }

    /// The registry of a host.
    ///
    /// # Errors
    /// It is not in the configuration.
    pub fn of(&self, host: &str) -> Result<Arc<Registry>, Error> {
        self.all.get(host).cloned().ok_or_else(|| {
            let known: Vec<_> = self.all.keys().map(String::as_str).collect();
            let known = if known.is_empty() { "none".to_owned() } else { known.join(", ") };
            Error::Settings(format!(
                "the server knows no registry `{host}` (it knows {known}); add a [[registry]] for it"
            ))
        })
    }
}

impl Registry {
    fn new(settings: RegistrySettings) -> Result<Registry, Error> {
        let (address, protocol) = match &settings.endpoint {
            None => (settings.host.clone(), ClientProtocol::Https),
            Some(endpoint) => address(endpoint).map_err(|message| {
                Error::Settings(format!("registry `{}`: endpoint `{endpoint}`: {message}", settings.host))
            })?,
        };
        let login = match settings.auth {
            Auth::None => Login::Anonymous,
            Auth::Basic { username, password } => Login::Basic { username, password },
            Auth::Ecr { .. } if cfg!(not(feature = "ecr")) => {
                let help = "build Bespin with the feature `ecr`, or take another `auth`";
                return Err(Error::Settings(format!("registry `{}`: this build knows no ECR; {help}", settings.host)));
            }
            Auth::Ecr { region, api_endpoint } => Login::Ecr(Ecr::new(region, api_endpoint)),
        };
        Ok(Registry { host: settings.host, address, protocol, login, session: Mutex::default(), http: OnceLock::new() })
    }

    /// The digest that a tag names; `None` where there is no such tag.
    ///
    /// # Errors
    /// The registry cannot be asked, or refuses to answer.
    pub async fn digest(&self, image: &ImageRef) -> Result<Option<Digest>, Error> {
        self.fetch_digest(&self.reference(image)?).await
    }

    /// The tags of a repository; none for a repository that is not there.
    ///
    /// # Errors
    /// As [`Registry::digest`].
    pub async fn tags(&self, repository: &str) -> Result<Vec<String>, Error> {
        let reference = Reference::with_tag(self.address.clone(), repository.to_owned(), "latest".to_owned());
        let mut all: Vec<String> = Vec::new();
        loop {
            let last = all.last().cloned();
            let (reference, from) = (&reference, last.as_deref());
            let page = self.ask(|client, auth| async move {
                match client.list_tags(reference, &auth, Some(TAGS), from).await.map_err(RegistryRefusal::from) {
                    Ok(listed) => Ok(listed.tags),
                    Err(refusal) if refusal.status() == Some(404) => Ok(Vec::new()),
                    Err(refusal) => Err(refusal),
                }
            });
            let before = all.len();
            // A registry that does not page answers the same tags again.
            let page = page.await?;
            all.extend(page.into_iter().filter(|tag| last.as_ref().is_none_or(|last| tag > last)));
            if all.len() - before < TAGS {
                return Ok(all);
            }
        }
    }

    /// Where an image is for the client: under the endpoint's address, with the image's own name.
    pub(crate) fn reference(&self, image: &ImageRef) -> Result<Reference, Error> {
        let tag = image.tag.clone().ok_or_else(|| Error::Input(format!("{image} has no tag")))?;
        Ok(Reference::with_tag(self.address.clone(), image.repository.clone(), tag))
    }

    /// Asks by a client that is logged in; a refused login of ECR is renewed once.
    pub(crate) async fn ask<T, Q, F, E>(&self, question: Q) -> Result<T, Error>
    where
        Q: Fn(Client, RegistryAuth) -> F,
        F: Future<Output = Result<T, E>>,
        E: Into<RegistryRefusal>,
    {
        let session = self.session(Freshness::Cached).await?;
        let refusal = match question(session.client, session.auth).await {
            Ok(answer) => return Ok(answer),
            Err(refusal) => refusal.into(),
        };
        if matches!(refusal.status(), Some(401 | 403)) && matches!(self.login, Login::Ecr(_)) {
            let session = self.session(Freshness::New).await?;
            return question(session.client, session.auth).await.map_err(|refusal| refusal.into().at(&self.host));
        }
        Err(refusal.at(&self.host))
    }

    async fn session(&self, freshness: Freshness) -> Result<Session, Error> {
        let auth = self.login(freshness).await?;
        let mut session = self.session.lock().expect("no client panics while it is made");
        if let Some(session) = session.as_ref().filter(|session| session.auth == auth) {
            return Ok(session.clone());
        }
        let new = Session { client: self.client()?, auth };
        *session = Some(new.clone());
        Ok(new)
    }

    async fn login(&self, freshness: Freshness) -> Result<RegistryAuth, Error> {
        match &self.login {
            Login::Anonymous => Ok(RegistryAuth::Anonymous),
            Login::Basic { username, password } => {
                Ok(RegistryAuth::Basic(username.clone(), password.now().expose_secret().to_owned()))
            }
            Login::Ecr(ecr) => ecr.login(freshness).await,
        }
    }

    fn client(&self) -> Result<Client, Error> {
        let config = ClientConfig {
            protocol: self.protocol.clone(),
            // ECR loses every chunk after the first.
            use_monolithic_push: true,
            connect_timeout: Some(CONNECT),
            read_timeout: Some(SILENCE),
            user_agent: "bespin",
            ..ClientConfig::default()
        };
        // `Client::new` would go on with other settings than these.
        Client::try_from(config).map_err(|error| RegistryRefusal::from(error).at(&self.host))
    }

    /// The client of requests of our own.
    pub(crate) fn http(&self) -> Result<reqwest::Client, Error> {
        if let Some(http) = self.http.get() {
            return Ok(http.clone());
        }
        let http = reqwest::Client::builder()
            .connect_timeout(CONNECT)
            .read_timeout(SILENCE)
            .timeout(LONGEST)
            .user_agent("bespin")
            .build()
            .map_err(|error| RegistryRefusal::from(error).at(&self.host))?;
        Ok(self.http.get_or_init(|| http).clone())
    }

    /// An answer that makes no sense; what is between us and the registry may have given it.
    pub(crate) fn odd(&self, problem: impl Into<String>) -> Error {
        Error::Registry { host: self.host.clone(), status: None, problem: problem.into(), retry: Retry::PASSING }
    }
}

/// How long a connection to a registry may take to open; tests of silence are not to wait for it.
const CONNECT: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 10 });
/// How long a registry may send nothing while it answers; it may digest a large upload first.
const SILENCE: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 120 });
/// How long a request of our own may take altogether.
const LONGEST: Duration = Duration::from_secs(300);
/// How many tags are asked for at a time.
const TAGS: usize = 1000;

/// An endpoint's host and port, and how to speak to it.
fn address(endpoint: &str) -> Result<(String, ClientProtocol), &'static str> {
    let (protocol, address) = match endpoint.split_once("://") {
        Some(("http", address)) => (ClientProtocol::Http, address),
        Some(("https", address)) => (ClientProtocol::Https, address),
        _ => return Err("it does not begin with http:// or https://"),
    };
    let address = address.strip_suffix('/').unwrap_or(address);
    match address {
        "" => Err("it names no host"),
        address if address.contains('@') => Err("a user and a password belong into `auth`"),
        address if address.contains(['/', '?', '#']) => Err("it has a path; a registry answers at /v2/ of its host"),
        address => Ok((address.to_owned(), protocol)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_login_that_the_build_has_no_code_for_is_refused_at_the_start() {
        let auth = Auth::Ecr { region: "ap-northeast-2".into(), api_endpoint: None };
        let made = Registries::new(vec![RegistrySettings { host: "a.b".into(), endpoint: None, auth }]);
        let refused = made.err().map(|error| error.to_string());
        assert_eq!(refused.is_some(), cfg!(not(feature = "ecr")), "{refused:?}");
        let named = |said: String| said.contains("registry `a.b`") && said.contains("with the feature `ecr`");
        assert!(refused.is_none_or(named), "it names the registry and the feature");
    }
}
