//! The rules by which heads that have moved become deliveries.

use super::entry::Entry;
use super::observed::{Known, Look, Observed, Way};
use super::redelivery::Lost;
use super::state::State;
use crate::delivery::{Change, NOTHING, Paths, Push, Source};
use crate::next::{Next, Timestamp, Wake};
use std::collections::{BTreeMap, BTreeSet};

/// The least time between two looks at the heads of a repository, in ms.
pub const EVERY_MS: u64 = 4 * 60 * 1_000;
/// How long after a delivery a head may still show what was before it, in ms.
pub const SETTLE_MS: u64 = 20 * 1_000;
/// How much of a reference's name is in the id of its delivery, in characters.
const NAME_IN_ID: usize = 50;

/// What a look may cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Act {
    /// Open a delivery, unless its stream exists already.
    Open(Box<Push>),
    /// Ask the forge to deliver once more.
    AskAgain(Lost),
}

/// Decides what becomes of a look at the heads.
pub fn decide(state: &State, observed: &Observed, now: Timestamp) -> Next<Entry, Act> {
    let stood = observed.known.values().any(|known| known.at != NOTHING) || !observed.formerly.is_empty();
    if observed.heads.is_empty() && stood {
        let because = format!("{} shows no branch or tag, and nothing follows from that", observed.repository);
        return Next::waiting(Wake::At(now + EVERY_MS), because);
    }
    let names: BTreeSet<&String> = observed.heads.keys().chain(observed.known.keys()).collect();
    let (mut found, mut unsettled) = (Vec::new(), BTreeSet::new());
    for name in names {
        let at = observed.heads.get(name).map_or(NOTHING, String::as_str);
        let known = observed.known.get(name);
        match standing(observed.look, known, at, now) {
            Head::Noted => {}
            Head::Unsettled => drop(unsettled.insert(name.as_str())),
            Head::Moved { before } => found.push(push(observed, name, before, at)),
        }
    }
    // What happened before the first look is of no interest.
    let lost = observed.lost.iter().filter(|_| observed.look == Look::Later);
    let asked: Vec<Act> = lost.cloned().map(Act::AskAgain).collect();
    if !asked.is_empty() {
        // Their pushes come in their order; what still lacks one then is found by the next look.
        let because = format!("asking for {} deliveries that nobody took", asked.len());
        return Next { acts: asked, ..Next::progressing(Wake::At(now + SETTLE_MS), because) };
    }
    if !found.is_empty() {
        let because = format!("{} heads moved untold", found.len());
        let number = |(n, mut push): (usize, Push)| {
            push.delivery = id(&push, now, n);
            Act::Open(Box::new(push))
        };
        let acts = found.into_iter().enumerate().map(number).collect();
        return Next { acts, ..Next::progressing(Wake::Now, because) };
    }
    let wake = match unsettled.is_empty() {
        true => Wake::At(now + EVERY_MS + observed.jitter_ms),
        false => Wake::At(now + SETTLE_MS / 2),
    };
    let record = note(state, observed, &unsettled);
    Next { record: record.into_iter().collect(), ..Next::done(wake, "every head is where the journal knows it") }
}

/// What a look says of one head.
enum Head<'a> {
    /// It stands where it is known to stand, or there is nothing to do but to note it.
    Noted,
    /// It may be shown as it was before a delivery.
    Unsettled,
    /// It has moved, and nobody told.
    Moved { before: &'a str },
}

fn standing<'a>(look: Look, known: Option<&'a Known>, at: &str, now: Timestamp) -> Head<'a> {
    match known {
        None if look == Look::First || at == NOTHING => Head::Noted,
        None => Head::Moved { before: NOTHING },
        Some(known) if known.at == at => Head::Noted,
        // Whichever way the clock was set: this only puts it off.
        Some(Known { told_ms: Some(told), .. }) if now.abs_diff(*told) < SETTLE_MS => Head::Unsettled,
        Some(_) if at == NOTHING => Head::Noted,
        Some(known) => Head::Moved { before: &known.at },
    }
}

fn push(observed: &Observed, name: &str, before: &str, after: &str) -> Push {
    let change = match observed.ways.get(name) {
        _ if before == NOTHING => Change::New,
        Some(Way::Forward) => Change::Forward,
        Some(Way::Elsewhere) | None => Change::Forced,
    };
    Push {
        hook: observed.hook.clone(),
        delivery: String::new(),
        repository: observed.repository.clone(),
        reference: name.to_owned(),
        before: before.to_owned(),
        after: after.to_owned(),
        change,
        pusher: String::new(),
        paths: Paths::Compare { because: "it was found, and nobody told its paths".to_owned() },
        source: Source::Heads,
    }
}

/// Such as `head-main-f31bdcc-1700000000000-0`. That its stream exists is what says that the move is known, so that a
/// crash before it leaves nothing that would have to be met again by the same id.
fn id(push: &Push, now: Timestamp, n: usize) -> String {
    let short = ["refs/heads/", "refs/"].iter().find_map(|prefix| push.reference.strip_prefix(prefix));
    let plain = |c: char| if c.is_ascii_alphanumeric() { c } else { '-' };
    let name: String = short.unwrap_or(&push.reference).chars().map(plain).take(NAME_IN_ID).collect();
    format!("head-{name}-{}-{now}-{n}", push.after.get(..7).unwrap_or(&push.after))
}

/// What is written down of a look, if it is news. What is not settled is left as it was.
fn note(state: &State, observed: &Observed, unsettled: &BTreeSet<&str>) -> Option<Entry> {
    let settled = |name: &String| !unsettled.contains(name.as_str());
    // Gone is what the look would have shown: what changed meanwhile is in neither.
    let known = observed.known.iter().filter(|(_, known)| known.at != NOTHING).map(|(name, _)| name);
    let gone = known.chain(&observed.formerly).filter(|name| !observed.heads.contains_key(*name));
    let gone = gone.map(|name| (name.clone(), NOTHING.to_owned()));
    let heads = observed.heads.iter().map(|(name, at)| (name.clone(), at.clone()));
    let seen = heads.chain(gone).filter(|(name, _)| settled(name));
    let Some(before) = state.heads.as_ref().filter(|_| observed.look == Look::Later) else {
        return Some(Entry::Looked { heads: seen.collect() });
    };
    let heads: BTreeMap<_, _> = seen.filter(|(name, at)| before.get(name) != Some(at)).collect();
    (!heads.is_empty()).then_some(Entry::Moved { heads })
}
