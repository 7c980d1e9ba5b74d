//! The adapter against a real git server over HTTP.

mod git_server;

use decide::retry::Retry;
use forge::{
    Changed, Credentials, Error, Forge, GitSecret, HEAD_KEPT, Head, HeadLimits, Limits, MOST_HEADS, Mirror, NewCommit,
    Pushed, Remote, Settings,
};
use git_server::{GitServer, PASSWORD, USER};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

const LIMITS: Limits = Limits { files: 100, file_bytes: 10_000, bytes: 100_000 };
const NOTHING: &str = "0000000000000000000000000000000000000000";

fn forge(server: &GitServer, password: &str) -> (Arc<Forge>, tempfile::TempDir) {
    let credentials = Credentials::Basic { username: USER.into(), password: password.into() };
    let remotes = vec![Remote { url: server.url.clone(), credentials, plain_http: Default::default() }];
    let settings = Settings { base: Some(server.url.clone()), remotes, ..Settings::default() };
    let directory = tempfile::tempdir().unwrap();
    (Forge::new(settings, directory.path()).unwrap(), directory)
}

fn now() -> Instant {
    Instant::now()
}

async fn fetched(forge: &Forge, name: &str) -> Arc<Mirror> {
    let mirror = forge.repository(name).unwrap();
    mirror.fetch(now()).await.unwrap();
    mirror
}

fn new(branch: &str, parent: &str, path: &str, text: &str) -> NewCommit {
    let files = vec![(path.to_owned(), text.as_bytes().to_vec())];
    NewCommit {
        branch: branch.into(),
        parent: parent.into(),
        files,
        message: format!("{path}\n\nBespin-Run: a/b/c/1\n"),
    }
}

#[tokio::test]
async fn a_mirror_is_fetched_and_read() {
    let server = GitServer::start().await;
    server.create("user/x", &[(".bespin/was.yaml", "name: was\n"), (".bespin/notes.txt", ""), ("was/deep/a", "a")]);
    let (forge, _directory) = forge(&server, PASSWORD);
    let mirror = fetched(&forge, "user/x").await;
    assert_eq!(mirror.default_branch().await.unwrap().as_deref(), Some("main"));
    let head = mirror.resolve("HEAD").await.unwrap().unwrap();
    let commit = mirror.commit(&head).await.unwrap().unwrap();
    assert_eq!((commit.message.trim(), commit.author.as_str(), commit.short.len()), ("first", "Kim", 7));
    let files = mirror.files(&head, ".bespin", &[".yaml"], LIMITS).await.unwrap();
    assert_eq!(files.iter().map(|f| f.path.as_str()).collect::<Vec<_>>(), [".bespin/was.yaml"]);
    assert_eq!(mirror.file(&head, "was/deep/a", 10).await.unwrap().unwrap(), b"a");
    for none in ["was", ".bespin", ".bespin/nothing", ""] {
        assert_eq!(mirror.file(&head, none, 10).await.unwrap(), None, "{none}");
    }
    assert!(mirror.files(&head, "nowhere", &[], LIMITS).await.unwrap().is_empty());
    let small = Limits { file_bytes: 3, ..LIMITS };
    assert!(matches!(mirror.files(&head, "", &[], small).await, Err(Error::TooLarge { .. })));
    let listed = mirror.list(&head, "was/.").await.unwrap().unwrap();
    assert_eq!((listed.len(), listed[0].name.as_str(), listed[0].kind), (1, "deep", forge::ListedKind::Directory));
    let listed = mirror.list(&head, "was/deep").await.unwrap().unwrap();
    assert_eq!((listed[0].size, listed[0].kind), (1, forge::ListedKind::File));
    assert_eq!(mirror.list(&head, "was/deep/a").await.unwrap(), None);
    server.git("user/x", &["-c", "user.name=K", "-c", "user.email=k@x", "tag", "-a", "v1", "-m", "one", &head]);
    mirror.fetch(now()).await.unwrap();
    let tag = server.git("user/x", &["rev-parse", "refs/tags/v1"]);
    assert_ne!(tag, head);
    assert_eq!(mirror.commit(&tag).await.unwrap().unwrap().sha, head, "an annotated tag leads to its commit");
    assert_eq!(mirror.resolve("v1").await.unwrap().unwrap(), head);
    assert_eq!(mirror.commit(&"a".repeat(40)).await.unwrap(), None);
}

#[tokio::test]
async fn one_fetch_serves_all_who_wait() {
    let server = GitServer::start().await;
    server.create("user/x", &[("a", "")]);
    let (forge, _directory) = forge(&server, PASSWORD);
    let earlier = now();
    let mirror = fetched(&forge, "user/x").await;
    let before = now();
    let head = server.commit("user/x", "main", &[("a", "2")], "second");
    assert_eq!(mirror.resolve("HEAD").await.unwrap().unwrap().len(), 40);
    mirror.fetch(earlier).await.unwrap();
    assert_ne!(mirror.resolve("HEAD").await.unwrap().unwrap(), head, "an earlier fetch is enough for an earlier push");
    let waiting = (0..50).map(|_| {
        let mirror = mirror.clone();
        tokio::spawn(async move { mirror.fetch(before).await })
    });
    for one in waiting.collect::<Vec<_>>() {
        one.await.unwrap().unwrap();
    }
    assert_eq!(mirror.resolve("HEAD").await.unwrap().unwrap(), head);
}

/// A pull request's head at the server, as GitHub keeps a fork's commit: under no branch of the base.
fn propose(server: &GitServer, number: u64, files: &[(&str, &str)]) -> Head {
    let sha = server.commit("user/x", "fork", files, "a fork's");
    server.git("user/x", &["update-ref", &format!("refs/pull/{number}/head"), &sha]);
    server.git("user/x", &["update-ref", "-d", "refs/heads/fork"]);
    Head { number, sha }
}

async fn fetch_head(mirror: &Mirror, head: &Head, needed: &[&Head]) -> Result<Option<forge::Fetched>, Error> {
    let base = mirror.resolve("main").await.unwrap().unwrap();
    let needed = needed.iter().map(|head| (*head).clone()).collect();
    mirror.heads().await.fetch(head, &base, needed, HeadLimits::default()).await
}

/// Whether the files of a head can be read.
async fn is_here(mirror: &Mirror, head: &Head) -> bool {
    mirror.files(&head.sha, "", &[], LIMITS).await.is_ok()
}

#[tokio::test]
async fn a_pull_request_is_fetched_from_its_base() {
    let server = GitServer::start().await;
    server.create("user/x", &[("was/a", "1")]);
    let (forge, _directory) = forge(&server, PASSWORD);
    let mirror = fetched(&forge, "user/x").await;
    let nowhere = Head { number: 8, sha: "1".repeat(40) };
    assert_eq!(fetch_head(&mirror, &nowhere, &[]).await.unwrap(), None);
    let head = propose(&server, 7, &[("was/b", "2")]);
    let base = server.commit("user/x", "main", &[("web/a", "1")], "meanwhile");
    mirror.fetch(now()).await.unwrap();
    assert!(!is_here(&mirror, &head).await);
    let fetched = fetch_head(&mirror, &head, &[]).await.unwrap().unwrap();
    assert_eq!((&fetched.tip, &fetched.commit.sha, fetched.commit.message.trim()), (&head.sha, &head.sha, "a fork's"));
    assert_eq!(mirror.file(&head.sha, "was/b", 10).await.unwrap().unwrap(), b"2");
    assert_eq!(mirror.file(&head.sha, "was/a", 10).await.unwrap().unwrap(), b"1", "what the base has");
    assert!(!mirror.archive(&head.sha, "was", 10_000).await.unwrap().is_empty());
    assert_eq!(mirror.commit(&head.sha).await.unwrap(), None, "it is no commit of the mirror's own");
    for name in ["fork", "refs/pull/7/head", &head.sha] {
        assert_eq!(mirror.resolve(name).await.unwrap(), None, "nor is it found by `{name}`");
    }
    let changed = mirror.changed_since(&base, &head.sha).await.unwrap();
    assert_eq!(changed, Changed::Paths(vec!["was/b".into()]), "what the base did meanwhile is not the pull request's");
    let newer =
        server.git("user/x", &["commit-tree", "-p", &head.sha, "-m", "newer", &format!("{}^{{tree}}", head.sha)]);
    server.git("user/x", &["update-ref", "refs/pull/7/head", &newer]);
    assert_eq!(fetch_head(&mirror, &head, &[]).await.unwrap().unwrap().tip, head.sha, "it is here already");
    mirror.heads().await.tidy(BTreeSet::new(), Duration::ZERO).await.unwrap();
    assert_eq!(fetch_head(&mirror, &head, &[]).await.unwrap().unwrap().tip, newer, "it was passed");
    let other = Head { number: 7, sha: propose(&server, 9, &[("x", "")]).sha };
    assert_eq!(fetch_head(&mirror, &other, &[]).await.unwrap(), None, "the reference does not lead there");
    assert!(!is_here(&mirror, &other).await);
}

#[tokio::test]
async fn a_head_that_was_merged_becomes_the_mirrors_own() {
    let server = GitServer::start().await;
    server.create("user/x", &[("a", "1")]);
    let (forge, _directory) = forge(&server, PASSWORD);
    let mirror = fetched(&forge, "user/x").await;
    let head = propose(&server, 7, &[("b", "2")]);
    fetch_head(&mirror, &head, &[]).await.unwrap().unwrap();
    server.git("user/x", &["update-ref", "refs/heads/main", &head.sha]);
    mirror.fetch(now()).await.unwrap();
    mirror.heads().await.tidy(BTreeSet::new(), Duration::ZERO).await.unwrap();
    assert_eq!(mirror.resolve("main").await.unwrap().as_ref(), Some(&head.sha));
    assert_eq!(mirror.file(&head.sha, "b", 10).await.unwrap().unwrap(), b"2", "nothing of it went with its store");
}

#[tokio::test]
async fn a_head_may_bring_so_much_in_so_long() {
    let server = GitServer::start().await;
    server.create("user/x", &[("a", "1")]);
    let (forge, _directory) = forge(&server, PASSWORD);
    let mirror = fetched(&forge, "user/x").await;
    let base = mirror.resolve("main").await.unwrap().unwrap();
    // Nothing that a pack could make smaller.
    let noise: String = (0..20_000_u64).map(|n| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_string()).collect();
    let head = propose(&server, 7, &[("noise", &noise)]);
    let limits = HeadLimits { bytes: 50_000, ..HeadLimits::default() };
    let large = mirror.heads().await.fetch(&head, &base, BTreeSet::new(), limits).await;
    let Err(Error::TooLarge { limit, .. }) = large else { panic!("{large:?}") };
    assert_eq!(limit, "50000 bytes");
    let limits = HeadLimits { time: Duration::ZERO, ..HeadLimits::default() };
    let late = mirror.heads().await.fetch(&head, &base, BTreeSet::new(), limits).await;
    assert!(matches!(late, Err(Error::Git { .. })), "{late:?}");
    assert!(!is_here(&mirror, &head).await, "a part of a head is not kept");
    mirror.fetch(now()).await.expect("the branches have limits of their own");
    assert!(fetch_head(&mirror, &head, &[]).await.unwrap().is_some());
    let limits = HeadLimits { bytes: 0, time: Duration::ZERO };
    let again = mirror.heads().await.fetch(&head, &base, BTreeSet::new(), limits).await;
    assert!(again.unwrap().is_some(), "what is here costs nothing");
}

#[tokio::test]
async fn heads_that_nobody_needs_make_room() {
    let server = GitServer::start().await;
    server.create("user/x", &[("a", "1")]);
    let (forge, directory) = forge(&server, PASSWORD);
    let mirror = fetched(&forge, "user/x").await;
    let first = propose(&server, 1, &[("b", "2")]);
    let head = |number: u64| {
        server.git("user/x", &["update-ref", &format!("refs/pull/{number}/head"), &first.sha]);
        Head { number, sha: first.sha.clone() }
    };
    let heads: Vec<Head> = (1..=MOST_HEADS as u64).map(head).collect();
    let stores = || {
        let mirror = std::fs::read_dir(directory.path()).unwrap().next().unwrap().unwrap().path();
        let stores = std::fs::read_dir(mirror.join("heads-of-pull-requests")).unwrap();
        let number = |name: String| name.split('-').next().unwrap().parse::<u64>().unwrap();
        stores.map(|store| number(store.unwrap().file_name().into_string().unwrap())).collect::<BTreeSet<_>>()
    };
    for head in &heads {
        assert!(fetch_head(&mirror, head, &[]).await.unwrap().is_some());
    }
    assert_eq!(stores(), (1..=MOST_HEADS as u64).collect());
    let one_more = head(99);
    let needed: Vec<&Head> = heads.iter().collect();
    let full = fetch_head(&mirror, &one_more, &needed).await;
    assert!(matches!(full, Err(Error::Full { .. })), "all are read: {full:?}");
    assert!(full.unwrap_err().to_string().contains("16 heads of pull requests are being checked"));
    assert!(fetch_head(&mirror, &one_more, &needed[1..]).await.unwrap().is_some());
    assert_eq!(stores(), (2..=MOST_HEADS as u64).chain([99]).collect(), "the one that nobody needs went");
    mirror.heads().await.tidy(BTreeSet::from([heads[4].clone()]), HEAD_KEPT).await.unwrap();
    assert_eq!(stores().len(), MOST_HEADS, "they are a day too young");
    mirror.heads().await.tidy(BTreeSet::from([heads[4].clone()]), Duration::ZERO).await.unwrap();
    assert_eq!(stores(), BTreeSet::from([5]));
    assert!(is_here(&mirror, &heads[4]).await);
}

#[tokio::test]
async fn wrong_credentials_and_nobody_there() {
    let server = GitServer::start().await;
    server.create("user/x", &[("a", "")]);
    let (wrong, _directory) = forge(&server, "wrong-password");
    let error = wrong.repository("user/x").unwrap().fetch(now()).await.unwrap_err().to_string();
    assert!(!error.contains("wrong-password"), "{error}");
    let (forge, _directory) = forge(&server, PASSWORD);
    assert!(forge.repository("user/none").unwrap().fetch(now()).await.is_err());
    assert!(matches!(forge.mirror("file:///etc"), Err(Error::Address { .. })));
    assert!(matches!(forge.mirror("/etc"), Err(Error::Address { .. })));
}

#[tokio::test]
async fn a_password_is_exchanged_while_the_process_runs() {
    let server = GitServer::start().await;
    server.create("user/x", &[("a", "1")]);
    let password = Arc::new(std::sync::Mutex::new("old".to_owned()));
    let kept = password.clone();
    let read = GitSecret::read_by(move || kept.lock().unwrap().clone().into());
    let credentials = Credentials::Basic { username: USER.into(), password: read };
    let remotes = vec![Remote { url: server.url.clone(), credentials, plain_http: Default::default() }];
    let settings = Settings { base: Some(server.url.clone()), remotes, ..Settings::default() };
    let directory = tempfile::tempdir().unwrap();
    let mirror = Forge::new(settings, directory.path()).unwrap().repository("user/x").unwrap();
    assert_eq!(mirror.fetch(now()).await.unwrap_err().retry(), Retry::NeedsPerson);
    *password.lock().unwrap() = PASSWORD.to_owned();
    mirror.fetch(now()).await.unwrap();
    let head = mirror.resolve("main").await.unwrap().unwrap();
    assert!(matches!(mirror.push(new("main", &head, "a", "2")).await.unwrap(), Pushed::Landed { .. }));
}

#[tokio::test]
async fn what_a_push_changed() {
    let server = GitServer::start().await;
    server.create("user/x", &[("was/a", "1"), ("web/a", "1")]);
    let (forge, _directory) = forge(&server, PASSWORD);
    let first = server.git("user/x", &["rev-parse", "main"]);
    let second = server.commit("user/x", "main", &[("was/a", "2"), ("was/b", "1")], "second");
    let branch = server.commit("user/x", "feature", &[("web/a", "2")], "third");
    server.git("user/x", &["branch", "same", &second]);
    let mirror = fetched(&forge, "user/x").await;
    let paths = |paths: &[&str]| Changed::Paths(paths.iter().map(|p| (*p).to_owned()).collect());
    let changed =
        async |reference: &str, before: &str, after: &str| mirror.changed(reference, before, after).await.unwrap();
    assert_eq!(changed("refs/heads/main", &first, &second).await, paths(&["was/a", "was/b"]));
    assert_eq!(changed("refs/heads/main", &second, &first).await, paths(&["was/a", "was/b"]), "a forced push back");
    assert_eq!(changed("refs/heads/feature", NOTHING, &branch).await, paths(&["web/a"]), "since it left main");
    assert_eq!(changed("refs/heads/same", NOTHING, &second).await, paths(&[]));
    assert!(matches!(changed("refs/heads/main", NOTHING, &second).await, Changed::Everything { .. }));
    assert_eq!(
        changed("refs/heads/feature", &"a".repeat(40), &branch).await,
        paths(&["web/a"]),
        "before is thrown away"
    );
    assert!(matches!(mirror.changed("refs/heads/x", NOTHING, &"a".repeat(40)).await, Err(Error::Missing { .. })));
    assert!(mirror.contains(&second, &first).await.unwrap());
    assert!(!mirror.contains(&first, &second).await.unwrap());
}

#[tokio::test]
async fn of_two_pushes_at_once_one_lands() {
    let server = GitServer::start().await;
    server.create("user/m", &[("a", "1"), ("b", "1")]);
    let (forge, _directory) = forge(&server, PASSWORD);
    let mirror = fetched(&forge, "user/m").await;
    let head = mirror.resolve("main").await.unwrap().unwrap();
    let (one, two) = tokio::join!(mirror.push(new("main", &head, "a", "2")), mirror.push(new("main", &head, "b", "2")));
    let landed = [one.unwrap(), two.unwrap()].into_iter().filter(|p| matches!(p, Pushed::Landed { .. })).count();
    assert_eq!(landed, 1);
    assert_eq!(server.git("user/m", &["rev-list", "--count", "main"]), "2");
    // The one that was too late looks again, and lands.
    assert_eq!(mirror.push(new("main", &head, "c", "2")).await.unwrap(), Pushed::Stale);
    mirror.fetch(now()).await.unwrap();
    let head = mirror.resolve("main").await.unwrap().unwrap();
    let Pushed::Landed { sha } = mirror.push(new("main", &head, "c", "2")).await.unwrap() else { panic!("it lands") };
    assert_eq!(server.git("user/m", &["rev-parse", "main"]), sha);
    assert_eq!(server.git("user/m", &["log", "-1", "--format=%an <%ae>", "main"]), "Bespin <bespin@localhost>");
    mirror.fetch(now()).await.unwrap();
    let found = mirror.trailered(&sha, 100).await.unwrap();
    assert_eq!((found.len(), &found[0].sha), (2, &sha));
    assert_eq!(found[0].trailers, [("Bespin-Run".to_owned(), "a/b/c/1".to_owned())]);
}

#[tokio::test]
async fn a_protected_branch_says_why() {
    let server = GitServer::start().await;
    server.create("user/m", &[("a", "1")]);
    server.git("user/m", &["branch", "behind"]);
    server.commit("user/m", "main", &[("a", "2")], "second");
    server.refuse("user/m");
    let (forge, _directory) = forge(&server, PASSWORD);
    let mirror = fetched(&forge, "user/m").await;
    let head = mirror.resolve("main").await.unwrap().unwrap();
    // Also where the branch is not at the parent: nobody has moved it.
    for branch in ["main", "behind", "absent"] {
        let pushed = mirror.push(new(branch, &head, "a", "3")).await.unwrap();
        assert!(
            matches!(&pushed, Pushed::Refused { because, retry: Retry::NeedsPerson } if because.contains("hook")),
            "{branch}: {pushed:?}"
        );
    }
    // Whoever was faster is looked at, whatever the remote says.
    let first = server.git("user/m", &["rev-parse", "behind"]);
    assert_eq!(mirror.push(new("main", &first, "a", "3")).await.unwrap(), Pushed::Stale);
}

#[tokio::test]
async fn an_archive_keeps_links_and_modes_and_is_always_the_same() {
    use std::io::Read;
    use std::os::unix::fs::{PermissionsExt, symlink};
    let server = GitServer::start().await;
    server.create("user/x", &[("app/Dockerfile", "FROM scratch\n"), ("app/z/b", "b"), ("other", "")]);
    let work = tempfile::tempdir().unwrap();
    let bare = server.bare("user/x");
    let sh = |text: &str| {
        assert!(
            std::process::Command::new("sh").current_dir(work.path()).args(["-c", text]).status().unwrap().success()
        )
    };
    sh(&format!("git -c safe.directory='*' clone -q {} .", bare.display()));
    symlink("z/b", work.path().join("app/link")).unwrap();
    std::fs::write(work.path().join("app/run"), "#!/bin/sh\n").unwrap();
    std::fs::set_permissions(work.path().join("app/run"), std::fs::Permissions::from_mode(0o755)).unwrap();
    sh("git add -A && git -c user.name=K -c user.email=k@x commit -qm more && git push -q origin main");
    let (forge, _directory) = forge(&server, PASSWORD);
    let mirror = fetched(&forge, "user/x").await;
    let head = mirror.resolve("main").await.unwrap().unwrap();
    let bytes = mirror.archive(&head, "./app/", 100_000).await.unwrap();
    assert_eq!(bytes, mirror.archive(&head, "app", 100_000).await.unwrap());
    let mut archive = tar::Archive::new(&bytes[..]);
    let mut found = Vec::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().display().to_string();
        let link = entry.link_name().unwrap().map(|link| link.display().to_string());
        let mut text = String::new();
        entry.read_to_string(&mut text).unwrap();
        assert_eq!(entry.header().mtime().unwrap(), 0);
        found.push(format!("{path} {:o} {}", entry.header().mode().unwrap(), link.unwrap_or(text)));
    }
    assert_eq!(found, ["Dockerfile 644 FROM scratch\n", "link 777 z/b", "run 755 #!/bin/sh\n", "z/ 755 ", "z/b 644 b"]);
    assert!(matches!(mirror.archive(&head, "app", 2_000).await, Err(Error::TooLarge { .. })));
    assert!(matches!(mirror.archive(&head, "nowhere", 2_000).await, Err(Error::Missing { .. })));
}

#[tokio::test]
async fn what_a_push_brought_is_told_commit_by_commit() {
    let server = GitServer::start().await;
    server.create("user/x", &[("a", "1")]);
    let first = server.git("user/x", &["rev-parse", "main"]);
    server.commit("user/x", "main", &[("a", "2")], "second");
    let third = server.commit("user/x", "main", &[("a", "3")], "third\n\nBespin-Run: a/b/c/1");
    let next = server.commit("user/x", "next", &[("b", "1")], "next");
    let (forge, _directory) = forge(&server, PASSWORD);
    let mirror = fetched(&forge, "user/x").await;
    let brought = async |before: &str, after: &str, limit: usize| {
        let all = mirror.brought(before, after, limit).await.unwrap();
        all.map(|all| {
            all.iter().map(|message| message.lines().next().unwrap_or_default().to_owned()).collect::<Vec<_>>()
        })
    };
    assert_eq!(brought(&first, &third, 2).await.unwrap(), ["third", "second"]);
    assert_eq!(brought(&first, &third, 1).await, None, "more than are read");
    assert_eq!(brought(&third, &first, 9).await.unwrap(), [""; 0], "it was set back");
    assert_eq!(brought(NOTHING, &next, 9).await.unwrap(), ["next"], "of a new branch, what the default branch has not");
    assert_eq!(brought(NOTHING, &third, 9).await.unwrap(), [""; 0]);
    assert!(matches!(mirror.brought(&first, &"a".repeat(40), 9).await, Err(Error::Missing { .. })));
}

#[tokio::test]
async fn where_references_stand_is_told_as_the_remote_has_it() {
    let server = GitServer::start().await;
    server.create("user/x", &[("a", "1")]);
    let head = server.git("user/x", &["rev-parse", "main"]);
    server.git("user/x", &["-c", "user.name=K", "-c", "user.email=k@x", "tag", "-a", "v1", "-m", "one", &head]);
    server.git("user/x", &["branch", "old", "main"]);
    propose(&server, 7, &[("was/b", "2")]);
    let tag = server.git("user/x", &["rev-parse", "refs/tags/v1"]);
    let (forge, _directory) = forge(&server, PASSWORD);
    let mirror = fetched(&forge, "user/x").await;
    let told = async || mirror.references().await.unwrap().into_iter().collect::<Vec<_>>();
    let of = |name: &str, id: &str| (name.to_owned(), id.to_owned());
    let expected = [of("refs/heads/main", &head), of("refs/heads/old", &head), of("refs/tags/v1", &tag)];
    assert_eq!(told().await, expected, "an annotated tag stands at its own id, and a pull request is neither");
    server.git("user/x", &["branch", "-D", "old"]);
    mirror.fetch(now()).await.unwrap();
    assert_eq!(told().await, [expected[0].clone(), expected[2].clone()]);
}

#[tokio::test]
async fn where_a_pull_request_stands_is_asked_anew() {
    let server = GitServer::start().await;
    server.create("user/x", &[("was/a", "1")]);
    let (forge, _directory) = forge(&server, PASSWORD);
    let mirror = fetched(&forge, "user/x").await;
    let base = mirror.resolve("main").await.unwrap().unwrap();
    let first = propose(&server, 7, &[("was/b", "1")]);
    fetch_head(&mirror, &first, &[]).await.unwrap().unwrap();
    let second = propose(&server, 7, &[("was/b", "2")]);
    let tip = async |number| mirror.heads().await.tip(number, &base, HeadLimits::default()).await.unwrap();
    assert_eq!(tip(7).await.as_ref(), Some(&second.sha));
    assert!(is_here(&mirror, &first).await, "a head that is here stays");
    server.git("user/x", &["update-ref", "refs/pull/7/head", &first.sha]);
    assert_eq!(tip(7).await.as_ref(), Some(&first.sha), "it is back");
    assert_eq!(tip(8).await, None);
}
