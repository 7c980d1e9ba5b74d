//! Pushes to a real git server that nobody tells of.

use super::*;
use crate::drive::read;
use crate::stages::delivery::tests::{Server, ended, heads_beside, server_restored};
use crate::stages::git_server::GitServer;
use decide::delivery::{Change, Entry as DeliveryEntry, Push};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const PIPELINE: &str = "name: was\non: { push: {}, tag: {} }\nsteps: [{ uses: image }]\n";
const NAMES: [&str; 3] = ["user/petclinic", "user/web", "user/docs"];

/// A server that lives on one journal, and is down in between.
struct World {
    git: GitServer,
    directory: tempfile::TempDir,
}

impl World {
    async fn new() -> World {
        let git = GitServer::start().await;
        for name in NAMES {
            git.create(name, &[(".bespin/was.yaml", PIPELINE)]);
        }
        World { git, directory: tempfile::tempdir().unwrap() }
    }

    /// Starts the server and waits until it has looked at every repository so many times altogether since then.
    async fn up(&self) -> Server {
        self.up_beside(None).await
    }

    /// The same beside GitHub's API at this address.
    async fn up_beside(&self, api: Option<&str>) -> Server {
        self.up_restored(api, 0).await
    }

    /// The same with a journal whose entries up to this sequence came with a backup.
    async fn up_restored(&self, api: Option<&str>, up_to: u64) -> Server {
        let (drivers, stage, started) = server_restored(&self.git, &self.directory, "journal", None, up_to);
        let heads = heads_beside(&stage, &NAMES, api);
        drivers.register(&heads);
        stage.resume(&drivers).await.unwrap();
        let mut changed = drivers.board().changed();
        heads.watch(&drivers);
        let rests = |name: &str| {
            let said = drivers.board().status(&format!("heads/{name}"));
            said.is_some_and(|said| said.status.message.contains("every head is where the journal knows it"))
        };
        let resting = async {
            while !NAMES.iter().all(|name| rests(name)) {
                changed.changed().await.unwrap();
            }
        };
        tokio::time::timeout(Duration::from_secs(60), resting).await.expect("every repository was looked at");
        (drivers, stage, started)
    }
}

/// The deliveries that were opened by looking, with their ids.
async fn found(drivers: &Arc<Drivers>) -> Vec<(String, Push)> {
    let mut found = Vec::new();
    for stream in drivers.streams(Family::Delivery).await.unwrap() {
        let first = read::<DeliveryEntry>(drivers.journal(), &stream).await.unwrap().remove(0).entry;
        let DeliveryEntry::Received(push) = first else { panic!("{first:?}") };
        if push.delivery.starts_with("head-") {
            found.push((push.delivery.clone(), push));
        }
    }
    found.sort_by_key(|(_, push)| (push.repository.clone(), push.reference.clone()));
    found
}

fn told(name: &str, delivery: &str, before: &str, after: &str) -> Received {
    let json = serde_json::json!({
        "hook": "default", "delivery": delivery, "repository": name, "reference": "refs/heads/main",
        "before": before, "after": after, "change": "forward", "pusher": "kim",
        "paths": { "known": "compare", "because": "a test" },
    });
    Received::Push(serde_json::from_value(json).unwrap())
}

#[tokio::test]
async fn what_was_pushed_while_the_server_was_down_is_built() {
    let world = World::new().await;
    world.git.git(NAMES[0], &["branch", "next", "main"]);
    world.git.git(NAMES[0], &["branch", "old", "main"]);
    let (drivers, ..) = world.up().await;
    assert!(found(&drivers).await.is_empty(), "the first look opens nothing");
    assert!(drivers.journal().streams("run/").await.unwrap().is_empty());
    drivers.stop().await;
    drop(drivers);

    let before = world.git.git(NAMES[0], &["rev-parse", "main"]);
    world.git.commit(NAMES[0], "main", &[("a", "1")], "one");
    let main = world.git.commit(NAMES[0], "main", &[("a", "2")], "two");
    let next = world.git.commit(NAMES[0], "next", &[("b", "1")], "next");
    world.git.git(NAMES[0], &["branch", "-D", "old"]);
    world.git.git(NAMES[1], &["tag", "v1", "main"]);
    let (drivers, ..) = world.up().await;
    let opened = found(&drivers).await;
    let told_of: Vec<_> = opened
        .iter()
        .map(|(_, push)| (push.repository.as_str(), push.reference.as_str(), push.after.as_str()))
        .collect();
    let tagged = world.git.git(NAMES[1], &["rev-parse", "v1"]);
    assert_eq!(
        told_of,
        [
            (NAMES[0], "refs/heads/main", main.as_str()),
            (NAMES[0], "refs/heads/next", next.as_str()),
            (NAMES[1], "refs/tags/v1", tagged.as_str())
        ]
    );
    assert_eq!((&opened[0].1.before, opened[2].1.before.as_str()), (&before, NOTHING));
    let mut runs = Vec::new();
    for (delivery, _) in &opened {
        runs.extend(ended(&drivers, delivery).await);
    }
    runs.sort();
    assert_eq!(runs, ["user/petclinic/was/1", "user/petclinic/was/2", "user/web/was/1"]);
    drivers.stop().await;
    drop(drivers);

    // What is told afterwards is the same push, whoever comes first.
    let (drivers, ..) = world.up().await;
    assert_eq!(found(&drivers).await.len(), 3, "nothing has moved since");
    let late = told(NAMES[0], "redelivered", &before, &main);
    drivers.open(&late.stream(), &By::Server, &late.entry()).await.unwrap();
    let again = ended(&drivers, "redelivered").await;
    assert_eq!(again, ended(&drivers, &opened[0].0).await, "one run");
    assert_eq!(drivers.journal().streams("run/").await.unwrap().len(), 3);
    drivers.stop().await;
}

fn tagged(delivery: &str, before: &str, after: &str) -> Received {
    let Received::Push(push) = told(NAMES[0], delivery, before, after) else { panic!("it is a push") };
    let change = if before == NOTHING { Change::New } else { Change::Deleted };
    Received::Push(Push { reference: "refs/tags/v1".into(), change, ..push })
}

async fn tell(drivers: &Arc<Drivers>, push: Received) -> Vec<String> {
    let id = push.delivery().to_owned();
    drivers.open(&push.stream(), &By::Server, &push.entry()).await.unwrap();
    ended(drivers, &id).await
}

/// The same commit again: only that the tag was seen to be gone tells one push from the other.
#[tokio::test]
async fn a_tag_that_went_in_the_lost_time_and_is_pushed_again_opens_a_run() {
    let world = World::new().await;
    let head = world.git.git(NAMES[0], &["rev-parse", "main"]);
    world.git.git(NAMES[0], &["tag", "v1", "main"]);
    let (drivers, ..) = world.up().await;
    assert_eq!(tell(&drivers, tagged("d1", NOTHING, &head)).await, ["user/petclinic/was/1"]);
    let backup = drivers.journal().tail(0, 1_000).await.unwrap().last().unwrap().seq;
    drivers.stop().await;
    drop(drivers);
    world.git.git(NAMES[0], &["tag", "-d", "v1"]);
    let (drivers, ..) = world.up_restored(None, backup).await;
    world.git.git(NAMES[0], &["tag", "v1", "main"]);
    assert_eq!(tell(&drivers, tagged("d2", NOTHING, &head)).await, ["user/petclinic/was/2"]);
    drivers.stop().await;
}

#[test]
fn what_was_seen_to_be_gone_stays_before_a_summary_while_it_may_be_told_again() {
    let heads = |at: &str| [("refs/tags/v1".to_owned(), at.to_owned())].into();
    let old = [(0, NOTHING), (1, "1"), (REDELIVERY_MS, NOTHING), (REDELIVERY_MS + 1, "2")];
    let entry =
        |(at_ms, at): &(u64, &str)| Written { at_ms: *at_ms, by: By::Server, entry: Entry::Moved { heads: heads(at) } };
    let entries: Vec<_> = old.iter().map(entry).enumerate().map(|(index, written)| (index as u64, written)).collect();
    assert_eq!(seen_gone(&entries), [2]);
}

#[tokio::test]
async fn what_was_told_before_the_look_is_not_found() {
    let world = World::new().await;
    let (drivers, ..) = world.up().await;
    let before = world.git.git(NAMES[2], &["rev-parse", "main"]);
    let after = world.git.commit(NAMES[2], "main", &[("a", "1")], "one");
    let push = told(NAMES[2], "d1", &before, &after);
    drivers.open(&push.stream(), &By::Server, &push.entry()).await.unwrap();
    assert_eq!(ended(&drivers, "d1").await, ["user/docs/was/1"]);
    drivers.stop().await;
    drop(drivers);
    let (drivers, ..) = world.up().await;
    assert!(found(&drivers).await.is_empty());
    let noted = read::<Entry>(drivers.journal(), "heads/user/docs").await.unwrap().pop().unwrap().entry;
    let heads = [("refs/heads/main".to_owned(), after)].into();
    assert_eq!(noted, Entry::Moved { heads }, "where it stands is known when the delivery is forgotten");
    drivers.stop().await;
}

/// GitHub's API of webhooks: each repository has one of ours, and these tries of it. Answers what it was asked.
async fn api(tries: serde_json::Value) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let asked: Arc<Mutex<Vec<String>>> = Arc::default();
    let heard = asked.clone();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") && stream.read_buf(&mut head).await.is_ok_and(|read| read > 0) {}
            let line = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned();
            let body = match line.split(' ').nth(1).unwrap_or_default() {
                path if path.ends_with("/hooks?per_page=100") => serde_json::json!([
                    { "id": 1, "config": { "url": "https://elsewhere.example/ci" } },
                    { "id": 2, "config": { "url": "https://bespin.example/hooks/github" } },
                ]),
                path if path.ends_with("/hooks/2/deliveries?per_page=100") => tries.clone(),
                _ => serde_json::json!({}),
            };
            heard.lock().unwrap().push(line);
            let body = body.to_string();
            let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
            let _gone = stream.write_all([head, body].concat().as_bytes()).await;
        }
    });
    (url, asked)
}

#[tokio::test]
async fn what_nobody_took_is_asked_of_the_forge_again() {
    let world = World::new().await;
    let tries = serde_json::json!([
        { "id": 12, "guid": "asked", "event": "pull_request", "status_code": 502, "delivered_at": "x" },
        { "id": 11, "guid": "known", "event": "push", "status_code": 0 },
        { "id": 10, "guid": "taken", "event": "push", "status_code": 202 },
    ]);
    let (api, asked) = api(tries).await;
    let posts = || {
        let asked = asked.lock().unwrap().clone();
        let mut posts: Vec<String> = asked.into_iter().filter(|line| line.starts_with("POST")).collect();
        posts.sort();
        posts
    };
    let (drivers, ..) = world.up_beside(Some(&api)).await;
    assert!(posts().is_empty(), "the first look asks for nothing: {:?}", posts());
    for name in NAMES {
        let head = world.git.git(name, &["rev-parse", "main"]);
        // One delivery id belongs to one repository; the others lack it.
        if name == NAMES[0] {
            let push = told(name, "known", NOTHING, &head);
            drivers.open(&push.stream(), &By::Server, &push.entry()).await.unwrap();
            ended(&drivers, "known").await;
        }
    }
    drivers.stop().await;
    drop(drivers);
    let (drivers, ..) = world.up_beside(Some(&api)).await;
    let expected: Vec<String> =
        NAMES.iter().map(|name| format!("POST /repos/{name}/hooks/2/deliveries/12/attempts HTTP/1.1")).collect();
    let mut expected = expected;
    expected.sort();
    assert_eq!(posts(), expected);
    drivers.stop().await;
}
