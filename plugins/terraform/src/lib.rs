//! Plans infrastructure, and applies exactly what was planned. A plan that destroys something needs `allow-destroy`.

use std::collections::BTreeMap;

use bespin_sdk::terraform::{Mode, PlanRequest, Planned, Variable};
use bespin_sdk::{Deserialize, Given, Outputs, Result, info, reject, terraform};

#[derive(Deserialize)]
#[serde(tag = "action", rename_all = "kebab-case", rename_all_fields = "kebab-case", deny_unknown_fields)]
enum Settings {
    /// Shows what would change, and keeps the plan.
    Plan {
        /// The folder of the configuration; without it, the top of the repository.
        #[serde(default)]
        folder: String,
        /// A workspace that exists.
        workspace: Option<String>,
        /// Values for the configuration's variables: texts, or `{ secret: name }`.
        #[serde(default)]
        variables: BTreeMap<String, Given>,
        /// Whether everything is to be destroyed. It needs `allow-destroy` as well.
        #[serde(default)]
        destroy: bool,
        /// Whether a plan may destroy or replace something.
        #[serde(default)]
        allow_destroy: bool,
    },
    /// Applies a plan of this run.
    Apply {
        /// The `plan` of the step that planned.
        plan: String,
    },
}

fn run(settings: Settings) -> Result<Outputs> {
    match settings {
        Settings::Plan { folder, workspace, variables, destroy, allow_destroy } => {
            let mode = if destroy { Mode::Destroy } else { Mode::Normal };
            let find = |(name, given): (String, Given)| Ok((name, given.find()?));
            let found = variables.into_iter().map(find).collect::<Result<Vec<_>>>()?;
            let variables =
                found.iter().map(|(name, value)| Variable { name: name.clone(), value: vec![value.part()] });
            let variables = variables.collect();
            let planned = terraform::plan(&PlanRequest { folder, workspace, variables, mode })?;
            gate(planned, allow_destroy)
        }
        Settings::Apply { plan } => Ok(Outputs::new().with("outputs", terraform::apply(&plan)?.outputs)),
    }
}

/// What the plan comes to; nothing is destroyed that the pipeline does not expect.
fn gate(planned: Planned, allow_destroy: bool) -> Result<Outputs> {
    let Planned { plan, to_add, to_change, to_destroy, to_replace, changes, .. } = planned;
    let (add, destroy) = (to_add + to_replace, to_destroy + to_replace);
    let summary = format!("{add} to add, {to_change} to change, {destroy} to destroy");
    info!("{summary}");
    if destroy > 0 && !allow_destroy {
        let gone = changes.iter().filter(|change| matches!(change.action.as_str(), "destroy" | "replace"));
        let gone: Vec<_> = gone.map(|change| format!("{} ({})", change.address, change.action)).collect();
        reject!("{summary}: {}; to have that, write `allow-destroy: true` in `with`", gone.join(", "));
    }
    let changes = if changes.is_empty() { "none" } else { "some" };
    Ok(Outputs::new().with("plan", plan).with("summary", summary).with("changes", changes))
}

bespin_sdk::step!(run);
bespin_sdk::settings!("settings.json");
