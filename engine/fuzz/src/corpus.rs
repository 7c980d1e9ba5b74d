//! A target's corpus, and bytes that are nearly one of its files.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::FileFailurePersistence;
use std::path::Path;

/// What stands between other things in one format or another.
const TOKENS: [&str; 40] = [
    "\n",
    "\r\n",
    " ",
    "\t",
    ":",
    ": ",
    "- ",
    "#",
    "'",
    "\"",
    "`",
    "\\",
    "/",
    "..",
    "*",
    "&a ",
    "*a",
    "!",
    "!!str ",
    "|\n",
    ">-\n",
    "---\n",
    "{",
    "}",
    "[",
    "]",
    ",",
    "${{",
    "}}",
    "$",
    "${",
    "@",
    "\u{feff}",
    "é",
    "한",
    "\u{0}",
    "null",
    "-1",
    "18446744073709551615",
    "1e999",
];

/// So many cases of each property; the seed of one that fails is kept beside the file, to be committed with what mends it.
pub(crate) fn cases(cases: u32) -> ProptestConfig {
    let seeds = Box::new(FileFailurePersistence::WithSource("seeds"));
    ProptestConfig { failure_persistence: Some(seeds), ..ProptestConfig::with_cases(cases) }
}

/// The files of a target's corpus, by their names.
pub(crate) fn files(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/corpus").join(target);
    let listed = std::fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    let mut paths: Vec<_> = listed.map(|item| item.expect("a corpus can be listed").path()).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).expect("a corpus can be read")).collect()
}

/// Looks at every file of a target's corpus.
pub(crate) fn hold(target: &str, check: fn(&[u8])) {
    let files = files(target);
    assert!(!files.is_empty(), "the target `{target}` has no corpus");
    files.iter().for_each(|file| check(file));
}

/// One change of a file.
#[derive(Clone, Debug)]
enum Twist {
    Put(Index, &'static str),
    Byte(Index, u8),
    Drop(Index, usize),
    Twice(Index, usize),
    Move(Index, Index, usize),
}

fn twist() -> impl Strategy<Value = Twist> {
    let at = any::<Index>;
    prop_oneof![
        4 => (at(), prop::sample::select(TOKENS.as_slice())).prop_map(|(at, token)| Twist::Put(at, token)),
        1 => (at(), any::<u8>()).prop_map(|(at, byte)| Twist::Byte(at, byte)),
        2 => (at(), 1usize..40).prop_map(|(at, length)| Twist::Drop(at, length)),
        2 => (at(), 1usize..40).prop_map(|(at, length)| Twist::Twice(at, length)),
        2 => (at(), at(), 1usize..40).prop_map(|(from, to, length)| Twist::Move(from, to, length)),
    ]
}

fn twisted(mut bytes: Vec<u8>, twists: &[Twist]) -> Vec<u8> {
    for twist in twists {
        let all = bytes.len();
        let part = |at: &Index, length: usize| {
            let at = at.index(all + 1);
            at..(at + length).min(all)
        };
        match twist {
            Twist::Put(at, token) => drop(bytes.splice(part(at, 0), token.bytes())),
            Twist::Byte(at, byte) => drop(bytes.splice(part(at, 1), [*byte])),
            Twist::Drop(at, length) => drop(bytes.drain(part(at, *length))),
            Twist::Twice(at, length) => {
                let copy = bytes[part(at, *length)].to_vec();
                drop(bytes.splice(part(at, 0), copy));
            }
            Twist::Move(from, to, length) => {
                let copy = bytes[part(from, *length)].to_vec();
                drop(bytes.splice(part(to, 0), copy));
            }
        }
    }
    bytes
}

/// Bytes that are nearly a file of a target's corpus.
pub(crate) fn nearly(target: &str) -> impl Strategy<Value = Vec<u8>> + use<> {
    (prop::sample::select(files(target)), vec(twist(), 0..6)).prop_map(|(file, twists)| twisted(file, &twists))
}
