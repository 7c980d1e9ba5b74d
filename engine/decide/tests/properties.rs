//! What holds of everything that comes from outside, whatever it is: the bodies of the fuzz targets over their corpus and
//! over bytes that are nearly of it, and what can be said of files that are made to be right.

#![expect(clippy::disallowed_methods, reason = "the corpus is of the tests; only the crate itself may not read")]

#[path = "../../fuzz/src/argo.rs"]
mod argo;
#[path = "../../fuzz/src/bump.rs"]
mod bump;
#[path = "../../fuzz/src/corpus.rs"]
mod corpus;
#[path = "../../fuzz/src/dockerfile.rs"]
mod dockerfile;
#[path = "../../fuzz/src/dockerignore.rs"]
mod dockerignore;
#[path = "../../fuzz/src/entry.rs"]
mod entry;
#[path = "../../fuzz/src/manifest.rs"]
mod manifest;
#[path = "../../fuzz/src/webhook.rs"]
mod webhook;

use decide::bump::{File, Swap, edit, put_back};
use decide::sync::ignore::glob;
use decide::sync::quantity;
use pipeline::ImageRef;
use proptest::collection::vec;
use proptest::prelude::*;

/// The name of a target, and its body.
type Target = (&'static str, fn(&[u8]));

const TARGETS: [Target; 7] = [
    ("webhook", webhook::check),
    ("dockerfile", dockerfile::check),
    ("dockerignore", dockerignore::check),
    ("bump", bump::check),
    ("manifest", manifest::check),
    ("argo", argo::check),
    ("entry", entry::check),
];

#[test]
fn the_corpus_holds() {
    TARGETS.iter().for_each(|(target, check)| corpus::hold(target, *check));
}

/// One container of a manifest: how its image is written, whose it is, and what follows it.
#[derive(Clone, Debug)]
struct Container {
    before: &'static str,
    /// The tag of the image that is bumped; another's whole name otherwise.
    image: Result<String, &'static str>,
    after: &'static str,
}

fn container() -> impl Strategy<Value = Container> {
    let written = [
        ("- image: ", ""),
        ("- image: ", " "),
        ("- image: ", "  # ours: 'x' \"y\""),
        ("- image:   ", "\t# 한글"),
        ("- image: \"", "\""),
        ("- image: \"", "\"  # ours"),
        ("- image: '", "'"),
        ("- image: '", "'\t# ours"),
        ("- \"image\": ", ""),
        ("- name: é\n        'image': \"", "\""),
        ("- {name: a, image: ", "}"),
        ("- {image: \"", "\", name: [b, 'c']} # {"),
        ("- { 'image' : '", "' }"),
        ("-   args: [\"--image=h.io/a/web:v1\", h.io/a/web]\n          image: ", ""),
    ];
    let tag = "[a-zA-Z0-9_][a-zA-Z0-9_.-]{0,12}".prop_map(Ok);
    let other = prop::sample::select(&["redis", "h.io/a/webs:v1", "h.io/b/a/web:v1", "other.io/a/web:v1"][..]);
    let image = prop_oneof![3 => tag, 1 => other.prop_map(Err)];
    (prop::sample::select(written.to_vec()), image).prop_map(|((before, after), image)| Container {
        before,
        image,
        after,
    })
}

/// Manifests with these containers, in which the image that is bumped has the tag that `tag` answers.
fn manifests(documents: &[(usize, Vec<Container>)], newline: &str, tag: impl Fn(&str) -> String) -> String {
    let tops = [
        "kind: Pod\nspec:\n    containers:\n",
        "# h.io/a/web:v1\napiVersion: v1\nkind: Rollout\nspec:\n  template:\n   spec:\n    containers:\n",
        "kind: CronJob\nspec: # &a\n jobTemplate:\n  spec:\n   template:\n    spec:\n     initContainers:\n",
        "kind: Service\nspec:\n  image: h.io/a/web:v1\n  containers:\n",
    ];
    let mut text = String::new();
    for (top, containers) in documents {
        text.push_str("---\n");
        text.push_str(tops[*top]);
        for Container { before, image, after } in containers {
            // What is no workload names no image, whatever stands in it.
            let image = match image {
                Ok(old) if *top == 3 => format!("h.io/a/web:{old}"),
                Ok(old) => format!("h.io/a/web:{}", tag(old)),
                Err(other) => (*other).to_owned(),
            };
            text.push_str(&format!("      {before}{image}{after}\n"));
        }
    }
    text.replace('\n', newline)
}

fn documents() -> impl Strategy<Value = Vec<(usize, Vec<Container>)>> {
    vec((0usize..4, vec(container(), 1..4)), 1..4)
}

/// Tries every way; only for what is short.
fn glob_by_trying(pattern: &[char], text: &[char]) -> bool {
    match pattern {
        [] => text.is_empty(),
        ['*', rest @ ..] => (0..=text.len()).any(|taken| glob_by_trying(rest, &text[taken..])),
        [c, rest @ ..] => text.first() == Some(c) && glob_by_trying(rest, &text[1..]),
    }
}

proptest! {
    #![proptest_config(corpus::cases(192))]

    #[test]
    fn what_is_nearly_of_the_corpus(
        (target, bytes) in (0..TARGETS.len()).prop_flat_map(|at| (Just(at), corpus::nearly(TARGETS[at].0))),
    ) {
        TARGETS[target].1(&bytes);
    }

    #[test]
    fn any_bytes_at_all(bytes in vec(any::<u8>(), 0..60), text in any::<String>()) {
        for (_, check) in TARGETS {
            check(&bytes);
            check(text.as_bytes());
        }
    }

    /// Exactly the image is written, wherever and however it stands, and nothing else; twice is once; and what is put
    /// back is what stood there.
    #[test]
    fn a_bump_changes_the_image_and_nothing_else(documents in documents(), newline in 0usize..2) {
        let newline = ["\n", "\r\n"][newline];
        let image: ImageRef = bump::IMAGE.parse().expect("it is one");
        let file = |text: String| [File { path: "app/web.yaml".into(), text }];
        let old = manifests(&documents, newline, str::to_owned);
        let new = manifests(&documents, newline, |_| "v2".to_owned());
        let named = documents.iter().any(|(top, all)| *top != 3 && all.iter().any(|one| one.image.is_ok()));
        let report = edit(&file(old.clone()), &image, bump::IMAGE, "app");
        prop_assert_eq!(report.is_ok(), named, "{:?}", report);
        let Ok(report) = report else { return Ok(()) };
        let written = report.files.first().map_or(&old, |(_, text)| text);
        prop_assert_eq!(written, &new);
        prop_assert_eq!(edit(&file(new.clone()), &image, bump::IMAGE, "app").map(|again| again.files), Ok(Vec::new()));
        let swap = Swap { from: bump::IMAGE.into(), to: "h.io/a/web:v1".into() };
        let back = put_back(&file(new), &[swap]).expect("what was written can be put back");
        let before = manifests(&documents, newline, |_| "v1".to_owned());
        prop_assert_eq!(back.files.first().map(|(_, text)| text), Some(&before));
    }

    /// Rules of short names in any order decide as they do where every way is tried.
    #[test]
    fn ignore_rules_are_read_as_docker_reads_them(
        rules in vec("!?/?([ab]|\\*|\\*\\*/|\\?|\\[\\^?[ab]-?[bc]\\]|\\.|/|\\\\[a*]){0,5}", 0..5),
        path in "[abc]{1,3}(/[abc*]{1,3}){0,3}",
    ) {
        dockerignore::check(format!("{}\0{path}", rules.join("\n")).as_bytes());
    }

    #[test]
    fn globs_of_kinds_agree_with_trying_every_way(pattern in "[ab*]{0,8}", text in "[ab]{0,8}") {
        let chars = |text: &str| text.chars().collect::<Vec<char>>();
        prop_assert_eq!(glob(&pattern, &text), glob_by_trying(&chars(&pattern), &chars(&text)), "{} {}", pattern, text);
    }

    /// A number is the same quantity however its suffix is written, and no other number's.
    #[test]
    fn quantities_are_numbers(units in 0u64..1 << 40, more in 1u64..1 << 20) {
        let text = |text: String| serde_json::Value::from(text);
        let whole = text(units.to_string());
        for same in [format!("{units}000m"), format!("{units}.0"), format!("{units}e0"), format!("0{units}")] {
            prop_assert!(quantity::same(&whole, &text(same.clone())), "{} and {}", whole, same);
        }
        let (kilo, bytes) = (format!("{units}Ki"), (units * 1024).to_string());
        prop_assert!(quantity::same(&text(kilo), &text(bytes)));
        for other in [(units + more).to_string(), format!("{units}.{more}")] {
            prop_assert!(!quantity::same(&whole, &text(other.clone())), "{} and {}", whole, other);
        }
    }
}

/// Longer than this takes only what grows with each of its parts, in seconds: a machine that is busy is no reason.
const LITTLE: u64 = 120;

/// Neither a glob nor a Dockerfile can cost more than it is long.
#[test]
fn what_is_short_costs_little() {
    let (done, ended) = std::sync::mpsc::channel();
    let looking = std::thread::spawn(move || {
        look_at_what_is_short();
        done.send(()).expect("somebody waits");
    });
    match ended.recv_timeout(std::time::Duration::from_secs(LITTLE)) {
        Err(std::sync::mpsc::RecvTimeoutError::Timeout) => panic!("what is short takes longer than {LITTLE} s"),
        Ok(()) | Err(std::sync::mpsc::RecvTimeoutError::Disconnected) => looking.join().expect("nothing panics"),
    }
}

fn look_at_what_is_short() {
    assert!(!glob(&format!("{}b", "*a".repeat(30)), &"a".repeat(63)));
    let words: String = (0..4_000).map(|at| format!(" A{at}=$A{}", at + 1)).collect();
    dockerfile::check(format!("FROM scratch\nENV{words}\n").as_bytes());
    dockerfile::check(format!("FROM scratch\nENV A=0123456789\n{}", "ENV A=$A$A\n".repeat(60)).as_bytes());
    dockerfile::check(format!("FROM scratch\nENV A=0123456789\n{}", "ARG A=$A$A\n".repeat(60)).as_bytes());
}

/// What nests is refused in words: it takes no more of the stack than a thread of the server has.
#[test]
fn nothing_that_nests_overflows() {
    let deep = 30_000;
    let texts = [
        format!("FROM scratch\nENV A={}", "${A:-".repeat(deep)),
        format!("FROM scratch\nENV A={}x{}", "${A:-".repeat(deep), "}".repeat(deep)),
        "[".repeat(deep),
        "- ".repeat(deep),
        "{a: ".repeat(deep),
        "? ".repeat(deep),
        format!("m{}", "- ".repeat(deep)),
        format!("mkind: Pod\nspec: {}", "[".repeat(250)),
        format!("m{}", (0..3_000).map(|at| format!("- &a{at} ")).collect::<String>()),
        format!("push\n{}", "[".repeat(deep)),
        format!("push\n{{\"repository\":{}", "{\"full_name\":".repeat(deep)),
    ];
    for text in texts {
        let small = std::thread::Builder::new().stack_size(2 << 20);
        let looked = small.spawn(move || TARGETS.iter().for_each(|(_, check)| check(text.as_bytes())));
        looked.expect("a thread can be started").join().expect("nothing panics");
    }
}
