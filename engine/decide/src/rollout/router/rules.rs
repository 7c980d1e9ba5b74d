//! The rules about a router that is a plugin and in use: it is promised before it is told anything, and asked what it
//! serves.

use super::Router;
use super::left::left;
use super::plugin::{RouterStatus, Serves, path_of, place};
use crate::next::{Next, Status, Wake};
use crate::outcome::Outcomes;
use crate::rollout::act::{Act, Move, Split};
use crate::rollout::context::Context;
use crate::rollout::entry::Entry;
use crate::rollout::fields::Mistake;
use crate::rollout::intent::Routed;
use crate::rollout::messages;
use crate::rollout::observed::{Observed, ObservedRollout, Owner};
use crate::rollout::outcomes::{self, ActKey, Removal, Reply};
use crate::rollout::services;
use crate::rollout::state::State;
use crate::rollout::strategy::{Reading, Strategy};
use std::borrow::Cow;

/// Takes in what came of the acts at a router that is a plugin, where it is one and is in use.
pub fn hear(state: &State, observed: &mut Observed, outcomes: &Outcomes<ActKey, Reply>) {
    let removal = Removal::of(state, outcomes);
    match observed {
        Observed::Absent { removal: known, .. } => *known = removal,
        Observed::Present(observed) => {
            observed.removal = removal;
            observed.refusal = outcomes::refusal(state, outcomes);
            observed.eviction = outcomes::eviction(outcomes);
            observed.unmarked = outcomes::unmarked(outcomes);
            observed.unwritten = outcomes::unwritten(state, outcomes);
            observed.posted = outcomes::posted(outcomes);
            observed.unowned = outcomes::unowned(outcomes);
            if services::is_turned(state, observed) {
                observed.served = observed.served.map(|served| 100 - served.min(100));
            }
            if let Some(split) = question(state, observed) {
                let status = RouterStatus::of(&split, outcomes);
                observed.served = status.verified();
                observed.router_status = Some(status);
            }
        }
    }
}

/// What a rollout's router is to be asked: nothing before it was promised to be used.
fn question(state: &State, observed: &ObservedRollout) -> Option<Split> {
    let routed = state.routed.as_ref().filter(|_| observed.owner == Owner::Ours)?;
    let strategy = salvage(state, observed).filter(|strategy| left(state, observed, strategy).is_none())?;
    // Where who shares the traffic cannot be read, another may be named, which nobody has promised to use.
    let named = strategy.router.as_ref().filter(|router| router.plugin() == Some(&routed.router))?;
    let Router::Plugin(plugin) = named else { return None };
    let newest = &state.progress.as_ref()?.hash;
    let stable = state.stable.as_ref().map_or(newest, |stable| &stable.hash);
    let canary = services::elsewhere(state, observed, &strategy).unwrap_or(newest);
    Some(plugin.split(state.asked, canary, stable, &observed.rollout))
}

/// Reads the spec, and refuses a plugin that this server has not, or not for this Rollout.
pub(in crate::rollout) fn read<'a>(
    state: &State,
    observed: &'a ObservedRollout,
) -> Result<Cow<'a, Strategy>, Vec<Mistake>> {
    let strategy = services::in_place(observed.spec.whole()?, state, observed);
    let Some(name) = strategy.router.as_ref().and_then(Router::plugin) else { return Ok(strategy) };
    let (got, add) = match observed.routers.get(name) {
        Some(Serves::This) => return Ok(strategy),
        Some(Serves::Others) => {
            ("does not serve this Rollout", format!("\"{}\" to `rollouts` of [[route]] `{name}` in", observed.place))
        }
        None => ("is no router of this server", format!("[[route]] with name = \"{name}\" to")),
    };
    let help =
        format!("an administrator adds {add} the server's configuration; or leave this Rollout to Argo Rollouts");
    Err(vec![Mistake::new(&path_of(name), got, &help)])
}

/// What of a spec with mistakes is good for safety alone; no plugin that the server has not, or not for this Rollout.
pub(in crate::rollout) fn salvage<'a>(state: &State, observed: &'a ObservedRollout) -> Option<Cow<'a, Strategy>> {
    let strategy = services::in_place(observed.spec.salvaged()?, state, observed);
    let name = strategy.router.as_ref().and_then(Router::plugin);
    let serves = name.is_none_or(|name| observed.routers.get(name) == Some(&Serves::This));
    let unrouted =
        |strategy: Cow<Strategy>| Strategy { router: None, reading: Reading::KeepsPods, ..strategy.into_owned() };
    Some(if serves { strategy } else { Cow::Owned(unrouted(strategy)) })
}

/// Before a router is told anything, it is written down which one, and where.
pub(in crate::rollout) fn promise(context: &Context) -> Option<Move> {
    let router = context.strategy.router.as_ref().and_then(Router::plugin)?;
    let routed = Routed { router: router.to_owned(), rollout: place(&context.observed.rollout) };
    (context.state.routed.as_ref() != Some(&routed) && context.left().is_none()).then(|| {
        let Routed { router, rollout } = routed;
        let text = format!("{router} shares the traffic from here on");
        Next { record: vec![Entry::Routing { router, rollout }], ..Next::progressing(Wake::Now, text) }
    })
}

/// What a router serves is asked again before anything is decided by it.
pub(in crate::rollout) fn ask(context: &Context) -> Option<Move> {
    context.router_status().filter(|status| status.is_old(context.now))?;
    let split = Box::new(question(context.state, context.observed)?);
    let (phase, message) = messages::because(context, false);
    let status = Status { phase, message };
    Some(Next { record: Vec::new(), acts: vec![Act::Verify { split }], wake: Wake::Now, status })
}

/// Somebody else's from here on: what the router serves is theirs to decide, so it is told nothing.
pub(in crate::rollout) fn let_go(state: &State) -> Option<Move> {
    let Routed { router, .. } = state.routed.as_ref()?;
    let text = format!("{router} is left as it is, for the Rollout is not Bespin's any more");
    let record = vec![Entry::Unrouted { router: router.clone() }];
    Some(Next { record, ..Next::progressing(Wake::Now, text) })
}
