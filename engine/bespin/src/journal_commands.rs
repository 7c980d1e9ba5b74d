//! `bespin journal backup | verify | export | restore | mark-restored`.

use crate::data_folder::Whose;
use api::control;
use clap::Subcommand;
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
    /// Read a backup, or a stopped server's data folder, and say what it holds, or where it is damaged.
    ///
    /// Of a damaged folder the last good entry is named, and nothing is changed in it: a copy is looked at, which needs as
    /// much room where TMPDIR says.
    Verify {
        /// The backup's file, the data folder, or the folder of its journal.
        #[arg(value_name = "FILE|DIR")]
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
    /// Restore a backup, or what is good of a damaged journal. The server must not run, and its journal must be empty or
    /// missing.
    ///
    /// Of a damaged journal everything up to its last good entry is restored, what was lost is told, and nothing is
    /// changed in its folder: move that away first, and name its new place.
    Restore {
        /// The server whose journal is meant.
        #[command(flatten)]
        server: Whose,
        /// The backup's file, or the folder of the damaged journal.
        #[arg(value_name = "FILE|DIR")]
        file: PathBuf,
    },
    /// Tell that the journal is older than the world, since a snapshot of its disk was put back. The server must not run.
    ///
    /// What happened since the snapshot is then asked of clusters, registries and git, as after a restore.
    MarkRestored {
        /// The server whose journal is meant.
        #[command(flatten)]
        server: Whose,
    },
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
        Command::Verify { file } if file.is_dir() => {
            let found = journal::inspect(&folder(&file)?).map_err(|error| error.to_string())?;
            match &found.damage {
                Some(damage) => {
                    Err(format!("{}: the journal is damaged: {damage}; {}", file.display(), found.summary()))
                }
                None => {
                    println!("{}: {}", file.display(), json(&found));
                    Ok(())
                }
            }
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
            let restored = if file.is_dir() {
                json(&journal::salvage(&folder(&file)?, &journal).map_err(|error| error.to_string())?)
            } else {
                let restored = journal::restore(open(&file)?, &journal);
                json(&restored.map_err(|error| format!("{}: {error}", file.display()))?)
            };
            println!("{}: {restored}", journal.display());
            Ok(())
        }
        Command::MarkRestored { server } => {
            let journal = crate::serve::journal_dir(&server.data()?);
            let up_to = journal::mark_restored(&journal).map_err(|error| error.to_string())?;
            println!("{}: what is newer than sequence {up_to} is asked of the world", journal.display());
            Ok(())
        }
    }
}

/// The journal's folder, of a data folder or itself.
fn folder(dir: &Path) -> Result<PathBuf, String> {
    let below = crate::serve::journal_dir(dir);
    let places = [below, dir.to_owned()];
    let with = |file: &str| places.iter().find(|place| place.join(file).is_file());
    match (with("db"), with("totals")) {
        (Some(found), _) => Ok(found.clone()),
        (None, Some(damaged)) => Err(format!(
            "the journal in {} is damaged: its file `db`, which has the entries, is missing; restore a backup",
            damaged.display()
        )),
        (None, None) => Err(format!("{} is neither a data folder with a journal nor the folder of one", dir.display())),
    }
}

fn verify(file: &Path) -> Result<String, String> {
    let verified = journal::verify(open(file)?).map_err(|error| format!("{}: {error}", file.display()))?;
    Ok(json(&verified))
}

fn json(told: &impl serde::Serialize) -> String {
    serde_json::to_string(told).unwrap_or_else(|error| error.to_string())
}

fn open(file: &Path) -> Result<BufReader<File>, String> {
    File::open(file).map(BufReader::new).map_err(|error| format!("{}: {error}", file.display()))
}

async fn create(file: &Path) -> Result<tokio::fs::File, String> {
    tokio::fs::File::create(file).await.map_err(|error| format!("{}: {error}", file.display()))
}
