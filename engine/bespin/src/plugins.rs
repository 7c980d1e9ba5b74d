//! The plugins that pipelines may use: those of the server's folder by name,
//! and those of registries by reference.

mod declared;
mod error;
mod identity;
pub mod remote;

pub use declared::PluginFiles;
pub use error::Error;
pub use identity::Identity;

use pipeline::Digest;
use pipeline::declaration::{Declarations, Declared};
use pipeline::lock::plugin_reference;
use remote::Remote;
use sandbox::{Plugin, Sandbox};
use std::collections::{BTreeMap, BTreeSet};
use std::io::ErrorKind::{NotADirectory, NotFound, PermissionDenied};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// How many plugins of registries are held ready; more are loaded from the caches on disk.
const HELD: usize = 64;
/// Where plugins of registries are kept, below the data folder.
pub const FETCHED: &str = "fetched-plugins";

/// The plugins of one folder, `<name>.wasm` each, and those of registries. Loaded once, on first use or ahead of it.
pub struct Plugins {
    dir: PathBuf,
    remote: Option<Arc<Remote>>,
    loaded: Mutex<BTreeMap<String, Known>>,
}

/// A plugin that is ready to run.
#[derive(Clone)]
pub struct Known {
    /// The component, ready to be called.
    pub plugin: Plugin,
    /// Where it came from and what it is, for the run's entries.
    pub identity: Arc<Identity>,
    /// What it declares of its settings and outputs.
    pub declared: Declared,
}

impl Plugins {
    /// Names the folder; nothing is read yet. Plugins of registries are refused.
    pub fn of(dir: &Path) -> Plugins {
        Plugins { dir: dir.to_owned(), remote: None, loaded: Mutex::default() }
    }

    /// Takes plugins from registries as well.
    #[must_use]
    pub fn and(self, remote: Arc<Remote>) -> Plugins {
        Plugins { remote: Some(remote), ..self }
    }

    /// The names in the folder, sorted.
    ///
    /// # Errors
    /// The folder cannot be read; the text names it and how to build the plugins.
    pub fn names(&self) -> Result<Vec<String>, Error> {
        let unreadable = |error: std::io::Error| {
            let (folder, problem) = (self.dir.display().to_string(), error.to_string());
            match error.kind() {
                NotFound | NotADirectory | PermissionDenied => Error::Folder { folder, problem },
                _ => Error::Unread { file: folder, problem },
            }
        };
        let name = |path: &Path| {
            let is_plugin = path.extension().is_some_and(|extension| extension == "wasm");
            is_plugin.then(|| path.file_stem()?.to_str().map(str::to_owned)).flatten()
        };
        let mut names = Vec::new();
        for entry in std::fs::read_dir(&self.dir).map_err(unreadable)? {
            names.extend(name(&entry.map_err(unreadable)?.path()));
        }
        names.sort();
        Ok(names)
    }

    /// Loads every plugin of the folder, so that no step has to wait for a compiler: the names of those that can be
    /// loaded. A bad file is said and left, since one plugin is no reason to serve none; steps that use it are rejected.
    ///
    /// # Errors
    /// The folder cannot be read.
    pub async fn load_all(&self, sandbox: &Sandbox) -> Result<Vec<String>, Error> {
        let mut loaded = Vec::new();
        for name in self.names()? {
            match self.get(sandbox, &name).await {
                Ok(_) => loaded.push(name),
                Err(error) => tracing::error!(%error, "a plugin of the folder cannot be loaded"),
            }
        }
        Ok(loaded)
    }

    /// Those that are held ready, by what steps use.
    pub fn ready(&self) -> Vec<Known> {
        self.loaded.lock().expect("nobody panics while holding the plugins").values().cloned().collect()
    }

    /// A plugin, ready to run.
    ///
    /// # Errors
    /// There is none of that name (with those that there are), it may not run, or it cannot be loaded or fetched.
    pub async fn get(&self, sandbox: &Sandbox, uses: &str) -> Result<Known, Error> {
        if let Some(known) = self.loaded.lock().expect("nobody panics while holding the plugins").get(uses) {
            return Ok(known.clone());
        }
        let known = match plugin_reference(uses) {
            Ok(reference) => {
                let none = || Error::Refused("this server takes none from registries".into());
                let remote = self.remote.as_ref().ok_or_else(none)?;
                // Boxed, for the compiler: the registry's client makes deep futures.
                let remote::Trusted { plugin, signer } = Box::pin(remote.get(&reference)).await?;
                let wasm = plugin.wasm.clone();
                let declared = tokio::task::spawn_blocking(move || sandbox::declared(&wasm)).await;
                let declared = declared.map_err(|error| Error::Load(error.to_string()))?;
                let loaded = sandbox.load(uses, &plugin.wasm).await.map_err(|error| Error::Load(error.to_string()))?;
                let pulled = Some((plugin.manifest, signer));
                let identity = Identity { uses: uses.to_owned(), component: plugin.component, pulled };
                Known { plugin: loaded, identity: Arc::new(identity), declared }
            }
            Err(_) => self.built_in(sandbox, uses).await?,
        };
        let mut loaded = self.loaded.lock().expect("nobody panics while holding the plugins");
        if loaded.values().filter(|known| known.identity.pulled.is_some()).count() >= HELD {
            loaded.retain(|_, known| known.identity.pulled.is_none());
        }
        loaded.insert(uses.to_owned(), known.clone());
        Ok(known)
    }

    /// Whether the folder has a plugin of this name.
    ///
    /// # Errors
    /// It has none, or cannot be read.
    pub fn must_have(&self, name: &str) -> Result<(), Error> {
        let names = self.names()?;
        if names.iter().any(|known| known == name) {
            return Ok(());
        }
        Err(Error::Unknown { name: name.to_owned(), known: names.join(", ") })
    }

    /// What the plugins declare that steps use. Blocks. Those of registries are not looked for: a verdict on a file must
    /// not depend on what this server has fetched so far. They are checked as their step starts, once they are here.
    ///
    /// # Errors
    /// The file of one cannot be read now.
    pub fn declarations(&self, uses: BTreeSet<String>) -> Result<Declarations, Error> {
        let files = PluginFiles { folder: Some(self.dir.clone()), fetched: None };
        let declared = |uses: String| {
            if plugin_reference(&uses).is_ok() {
                let because = "it is of a registry, and checked as its step starts".to_owned();
                return Some(Ok((uses, Declared::Unchecked { because })));
            }
            let loaded = self.loaded.lock().expect("nobody panics while holding the plugins").get(&uses).cloned();
            let declared = match loaded {
                Some(known) => Ok(Some(known.declared)),
                None => files.declared(&uses).map_err(|error| self.unread(&uses, &error)),
            };
            declared.map(|declared| Some((uses, declared?))).transpose()
        };
        uses.into_iter().filter_map(declared).collect()
    }

    async fn built_in(&self, sandbox: &Sandbox, name: &str) -> Result<Known, Error> {
        self.must_have(name)?;
        let path = self.dir.join(format!("{name}.wasm"));
        let read = tokio::task::spawn_blocking(move || declared::read(&path).map(|wasm| wasm.map(with_declared))).await;
        let read = read.map_err(|error| Error::Load(error.to_string()))?.map_err(|error| self.unread(name, &error))?;
        let most = sandbox::inspect::LONGEST;
        let too_long = || Error::Load(format!("the plugin `{name}` is gone, or has more than {most} bytes"));
        let (wasm, declared) = read.ok_or_else(too_long)?;
        let plugin = sandbox.load(name, &wasm).await.map_err(|error| Error::Load(error.to_string()))?;
        let component: Digest = format!("sha256:{}", plugin.digest()).parse().expect("a SHA-256 is a digest");
        let identity = Identity { uses: name.to_owned(), component, pulled: None };
        Ok(Known { plugin, identity: Arc::new(identity), declared })
    }

    fn unread(&self, name: &str, error: &std::io::Error) -> Error {
        let file = self.dir.join(format!("{name}.wasm")).display().to_string();
        Error::Unread { file, problem: error.to_string() }
    }
}

/// A component with what it declares: of the same bytes.
fn with_declared(wasm: Vec<u8>) -> (Vec<u8>, Declared) {
    let declared = sandbox::declared(&wasm);
    (wasm, declared)
}

#[cfg(test)]
mod tests {
    use super::*;
    use decide::retry::Retry;

    #[tokio::test]
    async fn a_folder_that_cannot_be_read_now_is_waited_for_and_one_that_is_not_there_is_not() {
        let dir = tempfile::tempdir().unwrap();
        let sandbox = Sandbox::open(&dir.path().join("cache"), sandbox::Settings::default()).unwrap();
        let folder = dir.path().join("plugins");
        let step = async || Plugins::of(&folder).get(&sandbox, "odd").await.err().unwrap().to_a_step();
        assert_eq!(step().await.retry, Retry::Permanent);
        // An error of the operating system that says nothing of what is there.
        std::os::unix::fs::symlink(&folder, &folder).unwrap();
        let trouble = step().await;
        assert_eq!(trouble.retry, Retry::PASSING, "{trouble}");
    }

    #[tokio::test]
    async fn a_file_that_cannot_be_read_now_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let sandbox = Sandbox::open(&dir.path().join("cache"), sandbox::Settings::default()).unwrap();
        let (plugins, file) = (Plugins::of(dir.path()), dir.path().join("odd.wasm"));
        let look = || plugins.declarations(BTreeSet::from(["odd".to_owned(), "x".repeat(300)]));
        // It opens, and reading it fails.
        std::fs::create_dir(&file).unwrap();
        let step = plugins.get(&sandbox, "odd").await.err().unwrap().to_a_step();
        assert_eq!(step.retry, Retry::PASSING, "{step}");
        let seen = look().err().unwrap();
        assert_eq!((seen.retry(), seen.to_string()), (Retry::PASSING, step.message));
        std::fs::remove_dir(&file).unwrap();
        assert!(look().is_ok_and(|declared| declared.of("odd").is_none()), "no file is no trouble");
        std::fs::write(&file, b"no component").unwrap();
        let step = plugins.get(&sandbox, "odd").await.err().unwrap().to_a_step();
        assert_eq!(step.retry, Retry::Permanent, "{step}");
        assert!(look().unwrap().of("odd").is_some());
    }
}
