//! The registry's routes.

use std::path::Path;
use std::sync::Arc;
use std::task::{Context, Poll};

use base64::Engine as _;
use futures::TryStreamExt;
use futures::future::BoxFuture;
use http::{Method, Request, Response, StatusCode, header};
use http_body::Frame;
use http_body_util::{BodyExt, Limited, StreamBody};
use hyper::body::Incoming;
use serde_json::json;
use tokio_util::io::ReaderStream;

use super::protocol::{answer, asked, is_name, refused};
use super::store::{Counters, Digest, Storage};
use super::{referrers, upload};
use crate::Error;
use crate::faults::{Fault, Faults, Target};
use crate::serve::{Body, BoxError, Dropped, full, respond};

/// The longest manifest, in bytes.
const LONGEST_MANIFEST: usize = 4 << 20;

/// Serves a store. Cloning gives another handle.
#[derive(Clone, Debug)]
pub struct Registry {
    store: Storage,
    /// `user:password`, as basic auth encodes it; without it anyone may pull and push.
    credentials: Option<Arc<String>>,
    faults: Faults,
}

/// What a path asks for.
enum Resource<'a> {
    Ping,
    Tags(&'a str),
    Manifest(&'a str, &'a str),
    Referrers(&'a str, &'a str),
    Blob(&'a str, &'a str),
    Begin(&'a str),
    Upload(&'a str, &'a str),
}

impl Registry {
    /// Opens the directory, for whom the user and the password admit; without both, for anyone.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn open(
        root: impl AsRef<Path>,
        user: Option<String>,
        password: Option<String>,
        faults: Faults,
    ) -> Result<Registry, Error> {
        let root = root.as_ref();
        let store = Storage::open(root).map_err(|error| Error::io(format!("open {}", root.display()), error))?;
        let both = user.zip(password).map(|(user, password)| format!("{user}:{password}"));
        let encoded = both.map(|both| base64::engine::general_purpose::STANDARD.encode(both));
        Ok(Registry { store, credentials: encoded.map(Arc::new), faults })
    }

    /// What was done to the registry since it was opened.
    pub fn counters(&self) -> &Counters {
        self.store.counters()
    }

    /// The tags of a repository, sorted.
    pub async fn tags(&self, name: &str) -> Vec<String> {
        self.store.tags(name).await
    }

    async fn serve(self, request: Request<Incoming>) -> Result<Response<Body>, BoxError> {
        let fault = self.faults.take(Target::Registry, request.method().as_str(), request.uri().path());
        match fault {
            Some(Fault::Status(status)) => {
                return Ok(refused(StatusCode::from_u16(status)?, "UNKNOWN", "a fault that a test asked for"));
            }
            Some(Fault::Drop) => return Err(Dropped.into()),
            Some(Fault::DropAfter) | None => {}
        }
        let answered = if self.admits(&request) { self.route(request).await? } else { unauthorized()? };
        if fault == Some(Fault::DropAfter) { Err(Dropped.into()) } else { Ok(answered) }
    }

    fn admits(&self, request: &Request<Incoming>) -> bool {
        let Some(credentials) = &self.credentials else { return true };
        let given = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
        given.and_then(|value| value.strip_prefix("Basic ")) == Some(credentials.as_str())
    }

    async fn route(&self, request: Request<Incoming>) -> Result<Response<Body>, BoxError> {
        let path = request.uri().path().to_owned();
        let Some(route) = parse(&path) else {
            return Ok(refused(StatusCode::NOT_FOUND, "NAME_INVALID", "there is nothing at this path"));
        };
        let method = request.method().clone();
        match (method, route) {
            (_, Resource::Ping) => Ok(respond(StatusCode::OK, "application/json", "{}")),
            (Method::GET, Resource::Tags(name)) => self.list(name, request.uri().query().unwrap_or_default()).await,
            (Method::GET, Resource::Referrers(name, digest)) => {
                referrers::list(&self.store, name, digest, request.uri().query().unwrap_or_default()).await
            }
            (method @ (Method::GET | Method::HEAD), Resource::Manifest(name, reference)) => {
                self.manifest(name, reference, &method).await
            }
            (Method::PUT, Resource::Manifest(name, reference)) => self.put(name, reference, request).await,
            (Method::DELETE, Resource::Manifest(name, reference)) => match self.store.remove(name, reference).await? {
                true => Ok(answer(StatusCode::ACCEPTED).body(full(""))?),
                false => Ok(unknown_manifest()),
            },
            (method @ (Method::GET | Method::HEAD), Resource::Blob(name, digest)) => {
                self.blob(name, digest, &method).await
            }
            (Method::POST, Resource::Begin(name)) => upload::begin(&self.store, name, request).await,
            (Method::PATCH, Resource::Upload(name, id)) => upload::append(&self.store, name, id, request).await,
            (Method::PUT, Resource::Upload(name, id)) => upload::finish(&self.store, name, id, request).await,
            _ => Ok(refused(StatusCode::METHOD_NOT_ALLOWED, "UNSUPPORTED", "this registry does not do that")),
        }
    }

    async fn list(&self, name: &str, query: &str) -> Result<Response<Body>, BoxError> {
        let last = asked(query, "last").unwrap_or_default();
        let limit = asked(query, "n").and_then(|n| n.parse().ok()).unwrap_or(1000);
        let mut tags: Vec<_> = self.store.tags(name).await.into_iter().filter(|tag| *tag > last).collect();
        let more = tags.len() > limit;
        tags.truncate(limit);
        let mut response = answer(StatusCode::OK).header("content-type", "application/json");
        if let (true, Some(last)) = (more, tags.last()) {
            response = response.header("link", format!("</v2/{name}/tags/list?last={last}&n={limit}>; rel=\"next\""));
        }
        Ok(response.body(full(json!({ "name": name, "tags": tags }).to_string()))?)
    }

    async fn manifest(&self, name: &str, reference: &str, method: &Method) -> Result<Response<Body>, BoxError> {
        let Some((digest, kind, bytes)) = self.store.manifest(name, reference).await else {
            return Ok(unknown_manifest());
        };
        let response = answer(StatusCode::OK).header("content-type", kind).header("content-length", bytes.len());
        let body = if *method == Method::HEAD { full("") } else { full(bytes) };
        Ok(response.header("docker-content-digest", digest.as_str()).body(body)?)
    }

    async fn put(&self, name: &str, reference: &str, request: Request<Incoming>) -> Result<Response<Body>, BoxError> {
        let kind = request.headers().get("content-type").and_then(|value| value.to_str().ok()).unwrap_or_default();
        let kind = kind.to_owned();
        let bytes = Limited::new(request.into_body(), LONGEST_MANIFEST).collect().await?.to_bytes();
        let Ok(manifest) = serde_json::from_slice::<serde_json::Value>(&bytes) else {
            return Ok(refused(StatusCode::BAD_REQUEST, "MANIFEST_INVALID", "the manifest is not JSON"));
        };
        let named = manifest["layers"].as_array().into_iter().flatten().chain([&manifest["config"]]);
        for digest in named.filter_map(|descriptor| descriptor["digest"].as_str()) {
            let held = match Digest::parse(digest) {
                Some(digest) => self.store.holds(name, &digest).await,
                None => false,
            };
            if !held {
                return Ok(refused(StatusCode::BAD_REQUEST, "MANIFEST_BLOB_UNKNOWN", digest));
            }
        }
        let tag = Digest::parse(reference).is_none().then_some(reference);
        let digest = self.store.put_manifest(name, tag, &kind, &bytes).await?;
        let location = format!("/v2/{name}/manifests/{}", digest.as_str());
        let mut response = answer(StatusCode::CREATED).header("location", location);
        if let Some(subject) = manifest["subject"]["digest"].as_str().and_then(Digest::parse) {
            self.store.refer(name, &subject, &digest).await?;
            // Who sees it need not keep an index of its own.
            response = response.header("oci-subject", subject.as_str());
        }
        Ok(response.header("docker-content-digest", digest.as_str()).body(full(""))?)
    }

    async fn blob(&self, name: &str, digest: &str, method: &Method) -> Result<Response<Body>, BoxError> {
        let unknown = || refused(StatusCode::NOT_FOUND, "BLOB_UNKNOWN", "there is no such blob");
        let Some(digest) = Digest::parse(digest) else { return Ok(unknown()) };
        if !self.store.holds(name, &digest).await {
            return Ok(unknown());
        }
        let Ok(file) = tokio::fs::File::open(self.store.blob(&digest)).await else { return Ok(unknown()) };
        let length = file.metadata().await?.len();
        let response = answer(StatusCode::OK).header("content-type", "application/octet-stream");
        let response = response.header("content-length", length).header("docker-content-digest", digest.as_str());
        if *method == Method::HEAD {
            return Ok(response.body(full(""))?);
        }
        let chunks = ReaderStream::new(file).map_ok(Frame::data).map_err(BoxError::from);
        Ok(response.body(StreamBody::new(chunks).boxed_unsync())?)
    }
}

impl tower::Service<Request<Incoming>> for Registry {
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Response<Body>, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Incoming>) -> Self::Future {
        Box::pin(self.clone().serve(request))
    }
}

/// Names have several parts, so paths are read from their end.
fn parse(path: &str) -> Option<Resource<'_>> {
    let rest = path.strip_prefix("/v2")?.trim_start_matches('/');
    if rest.is_empty() {
        return Some(Resource::Ping);
    }
    let route = if let Some(name) = rest.strip_suffix("/tags/list") {
        (name, Resource::Tags(name))
    } else if let Some(name) = rest.trim_end_matches('/').strip_suffix("/blobs/uploads") {
        (name, Resource::Begin(name))
    } else {
        let (head, last) = rest.rsplit_once('/')?;
        if let Some(name) = head.strip_suffix("/blobs/uploads") {
            (name, Resource::Upload(name, last))
        } else if let Some(name) = head.strip_suffix("/blobs") {
            (name, Resource::Blob(name, last))
        } else if let Some(name) = head.strip_suffix("/referrers") {
            (name, Resource::Referrers(name, last))
        } else {
            let name = head.strip_suffix("/manifests")?;
            (name, Resource::Manifest(name, last))
        }
    };
    let last = rest.rsplit('/').next().unwrap_or_default();
    (is_name(route.0) && is_reference(last)).then_some(route.1)
}

/// A tag, a digest or an upload's id: nothing that could be a path.
fn is_reference(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "._-:".contains(c);
    text.is_empty() || (text.len() <= 128 && !text.starts_with('.') && text.chars().all(plain))
}

fn unknown_manifest() -> Response<Body> {
    refused(StatusCode::NOT_FOUND, "MANIFEST_UNKNOWN", "there is no such manifest")
}

fn unauthorized() -> Result<Response<Body>, BoxError> {
    let mut refused = refused(StatusCode::UNAUTHORIZED, "UNAUTHORIZED", "who are you?");
    refused.headers_mut().insert(header::WWW_AUTHENTICATE, "Basic realm=\"playground\"".parse()?);
    Ok(refused)
}
