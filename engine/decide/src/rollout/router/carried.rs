//! The actions that Ingresses carry, and that the spec does not lead to any more: it names another Ingress, another root,
//! or no load balancer. The load balancer goes on by them, whatever the spec says now.

use super::Router;
use super::alb::{self, CarriedAction, Ingress};
use crate::rollout::act::Act;
use crate::rollout::context::Context;
use std::collections::BTreeMap;

/// The writes by which a canary gets no more by an action that the spec does not lead to than it is asked to get.
pub(in crate::rollout) fn lower(context: &Context) -> Vec<Act> {
    let carried = carried(context).filter(|(.., action)| action.share() > context.state.asked);
    carried.map(|(ingress, key, action)| route(ingress, key.to_owned(), action.with(context.state.asked))).collect()
}

fn route(ingress: &Ingress, key: String, value: String) -> Act {
    Act::Route { ingress: ingress.guard.clone(), annotations: BTreeMap::from([(key, value)]) }
}

/// Whether a canary gets requests by such an action.
pub(in crate::rollout) fn gets_requests(context: &Context) -> bool {
    carried(context).any(|(.., action)| action.share() > 0)
}

/// Those actions, each with its Ingress and its key.
fn carried<'a>(context: &Context<'a>) -> impl Iterator<Item = (&'a Ingress, &'a str, CarriedAction<'a>)> {
    let names = context.asked().map(|asked| asked.names);
    let rollout = context.observed.name();
    let is_asked = move |ingress: &Ingress, key: &str| {
        let Some((Router::Alb(alb), names)) = context.router().zip(names) else { return false };
        alb.ingresses.iter().any(|(name, _)| *name == ingress.guard.name) && alb::key(alb, names.stable) == key
    };
    let all = context.observed.ingresses.values();
    let all = all.flat_map(move |ingress| alb::keys(ingress, rollout).iter().map(move |key| (ingress, key.as_str())));
    let left: Vec<_> = all.filter(|(ingress, key)| !is_asked(ingress, key)).collect();
    left.into_iter().filter_map(move |(ingress, key)| Some((ingress, key, CarriedAction::read(ingress, key, names)?)))
}
