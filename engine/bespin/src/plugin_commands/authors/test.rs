//! `bespin plugin test`: a plugin against recorded answers, with no server.

use super::cases::{self, Case};
use super::project::{self, First};
use super::recorded::Recorded;
use super::told::Told;
use clap::Args;
use sandbox::{Abilities, Grants, Limits, Plugin, Sandbox, Settings, Whose};
use std::path::PathBuf;
use std::sync::Arc;

/// What `bespin plugin test` is asked.
#[derive(Args)]
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
pub async fn run(options: &Options) -> Result<(), String> {
    let first = if options.no_build { First::Nothing } else { First::Build };
    let project = project::open(&options.plugin, first)?;
    let cases = cases::all(options.cases.as_ref().unwrap_or(&project.cases))?;
    let folder = options.cache.clone().unwrap_or_else(cache);
    let sandbox = Sandbox::open(&folder, Settings::default());
    let sandbox = sandbox.map_err(|error| format!("{}: {error}", folder.display()))?;
    let name = project.component.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let plugin = sandbox.load_file(&name, &project.component).await.map_err(|error| error.to_string())?;
    let mut differ = 0;
    for (name, case) in &cases {
        match differs(&sandbox, &plugin, case).await.map_err(|because| format!("case {name}: {because}"))? {
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
async fn differs(sandbox: &Sandbox, plugin: &Plugin, case: &Case) -> Result<Option<String>, String> {
    let grants = Grants::parse(Whose::Step, &case.grants).map_err(|mistakes| format!("grants: {mistakes:?}"))?;
    let settings = serde_json::to_string(&case.with).map_err(|error| format!("with: {error}"))?;
    let world = Arc::new(Recorded::of(case));
    let abilities = Arc::clone(&world) as Arc<dyn Abilities>;
    let verdict = sandbox.run(plugin, &settings, &grants, &Limits::default(), abilities).await;
    let got = Told { log: world.log(), asked: world.unrecorded(), ..Told::of(&verdict) };
    let expected = Told { asked: world.unasked(), ..case.expected(&got) };
    Ok(got.differs(&expected))
}

/// The user's own folder for what can be made again.
fn cache() -> PathBuf {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let caches = set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
    caches.unwrap_or_else(std::env::temp_dir).join("bespin").join("plugins")
}
