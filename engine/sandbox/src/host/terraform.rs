//! Infrastructure: what is planned or applied is granted by action and folder.

use secrecy::ExposeSecret;

use super::bindings::bespin::plugin::terraform::{self, Host};
use super::{Answer, value};
use crate::abilities::{Applied, ApplyRequest, Change, Failure, PlanMode, PlanRequest, Planned, Variable};
use crate::state::State;
use pipeline::permission;
use pipeline::permission::Ability;

/// All variables together, in bytes: they go through the environment, which a kernel bounds.
const VARIABLES: usize = 96 << 10;

impl Host for State {
    async fn plan(&mut self, request: terraform::PlanRequest) -> Answer<terraform::Planned> {
        self.count()?;
        let variables = self.variables(&request.variables);
        let mode = match request.mode {
            terraform::Mode::Normal => PlanMode::Normal,
            terraform::Mode::Destroy => PlanMode::Destroy,
        };
        let planned = match variables {
            Ok(variables) => self.plan_folder(request.folder, request.workspace, variables, mode).await,
            Err(failure) => Err(failure),
        };
        self.answer(planned.map(told))
    }

    async fn apply(&mut self, plan: String) -> Answer<terraform::Applied> {
        self.count()?;
        let applied = self.apply_plan(plan).await;
        self.answer(applied.map(|Applied { outputs }| terraform::Applied { outputs }))
    }
}

fn told(planned: Planned) -> terraform::Planned {
    let Planned { plan, to_add, to_change, to_destroy, to_replace, changes, text } = planned;
    let change = |Change { address, action }| terraform::Change { address, action: action.to_owned() };
    let changes = changes.into_iter().map(change).collect();
    terraform::Planned { plan, to_add, to_change, to_destroy, to_replace, changes, text }
}

impl State {
    fn variables(&self, written: &[terraform::Variable]) -> Result<Vec<Variable>, Failure> {
        let mut left = VARIABLES;
        let mut variables = Vec::with_capacity(written.len().min(1000));
        for terraform::Variable { name, value: parts } in written {
            value::terraform_variable(name)?;
            let assembled = self.assemble("the list of variables", parts, left)?;
            let length = name.len() + assembled.text.expose_secret().len() + 16;
            value::at_most("the list of variables", length, left)?;
            left -= length;
            variables.push(Variable { name: name.clone(), value: assembled.text, secrets: assembled.secrets });
        }
        Ok(variables)
    }

    async fn plan_folder(
        &mut self,
        folder: String,
        workspace: Option<String>,
        variables: Vec<Variable>,
        mode: PlanMode,
    ) -> Result<Planned, Failure> {
        let folder = value::path(&folder)?;
        value::workspace(workspace.as_deref())?;
        self.covers(Ability::Terraform, &permission::terraform_value("plan", &folder))?;
        let asked = PlanRequest { folder, workspace, variables, mode };
        self.ask(|abilities| async move { abilities.plan(asked).await }).await
    }

    async fn apply_plan(&mut self, plan: String) -> Result<Applied, Failure> {
        value::digest("plan", &plan)?;
        // A plugin without any permission does not learn whether there is such a plan.
        self.grants.holds(Ability::Terraform, "apply .").map_err(Failure::Denied)?;
        let asked = plan.clone();
        let folder = self.ask(|abilities| async move { abilities.planned_folder(asked).await }).await?;
        self.covers(Ability::Terraform, &permission::terraform_value("apply", &folder))?;
        let asked = ApplyRequest { plan, folder };
        self.ask(|abilities| async move { abilities.apply(asked).await }).await
    }
}
