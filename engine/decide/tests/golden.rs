//! Journals that an earlier release wrote, each replayed by its stage.
//!
//! Names in the code may change; what stands on disk may not. Every entry of the golden journals is read, is written
//! again as it was (so that the earlier release can take a journal back), and is folded into the state that the
//! earlier release folded it into. A kind of entry, or a value of one, that no golden journal holds fails here.
//!
//! The journals are in `engine/journal/tests/golden`; its README says how they came to be: some were composed by the
//! types of a release, others are what a running server of it wrote. The journal's own tests restore the same files.

#![expect(clippy::unwrap_used, reason = "a test stops at the first surprise")]
#![expect(clippy::disallowed_methods, reason = "the files are the tests; only the crate itself may not read")]

mod folded;

use decide::by::By;
use decide::request::Response;
use decide::{bump, delivery, heads, image, revert, rollout, run, sync};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// Kinds and values that were added after the journals were recorded: no golden journal can hold them.
const NEW_SINCE: [(&str, &str); 8] = [
    ("rollout", "alerted"),
    ("rollout", "corrected"),
    ("rollout", "pause-broken"),
    ("rollout", "stable-unready"),
    ("rollout", "stable-ready"),
    ("rollout began /start", "earlier"),
    // Read as `retreat`, which is written.
    ("rollout wanted /intent/on-timeout", "abort"),
    ("rollout asked /action", "abort"),
];

/// Kinds and values that no exported journal holds, so that composed ones alone show that they are read.
const COMPOSED_ONLY: [&str; 28] = [
    "delivery: missed proposed",
    "run: placed queued",
    "app: summarized",
    "rollout: adopted alerted corrected extended pause-broken routing stable-ready stable-unready summarized unrouted",
    "revert: answered asked withdrawn",
    "heads: looked moved summary",
    "delivery received /source: heads",
    "delivery proposed /activity: opened ready_for_review reopened synchronize",
    "delivery proposed /origin: fork own",
    "run opened /run/event/kind: manual pull_request",
    "run opened /run/event/pull_request/origin: fork own",
    "run ended /outcome/is: cancelled failed limit lost transient",
    "image wanted /intent/network: none",
    "image answered /answer/answer: failed superseded",
    "bump answered /answer/answer: failed superseded",
    "app synced /outcome/outcome: failed superseded",
    "app answered /answer/answer: failed superseded",
    "rollout wanted /intent/on-timeout: abort",
    "rollout asked /action: abort promote promote-full",
    "rollout began /start: earlier",
    "rollout retreated /cause: refused",
    "rollout putting-back /intent/depth: recurse",
    "rollout put-back /outcome/outcome: dropped failed overtaken requested",
    "rollout answered /answer/answer: superseded",
    "revert asked /intent/how: pull-request revert",
    "revert asked /intent/depth: flat recurse",
    "revert withdrawn /cause/is: dropped overtaken",
    "revert answered /outcome/outcome: clean dropped failed overtaken pushed requested",
];

/// The folder of what a running server wrote.
const EXPORTED: &str = "exported";

/// A line of a golden journal, as the journal keeps an entry.
#[derive(Clone, Deserialize)]
pub struct Line {
    stream: String,
    at_ms: u64,
    by: By,
    kind: String,
    body: Value,
}

impl Line {
    /// The stage's word, the first of the stream's name.
    fn stage(&self) -> &str {
        self.stream.split('/').next().unwrap()
    }

    /// The entry, as the driver decodes it.
    fn entry<E: DeserializeOwned>(&self) -> E {
        let entry = json!({ "kind": self.kind, "body": self.body });
        serde_json::from_value(entry).unwrap_or_else(|error| panic!("{} {}: {error}", self.stream, self.kind))
    }

    /// The entry, decoded and encoded again as the driver does both.
    fn again<E: DeserializeOwned + Serialize>(&self) -> (Value, Value) {
        let mut written = serde_json::to_value(self.entry::<E>()).unwrap();
        (written["kind"].take(), written.get_mut("body").map(Value::take).unwrap_or_default())
    }
}

/// The golden journals' files of a folder.
fn files_in(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../journal/tests/golden").join(folder);
    let items = std::fs::read_dir(folder).unwrap().map(|item| item.unwrap().path());
    let mut files: Vec<_> = items.filter(|path| path.extension().is_some_and(|of| of == "ndjson")).collect();
    files.sort();
    assert!(!files.is_empty());
    files
}

/// All golden journals' files.
fn files() -> Vec<PathBuf> {
    [files_in("stages"), files_in(EXPORTED)].concat()
}

/// The entries of a backup: all its lines but the header and the last.
fn lines(file: &Path) -> Vec<Line> {
    let text = std::fs::read_to_string(file).unwrap();
    let all: Vec<&str> = text.lines().collect();
    all[1..all.len() - 1].iter().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn all() -> Vec<Line> {
    files().iter().flat_map(|file| lines(file)).collect()
}

/// What a running server wrote.
fn exported() -> Vec<Line> {
    files_in(EXPORTED).iter().flat_map(|file| lines(file)).collect()
}

#[test]
fn every_entry_is_written_as_it_was_read() {
    for line in all() {
        let (kind, body) = match line.stage() {
            "delivery" => line.again::<delivery::Entry>(),
            "run" => line.again::<run::Entry>(),
            "image" => line.again::<image::Entry>(),
            "bump" => line.again::<bump::Entry>(),
            "app" => line.again::<sync::Entry>(),
            "rollout" => line.again::<rollout::Entry>(),
            "revert" => line.again::<revert::Entry>(),
            "heads" => line.again::<heads::Entry>(),
            other => panic!("no stage has streams named `{other}`"),
        };
        assert_eq!((&kind, &body), (&Value::from(line.kind.as_str()), &line.body), "{}", line.stream);
    }
}

/// The names of an enum's variants, as serde tells them of a variant that it does not know.
fn variants<T: DeserializeOwned>(unknown: Value) -> BTreeSet<String> {
    let error = serde_json::from_value::<T>(unknown).err().unwrap().to_string();
    let (_, expected) = error.split_once("expected").unwrap_or_else(|| panic!("no variants in: {error}"));
    expected.split('`').skip(1).step_by(2).map(str::to_owned).collect()
}

/// The variants of an enum that is written as a word.
fn words<T: DeserializeOwned>() -> BTreeSet<String> {
    variants::<T>(json!("no such variant"))
}

/// The variants of an enum that is written as an object with a tag.
fn tagged<T: DeserializeOwned>(tag: &str) -> BTreeSet<String> {
    variants::<T>(json!({ tag: "no such variant" }))
}

/// The words at a place of all entries of one kind. A word may also be the only key of an object.
fn found(lines: &[Line], stage: &str, kind: &str, place: &str) -> BTreeSet<String> {
    let of = lines.iter().filter(|line| line.stage() == stage && line.kind == kind);
    let values = of.filter_map(|line| line.body.pointer(place)).filter(|value| !value.is_null());
    let word = |value: &Value| match value {
        Value::Object(map) => map.keys().next().unwrap().clone(),
        word => word.as_str().unwrap().to_owned(),
    };
    values.map(word).collect()
}

/// An enum of the entries: its variants, and those that were found.
#[derive(Clone)]
struct Variants {
    of: String,
    known: BTreeSet<String>,
    found: BTreeSet<String>,
}

/// The kinds of every stage's entries.
fn kinds(lines: &[Line]) -> Vec<Variants> {
    let kinds = |stage: &str, known: BTreeSet<String>| {
        let found = lines.iter().filter(|line| line.stage() == stage).map(|line| line.kind.clone()).collect();
        Variants { of: stage.to_owned(), known, found }
    };
    vec![
        kinds("delivery", tagged::<delivery::Entry>("kind")),
        kinds("run", tagged::<run::Entry>("kind")),
        kinds("image", tagged::<image::Entry>("kind")),
        kinds("bump", tagged::<bump::Entry>("kind")),
        kinds("app", tagged::<sync::Entry>("kind")),
        kinds("rollout", tagged::<rollout::Entry>("kind")),
        kinds("revert", tagged::<revert::Entry>("kind")),
        kinds("heads", tagged::<heads::Entry>("kind")),
    ]
}

/// The enums within the entries.
fn values(lines: &[Line]) -> Vec<Variants> {
    let values = |stage: &str, kind: &str, place: &str, known: BTreeSet<String>| {
        let found = found(lines, stage, kind, place);
        Variants { of: format!("{stage} {kind} {place}"), known, found }
    };
    let answers = |stage: &str| values(stage, "answered", "/answer/answer", tagged::<Response>("answer"));
    let told = ["heads"].map(str::to_owned).into();
    let events = ["push", "tag", "pull_request", "manual"].map(str::to_owned).into();
    vec![
        values("delivery", "received", "/change", words::<delivery::Change>()),
        values("delivery", "received", "/source", told),
        values("delivery", "received", "/paths/known", tagged::<delivery::Paths>("known")),
        values("delivery", "proposed", "/activity", words::<pipeline::Activity>()),
        values("delivery", "proposed", "/origin", words::<delivery::Origin>()),
        values("run", "opened", "/run/event/kind", events),
        values("run", "opened", "/run/event/pull_request/origin", words::<delivery::Origin>()),
        values("run", "opened", "/run/pipeline/concurrency/supersede", words::<pipeline::Supersede>()),
        values("run", "ended", "/outcome/is", tagged::<run::Outcome>("is")),
        values("run", "approval-answered", "/answer", words::<run::Answer>()),
        values("run", "cancel-asked", "/cause", words::<run::CancelCause>()),
        values("run", "closed", "/outcome", words::<run::RunOutcome>()),
        values("image", "wanted", "/intent/intent", tagged::<image::Intent>("intent")),
        values("image", "wanted", "/intent/network", words::<image::Network>()),
        answers("image"),
        answers("bump"),
        values("app", "syncing", "/cause", words::<sync::Cause>()),
        values("app", "synced", "/outcome/outcome", tagged::<sync::Outcome>("outcome")),
        answers("app"),
        values("rollout", "wanted", "/intent/on-timeout", words::<rollout::OnTimeout>()),
        values("rollout", "asked", "/action", words::<rollout::Action>()),
        values("rollout", "asked", "/through", words::<rollout::Through>()),
        values("rollout", "began", "/start", words::<rollout::Start>()),
        values("rollout", "retreated", "/cause", words::<rollout::Cause>()),
        values("rollout", "putting-back", "/intent/how", words::<revert::How>()),
        values("rollout", "putting-back", "/intent/depth", words::<sync::application::Depth>()),
        values("rollout", "put-back", "/outcome/outcome", tagged::<revert::Outcome>("outcome")),
        answers("rollout"),
        values("revert", "asked", "/intent/how", words::<revert::How>()),
        values("revert", "asked", "/intent/depth", words::<sync::application::Depth>()),
        values("revert", "withdrawn", "/cause/is", tagged::<revert::Withdrawal>("is")),
        values("revert", "answered", "/outcome/outcome", tagged::<revert::Outcome>("outcome")),
    ]
}

#[test]
fn every_kind_and_every_value_of_every_entry_occurs() {
    let lines = all();
    for Variants { of, known, found } in [kinds(&lines), values(&lines)].concat() {
        let new = NEW_SINCE.iter().filter(|(what, _)| *what == of).map(|(_, new)| (*new).to_owned()).collect();
        let old: BTreeSet<String> = known.difference(&new).cloned().collect();
        assert_eq!(old, found, "{of}: on the left what the code knows, on the right what the golden journals hold");
    }
}

#[test]
fn what_no_running_server_wrote_is_listed() {
    let lines = exported();
    let missing = |Variants { of, known, found }: Variants| {
        let left: Vec<_> = known.difference(&found).cloned().collect();
        (!left.is_empty()).then(|| format!("{of}: {}", left.join(" ")))
    };
    let missing: Vec<String> = [kinds(&lines), values(&lines)].concat().into_iter().filter_map(missing).collect();
    assert_eq!(missing, COMPOSED_ONLY, "on the left what no exported journal holds, on the right the list");
}

/// Reads a summary back as the journal would.
fn again<E: DeserializeOwned + Serialize>(summary: &E) -> E {
    serde_json::from_str(&serde_json::to_string(summary).unwrap()).unwrap()
}

#[test]
fn a_stream_goes_on_from_its_summary_as_it_would_have() {
    let mut streams: BTreeMap<(PathBuf, String), Vec<Line>> = BTreeMap::new();
    for file in files() {
        lines(&file).into_iter().for_each(|line| {
            streams.entry((file.clone(), line.stream.clone())).or_default().push(line);
        });
    }
    let mut cuts = 0;
    for lines in streams.values() {
        for cut in 0..=lines.len() {
            let (before, after) = lines.split_at(cut);
            let at = before.last().map_or(0, |line| line.at_ms);
            match lines[0].stage() {
                "app" => {
                    let fold = |of: &[(u64, sync::Entry)]| sync::State::fold(of.iter().map(|(at, entry)| (*at, entry)));
                    let read = |of: &[Line]| -> Vec<_> { of.iter().map(|line| (line.at_ms, line.entry())).collect() };
                    let summary = again(&fold(&read(before)).summary());
                    let short: Vec<_> = std::iter::once((at, summary)).chain(read(after)).collect();
                    assert_eq!(fold(&short), fold(&read(lines)), "{} after {cut}", lines[0].stream);
                }
                "rollout" => {
                    let fold = |of: &[(u64, By, rollout::Entry)]| {
                        rollout::State::fold(of.iter().map(|(at, by, entry)| (*at, by, entry)))
                    };
                    let read = |of: &[Line]| -> Vec<_> {
                        of.iter().map(|line| (line.at_ms, line.by.clone(), line.entry())).collect()
                    };
                    let summary = again(&fold(&read(before)).summary());
                    let short: Vec<_> = std::iter::once((at, By::Server, summary)).chain(read(after)).collect();
                    assert_eq!(fold(&short), fold(&read(lines)), "{} after {cut}", lines[0].stream);
                }
                _ => continue,
            }
            cuts += 1;
        }
    }
    assert!(cuts > 100, "only {cuts} cuts were tried");
}

#[test]
fn every_stream_adds_up_to_what_it_did() {
    for file in files() {
        let mut streams: Vec<(String, Vec<Line>)> = Vec::new();
        for line in lines(&file) {
            match streams.iter_mut().find(|(stream, _)| *stream == line.stream) {
                Some((_, lines)) => lines.push(line),
                None => streams.push((line.stream.clone(), vec![line])),
            }
        }
        let told: Vec<String> = streams.iter().map(|(stream, lines)| folded::tell(stream, lines)).collect();
        let (told, beside) = (told.concat(), file.with_extension("txt"));
        // Written once, by the release that the journal is of, and never anew.
        if std::env::var_os("UPDATE").is_some() && !beside.exists() {
            std::fs::write(&beside, &told).unwrap();
        }
        let expected = std::fs::read_to_string(&beside).unwrap();
        for (told, expected) in told.lines().zip(expected.lines()) {
            assert_eq!(told, expected, "{}", beside.display());
        }
        assert_eq!(told.lines().count(), expected.lines().count(), "{}", beside.display());
    }
}
