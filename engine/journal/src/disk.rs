//! The only module that knows sled: ordered keys, and batches that are on the
//! disk when `write` returns.
//!
//! sled's own `flush` ends in `sync_file_range` on Linux, which writes no
//! metadata and leaves the disk's cache alone, and it never syncs the files of
//! its `blobs` folder. So every write here is followed by our own syncs. And
//! sled cuts its log silently where it cannot be read: so every value has a
//! checksum, and each batch leaves totals behind, in the store and beside it.

mod begin;
mod carve;
mod repair;
mod undo;

use crate::parts::{self, PART, StorePart};
use crate::seal::{BrokenSeal, checksum, seal, unseal};
use crate::slots::SlotsFile;
use crate::stored::{Meta, Totals};
use crate::{Error, keys};
use begin::SledRefusal;
use rustix::fs::Dir;
use std::borrow::Cow;
use std::collections::HashSet;
use std::ffi::CString;
use std::fs::File;
use std::io::ErrorKind;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Mutex;
use undo::BeforeOpening;
pub(crate) use undo::undo_cut_off_start;

/// How much is written before it is synced, in bytes: of more, sled may write over what it has moved and not yet settled.
const WINDOW: usize = 64 << 10;

/// An open store. Closing happens on drop, when the last clone of the handle goes.
pub(crate) struct StoreFolder {
    db: sled::Db,
    file: File,
    blobs: Mutex<BlobsFolder>,
    /// What the files were before they were opened; nobody needs it once the store is known to be sound.
    before: Mutex<Option<BeforeOpening>>,
    /// What the newest batch left behind; nothing is written before it is known.
    totals: Mutex<Option<(Totals, SlotsFile)>>,
    /// How many values were read.
    #[cfg(test)]
    pub(crate) values_read: std::sync::atomic::AtomicU64,
}

/// sled's folder of large pages, and which of them are on the disk. It stays open, since an append may find no descriptor left.
struct BlobsFolder {
    folder: Dir,
    synced: HashSet<CString>,
}

/// Changes that take effect together or not at all.
#[derive(Default)]
pub(crate) struct Batch {
    puts: Vec<(Vec<u8>, Vec<u8>)>,
    removes: Vec<Vec<u8>>,
}

impl Batch {
    /// Sets a key. One whose value may be long is set once.
    pub(crate) fn put(&mut self, key: Vec<u8>, value: Vec<u8>) {
        self.puts.push((key, value));
    }

    /// Removes a key with all parts of its value; nothing where it is absent.
    pub(crate) fn remove(&mut self, key: Vec<u8>) {
        self.removes.push(key);
    }
}

/// Why a batch was not written.
#[derive(Clone, Debug)]
pub(crate) enum WriteError {
    /// The disk is full.
    Full(String),
    /// The store failed for another reason, in its own words; what the disk holds is then unknown.
    Failed(String),
}

/// Why a store was not opened.
#[derive(Debug)]
pub(crate) enum Unopened {
    /// Its files may be sound: another holds it, the system refuses it, a newer Bespin wrote it.
    Refused(Error),
    /// What its files hold is not what was written; the words go on from "the journal is damaged".
    Damaged(String),
}

/// A value, and the checksum of what stands in its place.
type SummedValue<'k> = (u128, Cow<'k, [u8]>);

/// Which values have checksums.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sealing {
    /// All of them, or the store is damaged.
    All,
    /// Perhaps some: the store is from before there were any, or just gets them.
    Some,
}

impl StoreFolder {
    /// Opens or creates the store in `dir`, and makes its files' names durable. What it holds is not looked at.
    pub(crate) fn open(dir: &Path) -> Result<StoreFolder, Unopened> {
        std::fs::create_dir_all(dir).map_err(SledRefusal::from).map_err(|refusal| refusal.in_folder(dir))?;
        StoreFolder::open_in(dir).map_err(|refusal| refusal.in_folder(dir))
    }

    fn open_in(dir: &Path) -> Result<StoreFolder, SledRefusal> {
        begin::make(dir)?;
        let (db, before) = begin::open_unlocked(dir)?;
        let (file, folder) = match files_of(&db, dir) {
            Ok(files) => files,
            Err(error) => {
                drop(db);
                return Err(SledRefusal::Passing(begin::given_back(before, error.to_string())));
            }
        };
        Ok(StoreFolder {
            db,
            file,
            blobs: Mutex::new(BlobsFolder { folder, synced: HashSet::new() }),
            before: Mutex::new(before),
            totals: Mutex::default(),
            #[cfg(test)]
            values_read: Default::default(),
        })
    }

    /// The content was found to be sound. What its files were before must be gone when anything is written.
    pub(crate) fn is_sound(&self) -> Result<(), Unopened> {
        let before = self.before.lock().expect("nothing panics while it holds the files").take();
        let stays = |error| Error(format!("removing what was kept aside of the journal's files: {error}"));
        before.map_or(Ok(()), BeforeOpening::end).map_err(stays).map_err(Unopened::Refused)
    }

    /// From here on batches may be written: the content is sound and fits the totals.
    pub(crate) fn begin(&self, totals: Totals, slots: SlotsFile) {
        *self.totals.lock().expect("nothing panics while it holds the totals") = Some((totals, slots));
    }

    /// Closes a store that is damaged or refused for another reason, and takes back what opening it has done to its
    /// files. Answers the reason, and whether that failed as well.
    pub(crate) fn given_back(self, why: String) -> String {
        let StoreFolder { db, before, .. } = self;
        drop(db);
        begin::given_back(before.into_inner().expect("nothing panics while it holds the files"), why)
    }

    /// Applies a batch and records how much there is after it; all of it is on the disk when this returns.
    pub(crate) fn write(&self, batch: Batch, meta: Meta) -> Result<(), WriteError> {
        let mut kept = self.totals.lock().expect("nothing panics while it holds the totals");
        let Some((totals, slots)) = kept.as_mut() else {
            return Err(WriteError::Failed("the store was not checked".into()));
        };
        let next = catch_unwind(AssertUnwindSafe(|| {
            let mut next = Totals { generation: totals.generation + 1, meta, digest: totals.digest };
            let (mut changes, mut parts_new, mut parts_gone) = (sled::Batch::default(), Vec::new(), Vec::new());
            for key in batch.removes {
                let kept = self.forget(&key, &mut next)?.unwrap_or_default();
                parts_gone.extend(parts::keys(&key, &kept).into_iter().map(|part| (part, None)));
                changes.remove(key);
            }
            for (key, value) in batch.puts {
                self.forget(&key, &mut next)?;
                let (value, parts) = parts::split(&key, value);
                parts_new.extend(parts);
                next.digest = next.digest.wrapping_add(checksum(&key, &value));
                let sealed = seal(&key, &value);
                changes.insert(key, sealed);
            }
            changes.insert(keys::META, seal(keys::META, &next.encode()));
            self.write_parts(parts_new)?;
            self.apply(changes)?;
            slots.write(&next)?;
            self.write_parts(parts_gone)?;
            Ok(next)
        }))
        .unwrap_or_else(|_| Err(sled::Error::ReportableBug("the store panicked while writing".into())))
        .map_err(|error| match error {
            sled::Error::Io(error) if is_full(&error) => WriteError::Full(error.to_string()),
            other => WriteError::Failed(other.to_string()),
        })?;
        *totals = next;
        Ok(())
    }

    /// Takes what a key holds out of the digest, and returns it.
    fn forget(&self, key: &[u8], totals: &mut Totals) -> Result<Option<Vec<u8>>, sled::Error> {
        let Some(kept) = self.db.get(key)? else { return Ok(None) };
        let (sum, bytes) = opened(key, &kept, Sealing::All)?;
        totals.digest = totals.digest.wrapping_sub(sum);
        Ok(Some(bytes.to_vec()))
    }

    fn write_parts(&self, parts: Vec<StorePart>) -> Result<(), sled::Error> {
        let mut parts = parts.into_iter().peekable();
        while parts.peek().is_some() {
            let mut window = sled::Batch::default();
            for (key, part) in parts.by_ref().take(WINDOW / PART) {
                match part {
                    Some(part) => {
                        let sealed = seal(&key, &part);
                        window.insert(key, sealed);
                    }
                    None => window.remove(key),
                }
            }
            self.apply(window)?;
        }
        Ok(())
    }

    fn apply(&self, changes: sled::Batch) -> Result<(), sled::Error> {
        self.db.apply_batch(changes)?;
        self.db.flush()?;
        self.sync_blobs()?;
        Ok(self.file.sync_data()?)
    }

    /// Removes the parts of values that are not there: a power cut came before the value was, or after it was removed.
    pub(crate) fn sweep(&self) -> Result<(), Error> {
        guard(|| {
            let mut orphans = Vec::new();
            for part in self.db.scan_prefix(parts::KEY).keys() {
                let part = part?;
                if parts::owner(&part).is_some_and(|owner| matches!(self.db.contains_key(owner), Ok(false))) {
                    orphans.push((part.to_vec(), None));
                }
            }
            self.write_parts(orphans)
        })
    }

    /// Pages above an eighth of a mebibyte lie in files of their own: there are none since values have parts.
    fn sync_blobs(&self) -> std::io::Result<()> {
        let mut blobs = self.blobs.lock().expect("nothing panics while it holds the set");
        blobs.folder.rewind();
        let mut present = HashSet::new();
        while let Some(item) = blobs.folder.read() {
            let name = item?.file_name().to_owned();
            if !matches!(name.to_bytes(), b"." | b"..") {
                present.insert(name);
            }
        }
        if blobs.synced != present {
            // With the handle that is there: opening each of them may fail.
            rustix::fs::syncfs(&self.file)?;
            blobs.synced = present;
        }
        Ok(())
    }

    /// Gives a checksum to every value that has none, a window at a time. Cut off, it is done again from the beginning.
    pub(crate) fn seal_all(&self) -> Result<(), Error> {
        guard(|| {
            let mut from = Vec::new();
            loop {
                let (mut window, mut bytes, mut last) = (sled::Batch::default(), 0, None);
                for item in self.db.range(from.clone()..) {
                    let (key, kept) = item?;
                    if bytes >= WINDOW {
                        last = Some(key.to_vec());
                        break;
                    }
                    if *key != *keys::META && matches!(unseal(&key, &kept), Err(BrokenSeal::Missing)) {
                        bytes += key.len() + kept.len();
                        window.insert(&*key, seal(&key, &kept));
                    }
                }
                if bytes > 0 {
                    self.apply(window)?;
                }
                match last {
                    Some(last) => from = last,
                    None => return Ok(()),
                }
            }
        })
    }

    /// The store's own record of its totals, as it lies there.
    pub(crate) fn record(&self) -> Result<Option<Vec<u8>>, Error> {
        guard(|| Ok(self.db.get(keys::META)?.map(|kept| kept.to_vec())))
    }

    /// The value of a key, put together from its parts; `None` where it is absent.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        guard(|| {
            let Some(kept) = self.db.get(key)? else { return Ok(None) };
            Ok(self.whole(key, &kept, Sealing::All)?.map(|(_, whole)| whole.into_owned()))
        })
    }

    /// Reads the keys from `from` on that start with `prefix`, in order, until `each` answers false.
    pub(crate) fn scan(
        &self,
        prefix: &[u8],
        from: &[u8],
        mut each: impl FnMut(&[u8], &[u8]) -> Result<bool, Error>,
    ) -> Result<(), Error> {
        self.survey(prefix, from, Sealing::All, |key, value| each(key, &value?.1))
    }

    /// Like [`StoreFolder::scan`], with each value's checksum, or why it cannot be read.
    pub(crate) fn survey<E: From<Error>>(
        &self,
        prefix: &[u8],
        from: &[u8],
        sealing: Sealing,
        mut each: impl FnMut(&[u8], Result<SummedValue<'_>, Error>) -> Result<bool, E>,
    ) -> Result<(), E> {
        let mut verdict = Ok(());
        guard(|| {
            for item in self.db.range(from.to_vec()..) {
                let (key, kept) = item?;
                if !key.starts_with(prefix) {
                    break;
                }
                let value = match self.whole(&key, &kept, sealing) {
                    Ok(Some(whole)) => Ok(whole),
                    Ok(None) => continue,
                    Err(error) => Err(unread(&error)),
                };
                match each(&key, value) {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(error) => {
                        verdict = Err(error);
                        break;
                    }
                }
            }
            Ok(())
        })?;
        verdict
    }

    /// A value with its parts, and the checksum of what stands in its place; `None` if it was removed since its key was read.
    fn whole<'k>(&self, key: &[u8], kept: &'k [u8], sealing: Sealing) -> Result<Option<SummedValue<'k>>, sled::Error> {
        #[cfg(test)]
        self.values_read.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let (sum, kept) = opened(key, kept, sealing)?;
        let mut whole = Cow::Borrowed(kept);
        for (n, name) in parts::keys(key, kept).into_iter().enumerate() {
            match self.db.get(&name)? {
                Some(part) => {
                    let (_, part) = opened(&name, &part, sealing)?;
                    match n {
                        0 => whole = Cow::Owned(part.to_vec()),
                        _ => whole.to_mut().extend_from_slice(part),
                    }
                }
                // A value goes before its parts.
                None if self.db.get(key)?.is_none() => return Ok(None),
                None => {
                    let lost = format!("a value has lost its part {n}; restore a backup into an empty folder");
                    return Err(std::io::Error::other(lost).into());
                }
            }
        }
        Ok(Some((sum, whole)))
    }
}

/// Makes the files' names and what sled has written durable; answers its log and the folder of large pages.
fn files_of(db: &sled::Db, dir: &Path) -> std::io::Result<(File, Dir)> {
    db.flush().map_err(|error| std::io::Error::other(error.to_string()))?;
    let file = File::open(dir.join("db"))?;
    file.sync_all()?;
    File::open(dir.join("conf"))?.sync_all()?;
    File::open(dir)?.sync_all()?;
    if let Some(parent) = dir.canonicalize()?.parent() {
        File::open(parent)?.sync_all()?;
    }
    Ok((file, Dir::new(File::open(dir.join("blobs"))?)?))
}

/// The checksum and the bytes of what stands under a key.
fn opened<'k>(key: &[u8], kept: &'k [u8], sealing: Sealing) -> Result<(u128, &'k [u8]), sled::Error> {
    match unseal(key, kept) {
        Err(BrokenSeal::Missing) if sealing == Sealing::Some => Ok((checksum(key, kept), kept)),
        Err(why) => Err(std::io::Error::other(format!("{} {why}", keys::describe(key))).into()),
        Ok(opened) => Ok(opened),
    }
}

fn guard<T>(read: impl FnOnce() -> Result<T, sled::Error>) -> Result<T, Error> {
    catch_unwind(AssertUnwindSafe(read))
        .map_err(|_| Error("the journal's store panicked while reading; it may be damaged".into()))?
        .map_err(|error| unread(&error))
}

fn unread(error: &sled::Error) -> Error {
    Error(format!("reading the journal: {error}"))
}

fn is_full(error: &std::io::Error) -> bool {
    matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
}

#[cfg(test)]
impl StoreFolder {
    /// Takes away the checksums of the values that `which` answers true for, counted in the order of keys, and the record.
    pub(crate) fn strip(&self, meta: Meta, which: impl Fn(usize) -> bool) {
        let all: Vec<_> = self.db.iter().collect::<Result<_, _>>().unwrap();
        for (_, (key, kept)) in all.into_iter().enumerate().filter(|(n, _)| which(*n)) {
            self.put_raw(&key, unseal(&key, &kept).unwrap().1);
        }
        self.put_raw(keys::META, &serde_json::to_vec(&meta).unwrap());
    }

    /// What stands under a key, with its checksum.
    pub(crate) fn raw(&self, key: &[u8]) -> Option<Vec<u8>> {
        self.db.get(key).unwrap().map(|kept| kept.to_vec())
    }

    /// Puts something under a key behind the totals' back.
    pub(crate) fn put_raw(&self, key: &[u8], kept: &[u8]) {
        self.db.insert(key, kept).unwrap();
        self.db.flush().unwrap();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_value_comes_back_whole_needs_no_file_of_its_own_and_goes_with_its_parts() {
        let dir = tempfile::tempdir().unwrap();
        let begun = |totals| {
            let disk = StoreFolder::open(dir.path()).unwrap();
            disk.begin(totals, SlotsFile::create(dir.path()).unwrap());
            disk.sweep().unwrap();
            disk
        };
        let write = |disk: &StoreFolder, batch| disk.write(batch, Meta::default()).unwrap();
        let disk = begun(Totals::default());
        let totals = |disk: &StoreFolder| disk.totals.lock().unwrap().as_ref().unwrap().0;
        let long = |n: u8| vec![n; 300_000];
        for n in 0..40 {
            let mut batch = Batch::default();
            batch.put(vec![b'e', n], long(n));
            batch.put(vec![b'n'], vec![n]);
            write(&disk, batch);
        }
        assert_eq!(disk.get(b"e\x07").unwrap().unwrap(), long(7));
        let mut found = Vec::new();
        let each = |key: &[u8], value: &[u8]| {
            found.push((key.to_vec(), value.len()));
            Ok(true)
        };
        disk.scan(b"e", b"e\x05", each).unwrap();
        assert_eq!(found, (5..40).map(|n| (vec![b'e', n], 300_000)).collect::<Vec<_>>());
        assert_eq!(std::fs::read_dir(dir.path().join("blobs")).unwrap().count(), 0);

        // As after a power cut before the value itself was written, and after it was removed.
        let gone = unseal(b"e\x08", &disk.db.remove(b"e\x08").unwrap().unwrap()).unwrap().0;
        let known = totals(&disk);
        drop(disk);
        let disk = begun(known);
        assert_eq!(disk.db.scan_prefix(parts::KEY).count(), 39 * 74);

        let kept = disk.db.get(b"e\x07").unwrap().unwrap();
        let mark = unseal(b"e\x07", &kept).unwrap().1;
        disk.db.remove(parts::keys(b"e\x07", mark).pop().unwrap()).unwrap();
        let error = disk.get(b"e\x07").unwrap_err().0;
        assert!(error.contains("lost its part 73; restore a backup"), "{error}");
        let mut batch = Batch::default();
        (0..40).for_each(|n| batch.remove(vec![b'e', n]));
        write(&disk, batch);
        assert!(disk.whole(b"e\x07", &kept, Sealing::All).unwrap().is_none(), "it was removed while it was read");
        assert_eq!(disk.db.iter().keys().collect::<Result<Vec<_>, _>>().unwrap(), [&b"m"[..], b"n"]);
        assert_eq!(totals(&disk).digest, checksum(b"n", &[39]).wrapping_add(gone), "what was removed is in no digest");
    }
}
