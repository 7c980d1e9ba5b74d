//! The API over HTTP, as a tower service.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use base64::Engine;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header, request::Parts};
use http_body_util::{BodyExt, Limited};
use serde_json::{Value, json};

use super::apply::Force;
use super::delete;
use super::kind::Kind;
use super::part::Part;
use super::patch::Patch;
use super::refusal::Refusal;
use super::route::{self, Query, Route};
use super::store::Key;
use super::table::Include;
use super::write::Outcome;
use super::{Api, discovery, openapi, parameters, protobuf, scale, table, watch};
use crate::faults::{Fault, Target};
use crate::serve::{Body, BoxError, Dropped, respond};

/// The largest body of a request, in bytes, as with the real server.
const BODY_LIMIT: usize = 3 * 1024 * 1024;

impl<B> tower::Service<Request<B>> for Api
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
    B::Error: Into<BoxError>,
{
    type Response = Response<Body>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, BoxError>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let api = self.clone();
        Box::pin(async move {
            let (parts, body) = request.into_parts();
            let fault = api.0.faults.take(Target::Kube, parts.method.as_str(), parts.uri.path());
            match fault {
                Some(Fault::Drop) => return Err(Dropped.into()),
                Some(Fault::Status(code)) => return Ok(refused(&injected(code))),
                Some(Fault::DropAfter) | None => {}
            }
            let body = match Limited::new(body, BODY_LIMIT).collect().await {
                Ok(collected) => collected.to_bytes(),
                Err(error) => {
                    let message = format!("Request entity too large: limit is {BODY_LIMIT}: {error}");
                    return Ok(refused(&Refusal::plain(413, "RequestEntityTooLarge", message)));
                }
            };
            let response = api.answer(&parts, &body).unwrap_or_else(|refusal| refused(&refusal));
            match fault {
                Some(_) => Err(Dropped.into()),
                None => Ok(response),
            }
        })
    }
}

fn injected(code: u16) -> Refusal {
    match code {
        409 => Refusal::plain(
            409,
            "Conflict",
            "Operation cannot be fulfilled: the object has been modified; \
            please apply your changes to the latest version and try again",
        ),
        429 => Refusal::plain(429, "TooManyRequests", "too many requests, please try again later"),
        503 => Refusal::plain(503, "ServiceUnavailable", "the server is currently unable to handle the request"),
        500 => Refusal::internal("a fault that a test asked for"),
        other => Refusal::plain(other, "InternalError", "a fault that a test asked for"),
    }
}

fn refused(refusal: &Refusal) -> Response<Body> {
    let status = StatusCode::from_u16(refusal.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    respond(status, "application/json", refusal.status().to_string())
}

fn ok(value: &Value) -> Response<Body> {
    respond(StatusCode::OK, "application/json", value.to_string())
}

pub(super) fn created(value: &Value) -> Response<Body> {
    respond(StatusCode::CREATED, "application/json", value.to_string())
}

fn accept(parts: &Parts) -> &str {
    parts.headers.get(header::ACCEPT).and_then(|v| v.to_str().ok()).unwrap_or_default()
}

impl Api {
    fn answer(&self, parts: &Parts, body: &[u8]) -> Result<Response<Body>, Refusal> {
        let path = parts.uri.path();
        if matches!(path, "/healthz" | "/livez" | "/readyz") {
            return Ok(respond(StatusCode::OK, "text/plain; charset=utf-8", "ok"));
        }
        if path != "/version" && !self.authenticated(parts) {
            return Err(Refusal::plain(401, "Unauthorized", "Unauthorized"));
        }
        if let Some(document) = self.discovery(parts) {
            return Ok(document);
        }
        let Some(route) = route::parse(&self.kinds(), path) else {
            return self.nothing_at(path);
        };
        let query = Query::parse(parts.uri.query().unwrap_or_default());
        match (&route.name, route.subresource.as_deref()) {
            (None, _) => self.collection(parts, &route, &query, body),
            (Some(name), None | Some("finalize")) => self.object(parts, &route, name, Part::Whole, &query, body),
            (Some(name), Some("status")) if route.kind.status => {
                self.object(parts, &route, name, Part::Status, &query, body)
            }
            (Some(name), Some("scale")) if route.kind.scale.is_some() => {
                self.object(parts, &route, name, Part::Scale, &query, body)
            }
            (Some(name), Some("binding")) if route.kind.kind == "Pod" => {
                self.binding(parts, &route, name, &query, body)
            }
            (Some(name), Some("eviction")) if route.kind.kind == "Pod" => self.eviction(parts, &route, name, body),
            (Some(name), Some("status" | "scale")) if route.kind.custom => Err(Refusal::not_found(&route.kind, name)),
            _ => Err(Refusal::nothing_here()),
        }
    }

    /// A group that is served says so in a `Status`; elsewhere nobody listens.
    fn nothing_at(&self, path: &str) -> Result<Response<Body>, Refusal> {
        let mut segments = path.split('/').filter(|s| !s.is_empty());
        let known = match (segments.next(), segments.next(), segments.next()) {
            (Some("api"), Some("v1"), _) => true,
            (Some("apis"), Some(group), Some(version)) => {
                self.kinds().all().any(|kind| kind.group == group && kind.version == version)
            }
            _ => false,
        };
        match known {
            true => Err(Refusal::nothing_here()),
            false => Ok(respond(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", "404 page not found\n")),
        }
    }

    /// A bearer token; or basic credentials whose password is the token, because kubectl sends no bearer token to a
    /// plain HTTP address but does send what the address itself carries.
    fn authenticated(&self, parts: &Parts) -> bool {
        let Some(value) = parts.headers.get(header::AUTHORIZATION).and_then(|v| v.to_str().ok()) else {
            return false;
        };
        if let Some(token) = value.strip_prefix("Bearer ") {
            return token == self.0.token;
        }
        let decoded =
            value.strip_prefix("Basic ").and_then(|b| base64::engine::general_purpose::STANDARD.decode(b).ok());
        let text = decoded.and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default();
        text.split_once(':').is_some_and(|(_, password)| password == self.0.token)
    }

    fn discovery(&self, parts: &Parts) -> Option<Response<Body>> {
        if parts.method != Method::GET {
            return None;
        }
        let path = parts.uri.path();
        if path == openapi::OLD_PATH {
            return Some(respond(StatusCode::OK, openapi::OLD_MEDIA, openapi::OLD_DOCUMENT));
        }
        if let Some(document) = openapi::document(&self.kinds(), path) {
            return Some(ok(&document));
        }
        let host = parts.headers.get(header::HOST).and_then(|h| h.to_str().ok()).unwrap_or_default();
        let aggregated =
            accept(parts).contains("as=APIGroupDiscoveryList") && matches!(path.trim_matches('/'), "api" | "apis");
        let document = discovery::document(&self.kinds(), path, aggregated, host)?;
        let content_type = match aggregated {
            true => "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList",
            false => "application/json",
        };
        Some(respond(StatusCode::OK, content_type, document.to_string()))
    }

    fn collection(&self, parts: &Parts, route: &Route, query: &Query, body: &[u8]) -> Result<Response<Body>, Refusal> {
        let kind = &route.kind;
        match parts.method {
            Method::GET if query.says("watch") => {
                let stream = watch::open(self, kind, &route.namespace, query)?;
                let mut response = Response::new(stream);
                response
                    .headers_mut()
                    .insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
                Ok(response)
            }
            Method::GET => self.listing(parts, route, query),
            Method::POST => {
                let object = decode(parts, body)?;
                if kind.namespaced() && route.namespace.is_empty() {
                    return Err(Refusal::method_not_allowed());
                }
                let write = parameters::write(parts, query)?;
                Ok(created(&*self.create(kind, &route.namespace, object, &write)?))
            }
            Method::DELETE => {
                let how = parameters::deletion(query, optional(parts, body)?)?;
                let items = self.delete_all(kind, &route.namespace, &query.selection()?, &how)?;
                let items: Vec<&Value> = items.iter().map(Arc::as_ref).collect();
                Ok(ok(&list(kind, &items, json!({"resourceVersion": self.version().to_string()}))))
            }
            _ => Err(Refusal::method_not_allowed()),
        }
    }

    fn listing(&self, parts: &Parts, route: &Route, query: &Query) -> Result<Response<Body>, Refusal> {
        let kind = &route.kind;
        let (mut objects, mut version) = self.list(kind, &route.namespace, &query.selection()?);
        if let Some(asked) = query.number("resourceVersion")?
            && asked > version
        {
            let message = format!("Timeout: Too large resource version: {asked}, current: {version}");
            return Err(Refusal::plain(504, "Timeout", message));
        }
        let position = |object: &Value| {
            let text = |field: &str| object["metadata"][field].as_str().unwrap_or_default().to_owned();
            (text("namespace"), text("name"))
        };
        if let Some(token) = query.get("continue") {
            let (from, after) = parameters::read_token(token)?;
            version = from;
            objects.retain(|object| position(object) > after);
        }
        let mut metadata = json!({"resourceVersion": version.to_string()});
        let limit = usize::try_from(query.number("limit")?.unwrap_or(0)).unwrap_or(0);
        if limit > 0 && objects.len() > limit {
            let rest = objects.len() - limit;
            objects.truncate(limit);
            let (namespace, name) = objects.last().map(|o| position(o)).unwrap_or_default();
            let token = json!({"v": version, "n": namespace, "a": name}).to_string();
            metadata["continue"] = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(token).into();
            metadata["remainingItemCount"] = rest.into();
        }
        if kind.custom && metadata["continue"].is_null() {
            metadata["continue"] = "".into();
        }
        if accept(parts).contains("as=Table") {
            return Ok(ok(&table::render(kind, &objects, metadata, Include::of(query))));
        }
        let served: Vec<Arc<Value>> = objects.iter().map(|object| watch::as_served(kind, object)).collect();
        let items: Vec<&Value> = served.iter().map(Arc::as_ref).collect();
        Ok(ok(&list(kind, &items, metadata)))
    }

    fn object(
        &self,
        parts: &Parts,
        route: &Route,
        name: &str,
        part: Part,
        query: &Query,
        body: &[u8],
    ) -> Result<Response<Body>, Refusal> {
        let (kind, namespace) = (&route.kind, route.namespace.as_str());
        match parts.method {
            Method::GET => {
                let object = watch::as_served(kind, &self.get(kind, namespace, name)?);
                if part == Part::Scale {
                    return Ok(ok(&scale::view(kind, &object)));
                }
                if accept(parts).contains("as=Table") {
                    let metadata = json!({"resourceVersion": object["metadata"]["resourceVersion"]});
                    return Ok(ok(&table::render(kind, &[object], metadata, Include::of(query))));
                }
                Ok(ok(&object))
            }
            Method::PUT => {
                let object = decode(parts, body)?;
                Ok(ok(&*self.update(kind, namespace, name, part, object, &parameters::write(parts, query)?)?))
            }
            Method::PATCH => self.patching(parts, route, name, part, query, body),
            Method::DELETE if part == Part::Whole => {
                let how = parameters::deletion(query, optional(parts, body)?)?;
                Ok(ok(&delete::answer(kind, &self.delete(kind, namespace, name, &how)?)))
            }
            _ => Err(Refusal::method_not_allowed()),
        }
    }

    fn patching(
        &self,
        parts: &Parts,
        route: &Route,
        name: &str,
        part: Part,
        query: &Query,
        body: &[u8],
    ) -> Result<Response<Body>, Refusal> {
        let (kind, namespace) = (&route.kind, route.namespace.as_str());
        let mut write = parameters::write(parts, query)?;
        let sent = yaml_or_json(body)?;
        let content_type = parts.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
        let patch = match content_type.split(';').next().unwrap_or_default().trim() {
            "application/json-patch+json" => Patch::Json(sent),
            "application/merge-patch+json" => Patch::Merge(sent),
            "application/strategic-merge-patch+json" => Patch::Strategic(sent),
            "application/apply-patch+yaml" => {
                let manager = query.get("fieldManager").ok_or_else(Refusal::anonymous_apply)?;
                write.manager = manager.to_owned();
                write.force = if query.says("force") { Force::Yes } else { Force::No };
                return Ok(match self.apply(kind, namespace, name, part, sent, &write)? {
                    Outcome::Created(object) => created(&object),
                    Outcome::Kept(object) => ok(&served(kind, part, &object)),
                });
            }
            _ => {
                return Err(Refusal::unsupported_media(
                    "application/json-patch+json, application/merge-patch+json, \
                     application/strategic-merge-patch+json, application/apply-patch+yaml",
                ));
            }
        };
        let patched = self.patch(kind, namespace, name, part, &patch, &write)?;
        Ok(ok(&served(kind, part, &patched)))
    }

    /// Whether an object of this key exists, for tests and controllers.
    pub fn exists(&self, kind: &Kind, namespace: &str, name: &str) -> bool {
        self.store().get(&Key::new(kind, namespace, name)).is_some()
    }
}

/// A Scale is of its own kind; anything else is shown in the version that was asked for.
fn served(kind: &Kind, part: Part, object: &Arc<Value>) -> Arc<Value> {
    if part == Part::Scale { object.clone() } else { watch::as_served(kind, object) }
}

/// Lists of built-in kinds leave out what every item repeats, as typed servers do.
fn list(kind: &Kind, items: &[&Value], metadata: Value) -> Value {
    let item = |object: &&Value| {
        let mut item = Value::clone(object);
        if let Some(map) = item.as_object_mut().filter(|_| !kind.custom) {
            map.shift_remove("kind");
            map.shift_remove("apiVersion");
        }
        item
    };
    let items: Vec<Value> = items.iter().map(item).collect();
    json!({"kind": format!("{}List", kind.kind), "apiVersion": kind.api_version(), "metadata": metadata, "items": items})
}

fn optional(parts: &Parts, body: &[u8]) -> Result<Option<Value>, Refusal> {
    if body.is_empty() { Ok(None) } else { decode(parts, body).map(Some) }
}

pub(super) fn decode(parts: &Parts, body: &[u8]) -> Result<Value, Refusal> {
    let content_type = parts.headers.get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    if content_type.contains("protobuf") {
        if let Some(object) = protobuf::decode(body) {
            return Ok(object);
        }
        return Err(Refusal::unsupported_media("application/json, application/yaml"));
    }
    yaml_or_json(body)
}

fn yaml_or_json(body: &[u8]) -> Result<Value, Refusal> {
    if let Ok(value) = serde_json::from_slice(body) {
        return Ok(value);
    }
    let text = std::str::from_utf8(body).map_err(|_| Refusal::bad_request("the body is no text"))?;
    serde_saphyr::from_str(text).map_err(|e| {
        Refusal::bad_request(format!("error decoding YAML or JSON: {e}").lines().next().unwrap_or_default())
    })
}
