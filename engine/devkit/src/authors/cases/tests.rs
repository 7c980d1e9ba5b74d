//! Mistakes in case files, with their places and help.

use super::*;

/// Where the mistakes of a case are, and what is said of them.
fn mistakes(world: World, text: &str) -> Vec<String> {
    let found = Case::parse("a.yaml", text, world).expect_err("it has mistakes");
    found.iter().map(|one| format!("{}:{}: {}; {}", one.line, one.column, one.message, one.help)).collect()
}

#[test]
fn mistakes_of_form_are_told_with_place_and_help() {
    for (text, told) in [
        (
            "expect: { verdict: succeded }",
            "1:20: `succeded` is none of the words that can stand here; write one of `succeeded`",
        ),
        ("grant: {}\nexpect: { verdict: succeeded }", "1:1: there is no key `grant` here; there are `with`, `object`"),
        ("with: {}", "1:1: it lacks the key `expect`; add `expect:`"),
        ("files: { a: }", "1:11: a text is missing here; write a text; an empty one is `\"\"`"),
        ("with: [\n", "1:7: it is no map; write `key: value`"),
        ("with: text\nexpect: { verdict: succeeded }", "1:7: it is no map"),
        (
            "http: [{ request: { url: https://a.example/ } }]\nexpect: { verdict: succeeded }",
            "1:21: it lacks the key `method`",
        ),
    ] {
        let found = mistakes(World::Step, text);
        assert!(found[0].starts_with(told) && found[0].contains("; "), "{text}: {found:?}");
    }
}

#[test]
fn every_mistake_of_meaning_is_told_at_once() {
    let text = r#"with: {}
grants: { htpp: [a.example] }
http:
  - { request: { method: get, url: https://a.example/ }, response: { status: 42 } }
  - request: { method: GET, url: https://a.example/ }
calls:
  - { ask: git.bmup, answer: {} }
  - { ask: registry.push, with: { too: a, tag: b }, answer: { image: a, digest: b, reference: c } }
  - { ask: cluster.sync, with: { application: a/b/c }, answer: { revision: 7 } }
  - { ask: cache.restore, with: { key: a } }
  - { ask: cache.save, with: { key: a, archive: b }, answer: saved, fault: { transient: busy } }
expect: { verdict: rejected, outputs: { a: b } }
"#;
    let found = mistakes(World::Step, text);
    let told = [
        "2:9: `htpp` is no ability",
        "4:5: the request to https://a.example/ is answered with no status; write 100 to 599",
        "5:5: the request to https://a.example/ needs either `response` or `fault`; ",
        "7:12: no function `git.bmup` is recorded here; there are artifacts.put, ",
        "8:33: registry.push: `with` has no key `too`; there are build, to, tag",
        "9:64: cluster.sync: `revision` of `answer` is a number; write a text",
        "10:5: cache.restore needs either `answer` or `fault`; ",
        "11:5: cache.save needs either `answer` or `fault`; ",
        "12:39: `outputs` comes of a success only; leave it out",
    ];
    assert_eq!(found.len(), told.len(), "{found:#?}");
    for (found, told) in found.iter().zip(told) {
        assert!(found.starts_with(told), "{found} is not {told}");
    }
}

/// What is wrong with cases for a plugin of a world.
const OUT_OF_THEIR_WORLD: [(World, &str, &str); 15] = [
    (
        World::Health,
        "with: {}\nexpect: { verdict: rejected }",
        "1:7: `with` is for a plugin of the world `step`, and this one is of `health`; write `object`",
    ),
    (
        World::Step,
        "object: {}\nexpect: { verdict: succeeded, health: { status: healthy } }",
        "1:9: `object` is for a plugin of the world `health`, and this one is of `step`; write `with`",
    ),
    (
        World::Health,
        "object: {}\nfiles: { a: b }\nexpect: { verdict: rejected }",
        "2:8: `files`: a plugin of the world `health` cannot have workspace; leave it out: it may have log",
    ),
    (
        World::Generate,
        "grants: { http: [a.example] }\nexpect: { verdict: rejected }",
        "1:9: nothing is granted to a plugin of the world `generate`; leave `grants` out",
    ),
    (
        World::Generate,
        "env: { A: b }\nparameters: { A: 3 }\nexpect: { verdict: rejected }",
        "2:13: the parameter `A` is 3, and a generator is given no such value; write a text in quotes",
    ),
    (
        World::Step,
        "env: { A: b }\nexpect: { verdict: rejected }",
        "1:6: `env` is for a plugin of the world `generate`, and this one is of `step`; write `with`",
    ),
    (
        World::Route,
        "remove: {}\ncalls: [{ ask: metrics.query, with: { provider: a, query: b }, answer: [] }]\nexpect: { verdict: succeeded }",
        "2:16: metrics.query: a plugin of the world `route` cannot have metrics; leave it out: it may have log, http, secrets",
    ),
    (
        World::Measure,
        "expect: { verdict: rejected }",
        "1:9: a case of the world `measure` lacks what is asked; add `metric`",
    ),
    (
        World::Route,
        "expect: { verdict: rejected }",
        "1:9: a case of the world `route` lacks what is asked; add `set-weight`, `verify-weight` or `remove`",
    ),
    (
        World::Route,
        "remove: {}\nset-weight: { rollout: {}, weight: 1 }\nexpect: { verdict: succeeded }",
        "2:13: `set-weight` stands beside another call; a case is one call",
    ),
    (
        World::Route,
        "set-weight: { rollout: {}, weight: 60, others: [{ service: a, hash: b, weight: 50 }] }\nexpect: { verdict: succeeded }",
        "1:13: the shares are more than all traffic",
    ),
    (
        World::Route,
        "verify-weight: { rollout: {}, weight: 60 }\nexpect: { verdict: succeeded }",
        "2:9: it lacks `verification`, the answer; add `verification`",
    ),
    (
        World::Route,
        "remove: {}\nexpect: { verdict: succeeded, verification: verified }",
        "2:45: `verification` is not what this call of a plugin of the world `route` answers; leave it out",
    ),
    (
        World::Health,
        "object: {}\nexpect: { verdict: succeeded, health: { status: fine } }",
        "2:49: `fine` is none of the contract's words for it; write one of `healthy`, `progressing`",
    ),
    (
        World::Measure,
        "metric: {}\nexpect: { verdict: succeeded, manifests: [] }",
        "2:42: `manifests` is not what this call of a plugin of the world `measure` answers; write `measurement`",
    ),
];

#[test]
fn a_case_is_for_its_world() {
    for (world, text, told) in OUT_OF_THEIR_WORLD {
        let found = mistakes(world, text);
        assert!(found[0].starts_with(told), "{text}: {found:?}");
    }
}

#[test]
fn a_case_of_each_world_is_read() {
    for (world, text) in [
        (World::Step, "expect: { verdict: succeeded }"),
        (
            World::Health,
            "object: { kind: A }\nexpect: { verdict: succeeded, health: { status: unknown, message: why } }",
        ),
        (World::Generate, "files: { a: b }\nexpect: { verdict: succeeded, manifests: [] }"),
        (
            World::Measure,
            "metric: {}\nexpect: { verdict: succeeded, measurement: { value: [1, 2], judgement: unjudged } }",
        ),
        (World::Route, "set-weight: { rollout: {}, weight: 100 }\nexpect: { verdict: succeeded }"),
        (
            World::Route,
            "verify-weight: { rollout: {}, weight: 0 }\nexpect: { verdict: succeeded, verification: not-supported }",
        ),
        (World::Route, "remove: {}\nexpect: { verdict: denied }"),
    ] {
        if let Err(mistakes) = Case::parse("a.yaml", text, world) {
            panic!("{text}: {}", lint(&mistakes));
        }
    }
}

#[test]
fn a_folder_without_cases_is_no_success() {
    let folder = tempfile::tempdir().unwrap();
    assert!(all(folder.path(), World::Step).unwrap_err().contains("has no cases"));
    for (name, text) in [("a.yaml", "with: 3"), ("b.yaml", "expect: { verdict: fine }")] {
        std::fs::write(folder.path().join(name), text).unwrap();
    }
    let refused = all(folder.path(), World::Step).unwrap_err();
    assert!(
        refused.contains("a.yaml:1:7") && refused.contains("b.yaml:1:20") && refused.contains("2 mistakes"),
        "{refused}"
    );
}
