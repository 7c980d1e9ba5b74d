//! `bespin plugin lock`: pins what the pipelines of a checkout take by a tag.

use crate::Configured;
use crate::reach::{RegistryOptions, told};
use clap::Args;
use pipeline::ImageRef;
use pipeline::declaration::Declarations;
use pipeline::lock::{LOCK, Lock, Pins};
use pipeline::{lint, read_with};
use sandbox::inspect::{LONGEST, inspect};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What `bespin plugin lock` is asked.
#[derive(Args)]
pub struct Options {
    /// The checkout, in which `.bespin` stands.
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Ask the registries again also for what is locked already.
    #[arg(long)]
    update: bool,
    #[command(flatten)]
    reach: RegistryOptions,
}

/// Writes the lock file: what is locked stays, what is new is pinned, what is used no more goes.
///
/// # Errors
/// A pipeline or the lock has mistakes, or a plugin cannot be fetched.
pub async fn run(options: &Options, configured: Configured) -> Result<(), String> {
    let file = options.dir.join(LOCK);
    let old = if options.update { Lock::EMPTY } else { read(&file)? };
    let mut lock = Lock::EMPTY;
    for reference in references(&options.dir.join(".bespin"))? {
        let digest = match old.digest(&reference) {
            Some(digest) => digest.clone(),
            None => {
                let registry = options.reach.registry(&reference.host, configured)?;
                let pulled = registry.pull_plugin(&reference, LONGEST).await.map_err(told)?;
                // What would be refused at the first run is not pinned.
                inspect(&pulled.wasm).map_err(|refused| format!("{reference}: {refused}"))?;
                pulled.manifest
            }
        };
        println!("{reference} {digest}");
        lock.pin(&reference, digest);
    }
    std::fs::write(&file, lock.to_string()).map_err(|error| format!("{}: {error}", file.display()))?;
    println!("{} is written; commit it", file.display());
    Ok(())
}

/// The lock beside a pipeline's file, for whoever reads only that.
///
/// # Errors
/// Its mistakes, with their places and help.
pub fn beside(pipeline: &Path) -> Result<Lock, String> {
    read(&pipeline.with_file_name("plugins.lock"))
}

fn read(file: &Path) -> Result<Lock, String> {
    match std::fs::read_to_string(file) {
        Ok(text) => Lock::read(&file.display().to_string(), &text).map_err(|mistakes| lint(&mistakes)),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Lock::EMPTY),
        Err(error) => Err(format!("{}: {error}", file.display())),
    }
}

/// What the pipelines of a folder take by a tag.
fn references(folder: &Path) -> Result<BTreeSet<ImageRef>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}; name the checkout that has it", folder.display());
    let mut all = BTreeSet::new();
    for entry in std::fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.extension().is_none_or(|extension| extension != "yaml" && extension != "yml") {
            continue;
        }
        let name = path.display().to_string();
        let text = std::fs::read_to_string(&path).map_err(|error| format!("{name}: {error}"))?;
        let read = read_with(&name, &text, Pins::Unreadable, &Declarations::NONE);
        let pipeline = read.pipeline.ok_or_else(|| lint(&read.mistakes))?;
        all.extend(pipeline.references().into_iter().filter(|reference| reference.digest.is_none()));
    }
    Ok(all)
}
