//! `bespin journal backup | verify | export | restore`.

use crate::config::Config;
use api::control;
use clap::{Args, Subcommand};
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use tokio::io::AsyncWrite;

/// What can be done with the journal.
#[derive(Subcommand)]
pub enum Command {
    /// Write everything that the running server remembers to a file. The server goes on meanwhile.
    Backup {
        /// The server whose journal is meant.
        #[command(flatten)]
        server: Whose,
        /// The file to write the backup to; it must not exist yet.
        file: PathBuf,
    },
    /// Read a backup and say what it holds, or where it is damaged.
    Verify {
        /// The file of the backup.
        file: PathBuf,
    },
    /// Print entries of the running server as lines of JSON.
    Export {
        /// The server whose journal is meant.
        #[command(flatten)]
        server: Whose,
        /// Only streams that start with this, such as `run/user/petclinic`.
        #[arg(default_value = "")]
        prefix: String,
        /// A file instead of the standard output.
        #[arg(long, short, value_name = "FILE")]
        output: Option<PathBuf>,
    },
    /// Restore a backup. The server must not run, and its journal must be empty or missing.
    Restore {
        /// The server whose journal is meant.
        #[command(flatten)]
        server: Whose,
        /// The file of the backup.
        file: PathBuf,
    },
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
    fn data(self) -> Result<PathBuf, String> {
        match self.data {
            Some(data) => Ok(data),
            None => {
                Config::data(&self.config).map_err(|mistakes| format!("{mistakes}\nor name the folder by --data DIR"))
            }
        }
    }
}

/// Runs one of the commands.
///
/// # Errors
/// A sentence with what was tried, what came back, and often what to do.
pub async fn run(command: Command) -> Result<(), String> {
    match command {
        Command::Backup { server, file } => {
            let data = server.data()?;
            let partial = file.with_extension("partial");
            if file.exists() {
                return Err(format!("{} is there already; a backup overwrites nothing", file.display()));
            }
            let mut out = create(&partial).await?;
            control::ask(&data, "/journal/backup", &mut out).await?;
            out.sync_all().await.map_err(|error| format!("{}: {error}", partial.display()))?;
            let verified = verify(&partial)?;
            std::fs::rename(&partial, &file).map_err(|error| format!("{}: {error}", file.display()))?;
            println!("{}: {verified}", file.display());
            Ok(())
        }
        Command::Verify { file } => {
            println!("{}: {}", file.display(), verify(&file)?);
            Ok(())
        }
        Command::Export { server, prefix, output } => {
            let data = server.data()?;
            let query: String = url::form_urlencoded::byte_serialize(prefix.as_bytes()).collect();
            let mut out: Box<dyn AsyncWrite + Unpin> = match &output {
                Some(file) => Box::new(create(file).await?),
                None => Box::new(tokio::io::stdout()),
            };
            control::ask(&data, &format!("/journal/export?prefix={query}"), &mut out).await
        }
        Command::Restore { server, file } => {
            let journal = crate::serve::journal_dir(&server.data()?);
            let restored = journal::restore(open(&file)?, &journal).map_err(|error| error.to_string())?;
            crate::epoch::note(&journal, restored.up_to)?;
            println!("{}: {}", journal.display(), said(&restored));
            Ok(())
        }
    }
}

fn verify(file: &Path) -> Result<String, String> {
    let verified = journal::verify(open(file)?).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(said(&verified))
}

fn said(verified: &journal::Verified) -> String {
    serde_json::to_string(verified).unwrap_or_else(|error| error.to_string())
}

fn open(file: &Path) -> Result<BufReader<File>, String> {
    File::open(file).map(BufReader::new).map_err(|error| format!("{}: {error}", file.display()))
}

async fn create(file: &Path) -> Result<tokio::fs::File, String> {
    tokio::fs::File::create(file).await.map_err(|error| format!("{}: {error}", file.display()))
}
