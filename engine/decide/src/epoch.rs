//! Whether the journal knows all that happened.

/// Whether something was recorded since the journal was begun or restored. A restored journal does not know what came
/// after its backup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Epoch {
    /// It was: the journal knows everything that followed.
    #[default]
    This,
    /// It came with a backup: what followed may be lost, and the world may be further.
    Restored,
}
