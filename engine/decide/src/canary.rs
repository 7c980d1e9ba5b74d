//! Decides the walk of a canary: shift, hold, promote, or retreat.
//!
//! First come the rules that move the position (`transit`): the first that
//! applies is recorded, and nothing is done. When none applies, the cluster is
//! brought to what the position asks for (`shape`, `status`). So every act
//! rests on an entry that is in the journal already, and a look after it.
//!
//! The rules of the numbers, weights, statuses and annotations are Argo
//! Rollouts', whose objects these are; where ours differ, the difference and
//! its reason stand at the rule.

pub mod alb;
mod entry;
mod hash;
mod look;
mod origin;
mod read;
mod recorded;
pub mod replicas;
mod reply;
pub mod router;
mod seen;
mod shape;
pub mod spec;
mod status;
mod step;
mod transit;
mod words;

#[cfg(test)]
mod tests;

pub use entry::{Act, Action, Cause, Entry, Guard, Intent, OnTimeout, Start, Through};
pub use origin::{Origin, application_of};
pub use recorded::{Patience, Recorded, Refused, State, Undo, Version, Walk, Want, Weighed};
pub use reply::{Mends, Reply, Routed, Said, Serves, Split, Told, Trouble, VERIFY_AGAIN_MS, question};
pub use seen::{
    CaughtUp, DEADLINE, HASH, Ingress, Live, MANAGED_BY, OWNER, Objects, Owner, Pod, REVISION, Seen, Service, Set,
};
pub use step::{Length, Scale, Step, span};
pub use words::{Offer, allowed};

use crate::by::By;
use crate::next::{Next, Status, Timestamp, Wake};
use crate::request::Response;
use look::Look;
use spec::{Mistake, Spec};

type Move = Next<Entry, Act>;

/// How long to wait for the change that our own act makes, should nobody tell of it.
const ECHO_MS: u64 = 500;

/// Whose writes never count as another controller's: ours, people's, and the
/// machinery that counts pods.
const NO_CONTROLLERS: &[&str] = &["bespin", "kubectl", "argocd", "kube-controller-manager"];

/// Decides the next move.
pub fn decide(recorded: &Recorded, seen: &Seen, now: Timestamp) -> Next<Entry, Act> {
    match seen {
        Seen::Absent => absent(recorded, now),
        Seen::Present(live) => match (live.owner, stranger(recorded, live)) {
            (Owner::Observed, _) => observed(recorded, live, now),
            (Owner::Ours, Some(writer)) => {
                let text = format!("held: {writer} writes to this Rollout as well; make it let go, then resume");
                given_up(recorded, &text).unwrap_or_else(|| Next::blocked(text))
            }
            (Owner::Ours, None) => ours(recorded, live, now),
        },
    }
}

fn absent(recorded: &Recorded, now: Timestamp) -> Move {
    let waits = recorded.open().count() > 0;
    let gone = || origin::let_go(recorded, "there is no such Rollout any more");
    let unrouted = || reply::gone(recorded, now);
    match given_up(recorded, "there is no such Rollout").or_else(gone).or_else(unrouted) {
        Some(next) => next,
        None if waits => Next::waiting(Wake::OnChange, "there is no such Rollout yet; a sync has to bring it"),
        None => Next::done(Wake::Never, "there is no such Rollout"),
    }
}

/// Whoever else writes the status or the sets since Bespin claimed the rollout.
fn stranger(recorded: &Recorded, live: &Live) -> Option<String> {
    let claimed = recorded.claimed_at?;
    let late = live.writers.iter().filter(|(_, at)| **at > claimed);
    let mut names = late.map(|(name, _)| name).filter(|name| !NO_CONTROLLERS.iter().any(|ours| name.starts_with(ours)));
    names.next().cloned()
}

/// What is somebody else's is only looked at: says what would be done.
fn observed(recorded: &Recorded, live: &Live, now: Timestamp) -> Move {
    let text = format!("observed only, for it is not Bespin's: `bespin take {}`", live.name());
    let given = || origin::let_go(recorded, "the Rollout is not Bespin's any more");
    let unrouted = || reply::let_go(recorded);
    if let Some(next) = given_up(recorded, &text).or_else(given).or_else(unrouted) {
        return next;
    }
    if recorded.open().count() > 0 {
        return Next::blocked(text);
    }
    let would = imagine(recorded, live, now).status.message;
    Next::done(Wake::OnChange, format!("{text}. It would say: {would}"))
}

/// What would be decided if the rollout were ours, after all that would be recorded.
fn imagine(recorded: &Recorded, live: &Live, now: Timestamp) -> Move {
    let mut imagined = recorded.clone();
    let mut next = ours(&imagined, live, now);
    for _ in 0..8 {
        if next.record.is_empty() {
            break;
        }
        for entry in &next.record {
            imagined.apply(now, &By::Server, entry);
        }
        next = ours(&imagined, live, now);
    }
    next
}

fn ours(recorded: &Recorded, live: &Live, now: Timestamp) -> Move {
    let spec = match reply::read(live) {
        Ok(spec) => spec,
        Err(mistakes) => return invalid(recorded, live, &mistakes, now),
    };
    match transit::adopt(recorded, live, &spec) {
        Some(Ok(next)) => return next,
        Some(Err(text)) => return given_up(recorded, &text).unwrap_or_else(|| Next::blocked(text)),
        None => {}
    }
    if let Some(next) = transit::begin(recorded, &spec) {
        return next;
    }
    let Some(walk) = &recorded.walk else { return Next::blocked("the journal has lost the walk that it began") };
    let look = Look { recorded, live, spec: &spec, walk, now };
    let rules = [
        reply::leave,
        reply::promise,
        transit::heard,
        transit::bind,
        transit::give_up,
        transit::fail,
        transit::shift,
        transit::promote,
        transit::step,
        transit::extend,
        transit::overdue,
        transit::answer,
        origin::put_back,
    ];
    let Some(mut next) = rules.iter().find_map(|rule| rule(&look)) else { return rest(&look) };
    if !next.record.is_empty() {
        next.record.splice(..0, transit::served(&look));
    }
    next
}

/// No rule moves the position: bring the cluster to it, mirror it, and wait.
fn rest(look: &Look) -> Move {
    let shape = shape::shape(look);
    let mut acts = shape.acts;
    let busy = !acts.is_empty();
    acts.extend(status::patch(look));
    let echo = (!acts.is_empty()).then_some(look.now + ECHO_MS);
    let wake = [shape.wake, transit::wake(look), echo].into_iter().flatten().min();
    let (mood, text) = words::because(look, busy);
    Next {
        record: Vec::new(),
        acts,
        wake: wake.map_or(Wake::OnChange, Wake::At),
        status: Status { phase: mood, message: text },
    }
}

/// A spec that cannot be followed: nothing moves, and the status says why.
fn invalid(recorded: &Recorded, live: &Live, mistakes: &[Mistake], now: Timestamp) -> Move {
    let all: Vec<String> = mistakes.iter().map(Mistake::to_string).collect();
    let text = format!("the Rollout's spec cannot be followed: {}", all.join("; "));
    let images = spec::images_of(&live.rollout["spec"]["template"]);
    let about = |want: &&Want| want.intent.image.as_ref().is_none_or(|image| images.contains(image));
    let failed = Response::Failed { because: text.clone(), transient: false };
    let record: Vec<Entry> = recorded
        .open()
        .filter(about)
        .map(|want| Entry::Answered { key: want.key.clone(), answer: failed.clone() })
        .collect();
    if !record.is_empty() {
        return Next { record, ..Next::progressing(Wake::Now, text) };
    }
    let acts = status::invalid(live, mistakes, now).into_iter().collect();
    given_up(recorded, &text).unwrap_or_else(|| Next { acts, ..Next::blocked(text) })
}

/// Answers the wants whose step has stopped waiting, where no walk does it.
fn given_up(recorded: &Recorded, because: &str) -> Option<Move> {
    let failed = Response::Failed { because: format!("the step stopped waiting: {because}"), transient: true };
    let record: Vec<Entry> = recorded
        .open()
        .filter(|want| want.patience == Patience::RanOut)
        .map(|want| Entry::Answered { key: want.key.clone(), answer: failed.clone() })
        .collect();
    (!record.is_empty()).then(|| Next { record, ..Next::progressing(Wake::Now, because) })
}

/// A rollout for people: the position in words, and what may be done.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// Argo's phase.
    pub phase: String,
    /// Argo's message.
    pub message: String,
    /// When the current pause ends, in ms since the epoch.
    pub paused_until: Option<Timestamp>,
    /// What a person may do now.
    pub offers: Vec<Offer>,
}

/// Says how a rollout stands; what somebody else's status says, when it is not ours.
pub fn show(recorded: &Recorded, live: &Live, now: Timestamp) -> Shown {
    let status = |field: &str| live.status(field).as_str().unwrap_or_default().to_owned();
    let theirs = Shown { phase: status("phase"), message: status("message"), paused_until: None, offers: Vec::new() };
    let current = |spec: &Spec| {
        let hash = transit::template_hash(recorded, spec);
        recorded.walk.as_ref().filter(|walk| walk.hash == hash)
    };
    let shown = |spec: &Spec, walk: &Walk| {
        let look = Look { recorded, live, spec, walk, now };
        let (phase, message) = status::phase(&look);
        let held = stranger(recorded, live);
        let offers = match held {
            None => words::offers(&look),
            Some(writer) => vec![Offer {
                action: Action::Resume,
                label: "Resume",
                effect: format!("Act again, though {writer} has written to this Rollout"),
            }],
        };
        Shown { phase: phase.to_owned(), message, paused_until: words::paused_until(&look), offers }
    };
    match (live.owner, reply::read(live)) {
        (Owner::Ours, Ok(spec)) => current(&spec).map_or(theirs, |walk| shown(&spec, walk)),
        (Owner::Ours, Err(mistakes)) => {
            let message = mistakes.iter().map(Mistake::to_string).collect::<Vec<_>>().join("; ");
            Shown { phase: "Degraded".to_owned(), message: format!("InvalidSpec: {message}"), ..theirs }
        }
        (Owner::Observed, _) => theirs,
    }
}
