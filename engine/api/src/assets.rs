//! The dashboard's files, from within the binary.

use crate::problem::Problem;
use axum::http::{StatusCode, Uri, header};
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

/// A file of the dashboard; any other address is a view of the page, which finds its own way.
pub(crate) async fn asset(uri: Uri) -> Response {
    let path = uri.path().trim_start_matches('/');
    if let Some(file) = Dist::get(path).filter(|_| !path.is_empty()) {
        return answer(path, file);
    }
    if path.starts_with("assets/") {
        let got = "this version of the server has no such file";
        return Problem::missing(format!("loading `/{path}`"), got).into_response();
    }
    match Dist::get("index.html") {
        Some(page) => answer("index.html", page),
        None => (StatusCode::SERVICE_UNAVAILABLE, Html(UNBUILT)).into_response(),
    }
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

    #[tokio::test]
    async fn what_was_built_is_served() {
        let dist = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../web/dist/assets");
        let page = asset(Uri::from_static("/runs/a/b/c/1")).await;
        match std::fs::read_dir(dist) {
            Ok(mut files) => {
                assert_eq!(page.headers()[header::CACHE_CONTROL], "no-cache");
                let file = files.next().unwrap().unwrap().file_name();
                let file = asset(format!("/assets/{}", file.to_str().unwrap()).parse().unwrap()).await;
                assert_eq!(file.status(), StatusCode::OK);
                assert!(file.headers()[header::CACHE_CONTROL].to_str().unwrap().contains("immutable"));
            }
            Err(_) => assert_eq!(page.status(), StatusCode::SERVICE_UNAVAILABLE),
        }
        assert_eq!(asset(Uri::from_static("/assets/../Cargo.toml")).await.status(), StatusCode::NOT_FOUND);
    }
}
