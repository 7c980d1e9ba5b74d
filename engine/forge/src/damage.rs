//! Whether the files of a mirror are what they should be.
//!
//! Errors of libgit2 give the occasion; what is found in the files decides. What cannot be read for want of rights,
//! memory or file descriptors is not damaged.

use crate::error::{self, Error, is_of_the_mirror};
use crate::mirror::Core;
use crate::shape::{Pack, loose};
use flate2::read::ZlibDecoder;
use git2::{ErrorClass, ErrorCode, ObjectType, Oid, Repository};
use std::collections::HashSet;
use std::fmt::Display;
use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::path::Path;

/// The bytes of a checksum at the end of a pack and of its index.
const CHECKSUM: i64 = 20;

impl Core {
    /// What a look at the few bytes tells by which files name themselves. It costs a fetch next to nothing.
    pub(crate) fn damage_at_a_glance(&self) -> Result<Option<String>, Error> {
        let trouble = |error| self.trouble(&self.directory, &error);
        match std::fs::read_dir(&self.directory) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(trouble(error)),
            Ok(mut entries) => {
                if entries.next().is_none() {
                    return Ok(None);
                }
            }
        }
        if let Some(damage) = reference(&self.directory.join("HEAD")).map_err(trouble)? {
            return Ok(Some(damage));
        }
        for pack in Pack::all(&self.directory).map_err(trouble)? {
            if let Some(damage) = ends(&pack).map_err(trouble)? {
                return Ok(Some(damage));
            }
        }
        Ok(None)
    }

    /// What is damaged, if anything is: reads every reference and every object, and whether each leads to others that
    /// are there.
    pub(crate) fn damage(&self) -> Result<Option<String>, Error> {
        if let Some(damage) = self.damage_at_a_glance()? {
            return Ok(Some(damage));
        }
        if !self.directory.exists() {
            return Ok(None);
        }
        if let Some(damage) = self.damaged_references()? {
            return Ok(Some(damage));
        }
        let trouble = |error| self.trouble(&self.directory, &error);
        for (id, file) in loose(&self.directory).map_err(trouble)? {
            if !is_whole(&file).map_err(trouble)? {
                return Ok(Some(format!("the object {id} is cut short")));
            }
        }
        match Repository::open_bare(&self.directory).and_then(|repository| objects(&repository)) {
            Ok(()) => Ok(None),
            Err(error) if is_of_the_mirror(&error) || error.code() == ErrorCode::InvalidSpec => {
                Ok(Some(error.message().trim().to_owned()))
            }
            Err(error) => Err(error::git("looking at the mirror of", self.address.as_str())(error)),
        }
    }
}

impl Core {
    pub(crate) fn damaged_references(&self) -> Result<Option<String>, Error> {
        references(&self.directory.join("refs")).map_err(|error| self.trouble(&self.directory, &error))
    }
}

/// Whether a loose object's file can be unpacked to its end; libgit2 turns for ever where it cannot. What is wrong in
/// other ways libgit2 tells.
pub(crate) fn is_whole(file: &Path) -> io::Result<bool> {
    match io::copy(&mut ZlibDecoder::new(File::open(file)?), &mut io::sink()) {
        Ok(_) => Ok(true),
        Err(error) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::InvalidInput) => Ok(false),
        Err(error) if error.kind() == ErrorKind::InvalidData => Ok(false),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

/// Whether a reference's file names another reference or an object.
fn reference(file: &Path) -> io::Result<Option<String>> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let text = match std::fs::read(file) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Some(format!("the file of `{name}` is gone"))),
        read => read?,
    };
    let text = text.trim_ascii();
    let is_id = text.len() == 40 && text.iter().all(u8::is_ascii_hexdigit);
    let is_sound = is_id || text.strip_prefix(b"ref:").is_some_and(|name| name.trim_ascii().starts_with(b"refs/"));
    Ok((!is_sound).then(|| format!("the file of `{name}` names neither a reference nor an object")))
}

/// Whether every reference's file does; libgit2 passes over those that do not.
fn references(directory: &Path) -> io::Result<Option<String>> {
    let entries = match std::fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Some("its references are gone".into())),
        entries => entries?,
    };
    for entry in entries {
        let entry = entry?;
        let damage = match entry.file_type()?.is_dir() {
            true => references(&entry.path())?,
            false => reference(&entry.path())?,
        };
        if damage.is_some() {
            return Ok(damage);
        }
    }
    Ok(None)
}

/// Whether a pack and its index are of each other: the index ends in the pack's checksum and its own.
fn ends(pack: &Pack) -> io::Result<Option<String>> {
    let damaged = |what: &str| Ok(Some(format!("the pack {} {what}", pack.name())));
    let (mut index, mut packed) = match (File::open(pack.index()), File::open(pack.packed())) {
        // It went while others were looked at.
        (Err(error), _) | (_, Err(error)) if error.kind() == ErrorKind::NotFound => return Ok(None),
        (index, packed) => (index?, packed?),
    };
    if bytes::<8>(&mut index, SeekFrom::Start(0))? != Some(*b"\xfftOc\0\0\0\x02") {
        return damaged("has an index that is none");
    }
    if bytes::<4>(&mut packed, SeekFrom::Start(0))? != Some(*b"PACK") {
        return damaged("is none");
    }
    let told = bytes::<20>(&mut index, SeekFrom::End(-2 * CHECKSUM))?;
    if told.is_none() || bytes::<20>(&mut packed, SeekFrom::End(-CHECKSUM))? != told {
        return damaged("does not end as its index says");
    }
    Ok(None)
}

/// So many bytes from there; `None` where the file is too short.
fn bytes<const N: usize>(file: &mut File, from: SeekFrom) -> io::Result<Option<[u8; N]>> {
    let mut read = [0; N];
    match file.seek(from).and_then(|_| file.read_exact(&mut read)) {
        Ok(()) => Ok(Some(read)),
        Err(error) if matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::InvalidInput) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Reads every object, which libgit2 compares with its id, and follows it and every reference one step: what each leads
/// to must be there, for a mirror has whole histories.
fn objects(repository: &Repository) -> Result<(), git2::Error> {
    let odb = repository.odb()?;
    let mut ids = HashSet::new();
    odb.foreach(|id| {
        ids.insert(*id);
        true
    })?;
    let need = |of: &dyn Display, id: Oid| match ids.contains(&id) {
        true => Ok(()),
        false => {
            Err(git2::Error::new(ErrorCode::NotFound, ErrorClass::Odb, format!("{of} leads to {id}, which is gone")))
        }
    };
    for reference in repository.references()? {
        let reference = reference?;
        if let Some(id) = reference.target() {
            need(&String::from_utf8_lossy(reference.name_bytes()), id)?;
        }
    }
    for id in &ids {
        match odb.read(*id)?.kind() {
            ObjectType::Commit => {
                let commit = repository.find_commit(*id)?;
                std::iter::once(commit.tree_id()).chain(commit.parent_ids()).try_for_each(|to| need(id, to))?;
            }
            ObjectType::Tree => {
                let tree = repository.find_tree(*id)?;
                let held = tree.iter().filter(|entry| entry.kind() != Some(ObjectType::Commit));
                held.map(|entry| entry.id()).try_for_each(|to| need(id, to))?;
            }
            ObjectType::Tag => need(id, repository.find_tag(*id)?.target_id())?,
            _ => {}
        }
    }
    Ok(())
}
