//! What stands before every request: our own host names, our own pages,
//! security headers, and who may do what.

use crate::login::{Role, Session};
use crate::problem::Problem;
use crate::state::ApiState;
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use axum_extra::extract::cookie::CookieJar;
use subtle::ConstantTimeEq;

/// The cookie that holds a session's token, over plain HTTP.
const COOKIE: &str = "bespin_session";

/// The same over HTTPS; browsers let no other host or path set this name.
const SECURE_COOKIE: &str = "__Host-bespin_session";

const HEADERS: [(HeaderName, &str); 6] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'self'; script-src 'self'; style-src 'self'; img-src 'self' data:; object-src 'none'; \
         base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
];

/// Lets through what was meant for us, and puts the security headers on every answer.
pub(crate) async fn guard(State(state): State<ApiState>, request: Request, next: Next) -> Response {
    let mut response = match check(&state, &request) {
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    for (name, value) in HEADERS {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response.headers_mut().entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}

fn check(state: &ApiState, request: &Request) -> Result<(), Problem> {
    let host = host(request)?;
    // A whole address in the request line names the host a second time.
    let named = request.uri().authority().map(|authority| authority.as_str());
    if let Some(other) = [Some(host), named].into_iter().flatten().find(|host| !state.login.is_our_host(host)) {
        return Err(Problem::new(
            StatusCode::MISDIRECTED_REQUEST,
            format!("opening `{other}`"),
            "that is not this server's name",
            "open the dashboard by the configured `server.url`, by `localhost`, or by its IP address",
        ));
    }
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if !reads && !is_same_origin(request.headers(), host) {
        return Err(Problem::new(
            StatusCode::FORBIDDEN,
            "changing something",
            "the request comes from a page of another site",
            "use the dashboard's own buttons",
        ));
    }
    Ok(())
}

/// The host that a request is meant for. Two of them are a trick: whoever stands before us may go by the other one.
fn host(request: &Request) -> Result<&str, Problem> {
    let mut named = request.headers().get_all(header::HOST).iter();
    let (first, second) = (named.next(), named.next());
    if second.is_some() {
        let (got, help) = ("it names two hosts", "send one `Host`");
        return Err(Problem::new(StatusCode::BAD_REQUEST, "reading the request", got, help));
    }
    let named = first.and_then(|host| host.to_str().ok());
    Ok(named.or_else(|| request.uri().authority().map(|authority| authority.as_str())).unwrap_or_default())
}

/// Browsers send `Origin` with every change; what sends none is no browser,
/// and still has to show the session's CSRF token.
fn is_same_origin(headers: &HeaderMap, host: &str) -> bool {
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    if let Some(site) = text(HeaderName::from_static("sec-fetch-site"))
        && site != "same-origin"
    {
        return false;
    }
    match text(header::ORIGIN) {
        None => true,
        Some(origin) => origin.split_once("://").is_some_and(|(_, from)| from == host),
    }
}

/// Somebody who is logged in.
pub(crate) struct Viewer(pub Session);

/// Somebody who is logged in and shows the CSRF token.
pub(crate) struct Person(pub Session);

/// Somebody who may act, and shows the CSRF token.
pub(crate) struct Operator(pub Session);

impl FromRequestParts<ApiState> for Viewer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Viewer, Problem> {
        let cookie = cookie(&CookieJar::from_headers(&parts.headers)).ok_or_else(Problem::nobody)?;
        let session = state.login.session(&cookie, crate::clock::now());
        session.map(Viewer).ok_or_else(Problem::nobody)
    }
}

impl FromRequestParts<ApiState> for Person {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Person, Problem> {
        let Viewer(session) = Viewer::from_request_parts(parts, state).await?;
        let proof = parts.headers.get("x-bespin-csrf").map(HeaderValue::as_bytes).unwrap_or_default();
        if !bool::from(proof.ct_eq(session.csrf.as_bytes())) {
            let help =
                "reload the page; a script sends the header `x-bespin-csrf` with the value from `/api/v1/session`";
            return Err(Problem::new(StatusCode::FORBIDDEN, "changing something", "the CSRF proof is not right", help));
        }
        Ok(Person(session))
    }
}

impl FromRequestParts<ApiState> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &ApiState) -> Result<Operator, Problem> {
        let Person(session) = Person::from_request_parts(parts, state).await?;
        if session.role != Role::Operator {
            let got = format!("`{}` is a viewer, and viewers change nothing", session.name);
            let help = "ask an operator, or have `role = \"operator\"` written into the server's configuration";
            return Err(Problem::new(StatusCode::FORBIDDEN, "changing something", got, help));
        }
        Ok(Operator(session))
    }
}

/// The session's token, if the browser sent one.
pub(crate) fn cookie(jar: &CookieJar) -> Option<String> {
    let cookie = jar.get(SECURE_COOKIE).or_else(|| jar.get(COOKIE))?;
    Some(cookie.value().to_owned())
}

/// The cookie's name, by how people reach the server.
pub(crate) fn cookie_name(secure: bool) -> &'static str {
    if secure { SECURE_COOKIE } else { COOKIE }
}
