//! A build's context: a tar file on disk, indexed, seen through `.dockerignore`.

use crate::error::Error;
use decide::image::ignore::{self, Ignore};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// A Dockerfile or ignore file longer than this is refused.
const LONGEST_TEXT: u64 = 1 << 20;

/// The files that a build may take.
pub(crate) struct Context {
    tar: PathBuf,
    entries: BTreeMap<String, Found>,
    dockerfile: String,
    text: String,
}

/// One file of the context.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// Whether it is a directory, a file or a link.
    pub kind: FoundKind,
    /// The permission bits of its header in the tar, such as `0o755`.
    pub mode: u32,
}

/// What a file of the context is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum FoundKind {
    /// A directory; its files are entries of their own.
    Directory,
    /// Bytes, where they are in the tar.
    File {
        /// From the tar's beginning.
        offset: u64,
        /// How many bytes, as the header says.
        size: u64,
    },
    /// A symbolic link, with its target.
    Link(String),
}

impl Context {
    /// Indexes a tar, and reads the Dockerfile and the ignore file in it.
    ///
    /// # Errors
    /// The tar is damaged, holds what no context has, or has no such Dockerfile.
    pub(crate) fn open(tar: &Path, dockerfile: &str) -> Result<Context, Error> {
        let dockerfile = ignore::clean(dockerfile);
        let entries = index(tar)?;
        let mut context = Context { tar: tar.to_owned(), entries, text: String::new(), dockerfile };
        context.text = context.read_text(&context.dockerfile)?.ok_or_else(|| {
            let near: Vec<&str> =
                context.entries.keys().filter(|path| path.contains("ockerfile")).map(String::as_str).collect();
            let near =
                if near.is_empty() { "there is none in it".into() } else { format!("it has {}", near.join(", ")) };
            Error::Input(format!(
                "the context has no {}; {near}: correct `context` or `dockerfile`",
                context.dockerfile
            ))
        })?;
        let own = format!("{}.dockerignore", context.dockerfile);
        let rules = match context.read_text(&own)? {
            Some(rules) => Some((own.as_str(), rules)),
            None => context.read_text(".dockerignore")?.map(|rules| (".dockerignore", rules)),
        };
        if let Some((file, rules)) = rules {
            let rules = Ignore::parse(&rules).map_err(|wrong| Error::Input(format!("{file}, {wrong}")))?;
            context.entries.retain(|path, _| !rules.ignores(path));
        }
        Ok(context)
    }

    /// The Dockerfile as it stands in the context.
    pub(crate) fn dockerfile_text(&self) -> &str {
        &self.text
    }

    /// One file, by its cleaned path.
    pub(crate) fn get(&self, path: &str) -> Option<&Found> {
        self.entries.get(path)
    }

    /// All files by path, in order.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&str, &Found)> {
        self.entries.iter().map(|(path, found)| (path.as_str(), found))
    }

    /// Opens the tar, to read files out of it.
    pub(crate) fn reader(&self) -> Result<Files, Error> {
        let file = File::open(&self.tar).map_err(|error| Error::file("opening", &self.tar, error))?;
        Ok(Files { file, path: self.tar.clone() })
    }

    /// Writes what the build may see as a tar, with the Dockerfile whether it is ignored or not.
    pub(crate) fn write_visible(&self, out: impl Write) -> Result<(), Error> {
        let mut reader = self.reader()?;
        let mut tar = tar::Builder::new(out);
        let wrong = |error: std::io::Error| Error::file("copying", &self.tar, error);
        for (path, found) in &self.entries {
            if *path == self.dockerfile {
                continue;
            }
            append(&mut tar, path, found, found.mode, (0, 0), &mut reader)?;
        }
        let mut header = header(0o644, (0, 0));
        header.set_entry_type(tar::EntryType::Regular);
        header.set_size(self.text.len() as u64);
        tar.append_data(&mut header, &self.dockerfile, self.text.as_bytes()).map_err(wrong)?;
        tar.finish().map_err(wrong)
    }

    fn read_text(&self, path: &str) -> Result<Option<String>, Error> {
        let Some(Found { kind: FoundKind::File { offset, size }, .. }) = self.entries.get(path) else {
            return Ok(None);
        };
        if *size > LONGEST_TEXT {
            return Err(Error::Input(format!("{path} has {size} bytes; more than {LONGEST_TEXT} are refused")));
        }
        let mut text = String::new();
        let mut files = self.reader()?;
        let read = files.at(*offset, *size)?.read_to_string(&mut text);
        read.map_err(|error| Error::Input(format!("{path} cannot be read as text: {error}")))?;
        Ok(Some(text))
    }
}

/// Reads single files out of the context's tar.
pub(crate) struct Files {
    file: File,
    path: PathBuf,
}

impl Files {
    /// The bytes of one file.
    pub(crate) fn at(&mut self, offset: u64, size: u64) -> Result<impl Read + '_, Error> {
        let sought = self.file.seek(SeekFrom::Start(offset));
        sought.map_err(|error| Error::file("reading", &self.path, error))?;
        Ok((&mut self.file).take(size))
    }
}

/// A tar header that says nothing of the moment or the machine.
pub(crate) fn header(mode: u32, owner: (u64, u64)) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    header.set_mode(mode & 0o7777);
    header.set_uid(owner.0);
    header.set_gid(owner.1);
    header.set_mtime(0);
    header
}

/// Appends one file of the context to a tar, under this path.
pub(crate) fn append(
    tar: &mut tar::Builder<impl Write>,
    path: &str,
    found: &Found,
    mode: u32,
    owner: (u64, u64),
    files: &mut Files,
) -> Result<(), Error> {
    let mut header = header(mode, owner);
    let written = match &found.kind {
        FoundKind::Directory => {
            header.set_entry_type(tar::EntryType::Directory);
            header.set_size(0);
            tar.append_data(&mut header, format!("{path}/"), std::io::empty())
        }
        FoundKind::File { offset, size } => {
            header.set_entry_type(tar::EntryType::Regular);
            header.set_size(*size);
            tar.append_data(&mut header, path, files.at(*offset, *size)?)
        }
        FoundKind::Link(target) => {
            header.set_entry_type(tar::EntryType::Symlink);
            header.set_size(0);
            tar.append_link(&mut header, path, target)
        }
    };
    written.map_err(|error| Error::disk(&format!("writing {path} into a tar"), error))
}

fn index(tar: &Path) -> Result<BTreeMap<String, Found>, Error> {
    let damaged = |error: std::io::Error| Error::file("reading the context", tar, error);
    let file = File::open(tar).map_err(damaged)?;
    let mut archive = tar::Archive::new(BufReader::new(file));
    let mut entries = BTreeMap::new();
    for entry in archive.entries_with_seek().map_err(damaged)? {
        let entry = entry.map_err(damaged)?;
        let Some(path) = entry.path().map_err(damaged)?.to_str().map(str::to_owned) else {
            return Err(Error::Input(format!(
                "the context has a file whose name is not UTF-8: {:?}",
                entry.path_bytes()
            )));
        };
        if path.split('/').any(|part| part == "..") {
            return Err(Error::Input(format!("the context has a path that leaves it: {path}")));
        }
        let path = ignore::clean(&path);
        let mode = entry.header().mode().map_err(damaged)? & 0o7777;
        let kind = match entry.header().entry_type() {
            tar::EntryType::Directory => FoundKind::Directory,
            tar::EntryType::Regular | tar::EntryType::Continuous => {
                FoundKind::File { offset: entry.raw_file_position(), size: entry.size() }
            }
            tar::EntryType::Symlink => {
                let target = entry.link_name().map_err(damaged)?;
                let target = target.as_deref().and_then(Path::to_str).map(str::to_owned);
                FoundKind::Link(target.ok_or_else(|| Error::Input(format!("the link {path} has no readable target")))?)
            }
            tar::EntryType::XGlobalHeader => continue,
            other => {
                return Err(Error::Input(format!(
                    "the context has {path}, which is no file, directory or link ({other:?})"
                )));
            }
        };
        if !path.is_empty() {
            add_parents(&mut entries, &path);
            entries.insert(path, Found { kind, mode });
        }
    }
    Ok(entries)
}

/// A tar need not name its directories; a context has them all.
fn add_parents(entries: &mut BTreeMap<String, Found>, path: &str) {
    for (at, _) in path.match_indices('/') {
        let parent = entries.entry(path[..at].to_owned());
        parent.or_insert(Found { kind: FoundKind::Directory, mode: 0o755 });
    }
}
