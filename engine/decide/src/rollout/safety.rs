//! A Rollout whose spec cannot be followed: no step goes on, and what serves is kept safe all the same.
//!
//! An abort is carried out, the stable version has its pods, and traffic goes to pods that are ready.

use super::act::{Act, Move};
use super::context::Context;
use super::desired::Desired;
use super::entry::Entry;
use super::intent::Action;
use super::observed::ObservedRollout;
use super::progress::ProgressState;
use super::router::rules;
use super::state::{Requested, State};
use super::strategy::{Mistake, Reading};
use super::{adopt, desired, events, git, messages, status, transitions};
use crate::epoch::Epoch;
use crate::next::{Next, Timestamp, Wake};
use crate::object::images_of;
use crate::request::Response;

/// How long to wait for the change that our own act makes, should nobody tell of it.
pub(super) const ECHO_MS: u64 = 500;

/// Keeps safe what serves, and says what is wrong with the spec.
pub(super) fn keep(state: &State, observed: &ObservedRollout, mistakes: &[Mistake], now: Timestamp) -> Move {
    let all: Vec<String> = mistakes.iter().map(Mistake::to_string).collect();
    let text = format!("the Rollout's spec cannot be followed: {}", all.join("; "));
    let salvaged = rules::salvage(state, observed);
    let said = || {
        let (status, unsaid) = status::invalid(observed, mistakes, now);
        let wake = unsaid.map_or(Wake::OnChange, Wake::At);
        Next { acts: status.into_iter().collect(), wake, ..Next::blocked(&text) }
    };
    let is_behind = adopt::is_behind(state, observed);
    if let Some(next) = salvaged.as_ref().and_then(|strategy| adopt::salvaged(state, observed, strategy)) {
        return next;
    }
    if is_behind && observed.epoch == Epoch::Restored {
        // Whatever was recorded would count as knowing everything from here on.
        return said();
    }
    let answered = || answered(state, observed, &text).or_else(|| given_up(state, &text));
    let read = salvaged.zip(state.progress.as_ref()).filter(|_| state.is_of(observed.uid()) && !is_behind);
    let Some((strategy, progress)) = read else { return answered().unwrap_or_else(said) };
    let context = Context::new(state, observed, &strategy, progress, now);
    // A step that ran out of time may have wanted an abort: that comes before its answer.
    if let Some(next) = transitions::give_up(&context).or_else(answered) {
        return next;
    }
    let rules = [
        promised,
        rules::ask,
        asked,
        transitions::fail,
        transitions::stand,
        transitions::shift,
        transitions::break_pause,
        git::put_back,
    ];
    rules.iter().find_map(|rule| rule(&context)).unwrap_or_else(|| rest(&context, mistakes, text))
}

/// Where who shares the traffic can be read, that one is told, whatever else the spec says.
fn promised(context: &Context) -> Option<Move> {
    rules::promise(context).filter(|_| context.strategy.reading == Reading::Safety)
}

/// One of Argo's clients may send it back; nothing else that they ask for can be followed.
fn asked(context: &Context) -> Option<Move> {
    let is_abort = |entry: &Entry| matches!(entry, Entry::Asked { action: Action::Abort, .. });
    transitions::heard(context).filter(|next| next.record.iter().all(is_abort))
}

/// The runs that wait for the version of this spec are told what is wrong with it.
fn answered(state: &State, observed: &ObservedRollout, text: &str) -> Option<Move> {
    let images = images_of(&observed.rollout["spec"]["template"]);
    let about = |of: &Requested| of.request.intent.image.as_ref().is_none_or(|image| images.contains(image));
    let failed = Response::Failed { because: text.to_owned(), transient: false };
    // Until its time runs out, nobody knows whether that sends the version back.
    let waits = |of: &Requested| {
        let progress = state.progress.as_ref().filter(|progress| progress.state == ProgressState::Underway);
        progress.is_some_and(|progress| transitions::may_abort(of, progress))
    };
    let of = state.open().filter(|of| about(of) && !waits(of));
    let record: Vec<Entry> =
        of.map(|of| Entry::Answered { key: of.request.key.clone(), answer: failed.clone() }).collect();
    (!record.is_empty()).then(|| Next { record, ..Next::progressing(Wake::Now, text) })
}

fn rest(context: &Context, mistakes: &[Mistake], text: String) -> Move {
    let Desired { mut acts, wake, .. } = desired::desired(context);
    acts.retain(|act| is_safe(context, act));
    let (event, news) = events::post(context);
    acts.extend(event);
    let (status, unsaid) = status::unfollowed(context, mistakes);
    acts.extend(status);
    let echo = (!acts.is_empty()).then_some(context.now + ECHO_MS);
    let router = context.router().and_then(|router| router.wake(context.observed, context.now));
    let stands_in = context.stands_in_at().filter(|at| *at > context.now);
    let asks = [router, context.balancer_wake(), transitions::asks_again(context)].into_iter().flatten().min();
    let wake = [wake, echo, stands_in, news, unsaid, asks].into_iter().flatten().min().map_or(Wake::OnChange, Wake::At);
    let text = match &context.progress.state {
        ProgressState::Aborted { because, .. } => format!("aborted: {because}; {text}"),
        ProgressState::Underway | ProgressState::Promoted => text,
    };
    let text = match messages::lacking(context) {
        Some((lacking, _)) => format!("{lacking}; {text}"),
        None => text,
    };
    Next { acts, wake, ..Next::blocked(text) }
}

/// Traffic, and pods that are added. Pods are taken away only where the position says so and the numbers are known.
fn is_safe(context: &Context, act: &Act) -> bool {
    match act {
        Act::Select { .. } | Act::Route { .. } | Act::Weigh { .. } | Act::Verify { .. } | Act::Unroute { .. } => true,
        Act::Scale { .. } => {
            let ends = context.progress.state != ProgressState::Underway;
            !desired::lowers(context, act) || ends && context.strategy.reading == Reading::Safety
        }
        Act::Create { .. }
        | Act::Own { .. }
        | Act::Evict { .. }
        | Act::Forget { .. }
        | Act::AskRevert { .. }
        | Act::WithdrawRevert { .. }
        | Act::Stamp { .. }
        | Act::Mark { .. }
        | Act::Post { .. }
        | Act::Status { .. } => false,
    }
}

/// Answers the requests whose step has stopped waiting, where no rule does it.
pub(super) fn given_up(state: &State, because: &str) -> Option<Move> {
    let failed = Response::Failed { because: format!("the step stopped waiting: {because}"), transient: true };
    let record: Vec<Entry> = state
        .open()
        .filter(|of| of.request.is_given_up())
        .map(|of| Entry::Answered { key: of.request.key.clone(), answer: failed.clone() })
        .collect();
    (!record.is_empty()).then(|| Next { record, ..Next::progressing(Wake::Now, because) })
}
