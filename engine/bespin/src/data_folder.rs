//! The data folder, which is nobody's but the server's: journal, mirrors, logs, caches, keys.

use crate::config::Config;
use clap::Args;
use std::fs::{DirBuilder, Permissions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

/// What others may do in it.
const OTHERS: u32 = 0o077;

/// Makes the data folder, or closes one that is there to everybody else.
///
/// A folder of another owner, such as a volume that is given by its group, is left as it is: closing it might shut the
/// server out.
///
/// # Errors
/// It can be neither made nor looked at.
pub fn private(folder: &Path) -> Result<(), String> {
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    let found = std::fs::metadata(folder).map_err(failed)?;
    let mode = found.permissions().mode() & 0o777;
    if mode & OTHERS == 0 {
        return Ok(());
    }
    let (shown, mode) = (folder.display(), format!("{mode:04o}"));
    if found.uid() != rustix::process::geteuid().as_raw() {
        tracing::warn!(folder = %shown, mode, "others may look into the data folder, and the server does not own it");
        return Ok(());
    }
    match std::fs::set_permissions(folder, Permissions::from_mode(0o700)) {
        Ok(()) => tracing::info!(folder = %shown, mode, "the data folder was open to others; it is closed now (0700)"),
        Err(error) => {
            tracing::warn!(folder = %shown, mode, %error, "others may look into the data folder; close it by hand")
        }
    }
    Ok(())
}

/// Writes a file that only the server's user may read, in one step.
///
/// # Errors
/// The file cannot be written.
pub fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    let partial = path.with_extension("partial");
    let opened = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&partial);
    opened.and_then(|mut file| file.write_all(text.as_bytes()))?;
    std::fs::rename(partial, path)
}

/// The server's data folder, which is all that these commands need to know.
#[derive(Args)]
pub struct Whose {
    /// The server's data folder; no configuration is read then.
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// The configuration file; only its `server.data` is read, so the rest need not be right.
    #[arg(long, short, env = "BESPIN_CONFIG", default_value = "bespin.toml", value_name = "FILE")]
    config: PathBuf,
}

impl Whose {
    /// The folder that is named, or that of the configuration file.
    ///
    /// # Errors
    /// There is no configuration file, or it does not name the folder.
    pub(crate) fn data(&self) -> Result<PathBuf, String> {
        match &self.data {
            Some(data) => Ok(data.clone()),
            None => {
                Config::data(&self.config).map_err(|mistakes| format!("{mistakes}\nor name the folder by --data DIR"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn nobody_else_looks_into_the_data_folder() {
        let dir = tempfile::tempdir().unwrap();
        let fresh = dir.path().join("var/lib/bespin");
        private(&fresh).unwrap();
        assert_eq!(mode(&fresh), 0o700);
        std::fs::set_permissions(&fresh, Permissions::from_mode(0o755)).unwrap();
        private(&fresh).unwrap();
        assert_eq!(mode(&fresh), 0o700, "one of an older server is closed at the start");
        write_private(&fresh.join("addresses.json"), "{}").unwrap();
        assert_eq!(mode(&fresh.join("addresses.json")), 0o600);
        std::fs::write(dir.path().join("file"), "").unwrap();
        assert!(private(&dir.path().join("file")).is_err());
    }
}
