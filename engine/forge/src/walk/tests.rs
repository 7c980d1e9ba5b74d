//! Trees that nobody could walk to their end, and ordinary ones compared with git's own answer.

use crate::mirror::OpenMirror;
use crate::{Changed, Error, Forge, Limits, ListedKind, Mirror, Settings};
use git2::build::TreeUpdateBuilder;
use git2::{FileMode, ObjectType, Oid, Signature, TreeBuilder};
use std::process::Command;
use std::sync::Arc;

const LIMITS: Limits = Limits { files: 100, file_bytes: 10_000, bytes: 100_000 };

/// A mirror of nothing, into which tests write.
struct World {
    mirror: Arc<Mirror>,
    repository: OpenMirror,
    _directory: tempfile::TempDir,
}

impl World {
    fn new() -> World {
        let directory = tempfile::tempdir().unwrap();
        let forge = Forge::new(Settings::default(), directory.path()).unwrap();
        let mirror = forge.mirror("https://git.invalid/user/x.git").unwrap();
        let repository = mirror.core.open().unwrap();
        World { mirror, repository, _directory: directory }
    }

    fn blob(&self, text: &str) -> Oid {
        self.repository.blob(text.as_bytes()).unwrap()
    }

    fn tree(&self, fill: impl FnOnce(&mut TreeBuilder<'_>)) -> Oid {
        let mut builder = self.repository.treebuilder(None).unwrap();
        fill(&mut builder);
        builder.write().unwrap()
    }

    /// A tree as bytes, whatever is wrong with it.
    fn raw(&self, entries: &[(&str, &str, Oid)]) -> Oid {
        let bytes = entries
            .iter()
            .flat_map(|(mode, name, id)| [mode.as_bytes(), b" ", name.as_bytes(), b"\0", id.as_bytes()].concat());
        self.repository.odb().unwrap().write(ObjectType::Tree, &bytes.collect::<Vec<_>>()).unwrap()
    }

    /// A tree of files, each with its mode and text; a submodule's text is its commit.
    fn files(&self, files: &[(&str, FileMode, &str)]) -> Oid {
        let mut update = TreeUpdateBuilder::new();
        for &(path, mode, text) in files {
            let id = if mode == FileMode::Commit { Oid::from_str(text).unwrap() } else { self.blob(text) };
            update.upsert(path, id, mode);
        }
        let empty = self.repository.find_tree(self.tree(|_| {})).unwrap();
        update.create_updated(&self.repository, &empty).unwrap()
    }

    fn commit(&self, tree: Oid, parent: Option<&str>) -> String {
        let who = Signature::now("Kim", "kim@example.com").unwrap();
        let parent = parent.map(|id| self.repository.find_commit(Oid::from_str(id).unwrap()).unwrap());
        let parents: Vec<_> = parent.iter().collect();
        let tree = self.repository.find_tree(tree).unwrap();
        self.repository.commit(None, &who, &who, "x", &tree, &parents).unwrap().to_string()
    }

    /// Two commits, one upon the other, with these trees.
    fn commits(&self, old: Oid, new: Oid) -> (String, String) {
        let old = self.commit(old, None);
        let new = self.commit(new, Some(&old));
        (old, new)
    }

    /// As a push and as a pull request; both must say the same.
    async fn changed(&self, old: &str, new: &str) -> Changed {
        let pushed = self.mirror.changed("refs/heads/x", old, new).await.unwrap();
        assert_eq!(self.mirror.changed_since(old, new).await.unwrap(), pushed);
        pushed
    }
}

/// Ten trees, each of which names the one before ten times: 10 000 000 000 paths to one file.
fn bomb(world: &World) -> Oid {
    let blob = world.blob("x");
    let names = |builder: &mut TreeBuilder<'_>, id: Oid, mode: i32| {
        (0..10).for_each(|name| drop(builder.insert(name.to_string(), id, mode).unwrap()));
    };
    let leaves = world.tree(|builder| names(builder, blob, 0o100_644));
    (1..10).fold(leaves, |below, _| world.tree(|builder| names(builder, below, 0o040_000)))
}

fn refused<T: std::fmt::Debug>(answer: Result<T, Error>, limit: &str) {
    assert!(matches!(&answer, Err(Error::TooLarge { limit: told, .. }) if told.contains(limit)), "{answer:?}");
}

fn everything(changed: &Changed, limit: &str) {
    assert!(matches!(changed, Changed::Everything { because } if because.contains(limit)), "{changed:?}");
}

#[tokio::test]
async fn a_bomb_is_answered() {
    let world = World::new();
    let (honest, hostile) = world.commits(world.files(&[("a", FileMode::Blob, "a")]), bomb(&world));
    let (mirror, limit) = (&world.mirror, "files and directories");
    everything(&world.changed(&honest, &hostile).await, limit);
    everything(&mirror.changed("refs/heads/x", &hostile, &honest).await.unwrap(), limit);
    assert_eq!(world.changed(&hostile, &hostile).await, Changed::Paths(Vec::new()), "what is equal is not gone into");
    refused(mirror.files(&hostile, "", &[".yaml"], LIMITS).await, limit);
    refused(mirror.files(&hostile, "1/2/3", &[".yaml"], LIMITS).await, limit);
    refused(mirror.files(&hostile, "", &[], LIMITS).await, "100");
    refused(mirror.archive(&hostile, "", 16 << 20).await, "bytes");
    let path = "0/1/2/3/4/5/6/7/8/9";
    assert_eq!(mirror.file(&hostile, path, 10).await.unwrap().unwrap(), b"x");
    for (directory, kind) in [("", ListedKind::Directory), ("0/1/2/3/4/5/6/7/8", ListedKind::File)] {
        let listed = mirror.list(&hostile, directory).await.unwrap().unwrap();
        assert_eq!((listed.len(), listed[0].kind), (10, kind));
    }
}

/// A bomb that somebody changes in one place has many paths that differ; one beside it has few.
#[tokio::test]
async fn what_stands_beside_a_bomb_is_told_apart() {
    let world = World::new();
    let (bomb, blob) = (bomb(&world), world.blob("x"));
    let with = |name: &str| {
        world.tree(|builder| {
            drop(builder.insert("bomb", bomb, 0o040_000).unwrap());
            drop(builder.insert(name, blob, 0o100_644).unwrap());
        })
    };
    let (old, new) = world.commits(with("a"), with("c"));
    assert_eq!(world.changed(&old, &new).await, Changed::Paths(vec!["a".into(), "c".into()]));
}

#[tokio::test]
async fn a_directory_in_a_directory_without_end() {
    let world = World::new();
    let deepest = world.files(&[("a", FileMode::Blob, "a")]);
    let deep =
        (0..3_000).fold(deepest, |below, _| world.tree(|builder| drop(builder.insert("d", below, 0o040_000).unwrap())));
    let (old, new) = world.commits(deepest, deep);
    everything(&world.changed(&old, &new).await, "bytes in one path");
    refused(world.mirror.files(&new, "", &[], LIMITS).await, "bytes in one path");
    refused(world.mirror.archive(&new, "", 16 << 20).await, "bytes in one path");
}

/// Few entries differ, each in a directory of thousands that are the same.
#[tokio::test]
async fn many_large_directories() {
    let world = World::new();
    let blob = world.blob("x");
    let names: Vec<String> = (0..20_000).map(|number| format!("{number:020}")).collect();
    let mut entries: Vec<_> = names.iter().map(|name| ("100644", name.as_str(), blob)).collect();
    let old = world.raw(&entries);
    entries.push(("100644", "1", blob));
    let new = world.raw(&entries);
    let forty = |below: Oid| {
        world.tree(|builder| {
            (0..40).for_each(|name| drop(builder.insert(name.to_string(), below, 0o040_000).unwrap()));
        })
    };
    let (old, new) = world.commits(forty(old), forty(new));
    everything(&world.changed(&old, &new).await, "bytes of directories");
}

/// A file's name may hold a slash, if whoever writes the tree wants it; no change hides behind one.
#[tokio::test]
async fn trees_that_no_git_writes() {
    let world = World::new();
    let (a, b) = (world.blob("a"), world.blob("b"));
    let below = world.files(&[("secret", FileMode::Blob, "a")]);
    let paths = |paths: &[&str]| Changed::Paths(paths.iter().map(|path| (*path).to_owned()).collect());
    let (old, new) = world.commits(world.raw(&[("40000", "d", below)]), world.raw(&[("100644", "d/", a)]));
    assert_eq!(world.changed(&old, &new).await, paths(&["d/", "d/secret"]));
    // The same name twice, and names out of order.
    let old = world.raw(&[("100644", "a", a), ("100644", "c", a)]);
    let new = world.raw(&[("100644", "c", a), ("100644", "a", a), ("100644", "a", b)]);
    let (old, new) = world.commits(old, new);
    let changed = world.changed(&old, &new).await;
    assert!(matches!(&changed, Changed::Paths(paths) if paths.contains(&"a".to_owned())), "{changed:?}");
}

#[tokio::test]
async fn ordinary_changes_are_what_git_says() {
    use FileMode::{Blob, BlobExecutable, Commit, Link};
    let (one, two) = ("1111111111111111111111111111111111111111", "2222222222222222222222222222222222222222");
    type Files<'a> = &'a [(&'a str, FileMode, &'a str)];
    let cases: [(Files<'_>, Files<'_>); 12] = [
        (&[("a", Blob, "1")], &[("a", Blob, "1")]),
        (&[("a", Blob, "1")], &[("a", Blob, "1"), ("b/c/d", Blob, "2"), ("b/e", Blob, "3")]),
        (&[("a", Blob, "1"), ("b/c/d", Blob, "2")], &[("a", Blob, "1")]),
        (
            &[("a/x", Blob, "1"), ("a/y", Blob, "1"), ("b", Blob, "1")],
            &[("a/x", Blob, "2"), ("a/y", Blob, "1"), ("b", Blob, "3")],
        ),
        (&[("run", Blob, "1"), ("b", Blob, "1")], &[("run", BlobExecutable, "1"), ("b", Link, "1")]),
        // A rename is both names.
        (
            &[("old/name", Blob, "long enough to be found again\n")],
            &[("new/name", Blob, "long enough to be found again\n")],
        ),
        // A file becomes a directory, and the other way, among names that sort between the two.
        (
            &[("a", Blob, "1"), ("a-b", Blob, "1"), ("a.b", Blob, "1"), ("a0", Blob, "1")],
            &[("a-b", Blob, "1"), ("a.b", Blob, "2"), ("a/x", Blob, "1"), ("a0", Blob, "1")],
        ),
        (
            &[("a-b", Blob, "1"), ("a/x/y", Blob, "1"), ("a/z", Blob, "1"), ("a0", Blob, "1")],
            &[("a", Blob, "1"), ("a-b", Blob, "1"), ("a0", Blob, "2")],
        ),
        (&[("module", Commit, one), ("a", Blob, "1")], &[("module", Commit, two), ("a", Blob, "1")]),
        (&[("module", Commit, one)], &[("module/a", Blob, "1")]),
        (&[("é/ü b", Blob, "1"), ("é/z", Blob, "1")], &[("é/ü b", Blob, "2"), ("é/z", Blob, "1")]),
        (&[("a", Blob, "1")], &[]),
    ];
    let world = World::new();
    for (before, after) in cases {
        let (old, new) = world.commits(world.files(before), world.files(after));
        for (old, new) in [(&old, &new), (&new, &old)] {
            let changed = world.mirror.changed("refs/heads/x", old, new).await.unwrap();
            assert_eq!(changed, Changed::Paths(by_git(&world, old, new)), "{before:?} {after:?}");
        }
    }
}

fn by_git(world: &World, old: &str, new: &str) -> Vec<String> {
    let mut git = Command::new("git");
    git.arg("-C").arg(world.repository.path()).args([
        "-c",
        "safe.directory=*",
        "diff",
        "--name-only",
        "--no-renames",
        "-z",
    ]);
    git.args([old, new]).env("GIT_CONFIG_NOSYSTEM", "1").env("GIT_CONFIG_GLOBAL", "/dev/null");
    let output = git.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    let mut paths: Vec<_> = text.split_terminator('\0').map(str::to_owned).collect();
    paths.sort();
    paths
}
