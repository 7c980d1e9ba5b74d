//! The plugins that pipelines may use, by name.

use sandbox::{Plugin, Sandbox};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

/// The plugins of one folder, `<name>.wasm` each. Loaded once, on first use or ahead of it.
pub struct Plugins {
    dir: PathBuf,
    loaded: Mutex<BTreeMap<String, Plugin>>,
}

impl Plugins {
    /// Names the folder; nothing is read yet.
    pub fn of(dir: &Path) -> Plugins {
        Plugins { dir: dir.to_owned(), loaded: Mutex::default() }
    }

    /// The names in the folder, sorted.
    ///
    /// # Errors
    /// The folder cannot be read; the text names it and how to build the plugins.
    pub fn names(&self) -> Result<Vec<String>, String> {
        let read = std::fs::read_dir(&self.dir).map_err(|error| {
            format!("{}: {error}; build the plugins with `cargo xtask plugins`", self.dir.display())
        })?;
        let name = |entry: std::io::Result<std::fs::DirEntry>| {
            let path = entry.ok()?.path();
            let is_plugin = path.extension().is_some_and(|extension| extension == "wasm");
            is_plugin.then(|| path.file_stem()?.to_str().map(str::to_owned)).flatten()
        };
        let mut names: Vec<_> = read.filter_map(name).collect();
        names.sort();
        Ok(names)
    }

    /// Loads every plugin of the folder, so that no step has to wait for a compiler.
    ///
    /// # Errors
    /// The first plugin that cannot be loaded, and why.
    pub async fn load_all(&self, sandbox: &Sandbox) -> Result<Vec<String>, String> {
        let names = self.names()?;
        for name in &names {
            self.get(sandbox, name).await?;
        }
        Ok(names)
    }

    /// A plugin, ready to run.
    ///
    /// # Errors
    /// There is none of that name (with those that there are), or it cannot be loaded.
    pub async fn get(&self, sandbox: &Sandbox, name: &str) -> Result<Plugin, String> {
        if let Some(plugin) = self.loaded.lock().expect("nobody panics while holding the plugins").get(name) {
            return Ok(plugin.clone());
        }
        let names = self.names()?;
        if !names.iter().any(|known| known == name) {
            return Err(format!("there is no plugin `{name}`; there are {}", names.join(", ")));
        }
        let path = self.dir.join(format!("{name}.wasm"));
        let plugin = sandbox.load_file(name, &path).await.map_err(|error| error.to_string())?;
        let mut loaded = self.loaded.lock().expect("nobody panics while holding the plugins");
        loaded.insert(name.to_owned(), plugin.clone());
        Ok(plugin)
    }
}
