//! What must hold before a store is used: its content fits its totals, and those are not older than the slots beside it.

use crate::disk::{Batch, Sealing, StoreFolder, Unopened};
use crate::seal::unseal;
use crate::slots::{FoundSlots, SLOTS, SlotsFile};
use crate::stored::{Durable, Meta, StreamHead, Totals, refuse_version};
use crate::{Error, keys};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::Path;

/// How many batches the store may be ahead of the slots that can be read: one that was cut off before its slot was
/// written, and one whose slot is damaged.
const AHEAD: u64 = 2;

/// A failure to read is taken for damage, unless something else is known.
impl From<Error> for Unopened {
    fn from(error: Error) -> Unopened {
        Unopened::Damaged(error.0)
    }
}

/// The store's own record.
enum StoreRecord {
    None,
    /// From before there were checksums.
    Plain(Meta),
    Sealed(Totals),
}

/// Opens or creates the store in `dir`, and answers what it holds. A store without checksums gets them.
pub(crate) fn open(dir: &Path) -> Result<(StoreFolder, Durable), Unopened> {
    let disk = StoreFolder::open(dir)?;
    match check(&disk, dir) {
        Ok(durable) => {
            disk.sweep()?;
            Ok((disk, durable))
        }
        Err(Unopened::Damaged(what)) => Err(Unopened::Damaged(disk.given_back(what))),
        Err(Unopened::Refused(Error(why))) => Err(Unopened::Refused(Error(disk.given_back(why)))),
    }
}

/// Looks at all that a store holds. Nothing is written into one that is found to be damaged.
pub(crate) fn check(disk: &StoreFolder, dir: &Path) -> Result<Durable, Unopened> {
    let beside = |error: std::io::Error| Unopened::Refused(Error(format!("{}: {error}", dir.join(SLOTS).display())));
    let slots = SlotsFile::find(dir).map_err(beside)?;
    let record = record(disk)?;
    match (record, slots) {
        (_, FoundSlots::Damaged) => Err(Unopened::Damaged(format!("neither slot of its file `{SLOTS}` can be read"))),
        (StoreRecord::Sealed(_), FoundSlots::None) => {
            Err(Unopened::Damaged(format!("its file `{SLOTS}`, which tells how far it goes, is missing")))
        }
        (StoreRecord::Sealed(totals), FoundSlots::Newest(mut slots, newest)) => {
            compare(&totals, &newest)?;
            let durable = audit(disk, Sealing::All, totals.meta)?.fits(Some(totals.digest))?;
            if newest != totals {
                slots.write(&totals).map_err(beside)?;
            }
            disk.is_sound()?;
            disk.begin(totals, slots);
            Ok(durable)
        }
        (StoreRecord::None | StoreRecord::Plain(_), FoundSlots::Newest(_, newest)) if newest.generation > 0 => {
            let Meta { entries, newest } = newest.meta;
            Err(Unopened::Damaged(format!(
                "it held {entries} entries up to sequence {newest}, and now has no record of any"
            )))
        }
        (StoreRecord::None, slots) => upgrade(disk, dir, Meta::default(), slots),
        (StoreRecord::Plain(meta), slots) => upgrade(disk, dir, meta, slots),
    }
}

fn record(disk: &StoreFolder) -> Result<StoreRecord, Unopened> {
    let Some(kept) = disk.record()? else { return Ok(StoreRecord::None) };
    let wrong = |why: &dyn std::fmt::Display| Unopened::Damaged(format!("the record of its totals: {why}"));
    if kept.first() == Some(&b'{') {
        return Ok(StoreRecord::Plain(serde_json::from_slice(&kept).map_err(|error| wrong(&error))?));
    }
    let (_, bytes) = unseal(keys::META, &kept).map_err(|error| wrong(&error))?;
    Ok(StoreRecord::Sealed(Totals::decode(bytes).ok_or_else(|| wrong(&"it has another length"))?))
}

/// The store may be a batch ahead of the slots; it is never behind them.
fn compare(totals: &Totals, slots: &Totals) -> Result<(), Unopened> {
    let Totals { generation, meta: Meta { newest, entries }, .. } = totals;
    if *generation < slots.generation {
        let Meta { newest: was, entries: had } = slots.meta;
        return Err(Unopened::Damaged(format!(
            "it ends after batch {generation} with {entries} entries up to sequence {newest}, and batch {} was written, \
             with {had} entries up to sequence {was}",
            slots.generation
        )));
    }
    if *generation > slots.generation + AHEAD {
        return Err(Unopened::Damaged(format!(
            "its file `{SLOTS}` is of batch {}, and the store of batch {generation}: they are not of the same moment",
            slots.generation
        )));
    }
    if *generation == slots.generation && totals != slots {
        return Err(Unopened::Damaged(format!("its file `{SLOTS}` and its own record of batch {generation} differ")));
    }
    Ok(())
}

/// Gives the values of an older store their checksums; an empty one begins with the same steps. Cut off anywhere, it is
/// done again at the next start, since the record and the slots get their first batch at last.
fn upgrade(disk: &StoreFolder, dir: &Path, meta: Meta, slots: FoundSlots) -> Result<Durable, Unopened> {
    let found = audit(disk, Sealing::Some, meta)?;
    let digest = found.digest;
    let durable = found.fits(None)?;
    if meta.entries > 0 {
        tracing::info!(entries = meta.entries, "the journal's entries get checksums; this is done once");
    }
    let failed = |why: &dyn std::fmt::Display| {
        Unopened::Refused(Error(format!("giving checksums to the journal in {}: {why}", dir.display())))
    };
    disk.is_sound()?;
    disk.seal_all().map_err(|error| failed(&error))?;
    let slots = match slots {
        FoundSlots::Newest(slots, _) => slots,
        FoundSlots::None | FoundSlots::Damaged => SlotsFile::create(dir).map_err(|error| failed(&error))?,
    };
    disk.begin(Totals { generation: 0, meta, digest }, slots);
    disk.write(Batch::default(), meta).map_err(|error| failed(&format!("{error:?}")))?;
    Ok(durable)
}

/// What a walk through the whole store found.
struct StoreAudit {
    durable: Durable,
    bases: BTreeMap<String, u64>,
    places: u64,
    digest: u128,
    recorded: Meta,
}

/// Reads every value: versions are known, and streams have no holes from their base on.
fn audit(disk: &StoreFolder, sealing: Sealing, recorded: Meta) -> Result<StoreAudit, Unopened> {
    let mut found = StoreAudit { durable: Durable::default(), bases: BTreeMap::new(), places: 0, digest: 0, recorded };
    // In the order of keys: bases, entries, places; what lies between is the record and the parts of long values.
    for prefix in [keys::BASE, keys::ENTRY, keys::PLACE] {
        disk.survey(prefix, prefix, sealing, |key, value| {
            let (sum, value) = value?;
            found.digest = found.digest.wrapping_add(sum);
            found.add(key, &value).map(|()| true)
        })?;
    }
    Ok(found)
}

impl StoreAudit {
    fn add(&mut self, key: &[u8], value: &[u8]) -> Result<(), Unopened> {
        #[derive(Deserialize)]
        struct Outline {
            v: u32,
            stream: String,
            index: u64,
        }
        let damaged = |what: &str| Unopened::Damaged(what.to_owned());
        if key.starts_with(keys::PLACE) {
            self.places += 1;
            return Ok(());
        }
        if key.starts_with(keys::BASE) {
            let base = keys::stream_of_base(key).map(str::to_owned).zip(keys::number(value));
            self.bases.extend([base.ok_or_else(|| damaged("a base names no stream"))?]);
            return Ok(());
        }
        let seq = keys::number(key).ok_or_else(|| damaged("a key is too short"))?;
        let entry: Outline =
            serde_json::from_slice(value).map_err(|error| damaged(&format!("entry {seq}: {error}")))?;
        if let Some(error) = refuse_version(entry.v, &entry.stream, entry.index) {
            return Err(Unopened::Refused(error));
        }
        let base = self.bases.get(&entry.stream).copied().unwrap_or_default();
        let head = self.durable.heads.entry(entry.stream.clone()).or_default();
        if !(head.len..=head.len.max(base)).contains(&entry.index) {
            return Err(damaged(&format!("the stream {} lacks its entry {}", entry.stream, head.len.max(base))));
        }
        *head = StreamHead { len: entry.index + 1, base, last_seq: seq };
        self.durable.meta.entries += 1;
        self.durable.meta.newest = seq;
        Ok(())
    }

    /// The totals must be what was found. Removed streams leave the newest sequence behind, never ahead of, what was
    /// given out.
    fn fits(mut self, digest: Option<u128>) -> Result<Durable, Unopened> {
        let heads = &self.durable.heads;
        let lacks = |(stream, base): &(&String, &u64)| heads.get(*stream).is_none_or(|head| head.len <= **base);
        if let Some((stream, base)) = self.bases.iter().find(lacks) {
            return Err(Unopened::Damaged(format!("the stream {stream} lacks its summary, the entry {base}")));
        }
        let (places, Meta { newest, entries }, recorded) = (self.places, self.durable.meta, self.recorded);
        if recorded.entries != entries || places != entries || recorded.newest < newest {
            return Err(Unopened::Damaged(format!(
                "it holds {entries} entries and {places} places, and recorded {}",
                recorded.entries
            )));
        }
        if digest.is_some_and(|digest| digest != self.digest) {
            return Err(Unopened::Damaged("its values are not those that its totals were made from".into()));
        }
        self.durable.meta = recorded;
        Ok(self.durable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Entry, Journal, NewEntry};
    use decide::by::By;
    use std::path::PathBuf;

    fn numbered(from: u64, to: u64) -> Vec<NewEntry> {
        let body = |n: u64| serde_json::json!("x".repeat(if n % 7 == 3 { 20_000 } else { 50 }));
        let new = |n| NewEntry { at_ms: n, by: By::Server, kind: "counted".into(), body: body(n) };
        (from..to).map(new).collect()
    }

    async fn filled(dir: &Path) -> Vec<Entry> {
        let journal = crate::open(dir).unwrap();
        for n in 0..5 {
            journal.append("app/a", n * 10, numbered(n * 10, n * 10 + 10)).await.unwrap();
            journal.append(&format!("run/{n}"), 0, numbered(0, 3)).await.unwrap();
        }
        journal.remove(vec!["run/1".into()]).await.unwrap();
        all(&journal).await
    }

    async fn all(journal: &Journal) -> Vec<Entry> {
        journal.tail(0, 1_000).await.unwrap()
    }

    async fn opened(dir: &Path) -> Result<Vec<Entry>, String> {
        match crate::open(dir) {
            Ok(journal) => Ok(all(&journal).await),
            Err(error) => Err(error.0),
        }
    }

    /// Takes checksums away, as if an older Bespin had written these values.
    fn strip(dir: &Path, which: impl Fn(usize) -> bool) {
        let (disk, durable) = open(dir).unwrap_or_else(|_| unreachable!("it is sound"));
        disk.strip(durable.meta, which);
    }

    #[tokio::test]
    async fn an_older_store_gets_checksums_and_holds_what_it_held() {
        let dir = tempfile::tempdir().unwrap();
        let entries = filled(dir.path()).await;
        // Cut off when none, some or all values had theirs.
        for which in [|_| true, |n| n % 3 == 0, |n| n > 20, |n| n == 0, |_| false] {
            for slots in [PathBuf::from("none"), PathBuf::from(SLOTS)] {
                strip(dir.path(), which);
                std::fs::remove_file(dir.path().join(SLOTS)).unwrap();
                if slots.ends_with(SLOTS) {
                    drop(SlotsFile::create(dir.path()).unwrap());
                }
                for _opened in 1..=2 {
                    assert_eq!(opened(dir.path()).await, Ok(entries.clone()));
                }
                let journal = crate::open(dir.path()).unwrap();
                let len = journal.streams("extra").await.unwrap().first().map_or(0, |stream| stream.len);
                assert_eq!(len, 0);
            }
        }
        let again = crate::open(dir.path()).unwrap();
        again.append("app/a", 50, numbered(50, 51)).await.unwrap();
        drop(again);
        assert_eq!(opened(dir.path()).await.map(|all| all.len()), Ok(entries.len() + 1));
    }

    #[tokio::test]
    async fn a_store_that_had_checksums_is_not_taken_for_an_older_one() {
        let dir = tempfile::tempdir().unwrap();
        let entries = filled(dir.path()).await;
        let (slots, last) = (dir.path().join(SLOTS), entries.last().unwrap());
        let names = format!("the last good entry is entry {} of {} (sequence {}, ", last.index, last.stream, last.seq);
        let refused = |error: Result<Vec<Entry>, String>, says: &str| {
            let error = error.unwrap_err();
            assert!(error.contains(says) && error.contains(&names), "{says}: {error}");
        };
        let sound = std::fs::read(&slots).unwrap();
        std::fs::remove_file(&slots).unwrap();
        refused(opened(dir.path()).await, "its file `totals`, which tells how far it goes, is missing");
        std::fs::write(&slots, vec![7; sound.len()]).unwrap();
        refused(opened(dir.path()).await, "neither slot of its file `totals` can be read");

        std::fs::write(&slots, &sound).unwrap();
        let journal = crate::open(dir.path()).unwrap();
        for n in 0..4 {
            journal.append("run/9", n, numbered(n, n + 1)).await.unwrap();
        }
        drop(journal);
        let newer = std::fs::read(&slots).unwrap();
        std::fs::write(&slots, &sound).unwrap();
        let error = opened(dir.path()).await.unwrap_err();
        assert!(error.contains("they are not of the same moment"), "{error}");
        std::fs::write(&slots, &newer).unwrap();
        assert_eq!(opened(dir.path()).await.map(|all| all.len()), Ok(entries.len() + 4));

        let no_record = "and now has no record of any";
        strip(dir.path(), |_| true);
        let error = opened(dir.path()).await.unwrap_err();
        assert!(error.contains(no_record), "{error}");
    }

    #[tokio::test]
    async fn a_store_that_is_older_than_its_slots_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let (first, second) = (dir.path().join("first"), dir.path().join("second"));
        let entries = filled(&first).await;
        assert!(std::process::Command::new("cp").arg("-r").args([&first, &second]).status().unwrap().success());
        let journal = crate::open(&first).unwrap();
        let newest = journal.append("run/9", 0, numbered(0, 2)).await.unwrap();
        drop(journal);
        std::fs::copy(first.join(SLOTS), second.join(SLOTS)).unwrap();
        let error = opened(&second).await.unwrap_err();
        let Entry { index, stream, seq, .. } = entries.last().unwrap();
        let was = format!("with {} entries up to sequence {newest}; ", entries.len() + 2);
        let good = format!("the last good entry is entry {index} of {stream} (sequence {seq}, 1970-01-01T00:00:00");
        assert!(
            error.contains(&was) && error.contains(&good) && error.contains("entries are good and 2 lost"),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_value_that_lost_its_checksum_or_is_another_is_damage() {
        let dir = tempfile::tempdir().unwrap();
        filled(dir.path()).await;
        let (disk, _) = open(dir.path()).unwrap();
        let value = disk.raw(&keys::entry(7)).unwrap();
        for (put, says) in [
            (
                crate::seal::unseal(&keys::entry(7), &value).unwrap().1.to_vec(),
                "the entry with sequence 7 has no checksum",
            ),
            (disk.raw(&keys::entry(8)).unwrap(), "the entry with sequence 7 is not what its checksum says"),
            (crate::seal::seal(&keys::entry(7), b"{}"), "entry 7: missing field"),
        ] {
            disk.put_raw(&keys::entry(7), &put);
            let Err(Unopened::Damaged(what)) = check(&disk, dir.path()) else { panic!("{says}: it opens") };
            assert!(what.contains(says), "{says}: {what}");
        }
        // An entry that says something else, with a checksum that fits it.
        let text = String::from_utf8(crate::seal::unseal(&keys::entry(7), &value).unwrap().1.to_vec()).unwrap();
        let other = text.replace("\"at_ms\":6", "\"at_ms\":5");
        assert_ne!(other, text);
        disk.put_raw(&keys::entry(7), &crate::seal::seal(&keys::entry(7), other.as_bytes()));
        let Err(Unopened::Damaged(what)) = check(&disk, dir.path()) else { panic!("it opens") };
        assert_eq!(what, "its values are not those that its totals were made from");
        disk.put_raw(&keys::entry(7), &value);
        assert!(check(&disk, dir.path()).is_ok());
        let part = [crate::parts::KEY, &keys::entry(4), &0u32.to_be_bytes()].concat();
        let first = disk.raw(&part).unwrap();
        disk.put_raw(&part, &first[1..]);
        let Err(Unopened::Damaged(what)) = check(&disk, dir.path()) else { panic!("it opens") };
        assert!(what.contains("a part of the entry with sequence 4"), "{what}");
    }
}
