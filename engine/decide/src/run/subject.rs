//! A run, as the rows of the server's policy are matched with it.

use super::entry::{Opened, Origin};
use pipeline::permission::{Provenance, Subject};

impl Opened {
    /// What the policy's rows are matched with. A pull request of which nothing is known counts as a stranger's.
    pub fn subject(&self) -> Subject<'_> {
        let base = self.event.pull_request.as_ref().map(|asked| asked.base.as_str());
        let provenance = match (self.event.origin(), base) {
            (None, _) => Provenance::Reference(&self.event.reference),
            (Some(Origin::Own), Some(base)) => Provenance::Own { base },
            (Some(Origin::Own | Origin::Fork), base) => Provenance::Fork { base },
        };
        Subject {
            repository: &self.repository,
            pipeline: &self.pipeline_file,
            event: self.event.kind.as_str(),
            provenance,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::{Event, EventKind, PullRequest};

    fn provenance(kind: EventKind, pull_request: Option<Origin>) -> (String, String) {
        let asked = |origin| PullRequest { number: 7, base: "refs/heads/main".into(), head: "fix".into(), origin };
        let opened = Opened {
            id: "user/petclinic/was/1".into(),
            number: 1,
            repository: "user/petclinic".into(),
            pipeline_file: ".bespin/was.yaml".into(),
            pipeline: Default::default(),
            event: Event {
                kind,
                reference: "refs/heads/next".into(),
                pull_request: pull_request.map(asked),
                ..Event::default()
            },
            commit: Default::default(),
            title: String::new(),
            mistakes: Vec::new(),
            retry_of: None,
        };
        let subject = opened.subject();
        assert_eq!((subject.repository, subject.pipeline), ("user/petclinic", ".bespin/was.yaml"));
        (subject.event.to_owned(), format!("{:?}", subject.provenance))
    }

    #[test]
    fn a_pull_request_is_judged_by_its_base_and_by_whose_it_is() {
        let is = |kind: &str, text: &str| (kind.to_owned(), text.to_owned());
        assert_eq!(provenance(EventKind::Push, None), is("push", r#"Reference("refs/heads/next")"#));
        let asked = |origin| provenance(EventKind::PullRequest, origin);
        assert_eq!(asked(Some(Origin::Own)), is("pull_request", r#"Own { base: "refs/heads/main" }"#));
        assert_eq!(asked(Some(Origin::Fork)), is("pull_request", r#"Fork { base: Some("refs/heads/main") }"#));
        assert_eq!(asked(None), is("pull_request", "Fork { base: None }"));
    }
}
