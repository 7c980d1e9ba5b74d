use super::*;
use crate::faults::Faults;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

async fn serve(root: &Path) -> (String, CancellationToken) {
    let (url, stop, _) = serve_with_webhooks(root).await;
    (url, stop)
}

async fn serve_with_webhooks(root: &Path) -> (String, CancellationToken, Webhooks) {
    let (listener, addr) = crate::serve::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let stop = CancellationToken::new();
    let service = GitService::new(root.into(), Some("u".into()), Some("p".into()), Faults::default());
    let webhooks = service.webhooks().clone();
    tokio::spawn(crate::serve::run(listener, service, stop.clone()));
    (format!("http://u:p@{addr}"), stop, webhooks)
}

async fn git(dir: &Path, arguments: &[&str]) -> (bool, String) {
    let mut command = Command::new("git");
    command.current_dir(dir).args(["-c", "user.name=t", "-c", "user.email=t@example.com"]).args(arguments);
    command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_TERMINAL_PROMPT", "0");
    let output = tokio::task::spawn_blocking(move || command.output().unwrap()).await.unwrap();
    (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repository_is_cloned_and_pushed_to_over_http() {
    let dir = tempfile::tempdir().unwrap();
    let repositories = Repositories::new(dir.path().join("git"));
    repositories.create("user/app").await.unwrap();
    let files = [("was/index.html".to_owned(), "one\n".to_owned())];
    let first = repositories.commit("user/app", "main", &files, "first").await.unwrap();
    let (url, _stop) = serve(&dir.path().join("git")).await;
    let (cloned, said) = git(dir.path(), &["clone", &format!("{url}/user/app.git"), "work"]).await;
    assert!(cloned, "{said}");
    let work = dir.path().join("work");
    assert_eq!(std::fs::read_to_string(work.join("was/index.html")).unwrap(), "one\n");
    std::fs::write(work.join("new"), "x").unwrap();
    for step in [&["add", "new"][..], &["commit", "-m", "second"], &["push", "origin", "main"]] {
        let (done, said) = git(&work, step).await;
        assert!(done, "{step:?}: {said}");
    }
    let head = repositories.head("user/app", "main").await.unwrap().unwrap();
    assert_ne!(head, first.after);
    assert_eq!(repositories.file("user/app", "main", "new").await.unwrap(), "x");
    assert_eq!(repositories.messages("user/app", "main").await.unwrap()[0].trim(), "second");
}

#[tokio::test(flavor = "multi_thread")]
async fn who_is_not_known_gets_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let repositories = Repositories::new(dir.path().join("git"));
    repositories.create("user/app").await.unwrap();
    let (url, _stop) = serve(&dir.path().join("git")).await;
    let anonymous = url.replace("u:p@", "");
    let (cloned, said) = git(dir.path(), &["clone", &format!("{anonymous}/user/app.git"), "work"]).await;
    assert!(!cloned && said.contains("could not read Username"), "{said}");
}

/// Takes HTTP requests, answers each with 202, and hands over its head and its body.
async fn hook() -> (String, mpsc::UnboundedReceiver<(String, serde_json::Value)>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/hooks", listener.local_addr().unwrap());
    let (send, calls) = mpsc::unbounded_channel();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut read = Vec::new();
            let call = loop {
                assert!(stream.read_buf(&mut read).await.unwrap() > 0, "a request is whole");
                let text = String::from_utf8_lossy(&read).into_owned();
                let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
                if let Ok(body) = serde_json::from_str(body) {
                    break (head.to_owned(), body);
                }
            };
            let answer = "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            stream.write_all(answer.as_bytes()).await.unwrap();
            send.send(call).unwrap();
        }
    });
    (url, calls)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_is_told_for_each_ref_that_it_moved() {
    let dir = tempfile::tempdir().unwrap();
    let repositories = Repositories::new(dir.path().join("git"));
    for name in ["user/app", "user/untold"] {
        repositories.create(name).await.unwrap();
        repositories.commit(name, "main", &[("a".to_owned(), "one\n".to_owned())], "first").await.unwrap();
    }
    let (url, _stop, webhooks) = serve_with_webhooks(&dir.path().join("git")).await;
    let (hook, mut calls) = hook().await;
    webhooks.set("user/app", Webhook { url: hook, secret: "s".into() });
    let git_ok = async |dir: &Path, arguments: &[&str]| {
        let (done, said) = git(dir, arguments).await;
        assert!(done, "{arguments:?}: {said}");
        said.trim().to_owned()
    };
    let next = async |calls: &mut mpsc::UnboundedReceiver<(String, serde_json::Value)>| {
        tokio::time::timeout(Duration::from_secs(60), calls.recv()).await.expect("the webhook is called").unwrap()
    };
    for name in ["app", "untold"] {
        git_ok(dir.path(), &["clone", "--quiet", &format!("{url}/user/{name}.git"), name]).await;
    }
    let (app, untold) = (dir.path().join("app"), dir.path().join("untold"));
    let first = git_ok(&app, &["rev-parse", "HEAD"]).await;
    std::fs::write(app.join("a"), "two\n").unwrap();
    git_ok(&app, &["commit", "--all", "--message", "second\n\nwith a body"]).await;
    let second = git_ok(&app, &["rev-parse", "HEAD"]).await;
    // One repository has no webhook, and one push moves two refs.
    git_ok(&untold, &["push", "origin", "HEAD:refs/heads/other"]).await;
    git_ok(&app, &["push", "origin", "HEAD:refs/heads/main", "HEAD:refs/tags/v2"]).await;
    let mut told = [next(&mut calls).await, next(&mut calls).await];
    told.sort_by_key(|(_, body)| body["ref"].to_string());
    for ((head, body), (reference, before)) in
        told.iter().zip([("refs/heads/main", first.as_str()), ("refs/tags/v2", repository::NO_COMMIT)])
    {
        assert!(head.contains("x-github-event: push") && head.contains("x-hub-signature-256: sha256="), "{head}");
        let said = ["ref", "before", "after"].map(|key| body[key].as_str().unwrap());
        assert_eq!(said, [reference, before, &second]);
        assert_eq!(body["head_commit"]["message"], "second\n\nwith a body");
        assert_eq!(body["commits"][0]["modified"], serde_json::json!(["a"]));
        assert_eq!(body["repository"]["full_name"], "user/app");
        assert!(body["repository"]["clone_url"].as_str().unwrap().ends_with("/user/app.git"), "{body:#}");
    }
    // What is refused moves nothing; a deletion names no commit.
    let (pushed, _) = git(&app, &["push", "origin", &format!("{first}:refs/heads/main")]).await;
    assert!(!pushed, "it is no fast-forward");
    git_ok(&app, &["push", "origin", ":refs/tags/v2"]).await;
    let (_, body) = next(&mut calls).await;
    assert_eq!((&body["ref"], &body["deleted"]), (&"refs/tags/v2".into(), &true.into()));
    assert_eq!((&body["head_commit"], &body["commits"]), (&serde_json::Value::Null, &serde_json::json!([])));
    assert!(calls.is_empty());
}
