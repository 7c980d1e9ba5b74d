//! Plans and applies: a real Terraform (or OpenTofu) for each call, on the pushed commit's files.
//!
//! What the repository says is run, so that it is kept apart: a folder and (where the server is root) a user of its
//! own, an environment of what the configuration names and nothing else, and a supervisor that lets nothing outlive the
//! call. The network is the server's, for a provider has to reach what it changes. A plan that was made is kept, and
//! exactly it is applied: by a later step of the run, in another attempt, after a restart.

mod cautions;
mod changes;
mod kept;
mod process;
mod ready;
pub mod supervisor;
mod surroundings;
mod work_directory;

pub use cautions::cautions;
pub use kept::Plans;

use super::lines::StepLog;
use crate::config;
use crate::config::TerraformValue as Value;
use crate::logs::{Logs, Masker};
use crate::places::PlaceWaits;
use crate::steps::Asked;
use changes::Changes;
use forge::Forge;
use kept::{Kept, PLAN_BYTES, Purpose, Stand};
use process::{Caller, Cut, Ended, Output};
use ready::{Given, Ready};
use sandbox::{Applied, ApplyRequest, Failure, PlanMode, PlanRequest, Planned};
use secrecy::ExposeSecret;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use surroundings::{environment, failure, mistake, outputs, place, program, unmade, unpacked, users};
use work_directory::{Claim, Users, WorkDirectories, WorkDirectory};

/// The most bytes that a folder is unpacked from.
const LONGEST: usize = 1 << 30;
/// What `show -json` may print, in bytes: it repeats the whole configuration and state.
const SHOWN_BYTES: u64 = 32 << 20;
/// What a plugin is told of a difference, in bytes.
const TEXT_BYTES: u64 = 256 << 10;
/// The outputs of a configuration, in bytes.
const OUTPUT_BYTES: u64 = 1 << 20;
/// The list of provider packages, in bytes.
const LOCK_BYTES: u64 = 1 << 20;
/// A state that could not be saved, in bytes.
const STATE_BYTES: u64 = 256 << 20;
/// How long Terraform has to leave its state in order once it was interrupted, in ms.
const GRACE_MS: u64 = 60_000;
/// The list of provider packages that a configuration was planned with.
const LOCK: &str = ".terraform.lock.hcl";

/// How every call begins; nobody is there to be asked, and colours are for terminals.
const QUIET: [&str; 2] = ["-input=false", "-no-color"];
/// Somebody else's lock is waited for, but not for ever.
const PATIENT: &str = "-lock-timeout=30s";

/// What plans and applies.
pub struct Terraform {
    settings: config::Terraform,
    program: PathBuf,
    supervisor: PathBuf,
    directories: Arc<WorkDirectories>,
    plans: Plans,
    forge: Arc<Forge>,
    logs: Arc<Logs>,
    waits: Arc<PlaceWaits>,
}

impl Terraform {
    /// Finds the program and makes the folder that it works in. Where the server is root, the folder `data` is closed
    /// to everybody else, for Terraform is somebody else.
    ///
    /// # Errors
    /// There is no program, or the folder cannot be what it has to be.
    pub fn new(
        settings: config::Terraform,
        supervisor: PathBuf,
        data: &Path,
        plans: Plans,
        forge: Arc<Forge>,
        (logs, waits): (Arc<Logs>, Arc<PlaceWaits>),
    ) -> Result<Terraform, String> {
        let program = program(settings.binary.as_deref(), &std::env::var_os("PATH").unwrap_or_default())?;
        let data = std::fs::canonicalize(data).map_err(|error| format!("{}: {error}", data.display()))?;
        let users = users(&settings, rustix::process::geteuid().as_raw())?;
        if let Users::From(_) = users {
            let closed = std::fs::set_permissions(&data, std::fs::Permissions::from_mode(0o700));
            closed.map_err(|error| format!("{}: {error}", data.display()))?;
        }
        let work = settings.work.clone().unwrap_or_else(|| {
            let name = hex::encode(&Sha256::digest(data.as_os_str().as_encoded_bytes())[..8]);
            Path::new("/var/tmp").join(format!("bespin-terraform-{name}"))
        });
        let directories = WorkDirectories::open(work.clone(), settings.disk_mib << 20, users, settings.at_once)
            .map_err(|error| format!("terraform: {}: {error}", work.display()))?;
        tracing::info!(program = %program.display(), work = %work.display(), "infrastructure can be planned");
        Ok(Terraform { settings, program, supervisor, directories: Arc::new(directories), plans, forge, logs, waits })
    }

    /// Plans what has to change, and keeps the plan.
    ///
    /// # Errors
    /// As [`sandbox::Abilities::plan`].
    pub async fn plan(&self, asked: &Asked, request: PlanRequest) -> Result<Planned, Failure> {
        self.plans.room(&asked.run.id, 0)?;
        let claim = self.claim(asked, &request.folder, request.workspace.as_deref()).await?;
        self.in_time(self.planned(asked, request, claim)).await
    }

    /// The folder that a plan of the run is for.
    ///
    /// # Errors
    /// The run has no such plan.
    pub fn folder(&self, asked: &Asked, plan: &str) -> Result<String, Failure> {
        Ok(self.plans.find(&asked.run.id, plan)?.purpose.folder)
    }

    /// Applies a plan of the run.
    ///
    /// # Errors
    /// As [`sandbox::Abilities::apply`].
    pub async fn apply(&self, asked: &Asked, request: ApplyRequest) -> Result<Applied, Failure> {
        let kept = self.plans.find(&asked.run.id, &request.plan)?;
        if kept.purpose.folder != request.folder || kept.purpose.commit != asked.run.commit.sha {
            return Err(Failure::Rejected("the plan is for another folder or commit".to_owned()));
        }
        if let Stand::Done(Some(outputs)) = kept.stand()? {
            return Ok(Applied { outputs });
        }
        let claim = self.claim(asked, &kept.purpose.folder, kept.purpose.workspace.as_deref()).await?;
        self.in_time(self.applied(asked, kept, claim)).await
    }

    /// Waits for a place to work, which is no work: the clock starts after it.
    async fn claim(&self, asked: &Asked, folder: &str, workspace: Option<&str>) -> Result<Claim, Failure> {
        let name = place(&asked.run.id, folder, workspace);
        let queued = |because| self.waits.begin(asked.key(), because);
        self.directories.claim(&name, queued).await.map_err(|error| failed(&error))
    }

    async fn in_time<T>(&self, work: impl Future<Output = Result<T, Failure>>) -> Result<T, Failure> {
        let time = Duration::from_millis(self.settings.timeout_ms());
        let because = || format!("Terraform took longer than the {} that the server gives it", self.settings.timeout);
        tokio::time::timeout(time, work).await.unwrap_or_else(|_| Err(Failure::Rejected(because())))
    }

    async fn planned(&self, asked: &Asked, request: PlanRequest, claim: Claim) -> Result<Planned, Failure> {
        let PlanRequest { folder, workspace, variables, mode } = request;
        let secrets = variables.iter().flat_map(|variable| &variable.secrets);
        let secrets: Vec<_> = secrets.map(|secret| secret.expose_secret().to_owned()).collect();
        let purpose = Purpose { commit: asked.run.commit.sha.clone(), folder, workspace, secrets };
        let log = StepLog::of(&self.logs, asked);
        let given = Given { variables: &variables, env: self.settings.env_of_plans(), lock: None };
        let ready = self.ready(asked, &purpose, claim, given, &log).await?;
        let out = ready.caller.work.path("out/plan");
        let out = format!("-out={}", out.display());
        let mut arguments = vec!["plan", QUIET[0], QUIET[1], PATIENT, "-detailed-exitcode", &out];
        if mode == PlanMode::Destroy {
            arguments.push("-destroy");
        }
        let ended = ready.caller.call(&arguments, Output::Log).await.map_err(|error| failed(&error))?;
        if !matches!(ended.code, 0 | 2) {
            return Err(self.refused(asked, "plan", &ended));
        }
        let plan = ready.left("out/plan", PLAN_BYTES).await?;
        let plan = plan.ok_or_else(|| Failure::Rejected("Terraform left no plan".to_owned()))?;
        // From here on it is the server's copy that is shown, kept and applied. What it is shown by, the providers
        // that the plan's code could write to, is that code's to replace: permission to plan is trust in what is shown.
        let shown = ready.caller.work.show("plan", plan.clone()).await.map_err(|error| failed(&error))?;
        let changes = self.changes(asked, &ready, &shown).await?;
        if ended.code == 2 && changes.all.is_empty() {
            return Err(Failure::Rejected("the plan changes something that is not shown; it is not kept".to_owned()));
        }
        let arguments = ["show", "-no-color", &shown.display().to_string()];
        let text = self.succeed(asked, &ready, &arguments, Output::Keep(TEXT_BYTES)).await?;
        let lock = ready.left(&format!("{}/{LOCK}", ready.source), LOCK_BYTES).await?;
        let (plans, run) = (self.plans.clone(), asked.run.id.clone());
        let plan = blocking(move || plans.keep(&run, &purpose, &plan, lock.as_deref())).await?;
        let hidden = |text: &str| self.logs.hidden(&asked.run.id, text);
        let difference = String::from_utf8_lossy(&text.output);
        let mut difference = match text.cut {
            Cut::No => hidden(&difference),
            Cut::Yes => self.logs.hidden_cut(&asked.run.id, &difference),
        };
        if text.cut == Cut::Yes {
            difference.push_str("\n(the rest is left out; the step's log has it)\n");
        }
        let Changes { to_add, to_change, to_destroy, to_replace, mut all } = changes;
        all.iter_mut().for_each(|change| change.address = hidden(&change.address));
        Ok(Planned { plan, to_add, to_change, to_destroy, to_replace, changes: all, text: difference })
    }

    async fn changes(&self, asked: &Asked, ready: &Ready<'_>, plan: &Path) -> Result<Changes, Failure> {
        let arguments = ["show", "-json", &plan.display().to_string()];
        let json = self.succeed(asked, ready, &arguments, Output::Keep(SHOWN_BYTES)).await?;
        if json.cut == Cut::Yes {
            return Err(Failure::Rejected("the plan is too large to be looked at; plan a smaller folder".to_owned()));
        }
        Changes::read(&json.output).map_err(Failure::Rejected)
    }

    async fn applied(&self, asked: &Asked, kept: Kept, claim: Claim) -> Result<Applied, Failure> {
        let (plan, lock) = (kept.plan()?, kept.lock()?);
        let log = StepLog::of(&self.logs, asked);
        let given = Given { variables: &[], env: &self.settings.env, lock };
        let ready = self.ready(asked, &kept.purpose, claim, given, &log).await?;
        // It is looked at once more: another step may have had the work directory until now.
        match kept.stand()? {
            Stand::Done(Some(outputs)) => return Ok(Applied { outputs }),
            Stand::Done(None) => {}
            Stand::Begun => {
                let because = "an apply of this plan was begun and its end was not seen: the server stopped, or the \
                               step was cancelled or out of time; what it did is in the state, so make a new plan";
                return Err(Failure::Rejected(because.to_owned()));
            }
            Stand::Fresh => {
                let shown = ready.caller.work.show("plan", plan).await.map_err(|error| failed(&error))?;
                kept.begin()?;
                let shown = shown.display().to_string();
                let arguments = ["apply", QUIET[0], QUIET[1], PATIENT, &shown];
                let ended = ready.caller.call(&arguments, Output::Log).await.map_err(|error| failed(&error))?;
                self.judge(asked, &kept, &ready, &ended).await?;
                kept.done()?;
            }
        }
        let json = self.succeed(asked, &ready, &["output", "-no-color", "-json"], Output::Keep(OUTPUT_BYTES)).await?;
        let outputs = self.logs.hidden(&asked.run.id, &outputs(&json)?);
        kept.left(&outputs)?;
        Ok(Applied { outputs })
    }

    /// What an apply that did not succeed leaves open: nothing, where Terraform itself can tell.
    async fn judge(&self, asked: &Asked, kept: &Kept, ready: &Ready<'_>, ended: &Ended) -> Result<(), Failure> {
        if ended.code == 0 {
            return Ok(());
        }
        if let Some(state) = ready.left(&format!("{}/errored.tfstate", ready.source), STATE_BYTES).await? {
            let place = kept.rescue(&state)?;
            tracing::error!(run = asked.run.id, state = %place.display(), "Terraform could not save its state");
            let because = format!(
                "Terraform changed something and could not save its state; the server's log says where the state is \
                 kept, for `terraform state push`: {}",
                self.words(asked, ended)
            );
            return Err(Failure::Rejected(because));
        }
        // A process that was killed says nothing of how far it came.
        if ended.code < 128 {
            kept.end()?;
        }
        Err(self.refused(asked, "apply", ended))
    }

    /// Makes the work directory, and initialises Terraform on it.
    async fn ready<'a>(
        &'a self,
        asked: &Asked,
        purpose: &Purpose,
        claim: Claim,
        given: Given<'_>,
        log: &'a StepLog,
    ) -> Result<Ready<'a>, Failure> {
        let mirror = self.forge.repository(&asked.run.repository).map_err(|error| failed(&error))?;
        let (sha, folder) = (purpose.commit.clone(), purpose.folder.clone());
        let runtime = tokio::runtime::Handle::current();
        let kept = given.lock.clone();
        let fill = move |to: &Path| {
            let tar = runtime.block_on(mirror.archive(&sha, "", LONGEST)).map_err(unpacked)?;
            let unpacked = tar::Archive::new(tar.as_slice()).unpack(to);
            unpacked.map_err(|error| mistake("the commit's files", &error))?;
            let (folder, within) = (to.join(&folder), work_directory::is_folder(to, &folder));
            if let (Some(lock), true) = (kept, within) {
                // What stands there may be a link, which is not followed but taken away.
                let _none = std::fs::remove_file(folder.join(LOCK));
                std::fs::write(folder.join(LOCK), lock).map_err(|error| mistake(LOCK, &error))?;
            }
            Ok(())
        };
        let work = claim.make(fill).await.map_err(unmade)?;
        if !work_directory::is_folder(&work.path("src"), &purpose.folder) {
            return Err(Failure::Rejected(format!("there is no folder `{}` at this commit", purpose.folder)));
        }
        let source = format!("src/{}", purpose.folder).trim_end_matches('/').to_owned();
        let environment = self.environment(asked, &work, purpose, &given)?;
        let caller = Caller {
            supervisor: &self.supervisor,
            program: &self.program,
            directory: work.path(&source),
            environment,
            bounds: (self.settings.memory_mib << 20, self.settings.processes, self.settings.disk_mib << 20),
            grace_ms: GRACE_MS,
            work: Arc::new(work),
            log,
        };
        let ready = Ready { caller, source };
        let mut init = vec!["init", QUIET[0], QUIET[1]];
        // Exactly the packages of the plan, or none.
        init.extend(given.lock.is_some().then_some("-lockfile=readonly"));
        self.succeed(asked, &ready, &init, Output::Log).await?;
        ready.keeps_its_state().await?;
        if let Some(workspace) = &purpose.workspace {
            self.succeed(asked, &ready, &["workspace", "select", "-no-color", workspace], Output::Log).await?;
        }
        Ok(ready)
    }

    /// A call that has to succeed; the first of its arguments is what it does.
    async fn succeed(
        &self,
        asked: &Asked,
        ready: &Ready<'_>,
        arguments: &[&str],
        output: Output,
    ) -> Result<Ended, Failure> {
        let ended = ready.caller.call(arguments, output).await.map_err(|error| failed(&error))?;
        if ended.code == 0 { Ok(ended) } else { Err(self.refused(asked, arguments[0], &ended)) }
    }

    /// The environment, all of it. Its secrets are hidden in the run's logs from here on.
    fn environment(
        &self,
        asked: &Asked,
        work: &WorkDirectory,
        purpose: &Purpose,
        given: &Given<'_>,
    ) -> Result<BTreeMap<String, String>, Failure> {
        let mut configured = Vec::new();
        for (name, value) in given.env {
            let value = match value {
                Value::Plain(text) => text.clone(),
                Value::Secret(source) => {
                    let secret = source.read().map_err(|because| Failure::Transient(format!("{name}: {because}")))?;
                    self.logs.mask(&asked.run.id, Masker::new([secret.expose_secret()]));
                    secret.expose_secret().to_owned()
                }
            };
            configured.push((name.clone(), value));
        }
        self.logs.mask(&asked.run.id, Masker::new(&purpose.secrets));
        let path = |relative: &str| work.path(relative).display().to_string();
        let cli = self.settings.cli_config.clone().unwrap_or_else(|| work.no_cli());
        let own = [
            ("PATH", std::env::var("PATH").unwrap_or_default()),
            ("HOME", path("home")),
            ("TMPDIR", path("tmp")),
            ("TF_DATA_DIR", path("data")),
            ("TF_CLI_CONFIG_FILE", cli.display().to_string()),
            ("TF_IN_AUTOMATION", "1".to_owned()),
            ("TF_INPUT", "0".to_owned()),
            ("CHECKPOINT_DISABLE", "1".to_owned()),
        ];
        Ok(environment(given.variables, &own, configured))
    }

    fn refused(&self, asked: &Asked, what: &str, ended: &Ended) -> Failure {
        failure(what, ended, &self.words(asked, ended))
    }

    fn words(&self, asked: &Asked, ended: &Ended) -> String {
        // What is cut first could not be told any more.
        process::error(&self.logs.hidden(&asked.run.id, &ended.words))
    }
}

fn failed(error: &dyn std::fmt::Display) -> Failure {
    Failure::Transient(format!("Terraform's folder: {error}"))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Failure> + Send + 'static) -> Result<T, Failure> {
    tokio::task::spawn_blocking(work).await.map_err(|error| failed(&error))?
}
