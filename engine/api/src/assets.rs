//! The dashboard's files, from within the binary.

use crate::problem::Problem;
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{Html, IntoResponse, Response};
use rust_embed::RustEmbed;

/// What `npm run build` in `web/` made; empty where it was not run.
#[derive(RustEmbed)]
#[folder = "../../web/dist"]
#[allow_missing = true]
struct Dist;

/// Shown when the binary was built without the dashboard.
const UNBUILT: &str = "<!doctype html><html lang=en><meta charset=utf-8><title>Bespin</title>\
    <h1>The dashboard is not in this binary</h1>\
    <p>It was compiled before the dashboard was built. Run <code>npm ci &amp;&amp; npm run build</code> in <code>web/</code>, \
    then compile the server again; <code>cargo xtask demo</code> does both. The API under <code>/api/v1</code> works.";

/// The dashboard's own views, as `web/src/router.tsx` has them; what begins with `$` is a name.
const VIEWS: &[&str] = &[
    "/",
    "/runs",
    "/start",
    "/runs/$owner/$repo/$pipeline/$number",
    "/apps",
    "/apps/$cluster/$namespace/$name",
    "/rollouts",
    "/rollouts/$cluster/$namespace/$name",
    "/plugins",
    "/deliveries",
];

/// A file of the dashboard, or its page for one of its views. Any other address is told to be none: to a browser by the
/// page itself, which finds no such view, either.
pub(crate) async fn asset(method: Method, headers: HeaderMap, uri: Uri) -> Response {
    if !matches!(method, Method::GET | Method::HEAD) {
        return (StatusCode::METHOD_NOT_ALLOWED, [(header::ALLOW, "GET, HEAD")]).into_response();
    }
    let path = uri.path().trim_start_matches('/');
    if let Some(file) = Dist::get(path).filter(|_| !path.is_empty()) {
        return answer(path, file);
    }
    let is_view = is_view(uri.path());
    let accepted = headers.get(header::ACCEPT).and_then(|accepted| accepted.to_str().ok()).unwrap_or_default();
    if !is_view && (path.starts_with("assets/") || !accepted.contains("text/html")) {
        let got = "this server has nothing there";
        return Problem::missing(format!("loading `/{path}`"), got).into_response();
    }
    let page = match Dist::get("index.html") {
        Some(page) => answer("index.html", page),
        None => (StatusCode::SERVICE_UNAVAILABLE, Html(UNBUILT)).into_response(),
    };
    if is_view { page } else { (StatusCode::NOT_FOUND, page).into_response() }
}

fn is_view(path: &str) -> bool {
    let path = path.strip_suffix('/').unwrap_or(path);
    let parts = |path: &'static str| path.strip_suffix('/').unwrap_or(path).split('/');
    let is = |view: &&'static str| {
        let fits = |(part, here): (&str, &str)| if part.starts_with('$') { !here.is_empty() } else { part == here };
        parts(view).count() == path.split('/').count() && parts(view).zip(path.split('/')).all(fits)
    };
    VIEWS.iter().any(is)
}

fn answer(path: &str, file: rust_embed::EmbeddedFile) -> Response {
    // The names under assets/ carry a digest of what they hold.
    let keep = if path.starts_with("assets/") { "public, max-age=31536000, immutable" } else { "no-cache" };
    let kind = match file.metadata.mimetype() {
        text if text.starts_with("text/") => format!("{text}; charset=utf-8"),
        other => other.to_owned(),
    };
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, keep.to_owned())], file.data.into_owned()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn get(path: &str) -> Response {
        asset(Method::GET, HeaderMap::new(), path.parse().unwrap()).await
    }

    #[tokio::test]
    async fn what_was_built_is_served() {
        let dist = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../web/dist/assets");
        let page = get("/runs/a/b/c/1").await;
        match std::fs::read_dir(dist) {
            Ok(mut files) => {
                assert_eq!(page.headers()[header::CACHE_CONTROL], "no-cache");
                let file = files.next().unwrap().unwrap().file_name();
                let file = get(&format!("/assets/{}", file.to_str().unwrap())).await;
                assert_eq!(file.status(), StatusCode::OK);
                assert!(file.headers()[header::CACHE_CONTROL].to_str().unwrap().contains("immutable"));
            }
            Err(_) => assert_eq!(page.status(), StatusCode::SERVICE_UNAVAILABLE),
        }
        assert_eq!(get("/assets/../Cargo.toml").await.status(), StatusCode::NOT_FOUND);
    }

    #[tokio::test]
    async fn what_is_no_view_is_not_there() {
        let page = get("/").await.status();
        for view in ["/runs", "/runs/", "/runs/a/b/c/1", "/apps/eu/argocd/web%2Fone", "/rollouts", "/plugins"] {
            assert_eq!(get(view).await.status(), page, "{view}");
        }
        for path in
            ["/metrics", "/healthz", "/nonsense", "/runs/a", "/runs/a/b/c/1/2", "/apps///", "/.env", "/wp-login.php"]
        {
            assert_eq!(get(path).await.status(), StatusCode::NOT_FOUND, "{path}");
        }
        let mut browser = HeaderMap::new();
        browser.insert(header::ACCEPT, "text/html,*/*;q=0.8".parse().unwrap());
        let page = asset(Method::GET, browser, Uri::from_static("/nonsense")).await;
        assert_eq!(page.status(), StatusCode::NOT_FOUND);
        assert!(page.headers()[header::CONTENT_TYPE].to_str().unwrap().starts_with("text/html"));
        for method in [Method::POST, Method::DELETE, Method::CONNECT, Method::from_bytes(b"FOO").unwrap()] {
            let response = asset(method, HeaderMap::new(), Uri::from_static("/")).await;
            assert_eq!(response.status(), StatusCode::METHOD_NOT_ALLOWED);
        }
    }

    #[test]
    fn every_view_of_the_dashboard_loads_on_a_reload() {
        let routes = include_str!("../../../web/src/router.tsx");
        let paths = routes.split("path: '").skip(1).filter_map(|rest| rest.split('\'').next());
        let paths: Vec<&str> = paths.collect();
        assert!(paths.len() > 5);
        for path in paths {
            assert!(VIEWS.contains(&path), "{path} is a view of the dashboard, and no address of the server");
        }
    }
}
