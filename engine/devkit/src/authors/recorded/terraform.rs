//! Recorded plans and applies.

use super::super::cases::calls::number;
use super::{Recorded, given, no_answer, text};
use sandbox::{Applied, ApplyRequest, Change, Failure, PlanMode, PlanRequest, Planned};
use secrecy::ExposeSecret;
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What the contract says that a plan may do to something.
const ACTIONS: [&str; 9] = ["create", "update", "destroy", "replace", "read", "forget", "import", "move", "output"];

impl Recorded {
    pub(super) fn planned(&self, asked: PlanRequest) -> Result<Planned, Failure> {
        let value = |variable: &sandbox::Variable| (variable.name.clone(), variable.value.expose_secret().to_owned());
        let variables: BTreeMap<_, _> = asked.variables.iter().map(value).collect();
        let asked = json!({
            "folder": asked.folder,
            "workspace": asked.workspace,
            "variables": if variables.is_empty() { Value::Null } else { json!(variables) },
            "mode": match asked.mode { PlanMode::Normal => Value::Null, PlanMode::Destroy => "destroy".into() },
        });
        let answer = self.call("terraform.plan", given(asked))?;
        let count = |name: &str| number(&answer[name]).map(|number| number as u32).ok_or_else(|| no_answer(name));
        let change = |(address, action): (&String, &Value)| {
            let action = ACTIONS.into_iter().find(|known| action.as_str() == Some(known));
            Ok::<_, Failure>(Change { address: address.clone(), action: action.ok_or_else(|| no_answer("changes"))? })
        };
        let changes = answer["changes"].as_object().ok_or_else(|| no_answer("changes"))?;
        Ok(Planned {
            plan: text(&answer, "plan")?,
            to_add: count("to-add")?,
            to_change: count("to-change")?,
            to_destroy: count("to-destroy")?,
            to_replace: count("to-replace")?,
            changes: changes.iter().map(change).collect::<Result<_, Failure>>()?,
            text: text(&answer, "text")?,
        })
    }

    /// A case writes the folder of a plan where it is applied.
    pub(super) fn planned_folder(&self, plan: &str) -> Result<String, Failure> {
        let left = self.left();
        let mut applies = left.calls.iter().filter(|call| call.ask == "terraform.apply");
        let found = applies.find(|call| call.with.get("plan").and_then(Value::as_str) == Some(plan));
        let folder = found.and_then(|call| call.with.get("folder").and_then(Value::as_str));
        folder
            .map(str::to_owned)
            .ok_or_else(|| Failure::Rejected(format!("no step of this run has made the plan {plan}")))
    }

    pub(super) fn applied(&self, asked: ApplyRequest) -> Result<Applied, Failure> {
        let asked = json!({ "plan": asked.plan, "folder": asked.folder });
        let answer = self.call("terraform.apply", asked)?;
        Ok(Applied { outputs: text(&answer, "outputs")? })
    }
}
