//! Registries: where they are, who may enter, and what their tags name.

use crate::ecr::Ecr;
use crate::error::Error;
use oci_client::client::{ClientConfig, ClientProtocol};
use oci_client::errors::{OciDistributionError, OciErrorCode};
use oci_client::secrets::RegistryAuth;
use oci_client::{Client, Reference};
use pipeline::{Digest, ImageRef};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
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
        password: SecretString,
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
}

#[derive(Clone)]
struct Session {
    client: Client,
    auth: RegistryAuth,
}

enum Login {
    Known(RegistryAuth),
    Ecr(Ecr),
}

impl Registries {
    /// Takes the configuration's registries.
    ///
    /// # Errors
    /// An endpoint that is no address.
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
            Error::Refused(format!(
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
                Error::Refused(format!("registry `{}`: endpoint `{endpoint}`: {message}", settings.host))
            })?,
        };
        let login = match settings.auth {
            Auth::None => Login::Known(RegistryAuth::Anonymous),
            Auth::Basic { username, password } => {
                Login::Known(RegistryAuth::Basic(username, password.expose_secret().to_owned()))
            }
            Auth::Ecr { region, api_endpoint } => Login::Ecr(Ecr::new(region, api_endpoint)),
        };
        Ok(Registry { host: settings.host, address, protocol, login, session: Mutex::default() })
    }

    /// The digest that a tag names; `None` where there is no such tag.
    ///
    /// # Errors
    /// The registry cannot be asked, or refuses to answer.
    pub async fn digest(&self, image: &ImageRef) -> Result<Option<Digest>, Error> {
        let reference = self.reference(image)?;
        let reference = &reference;
        let found = self.ask(|client, auth| async move {
            match client.fetch_manifest_digest(reference, &auth).await {
                Ok(digest) => Ok(Some(digest)),
                Err(error) if is_absent(&error) => Ok(None),
                Err(error) => Err(error),
            }
        });
        let digest = found.await?.map(|digest| digest.parse());
        digest
            .transpose()
            .map_err(|_| Error::Transient(format!("registry {}: answered with a malformed digest", self.host)))
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
                match client.list_tags(reference, &auth, Some(TAGS), from).await {
                    Ok(listed) => Ok(listed.tags),
                    Err(error) if is_absent(&error) => Ok(Vec::new()),
                    Err(error) => Err(error),
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
        let tag = image.tag.clone().ok_or_else(|| Error::Refused(format!("{image} has no tag")))?;
        Ok(Reference::with_tag(self.address.clone(), image.repository.clone(), tag))
    }

    /// Asks by a client that is logged in; a refused login of ECR is renewed once.
    pub(crate) async fn ask<T, Q, F>(&self, question: Q) -> Result<T, Error>
    where
        Q: Fn(Client, RegistryAuth) -> F,
        F: Future<Output = Result<T, OciDistributionError>>,
    {
        let session = self.session(Freshness::Cached).await?;
        match question(session.client, session.auth).await {
            Err(error) if is_refusal(&error) && matches!(self.login, Login::Ecr(_)) => {
                let session = self.session(Freshness::New).await?;
                question(session.client, session.auth).await.map_err(|error| self.said(&error))
            }
            answered => answered.map_err(|error| self.said(&error)),
        }
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
            Login::Known(auth) => Ok(auth.clone()),
            Login::Ecr(ecr) => ecr.login(freshness).await,
        }
    }

    fn client(&self) -> Result<Client, Error> {
        let config = ClientConfig {
            protocol: self.protocol.clone(),
            // ECR loses every chunk after the first.
            use_monolithic_push: true,
            connect_timeout: Some(Duration::from_secs(10)),
            read_timeout: Some(Duration::from_secs(120)),
            user_agent: "bespin",
            ..ClientConfig::default()
        };
        // `Client::new` would go on with other settings than these.
        Client::try_from(config).map_err(|error| self.said(&error))
    }

    fn said(&self, error: &OciDistributionError) -> Error {
        let (status, text) = answer(error);
        let help = match status {
            Some(401 | 403) => "; check this registry's `auth` in the configuration, and what it may do",
            Some(404) => "; the repository has to exist before the push",
            _ => "",
        };
        let text = format!("registry {}: {text}{help}", self.host);
        match status {
            Some(408 | 429) | None => Error::Transient(text),
            Some(status) if status < 500 => Error::Refused(text),
            Some(_) => Error::Transient(text),
        }
    }
}

/// How many tags are asked for at a time.
const TAGS: usize = 1000;

/// Whether a login may be one that was used before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Freshness {
    /// The one at hand, if it is not old.
    Cached,
    /// The one at hand was refused.
    New,
}

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

fn is_absent(error: &OciDistributionError) -> bool {
    matches!(error, OciDistributionError::ImageManifestNotFoundError(_)) || answer(error).0 == Some(404)
}

fn is_refusal(error: &OciDistributionError) -> bool {
    matches!(answer(error).0, Some(401 | 403))
}

/// The HTTP status that an error stands for, as far as it was an answer, and what it says.
/// Addresses are left out, for a registry may put tokens into them.
fn answer(error: &OciDistributionError) -> (Option<u16>, String) {
    match error {
        OciDistributionError::ServerError { code, message, .. } => {
            (Some(*code), format!("{code}: {}", spoken(message)))
        }
        OciDistributionError::UnauthorizedError { .. } => (Some(401), "401: not authorized".into()),
        OciDistributionError::AuthenticationFailure(text) => (Some(401), format!("401: {}", spoken(text))),
        OciDistributionError::RegistryError { envelope, .. } => {
            let status = envelope.errors.first().map_or(400, |first| status(&first.code));
            let messages: Vec<_> = envelope.errors.iter().map(|error| error.message.as_str()).collect();
            (Some(status), format!("{status}: {}", messages.join("; ")))
        }
        OciDistributionError::RequestError(request) => {
            let status = request.status().map(|status| status.as_u16());
            let text = innermost(request);
            (status, status.map_or(text, |status| format!("answered {status}")))
        }
        other => (None, other.to_string()),
    }
}

/// The client keeps the answer's error code, not its status.
fn status(code: &OciErrorCode) -> u16 {
    match code {
        OciErrorCode::ManifestUnknown
        | OciErrorCode::NameUnknown
        | OciErrorCode::NotFound
        | OciErrorCode::BlobUnknown => 404,
        OciErrorCode::Unauthorized => 401,
        OciErrorCode::Denied => 403,
        OciErrorCode::Toomanyrequests => 429,
        _ => 400,
    }
}

/// The messages of the specification's error body, or the text as it is, cut short.
fn spoken(body: &str) -> String {
    let envelope: Option<serde_json::Value> = serde_json::from_str(body).ok();
    let messages = envelope.as_ref().and_then(|envelope| envelope["errors"].as_array()).map(|errors| {
        let message = |error: &serde_json::Value| error["message"].as_str().unwrap_or("no message").to_owned();
        errors.iter().map(message).collect::<Vec<_>>().join("; ")
    });
    messages.unwrap_or_else(|| body.chars().take(200).collect::<String>().trim().to_owned())
}

/// The innermost cause is what a person can act on.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string().split(" for url").next().unwrap_or_default().to_owned()
}
