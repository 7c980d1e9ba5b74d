//! A plain `git push` to the playground is told to the server as GitHub would tell it, and its run starts: so the demo
//! takes further pushes.

use playground::git::Webhook;
use playground::sample::APPLICATION;
use std::path::Path;
use world::estate::{Estate, HOOK_SECRET, Kind, PATIENCE};
use world::process::{eventually, output};

#[tokio::test(flavor = "multi_thread")]
async fn starts_a_run() {
    let estate = Estate::undeclared(Kind::Embedded, "1s").await;
    let url = format!("{}/hooks/github/default", estate.bespin.hooks);
    estate.parts.playground().webhooks().set(APPLICATION, Webhook { url, secret: HOOK_SECRET.to_owned() });

    let work = estate.dir().join("work");
    let clone = estate.parts.clone_url(APPLICATION);
    git(estate.dir(), &["clone", "--quiet", &clone, "work"]);
    std::fs::write(work.join("was/static/server"), "#!/bin/sh\necho pushed by git\n").expect("a file can be written");
    git(&work, &["commit", "--quiet", "--all", "--message", "Greet by git"]);
    git(&work, &["push", "--quiet"]);
    let pushed = git(&work, &["rev-parse", "HEAD"]);

    let run = eventually("the run has started", PATIENCE, || async {
        let page = estate.dashboard().await.get("runs").await;
        let rows = page["runs"].as_array()?.clone();
        assert!(rows.len() <= 1, "one push opened {} runs", rows.len());
        rows.into_iter().map(|row| row["run"].clone()).find(|run| run["sha"] == pushed.as_str())
    })
    .await;
    assert_eq!((&run["pipeline"], &run["number"]), (&"petclinic-was".into(), &56.into()), "{run:#}");

    // A branch that no pipeline is for is told as well, and starts nothing; nor does a push that moves nothing.
    git(&work, &["push", "--quiet", "origin", "HEAD:refs/heads/elsewhere"]);
    git(&work, &["push", "--quiet"]);
    eventually("the second delivery is recorded", PATIENCE, || async {
        let received = estate.bespin.journal("delivery/").iter().filter(|entry| entry["index"] == 0).count();
        assert!(received <= 2, "two refs were moved, and {received} deliveries came");
        (received == 2).then_some(())
    })
    .await;
}

fn git(dir: &Path, arguments: &[&str]) -> String {
    let mut command = std::process::Command::new("git");
    command.current_dir(dir).args(["-c", "user.name=Ann", "-c", "user.email=ann@example.com"]).args(arguments);
    command.env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null").env("GIT_TERMINAL_PROMPT", "0");
    let output = output(&mut command);
    assert!(output.status.success(), "git {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("git prints text").trim().to_owned()
}
