//! The pipeline files of a commit, read with the lock file beside them.

use crate::drive::Trouble;
use crate::plugins::{self, Plugins};
use decide::delivery::File;
use forge::{FileAt, Limits, Mirror};
use pipeline::Pipeline;
use pipeline::declaration::Declarations;
use pipeline::lock::{LOCK, Lock, Pins};
use std::sync::Arc;

/// Where pipelines stand in a repository.
pub(super) const FOLDER: &str = ".bespin";
/// How much of that folder is read at one commit.
const LIMITS: Limits = Limits { files: 100, file_bytes: 256 * 1024, bytes: 4 * 1024 * 1024 };

/// What a commit holds of pipelines, as texts: git's alone, so it never changes.
pub(super) struct Sources {
    /// Paths and texts; or why a text is none.
    pipelines: Vec<(String, Result<String, Vec<String>>)>,
    lock: Result<Lock, Vec<String>>,
    bytes: usize,
}

/// Reads the pipeline files of a commit, and the lock file beside them.
///
/// # Errors
/// The mirror cannot be read.
pub(super) async fn at(mirror: &Mirror, commit: &str) -> Result<Sources, Trouble> {
    let files = match mirror.files(commit, FOLDER, &[".yaml", ".yml", ".lock"], LIMITS).await {
        Ok(files) => files,
        Err(error @ forge::Error::TooLarge { .. }) => {
            let pipelines = vec![(FOLDER.to_owned(), Err(vec![error.to_string()]))];
            return Ok(Sources { pipelines, lock: Ok(Lock::EMPTY), bytes: 0 });
        }
        Err(error) => return Err(error.into()),
    };
    let bytes = files.iter().map(|file| file.path.len() + file.bytes.len()).sum();
    // Pipelines stand in the folder itself; what lies deeper is the pipelines' own.
    let direct = files.into_iter().filter(|file| file.path.matches('/').count() == 1);
    let (locks, pipelines): (Vec<_>, Vec<_>) = direct.partition(|file| file.path.ends_with(".lock"));
    let lock = locks.into_iter().find(|file| file.path == LOCK).map_or(Ok(Lock::EMPTY), |file| {
        let text = utf8(file.path, file.bytes)?;
        Lock::read(LOCK, &text).map_err(|all| all.iter().map(ToString::to_string).collect())
    });
    let text = |file: FileAt| (file.path.clone(), utf8(file.path, file.bytes));
    Ok(Sources { pipelines: pipelines.into_iter().map(text).collect(), lock, bytes })
}

impl Sources {
    /// How many bytes it takes in memory, nearly.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// The pipelines, their steps checked by what the server's own plugins declare. Nothing of it is kept, since a
    /// file of a plugin that cannot be read now may be read at the next look.
    ///
    /// # Errors
    /// Such a file cannot be read now, or the server ends meanwhile.
    pub(super) async fn judge(self: Arc<Sources>, plugins: Arc<Plugins>) -> Result<Vec<File>, Trouble> {
        let judged = tokio::task::spawn_blocking(move || self.judged_by(&plugins)).await;
        Ok(judged.map_err(|error| Trouble::new("reading the pipeline files", error))??)
    }

    fn judged_by(&self, plugins: &Plugins) -> Result<Vec<File>, plugins::Error> {
        let used = |(path, text): &(String, Result<String, _>)| {
            let text = text.as_deref().unwrap_or_default();
            pipeline::read_with(path, text, pins(&self.lock), &Declarations::NONE).uses
        };
        let declared = plugins.declarations(self.pipelines.iter().flat_map(used).collect())?;
        let read = |(path, text): &(String, Result<String, Vec<String>>)| {
            let text = text.as_deref().map_err(Vec::clone);
            let pipeline = text.and_then(|text| with_lock(path, text, &self.lock, &declared));
            File { path: path.clone(), pipeline }
        };
        Ok(self.pipelines.iter().map(read).collect())
    }
}

fn pins(lock: &Result<Lock, Vec<String>>) -> Pins<'_> {
    lock.as_ref().map_or(Pins::Unreadable, Pins::Known)
}

fn with_lock(
    path: &str,
    text: &str,
    lock: &Result<Lock, Vec<String>>,
    declared: &Declarations,
) -> Result<Pipeline, Vec<String>> {
    let read = pipeline::read_with(path, text, pins(lock), declared);
    let mistakes = read.mistakes;
    let pipeline = read.pipeline.ok_or_else(|| mistakes.iter().map(ToString::to_string).collect::<Vec<_>>())?;
    match lock {
        // A pipeline that takes nothing by a tag does not suffer from a broken lock.
        Err(broken) if pipeline.references().iter().any(|reference| reference.digest.is_none()) => Err(broken.clone()),
        _ => Ok(pipeline),
    }
}

fn utf8(path: String, bytes: Vec<u8>) -> Result<String, Vec<String>> {
    String::from_utf8(bytes).map_err(|error| vec![format!("{path}: is not UTF-8: {error}")])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_lock_stops_only_what_it_locks() {
        let with = |uses: &str, lock: &Result<Lock, Vec<String>>| {
            let text = format!("name: a\non: push\nsteps:\n  - uses: {uses}\n");
            with_lock(".bespin/a.yaml", &text, lock, &Declarations::NONE).map(|pipeline| pipeline.steps[0].uses.clone())
        };
        let pinned = format!("ghcr.io/acme/lint@sha256:{}", "b".repeat(64));
        let broken = Err(vec!["the lock is broken".to_owned()]);
        assert_eq!(with("image", &broken), Ok("image".into()));
        assert_eq!(with(&pinned, &broken), Ok(pinned.clone()));
        assert_eq!(with("ghcr.io/acme/lint:1", &broken), Err(vec!["the lock is broken".into()]));
        let text = format!("version = 1\n[plugins]\n\"ghcr.io/acme/lint:1\" = \"sha256:{}\"\n", "b".repeat(64));
        let lock = Ok(Lock::read(LOCK, &text).unwrap());
        let locked = format!("ghcr.io/acme/lint:1@sha256:{}", "b".repeat(64));
        assert_eq!(with("ghcr.io/acme/lint:1", &lock), Ok(locked));
        let refused = with("ghcr.io/acme/lint:2", &lock).unwrap_err();
        assert!(refused[0].contains("is not locked"), "{refused:?}");
    }
}
