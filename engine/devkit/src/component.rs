//! A component's file, read within the bounds of a plugin.

use sandbox::inspect::{LONGEST, too_long};
use std::io::Read as _;
use std::path::Path;

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
