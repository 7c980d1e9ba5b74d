//! Deliveries as tables: what comes in, what is answered.

use super::super::{
    Change, Ended, Entry, MAX_PATH_BYTES, MAX_PATHS, NOTHING, Origin, Paths, PullRequest, Push, Reference, State,
};
use super::*;
use serde_json::{Value, json};

const A: &str = "1111111111111111111111111111111111111111";
const B: &str = "2222222222222222222222222222222222222222";

fn push() -> Value {
    json!({
        "ref": "refs/heads/main", "before": A, "after": B,
        "created": false, "deleted": false, "forced": false,
        "repository": { "full_name": "user/petclinic", "clone_url": "https://evil.example/x.git" },
        "pusher": { "name": "kim" },
        "commits": [
            { "id": A, "added": ["was/b"], "removed": [], "modified": ["pom.xml"] },
            { "id": B, "added": [], "removed": ["was/a"], "modified": ["pom.xml"] },
        ],
    })
}

fn ask(event: &str, body: &[u8]) -> Response {
    let repositories = ["User/Petclinic".to_owned()];
    respond(&Webhook {
        hook: "default",
        repositories: &repositories,
        event: Some(event),
        delivery: Some("72d3162e-cc78-11e3-81ab-4c9367dc0958"),
        content_type: Some("application/json; charset=utf-8"),
        body,
    })
}

fn ask_push(change: impl FnOnce(&mut Value)) -> Response {
    let mut payload = push();
    change(&mut payload);
    ask("push", payload.to_string().as_bytes())
}

fn accepted(answer: Response) -> Push {
    match answer {
        Response::Accepted(received) => match *received {
            Received::Push(push) => push,
            Received::PullRequest(asked) => panic!("not a push: {asked:?}"),
        },
        other => panic!("not accepted: {other:?}"),
    }
}

fn malformed(answer: Response) -> String {
    match answer {
        Response::Malformed(mistake) => mistake.to_string(),
        other => panic!("not malformed: {other:?}"),
    }
}

#[test]
fn a_push_becomes_what_the_trigger_needs() {
    let push = accepted(ask_push(|_| {}));
    assert_eq!(push.repository, "User/Petclinic", "the configuration's spelling is ours");
    assert_eq!(push.short_reference(), Some(Reference::Branch("main")));
    assert_eq!(push.change, Change::Forward);
    assert_eq!(Received::Push(push.clone()).stream().as_str(), "delivery/default/72d3162e-cc78-11e3-81ab-4c9367dc0958");
    let paths = ["pom.xml", "was/a", "was/b"].map(String::from).to_vec();
    assert_eq!(push.paths, Paths::Listed { paths });
}

#[test]
fn what_happened_to_the_reference() {
    let cases: [(&str, Value, Change); 4] = [
        ("new", json!({"before": NOTHING, "created": true}), Change::New),
        ("gone", json!({"after": NOTHING, "deleted": true}), Change::Deleted),
        ("forced", json!({"forced": true}), Change::Forced),
        ("tag", json!({"ref": "refs/tags/v1", "before": NOTHING, "created": true}), Change::New),
    ];
    for (name, edit, change) in cases {
        let push = accepted(ask_push(|p| merge(p, &edit)));
        assert_eq!(push.change, change, "{name}");
        let compare = matches!(push.paths, Paths::Compare { .. });
        assert_eq!(compare, change != Change::Deleted, "{name}: git is asked");
    }
}

fn merge(into: &mut Value, edit: &Value) {
    for (key, value) in edit.as_object().unwrap() {
        into[key] = value.clone();
    }
}

#[test]
fn lists_that_may_be_capped_are_not_believed() {
    let many: Vec<String> = (0..MAX_PATHS + 1).map(|n| format!("f{n}")).collect();
    let long = vec!["x".repeat(MAX_PATH_BYTES + 1)];
    for (name, edit) in [
        ("too many", json!({"commits": [{"id": B, "added": many}]})),
        ("too long", json!({"commits": [{"id": B, "added": long}]})),
        ("the newest is missing", json!({"commits": [{"id": A, "added": ["x"]}]})),
        ("no commits", json!({"commits": []})),
        ("no list", json!({"commits": null})),
    ] {
        let push = accepted(ask_push(|p| merge(p, &edit)));
        assert!(matches!(push.paths, Paths::Compare { .. }), "{name}: {:?}", push.paths);
    }
}

#[test]
fn malformed_payloads_name_the_place() {
    let cases: [(Value, &str); 13] = [
        (json!({"ref": null}), "/ref: is missing"),
        (json!({"ref": "main"}), "/ref: does not start with `refs/`"),
        (json!({"ref": "refs/heads/a..b"}), "/ref: has characters that git forbids"),
        (json!({"ref": "refs/heads/a/../../x"}), "/ref: has characters"),
        (json!({"ref": "refs/heads/a\nb"}), "/ref: has characters"),
        (json!({"ref": "refs/heads/"}), "/ref: is not a name"),
        (json!({"ref": format!("refs/heads/{}", "a".repeat(300))}), "/ref: is longer than 300 bytes"),
        (json!({"before": "HEAD"}), "/before: is not a full commit id"),
        (json!({"after": NOTHING}), "/deleted: contradicts"),
        (json!({"after": NOTHING, "before": NOTHING, "deleted": true}), "/after: is zeros"),
        (json!({"created": true}), "/created: contradicts"),
        (json!({"repository": {}}), "/repository/full_name: is missing"),
        (json!({"repository": {"full_name": "../x/y"}}), "/repository/full_name: is not `owner/repo`"),
    ];
    for (edit, expected) in cases {
        let text = malformed(ask_push(|p| merge(p, &edit)));
        assert!(text.starts_with(expected), "{edit}: {text}");
    }
    assert!(malformed(ask("push", b"{\"ref\": 7}")).contains("line 1 column 9"));
    assert!(malformed(ask("push", b"")).starts_with("the payload: EOF"));
    assert!(malformed(ask("push", &[0xff; 9])).starts_with("the payload:"));
    let deep = "[".repeat(1_000_000);
    assert!(malformed(ask("issues", deep.as_bytes())).starts_with("the payload:"));
    let deep = format!("{{\"x\": {deep}");
    assert!(malformed(ask("issues", deep.as_bytes())).starts_with("the payload:"));
}

#[test]
fn headers_are_checked_before_the_payload() {
    let body = push().to_string();
    let repositories = ["user/petclinic".to_owned()];
    let good = Webhook {
        hook: "default",
        repositories: &repositories,
        event: Some("push"),
        delivery: Some("id-1"),
        content_type: None,
        body: body.as_bytes(),
    };
    assert!(matches!(respond(&good), Response::Accepted(_)));
    for (request, expected) in [
        (Webhook { delivery: None, ..good }, "X-GitHub-Delivery: is missing"),
        (Webhook { delivery: Some("a/b"), ..good }, "X-GitHub-Delivery: is not"),
        (Webhook { delivery: Some(""), ..good }, "X-GitHub-Delivery: is not"),
        (Webhook { event: None, ..good }, "X-GitHub-Event: is missing"),
        (Webhook { event: Some("a b"), ..good }, "X-GitHub-Event: is not"),
        (Webhook { content_type: Some("text/plain"), ..good }, "Content-Type: is neither"),
    ] {
        assert!(malformed(respond(&request)).starts_with(expected), "{expected}");
    }
    let form: String = url::form_urlencoded::Serializer::new(String::new()).append_pair("payload", &body).finish();
    let content_type = Some("application/x-www-form-urlencoded");
    assert!(matches!(respond(&Webhook { content_type, body: form.as_bytes(), ..good }), Response::Accepted(_)));
    let form = Webhook { content_type, body: b"x=1", ..good };
    assert_eq!(malformed(respond(&form)), "the form: has no field `payload`");
}

#[test]
fn foreign_repositories_and_events_without_runs() {
    let theirs = ask_push(|p| p["repository"]["full_name"] = "user/other".into());
    assert!(matches!(theirs, Response::Foreign { because } if because.contains("`user/other`")));
    let notes = ask_push(|p| p["ref"] = "refs/notes/commits".into());
    assert!(matches!(notes, Response::Ignored { because } if because.contains("refs/notes/commits")));
    let ping = ask("ping", br#"{"zen": "x", "repository": {"full_name": "user/petclinic"}}"#);
    assert!(matches!(ping, Response::Ignored { because } if because.contains("ping")));
    let ping = ask("ping", br#"{"zen": "x", "repository": {"full_name": "user/other"}}"#);
    assert!(matches!(ping, Response::Foreign { .. }));
    let star = ask("star", br#"{"action": "created", "repository": null}"#);
    assert!(matches!(star, Response::Ignored { because } if because.contains("`star`")));
}

#[test]
fn a_journal_folds_back() {
    let push = accepted(ask_push(|_| {}));
    let entries = [
        Entry::Received(push.clone()),
        Entry::Opened { runs: vec!["user/petclinic/was/1".into()], skipped: Vec::new() },
    ];
    let text = serde_json::to_string(&entries).unwrap();
    assert!(text.contains(r#"{"kind":"opened","body":{"runs":["user/petclinic/was/1"]}}"#), "{text}");
    let entries: Vec<Entry> = serde_json::from_str(&text).unwrap();
    let recorded = State::replay(entries.iter().map(|entry| (5, entry)));
    assert_eq!(recorded.received, Some((Received::Push(push), 5)));
    assert_eq!(recorded.ended, Some(Ended::Opened(vec!["user/petclinic/was/1".into()])));
}

fn proposal() -> Value {
    json!({
        "action": "opened", "number": 7,
        "pull_request": {
            "number": 7, "title": "${{ secrets }}",
            "base": { "ref": "main", "sha": A, "repo": { "full_name": "user/petclinic" } },
            "head": { "ref": "fix", "sha": B, "repo": {
                "full_name": "mallory/petclinic", "clone_url": "https://evil.example/x.git",
            } },
        },
        "repository": { "full_name": "user/petclinic" },
        "sender": { "login": "mallory" },
    })
}

fn ask_proposal(pointer: &str, value: Value) -> Response {
    let mut payload = proposal();
    if !pointer.is_empty() {
        *payload.pointer_mut(pointer).unwrap() = value;
    }
    ask("pull_request", payload.to_string().as_bytes())
}

fn proposed(answer: Response) -> PullRequest {
    match answer {
        Response::Accepted(received) => match *received {
            Received::PullRequest(asked) => asked,
            Received::Push(push) => panic!("not a pull request: {push:?}"),
        },
        other => panic!("not accepted: {other:?}"),
    }
}

#[test]
fn a_pull_request_becomes_what_the_trigger_needs() {
    let asked = proposed(ask_proposal("", Value::Null));
    assert_eq!((asked.repository.as_str(), asked.number, asked.sender.as_str()), ("User/Petclinic", 7, "mallory"));
    assert_eq!((asked.base.as_str(), asked.base_sha.as_str()), ("refs/heads/main", A));
    assert_eq!((asked.head.as_str(), asked.head_sha.as_str()), ("fix", B));
    assert_eq!((asked.reference().as_str(), asked.base_branch()), ("refs/pull/7/head", "main"));
    let entry = Received::PullRequest(asked.clone()).entry();
    let text = serde_json::to_string(&entry).unwrap();
    assert!(text.starts_with(r#"{"kind":"proposed","body":{"#) && !text.contains("evil.example"), "{text}");
    let recorded = State::replay([(5, &serde_json::from_str::<Entry>(&text).unwrap())]);
    assert_eq!(recorded.received, Some((Received::PullRequest(asked), 5)));
}

#[test]
fn whose_a_pull_request_is() {
    let repo = "/pull_request/head/repo";
    for (value, origin) in [
        (json!({ "full_name": "user/petclinic" }), Origin::Own),
        (json!({ "full_name": "mallory/petclinic" }), Origin::Fork),
        (json!({ "full_name": "user/petclinic2" }), Origin::Fork),
        (json!({ "full_name": "user/petclinic ", "fork": false }), Origin::Fork),
        (json!({ "fork": false }), Origin::Fork),
        (Value::Null, Origin::Fork),
    ] {
        assert_eq!(proposed(ask_proposal(repo, value.clone())).origin, origin, "{value}");
    }
}

#[test]
fn an_edit_counts_where_it_changes_the_base() {
    let edited = |changes: Value| {
        let mut payload = proposal();
        payload["action"] = "edited".into();
        payload["changes"] = changes;
        ask("pull_request", payload.to_string().as_bytes())
    };
    let asked = proposed(edited(json!({ "base": { "ref": { "from": "next" }, "sha": { "from": A } } })));
    assert_eq!((asked.activity, asked.base.as_str()), (pipeline::Activity::Synchronize, "refs/heads/main"));
    for changes in [Value::Null, json!({}), json!({ "title": { "from": "Greet" } }), json!({ "base": null })] {
        let answer = edited(changes);
        assert!(matches!(&answer, Response::Ignored { because } if because.contains("edited")), "{answer:?}");
    }
}

#[test]
fn pull_requests_that_start_nothing_and_those_of_others() {
    for action in ["closed", "labeled", "edited", "surprise"] {
        let answer = ask_proposal("/action", action.into());
        assert!(matches!(&answer, Response::Ignored { because } if because.contains(action)), "{answer:?}");
    }
    for (pointer, value) in [("/repository/full_name", json!("mallory/petclinic")), ("/action", json!("closed"))] {
        let mut payload = proposal();
        payload["repository"]["full_name"] = "mallory/petclinic".into();
        payload["pull_request"]["base"]["repo"]["full_name"] = "mallory/petclinic".into();
        *payload.pointer_mut(pointer).unwrap() = value;
        let answer = ask("pull_request", payload.to_string().as_bytes());
        assert!(matches!(&answer, Response::Foreign { because } if because.contains("mallory")), "{answer:?}");
    }
}

#[test]
fn malformed_pull_requests_name_the_place() {
    let long = "x".repeat(300);
    for (pointer, value, expected) in [
        ("/action", Value::Null, "/action: is missing"),
        ("/number", Value::Null, "/number: is missing"),
        ("/number", json!(0), "/number: is 0"),
        ("/number", json!(8), "/pull_request/number: contradicts"),
        ("/number", json!("7/../../heads/main"), "the payload:"),
        ("/number", json!(-7), "the payload:"),
        ("/pull_request", Value::Null, "/pull_request: is missing"),
        ("/pull_request/base", Value::Null, "/pull_request/base: is missing"),
        ("/pull_request/head", Value::Null, "/pull_request/head: is missing"),
        ("/pull_request/base/repo", Value::Null, "/pull_request/base/repo/full_name: is missing"),
        ("/pull_request/base/repo/full_name", json!("mallory/x"), "/pull_request/base/repo/full_name: contradicts"),
        ("/pull_request/base/ref", Value::Null, "/pull_request/base/ref: is missing"),
        ("/pull_request/base/ref", json!("../tags/v1"), "/pull_request/base/ref: has characters"),
        ("/pull_request/base/ref", json!(""), "/pull_request/base/ref: is not a name"),
        ("/pull_request/base/ref", json!(long), "/pull_request/base/ref: is longer"),
        ("/pull_request/base/sha", json!("main"), "/pull_request/base/sha: is not a full commit id"),
        ("/pull_request/head/sha", Value::Null, "/pull_request/head/sha: is missing"),
        ("/pull_request/head/sha", json!("HEAD"), "/pull_request/head/sha: is not a full commit id"),
        ("/pull_request/head/sha", json!(NOTHING), "/pull_request/head/sha: is zeros"),
    ] {
        let text = malformed(ask_proposal(pointer, value.clone()));
        assert!(text.starts_with(expected), "{pointer} = {value}: {text}");
    }
}
