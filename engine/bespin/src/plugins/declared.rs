//! What plugins declare of themselves, read from their files: nothing is compiled, and no registry is asked.

use super::remote;
use pipeline::declaration::Declared;
use pipeline::lock::plugin_reference;
use std::io::ErrorKind::{InvalidFilename, InvalidInput, NotADirectory, NotFound};
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Where the files of plugins are.
#[derive(Clone, Debug, Default)]
pub struct PluginFiles {
    /// The folder of a server's own, `<name>.wasm` each.
    pub folder: Option<PathBuf>,
    /// The store of those that were fetched from registries.
    pub fetched: Option<PathBuf>,
}

impl PluginFiles {
    /// What one plugin declares, if its file is here.
    ///
    /// # Errors
    /// Its file cannot be read now: that is not the same as none.
    pub fn declared(&self, uses: &str) -> std::io::Result<Option<Declared>> {
        let wasm = match (plugin_reference(uses), &self.folder, &self.fetched) {
            (Ok(reference), _, Some(fetched)) => remote::stored(fetched, &reference)?,
            (Err(_), Some(folder), _) => read(&folder.join(format!("{uses}.wasm")))?,
            (Ok(_), _, None) | (Err(_), None, _) => None,
        };
        Ok(wasm.map(|wasm| sandbox::declared(&wasm)))
    }
}

/// A component's file; none where there is no such file, or it is longer than a plugin may be.
pub(super) fn read(path: &Path) -> std::io::Result<Option<Vec<u8>>> {
    let file = match std::fs::File::open(path) {
        // No file has the name, or none can: a step may name anything.
        Err(error) if matches!(error.kind(), NotFound | NotADirectory | InvalidFilename | InvalidInput) => {
            return Ok(None);
        }
        opened => opened?,
    };
    let mut wasm = Vec::new();
    file.take(sandbox::inspect::LONGEST + 1).read_to_end(&mut wasm)?;
    Ok((wasm.len() as u64 <= sandbox::inspect::LONGEST).then_some(wasm))
}
