//! Keeps a mirror in shape: each fetch brings a pack, and each commit of ours some loose objects.
//!
//! Nothing is thrown away but second copies. A reader may have a pack open, or come to open it: what was merged stays
//! until everybody is done who opened the mirror before.

use crate::error::{self, Error};
use crate::mirror::Core;
use crate::state::Retired;
use git2::{ConfigLevel, Oid, Repository};
use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// So many packs stay beside each other; each is looked into for every object.
const MOST_PACKS: usize = 20;

/// So many loose objects stay.
const MOST_LOOSE: usize = 2_000;

/// So many of the largest packs are never merged with smaller ones.
const MOST_LARGE: usize = MOST_PACKS / 2;

/// What merging may take: memory for the objects that are compared, for what came of comparing, and the largest that
/// is compared at all, in bytes.
const MERGING: [(&str, i64); 3] =
    [("pack.windowmemory", 64 << 20), ("pack.deltacachesize", 64 << 20), ("core.bigfilethreshold", 16 << 20)];

/// A pack with its index.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pack {
    /// The path of both without their endings.
    stem: PathBuf,
    /// How long the pack is.
    bytes: u64,
}

impl Pack {
    /// The packs of a repository that have an index; libgit2 passes over the others, too.
    pub(crate) fn all(repository: &Path) -> io::Result<Vec<Pack>> {
        let entries = match std::fs::read_dir(repository.join("objects/pack")) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let mut packs = Vec::new();
        for entry in entries {
            let path = entry?.path();
            if path.extension() != Some(OsStr::new("idx")) {
                continue;
            }
            match std::fs::metadata(path.with_extension("pack")) {
                Ok(packed) => packs.push(Pack { stem: path.with_extension(""), bytes: packed.len() }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        Ok(packs)
    }

    pub(crate) fn name(&self) -> String {
        self.stem.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }

    pub(crate) fn index(&self) -> PathBuf {
        self.stem.with_extension("idx")
    }

    pub(crate) fn packed(&self) -> PathBuf {
        self.stem.with_extension("pack")
    }

    fn ids(&self) -> io::Result<Vec<Oid>> {
        let index = std::fs::read(self.index())?;
        ids(&index).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, format!("{} is no index", self.name())))
    }
}

/// The ids of a pack's objects, out of its index in version 2. Source: gitformat-pack(5).
pub(crate) fn ids(index: &[u8]) -> Option<Vec<Oid>> {
    let rest = index.strip_prefix(b"\xfftOc\0\0\0\x02")?;
    let (counts, rest) = rest.split_at_checked(256 * 4)?;
    let count = u32::from_be_bytes(*counts.last_chunk::<4>()?);
    let ids = rest.get(..usize::try_from(count).ok()?.checked_mul(20)?)?;
    ids.chunks_exact(20).map(|id| Oid::from_bytes(id).ok()).collect()
}

/// The packs to write into one: all but those that outweigh everything smaller than they are, so that what is large
/// is rarely written again.
fn to_merge(mut packs: Vec<Pack>) -> Vec<Pack> {
    packs.sort_by_key(|pack| std::cmp::Reverse(pack.bytes));
    let mut smaller: u64 = packs.iter().map(|pack| pack.bytes).sum();
    let outweighs = |pack: &&Pack| {
        smaller -= pack.bytes;
        pack.bytes > smaller
    };
    let large = packs.iter().take(MOST_LARGE).take_while(outweighs).count();
    packs.split_off(large)
}

impl Core {
    /// Merges what has become many; what goes wrong is logged and comes up again after the next fetch.
    pub(crate) fn keep_in_shape(&self) {
        if let Err(error) = self.merge(MOST_PACKS, MOST_LOOSE) {
            tracing::warn!(address = self.address.as_str(), %error, "the mirror's packs cannot be merged");
        }
    }

    fn merge(&self, most_packs: usize, most_loose: usize) -> Result<(), Error> {
        let trouble = |error| self.trouble(&self.directory, &error);
        // Whoever holds it merges already, or makes the mirror anew.
        let Ok(_turn) = self.upkeep.shaping.try_lock() else { return Ok(()) };
        let retired = self.remove_retired();
        let mut packs = Pack::all(&self.directory).map_err(trouble)?;
        packs.retain(|pack| !retired.contains(&pack.packed()));
        let mut loose = loose(&self.directory).map_err(trouble)?;
        loose.retain(|(_, file)| !retired.contains(file));
        let packs = if packs.len() > most_packs { to_merge(packs) } else { Vec::new() };
        let loose = if loose.len() > most_loose || !packs.is_empty() { loose } else { Vec::new() };
        if packs.is_empty() && loose.is_empty() {
            return Ok(());
        }
        let mut ids: HashSet<Oid> = loose.iter().map(|(id, _)| *id).collect();
        for pack in &packs {
            ids.extend(pack.ids().map_err(trouble)?);
        }
        let merged = self.write(&ids)?;
        let written: HashSet<Oid> = merged.ids().map_err(trouble)?.into_iter().collect();
        if !ids.is_subset(&written) {
            return Err(trouble(io::Error::other(format!("{} lacks objects that it was made of", merged.name()))));
        }
        let is_old = |pack: &&Pack| pack.stem != merged.stem;
        // The index first: a pack without one is passed over, an index without its pack is not.
        let files = packs.iter().filter(is_old).flat_map(|pack| [pack.index(), pack.packed()]);
        let files: Vec<PathBuf> = files.chain(loose.into_iter().map(|(_, file)| file)).collect();
        tracing::info!(address = self.address.as_str(), packs = packs.len(), objects = ids.len(), "packs were merged");
        self.retire(files);
        self.remove_retired();
        Ok(())
    }

    /// Writes one pack of these objects, and has it on the disk when it returns.
    fn write(&self, ids: &HashSet<Oid>) -> Result<Pack, Error> {
        let failed = error::git("merging packs of the mirror of", self.address.as_str());
        let trouble = |error| self.trouble(&self.directory, &error);
        let opened = self.open()?;
        limit(&opened).map_err(&failed)?;
        let mut builder = opened.packbuilder().map_err(&failed)?;
        for id in ids {
            builder.insert_object(*id, None).map_err(&failed)?;
        }
        let folder = self.directory.join("objects/pack");
        builder.write(&folder, 0o444).map_err(&failed)?;
        let name = builder.name().map_err(&failed)?.unwrap_or_default().to_owned();
        let pack = Pack { stem: folder.join(format!("pack-{name}")), bytes: 0 };
        for file in [pack.packed(), pack.index(), folder] {
            File::open(file).and_then(|file| file.sync_all()).map_err(trouble)?;
        }
        Ok(pack)
    }

    /// From here on nobody new reads these files: who opens the mirror now finds the merged pack.
    fn retire(&self, files: Vec<PathBuf>) {
        let mut readers = self.upkeep.readers.lock().expect("nobody panics while holding the readers");
        let before = std::mem::take(&mut *readers);
        drop(readers);
        let mut retired = self.upkeep.retired.lock().expect("nobody panics while packs retire");
        retired.push(Retired { readers: before, files });
    }

    /// Removes what has retired and nobody reads any more; answers what is left of it.
    fn remove_retired(&self) -> HashSet<PathBuf> {
        let mut retired = self.upkeep.retired.lock().expect("nobody panics while packs retire");
        // Who opened the mirror earlier may read what retired later.
        let mut read = false;
        retired.retain(|retired| {
            read |= Arc::strong_count(&retired.readers) > 1;
            if !read {
                retired.files.iter().for_each(|file| removed(file));
            }
            read
        });
        retired.iter().flat_map(|retired| retired.files.iter().cloned()).collect()
    }
}

/// Removes a file, or says in the log why it stays.
pub(crate) fn removed(file: &Path) {
    match std::fs::remove_file(file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            tracing::warn!(file = %file.display(), %error, "what was merged cannot be removed");
        }
        _ => {}
    }
}

/// Bounds what merging takes. The mirror's own configuration is the only way to tell libgit2.
fn limit(repository: &Repository) -> Result<(), git2::Error> {
    let mut config = repository.config()?.open_level(ConfigLevel::Local)?;
    for (name, most) in MERGING {
        if config.get_i64(name).ok() != Some(most) {
            config.set_i64(name, most)?;
        }
    }
    Ok(())
}

/// The loose objects of a repository, with their files.
pub(crate) fn loose(repository: &Path) -> io::Result<Vec<(Oid, PathBuf)>> {
    let objects = repository.join("objects");
    let mut loose = Vec::new();
    for first in 0..=255_u8 {
        let first = format!("{first:02x}");
        let entries = match std::fs::read_dir(objects.join(&first)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            entries => entries?,
        };
        for entry in entries {
            let entry = entry?;
            let id = format!("{first}{}", entry.file_name().to_string_lossy());
            if id.len() == 40
                && let Ok(id) = Oid::from_str(&id)
            {
                loose.push((id, entry.path()));
            }
        }
    }
    Ok(loose)
}

#[cfg(test)]
mod tests;
