//! A configuration against a real git server, and an API with GitHub's answers.

use super::*;
use crate::stages::git_server::{GitServer, PASSWORD, USER};
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::json;
use std::path::Path;

const REPOSITORIES: [&str; 6] = ["user/asked", "user/away", "user/elsewhere", "user/heads", "user/read", "user/shut"];

/// GitHub's API for six repositories, of which a token may do different things, and the address of a cluster.
async fn api() -> String {
    let refused = || (StatusCode::FORBIDDEN, Json(json!({ "message": "Resource not accessible by this token" })));
    let leading = |path: &'static str| move || async move { Json(json!([{ "id": 2, "config": { "url": path } }])) };
    let here = leading("https://bespin.example/hooks/github/default");
    let mut router = Router::new().route(
        "/version",
        get(|| async {
            Json(json!({ "major": "1", "minor": "36",
        "gitVersion": "v1.36.2", "gitCommit": "", "gitTreeState": "", "buildDate": "", "goVersion": "", "compiler": "",
        "platform": "" }))
        }),
    );
    for (name, hooks, again) in [
        ("asked", get(here), post(|| async { StatusCode::NOT_FOUND })),
        ("away", get(here), post(|| async { (StatusCode::SERVICE_UNAVAILABLE, "maintenance") })),
        ("read", get(here), post(move || async move { refused() })),
        ("elsewhere", get(leading("https://elsewhere.example/ci")), post(|| async { StatusCode::NOT_FOUND })),
        ("shut", get(move || async move { refused().into_response() }), post(|| async { StatusCode::NOT_FOUND })),
    ] {
        let path = format!("/repos/user/{name}/hooks");
        router = router.route(&path, hooks).route(&format!("{path}/2/deliveries/0/attempts"), again);
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await });
    url
}

fn configuration(git: &str, api: &str, password: &str, directory: &Path) -> Config {
    let secret = directory.join("secret");
    std::fs::write(&secret, password).unwrap();
    let secret = format!("{{ file = \"{}\" }}", secret.display());
    let repositories = REPOSITORIES.map(|name| format!("{{ name = \"{name}\", url = \"{git}/{name}\" }}")).join(", ");
    let text = format!(
        "[server]\ndata = \"{0}/data\"\n[[hook]]\nsecrets = [{secret}]\nrepositories = [{repositories}]\n\
         [[git]]\nurl = \"{git}/\"\nauth = {{ basic = {{ user = \"{USER}\", password = {secret} }} }}\n\
         [github]\napi = \"{api}\"\ntoken = {secret}\n\
         [[registry]]\nhost = \"registry.example\"\n\
         [[cluster]]\nname = \"near\"\nreach = {{ url = {{ url = \"{api}\" }} }}\n\
         [[cluster]]\nname = \"gone\"\nreach = {{ url = {{ url = \"http://127.0.0.1:1\" }} }}\n",
        directory.display()
    );
    Config::parse("bespin.toml", &text).unwrap_or_else(|mistakes| panic!("{mistakes}"))
}

#[tokio::test]
async fn each_part_has_a_line_with_what_was_found() {
    let (git, directory) = (GitServer::start().await, tempfile::tempdir().unwrap());
    for name in REPOSITORIES.iter().filter(|name| **name != "user/shut") {
        git.create(name, &[("a", "1")]);
    }
    let api = api().await;
    let mut out = Vec::new();
    let ended = run(configuration(&git.url, &api, PASSWORD, directory.path()), &mut out).await;
    let told = String::from_utf8(out).unwrap();
    let of = |part: &str, name: &str| {
        let found = told.lines().find(|line| line[8..].starts_with(part) && line.contains(&format!(" {name}: ")));
        found.unwrap_or_else(|| panic!("nothing is told of {name}:\n{told}"))
    };
    assert!(of("git", "user/asked").starts_with("ok "), "{told}");
    assert!(of("git", "user/shut").starts_with("failed "), "there is no such repository:\n{told}");
    assert!(of("webhooks", "user/asked").starts_with("ok "), "{told}");
    for name in ["user/read", "user/shut", "user/heads"] {
        let line = of("webhooks", name);
        let says = ["heads are all there is", "`Webhooks: write`", "pull requests may be missed"];
        assert!(line.starts_with("note ") && says.iter().all(|part| line.contains(part)), "{line}");
    }
    let away = of("webhooks", "user/away");
    assert!(away.starts_with("failed ") && away.contains("503") && !away.contains("Webhooks: write"), "{away}");
    let elsewhere = of("webhooks", "user/elsewhere");
    assert!(elsewhere.starts_with("failed ") && elsewhere.contains("/hooks/github/default"), "{elsewhere}");
    assert!(of("cluster", "near").starts_with("ok "), "{told}");
    assert!(of("cluster", "gone").starts_with("failed "), "{told}");
    assert!(of("registry", "registry.example").starts_with("note "), "{told}");
    assert_eq!(ended, Err("4 failed".to_owned()), "{told}");
    assert!(!told.contains(PASSWORD), "{told}");
    assert!(!directory.path().join("data").exists(), "a check leaves nothing behind");
}

#[tokio::test]
async fn a_refused_password_is_seen_without_a_fetch() {
    let (git, directory) = (GitServer::start().await, tempfile::tempdir().unwrap());
    for name in REPOSITORIES {
        git.create(name, &[("a", "1")]);
    }
    let mut out = Vec::new();
    let config = configuration(&git.url, "https://api.github.com", "wrong", directory.path());
    let ended = run(Config { cluster: Vec::new(), ..config }, &mut out).await;
    let told = String::from_utf8(out).unwrap();
    let of_git: Vec<&str> = told.lines().filter(|line| line.contains(" git ")).collect();
    assert!(of_git.len() == 6 && of_git.iter().all(|line| line.starts_with("failed ")), "{told}");
    assert!(told.contains("no [github] of the configuration is at this repository's host"), "{told}");
    assert_eq!(ended, Err("6 failed".to_owned()), "{told}");
}
