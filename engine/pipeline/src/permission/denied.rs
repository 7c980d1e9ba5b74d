//! What a plugin is told when it asked for something without permission.

use std::fmt;

use super::Ability;

/// Permission that a plugin asked for and does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    /// The permission that is missing.
    pub grant: Ability,
    /// What was to be done with it; may be empty when the ability is not granted at all.
    pub value: String,
    /// What to add, and where: `add to the step: grants: { registry: ["host/name"] }`.
    pub help: String,
}

impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.value.as_str() {
            "" => write!(f, "not granted: {}; {}", self.grant, self.help),
            value => write!(f, "not granted: {} for {value}; {}", self.grant, self.help),
        }
    }
}
