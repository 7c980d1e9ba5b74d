//! What is asked about infrastructure, and what is answered.

use secrecy::SecretString;

/// A plan of the infrastructure that a folder of the repository describes.
#[derive(Clone, Debug)]
pub struct PlanRequest {
    /// Relative to the top of the repository, which itself is the empty path.
    pub folder: String,
    /// One that exists; without it, Terraform's default.
    pub workspace: Option<String>,
    /// Values for the configuration's variables, with the secrets filled in.
    pub variables: Vec<Variable>,
    /// Whether the plan brings the infrastructure about or destroys it.
    pub mode: PlanMode,
}

/// A variable of a configuration.
#[derive(Clone, Debug)]
pub struct Variable {
    /// Letters, digits, `_` and `-`.
    pub name: String,
    /// All of it: never log it.
    pub value: SecretString,
    /// The secrets in it.
    pub secrets: Vec<SecretString>,
}

/// Whether a plan brings the infrastructure about or destroys it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PlanMode {
    /// What the configuration says.
    Normal,
    /// That nothing is left.
    Destroy,
}

/// A plan that the host keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Planned {
    /// The digest, `sha256:` and 64 hexadecimal digits.
    pub plan: String,
    /// Resources that are only created.
    pub to_add: u32,
    /// Resources that are changed in place.
    pub to_change: u32,
    /// Resources that are only destroyed.
    pub to_destroy: u32,
    /// Resources that are destroyed and created anew.
    pub to_replace: u32,
    /// Every resource and output that changes, in Terraform's order.
    pub changes: Vec<Change>,
    /// The difference for people.
    pub text: String,
}

/// Something that a plan changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Terraform's address, or `output.NAME`.
    pub address: String,
    /// As the contract lists them.
    pub action: &'static str,
}

/// A plan to apply.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplyRequest {
    /// The digest, `sha256:` and 64 hexadecimal digits.
    pub plan: String,
    /// As [`crate::Abilities::planned_folder`] found it, and the grant covers it.
    pub folder: String,
}

/// What an apply left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The outputs that are not sensitive, as a JSON object.
    pub outputs: String,
}
