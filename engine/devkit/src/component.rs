//! A component's file: read within the bounds of a plugin, and given what it declares.

use clap::Args;
use pipeline::declaration::Declared;
use sandbox::inspect::{LONGEST, too_long};
use std::io::Read as _;
use std::path::{Path, PathBuf};

/// Reads a component's file, and no more of it than a plugin may have.
///
/// # Errors
/// It cannot be read, or is too long.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}; name the `.wasm` that the build made", path.display());
    let file = std::fs::File::open(path).map_err(failed)?;
    let size = file.metadata().map_err(failed)?.len();
    let mut wasm = Vec::new();
    // What is no regular file has no honest length.
    file.take(LONGEST + 1).read_to_end(&mut wasm).map_err(failed)?;
    if wasm.len() as u64 > LONGEST {
        return Err(format!("{}: {}", path.display(), too_long(size.max(wasm.len() as u64))));
    }
    Ok(wasm)
}

/// What `bespin plugin settings` is asked.
#[derive(Args)]
pub struct SettingsOptions {
    /// A JSON file with what the plugin declares: its settings, its outputs, and what it needs permission for.
    settings: PathBuf,
    /// The component's file, which is written anew.
    component: PathBuf,
}

/// Writes a declaration into a component.
///
/// # Errors
/// The declaration has a mistake, the component is no plugin, or a file cannot be read or written.
pub(crate) fn settings(options: &SettingsOptions) -> Result<(), String> {
    declare(&options.settings, &options.component)?;
    println!("{} declares what {} says", options.component.display(), options.settings.display());
    Ok(())
}

/// Writes what a file declares into a component's file.
///
/// # Errors
/// As [`settings`].
pub(crate) fn declare(settings: &Path, component: &Path) -> Result<(), String> {
    let failed = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    let text = std::fs::read_to_string(settings).map_err(|error| failed(settings, error))?;
    let declared = sandbox::declare(&read(component)?, &text);
    let wasm = declared.map_err(|because| format!("{} into {}: {because}", settings.display(), component.display()))?;
    std::fs::write(component, wasm).map_err(|error| failed(component, error))
}

/// What is said where nothing checks the steps that use a plugin.
pub(crate) fn unchecked(declared: &Declared) -> Option<String> {
    match declared {
        Declared::Known(_) => None,
        Declared::Unchecked { because } => Some(format!(
            "the settings of its steps are not checked: {because}; a plugin declares them by `bespin_sdk::settings!`, or \
             by `bespin plugin settings`"
        )),
    }
}
