//! A directory at a commit as a tar archive: the context of an image build.

use crate::error::{self, Error};
use crate::mirror::{Core, Mirror};
use crate::walk::{self, Budget, TreePlace};
use decide::retry::Retry;
use git2::{ObjectType, Repository};
use tar::{Builder, EntryType, Header};

impl Mirror {
    /// Packs a directory at a commit (empty: the root) into a tar archive, its
    /// paths relative to that directory. The same tree always gives the same
    /// bytes: git's order, times and owners of zero, modes 644 and 755. Links
    /// are kept as links; a submodule is refused, for its files are elsewhere.
    ///
    /// # Errors
    /// [`Error::Missing`] where there is no such directory, [`Error::TooLarge`]
    /// above `limit` bytes or 500 000 files and directories.
    pub async fn archive(&self, commit: &str, directory: &str, limit: usize) -> Result<Vec<u8>, Error> {
        let (commit, directory) = (commit.to_owned(), directory.to_owned());
        self.run(move |core| core.archive(&commit, &directory, limit)).await
    }
}

impl Core {
    fn archive(&self, commit: &str, directory: &str, limit: usize) -> Result<Vec<u8>, Error> {
        let repository = self.open_with_heads()?;
        let commit = self.need(&repository, commit)?;
        let parts = directory.split('/').filter(|part| !matches!(*part, "" | "."));
        let mut budget = Budget::new(format!("the directory `{directory}`"), walk::READ);
        let Some(TreePlace::Directory(tree)) = walk::find(&mut budget, &repository, commit.tree_id(), parts)? else {
            let what = format!("the directory `{directory}` at {}", commit.id());
            return Err(Error::Missing { what, address: self.address.as_str().into() });
        };
        let mut packer = Packer { repository: &repository, tar: Builder::new(Vec::new()), left: limit, limit };
        walk::each(&mut budget, &repository, tree, "", |path, entry| packer.add(path, entry))?;
        packer.tar.into_inner().map_err(|error| packing(&error))
    }
}

fn packing(error: &std::io::Error) -> Error {
    Error::Git { tried: "packing", address: "the archive".into(), problem: error.to_string(), retry: Retry::PASSING }
}

struct Packer<'r> {
    repository: &'r Repository,
    tar: Builder<Vec<u8>>,
    left: usize,
    limit: usize,
}

impl Packer<'_> {
    fn add(&mut self, path: &str, entry: &git2::TreeEntry<'_>) -> Result<(), Error> {
        let failed = error::git("reading", path);
        let mut header = Header::new_gnu();
        header.set_mtime(0);
        header.set_uid(0);
        header.set_gid(0);
        header.set_size(0);
        match (entry.kind(), entry.filemode()) {
            (Some(ObjectType::Tree), _) => {
                header.set_entry_type(EntryType::Directory);
                header.set_mode(0o755);
                self.spend(path, 0)?;
                self.tar.append_data(&mut header, format!("{path}/"), std::io::empty()).map_err(|e| packing(&e))
            }
            (Some(ObjectType::Blob), mode) => {
                // The header tells the size before the bytes are unpacked.
                let odb = self.repository.odb().map_err(&failed)?;
                let (size, _) = odb.read_header(entry.id()).map_err(&failed)?;
                self.spend(path, size)?;
                let blob = self.repository.find_blob(entry.id()).map_err(&failed)?;
                if mode == 0o120_000 {
                    header.set_entry_type(EntryType::Symlink);
                    header.set_mode(0o777);
                    let target = String::from_utf8_lossy(blob.content()).into_owned();
                    return self.tar.append_link(&mut header, path, target).map_err(|e| packing(&e));
                }
                header.set_entry_type(EntryType::Regular);
                header.set_mode(if mode == 0o100_755 { 0o755 } else { 0o644 });
                header.set_size(size as u64);
                self.tar.append_data(&mut header, path, blob.content()).map_err(|e| packing(&e))
            }
            _ => {
                let problem = "it is a submodule; its files are in another repository, copy them into this one";
                Err(Error::Git {
                    tried: "packing",
                    address: format!("`{path}`"),
                    problem: problem.into(),
                    retry: Retry::Permanent,
                })
            }
        }
    }

    /// Each entry costs its bytes, padded, and a header of 512.
    fn spend(&mut self, path: &str, size: usize) -> Result<(), Error> {
        let cost = size.div_ceil(512) * 512 + 512 + path.len();
        self.left = self.left.checked_sub(cost).ok_or_else(|| Error::TooLarge {
            what: "the build context".into(),
            limit: format!("{} bytes", self.limit),
        })?;
        Ok(())
    }
}
