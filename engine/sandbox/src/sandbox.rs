//! Signatures, published first.

use std::path::Path;
use std::sync::Arc;

use crate::{Abilities, Ability, Grants, Limits, Verdict};

/// The engine, the pool of instances and the cache of compiled plugins. One for a server.
pub struct Sandbox {}

/// How a sandbox is sized.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Calls at the same time; more wait for a place.
    pub concurrent: u32,
    /// What one instance's memory can grow to at most, in bytes; [`Limits::memory_bytes`] may be lower.
    pub memory_bytes: usize,
    /// Threads that run guests. They are the sandbox's own, so that a busy plugin delays no request.
    pub threads: usize,
    /// All compiled plugins in the cache together, in bytes; the least recently used go first.
    pub cache_bytes: u64,
    /// The longest component that is compiled, in bytes.
    pub component_bytes: u64,
}

/// A compiled plugin, ready to run. Cheap to clone.
#[derive(Clone)]
pub struct Plugin {}

/// Why a file cannot be loaded as a plugin.
#[derive(Debug, thiserror::Error)]
#[error("cannot load the plugin `{plugin}`: {because}")]
pub struct LoadError {
    /// The plugin's name.
    pub plugin: String,
    /// What is wrong with it, and how to mend it.
    pub because: String,
}

impl Sandbox {
    /// Opens the cache (a directory of the sandbox's own, mode 0700) and starts the engine. Needs no runtime.
    ///
    /// # Errors
    ///
    /// The directory cannot be made or is not private, or the machine has too little address space.
    pub fn open(_cache: &Path, _settings: Settings) -> std::io::Result<Sandbox> {
        todo!()
    }

    /// Loads a component: from the cache, or by compiling it once.
    ///
    /// # Errors
    ///
    /// It is no component, not for this world, or too long.
    pub async fn load(&self, _name: &str, _wasm: &[u8]) -> Result<Plugin, LoadError> {
        todo!()
    }

    /// Loads a component from a file.
    ///
    /// # Errors
    ///
    /// Those of [`Sandbox::load`], or the file cannot be read.
    pub async fn load_file(&self, _name: &str, _path: &Path) -> Result<Plugin, LoadError> {
        todo!()
    }

    /// Runs a plugin once, in an instance of its own. Dropping the future stops it.
    ///
    /// `settings` is the step's `with:` as a JSON object. Must be called within a tokio runtime, on which the
    /// abilities are called.
    pub async fn run(
        &self,
        _plugin: &Plugin,
        _settings: &str,
        _grants: &Grants,
        _limits: &Limits,
        _abilities: Arc<dyn Abilities>,
    ) -> Verdict {
        todo!()
    }
}

impl Plugin {
    /// The name that it was loaded under.
    pub fn name(&self) -> &str {
        todo!()
    }

    /// The SHA-256 of the component, in hex.
    pub fn digest(&self) -> &str {
        todo!()
    }

    /// Which abilities it asks for.
    pub fn imports(&self) -> &[Ability] {
        todo!()
    }
}
