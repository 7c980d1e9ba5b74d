//! How a step asks a level-triggered stage for something, and is answered.
//!
//! A plugin makes one call, `want(intent)`. The intent is recorded in the
//! stage's stream under a [`Key`] without the attempt, so that a repeated
//! attempt joins the want of the first instead of making a second one. A want
//! that failed for a reason that may pass is recorded once more by the next
//! attempt, and is open again from then on.

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

impl Answer {
    /// Whether the same want may succeed later: recorded once more, it is open again.
    pub fn is_transient(&self) -> bool {
        matches!(self, Answer::Failed { transient: true, .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{bump, by::By, canary, image, sync};
    use serde_json::{Value, json};

    fn key() -> Key {
        Key { run: "user/petclinic/was/56".into(), step: "step".into() }
    }

    /// A stage's journal: asked, answered, and asked once more.
    fn journal<E: for<'de> Deserialize<'de>>(intent: &Value, answer: &Answer) -> Vec<E> {
        let wanted = json!({ "kind": "wanted", "body": { "key": key(), "intent": intent } });
        let answered = json!({ "kind": "answered", "body": { "key": key(), "answer": answer } });
        let entries = [wanted.clone(), answered, wanted];
        entries.map(|entry| serde_json::from_value(entry).expect("it is an entry")).into()
    }

    /// Whether each stage holds a want for open that was answered so, and then asked for once more.
    fn open_again(answer: &Answer) -> [bool; 4] {
        let build = json!({ "intent": "build", "repository": "a/b", "commit": "c", "context": "", "dockerfile": "D" });
        let image = image::State::replay(&journal::<image::Entry>(&build, answer));
        let bump = json!({ "repo": "https://host/a/b", "path": "p", "image": "host/a:1" });
        let bump = bump::State::replay(&journal::<bump::Entry>(&bump, answer));
        let sync = journal::<sync::Entry>(&json!({ "revision": "c" }), answer);
        let sync = sync::State::fold(sync.iter().map(|entry| (1, entry)));
        let canary = journal::<canary::Entry>(&json!({ "image": "was:1" }), answer);
        let canary = canary::Recorded::fold(canary.iter().map(|entry| (1, &By::Server, entry)));
        let answers = [image.answer(&key()), bump.answer(&key()), sync.answer(&key()), canary.answer(&key())];
        let open = [image.open().count(), bump.open().count(), sync.open.len(), canary.open().count()];
        for (open, answer) in open.iter().zip(answers) {
            assert_eq!(*open, usize::from(answer.is_none()), "open, or answered");
        }
        open.map(|open| open == 1)
    }

    #[test]
    fn only_what_may_succeed_later_is_opened_again() {
        let failed = |transient| Answer::Failed { because: "b".into(), transient };
        assert_eq!(open_again(&failed(true)), [true; 4]);
        assert_eq!(open_again(&failed(false)), [false; 4]);
        assert_eq!(open_again(&Answer::Superseded { because: "b".into() }), [false; 4]);
        assert_eq!(open_again(&Answer::Met { outputs: json!({}) }), [false; 4]);
    }
}
