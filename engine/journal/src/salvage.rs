//! Says how far a damaged journal is good, and carries that elsewhere.
//!
//! The damaged folder is only read: sled cuts its log when it opens it, so that
//! a copy is opened; where sled opens none, the log is read without it. Good is what lies before the first entry that is known to
//! be lost: in the order of the global sequence, not stream by stream, so that
//! no stream knows of what another has forgotten.

use crate::disk::{Sealing, StoreFolder, Unopened, undo_cut_off_start};
use crate::slots::{FoundSlots, SlotsFile};
use crate::stored::{Meta, StoredEntry, Totals};
use crate::{Entry, Error, carry, keys, opening, restored, seal};
use serde::Serialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::{File, TryLockError};
use std::path::Path;
use tempfile::TempDir;

/// What a journal's folder was found to hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct InspectedJournal {
    /// What is damaged; `None` for a sound journal.
    pub damage: Option<String>,
    /// The entries that are good.
    pub entries: u64,
    /// The streams that have any of them.
    pub streams: u64,
    /// The newest global sequence that was ever given out, as far as that is known.
    pub up_to: u64,
    /// The newest entry that is good.
    pub last_good: Option<LastEntry>,
    /// How many entries there were beyond the good ones; `None` where nothing tells.
    pub lost: Option<u64>,
    /// Streams of which entries are left, but not the summary that they begin with; none of them counts as good.
    pub without_summary: BTreeSet<String>,
}

/// The entry up to which everything is good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LastEntry {
    /// Its stream's name.
    pub stream: String,
    /// Its place in its stream, from 0.
    pub index: u64,
    /// Its global sequence.
    pub seq: u64,
    /// Milliseconds since the epoch.
    pub at_ms: u64,
}

impl std::fmt::Display for LastEntry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let LastEntry { stream, index, seq, at_ms } = self;
        let time = i64::try_from(*at_ms).ok().and_then(|at| jiff::Timestamp::from_millisecond(at).ok());
        let time = time.map_or_else(|| format!("{at_ms} ms"), |time| time.to_string());
        write!(f, "entry {index} of {stream} (sequence {seq}, {time})")
    }
}

impl InspectedJournal {
    /// Where the good part ends and what lies beyond, as a clause.
    pub fn summary(&self) -> String {
        let good = match &self.last_good {
            Some(last) => format!("the last good entry is {last}"),
            None => "no entry of it is good".to_owned(),
        };
        match self.lost {
            Some(lost) => format!("{good}; {} entries are good and {lost} lost", self.entries),
            None => format!("{good}; {} entries are good, and how many are lost is not known", self.entries),
        }
    }
}

/// Looks at the journal in `dir`, which nobody may have open. Nothing is changed there.
pub fn inspect(dir: &Path) -> Result<InspectedJournal, Error> {
    let _alone = alone(dir)?;
    Survey::of(dir).and_then(|survey| survey.good(|_| Ok(())))
}

/// Carries what is good of the journal in `from`, which nobody may have open,
/// into `dir`, which must be empty or missing. Nothing is changed in `from`.
pub fn salvage(from: &Path, dir: &Path) -> Result<InspectedJournal, Error> {
    let _alone = alone(from)?;
    let survey = Survey::of(from)?;
    carry::into_empty(dir, |beside| {
        let mut filling = carry::Filling::begin(beside)?;
        for (stream, base) in &survey.bases {
            if !survey.without_summary.contains(stream) && survey.lens.contains_key(stream) {
                filling.base(stream, *base)?;
            }
        }
        let found = survey.good(|entry| filling.entry(entry))?;
        filling.end(found.up_to)?;
        Ok(found)
    })
}

/// Notes that everything in a stopped server's journal came with a backup of another kind, such as a snapshot of its
/// disk; the newest sequence.
///
/// # Errors
/// A server has it open, it is damaged, or the note cannot be written.
pub fn mark_restored(dir: &Path) -> Result<u64, Error> {
    let found = inspect(dir)?;
    if let Some(damage) = &found.damage {
        return Err(Error(format!("the journal in {} is damaged: {damage}; {}", dir.display(), found.summary())));
    }
    restored::note(dir, found.up_to)?;
    Ok(found.up_to)
}

/// Why a start is refused: the damage, and the last good entry.
pub(crate) fn refusal(dir: &Path, what: &str) -> Error {
    let found = Survey::of(dir).and_then(|survey| survey.good(|_| Ok(())));
    let good = match found {
        Ok(found) => found.summary(),
        Err(error) => format!("its last good entry was not found out ({error}); ask `bespin journal verify`"),
    };
    Error(format!(
        "the journal in {} is damaged: {what}; {good}; restore a backup into an empty folder, or by `bespin journal \
         restore` what is good of this one",
        dir.display()
    ))
}

/// Keeps a server from opening the store meanwhile, and refuses where one has it open.
fn alone(dir: &Path) -> Result<File, Error> {
    let said = |error: &dyn std::fmt::Display| Error(format!("the journal in {}: {error}", dir.display()));
    let file = File::open(dir.join("db")).map_err(|error| said(&error))?;
    match file.try_lock() {
        Ok(()) => {
            undo_cut_off_start(dir).map_err(|error| said(&error))?;
            Ok(file)
        }
        Err(TryLockError::WouldBlock) => Err(said(&"a server has it open; stop that first, or verify a backup of it")),
        Err(TryLockError::Error(error)) => Err(said(&error)),
    }
}

/// What can be read of a journal.
struct Survey {
    /// The copy, if sled opens it; dropped before its folder.
    disk: Option<StoreFolder>,
    _copy: TempDir,
    sealing: Sealing,
    damage: Option<String>,
    recorded: Option<Meta>,
    bases: BTreeMap<String, u64>,
    /// Where each stream ends among the good entries.
    lens: HashMap<String, u64>,
    without_summary: BTreeSet<String>,
    /// The first sequence that is known to be lost, or lies beyond it.
    cut: u64,
    /// How many entries lie before it.
    found: u64,
}

impl Survey {
    fn of(dir: &Path) -> Result<Survey, Error> {
        let copied = copy(dir)?;
        let (opened, damage) = match StoreFolder::open(copied.path()) {
            Ok(disk) => match opening::check(&disk, copied.path()) {
                Ok(_) => return Ok(Survey::with(Some(disk), copied, None, dir)),
                Err(Unopened::Refused(error)) => return Err(error),
                Err(Unopened::Damaged(what)) => (Some(disk), what),
            },
            Err(Unopened::Refused(error)) => return Err(error),
            Err(Unopened::Damaged(what)) => (None, what),
        };
        // sled may have cut what the log itself still tells, and page by page the log may tell less than sled.
        let opened = Survey::with(opened, copied, Some(damage.clone()), dir);
        let folder = beside()?;
        let Ok(disk) = StoreFolder::carved(&dir.join("db"), folder.path()) else { return Ok(opened) };
        let carved = Survey::with(Some(disk), folder, Some(damage), dir);
        Ok(if opened.found > carved.found { opened } else { carved })
    }

    fn with(disk: Option<StoreFolder>, copy: TempDir, damage: Option<String>, dir: &Path) -> Survey {
        let (sealing, recorded) = recorded(disk.as_ref(), dir);
        let mut survey = Survey {
            disk,
            _copy: copy,
            sealing,
            damage,
            recorded,
            bases: BTreeMap::new(),
            lens: HashMap::new(),
            without_summary: BTreeSet::new(),
            cut: u64::MAX,
            found: 0,
        };
        survey.find_the_cut();
        survey
    }

    /// Looks for the first entry that is lost. An error ends a walk, since nothing beyond it can be read in order.
    fn find_the_cut(&mut self) {
        let Some(disk) = &self.disk else { return };
        let (sealing, mut cut, mut bases) = (self.sealing, u64::MAX, BTreeMap::new());
        let bases_read = disk.survey(keys::BASE, keys::BASE, sealing, |key, value| {
            let value = value?.1;
            bases.extend(keys::stream_of_base(key).map(str::to_owned).zip(keys::number(&value)));
            Ok::<_, Error>(true)
        });
        let (mut ends, mut seqs) = (HashMap::<String, (u64, u64)>::new(), Vec::new());
        let entries_read = disk.survey(keys::ENTRY, keys::ENTRY, sealing, |key, value| {
            let seq = keys::number(key).unwrap_or_default();
            let Ok(entry) = value.and_then(|(_, value)| StoredEntry::decode(seq, &value)) else {
                cut = cut.min(seq);
                return Ok::<_, Error>(false);
            };
            let (len, before) = ends.get(&entry.stream).copied().unwrap_or((0, seq - 1));
            let base = bases.get(&entry.stream).copied().unwrap_or_default();
            if entry.index > len && bases_read.is_err() {
                // Which base it was is not known any more: gaps end at it.
                bases.insert(entry.stream.clone(), entry.index);
            } else if !(len..=len.max(base)).contains(&entry.index) {
                cut = cut.min(before + 1);
            }
            seqs.push(seq);
            ends.insert(entry.stream, (entry.index.saturating_add(1), seq));
            Ok(true)
        });
        if entries_read.is_err() {
            cut = cut.min(seqs.last().map_or(0, |last| last + 1));
        }
        let _what_places_tell = disk.survey(keys::PLACE, keys::PLACE, sealing, |_, value| {
            let seq = value.ok().and_then(|(_, value)| keys::number(&value));
            if let Some(seq) = seq.filter(|seq| seqs.binary_search(seq).is_err()) {
                cut = cut.min(seq);
            }
            Ok::<_, Error>(true)
        });
        (self.cut, self.bases) = (cut, bases);
        let (mut lens, mut found) = (HashMap::new(), 0);
        let _read_before = self.each_before_the_cut(|entry| {
            lens.insert(entry.stream, entry.index + 1);
            found += 1;
            Ok(())
        });
        (self.lens, self.found) = (lens, found);
        let lacks = |(stream, base): &(&String, &u64)| self.lens.get(*stream).is_some_and(|len| *len <= **base);
        self.without_summary = self.bases.iter().filter(lacks).map(|(stream, _)| stream.clone()).collect();
    }

    fn each_before_the_cut(&self, mut each: impl FnMut(Entry) -> Result<(), Error>) -> Result<(), Error> {
        let Some(disk) = &self.disk else { return Ok(()) };
        if self.cut == 0 {
            return Ok(());
        }
        disk.survey(keys::ENTRY, keys::ENTRY, self.sealing, |key, value| {
            let seq = keys::number(key).unwrap_or_default();
            if seq >= self.cut {
                return Ok(false);
            }
            each(StoredEntry::decode(seq, &value?.1)?)?;
            // The one that cannot be read may be next, and the page that it lies on with it.
            Ok(seq + 1 < self.cut)
        })
    }

    /// Goes through the good entries in the order of their sequence, and says what they are.
    fn good(&self, mut each: impl FnMut(&Entry) -> Result<(), Error>) -> Result<InspectedJournal, Error> {
        let (mut entries, mut last_good) = (0, None);
        self.each_before_the_cut(|entry| {
            if self.without_summary.contains(&entry.stream) {
                return Ok(());
            }
            each(&entry)?;
            entries += 1;
            let Entry { stream, index, seq, at_ms, .. } = entry;
            last_good = Some(LastEntry { stream, index, seq, at_ms });
            Ok(())
        })?;
        let newest = last_good.as_ref().map_or(0, |last| last.seq);
        Ok(InspectedJournal {
            damage: self.damage.clone(),
            entries,
            streams: self.lens.keys().filter(|stream| !self.without_summary.contains(*stream)).count() as u64,
            up_to: self.recorded.map_or(newest, |recorded| recorded.newest.max(newest)),
            last_good,
            lost: self.recorded.map(|recorded| recorded.entries.saturating_sub(entries)),
            without_summary: self.without_summary.clone(),
        })
    }
}

/// Whether all values have checksums, and what was recorded last: by the slots, or else by the store.
fn recorded(disk: Option<&StoreFolder>, dir: &Path) -> (Sealing, Option<Meta>) {
    let beside = match SlotsFile::find(dir) {
        Ok(FoundSlots::Newest(_, totals)) if totals.generation > 0 => Some(totals),
        _ => None,
    };
    let record = disk.and_then(|disk| disk.record().ok().flatten()).unwrap_or_default();
    let sealed = seal::unseal(keys::META, &record).ok().and_then(|(_, bytes)| Totals::decode(bytes));
    match beside.into_iter().chain(sealed).max_by_key(|totals| totals.generation) {
        Some(totals) => (Sealing::All, Some(totals.meta)),
        None => (Sealing::Some, serde_json::from_slice(&record).ok()),
    }
}

fn beside() -> Result<TempDir, Error> {
    let made = tempfile::Builder::new().prefix("journal-").tempdir();
    made.map_err(|error| Error(format!("making a folder for a copy of the journal: {error}")))
}

/// Copies a store's files into a folder that goes when it is dropped.
fn copy(dir: &Path) -> Result<TempDir, Error> {
    let failed = |error: std::io::Error| Error(format!("copying {} to look at it: {error}", dir.display()));
    let copied = beside()?;
    let all = |from: &Path, to: &Path| -> std::io::Result<()> {
        for item in std::fs::read_dir(from)? {
            let item = item?;
            if item.file_type()?.is_file() {
                std::fs::copy(item.path(), to.join(item.file_name()))?;
            }
        }
        Ok(())
    };
    let blobs = dir.join("blobs");
    all(dir, copied.path()).map_err(failed)?;
    if blobs.is_dir() {
        std::fs::create_dir(copied.path().join("blobs"))
            .and_then(|()| all(&blobs, &copied.path().join("blobs")))
            .map_err(failed)?;
    }
    Ok(copied)
}
