//! Mirrors over time: references that get in each other's way, files that are damaged, packs that become many.

mod git_server;

use forge::{Credentials, Error, Forge, Limits, Mirror, NewCommit, Pushed, Remote, Settings};
use git_server::{GitServer, PASSWORD, USER};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

const LIMITS: Limits = Limits { files: 1_000, file_bytes: 100_000, bytes: 10_000_000 };

/// An adapter over a directory, as a process that starts has one.
fn forge(server: &GitServer, directory: &Path) -> Arc<Forge> {
    let credentials = Credentials::Basic { username: USER.into(), password: PASSWORD.into() };
    let remotes = vec![Remote { url: server.url.clone(), credentials, plain_http: Default::default() }];
    let settings = Settings { base: Some(server.url.clone()), remotes, ..Settings::default() };
    Forge::new(settings, directory).unwrap()
}

async fn fetched(server: &GitServer, directory: &Path) -> Arc<Mirror> {
    let mirror = forge(server, directory).repository("user/x").unwrap();
    mirror.fetch(Instant::now()).await.unwrap();
    mirror
}

/// The mirror's directory, which is the only one in a directory of mirrors but for what was set aside.
fn folder(directory: &Path) -> PathBuf {
    let folders = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    folders.filter(|path| path.extension().is_none()).last().unwrap()
}

fn aside(directory: &Path) -> usize {
    let folders = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    folders.filter(|path| path.extension().is_some()).count()
}

fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.filter(|path| path.extension().is_some_and(|of| of == ending)).collect()
}

/// References that git itself would not make, as a server of another make may have them.
fn strange(server: &GitServer, names: &[&[u8]]) {
    let head = server.git("user/x", &["rev-parse", "main"]);
    let mut packed = b"# pack-refs with: peeled fully-peeled sorted \n".to_vec();
    for name in names {
        packed.extend_from_slice(format!("{head} ").as_bytes());
        packed.extend_from_slice(name);
        packed.push(b'\n');
    }
    std::fs::write(server.bare("user/x").join("packed-refs"), packed).unwrap();
}

#[tokio::test]
async fn a_branch_may_take_the_place_of_a_directory_and_the_other_way() {
    let server = GitServer::start().await;
    server.create("user/x", &[("f", "1")]);
    let directory = tempfile::tempdir().unwrap();
    let head = server.git("user/x", &["rev-parse", "main"]);
    server.git("user/x", &["branch", "a", &head]);
    server.git("user/x", &["branch", "b/1", &head]);
    server.git("user/x", &["branch", "b/2/3", &head]);
    server.git("user/x", &["tag", "t", &head]);
    let mirror = fetched(&server, directory.path()).await;
    for gone in ["heads/a", "heads/b/1", "heads/b/2/3", "tags/t"] {
        server.git("user/x", &["update-ref", "-d", &format!("refs/{gone}")]);
    }
    let next = server.commit("user/x", "main", &[("f", "2")], "second");
    for new in ["heads/a/1", "heads/b", "tags/t/1", "tags/b"] {
        server.git("user/x", &["update-ref", &format!("refs/{new}"), &next]);
    }
    mirror.fetch(Instant::now()).await.unwrap();
    for new in ["main", "refs/heads/a/1", "refs/heads/b", "refs/tags/t/1", "refs/tags/b"] {
        assert_eq!(mirror.resolve(new).await.unwrap().as_ref(), Some(&next), "{new}");
    }
    for gone in ["a", "b/1", "b/2/3", "t"] {
        assert_eq!(mirror.resolve(gone).await.unwrap(), None, "{gone}");
    }
    assert_eq!(aside(directory.path()), 0);
}

#[tokio::test]
async fn a_reference_that_cannot_be_taken_keeps_no_other_back() {
    let server = GitServer::start().await;
    server.create("user/x", &[("f", "1")]);
    let directory = tempfile::tempdir().unwrap();
    let forge = forge(&server, directory.path());
    let mirror = forge.repository("user/x").unwrap();
    mirror.fetch(Instant::now()).await.unwrap();
    let names: [&[u8]; 6] = [
        b"refs/heads/HEAD",
        b"refs/heads/Main",
        b"refs/heads/a",
        b"refs/heads/a/1",
        b"refs/heads/caf\xe9",
        b"refs/heads/z",
    ];
    strange(&server, &names);
    server.git("user/x", &["update-ref", "-d", "refs/heads/gone"]);
    let mut changes = forge.notices().changed();
    changes.mark_unchanged();
    mirror.fetch(Instant::now()).await.unwrap();
    let head = server.git("user/x", &["rev-parse", "main"]);
    for name in ["HEAD", "refs/heads/HEAD", "Main", "a", "z"] {
        assert_eq!(mirror.resolve(name).await.unwrap().as_ref(), Some(&head), "{name}");
    }
    let Err(Error::Unfetched { reference, because, .. }) = mirror.resolve("a/1").await else {
        panic!("it is in the way")
    };
    assert_eq!(reference, "refs/heads/a/1");
    assert_eq!(mirror.unfetched("refs/heads/a/1"), Some(because.clone()));
    assert_eq!(mirror.unfetched("refs/heads/z"), None);
    assert!(mirror.unfetched("refs/heads/x.lock").is_some_and(|because| because.contains("does not allow")));
    assert!(changes.has_changed().unwrap());
    let told = forge.notices().all();
    let [one] = told[mirror.address().as_str()].as_slice() else { panic!("{told:?}") };
    assert!(one.contains("`refs/heads/a/1`") && one.contains(&because), "{one}");
    // Somebody mends it there.
    strange(&server, &[b"refs/heads/a/1", b"refs/heads/caf\xe9"]);
    mirror.fetch(Instant::now()).await.unwrap();
    assert_eq!(mirror.resolve("a/1").await.unwrap(), Some(head));
    assert_eq!(mirror.resolve("a").await.unwrap(), None);
    assert!(forge.notices().all().is_empty());
}

#[tokio::test]
async fn a_default_branch_is_renamed_and_tags_move_and_a_repository_is_empty() {
    let server = GitServer::start().await;
    server.create("user/x", &[("f", "1")]);
    let directory = tempfile::tempdir().unwrap();
    let first = server.git("user/x", &["rev-parse", "main"]);
    server.git("user/x", &["tag", "v1", &first]);
    let mirror = fetched(&server, directory.path()).await;
    let second = server.commit("user/x", "main", &[("f", "2")], "second");
    server.git("user/x", &["tag", "-f", "v1", &second]);
    server.git("user/x", &["branch", "-m", "main", "trunk"]);
    server.git("user/x", &["symbolic-ref", "HEAD", "refs/heads/trunk"]);
    server.git("user/x", &["symbolic-ref", "refs/heads/alias", "refs/heads/trunk"]);
    mirror.fetch(Instant::now()).await.unwrap();
    assert_eq!(mirror.default_branch().await.unwrap().as_deref(), Some("trunk"));
    for name in ["HEAD", "trunk", "alias", "v1"] {
        assert_eq!(mirror.resolve(name).await.unwrap().as_ref(), Some(&second), "{name}");
    }
    assert_eq!(mirror.resolve("main").await.unwrap(), None);
    for name in ["heads/alias", "heads/trunk", "tags/v1"] {
        server.git("user/x", &["update-ref", "--no-deref", "-d", &format!("refs/{name}")]);
    }
    mirror.fetch(Instant::now()).await.unwrap();
    for name in ["HEAD", "trunk", "alias", "v1"] {
        assert_eq!(mirror.resolve(name).await.unwrap(), None, "{name}");
    }
    assert_eq!(mirror.commit(&second).await.unwrap().map(|commit| commit.sha), Some(second), "nothing else is lost");
}

#[tokio::test]
async fn locks_of_a_process_that_died_are_in_nobodys_way() {
    let server = GitServer::start().await;
    server.create("user/x", &[("f", "1")]);
    let directory = tempfile::tempdir().unwrap();
    drop(fetched(&server, directory.path()).await);
    let folder = folder(directory.path());
    let next = server.commit("user/x", "main", &[("f", "2")], "second");
    server.git("user/x", &["branch", "deep/er", &next]);
    std::fs::create_dir_all(folder.join("refs/heads/deep")).unwrap();
    let left = [
        "HEAD.lock",
        "config.lock",
        "packed-refs.lock",
        "shallow.lock",
        "refs/heads/main.lock",
        "refs/heads/deep/er.lock",
        "objects/pack/tmp_pack_1",
        "objects/tmp_object_1",
    ];
    for file in left {
        std::fs::write(folder.join(file), "").unwrap();
    }
    let mirror = fetched(&server, directory.path()).await;
    for name in ["HEAD", "main", "deep/er"] {
        assert_eq!(mirror.resolve(name).await.unwrap().as_ref(), Some(&next), "{name}");
    }
    for file in left {
        assert!(!folder.join(file).exists(), "{file}");
    }
    // Nor is one that comes while the process lives: nobody else takes locks there.
    let third = server.commit("user/x", "main", &[("f", "3")], "third");
    server.git("user/x", &["symbolic-ref", "HEAD", "refs/heads/deep/er"]);
    std::fs::write(folder.join("refs/heads/main.lock"), "").unwrap();
    std::fs::write(folder.join("HEAD.lock"), "").unwrap();
    mirror.fetch(Instant::now()).await.unwrap();
    assert_eq!(mirror.resolve("main").await.unwrap(), Some(third));
    assert_eq!(mirror.resolve("HEAD").await.unwrap(), Some(next));
    assert_eq!(mirror.unfetched("refs/heads/main"), None);
    assert_eq!(aside(directory.path()), 0);
}

fn cut(file: &Path, to: usize) {
    let bytes = std::fs::read(file).unwrap();
    replace(file, &bytes[..to.min(bytes.len())]);
}

fn flip(file: &Path, at: usize) {
    let mut bytes = std::fs::read(file).unwrap();
    bytes[at] ^= 0x55;
    replace(file, &bytes);
}

/// Packs are written once and may not be written to.
fn replace(file: &Path, bytes: &[u8]) {
    std::fs::remove_file(file).unwrap();
    std::fs::write(file, bytes).unwrap();
}

/// One way in which a mirror's files come to harm.
type Harm = fn(&Path);

const HARMS: [(&str, Harm); 12] = [
    ("an empty HEAD", |folder| cut(&folder.join("HEAD"), 0)),
    ("no HEAD", |folder| std::fs::remove_file(folder.join("HEAD")).unwrap()),
    ("a HEAD of noise", |folder| std::fs::write(folder.join("HEAD"), [0; 41]).unwrap()),
    ("an empty reference", |folder| cut(&folder.join("refs/heads/main"), 0)),
    ("a reference to nothing", |folder| std::fs::write(folder.join("refs/heads/main"), "1".repeat(40)).unwrap()),
    ("a configuration of noise", |folder| std::fs::write(folder.join("config"), "[[[").unwrap()),
    ("no objects", |folder| std::fs::remove_dir_all(folder.join("objects")).unwrap()),
    ("packed references of noise", |folder| std::fs::write(folder.join("packed-refs"), "noise\n").unwrap()),
    ("a pack that is cut", |folder| files(&folder.join("objects/pack"), "pack").iter().for_each(|file| cut(file, 60))),
    ("no pack", |folder| {
        files(&folder.join("objects/pack"), "pack").iter().for_each(|file| std::fs::remove_file(file).unwrap());
    }),
    ("an index that is cut", |folder| {
        files(&folder.join("objects/pack"), "idx").iter().for_each(|file| cut(file, 1_100));
    }),
    ("a pack with another bit", |folder| {
        files(&folder.join("objects/pack"), "pack").iter().for_each(|file| flip(file, 40));
    }),
];

#[tokio::test]
async fn what_is_damaged_is_set_aside_and_cloned_again() {
    let server = GitServer::start().await;
    server.create("user/x", &[("f", "1"), ("d/e", "text that a pack makes smaller ".repeat(20).as_str())]);
    for (harm, damage) in HARMS {
        let directory = tempfile::tempdir().unwrap();
        drop(fetched(&server, directory.path()).await);
        let next = server.commit("user/x", "main", &[("f", harm)], "next");
        damage(&folder(directory.path()));
        let forge = forge(&server, directory.path());
        let mirror = forge.repository("user/x").unwrap();
        mirror.fetch(Instant::now()).await.unwrap_or_else(|error| panic!("{harm}: {error}"));
        assert_eq!(mirror.resolve("HEAD").await.unwrap().as_ref(), Some(&next), "{harm}");
        let read = mirror.files(&next, "", &[], LIMITS).await.unwrap_or_else(|error| panic!("{harm}: {error}"));
        assert_eq!(read.len(), 2, "{harm}");
        assert_eq!(mirror.trailered(&next, 100).await.unwrap_or_else(|error| panic!("{harm}: {error}")).len(), 0);
        assert_eq!(aside(directory.path()), 1, "{harm}: what is damaged is kept once");
        let told = forge.notices().all();
        assert!(told[mirror.address().as_str()].iter().any(|text| text.contains("was damaged")), "{harm}: {told:?}");
    }
}

#[tokio::test]
async fn damage_that_a_reader_finds_is_mended_without_a_fetch() {
    let server = GitServer::start().await;
    server.create("user/x", &[("f", "1"), ("d/e", "2")]);
    let directory = tempfile::tempdir().unwrap();
    let mirror = fetched(&server, directory.path()).await;
    let head = mirror.resolve("HEAD").await.unwrap().unwrap();
    let pushed = |parent: &str, text: &str| NewCommit {
        branch: "main".into(),
        parent: parent.into(),
        files: vec![("f".into(), text.into())],
        message: "m\n\nBespin-Run: a/b/c/1\n".into(),
    };
    let Pushed::Landed { sha } = mirror.push(pushed(&head, "loose")).await.unwrap() else { panic!("it lands") };
    let folder = folder(directory.path());
    let loose = |sha: &str| {
        let blob = server.git("user/x", &["rev-parse", &format!("{sha}:f")]);
        folder.join("objects").join(&blob[..2]).join(&blob[2..])
    };
    std::fs::remove_file(loose(&sha)).unwrap();
    assert_eq!(mirror.file(&sha, "f", 100).await.unwrap().unwrap(), b"loose");
    assert_eq!(aside(directory.path()), 1);
    assert_eq!(mirror.trailered(&sha, 10).await.unwrap().len(), 1);
    // One that a crash cut short, which libgit2 would never come to the end of.
    let Pushed::Landed { sha } = mirror.push(pushed(&sha, "cut short")).await.unwrap() else { panic!("it lands") };
    cut(&loose(&sha), 3);
    let again = forge(&server, directory.path()).repository("user/x").unwrap();
    assert_eq!(again.file(&sha, "f", 100).await.unwrap().unwrap(), b"cut short");
    assert_eq!(aside(directory.path()), 1, "one copy is kept");
}

#[tokio::test]
async fn a_mirror_is_not_thrown_away_for_what_may_pass() {
    let server = GitServer::start().await;
    server.create("user/x", &[("f", "1")]);
    let directory = tempfile::tempdir().unwrap();
    let head = fetched(&server, directory.path()).await.resolve("HEAD").await.unwrap().unwrap();
    let read = async |mirror: &Mirror| mirror.file(&head, "f", 10).await.unwrap().unwrap();
    // Nobody is there, and the password is wrong.
    let hidden = server.bare("user/x").with_extension("hidden");
    std::fs::rename(server.bare("user/x"), &hidden).unwrap();
    let mirror = forge(&server, directory.path()).repository("user/x").unwrap();
    mirror.fetch(Instant::now()).await.unwrap_err();
    assert_eq!(read(&mirror).await, b"1");
    // What is damaged stays as well, until there is something to put in its place.
    let folder = folder(directory.path());
    cut(&folder.join("refs/heads/main"), 0);
    mirror.fetch(Instant::now()).await.unwrap_err();
    mirror.resolve("main").await.unwrap_err();
    assert_eq!(read(&mirror).await, b"1", "what is sound can be read");
    assert_eq!(std::fs::read(folder.join("refs/heads/main")).unwrap(), b"");
    std::fs::rename(&hidden, server.bare("user/x")).unwrap();
    mirror.fetch(Instant::now()).await.unwrap();
    assert_eq!(mirror.resolve("main").await.unwrap(), Some(head.clone()));
    // The wrong kind of answer from the other side tells nothing of the mirror.
    let wrong = server.bare("user/x").join("config");
    std::fs::write(&wrong, "[[[").unwrap();
    mirror.fetch(Instant::now()).await.unwrap_err();
    assert_eq!(read(&mirror).await, b"1");
    server.refuse("user/x");
    assert_eq!(aside(directory.path()), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn packs_stay_few_and_readers_do_not_notice() {
    let server = GitServer::start().await;
    server.create("user/x", &[("f", "0"), ("g/h", "0")]);
    let directory = tempfile::tempdir().unwrap();
    let mirror = fetched(&server, directory.path()).await;
    let folder = folder(directory.path()).join("objects/pack");
    let (done, reading) = (Arc::new(std::sync::atomic::AtomicBool::new(false)), mirror.clone());
    let first = mirror.resolve("main").await.unwrap().unwrap();
    let readers = (0..2).map(|_| {
        let (done, mirror, first) = (done.clone(), reading.clone(), first.clone());
        tokio::spawn(async move {
            let mut reads = 0;
            while !done.load(std::sync::atomic::Ordering::Relaxed) {
                let head = mirror.resolve("main").await.unwrap().unwrap();
                assert_eq!(mirror.files(&head, "", &[], LIMITS).await.unwrap().len(), 2);
                assert!(!mirror.archive(&first, "g", 100_000).await.unwrap().is_empty());
                assert!(mirror.contains(&head, &first).await.unwrap());
                assert_eq!(mirror.trailered(&head, 1_000).await.unwrap().len(), 0);
                reads += 1;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            reads
        })
    });
    let readers: Vec<_> = readers.collect();
    let mut commits = vec![first];
    for n in 1..=30 {
        commits.push(server.commit("user/x", "main", &[("f", &n.to_string())], &format!("commit {n}")));
        mirror.fetch(Instant::now()).await.unwrap();
    }
    done.store(true, std::sync::atomic::Ordering::Relaxed);
    for reader in readers {
        assert!(reader.await.unwrap() > 0);
    }
    // Merging goes on beside the last fetch, and what retired goes with the one after it.
    let begun = Instant::now();
    while files(&folder, "pack").len() > 20 {
        assert!(begun.elapsed() < Duration::from_secs(60), "{} packs", files(&folder, "pack").len());
        mirror.fetch(Instant::now()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for (n, commit) in commits.iter().enumerate() {
        assert_eq!(mirror.file(commit, "f", 10).await.unwrap().unwrap(), n.to_string().as_bytes());
    }
    assert_eq!(aside(directory.path()), 0, "nothing looked damaged");
}
