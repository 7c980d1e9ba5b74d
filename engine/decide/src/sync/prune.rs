//! Pruning: what git has no longer goes, wave by wave; which objects may is decided in [`super::tracking`] and
//! [`super::plan`], and in which order in [`super::order`].

use super::Context;
use super::application::Prune;
use super::decide::Act;
use super::object;
use super::plan::ExtraItem;

/// Whether the application prunes by itself.
pub(super) fn prunes(context: &Context) -> bool {
    context.application.automated.is_some_and(|automated| automated.prune == Prune::On)
}

/// The objects that go, for people.
pub(super) fn names(extras: &[&ExtraItem]) -> String {
    extras.iter().map(|extra| extra.id.to_string()).collect::<Vec<_>>().join(", ")
}

/// An object goes only as it was seen.
pub(super) fn act(extra: &ExtraItem) -> Act {
    Act::Prune {
        id: extra.id.clone(),
        api_version: object::api_version(&extra.live).to_owned(),
        uid: object::uid(&extra.live).to_owned(),
        resource_version: object::resource_version(&extra.live).to_owned(),
    }
}
