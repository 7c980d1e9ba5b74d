//! The Application that brought a Rollout, which says what becomes of git after an abort.

use crate::object;
use crate::sync::application::{self, OnAbort, Ownership, Source};
use crate::sync::tracking;
use serde_json::Value;

/// Who brought a Rollout, as far as anything depends on it.
#[derive(Clone, Debug, PartialEq)]
pub enum Origin {
    /// No decision rests on it, so that nobody asked.
    NotAsked,
    /// It is not known, or is nobody's; as a sentence with the help.
    Unknown(String),
    /// An Application of ours.
    Application {
        /// The name that the Rollout's labels give it.
        name: String,
        /// Where its manifests are.
        source: Source,
        /// What it says about aborts, or the mistake in that.
        on_abort: Result<OnAbort, String>,
    },
}

/// The name of the Application that brought a Rollout.
pub fn application_of(rollout: &Value) -> Option<&str> {
    tracking::tracked_by(rollout)
}

/// Finds the Application among all of the cluster; `None` where nobody looked.
pub(super) fn read(rollout: &Value, applications: Option<Result<Vec<Value>, String>>) -> Origin {
    let Some(applications) = applications else { return Origin::NotAsked };
    let Some(name) = application_of(rollout) else {
        return Origin::Unknown("no Application has brought this Rollout; put the image back in git by hand".into());
    };
    let all = match applications {
        Ok(all) => all,
        Err(because) => return Origin::Unknown(format!("the Applications cannot be read: {because}")),
    };
    let mut named = all.iter().filter(|one| object::name(one) == name);
    let application = match (named.next(), named.next()) {
        (Some(only), None) => only,
        (None, _) => return Origin::Unknown(format!("the Application `{name}` is not there")),
        (Some(_), Some(_)) => return Origin::Unknown(format!("there are several Applications `{name}`; rename one")),
    };
    if application::ownership(application) == Ownership::Observed {
        return Origin::Unknown(format!("the Application `{name}` is only observed: `bespin take {name}`"));
    }
    match application::read(application) {
        Ok(read) => Origin::Application {
            name: name.to_owned(),
            source: read.source,
            on_abort: application::on_abort(application),
        },
        Err(because) => Origin::Unknown(because),
    }
}
