//! The rules about a router that is a plugin: it is promised before it is told anything, and takes back what it has
//! made before the rollout leaves it.

use super::Router;
use super::plugin::{Serves, VERIFY_AGAIN_MS, is_same_place, path_of, place};
use crate::next::{Next, Timestamp, Wake};
use crate::rollout::context::Context;
use crate::rollout::entry::{Act, Entry, Move, Routed, Split};
use crate::rollout::fields::Mistake;
use crate::rollout::observed::{ObservedRollout, Owner};
use crate::rollout::state::State;
use crate::rollout::strategy::{self, Strategy};

/// What a rollout's router is to be asked in a look: nothing before it was promised to be used.
pub fn question(state: &State, observed: &ObservedRollout) -> Option<Split> {
    let strategy = read(observed).ok().filter(|_| observed.owner == Owner::Ours)?;
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
    let mend =
        format!("an administrator adds {add} the server's configuration; or leave this Rollout to Argo Rollouts");
    Err(vec![Mistake::new(&path_of(name), got, &mend)])
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
    (!stays).then(|| taken_back(routed, context.now))
}

/// The same where there is no Rollout any more.
pub(in crate::rollout) fn gone(state: &State, now: Timestamp) -> Option<Move> {
    state.routed.as_ref().map(|routed| taken_back(routed, now))
}

fn taken_back(routed: &Routed, now: Timestamp) -> Move {
    let Routed { router, rollout } = routed.clone();
    let text = format!("{router} takes back what it has made, and all traffic is the stable version's");
    let acts = vec![Act::Unroute { router, rollout }];
    Next { acts, ..Next::progressing(Wake::At(now + VERIFY_AGAIN_MS), text) }
}

/// Somebody else's from here on: what the router serves is theirs to decide, so it is told nothing.
pub(in crate::rollout) fn let_go(state: &State) -> Option<Move> {
    let Routed { router, .. } = state.routed.as_ref()?;
    let text = format!("{router} is left as it is, for the Rollout is not Bespin's any more");
    let record = vec![Entry::Unrouted { router: router.clone() }];
    Some(Next { record, ..Next::progressing(Wake::Now, text) })
}
