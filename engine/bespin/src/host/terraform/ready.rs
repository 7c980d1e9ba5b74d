//! A call that is prepared: the files are there, and what Terraform leaves among them can be read.

use super::process::Caller;
use super::surroundings::backend;
use crate::config::TerraformValue as Value;
use sandbox::{Failure, Variable};
use std::collections::BTreeMap;

/// What `init` writes down of the backend, in bytes.
const BACKEND_BYTES: u64 = 1 << 20;

/// What a plan or an apply brings along.
pub(super) struct Given<'a> {
    /// The variables that the step sets.
    pub(super) variables: &'a [Variable],
    /// The configuration's part of the environment.
    pub(super) env: &'a BTreeMap<String, Value>,
    /// The provider packages, where they are given.
    pub(super) lock: Option<Vec<u8>>,
}

/// A call that is prepared: the pushed commit's files are there, and Terraform is initialised in them.
pub(super) struct Ready<'a> {
    /// How Terraform is called there.
    pub(super) caller: Caller<'a>,
    /// The configuration's folder, relative to what Terraform may write to.
    pub(super) source: String,
}

impl Ready<'_> {
    /// What Terraform left below its work directory.
    pub(super) async fn left(&self, relative: &str, at_most: u64) -> Result<Option<Vec<u8>>, Failure> {
        let read = self.caller.work.read(relative, at_most).await;
        read.map_err(|error| Failure::Rejected(error.to_string()))
    }

    /// Refuses a state that would go with the work directory. `init` writes down which backend it was told of, and nothing
    /// where it was told of none.
    pub(super) async fn keeps_its_state(&self) -> Result<(), Failure> {
        let initialised = self.left("data/terraform.tfstate", BACKEND_BYTES).await?;
        match backend(initialised.as_deref()).as_deref() {
            Some("local" | "inmem") | None => Err(Failure::Rejected(
                "the state would be kept in the folder itself, which is thrown away after the step; configure a \
                 backend, such as `terraform { backend \"s3\" { ... } }`"
                    .to_owned(),
            )),
            Some(_) => Ok(()),
        }
    }
}
