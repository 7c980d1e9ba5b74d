//! A byte that the disk gives back otherwise is never silent: the start is refused and names the last good entry, or
//! everything reads back equal.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]

use decide::by::By;
use journal::{Entry, Journal, NewEntry, StreamInfo, inspect, open, salvage};
use serde_json::json;
use std::path::{Path, PathBuf};

/// Cheap numbers that are the same in every run of a seed.
struct Luck(u64);

impl Luck {
    fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (self.0 >> 33) % n.max(1)
    }
}

/// A folder in memory, where it can be: no disk is tried here.
fn memory() -> tempfile::TempDir {
    tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap()
}

fn number(variable: &str, otherwise: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(otherwise)
}

/// All that a journal says.
#[derive(Debug, PartialEq)]
struct Content {
    tail: Vec<Entry>,
    streams: Vec<StreamInfo>,
    newest: u64,
}

impl Content {
    async fn of(journal: &Journal) -> Content {
        let tail = journal.tail(0, usize::MAX).await.unwrap();
        let streams = journal.streams("").await.unwrap();
        for stream in &streams {
            let read = journal.read(&stream.name).await.unwrap();
            assert!(read.iter().eq(tail.iter().filter(|entry| entry.stream == stream.name)), "{}", stream.name);
            let current = journal.read_current(&stream.name).await.unwrap();
            assert!(current.iter().map(|entry| entry.index).eq(stream.base..stream.len), "{}", stream.name);
        }
        Content { tail, streams, newest: *journal.newest().borrow() }
    }
}

/// A store of every kind: long values, removed streams, summaries, several openings.
async fn filled(dir: &Path) -> Content {
    let entry = |n: u64, size: usize| {
        let body = json!({ "n": n, "padding": "x".repeat(size) });
        NewEntry { at_ms: 1_795_000_000_000 + n, by: By::Server, kind: "counted".into(), body }
    };
    for round in 0..4_u64 {
        let journal = open(dir).unwrap();
        for n in 0..60 {
            let size = if n % 29 == 7 { 30_000 } else { (n as usize * 37) % 900 };
            journal.append(&format!("run/{round}/{}", n / 10), n % 10, vec![entry(n, size)]).await.unwrap();
            let at = round * 60 + n;
            match at % 25 {
                24 => journal.summarize("app/a", at, entry(at, 50), vec![3, at - 2]).await.unwrap(),
                _ => journal.append("app/a", at, vec![entry(at, 50)]).await.unwrap(),
            };
        }
        journal::prune(&*journal, "run/", 12, |_| true).await.unwrap();
    }
    Content::of(&open(dir).unwrap()).await
}

fn files(dir: &Path) -> Vec<(PathBuf, u64)> {
    let items = std::fs::read_dir(dir).unwrap().map(|item| item.unwrap());
    let mut files: Vec<_> = items.filter(|item| item.file_type().unwrap().is_file()).collect();
    files.sort_by_key(|item| item.file_name());
    files.into_iter().map(|item| (PathBuf::from(item.file_name()), item.metadata().unwrap().len())).collect()
}

fn contents(dir: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let names = files(dir).into_iter();
    names.map(|(name, _)| (name.clone(), std::fs::read(dir.join(name)).unwrap())).collect()
}

/// One byte of one file, and what is done to it.
#[derive(Debug)]
struct Flip {
    file: PathBuf,
    at: u64,
    bits: u8,
}

impl Flip {
    fn any(files: &[(PathBuf, u64)], luck: &mut Luck) -> Flip {
        // Half of them anywhere, half in each file as often.
        let all: u64 = files.iter().map(|(_, len)| len).sum();
        let mut at = luck.below(all);
        let chosen = &files[luck.below(files.len() as u64) as usize];
        let (mut file, mut len) = (&chosen.0, chosen.1);
        if luck.below(2) == 0 {
            for (name, bytes) in files {
                (file, len) = (name, *bytes);
                if at < len {
                    break;
                }
                at -= len;
            }
        }
        // What is written lies at the beginning more often than not.
        let at = if luck.below(2) == 0 { luck.below(len) } else { luck.below(len.min(70_000)) };
        Flip { file: file.clone(), at, bits: 1 << luck.below(8) }
    }

    /// A copy of the store with this byte flipped.
    fn copy(&self, store: &Path, files: &[(PathBuf, u64)]) -> tempfile::TempDir {
        let copy = memory();
        std::fs::create_dir(copy.path().join("blobs")).unwrap();
        for (name, _) in files {
            std::fs::copy(store.join(name), copy.path().join(name)).unwrap();
        }
        let path = copy.path().join(&self.file);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[self.at as usize] ^= self.bits;
        std::fs::write(path, bytes).unwrap();
        copy
    }
}

/// The panics of sled are caught and told; nobody needs to read them.
fn without_sleds_panics() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        if !panic.location().is_some_and(|place| place.file().contains("sled-")) {
            usual(panic);
        }
    }));
}

#[tokio::test]
async fn flipped_bytes() {
    without_sleds_panics();
    // More or others by hand: `FLIPS=1000 SEED=7 cargo test -p journal --test flipped_bytes`.
    let (flips, seed) = (number("FLIPS", 100), number("SEED", 1));
    println!("seed {seed}");
    let (dir, mut luck) = (memory(), Luck(seed));
    let sound = filled(dir.path()).await;
    let files = files(dir.path());
    assert!(files.len() >= 4, "{files:?}");
    let (mut equal, mut refused) = (0, 0);
    for n in 0..flips {
        let flip = Flip::any(&files, &mut luck);
        let copy = flip.copy(dir.path(), &files);
        let before = contents(copy.path());
        match open(copy.path()) {
            Ok(journal) => {
                assert!(Content::of(&journal).await == sound, "silent: flip {n}, {flip:?}");
                equal += 1;
            }
            Err(error) => {
                let named = sound.tail.iter().find(|entry| {
                    let Entry { stream, index, seq, .. } = entry;
                    error
                        .0
                        .contains(&format!("the last good entry is entry {index} of {stream} (sequence {seq}, 2026-"))
                });
                assert!(named.is_some(), "no good entry is named: flip {n}, {flip:?}: {error}");
                assert!(contents(copy.path()) == before, "a start that is refused leaves the files: {n}, {flip:?}");
                refused += 1;
                if refused % 8 == 1 {
                    salvaged(&flip.copy(dir.path(), &files), &sound).await;
                }
            }
        }
    }
    println!("{flips} flips: {refused} refused, {equal} harmless");
    assert!(refused > flips / 20 && equal > 0, "{refused} were refused, and {equal} did no harm");
}

/// Everything up to the last good entry is carried elsewhere, and the damaged folder stays as it is.
async fn salvaged(damaged: &tempfile::TempDir, sound: &Content) {
    let before = contents(damaged.path());
    let found = inspect(damaged.path()).unwrap();
    let into = memory();
    let target = into.path().join("journal");
    assert_eq!(salvage(damaged.path(), &target).unwrap(), found);
    assert!(contents(damaged.path()) == before, "nothing is changed in a damaged folder");
    assert!(found.damage.is_some());
    let last = found.last_good.map_or(0, |last| last.seq);
    let good = |entry: &&Entry| entry.seq <= last && !found.without_summary.contains(&entry.stream);
    let good: Vec<_> = sound.tail.iter().filter(good).cloned().collect();
    let journal = open(&target).unwrap();
    let restored = Content::of(&journal).await;
    assert_eq!((restored.tail.len() as u64, restored.streams.len() as u64), (found.entries, found.streams));
    assert!(restored.tail == good, "{} entries are restored of {}", restored.tail.len(), good.len());
    assert_eq!(found.lost, Some(sound.tail.len() as u64 - found.entries));
    let entry = NewEntry { at_ms: 0, by: By::Server, kind: "counted".into(), body: json!(null) };
    assert_eq!(journal.append("run/new", 0, vec![entry]).await.unwrap(), found.up_to + 1, "no sequence is given twice");
    assert!(found.up_to >= last && restored.newest == found.up_to);
}
