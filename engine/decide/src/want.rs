//! How a step asks a level-triggered stage for something, and is answered.
//!
//! A plugin makes one call, `want(intent)`. The intent is recorded in the
//! stage's stream under a [`Key`] without the attempt, so that a repeated
//! attempt joins the want of the first instead of making a second one.

use serde::{Deserialize, Serialize};

/// Which step of which run wants something.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Key {
    /// The run's id, such as `user/petclinic/petclinic-was/56`.
    pub run: String,
    /// The step's id within that run.
    pub step: String,
}

/// How a want ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", rename_all = "kebab-case")]
pub enum Answer {
    /// The world is as it was wanted; `outputs` becomes the step's outputs.
    Met {
        /// A flat JSON object of strings.
        outputs: serde_json::Value,
    },
    /// A newer want took its place.
    Superseded {
        /// By what, as a sentence.
        because: String,
    },
    /// It cannot be met.
    Failed {
        /// Why, as a sentence with the mend.
        because: String,
        /// Whether the same want may succeed later.
        transient: bool,
    },
}
