use super::*;
use crate::faults::Faults;
use std::path::Path;
use std::process::Command;
use tokio_util::sync::CancellationToken;

async fn serve(root: &Path) -> (String, CancellationToken) {
    let (listener, addr) = crate::serve::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let stop = CancellationToken::new();
    let service = GitService::new(root.into(), Some("u".into()), Some("p".into()), Faults::default());
    tokio::spawn(crate::serve::run(listener, service, stop.clone()));
    (format!("http://u:p@{addr}"), stop)
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
