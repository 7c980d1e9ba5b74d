//! The sandbox: plugins in, verdicts out.

use std::collections::HashMap;
use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;
use wasmtime::Engine;
use wasmtime::component::Linker;

use crate::cache::Cache;
use crate::compiler::{self, Compiler};
use crate::engine::{self, Settings};
use crate::meter::Ticker;
use crate::places::CallPlaces;
use crate::plugin::{Compiled, LoadError, Plugin};
use crate::state::State;
use crate::threads::Threads;

/// The engine, the pool of instances and the cache of compiled plugins. One for a server.
pub struct Sandbox {
    pub(crate) shared: Arc<Shared>,
    /// Plugins that somebody holds, by digest.
    loaded: Mutex<HashMap<String, Weak<Compiled>>>,
    /// How many were compiled, and did not come from the cache.
    compiled: AtomicU64,
    /// One component is compiled at a time.
    compiling: Semaphore,
    /// Places of the pool: past them the pool fails, so that callers wait here.
    pub(crate) places: CallPlaces,
    pub(crate) ticker: Ticker,
    pub(crate) threads: Threads,
}

/// What loading needs on a blocking thread.
pub(crate) struct Shared {
    pub(crate) engine: Engine,
    pub(crate) linker: Linker<State>,
    cache: Cache,
    pub(crate) settings: Settings,
}

impl Sandbox {
    /// Opens the cache (a directory of the sandbox's own, made private) and starts the engine.
    ///
    /// # Errors
    ///
    /// The directory cannot be made or made private, or the machine has too little address space or threads.
    pub fn open(cache: &Path, settings: Settings) -> io::Result<Sandbox> {
        let engine = engine::engine(&settings).map_err(other)?;
        let linker = engine::linker(&engine).map_err(other)?;
        let cache = Cache::open(cache, &engine, settings.cache_bytes)?;
        let ticker = Ticker::start(engine.weak(), settings.heavy_threads())?;
        let threads = Threads::start(&settings)?;
        let places = CallPlaces::new(settings.concurrent, settings.waiting);
        Ok(Sandbox {
            shared: Arc::new(Shared { engine, linker, cache, settings }),
            loaded: Mutex::default(),
            compiled: AtomicU64::new(0),
            compiling: Semaphore::new(1),
            places,
            ticker,
            threads,
        })
    }

    /// Loads a component: as it is loaded already, from the cache, or by compiling it once.
    ///
    /// # Errors
    ///
    /// It is no component, not for this world, or too long.
    pub async fn load(&self, name: &str, wasm: &[u8]) -> Result<Plugin, LoadError> {
        let refuse = |because: String| LoadError { plugin: name.to_owned(), because };
        let (length, most) = (wasm.len() as u64, self.shared.settings.component_bytes);
        if length > most {
            return Err(refuse(format!("it has {length} bytes; {most} are allowed")));
        }
        let digest = compiler::digest(wasm);
        if let Some(compiled) = self.loaded(&digest) {
            return Ok(Plugin::new(name, compiled));
        }
        let shared = Arc::clone(&self.shared);
        let wanted = digest.clone();
        let known = blocking(move || shared.cached(wanted)).await;
        let compiled = match known.map_err(refuse)? {
            Some(compiled) => compiled,
            None => self.compile(name, digest, wasm).await.map_err(refuse)?,
        };
        Ok(Plugin::new(name, self.keep(compiled)))
    }

    /// Loads a component from a file.
    ///
    /// # Errors
    ///
    /// Those of [`Sandbox::load`], or the file cannot be read.
    pub async fn load_file(&self, name: &str, path: &Path) -> Result<Plugin, LoadError> {
        let refuse = |error| LoadError { plugin: name.to_owned(), because: format!("{}: {error}", path.display()) };
        let length = tokio::fs::metadata(path).await.map_err(refuse)?.len();
        let most = self.shared.settings.component_bytes;
        if length > most {
            let because = format!("{}: it has {length} bytes; {most} are allowed", path.display());
            return Err(LoadError { plugin: name.to_owned(), because });
        }
        self.load(name, &tokio::fs::read(path).await.map_err(refuse)?).await
    }

    /// How many components were compiled since it was opened. All others were there already.
    pub fn compiled(&self) -> u64 {
        self.compiled.load(Ordering::Relaxed)
    }

    async fn compile(&self, name: &str, digest: String, wasm: &[u8]) -> Result<Arc<Compiled>, String> {
        let _one_at_a_time = self.compiling.acquire().await.expect("the semaphore is never closed");
        if let Some(compiled) = self.loaded(&digest) {
            return Ok(compiled);
        }
        let shared = Arc::clone(&self.shared);
        let began = Instant::now();
        let compiled = match &self.shared.settings.compiler {
            Compiler::Here => {
                let wasm = wasm.to_owned();
                blocking(move || shared.compile(digest, &wasm)).await?
            }
            Compiler::Program { program, arguments } => {
                compiler::compile_with(program, arguments, wasm).await?;
                let gone = "the compiler left nothing in the cache that can be trusted";
                blocking(move || shared.cached(digest)?.ok_or_else(|| gone.to_owned())).await?
            }
        };
        self.compiled.fetch_add(1, Ordering::Relaxed);
        tracing::info!(plugin = name, took = ?began.elapsed(), "compiled a plugin");
        Ok(self.keep(compiled))
    }

    fn loaded(&self, digest: &str) -> Option<Arc<Compiled>> {
        self.lock().get(digest)?.upgrade()
    }

    /// Makes it known, and returns the one that is known if another was faster.
    fn keep(&self, compiled: Arc<Compiled>) -> Arc<Compiled> {
        let mut loaded = self.lock();
        loaded.retain(|_, known| known.strong_count() > 0);
        if let Some(known) = loaded.get(compiled.digest()).and_then(Weak::upgrade) {
            return known;
        }
        loaded.insert(compiled.digest().to_owned(), Arc::downgrade(&compiled));
        compiled
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Weak<Compiled>>> {
        self.loaded.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shared {
    fn cached(&self, digest: String) -> Result<Option<Arc<Compiled>>, String> {
        let Some(component) = self.cache.get(&self.engine, &digest) else { return Ok(None) };
        Compiled::link(&component, &self.linker, digest).map(Arc::new).map(Some)
    }

    fn compile(&self, digest: String, wasm: &[u8]) -> Result<Arc<Compiled>, String> {
        let component = compiler::compile(&self.engine, wasm)?;
        let compiled = Compiled::link(&component, &self.linker, digest.clone())?;
        if let Err(error) = self.cache.put(&digest, &component) {
            tracing::warn!(%error, "a compiled plugin is not kept; it will be compiled again after a restart");
        }
        Ok(Arc::new(compiled))
    }
}

/// Runs work that takes long on a thread for such work.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, String> + Send + 'static) -> Result<T, String> {
    spawn_blocking(work).await.unwrap_or_else(|error| Err(format!("the compiler failed: {error}")))
}

fn other(error: wasmtime::Error) -> io::Error {
    io::Error::other(format!("{error:#}"))
}
