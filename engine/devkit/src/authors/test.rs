//! `bespin plugin test`: a plugin against recorded answers, with no server.

use super::cases::{self, Case, CaseRequest};
use super::outcome::{CallOutcome, WorldAnswer};
use super::project::{self, First};
use super::recorded::Recorded;
use crate::component;
use clap::Args;
use pipeline::limits::Limits;
use sandbox::{Abilities, Plugin, Sandbox, Settings};
use std::path::PathBuf;
use std::sync::Arc;

/// What `bespin plugin test` is asked.
#[derive(Args)]
#[command(after_long_help = cases::FORMAT)]
pub struct Options {
    /// A project's folder, or a component's file.
    #[arg(default_value = ".", value_name = "DIR|FILE")]
    plugin: PathBuf,
    /// The folder of the recorded cases, instead of the project's `tests`.
    #[arg(long, value_name = "DIR")]
    cases: Option<PathBuf>,
    /// Take the component as it stands, and do not build the project first.
    #[arg(long)]
    no_build: bool,
    /// Where compiled plugins are kept, so that the same component is compiled once.
    #[arg(long, value_name = "DIR")]
    cache: Option<PathBuf>,
}

/// Builds a project and runs its cases.
///
/// # Errors
/// It does not build or load, a case has a mistake, or a case came out otherwise.
pub(super) async fn run(options: &Options) -> Result<(), String> {
    let first = if options.no_build { First::Nothing } else { First::Build };
    let project = project::open(&options.plugin, first)?;
    let shown = project.component.display();
    let wasm = component::read(&project.component)?;
    let world = sandbox::inspect::inspect(&wasm).map_err(|refused| format!("{shown}: {refused}"))?.world;
    let cases = cases::all(options.cases.as_ref().unwrap_or(&project.cases), world)?;
    let folder = options.cache.clone().unwrap_or_else(cache);
    let sandbox = Sandbox::open(&folder, Settings::default());
    let sandbox = sandbox.map_err(|error| format!("{}: {error}", folder.display()))?;
    let name = project.component.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let plugin = sandbox.load(&name, &wasm).await.map_err(|error| format!("{shown}: {}", error.because))?;
    let mut differ = 0;
    for (name, case) in &cases {
        match differs(&sandbox, &plugin, case).await {
            None => println!("same    {name}"),
            Some(shown) => {
                differ += 1;
                println!("DIFFERS {name}\n{shown}");
            }
        }
    }
    match differ {
        0 => Ok(()),
        _ => Err(format!("{differ} of {} cases came out otherwise than recorded", cases.len())),
    }
}

/// Runs a case; what differs, if anything does.
async fn differs(sandbox: &Sandbox, plugin: &Plugin, case: &Case) -> Option<String> {
    let world = Arc::new(Recorded::of(case));
    let abilities = Arc::clone(&world) as Arc<dyn Abilities>;
    let told = told(sandbox, plugin, case, abilities).await;
    let got = CallOutcome { log: world.log(), asked: world.unrecorded(), ..told };
    let expected = CallOutcome { asked: world.unasked(), ..case.expected(&got) };
    got.differs(&expected)
}

/// Asks the plugin what the case asks, and tells what came of it.
async fn told(sandbox: &Sandbox, plugin: &Plugin, case: &Case, abilities: Arc<dyn Abilities>) -> CallOutcome {
    let (grants, limits) = (&case.grants, &Limits::default());
    let text = |object: &cases::Object| serde_json::Value::Object(object.clone()).to_string();
    match &case.asked {
        CaseRequest::Step(with) => {
            let verdict = sandbox.run(plugin, &text(with), grants, limits, abilities).await;
            CallOutcome::of(verdict, WorldAnswer::Outputs)
        }
        CaseRequest::Health(object) => {
            let verdict = sandbox.health(plugin, &text(object), limits, abilities).await;
            CallOutcome::of(verdict, |health| WorldAnswer::Health {
                status: health.status,
                message: Some(health.message),
            })
        }
        CaseRequest::Generate(parameters) => {
            let verdict = sandbox.generate(plugin, &parameters.to_string(), limits, abilities).await;
            CallOutcome::of(verdict, WorldAnswer::Manifests)
        }
        CaseRequest::Measure(metric) => {
            let verdict = sandbox.measure(plugin, &text(metric), grants, limits, abilities).await;
            CallOutcome::of(verdict, |one| WorldAnswer::Measurement {
                value: one.value,
                judgement: one.judgement,
                message: Some(one.message),
            })
        }
        CaseRequest::SetWeight(split) => {
            let verdict = sandbox.set_weight(plugin, split, grants, limits, abilities).await;
            CallOutcome::of(verdict, |()| WorldAnswer::Nothing)
        }
        CaseRequest::VerifyWeight(split) => {
            let verdict = sandbox.verify_weight(plugin, split, grants, limits, abilities).await;
            CallOutcome::of(verdict, WorldAnswer::Verification)
        }
        CaseRequest::Remove(rollout) => {
            let verdict = sandbox.remove(plugin, &text(rollout), grants, limits, abilities).await;
            CallOutcome::of(verdict, |()| WorldAnswer::Nothing)
        }
    }
}

/// The user's own folder for what can be made again.
fn cache() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let caches = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
    caches.unwrap_or_else(std::env::temp_dir).join("bespin").join("plugins")
}
