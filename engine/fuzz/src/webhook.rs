//! Webhooks: what is read of a payload is what stands in it, and what is accepted is a delivery that the journal keeps.

use decide::delivery::{
    Change, Entry, NOTHING, Parsed, Paths, PullRequest, Push, Received, Response, Webhook, parse, respond,
};
use serde_json::Value;
use std::collections::BTreeSet;

/// Looks at bytes as an event's name, a line feed, and a payload.
pub(crate) fn check(bytes: &[u8]) {
    let Some(at) = bytes.iter().position(|byte| *byte == b'\n') else { return };
    let (event, body) = (std::str::from_utf8(&bytes[..at]).ok(), &bytes[at + 1..]);
    let repositories = ["user/petclinic".to_owned()];
    for content_type in [None, Some("application/x-www-form-urlencoded")] {
        let (hook, delivery) = ("default", Some("72d3162e-cc78-11e3-81ab-4c9367dc0958"));
        let webhook = Webhook { hook, repositories: &repositories, event, delivery, content_type, body };
        let parsed = parse(&webhook);
        if let Ok(Parsed::Push(push)) = &parsed
            && content_type.is_none()
        {
            stands_there(push, body);
        }
        match (parsed, respond(&webhook)) {
            (Err(mistake), Response::Malformed(told)) => {
                assert_eq!(mistake, told);
                assert!(!mistake.place.is_empty() && !mistake.problem.is_empty(), "{mistake:?}");
            }
            (Ok(_), Response::Accepted(received)) => is_kept(*received, &repositories),
            (Ok(_), Response::Ignored { because } | Response::Foreign { because }) => assert!(!because.is_empty()),
            (parsed, response) => panic!("{parsed:?} is answered {response:?}"),
        }
    }
}

/// Reads the payload by other means, and compares.
fn stands_there(push: &Push, body: &[u8]) {
    let Ok(payload) = serde_json::from_slice::<Value>(body) else {
        // A text that nobody reads may have half of a surrogate pair in it, which has no place in a string.
        return assert!(serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok(), "what was read is JSON");
    };
    assert_eq!(payload["repository"]["full_name"], push.repository.as_str());
    assert_eq!(payload["ref"], push.reference.as_str());
    for (key, commit) in [("before", &push.before), ("after", &push.after)] {
        let written = payload[key].as_str().expect("a commit was read there");
        assert!(written == commit || (commit == NOTHING && written.bytes().all(|byte| byte == b'0')), "{key}");
    }
    assert_eq!(push.change == Change::Deleted, push.after == NOTHING);
    let Paths::Listed { paths } = &push.paths else { return };
    let commits = payload["commits"].as_array().into_iter().flatten();
    let lists = commits.flat_map(|commit| ["added", "removed", "modified"].map(|list| &commit[list]));
    let written: BTreeSet<&str> = lists.filter_map(Value::as_array).flatten().filter_map(Value::as_str).collect();
    let read: BTreeSet<&str> = paths.iter().map(String::as_str).collect();
    assert_eq!(read, if push.change == Change::Deleted { BTreeSet::new() } else { written });
}

/// What was accepted is of a known repository, and comes back from the journal as it was.
fn is_kept(received: Received, repositories: &[String]) {
    let entry = received.entry();
    let (Entry::Received(Push { repository, .. }) | Entry::Proposed(PullRequest { repository, .. })) = &entry else {
        panic!("{entry:?} begins no delivery");
    };
    assert!(repositories.contains(repository));
    let kept = serde_json::to_string(&entry).expect("an entry is plain data");
    let again: Entry = serde_json::from_str(&kept).unwrap_or_else(|error| panic!("{kept}: {error}"));
    assert_eq!(again, entry);
}
