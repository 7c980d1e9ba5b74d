//! Logging in, by password or by a one-time link; logging out.

use crate::guard::{Person, cookie, cookie_name};
use crate::login::{Refusal, Session};
use crate::problem::Problem;
use crate::state::ApiState;
use crate::views::{SessionView, UserView};
use axum::Json;
use axum::extract::rejection::ExtensionRejection;
use axum::extract::{ConnectInfo, Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{Html, IntoResponse, Response};
use axum_extra::extract::cookie::{Cookie, CookieJar, SameSite};
use serde::Deserialize;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// What is sent to log in.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Credentials {
    name: String,
    password: String,
}

/// What a one-time link carries.
#[derive(Deserialize)]
pub(crate) struct Once {
    token: String,
}

type Peer = Result<ConnectInfo<SocketAddr>, ExtensionRejection>;

pub(crate) async fn session(State(state): State<ApiState>, jar: CookieJar) -> Json<SessionView> {
    let session = cookie(&jar).and_then(|cookie| state.login.session(&cookie, crate::clock::now()));
    Json(view(session))
}

pub(crate) async fn login(
    State(state): State<ApiState>,
    peer: Peer,
    headers: HeaderMap,
    jar: CookieJar,
    Json(credentials): Json<Credentials>,
) -> Result<(CookieJar, Json<SessionView>), Problem> {
    let peer = peer.map_or(IpAddr::V4(Ipv4Addr::UNSPECIFIED), |ConnectInfo(peer)| peer.ip());
    let peer = state.login.client(peer, &headers);
    let now = crate::clock::now();
    let entered = state.login.enter(&credentials.name, &credentials.password, peer, now).await;
    let tried = "logging in";
    let cookie = entered.map_err(|refusal| match refusal {
        Refusal::Wrong => {
            let help = "check both; an administrator finds the users in the server's configuration";
            Problem::new(StatusCode::UNAUTHORIZED, tried, "the name or the password is wrong", help)
        }
        Refusal::TooOften(seconds) => {
            let help = format!("wait {seconds} s");
            Problem::new(StatusCode::TOO_MANY_REQUESTS, tried, "too many tries", help).retry_after(seconds)
        }
    })?;
    let session = state.login.session(&cookie, now);
    Ok((jar.add(session_cookie(&state, cookie)), Json(view(session))))
}

pub(crate) async fn logout(State(state): State<ApiState>, _: Person, jar: CookieJar) -> (CookieJar, Json<SessionView>) {
    if let Some(cookie) = cookie(&jar) {
        state.login.leave(&cookie);
    }
    let removal = Cookie::build((cookie_name(state.login.secure()), "")).path("/").build();
    (jar.remove(removal), Json(view(None)))
}

/// Spends a one-time link. The answer is a page that moves on by itself, not
/// a redirect: a redirect still counts as the other site's navigation, and
/// the browser would keep the strict cookie back.
pub(crate) async fn once(
    State(state): State<ApiState>,
    peer: Peer,
    headers: HeaderMap,
    jar: CookieJar,
    Query(once): Query<Once>,
) -> Response {
    let proxied = headers.contains_key("x-forwarded-for") || headers.contains_key("forwarded");
    let near = peer.is_ok_and(|ConnectInfo(peer)| peer.ip().to_canonical().is_loopback());
    if !near || proxied {
        let got = "one-time links work only on the machine that the server runs on";
        return Problem::new(StatusCode::FORBIDDEN, "opening a one-time link", got, "log in by name").into_response();
    }
    match state.login.enter_once(&once.token, crate::clock::now()) {
        Some(cookie) => {
            let page = "<!doctype html><html lang=en><meta charset=utf-8><meta http-equiv=refresh content='0;url=/'>\
                        <title>Bespin</title><p>You are in. <a href='/'>Go on to the dashboard</a>.";
            (jar.add(session_cookie(&state, cookie)), Html(page)).into_response()
        }
        None => {
            let page = "<!doctype html><html lang=en><meta charset=utf-8><title>Bespin</title>\
                        <p>This link was opened before, or is too old: each works once. \
                        <a href='/'>The dashboard</a> may still know you; otherwise start the server's command again for a new link.";
            (StatusCode::GONE, Html(page)).into_response()
        }
    }
}

fn session_cookie(state: &ApiState, token: String) -> Cookie<'static> {
    let secure = state.login.secure();
    Cookie::build((cookie_name(secure), token))
        .path("/")
        .http_only(true)
        .same_site(SameSite::Strict)
        .secure(secure)
        .build()
}

fn view(session: Option<Session>) -> SessionView {
    let csrf = session.as_ref().map(|session| session.csrf.clone()).unwrap_or_default();
    let user = session.map(|session| UserView { name: session.name, role: session.role });
    SessionView { user, csrf, version: env!("CARGO_PKG_VERSION").to_owned(), now_ms: crate::clock::now() }
}
