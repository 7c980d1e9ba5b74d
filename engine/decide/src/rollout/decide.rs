//! Decides how a canary goes on: shift, hold, promote, or abort.
//!
//! First come the rules that move the position (`transitions`): the first that
//! applies is recorded, and nothing is done to the cluster. When none applies, the
//! cluster is brought to what the position asks for (`desired`, `status`). So every
//! act rests on an entry that is in the journal already, and a look after it.
//!
//! The rules of the numbers, weights, statuses and annotations are Argo
//! Rollouts', whose objects these are; where ours differ, the difference and
//! its reason stand at the rule.

use super::act::{Act, Move};
use super::application::application_of;
use super::context::Context;
use super::entry::Entry;
use super::intent::Action;
use super::marks;
use super::messages::{self, Offer};
use super::observed::{Observed, ObservedRollout, Owner};
use super::outcomes::Removal;
use super::progress::Progress;
use super::router::{leaving, rules};
use super::state::State;
use super::strategy::{Mistake, Strategy};
use super::{adopt, desired, events, git, progress_deadline, restart, safety, stable_version, status, transitions};
use crate::annotations;
use crate::by::By;
use crate::next::{Next, Status, Timestamp, Wake};
use crate::object;
use crate::revert;

/// Decides the next move.
pub fn decide(state: &State, observed: &Observed, now: Timestamp) -> Next<Entry, Act> {
    if let Some(next) = git::heard(state, observed.revert()) {
        return next;
    }
    if let Some(next) = leaving::taken_back(state, observed.removal()) {
        return next;
    }
    match observed {
        Observed::Absent { revert, removal } => absent(state, revert, removal, now),
        Observed::Present(observed) if object::is_going(&observed.rollout) => {
            let text = "the Rollout is being deleted";
            safety::given_up(state, text).unwrap_or_else(|| Next::waiting(Wake::OnChange, text))
        }
        Observed::Present(observed) => match (observed.owner, stranger(state, observed)) {
            (Owner::Observed, _) => not_ours(state, observed, now),
            (Owner::Ours, Some(writer)) => {
                let text = format!("held: {writer} writes to this Rollout as well; make it let go, then resume");
                git::kept(state, safety::given_up(state, &text).unwrap_or_else(|| Next::blocked(text)))
            }
            (Owner::Ours, None) => git::kept(state, ours(state, observed, now)),
        },
    }
}

fn absent(state: &State, revert: &revert::State, removal: &Removal, now: Timestamp) -> Move {
    let waits = state.open().count() > 0;
    let gone = || git::let_go(state, revert, "there is no such Rollout any more");
    let unrouted = || leaving::gone(state, removal, now);
    match safety::given_up(state, "there is no such Rollout").or_else(gone).or_else(unrouted) {
        Some(next) => next,
        None if waits => Next::waiting(Wake::OnChange, "there is no such Rollout yet; a sync has to bring it"),
        None => Next::done(Wake::Never, "there is no such Rollout"),
    }
}

/// Whoever else writes the status or the sets since Bespin claimed the rollout.
fn stranger(state: &State, observed: &ObservedRollout) -> Option<String> {
    let claimed = state.claimed_at?;
    let late = observed.writers.iter().filter(|(_, at)| **at > claimed);
    late.map(|(name, _)| name).find(|name| adopt::is_stranger(name)).cloned()
}

/// What is somebody else's is only looked at: says what would be done.
fn not_ours(state: &State, observed: &ObservedRollout, now: Timestamp) -> Move {
    // A Rollout changes hands with the Application that brings it.
    let help = match application_of(&observed.rollout) {
        Some(application) => format!("`bespin take {application}`"),
        None => format!("put the annotation {} on it", annotations::OWNER),
    };
    let text = format!("observed only, for it is not Bespin's: {help}");
    let given = || git::let_go(state, &observed.revert, "the Rollout is not Bespin's any more");
    let unrouted = || rules::let_go(state);
    if let Some(next) = safety::given_up(state, &text).or_else(given).or_else(unrouted) {
        return next;
    }
    if state.open().count() > 0 {
        return Next::blocked(text);
    }
    let would = imagine(state, observed, now).status.message;
    Next::done(Wake::OnChange, format!("{text}. It would say: {would}"))
}

/// What would be decided if the rollout were ours, after all that would be recorded.
fn imagine(state: &State, observed: &ObservedRollout, now: Timestamp) -> Move {
    let mut imagined = state.clone();
    let mut next = ours(&imagined, observed, now);
    for _ in 0..8 {
        if next.record.is_empty() {
            break;
        }
        for entry in &next.record {
            imagined.apply(now, &By::Server, entry);
        }
        next = ours(&imagined, observed, now);
    }
    next
}

fn ours(state: &State, observed: &ObservedRollout, now: Timestamp) -> Move {
    let spec = match rules::read(state, observed) {
        Ok(spec) => spec,
        Err(mistakes) => return safety::keep(state, observed, &mistakes, now),
    };
    match adopt::adopt(state, observed, &spec) {
        Some(Ok(next)) => return next,
        Some(Err(text)) => return safety::given_up(state, &text).unwrap_or_else(|| Next::blocked(text)),
        None => {}
    }
    let corrected = || stable_version::correct(state, observed, &spec);
    if let Some(next) = transitions::begin(state, observed, &spec).or_else(corrected) {
        return next;
    }
    let Some(progress) = &state.progress else {
        return Next::blocked("the journal has lost the progress that it began");
    };
    let context = Context::new(state, observed, &spec, progress, now);
    let rules = [
        rules::promise,
        rules::ask,
        transitions::heard,
        transitions::bind,
        transitions::give_up,
        transitions::fail,
        transitions::stand,
        transitions::shift,
        transitions::promote,
        transitions::break_pause,
        transitions::step,
        progress_deadline::extend,
        progress_deadline::overdue,
        transitions::answer,
        git::put_back,
    ];
    let Some(mut next) = rules.iter().find_map(|rule| rule(&context)) else { return rest(&context) };
    if !next.record.is_empty() {
        next.record.splice(..0, transitions::served(&context));
    }
    next
}

/// No rule moves the position: bring the cluster to it, mirror it, and wait.
fn rest(context: &Context) -> Move {
    let desired = desired::desired(context);
    let mut acts = desired.acts;
    // Only once nothing else is to be done, so that no pod is counted twice.
    let is_quiet = desired.refused == 0 && acts.iter().all(|act| matches!(act, Act::Own { .. }));
    let (evictions, again) = if is_quiet { restart::restart(context) } else { (Vec::new(), None) };
    acts.extend(evictions);
    let busy = !acts.is_empty();
    let (marks, unmarked) = marks::mark(context);
    acts.extend(marks);
    let (event, news) = events::post(context);
    acts.extend(event);
    let (status, unsaid) = status::patch(context);
    acts.extend(status);
    let echo = (!acts.is_empty()).then_some(context.now + safety::ECHO_MS);
    let wake =
        [desired.wake, again, transitions::wake(context), echo, news, unmarked, unsaid].into_iter().flatten().min();
    let (phase, message) = messages::because(context, busy);
    Next { record: Vec::new(), acts, wake: wake.map_or(Wake::OnChange, Wake::At), status: Status { phase, message } }
}

/// A rollout for people: the position in words, and what may be done.
#[derive(Clone, Debug, PartialEq)]
pub struct Shown {
    /// The phase that `status.phase` shows, as Argo Rollouts names it.
    pub phase: String,
    /// The message that `status.message` shows.
    pub message: String,
    /// What is wrong with the pods that serve, as a sentence, once they are not only coming up.
    pub lacking: Option<String>,
    /// When the current pause ends, in ms since the epoch.
    pub paused_until: Option<Timestamp>,
    /// What a person may do now.
    pub offers: Vec<Offer>,
}

/// Says how a rollout stands; what somebody else's status says, when it is not ours.
pub fn show(state: &State, observed: &ObservedRollout, now: Timestamp) -> Shown {
    let status = |field: &str| observed.status(field).as_str().unwrap_or_default().to_owned();
    let theirs = Shown {
        phase: status("phase"),
        message: status("message"),
        lacking: None,
        paused_until: None,
        offers: Vec::new(),
    };
    let current = |strategy: &Strategy| {
        let hash = transitions::template_hash(state, observed, strategy);
        state.progress.as_ref().filter(|progress| progress.hash == hash)
    };
    let shown = |strategy: &Strategy, progress: &Progress| {
        let context = Context::new(state, observed, strategy, progress, now);
        let (phase, message) = status::phase(&context);
        let lacking = messages::lacking(&context).map(|(lacking, _)| lacking);
        let message = match &lacking {
            Some(lacking) if message.is_empty() => lacking.clone(),
            Some(lacking) => format!("{lacking}; {message}"),
            None => message,
        };
        let lacking = lacking.filter(|_| events::is_news(&context));
        let held = stranger(state, observed);
        let offers = match held {
            None => messages::offers(&context),
            Some(writer) => vec![Offer {
                action: Action::Resume,
                label: "Resume",
                effect: format!("Act again, though {writer} has written to this Rollout"),
            }],
        };
        Shown { phase: phase.to_owned(), message, lacking, paused_until: messages::paused_until(&context), offers }
    };
    match (observed.owner, rules::read(state, observed)) {
        (Owner::Ours, Ok(spec)) => current(&spec).map_or(theirs, |progress| shown(&spec, progress)),
        (Owner::Ours, Err(mistakes)) => {
            let message = mistakes.iter().map(Mistake::to_string).collect::<Vec<_>>().join("; ");
            let message = format!("InvalidSpec: {message}");
            let invalid = Shown { phase: "Degraded".to_owned(), message, ..theirs };
            let read = rules::salvage(state, observed).zip(state.progress.as_ref());
            read.map_or(invalid.clone(), |(strategy, progress)| {
                salvaged(&Context::new(state, observed, &strategy, progress, now), invalid)
            })
        }
        (Owner::Observed, _) => theirs,
    }
}

/// What is wrong with the pods that serve comes first; and whatever the spec says, the version can be sent back.
fn salvaged(context: &Context, invalid: Shown) -> Shown {
    let mut offers = messages::offers(context);
    offers.retain(|offer| offer.action == Action::Abort);
    let lacking = messages::lacking(context).map(|(lacking, _)| lacking);
    let message = lacking.iter().map(|lacking| format!("{lacking}; {}", invalid.message)).next();
    let lacking = lacking.filter(|_| events::is_news(context));
    Shown { message: message.unwrap_or(invalid.message), lacking, offers, ..invalid }
}
