//! The file system that a recipe's steps add up to.

use crate::context::{Context, Found, FoundKind};
use crate::error::Error;
use decide::image::dockerfile::{ArchiveRule, Copy, FileStep, Into};
use decide::image::ignore;
use std::collections::BTreeMap;
use std::io::Read;

/// Every file of the image, by its path without the first slash.
pub(crate) type Tree = BTreeMap<String, Node>;

/// One file of the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Node {
    /// Where its bytes come from.
    pub found: Found,
    /// User and group id.
    pub owner: (u64, u64),
}

/// More links than this, one to the next, are a circle.
const MOST_LINKS: usize = 32;

/// Carries out a recipe's steps on an empty file system.
///
/// # Errors
/// The first step that cannot be done, with its line in the Dockerfile.
pub(crate) fn grow(steps: &[FileStep], context: &Context) -> Result<Tree, Error> {
    let mut tree = Tree::new();
    for step in steps {
        match step {
            FileStep::Directory { path } => directory(&mut tree, &ignore::clean(path), (0, 0)).map_err(Error::Input)?,
            FileStep::Copy(copy) => {
                let line = |message: String| Error::Input(format!("line {} of the Dockerfile: {message}", copy.line));
                let matched = matched(copy, context).map_err(line)?;
                for source in &matched {
                    copy_one(&mut tree, copy, source, context)?.map_err(line)?;
                }
            }
        }
    }
    Ok(tree)
}

/// The paths in the context that a copy's sources mean.
fn matched(copy: &Copy, context: &Context) -> Result<Vec<String>, String> {
    let mut matched = Vec::new();
    for source in &copy.sources {
        let before = matched.len();
        if source.is_empty() || context.get(source).is_some() {
            matched.push(source.clone());
        } else if ignore::is_pattern(source) {
            let paths = context.entries().map(|(path, _)| path).filter(|path| ignore::matches(source, path));
            matched.extend(paths.map(str::to_owned));
        }
        if matched.len() == before {
            let help = "name a file that the context has, and mind .dockerignore";
            return Err(format!("`{source}` is not in the context; {help}"));
        }
    }
    if matched.len() > 1 && copy.into == Into::Path {
        return Err(format!("{} files need a directory as target; write `{}/`", matched.len(), copy.target));
    }
    Ok(matched)
}

/// Puts one file, or the contents of one directory, where the copy says.
/// The outer error is ours, the inner one the author's.
fn copy_one(tree: &mut Tree, copy: &Copy, source: &str, context: &Context) -> Result<Result<(), String>, Error> {
    let target = ignore::clean(&copy.target);
    let source = match followed(source, context) {
        Ok(source) => source,
        Err(message) => return Ok(Err(message)),
    };
    let found = context.get(&source);
    if source.is_empty() || found.is_some_and(|found| found.kind == FoundKind::Directory) {
        return Ok(copy_directory(tree, copy, &source, &target, context));
    }
    let Some(found) = found else { return Ok(Err(format!("`{source}` is not in the context"))) };
    if copy.archives == ArchiveRule::Unpacked && is_archive(found, context)? {
        let help = "unpack it before and COPY its files, or build on a server with a Docker Engine";
        return Ok(Err(format!("ADD would unpack the archive `{source}`; {help}")));
    }
    let is_directory = tree.get(&target).is_some_and(|node| node.found.kind == FoundKind::Directory);
    let path = if target.is_empty() || is_directory || copy.into == Into::Directory {
        let name = source.rsplit('/').next().unwrap_or(&source);
        join(&target, name)
    } else {
        target
    };
    Ok(put(tree, &path, found, copy))
}

fn copy_directory(tree: &mut Tree, copy: &Copy, source: &str, target: &str, context: &Context) -> Result<(), String> {
    directory(tree, target, copy.owner)?;
    for (path, found) in context.entries() {
        let relative = if source.is_empty() {
            Some(path)
        } else {
            path.strip_prefix(source).and_then(|rest| rest.strip_prefix('/'))
        };
        if let Some(relative) = relative {
            put(tree, &join(target, relative), found, copy)?;
        }
    }
    Ok(())
}

fn put(tree: &mut Tree, path: &str, found: &Found, copy: &Copy) -> Result<(), String> {
    if found.kind == FoundKind::Directory {
        return directory(tree, path, copy.owner);
    }
    if let Some((parent, _)) = path.rsplit_once('/') {
        directory(tree, parent, (0, 0))?;
    }
    if tree.get(path).is_some_and(|node| node.found.kind == FoundKind::Directory) {
        return Err(format!("/{path} is a directory already, and a file would take its place"));
    }
    let mode = copy.mode.unwrap_or(found.mode);
    tree.insert(path.to_owned(), Node { found: Found { kind: found.kind.clone(), mode }, owner: copy.owner });
    Ok(())
}

/// Makes a directory and those above it, as far as they are missing.
fn directory(tree: &mut Tree, path: &str, owner: (u64, u64)) -> Result<(), String> {
    let ends = path.match_indices('/').map(|(at, _)| at).chain([path.len()]);
    for end in ends.filter(|end| *end > 0) {
        let owner = if end == path.len() { owner } else { (0, 0) };
        let directory = Node { found: Found { kind: FoundKind::Directory, mode: 0o755 }, owner };
        let node = tree.entry(path[..end].to_owned()).or_insert(directory);
        if node.found.kind != FoundKind::Directory {
            return Err(format!("/{} is no directory, and one would take its place", &path[..end]));
        }
    }
    Ok(())
}

/// A source that is a link stands for the file it leads to, within the context.
fn followed(source: &str, context: &Context) -> Result<String, String> {
    let mut path = source.to_owned();
    for _ in 0..MOST_LINKS {
        let Some(Found { kind: FoundKind::Link(target), .. }) = context.get(&path) else { return Ok(path) };
        let parent = path.rsplit_once('/').map_or("", |(parent, _)| parent);
        path = if target.starts_with('/') { ignore::clean(target) } else { ignore::clean(&join(parent, target)) };
    }
    Err(format!("the link `{source}` leads in a circle"))
}

/// Docker's own test: by content, not by name.
fn is_archive(found: &Found, context: &Context) -> Result<bool, Error> {
    let FoundKind::File { offset, size } = found.kind else { return Ok(false) };
    let mut start = Vec::new();
    let mut files = context.reader()?;
    let read = files.at(offset, size.min(512))?.read_to_end(&mut start);
    read.map_err(|error| Error::disk("reading the context", error))?;
    let magics: [&[u8]; 4] = [&[0x1f, 0x8b], b"BZh", &[0xfd, b'7', b'z', b'X', b'Z'], &[0x28, 0xb5, 0x2f, 0xfd]];
    let is_tar = start.get(257..262) == Some(b"ustar");
    Ok(is_tar || magics.iter().any(|magic| start.starts_with(magic)))
}

fn join(directory: &str, name: &str) -> String {
    if directory.is_empty() { name.to_owned() } else { format!("{directory}/{name}") }
}
