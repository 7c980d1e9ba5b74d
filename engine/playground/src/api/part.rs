//! The parts of an object that can be asked for by themselves.

/// Which part of an object a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of the object but its status, where the kind has a status subresource.
    Whole,
    /// The status alone (`/status`); what the body says of the rest is ignored.
    Status,
    /// The number of replicas alone (`/scale`), whatever the kind calls the field.
    Scale,
}

impl Part {
    /// Its name in a path and in `managedFields`; empty for the whole.
    pub(super) fn subresource(self) -> &'static str {
        match self {
            Part::Whole => "",
            Part::Status => "status",
            Part::Scale => "scale",
        }
    }
}
