//! Plugins that the server's own stages call: named by its configuration, never by a pipeline.
//!
//! At the start a stage asks [`Extensions::load`] for the plugin that a row of the configuration names, and keeps the
//! [`Extension`]. At each call it asks that for [`Extension::ready`]: the plugin, or why there is none, as a sentence.
//! So a registry that is down keeps no server from starting, and nothing is compiled while a stage waits.
//!
//! They run in a sandbox of their own. A step may hold its place in the other one while it waits for a stage, and a
//! stage that waited for that place would wait for ever.

use crate::plugins::{Error, Known, Plugins};
use decide::retry::Retry;
use pipeline::limits::{Limit, Limits};
use pipeline::lock::plugin_reference;
use sandbox::{Busy, Sandbox, Settings, Verdict, World};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, Weak};
use std::time::Duration;
use tokio::task::{JoinError, JoinHandle};

/// How many generators run at the same time, and how many judges: neither ever has the places that routers need.
pub const SHARE: u32 = 4;
/// How many calls of stages there are at the same time.
const CALLS: u32 = 3 * SHARE;
/// How long the start waits for a registry.
const PATIENCE: Duration = Duration::from_secs(20);

/// The plugins of the stages, and the sandbox that they run in.
pub struct Extensions {
    plugins: Arc<Plugins>,
    cache: PathBuf,
    settings: Settings,
    /// Opened for the first of them: most servers have none.
    sandbox: OnceLock<Arc<Sandbox>>,
    all: Mutex<Vec<Arc<Extension>>>,
}

/// A plugin that a row of the configuration names.
pub struct Extension {
    /// The table of its row, such as `health`.
    pub table: &'static str,
    /// What the row is for, such as `cert-manager.io/Certificate`.
    pub name: String,
    /// The name or the reference that stands there.
    pub uses: String,
    /// What it is asked to be.
    pub world: World,
    /// What a call of it may use.
    pub limits: Limits,
    sandbox: Arc<Sandbox>,
    state: Mutex<Result<Known, Error>>,
}

impl Extensions {
    /// Names the plugins that there are, the folder of compiled ones, and how their sandbox is set up. These plugins
    /// must be in no other sandbox: what one has compiled does not run in another.
    pub fn new(plugins: Plugins, cache: PathBuf, settings: Settings) -> Extensions {
        let settings = Settings { concurrent: CALLS, threads: 2, busy: Busy::Beside, ..settings };
        Extensions { plugins: Arc::new(plugins), cache, settings, sandbox: OnceLock::new(), all: Mutex::default() }
    }

    /// The plugin of a row, compiled: `table` and `name` say which row, as mistakes call it. One that cannot be had now
    /// is an extension all the same, which is not ready; whoever may have it later is asked again.
    /// `limits` are what a call of it may use.
    ///
    /// # Errors
    /// What no waiting repairs: the folder has no such plugin, it is of another world, or there is no sandbox. As a
    /// sentence that begins with the row.
    pub async fn load(
        &self,
        table: &'static str,
        name: &str,
        uses: &str,
        world: World,
        limits: Limits,
    ) -> Result<Arc<Extension>, String> {
        let wrong = |error: Error| format!("{table} `{name}`: {error}");
        if plugin_reference(uses).is_err() {
            self.plugins.must_have(uses).map_err(wrong)?;
        }
        let sandbox = self.sandbox().map_err(|error| wrong(Error::Load(error.to_string())))?;
        let mut getting = get(self.plugins.clone(), sandbox.clone(), uses.to_owned());
        // Only a registry can keep the start waiting.
        let patience = if plugin_reference(uses).is_ok() { PATIENCE } else { Duration::MAX };
        let got = tokio::time::timeout(patience, &mut getting).await.ok().map(loaded);
        let state = match &got {
            Some(Ok(known)) => Ok(of_world(known.clone(), world).map_err(wrong)?),
            Some(Err(error)) => Err(error.clone()),
            None => Err(Error::Fetching),
        };
        if let Err(error) = &state {
            tracing::error!(table, name, plugin = uses, %error, "a plugin of the configuration is not ready");
        }
        let (name, uses) = (name.to_owned(), uses.to_owned());
        let extension = Arc::new(Extension { table, name, uses, world, limits, sandbox, state: Mutex::new(state) });
        match got {
            None => drop(tokio::spawn(later(Arc::downgrade(&extension), self.plugins.clone(), Ok(getting)))),
            Some(Err(error)) if error.retry().may_pass() => {
                drop(tokio::spawn(later(Arc::downgrade(&extension), self.plugins.clone(), Err(error.retry()))));
            }
            Some(_) => {}
        }
        self.all.lock().expect("nobody panics while holding the extensions").push(extension.clone());
        Ok(extension)
    }

    /// All that were asked for.
    pub fn all(&self) -> Vec<Arc<Extension>> {
        self.all.lock().expect("nobody panics while holding the extensions").clone()
    }

    fn sandbox(&self) -> std::io::Result<Arc<Sandbox>> {
        if let Some(sandbox) = self.sandbox.get() {
            return Ok(sandbox.clone());
        }
        let opened = Sandbox::open(&self.cache, self.settings.clone())?;
        Ok(self.sandbox.get_or_init(|| Arc::new(opened)).clone())
    }
}

impl Extension {
    /// The sandbox that runs the plugin.
    pub fn sandbox(&self) -> &Sandbox {
        &self.sandbox
    }

    /// The plugin.
    ///
    /// # Errors
    /// It cannot be had at the moment, as a sentence.
    pub fn ready(&self) -> Result<Known, String> {
        let state = self.state.lock().expect("nobody panics while holding an extension").clone();
        state.map_err(|error| format!("the plugin `{}` is not ready: {error}", self.uses))
    }

    fn set(&self, state: Result<Known, Error>) {
        *self.state.lock().expect("nobody panics while holding an extension") = state;
    }
}

fn of_world(known: Known, wanted: World) -> Result<Known, Error> {
    let (name, is) = (known.plugin.name().to_owned(), known.plugin.world());
    if is == wanted { Ok(known) } else { Err(Error::World { name, is, wanted }) }
}

/// A plugin on its way: it goes on when nobody waits for it any longer.
type Getting = JoinHandle<Result<Known, Error>>;

fn get(plugins: Arc<Plugins>, sandbox: Arc<Sandbox>, uses: String) -> Getting {
    tokio::spawn(async move { plugins.get(&sandbox, &uses).await })
}

fn loaded(joined: Result<Result<Known, Error>, JoinError>) -> Result<Known, Error> {
    joined.unwrap_or_else(|_| Err(Error::Load("loading it failed; the server's log says why".into())))
}

/// Waits for what is on its way, or begins with what came of it; and asks again until there is a plugin, nobody needs it
/// any more, or it never comes.
async fn later(extension: Weak<Extension>, plugins: Arc<Plugins>, begun: Result<Getting, Retry>) {
    let mut failures = 0;
    let (mut getting, mut retry) = match begun {
        Ok(getting) => (Some(getting), Retry::PASSING),
        Err(retry) => (None, retry),
    };
    loop {
        let got = match getting.take() {
            Some(getting) => loaded(getting.await),
            None => {
                failures += 1;
                let pause = retry.pause_ms(failures, rand::random());
                tokio::time::sleep(Duration::from_millis(pause)).await;
                let Some(extension) = extension.upgrade() else { return };
                loaded(get(plugins.clone(), extension.sandbox.clone(), extension.uses.clone()).await)
            }
        };
        let Some(extension) = extension.upgrade() else { return };
        let Extension { table, name, uses, .. } = &*extension;
        match got {
            Err(error) if error.retry().may_pass() => {
                retry = error.retry();
                extension.set(Err(error));
            }
            Err(error) => {
                tracing::error!(table, name, plugin = uses, %error, "a plugin of the configuration cannot be used");
                return extension.set(Err(error));
            }
            Ok(known) => {
                tracing::info!(table, name, plugin = uses, "a plugin of the configuration is ready at last");
                return extension.set(of_world(known, extension.world));
            }
        }
    }
}

/// What comes of a call with this wall time; it is over after twice that, the wait for a place included.
pub async fn in_turn<T>(wall: Duration, call: impl Future<Output = Verdict<T>>) -> Verdict<T> {
    // The call itself ends after `wall`, so whatever takes twice as long has waited for at least that.
    tokio::time::timeout(2 * wall, call).await.unwrap_or_else(|_| Verdict::Limit {
        which: Limit::Concurrent,
        because: "it had no turn, for other calls take long".to_owned(),
    })
}

/// What a call answered.
///
/// # Errors
/// Why there is no answer, as a sentence for whoever looks at what the call was for.
pub fn answer<T>(verdict: Verdict<T>) -> Result<T, String> {
    match verdict {
        Verdict::Succeeded { outputs } => Ok(outputs),
        Verdict::Rejected { because } | Verdict::Transient { because } => Err(because),
        Verdict::Denied(denied) => Err(denied.to_string()),
        Verdict::Limit { which, because } => Err(format!("the plugin came up against its limit of {which}: {because}")),
        Verdict::TimedOut { after } => Err(format!("the plugin took longer than {} s", after.as_secs())),
        Verdict::Trapped { because } => Err(format!("the plugin crashed: {because}")),
    }
}

#[cfg(test)]
#[path = "extensions/tests.rs"]
pub(crate) mod tests;
