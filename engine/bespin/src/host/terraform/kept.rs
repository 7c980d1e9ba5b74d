//! Plans that were made, for later steps of their run: `<dir>/<run id>/<digest>/`.
//!
//! A plan holds secrets, so that its folder is the server's alone, and no plugin ever sees its bytes. Beside the plan
//! stand what it is for, which provider packages it was made with, and what became of it. An apply is written down
//! before it begins; where its end is not, nobody knows how far it came, and nothing claims that it was done.

use sandbox::Failure;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::fs::{DirBuilder, File, OpenOptions};
use std::io::{Error, ErrorKind, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Component, Path, PathBuf};

/// The most plans of one run.
pub(super) const MOST: usize = 32;
/// The largest plan, in bytes.
pub(super) const PLAN_BYTES: u64 = 64 << 20;
/// The most that the plans of one run have together, in bytes.
const RUN_BYTES: u64 = 256 << 20;

const PLAN: &str = "plan";
/// What it is for.
const PURPOSE: &str = "purpose.json";
/// Which provider packages it was made with, where there are any.
const LOCK: &str = "lock.hcl";
/// That an apply has begun.
const BEGUN: &str = "begun";
/// That it was applied.
const DONE: &str = "done";
const OUTPUTS: &str = "outputs.json";
/// A state that could not be saved where it belongs.
const STATE: &str = "errored.tfstate";

/// The plans of all runs.
#[derive(Clone)]
pub struct Plans {
    dir: PathBuf,
}

/// What a plan is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Purpose {
    /// The commit that it was made from.
    pub(super) commit: String,
    /// The folder of the configuration, relative to the repository.
    pub(super) folder: String,
    /// The workspace of Terraform; the default one where absent.
    pub(super) workspace: Option<String>,
    /// Secrets among its variables, to be hidden when it is applied.
    pub(super) secrets: Vec<String>,
}

/// A plan that is kept.
pub(super) struct Kept {
    dir: PathBuf,
    /// What it is for.
    pub(super) purpose: Purpose,
}

/// What became of a plan.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Stand {
    /// Nothing was planned or applied yet.
    Fresh,
    /// An apply began, and its end was not seen.
    Begun,
    /// It was applied, and left these outputs, if they could be read.
    Done(Option<String>),
}

impl Plans {
    /// Keeps plans under `dir`.
    pub fn open(dir: PathBuf) -> Plans {
        Plans { dir }
    }

    /// Removes the plans of a run. Repeatable.
    ///
    /// # Errors
    /// The run's id is no path, or the disk says no.
    pub async fn remove_run(&self, run: &str) -> std::io::Result<()> {
        let place = self.place(run).ok_or(ErrorKind::InvalidInput)?;
        match tokio::fs::remove_dir_all(place).await {
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
            other => other,
        }
    }

    /// Whether a run may keep a plan of this many bytes more.
    pub(super) fn room(&self, run: &str, more: u64) -> Result<(), Failure> {
        let place = self.place(run).ok_or_else(|| Failure::Rejected(format!("`{run}` is no run")))?;
        let (mut count, mut bytes) = (0, more);
        for entry in std::fs::read_dir(place).into_iter().flatten().flatten() {
            count += 1;
            bytes += std::fs::metadata(entry.path().join(PLAN)).map_or(0, |seen| seen.len());
        }
        if count >= MOST || bytes > RUN_BYTES {
            let because = format!("this run has {count} plans, and {MOST} plans or {RUN_BYTES} bytes are the most");
            return Err(Failure::Rejected(because));
        }
        Ok(())
    }

    /// Keeps a plan, with the provider packages that it was made with; answers its digest.
    pub(super) fn keep(
        &self,
        run: &str,
        purpose: &Purpose,
        plan: &[u8],
        lock: Option<&[u8]>,
    ) -> Result<String, Failure> {
        self.room(run, plan.len() as u64)?;
        let place = self.place(run).ok_or_else(|| Failure::Rejected(format!("`{run}` is no run")))?;
        let digits = hex::encode(Sha256::digest(plan));
        let keep = || {
            DirBuilder::new().recursive(true).mode(0o700).create(&place)?;
            let (dir, partial) = (place.join(&digits), place.join(format!("{digits}.partial")));
            if dir.exists() {
                return Ok(());
            }
            absent(std::fs::remove_dir_all(&partial))?;
            DirBuilder::new().mode(0o700).create(&partial)?;
            write(&partial.join(PLAN), plan)?;
            write(&partial.join(PURPOSE), &serde_json::to_vec(purpose)?)?;
            if let Some(lock) = lock {
                write(&partial.join(LOCK), lock)?;
            }
            std::fs::rename(&partial, &dir)?;
            sync(&place)
        };
        keep().map_err(failed)?;
        Ok(format!("sha256:{digits}"))
    }

    /// Finds a plan of a run by its digest.
    pub(super) fn find(&self, run: &str, digest: &str) -> Result<Kept, Failure> {
        let unknown = || Failure::Rejected(format!("no step of this run has made the plan {digest}"));
        let digits = digest.strip_prefix("sha256:").filter(|digits| digits.len() == 64).ok_or_else(unknown)?;
        if !digits.chars().all(|c| c.is_ascii_hexdigit()) {
            return Err(unknown());
        }
        let dir = self.place(run).ok_or_else(unknown)?.join(digits);
        let purpose = match std::fs::read(dir.join(PURPOSE)) {
            Ok(purpose) => purpose,
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(unknown()),
            Err(error) => return Err(failed(error)),
        };
        let purpose = serde_json::from_slice(&purpose).map_err(|error| failed(error.into()))?;
        Ok(Kept { dir, purpose })
    }

    fn place(&self, run: &str) -> Option<PathBuf> {
        let plain = !run.is_empty() && Path::new(run).components().all(|part| matches!(part, Component::Normal(_)));
        plain.then(|| self.dir.join(run))
    }
}

impl Kept {
    /// The plan, if it is still what it was.
    pub(super) fn plan(&self) -> Result<Vec<u8>, Failure> {
        let mut plan = Vec::new();
        let file = File::open(self.dir.join(PLAN)).map_err(failed)?;
        file.take(PLAN_BYTES + 1).read_to_end(&mut plan).map_err(failed)?;
        let digits = hex::encode(Sha256::digest(&plan));
        if self.dir.file_name().is_none_or(|name| name != digits.as_str()) {
            return Err(Failure::Rejected("the plan was altered since it was made; make a new one".to_owned()));
        }
        Ok(plan)
    }

    /// The provider packages that it was made with.
    pub(super) fn lock(&self) -> Result<Option<Vec<u8>>, Failure> {
        self.read(LOCK)
    }

    /// What became of it.
    pub(super) fn stand(&self) -> Result<Stand, Failure> {
        if self.dir.join(DONE).exists() {
            let outputs = self.read(OUTPUTS)?.map(|outputs| String::from_utf8_lossy(&outputs).into_owned());
            return Ok(Stand::Done(outputs));
        }
        Ok(if self.dir.join(BEGUN).exists() { Stand::Begun } else { Stand::Fresh })
    }

    /// Notes that an apply begins, before it does.
    pub(super) fn begin(&self) -> Result<(), Failure> {
        self.write(BEGUN, b"")
    }

    /// The apply did nothing that the plan would not notice: Terraform itself refuses a plan that its state overtook.
    pub(super) fn end(&self) -> Result<(), Failure> {
        absent(std::fs::remove_file(self.dir.join(BEGUN))).and_then(|()| sync(&self.dir)).map_err(failed)
    }

    /// Notes that the plan was applied.
    pub(super) fn done(&self) -> Result<(), Failure> {
        self.write(DONE, b"")
    }

    /// Keeps the outputs that the apply left.
    pub(super) fn left(&self, outputs: &str) -> Result<(), Failure> {
        self.write(OUTPUTS, outputs.as_bytes())
    }

    /// Keeps a state that could not be saved where it belongs; says where it is now.
    pub(super) fn rescue(&self, state: &[u8]) -> Result<PathBuf, Failure> {
        self.write(STATE, state)?;
        Ok(self.dir.join(STATE))
    }

    fn read(&self, name: &str) -> Result<Option<Vec<u8>>, Failure> {
        match std::fs::read(self.dir.join(name)) {
            Ok(content) => Ok(Some(content)),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(error)),
        }
    }

    fn write(&self, name: &str, content: &[u8]) -> Result<(), Failure> {
        let partial = self.dir.join(format!("{name}.partial"));
        absent(std::fs::remove_file(&partial))
            .and_then(|()| write(&partial, content))
            .and_then(|()| std::fs::rename(&partial, self.dir.join(name)))
            .and_then(|()| sync(&self.dir))
            .map_err(failed)
    }
}

/// Writes a file that only the server reads, and waits until the disk has it.
fn write(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(content)?;
    file.sync_all()
}

fn sync(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}

fn absent(removed: std::io::Result<()>) -> std::io::Result<()> {
    match removed {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        other => other,
    }
}

fn failed(error: Error) -> Failure {
    Failure::Transient(format!("the server's plans: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn purpose() -> Purpose {
        Purpose { commit: "c0ffee".into(), folder: "infra".into(), workspace: None, secrets: vec!["hunter2".into()] }
    }

    #[tokio::test]
    async fn a_plan_is_found_by_its_own_run_alone_and_goes_with_it() {
        let dir = tempfile::tempdir().unwrap();
        let plans = Plans::open(dir.path().to_owned());
        let digest = plans.keep("a/b/c/1", &purpose(), b"plan", Some(b"lock")).unwrap();
        assert_eq!(plans.keep("a/b/c/1", &purpose(), b"plan", None).unwrap(), digest, "once more is the same");
        let kept = plans.find("a/b/c/1", &digest).unwrap();
        assert_eq!((kept.plan().unwrap(), kept.purpose), (b"plan".to_vec(), purpose()));
        let file = dir.path().join("a/b/c/1").join(&digest[7..]).join(PLAN);
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        for (run, digest) in [
            ("a/b/c/2", digest.as_str()),
            ("a/b/c/1", &format!("sha256:{}", "0".repeat(64))),
            ("a/b/c/1", "sha256:../../../../etc/passwd"),
            ("..", &digest),
        ] {
            let refused = plans.find(run, digest).err().unwrap();
            assert!(matches!(refused, Failure::Rejected(because) if because.contains("has made the plan")), "{run}");
        }
        plans.remove_run("a/b/c/1").await.unwrap();
        plans.remove_run("a/b/c/1").await.expect("once more is no error");
        assert!(plans.find("a/b/c/1", &digest).is_err());
        assert!(plans.remove_run("..").await.is_err());
    }

    #[test]
    fn an_altered_plan_is_not_applied() {
        let dir = tempfile::tempdir().unwrap();
        let plans = Plans::open(dir.path().to_owned());
        let digest = plans.keep("r/1", &purpose(), b"plan", None).unwrap();
        std::fs::write(dir.path().join("r/1").join(&digest[7..]).join(PLAN), b"evil").unwrap();
        let refused = plans.find("r/1", &digest).unwrap().plan().unwrap_err();
        assert!(matches!(refused, Failure::Rejected(because) if because.contains("altered")));
    }

    #[test]
    fn what_began_is_not_done_until_it_is() {
        let dir = tempfile::tempdir().unwrap();
        let plans = Plans::open(dir.path().to_owned());
        let digest = plans.keep("r/1", &purpose(), b"plan", None).unwrap();
        let stand = || plans.find("r/1", &digest).unwrap().stand().unwrap();
        let kept = plans.find("r/1", &digest).unwrap();
        assert_eq!(stand(), Stand::Fresh);
        kept.begin().unwrap();
        kept.begin().expect("once more is no error");
        assert_eq!(stand(), Stand::Begun);
        kept.end().unwrap();
        assert_eq!(stand(), Stand::Fresh);
        kept.begin().and_then(|()| kept.done()).unwrap();
        assert_eq!(stand(), Stand::Done(None));
        kept.left("{}").unwrap();
        assert_eq!(stand(), Stand::Done(Some("{}".into())));
    }

    #[test]
    fn a_run_keeps_a_bounded_number_of_plans() {
        let dir = tempfile::tempdir().unwrap();
        let plans = Plans::open(dir.path().to_owned());
        for number in 0..MOST {
            plans.keep("r/1", &purpose(), number.to_string().as_bytes(), None).unwrap();
        }
        let refused = plans.keep("r/1", &purpose(), b"one more", None).unwrap_err();
        assert!(matches!(refused, Failure::Rejected(because) if because.contains("32 plans")));
        assert!(plans.room("r/2", RUN_BYTES).is_ok() && plans.room("r/2", RUN_BYTES + 1).is_err());
    }
}
