//! What holds of every text that comes from outside, whatever it is: the bodies of the fuzz targets over their corpus,
//! over bytes that are nearly of it and over any, and what can be said of texts that are made to be right.

#![expect(clippy::disallowed_methods, reason = "the corpus is of the tests; only the crate itself may not read")]

#[path = "../../fuzz/src/corpus.rs"]
mod corpus;
#[path = "../../fuzz/src/declaration.rs"]
mod declaration;
#[path = "../../fuzz/src/expression.rs"]
mod expression;
#[path = "../../fuzz/src/lock.rs"]
mod lock;
#[path = "../../fuzz/src/pipeline_file.rs"]
mod pipeline_file;
#[path = "../../fuzz/src/places.rs"]
mod places;
#[path = "../../fuzz/src/reference.rs"]
mod reference;

use pipeline::{Digest, ImageRef, duration, glob};
use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

#[test]
fn the_corpus_holds() {
    corpus::hold("reference", reference::check);
    corpus::hold("lock", lock::check);
    corpus::hold("pipeline_file", pipeline_file::check);
    corpus::hold("expression", expression::check);
    corpus::hold("declaration", declaration::check);
}

/// A registry, as it may be written.
fn host() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        "[a-zA-Z0-9]([a-z0-9-]{0,6}[a-z0-9])?(\\.[a-z0-9]([a-z0-9-]{0,6}[a-z0-9])?){1,3}",
        Just("localhost".to_owned()),
        Just("[::1]".to_owned()),
        Just("[2001:db8::7]".to_owned()),
    ];
    (name, prop::option::of(any::<u16>()))
        .prop_map(|(name, port)| port.map_or(name.clone(), |port| format!("{name}:{port}")))
}

fn tag() -> &'static str {
    "[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,20}"
}

fn repository() -> &'static str {
    "[a-z0-9]{1,8}((\\.|_|__|-{1,3})[a-z0-9]{1,8}){0,2}(/[a-z0-9]{1,8}){0,3}"
}

fn digest() -> impl Strategy<Value = Digest> {
    any::<[u8; 8]>().prop_map(|bytes| Digest::of(&bytes))
}

proptest! {
    #![proptest_config(corpus::cases(256))]

    #[test]
    fn nearly_references(bytes in corpus::nearly("reference")) {
        reference::check(&bytes);
    }

    #[test]
    fn nearly_lock_files(bytes in corpus::nearly("lock")) {
        lock::check(&bytes);
    }

    #[test]
    fn nearly_pipeline_files(bytes in corpus::nearly("pipeline_file")) {
        pipeline_file::check(&bytes);
    }

    #[test]
    fn nearly_expressions(bytes in corpus::nearly("expression")) {
        expression::check(&bytes);
    }

    #[test]
    fn nearly_declarations(bytes in corpus::nearly("declaration")) {
        declaration::check(&bytes);
    }

    #[test]
    fn any_text_at_all(text in any::<String>()) {
        for check in [reference::check, lock::check, pipeline_file::check, expression::check, declaration::check] {
            check(text.as_bytes());
        }
    }

    /// Whatever the grammar allows is taken, part by part as it was put together.
    #[test]
    fn a_reference_is_its_parts(
        host in host(),
        repository in repository(),
        tag in prop::option::of(tag()),
        digest in prop::option::of(digest()),
    ) {
        let mut text = format!("{host}/{repository}");
        text.extend(tag.iter().map(|tag| format!(":{tag}")));
        text.extend(digest.iter().map(|digest| format!("@{digest}")));
        let read: ImageRef = text.parse().map_err(|bad| TestCaseError::fail(format!("{bad}")))?;
        prop_assert_eq!(read.to_string(), text);
        prop_assert_eq!(read, ImageRef { host, repository, tag, digest });
    }

    /// A lock file says of each reference what was pinned, and nothing of any other.
    #[test]
    fn a_lock_file_keeps_every_pin(pins in btree_map((host(), repository(), tag()), digest(), 0..6), other in tag()) {
        let mut written = pipeline::lock::Lock::EMPTY;
        let reference = |(host, repository, tag): &(String, String, String)| ImageRef {
            host: host.clone(),
            repository: repository.clone(),
            tag: Some(tag.clone()),
            digest: None,
        };
        for (of, digest) in &pins {
            written.pin(&reference(of), digest.clone());
        }
        let read = pipeline::lock::Lock::read("plugins.lock", &written.to_string());
        let read = read.map_err(|mistakes| TestCaseError::fail(pipeline::lint(&mistakes)))?;
        for (of, digest) in &pins {
            prop_assert_eq!(read.digest(&reference(of)), Some(digest));
            let beside = (of.0.clone(), of.1.clone(), other.clone());
            prop_assert_eq!(read.digest(&reference(&beside)), pins.get(&beside));
        }
    }

    #[test]
    fn a_duration_is_shown_as_it_is_read(ms in 1..=duration::LONGEST_MS, of in 0usize..5) {
        let unit = [1, 1_000, 60_000, 3_600_000, 86_400_000][of];
        let ms = (ms / unit * unit).max(unit);
        prop_assert_eq!(duration::parse(&duration::show(ms)), Ok(ms));
    }

    /// Where a pattern is refused, it lets nothing through; a name in which nothing stands for something else means itself.
    #[test]
    fn a_pattern_that_is_no_pattern_fits_nothing(pattern in "[a-c/*?+\\[\\]!\\\\-]{0,8}", name in "[a-c/]{1,8}") {
        let taken = glob::takes(std::slice::from_ref(&pattern), &name);
        prop_assert!(!taken || glob::refuse(&pattern).is_none(), "{pattern} takes {name}");
        prop_assert!(glob::takes(std::slice::from_ref(&name), &name));
        let taken_back = ["**".to_owned(), format!("!{name}")];
        prop_assert!(!glob::takes(&taken_back, &name));
    }

    /// A text without expressions is itself, and one with two dollars is one with one.
    #[test]
    fn a_text_without_expressions_means_itself(parts in vec("[^$]{0,9}|\\$\\$\\{\\{[^$]{0,5}", 0..5)) {
        let text = parts.concat();
        let rendered = pipeline::expr::render(&serde_json::json!(text), &pipeline::expr::Variables(serde_json::json!({})));
        prop_assert_eq!(rendered, Ok(serde_json::Value::from(text.replace("$${{", "${{"))));
    }
}

/// A filter cannot make much of little, however often it is named.
#[test]
fn no_chain_of_filters_costs_the_machine() {
    for filter in
        ["tojson", "replace('a', 'aaaaaaaaaa')", "replace('', 'aaaaaaaaa')", "upper", "split('') | join('aaaa')"]
    {
        let text = format!("${{{{ 'a\"' | {} }}}}", vec![filter; 60].join(" | "));
        expression::check(text.as_bytes());
    }
    let doubled = (0..60).fold("'aaaaaaaa'".to_owned(), |text, _| format!("({text} | replace('a', 'aa'))"));
    expression::check(format!("${{{{ {doubled} }}}}").as_bytes());
}

/// What nests is refused in words: it takes no more of the stack than a thread of the server has.
#[test]
fn nothing_that_nests_overflows() {
    let deep = 60_000;
    let most = 250;
    let texts = [
        format!("${{{{ {}1 }}}}", "-".repeat(2 * most - 1)),
        format!("${{{{ {}1 }}}}", "not ".repeat(2 * most - 1)),
        format!("${{{{ a{} }}}}", ".a".repeat(most - 1)),
        format!("${{{{ 1{} }}}}", "**1".repeat(most / 2)),
        format!("${{{{ '1'{} }}}}", "|trim".repeat(most - 2)),
        "[".repeat(deep),
        "- ".repeat(deep),
        "{a: ".repeat(deep),
        "? ".repeat(deep),
        format!("a = {}", "[".repeat(deep)),
        format!("a{} = 1", ".a".repeat(deep)),
        format!("[{}]", "a.".repeat(deep)),
        format!("${{{{ {}", "(".repeat(deep)),
        format!("${{{{ {}1 }}}}", "not ".repeat(deep)),
        format!("${{{{ {}1 }}}}", "-".repeat(deep)),
        format!("${{{{ {}1 }}}}", "[".repeat(deep)),
        format!("${{{{ a{} }}}}", ".a".repeat(deep)),
        format!("${{{{ 1{} }}}}", " + 1".repeat(deep)),
        format!("${{{{ a{} }}}}", "|trim".repeat(deep)),
        format!("{{\"settings\": {}", "{\"items\": ".repeat(4_000)),
        format!("{{\"settings\": {}", "{\"oneOf\": [".repeat(4_000)),
        format!("{{\"settings\": {}", "{\"additionalProperties\": ".repeat(2_000)),
    ];
    for text in texts {
        let small = std::thread::Builder::new().stack_size(2 << 20);
        let looked = small.spawn(move || {
            for check in [lock::check, pipeline_file::check, expression::check, declaration::check] {
                check(text.as_bytes());
            }
        });
        looked.expect("a thread can be started").join().expect("nothing panics");
    }
}
