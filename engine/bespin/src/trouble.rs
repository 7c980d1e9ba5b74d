//! Each adapter's error as a stage's trouble, with the class that the adapter gave it: see [`decide::retry`].

use crate::drive::Trouble;
use crate::plugins;
use decide::retry::Retry;
use sandbox::Failure;

impl Trouble {
    /// A person has to change something elsewhere first; the message says what.
    pub fn needs_person(message: impl Into<String>) -> Trouble {
        Trouble { message: message.into(), retry: Retry::NeedsPerson }
    }

    /// What was asked for is wrong; the message says what to change.
    pub fn permanent(message: impl Into<String>) -> Trouble {
        Trouble { message: message.into(), retry: Retry::Permanent }
    }
}

impl From<forge::Error> for Trouble {
    fn from(error: forge::Error) -> Trouble {
        Trouble { message: error.to_string(), retry: error.retry() }
    }
}

impl From<forge::pulls::PullError> for Trouble {
    fn from(error: forge::pulls::PullError) -> Trouble {
        Trouble { message: error.to_string(), retry: error.retry }
    }
}

impl From<forge::status::PostError> for Trouble {
    fn from(error: forge::status::PostError) -> Trouble {
        Trouble { message: error.to_string(), retry: error.retry }
    }
}

impl From<images::Error> for Trouble {
    fn from(error: images::Error) -> Trouble {
        Trouble { message: error.to_string(), retry: error.retry() }
    }
}

impl From<cluster::Error> for Trouble {
    fn from(error: cluster::Error) -> Trouble {
        Trouble { message: error.to_string(), retry: error.retry() }
    }
}

impl From<plugins::Error> for Trouble {
    fn from(error: plugins::Error) -> Trouble {
        Trouble { message: error.to_string(), retry: error.retry() }
    }
}

/// A step may be attempted again whenever the trouble may pass.
impl From<Trouble> for Failure {
    fn from(trouble: Trouble) -> Failure {
        match trouble.retry.may_pass() {
            true => Failure::Transient(trouble.message),
            false => Failure::Rejected(trouble.message),
        }
    }
}
