//! What keeps a mirror usable: locks of dead processes go, and what is damaged is made anew.
//!
//! A mirror is a cache. Only this process uses it, and the mirrors' folder belongs to one process at a time.

use crate::damage::is_whole;
use crate::error::Error;
use crate::mirror::Core;
use crate::shape::{loose, removed};
use crate::state::{Mended, Unfetched};
use git2::Repository;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

/// Files in a mirror that git locks by another of the same name and this ending.
const LOCK: &str = "lock";

impl Core {
    /// Fetches into the mirror. The caller is the only one who does.
    pub(crate) fn fetch(&self) -> Result<(), Error> {
        self.upkeep.begun.get_or_init(|| self.remove_leftovers());
        if self.upkeep.believed() != Some(Mended::Anew)
            && let Some(damage) = self.damage_at_a_glance()?
        {
            return self.make_anew(&damage);
        }
        match self.open().and_then(|opened| self.fetch_into(&opened)) {
            Ok(unfetched) => {
                // libgit2 writes over no file that it cannot read.
                if !unfetched.is_empty()
                    && self.upkeep.believed() != Some(Mended::Anew)
                    && let Some(damage) = self.damaged_references()?
                {
                    return self.make_anew(&damage);
                }
                self.keep(unfetched);
                Ok(())
            }
            Err(error @ Error::Mirror { .. }) => match self.damage_unless_believed()? {
                Some(damage) => self.make_anew(&damage),
                None => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    /// Looks at the files of a mirror that could not be read at that generation. The caller is the only one who
    /// fetches.
    pub(crate) fn mend(&self, generation: u64) -> Result<Mended, Error> {
        if self.upkeep.generation() != generation {
            return Ok(Mended::Anew);
        }
        match self.damage_unless_believed()? {
            Some(damage) => self.make_anew(&damage).map(|()| Mended::Anew),
            None => Ok(Mended::Sound),
        }
    }

    fn damage_unless_believed(&self) -> Result<Option<String>, Error> {
        if self.upkeep.believed().is_some() {
            return Ok(None);
        }
        let damage = self.damage()?;
        if damage.is_none() {
            self.upkeep.believe(Mended::Sound);
        }
        Ok(damage)
    }

    fn keep(&self, unfetched: Vec<Unfetched>) {
        let mut kept = self.upkeep.unfetched.lock().expect("nobody panics while holding what was not fetched");
        if *kept != unfetched {
            for Unfetched { reference, because, .. } in &unfetched {
                tracing::warn!(address = self.address.as_str(), reference, because, "a reference cannot be fetched");
            }
            self.notices.unfetched(self.address.as_str(), &unfetched);
        }
        *kept = unfetched;
    }

    /// Clones beside the mirror, and only then sets the mirror aside: while the remote cannot be reached, what is
    /// there stays. One copy is kept of what was damaged, for whoever wants to know why.
    fn make_anew(&self, damage: &str) -> Result<(), Error> {
        let trouble = |error: io::Error| self.trouble(&self.directory, &error);
        let address = self.address.as_str();
        let (new, aside) = (self.beside("new"), self.beside("damaged"));
        tracing::warn!(address, damage, "the mirror is damaged: it is cloned again");
        remove(&new).map_err(trouble)?;
        let opening = crate::error::git("cloning again", address);
        let unfetched = self.fetch_into(&Repository::init_bare(&new).map_err(opening)?)?;
        {
            let _no_packs_retire = self.upkeep.shaping.lock().expect("nobody panics while merging packs");
            let _alone = self.upkeep.place.write().expect("nobody panics while moving a mirror");
            remove(&aside).map_err(trouble)?;
            std::fs::rename(&self.directory, &aside).map_err(trouble)?;
            std::fs::rename(&new, &self.directory).map_err(trouble)?;
            // They lie beside the mirror's own objects, and nobody fetches them again for a run that goes on.
            let heads = "heads-of-pull-requests";
            match std::fs::rename(aside.join(heads), self.directory.join(heads)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(trouble(error)),
                _ => {}
            }
            self.upkeep.retired.lock().expect("nobody panics while packs retire").clear();
            self.upkeep.generation.fetch_add(1, Ordering::AcqRel);
        }
        self.upkeep.believe(Mended::Anew);
        self.keep(unfetched);
        tracing::warn!(address, damage, aside = %aside.display(), "the mirror was damaged: it was cloned again");
        self.notices.made_anew(address, damage);
        Ok(())
    }

    /// Removes what a process left that died: locks, parts of objects and of packs, half a clone.
    pub(crate) fn remove_leftovers(&self) {
        self.remove_locks();
        self.remove_cut_objects();
        let is_part = |name: &str| name.starts_with("tmp_") || name.starts_with("pack_git2_");
        self.remove_files(&self.directory.join("objects"), 2, &is_part);
        if let Err(error) = remove(&self.beside("new")) {
            tracing::warn!(address = self.address.as_str(), %error, "half a clone cannot be removed");
        }
    }

    /// Removes loose objects that a crash has cut short: libgit2 never comes to the end of one.
    fn remove_cut_objects(&self) {
        for (id, file) in loose(&self.directory).unwrap_or_default() {
            if matches!(is_whole(&file), Ok(false)) {
                tracing::warn!(%id, address = self.address.as_str(), "removed an object that was cut short");
                removed(&file);
            }
        }
    }

    /// Removes the locks that are in the mirror. Only who fetches takes any, so nobody else may call this meanwhile.
    pub(crate) fn remove_locks(&self) {
        let is_lock = |name: &str| Path::new(name).extension().is_some_and(|ending| ending == LOCK);
        self.remove_files(&self.directory, 0, &is_lock);
        self.remove_files(&self.directory.join("refs"), usize::MAX, &is_lock);
        self.remove_files(&self.directory.join("objects"), 2, &is_lock);
    }

    /// Removes the files that are meant from a directory, and so many levels below it.
    fn remove_files(&self, directory: &Path, below: usize, is_meant: &dyn Fn(&str) -> bool) {
        let Ok(entries) = std::fs::read_dir(directory) else { return };
        for entry in entries.flatten() {
            let path = entry.path();
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && below > 0 => self.remove_files(&path, below - 1, is_meant),
                Ok(kind) if kind.is_file() && is_meant(&entry.file_name().to_string_lossy()) => {
                    match std::fs::remove_file(&path) {
                        Ok(()) => tracing::warn!(path = %path.display(), "removed what a process left that died"),
                        Err(error) => tracing::warn!(path = %path.display(), %error, "cannot be removed"),
                    }
                }
                _ => {}
            }
        }
    }

    /// A directory beside the mirror's, named after it.
    fn beside(&self, ending: &str) -> PathBuf {
        self.directory.with_extension(ending)
    }

    pub(crate) fn trouble(&self, at: &Path, error: &io::Error) -> Error {
        Error::Directory { directory: at.display().to_string(), problem: error.to_string() }
    }
}

fn remove(directory: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
