//! What a golden stream adds up to, in words that do not change when the code's do.
//!
//! Only what is also written to disk is shown by its own name, through serde; everything else is named here.

use super::Line;
use decide::by::By;
use decide::request::{Key, Response};
use decide::rollout::{self, ProgressState};
use decide::run::{self, Status};
use decide::{bump, delivery, heads, image, revert, sync};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// A stream's state, one fact to a line.
pub(crate) fn tell(stream: &str, lines: &[Line]) -> String {
    let facts = match lines[0].stage() {
        "delivery" => of_delivery(&entries(lines)),
        "run" => of_run(lines, &entries(lines)),
        "image" => of_image(lines, &entries(lines)),
        "bump" => of_bump(lines, &entries(lines)),
        "app" => of_app(lines, &entries(lines)),
        "revert" => of_revert(&entries(lines)),
        "heads" => of_heads(&entries(lines)),
        _ => of_rollout(lines, &entries(lines)),
    };
    format!("{stream}\n{}", facts.iter().map(|fact| format!("  {fact}\n")).collect::<String>())
}

type Entries<E> = Vec<(u64, By, E)>;

fn entries<E: DeserializeOwned>(lines: &[Line]) -> Entries<E> {
    lines.iter().map(|line| (line.at_ms, line.by.clone(), line.entry())).collect()
}

/// What is also written to disk, as it is written there; in the order of the keys.
fn disk(value: &impl Serialize) -> String {
    let mut value = serde_json::to_value(value).unwrap();
    value.sort_all_objects();
    value.to_string()
}

/// A reason, if it is the journal's own: the words for all others may change.
fn reason(lines: &[Line], because: &str) -> String {
    let recorded = lines.iter().any(|line| line.body["because"] == because);
    if recorded { because.to_owned() } else { "(in the words of the code)".to_owned() }
}

/// The steps that asked, in the order in which they first did, with their answers.
fn answers<'a>(lines: &[Line], answer: impl Fn(&Key) -> Option<&'a Response>) -> Vec<String> {
    let keys = lines.iter().filter_map(|line| serde_json::from_value::<Key>(line.body["key"].clone()).ok());
    let mut seen = Vec::new();
    for key in keys {
        if !seen.contains(&key) {
            seen.push(key);
        }
    }
    seen.iter().map(|key| format!("{}#{} {}", key.run, key.step, answer(key).map_or("open".into(), disk))).collect()
}

fn of_heads(entries: &Entries<heads::Entry>) -> Vec<String> {
    let recorded = heads::State::replay(entries.iter().map(|(_, _, entry)| entry));
    let heads = recorded.heads.map(|heads| heads.into_iter().map(|(name, at)| format!("{name} at {at}")).collect());
    heads.unwrap_or_else(|| vec!["never looked at".to_owned()])
}

fn of_delivery(entries: &Entries<delivery::Entry>) -> Vec<String> {
    let recorded = delivery::State::replay(entries.iter().map(|(at, _, entry)| (*at, entry)));
    let received = recorded.received.map(|(received, at)| {
        format!("{} {} {} at {at}", received.repository(), received.reference(), received.commit())
    });
    let ended = recorded.ended.map(|ended| match ended {
        delivery::Ended::Opened(runs) => format!("opened {}", disk(&runs)),
        delivery::Ended::Ignored(because) => format!("ignored: {because}"),
    });
    let missed = recorded.missed.map(|at| format!("missed at {at}"));
    [received, missed, ended].into_iter().flatten().collect()
}

fn of_run(lines: &[Line], entries: &Entries<run::Entry>) -> Vec<String> {
    let run = run::State::replay(entries.iter().map(|(at, by, entry)| (*at, by, entry)));
    let opened = run.opened().unwrap();
    let mut facts = vec![format!("{} of {} for {}", opened.id, opened.commit.short, disk(&opened.event))];
    facts.extend(opened.mistakes.iter().map(|mistake| format!("mistake {mistake}")));
    facts.extend(opened.retry_of.iter().map(|run| format!("retries {run}")));
    for step in run.steps() {
        let id = &step.id;
        facts.push(match run.status(id) {
            Status::Waiting => format!("{id} waits"),
            Status::Started { attempt, since, .. } => format!("{id} started attempt {attempt} at {since}"),
            Status::Ended { attempt, at, outcome } => {
                format!("{id} ended attempt {attempt} at {at}: {}", disk(&outcome))
            }
            Status::Skipped { because } => format!("{id} skipped: {}", reason(lines, &because)),
            Status::Refused { because } => format!("{id} refused: {}", reason(lines, &because)),
        });
        if let Some(asked) = run.asked(id) {
            let answer = asked.answered.as_ref();
            let answer =
                answer.map(|answered| format!("{} by {} at {}", disk(&answered.answer), answered.by, answered.at));
            facts.push(format!("{id} asked at {}: {} {}", asked.since, asked.ask, answer.unwrap_or_default()));
        }
    }
    facts.extend(run.cancel().map(|(cause, because)| format!("cancelled {}: {because}", disk(&cause))));
    facts.extend(run.outcome().map(|outcome| format!("closed {}", disk(&outcome))));
    facts
}

fn of_image(lines: &[Line], entries: &Entries<image::Entry>) -> Vec<String> {
    let recorded = image::State::replay(entries.iter().map(|(_, _, entry)| entry));
    let mut facts = answers(lines, |key| recorded.answer(key));
    facts.extend(recorded.open().map(|(key, intent)| format!("{} waits for {}", key.step, disk(intent))));
    facts
}

fn of_bump(lines: &[Line], entries: &Entries<bump::Entry>) -> Vec<String> {
    let recorded = bump::State::replay(entries.iter().map(|(_, _, entry)| entry));
    let mut facts = answers(lines, |key| recorded.answer(key));
    facts.extend(recorded.open().map(|(key, intent)| format!("{} waits for {}", key.step, disk(intent))));
    facts
}

fn of_app(lines: &[Line], entries: &Entries<sync::Entry>) -> Vec<String> {
    use sync::Custody;
    let recorded = sync::State::fold(entries.iter().map(|(at, _, entry)| (*at, entry)));
    let mut facts = answers(lines, |key| recorded.answer(key));
    facts.push(match recorded.custody {
        Custody::AsFound => "as found".to_owned(),
        Custody::Taking { since } => format!("being taken since {since}"),
        Custody::Taken { at } => format!("taken at {at}"),
        Custody::Giving => "being given back".to_owned(),
    });
    let told = |operation: &sync::Operation| {
        format!("{} {} {} since {}", operation.revision, operation.parameters, disk(&operation.cause), operation.since)
    };
    facts.extend(recorded.open.iter().map(|want| format!("{} waits since {}", want.key.step, want.since)));
    facts.extend(recorded.operation.iter().map(|operation| format!("syncs {}", told(operation))));
    let ended =
        |ended: &sync::Ended| format!("synced {}: {} at {}", told(&ended.operation), disk(&ended.outcome), ended.at);
    facts.extend(recorded.history.iter().map(ended));
    facts.extend(recorded.asked.map(|at| format!("a person asked at {at}")));
    facts
        .extend(recorded.healing.map(|healing| format!("healed {} times, last at {}", healing.attempts, healing.last)));
    facts
}

fn of_revert(entries: &Entries<revert::Entry>) -> Vec<String> {
    let recorded = revert::State::replay(entries.iter().map(|(_, _, entry)| entry));
    let asked = recorded.intent.iter().map(|intent| format!("asked for {}", disk(intent)));
    let withdrawn = recorded.withdrawn.iter().map(|cause| format!("taken back: {}", disk(cause)));
    let ended = recorded.outcome.as_ref().map_or("open".into(), |outcome| format!("ended {}", disk(outcome)));
    asked.chain(withdrawn).chain([ended]).collect()
}

fn of_rollout(lines: &[Line], entries: &Entries<rollout::Entry>) -> Vec<String> {
    let recorded = rollout::State::fold(entries.iter().map(|(at, by, entry)| (*at, by, entry)));
    let mut facts = Vec::new();
    facts.extend(recorded.claimed_at.map(|at| format!("claimed at {at}")));
    facts.extend(recorded.aliases.iter().map(|(ours, theirs)| format!("{ours} is called {theirs}")));
    facts.extend(recorded.before.iter().map(|progress| format!("before: {}", of_progress(lines, progress))));
    facts.extend(recorded.progress.iter().map(|progress| format!("newest: {}", of_progress(lines, progress))));
    facts.extend(recorded.stable.iter().map(|stable| format!("stable: {} {}", stable.hash, stable.image)));
    facts.extend(recorded.released.iter().map(|(hash, at)| format!("released {hash} at {at}")));
    facts.push(format!("weight {}", recorded.asked));
    facts.extend(recorded.routed.iter().map(|routed| format!("routed by {} for {}", routed.router, routed.rollout)));
    let refused = recorded.refused.iter();
    facts.extend(refused.map(|of| format!("refused {} {}: {}", of.hash, disk(&of.images), reason(lines, &of.because))));
    facts.extend(recorded.undo.iter().map(|undo| {
        let stands = if undo.stands == rollout::AbortStatus::Yes { "stands" } else { "is over" };
        let outcome = undo.outcome.as_ref().map_or("promised".into(), disk);
        format!("git, since {}, {stands}: {outcome} {}", undo.since, disk(&undo.intent))
    }));
    facts.push(format!(
        "git is promised: {}, about the newest: {}",
        recorded.promised().is_some(),
        recorded.undoing().is_some()
    ));
    facts.extend(recorded.requests().map(|of| {
        let (rollout::Requested { request, bound }, key) = (of, &of.request.key);
        // What has ended does not tell any more whether the step had given up before.
        let gave_up = request.is_given_up() || !request.is_open() && gave_up(entries, key);
        let patience = if gave_up { "ran out" } else { "waits" };
        let answer = request.response().map_or("open".into(), disk);
        let bound = bound.unwrap_or("nothing yet");
        format!("{}#{} for {} is about {bound}, {patience}: {answer}", key.run, key.step, disk(&request.intent))
    }));
    facts.extend(
        recorded.weights.iter().map(|one| format!("weight {} at {}, served {:?}", one.asked, one.at, one.served)),
    );
    facts
}

/// Whether the step had given up since it asked last.
fn gave_up(entries: &Entries<rollout::Entry>, key: &Key) -> bool {
    let newest = entries.iter().rev().find_map(|(_, _, entry)| match entry {
        rollout::Entry::TimedOut { key: of } if of == key => Some(true),
        rollout::Entry::Wanted { key: of, .. } if of == key => Some(false),
        _ => None,
    });
    newest == Some(true)
}

fn of_progress(lines: &[Line], progress: &rollout::Progress) -> String {
    let state = match &progress.state {
        ProgressState::Underway => "progressing".to_owned(),
        ProgressState::Aborted { because, at } => format!("aborted at {at}: {}", reason(lines, because)),
        ProgressState::Promoted => "promoted".to_owned(),
    };
    let (paused, reached) = (progress.paused_since, progress.reached);
    format!(
        "{} {} began {} step {} of {} ({}) since {}, paused since {paused:?}, reached {reached}: {state}",
        progress.hash,
        disk(&progress.images),
        disk(&progress.start),
        progress.at,
        progress.steps,
        progress.steps_hash,
        progress.since
    )
}
