//! What plugins declare of themselves, read from their files: nothing is compiled, and no registry is asked.

use super::remote;
use pipeline::declaration::Declared;
use pipeline::lock::plugin_reference;
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
    pub fn declared(&self, uses: &str) -> Option<Declared> {
        match plugin_reference(uses) {
            Ok(reference) => remote::stored(self.fetched.as_deref()?, &reference).map(|wasm| sandbox::declared(&wasm)),
            Err(_) => read(&self.folder.as_ref()?.join(format!("{uses}.wasm"))).map(|wasm| sandbox::declared(&wasm)),
        }
    }
}

/// A component's file; none where it cannot be read, or is longer than a plugin may be.
fn read(path: &Path) -> Option<Vec<u8>> {
    let file = std::fs::File::open(path).ok()?;
    let mut wasm = Vec::new();
    file.take(sandbox::inspect::LONGEST + 1).read_to_end(&mut wasm).ok()?;
    (wasm.len() as u64 <= sandbox::inspect::LONGEST).then_some(wasm)
}
