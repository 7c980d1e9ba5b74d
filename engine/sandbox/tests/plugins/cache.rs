//! Compiled plugins on disk: trusted when this installation wrote them, and never else.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use pipeline::permission::Permissions;
use sandbox::{Abilities, Sandbox, Settings};

use crate::world::{World, component, limits, outputs};

fn open(dir: &Path) -> Sandbox {
    Sandbox::open(dir, Settings::default()).unwrap()
}

fn entries(dir: &Path) -> Vec<PathBuf> {
    let paths = fs::read_dir(dir).unwrap().map(|entry| entry.unwrap().path());
    let mut entries: Vec<PathBuf> = paths.filter(|path| path.extension().is_some_and(|e| e == "cwasm")).collect();
    entries.sort();
    entries
}

/// Loads `sync` in a sandbox of its own and runs it.
async fn works(dir: &Path) {
    let sandbox = open(dir);
    let plugin = sandbox.load_file("sync", &component("sync")).await.unwrap();
    let world = Arc::new(World::petclinic()) as Arc<dyn Abilities>;
    let verdict = sandbox.run(&plugin, r#"{"application":"a"}"#, &grants(), &limits(), world).await;
    assert_eq!(outputs(verdict)["revision"], "head");
}

fn grants() -> Permissions {
    crate::world::grants(&[("cluster", "*/*/*")])
}

#[tokio::test]
async fn an_entry_survives_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    works(dir.path()).await;
    let [entry] = &entries(dir.path())[..] else { panic!("one entry") };
    let before = fs::read(entry).unwrap();
    let inode = std::os::unix::fs::MetadataExt::ino(&fs::metadata(entry).unwrap());
    works(dir.path()).await;
    assert_eq!(fs::read(entry).unwrap(), before);
    assert_eq!(std::os::unix::fs::MetadataExt::ino(&fs::metadata(entry).unwrap()), inode, "it was written anew");
}

#[tokio::test]
async fn the_directory_and_the_key_are_private() {
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o777)).unwrap();
    works(dir.path()).await;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(dir.path()), 0o700);
    assert_eq!(mode(&dir.path().join("key")), 0o600);
    assert_eq!(mode(&entries(dir.path())[0]), 0o600);
}

#[tokio::test]
async fn a_damaged_entry_is_compiled_anew() {
    let dir = tempfile::tempdir().unwrap();
    works(dir.path()).await;
    let entry = entries(dir.path()).remove(0);
    let good = fs::read(&entry).unwrap();
    let mut flipped = good.clone();
    flipped[good.len() / 2] ^= 1;
    for bad in [&flipped[..], &good[..good.len() - 1], &good[..10], &[][..]] {
        fs::write(&entry, bad).unwrap();
        works(dir.path()).await;
        assert_eq!(fs::read(&entry).unwrap().len(), good.len(), "it was not repaired");
    }
}

#[tokio::test]
async fn an_entry_under_another_name_is_foreign() {
    let dir = tempfile::tempdir().unwrap();
    works(dir.path()).await;
    let sync = entries(dir.path()).remove(0);
    let push = open(dir.path()).load_file("push", &component("push")).await.unwrap();
    let push = dir.path().join(
        sync.file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .replace(sync.file_name().unwrap().to_str().unwrap().split('-').next().unwrap(), push.digest()),
    );
    let other = fs::read(&push).unwrap();
    fs::write(&sync, &other).unwrap();
    works(dir.path()).await;
    assert_ne!(fs::read(&sync).unwrap(), other);
}

#[tokio::test]
async fn an_entry_of_another_key_is_foreign() {
    let (ours, theirs) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    works(ours.path()).await;
    works(theirs.path()).await;
    let (our_entry, their_entry) = (entries(ours.path()).remove(0), entries(theirs.path()).remove(0));
    assert_eq!(our_entry.file_name(), their_entry.file_name());
    let foreign = fs::read(&their_entry).unwrap();
    fs::write(&our_entry, &foreign).unwrap();
    works(ours.path()).await;
    assert_ne!(fs::read(&our_entry).unwrap(), foreign);
}

#[tokio::test]
async fn a_key_that_others_could_read_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    works(dir.path()).await;
    let key = dir.path().join("key");
    let before = fs::read(&key).unwrap();
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    works(dir.path()).await;
    assert_ne!(fs::read(&key).unwrap(), before);
}

#[tokio::test]
async fn the_cache_is_bounded_and_keeps_the_newest() {
    let dir = tempfile::tempdir().unwrap();
    let sandbox = Sandbox::open(dir.path(), Settings { cache_bytes: 1, ..Settings::default() }).unwrap();
    let sync = sandbox.load_file("sync", &component("sync")).await.unwrap();
    let push = sandbox.load_file("push", &component("push")).await.unwrap();
    let left = entries(dir.path());
    assert_eq!(left.len(), 1, "{left:?}");
    assert!(left[0].to_str().unwrap().contains(push.digest()) && !left[0].to_str().unwrap().contains(sync.digest()));
}
