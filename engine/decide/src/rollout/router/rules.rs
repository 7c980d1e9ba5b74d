//! The rules about a router that is a plugin: it is promised before it is told anything, and takes back what it has
//! made before the rollout leaves it.

use super::Router;
use super::plugin::{RouterStatus, Serves, is_same_place, path_of, place};
use crate::next::{Next, Status, Timestamp, Wake};
use crate::outcome::Outcomes;
use crate::rollout::act::{Act, Move, Split};
use crate::rollout::context::Context;
use crate::rollout::entry::Entry;
use crate::rollout::fields::Mistake;
use crate::rollout::intent::Routed;
use crate::rollout::messages;
use crate::rollout::observed::{Observed, ObservedRollout, Owner};
use crate::rollout::outcomes::{self, ActKey, Removal, Reply};
use crate::rollout::state::State;
use crate::rollout::strategy::{self, Reading, Strategy};

/// Takes in what came of the acts at a router that is a plugin, where it is one and is in use.
pub fn hear(state: &State, observed: &mut Observed, outcomes: &Outcomes<ActKey, Reply>) {
    let removal = Removal::of(state, outcomes);
    match observed {
        Observed::Absent { removal: known, .. } => *known = removal,
        Observed::Present(observed) => {
            observed.removal = removal;
            observed.refusal = outcomes::refusal(state, outcomes);
            observed.eviction = outcomes::eviction(outcomes);
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
    let strategy = salvage(observed).filter(|_| observed.owner == Owner::Ours)?;
    let Router::Plugin(plugin) = strategy.router? else { return None };
    state.routed.as_ref().filter(|routed| routed.router == plugin.name)?;
    let newest = &state.progress.as_ref()?.hash;
    let stable = state.stable.as_ref().map_or(newest, |stable| &stable.hash);
    Some(plugin.split(state.asked, newest, stable, &observed.rollout))
}

/// Reads the spec, and refuses a plugin that this server has not, or not for this Rollout.
pub(in crate::rollout) fn read(observed: &ObservedRollout) -> Result<Strategy, Vec<Mistake>> {
    let strategy = strategy::parse(&observed.rollout)?;
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
pub(in crate::rollout) fn salvage(observed: &ObservedRollout) -> Option<Strategy> {
    let strategy = strategy::salvage(&observed.rollout)?;
    let name = strategy.router.as_ref().and_then(Router::plugin);
    let serves = name.is_none_or(|name| observed.routers.get(name) == Some(&Serves::This));
    Some(if serves { strategy } else { Strategy { router: None, reading: Reading::KeepsPods, ..strategy } })
}

/// Before a router is told anything, it is written down which one, and where.
pub(in crate::rollout) fn promise(context: &Context) -> Option<Move> {
    let router = context.strategy.router.as_ref().and_then(Router::plugin)?;
    let routed = Routed { router: router.to_owned(), rollout: place(&context.observed.rollout) };
    (context.state.routed.as_ref() != Some(&routed)).then(|| {
        let Routed { router, rollout } = routed;
        let text = format!("{router} shares the traffic from here on");
        Next { record: vec![Entry::Routing { router, rollout }], ..Next::progressing(Wake::Now, text) }
    })
}

/// A rollout that has left its router, or the place where that one was told: it takes back what it has made there
/// before anything else is done.
pub(in crate::rollout) fn leave(context: &Context) -> Option<Move> {
    let routed = context.state.routed.as_ref()?;
    let is_named = context.strategy.router.as_ref().and_then(Router::plugin) == Some(routed.router.as_str());
    let stays = is_named && is_same_place(&routed.rollout, &place(&context.observed.rollout));
    (!stays).then(|| take_back(routed, &context.observed.removal, context.now))
}

/// The same where there is no Rollout any more.
pub(in crate::rollout) fn gone(state: &State, removal: &Removal, now: Timestamp) -> Option<Move> {
    state.routed.as_ref().map(|routed| take_back(routed, removal, now))
}

fn take_back(routed: &Routed, removal: &Removal, now: Timestamp) -> Move {
    let Routed { router, rollout } = routed.clone();
    match removal {
        Removal::Failed(failure) if now < failure.again => {
            let text = format!("{router} has to take back what it has made first: {}", failure.because);
            Next::waiting(Wake::At(failure.again), text)
        }
        Removal::NotYet | Removal::Done | Removal::Failed(_) => {
            let text = format!("{router} takes back what it has made, and all traffic is the stable version's");
            Next { acts: vec![Act::Unroute { router, rollout }], ..Next::progressing(Wake::Now, text) }
        }
    }
}

/// That a router has taken back what it had made is written down before anything else, even if it is named again by
/// now: nobody else can know.
pub(in crate::rollout) fn taken_back(state: &State, removal: &Removal) -> Option<Move> {
    let Routed { router, .. } = state.routed.as_ref().filter(|_| *removal == Removal::Done)?;
    let text = format!("{router} has taken back what it had made");
    let record = vec![Entry::Unrouted { router: router.clone() }];
    Some(Next { record, ..Next::progressing(Wake::Now, text) })
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
