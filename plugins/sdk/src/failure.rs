//! Why a step did not succeed.

pub use crate::bindings::bespin::plugin::failures::Failure;
use crate::bindings::bespin::plugin::failures::Fault;

/// What a step's function returns.
pub type Result<T> = std::result::Result<T, Failure>;

/// What the host would not do for the step is why the step fails, unless it goes on without.
impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        match fault {
            Fault::Rejected(because) => Failure::Rejected(because),
            Fault::Transient(because) => Failure::Transient(because),
            Fault::Denied(denied) => {
                Failure::Rejected(format!("not granted: {} {}; {}", denied.grant, denied.value, denied.mend))
            }
        }
    }
}
