//! The ledger: who joins whose request, and what is open again.

use super::*;
use serde_json::json;

enum Entry {
    Asked(Key, &'static str),
    Answered(Key, Response),
    GaveUp(Key),
    Other,
}

impl Requests for Entry {
    type Intent = &'static str;

    fn asked(key: Key, intent: &'static str) -> Entry {
        Entry::Asked(key, intent)
    }

    fn change(&self) -> Option<Change<'_, &'static str>> {
        match self {
            Entry::Asked(key, intent) => Some(Change::Asked(key, intent)),
            Entry::Answered(key, response) => Some(Change::Answered(key, response)),
            Entry::GaveUp(key) => Some(Change::GaveUp(key)),
            Entry::Other => None,
        }
    }
}

fn key(step: &str) -> Key {
    Key { run: "user/petclinic/was/56".into(), step: step.into() }
}

fn failed(transient: bool) -> Response {
    Response::Failed { because: "the registry is away".into(), transient }
}

fn met() -> Response {
    Response::Met { outputs: json!({}) }
}

#[test]
fn only_what_may_succeed_later_is_opened_again() {
    let superseded = Response::Superseded { because: "run 57".into() };
    for (response, opens) in [(failed(true), true), (failed(false), false), (superseded, false), (met(), false)] {
        let asked = || Entry::asked(key("push"), "a:1");
        let answered = Entry::Answered(key("push"), response.clone());
        let ledger = Ledger::fold(&[asked(), answered, Entry::Other, asked()]);
        assert_eq!(ledger.open().count() == 1, opens, "{response:?}");
        assert_eq!(ledger.response(&key("push")), (!opens).then_some(&response));
    }
}

#[test]
fn a_later_attempt_joins_and_what_was_given_up_still_waits_for_the_stage() {
    let mut ledger = Ledger::fold(&[Entry::asked(key("push"), "a:1"), Entry::asked(key("push"), "a:2")]);
    assert_eq!(ledger.open().map(|request| request.intent).collect::<Vec<_>>(), ["a:1"], "the first is the one");
    ledger.apply(&Entry::GaveUp(key("push")));
    assert_eq!(ledger.get(&key("push")).map(|request| &request.state), Some(&RequestState::GivenUp));
    assert_eq!(ledger.open().count(), 1);
    ledger.apply(&Entry::asked(key("push"), "a:1"));
    assert_eq!(ledger.get(&key("push")).map(|request| &request.state), Some(&RequestState::Open));
    ledger.apply(&Entry::Answered(key("push"), met()));
    ledger.apply(&Entry::Answered(key("push"), failed(false)));
    ledger.apply(&Entry::GaveUp(key("push")));
    assert_eq!(ledger.response(&key("push")), Some(&met()), "the first answer counts");
}

#[test]
fn a_request_that_is_open_again_is_for_what_was_asked_last() {
    let ended = || Entry::Answered(key("push"), failed(true));
    for end in [ended(), Entry::GaveUp(key("push"))] {
        let ledger = Ledger::fold(&[Entry::asked(key("push"), "a:1"), end, Entry::asked(key("push"), "a:2")]);
        assert_eq!(ledger.open().map(|request| request.intent).collect::<Vec<_>>(), ["a:2"]);
    }
    let asked = |intent| Entry::asked(key("push"), intent);
    let met = Ledger::fold(&[asked("a:1"), Entry::Answered(key("push"), met()), asked("a:2")]);
    assert_eq!(met.get(&key("push")).map(|request| request.intent), Some("a:1"), "it was met as it was asked");
}

#[test]
fn requests_keep_their_order_and_a_stray_answer_makes_none() {
    let ledger = Ledger::fold(&[
        Entry::Answered(key("c"), met()),
        Entry::asked(key("b"), "b"),
        Entry::asked(key("a"), "a"),
        Entry::Answered(key("b"), met()),
    ]);
    assert_eq!(ledger.iter().map(|request| request.key.step.as_str()).collect::<Vec<_>>(), ["b", "a"]);
    assert_eq!(ledger.open().map(|request| request.key.step.as_str()).collect::<Vec<_>>(), ["a"]);
}

#[test]
fn a_response_is_written_as_it_always_was() {
    let written = json!({ "answer": "failed", "because": "the registry is away", "transient": true });
    assert_eq!(serde_json::to_value(failed(true)).expect("it is JSON"), written);
    let superseded = json!({ "answer": "superseded", "because": "run 57" });
    let read: Response = serde_json::from_value(superseded).expect("it is a response");
    assert_eq!(read, Response::Superseded { because: "run 57".into() });
}
