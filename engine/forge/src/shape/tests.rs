//! Packs and loose objects of a repository that no remote has.

use super::*;
use crate::{Forge, Settings};
use git2::Signature;

/// A mirror with so many packs of a commit each, the packs' sizes growing, and a last commit in loose objects.
fn mirror(packs: u32) -> (Arc<crate::Mirror>, Vec<Oid>, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let forge = Forge::new(Settings::default(), directory.path()).unwrap();
    let mirror = forge.mirror("http://127.0.0.1:1/user/x").unwrap();
    let repository = mirror.core.open().unwrap();
    let mut all = Vec::new();
    for n in 0..=packs {
        let who = Signature::now("Kim", "kim@example.com").unwrap();
        let parents: Vec<_> = all.last().map(|id| repository.find_commit(*id).unwrap()).into_iter().collect();
        let blob = repository.blob(n.to_string().repeat(1 + n as usize).as_bytes()).unwrap();
        let mut tree = repository.treebuilder(None).unwrap();
        tree.insert("f", blob, 0o100_644).unwrap();
        let tree = repository.find_tree(tree.write().unwrap()).unwrap();
        let parents: Vec<_> = parents.iter().collect();
        all.push(repository.commit(Some("refs/heads/main"), &who, &who, "m", &tree, &parents).unwrap());
        if n < packs {
            let loose = loose(&mirror.core.directory).unwrap();
            mirror.core.write(&loose.iter().map(|(id, _)| *id).collect()).unwrap();
            loose.iter().for_each(|(_, file)| removed(file));
        }
    }
    drop(repository);
    (mirror, all, directory)
}

fn read(repository: &Repository, commits: &[Oid]) {
    for (n, commit) in commits.iter().enumerate() {
        let tree = repository.find_commit(*commit).unwrap().tree().unwrap();
        let blob = repository.find_blob(tree.get_name("f").unwrap().id()).unwrap();
        assert_eq!(blob.content(), n.to_string().repeat(1 + n).as_bytes());
    }
}

#[test]
fn many_packs_become_few_and_every_object_stays() {
    let (mirror, commits, _directory) = mirror(8);
    let core = &mirror.core;
    assert_eq!(Pack::all(&core.directory).unwrap().len(), 8);
    core.merge(8, 100).unwrap();
    assert_eq!(Pack::all(&core.directory).unwrap().len(), 8, "they are not many yet");
    assert_eq!(loose(&core.directory).unwrap().len(), 3);
    core.merge(7, 100).unwrap();
    assert!(Pack::all(&core.directory).unwrap().len() < 4);
    assert!(loose(&core.directory).unwrap().is_empty(), "they go along");
    read(&core.open().unwrap(), &commits);
    assert_eq!(core.damage().unwrap(), None);
}

#[test]
fn many_loose_objects_become_a_pack() {
    let (mirror, commits, _directory) = mirror(0);
    mirror.core.merge(20, 2).unwrap();
    assert_eq!(
        (Pack::all(&mirror.core.directory).unwrap().len(), loose(&mirror.core.directory).unwrap().len()),
        (1, 0)
    );
    read(&mirror.core.open().unwrap(), &commits);
}

#[test]
fn who_opened_the_mirror_before_reads_on() {
    let (mirror, commits, _directory) = mirror(6);
    let core = &mirror.core;
    // It has looked for nothing yet, so it has opened no pack.
    let reader = core.open().unwrap();
    core.merge(3, 100).unwrap();
    let (with_reader, later) = (Pack::all(&core.directory).unwrap().len(), core.open().unwrap());
    assert!(with_reader > 6, "what was merged stays for the reader");
    read(&reader, &commits);
    drop(reader);
    core.merge(20, 100).unwrap();
    assert!(Pack::all(&core.directory).unwrap().len() < with_reader);
    read(&later, &commits);
}

#[test]
fn what_is_large_is_not_written_again() {
    let pack = |bytes: u64| Pack { stem: format!("pack-{bytes}").into(), bytes };
    let merged = |sizes: &[u64]| {
        to_merge(sizes.iter().map(|bytes| pack(*bytes)).collect()).iter().map(|pack| pack.bytes).collect::<Vec<_>>()
    };
    assert_eq!(merged(&[1, 1_000, 2, 3]), [3, 2, 1], "3 is no more than 2 and 1 together");
    assert_eq!(merged(&[5, 5, 5]), [5, 5, 5]);
    let doubling: Vec<u64> = (0..30).map(|n| 1 << n).collect();
    assert_eq!(merged(&doubling).len(), 30 - MOST_LARGE);
}

#[test]
fn an_index_is_read_or_refused() {
    let (mirror, _commits, _directory) = mirror(1);
    let [pack] = Pack::all(&mirror.core.directory).unwrap().try_into().unwrap();
    let index = std::fs::read(pack.index()).unwrap();
    assert_eq!(ids(&index).unwrap().len(), 3);
    for to in 0..8 + 1_024 + 60 {
        assert_eq!(ids(&index[..to]), None, "{to}");
    }
}
