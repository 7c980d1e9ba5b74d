//! `bespin plugin test`: a plugin against recorded answers, with no server.

use super::cases::{self, Case, CaseRequest};
use super::outcome::{CallOutcome, Ending, WorldAnswer};
use super::project::{self, First};
use super::recorded::Recorded;
use crate::component;
use clap::Args;
use pipeline::declaration::{Declaration, Declared};
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
    let inspected = sandbox::inspect::inspect(&wasm).map_err(|refused| format!("{shown}: {refused}"))?;
    let cases = cases::all(options.cases.as_ref().unwrap_or(&project.cases), inspected.world)?;
    let folder = options.cache.clone().unwrap_or_else(cache);
    let sandbox = Sandbox::open(&folder, Settings::default());
    let sandbox = sandbox.map_err(|error| format!("{}: {error}", folder.display()))?;
    let uses = project.component.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let plugin = sandbox.load(&uses, &wasm).await.map_err(|error| format!("{shown}: {}", error.because))?;
    let mut differ = 0;
    for (name, case) in &cases {
        match differs(&sandbox, &plugin, case, (&uses, &inspected.declared)).await {
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

/// Runs a case; what differs, if anything does: from what is recorded, or from what the plugin declares under its name.
async fn differs(
    sandbox: &Sandbox,
    plugin: &Plugin,
    case: &Case,
    (uses, declared): (&str, &Declared),
) -> Option<String> {
    let world = Arc::new(Recorded::of(case));
    let abilities = Arc::clone(&world) as Arc<dyn Abilities>;
    let told = told(sandbox, plugin, case, abilities).await;
    let got = CallOutcome { log: world.log(), asked: world.unrecorded(), ..told };
    let expected = CallOutcome { asked: world.unasked(), ..case.expected(&got) };
    let differs = got.differs(&expected);
    let undeclared = match (&case.asked, declared) {
        (CaseRequest::Step(with), Declared::Known(declaration)) => undeclared(declaration, uses, with, &got),
        _ => Vec::new(),
    };
    let undeclared = undeclared.iter().map(|line| format!("    ! {line}\n"));
    let shown: String = differs.into_iter().chain(undeclared).collect();
    (!shown.is_empty()).then_some(shown)
}

/// What a plugin did otherwise than it declares: no pipeline could have such a step, or read such an output.
fn undeclared(declaration: &Declaration, uses: &str, with: &cases::Object, got: &CallOutcome) -> Vec<String> {
    let with = serde_json::Value::Object(with.clone());
    let mut all = Vec::new();
    if got.verdict != Ending::Rejected.name() {
        let mistakes = declaration.mistakes(uses, &with);
        all.extend(mistakes.iter().map(|mistake| format!("taken, and declared to be a mistake: {mistake}")));
    }
    if let (WorldAnswer::Outputs(outputs), Some(known)) = (&got.answer, declaration.outputs_of(&with)) {
        let odd = outputs.keys().filter(|name| !known.contains(*name));
        all.extend(odd.map(|name| format!("the output `{name}` is not declared, so no step can read it")));
    }
    all
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

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    const DECLARED: &str = r#"{
        "settings": { "type": "object", "properties": { "text": { "type": "string" } }, "required": ["text"],
                      "additionalProperties": false },
        "outputs": { "length": {} }
    }"#;

    fn of(with: &Value, got: &CallOutcome) -> Vec<String> {
        let Value::Object(with) = with else { panic!("settings are a map") };
        undeclared(&Declaration::read(DECLARED).unwrap(), "talk", with, got)
    }

    fn succeeded(output: &str) -> CallOutcome {
        let outputs = [(output.to_owned(), "5".to_owned())].into();
        CallOutcome::of(sandbox::Verdict::Succeeded { outputs }, WorldAnswer::Outputs)
    }

    #[test]
    fn what_a_plugin_takes_is_what_it_declares() {
        assert_eq!(of(&json!({ "text": "hello" }), &succeeded("length")), [""; 0]);
        let told = of(&json!({ "txet": "hello" }), &succeeded("length"));
        let expected = "taken, and declared to be a mistake: `talk` has no setting `txet`; did you mean `text`?";
        assert_eq!(told, [expected]);
        let because = "with: unknown field `txet`".to_owned();
        let rejected = CallOutcome::of(sandbox::Verdict::Rejected { because }, WorldAnswer::Outputs);
        assert_eq!(of(&json!({ "txet": "hello" }), &rejected), [""; 0], "both refuse it");
    }

    #[test]
    fn what_a_plugin_leaves_is_what_it_declares() {
        let told = of(&json!({ "text": "hello" }), &succeeded("lenght"));
        assert_eq!(told, ["the output `lenght` is not declared, so no step can read it"]);
    }
}
