//! Which older runs of its group a new run takes the place of.

use super::observed::{Bump, Context, KnownRun, RunPhase};
use crate::run::EventKind;
use pipeline::Supersede;

/// The older runs of the group that the run takes the place of.
pub(super) fn superseded<'a>(
    run: &str,
    supersede: Option<Supersede>,
    context: &'a Context,
) -> impl Iterator<Item = String> + 'a {
    let place = context.runs.iter().position(|known| known.id == run).unwrap_or(0);
    let mine = context.runs.get(place);
    context.runs[..place].iter().filter_map(move |old| {
        let takes_turns = mine.is_some_and(|mine| takes_turns(mine, old));
        // Two pipelines that one push opens do not take each other's place.
        let same_push = mine.is_some_and(|mine| mine.event.delivery == old.event.delivery);
        let may = match supersede {
            None | Some(Supersede::Never) => false,
            Some(Supersede::UntilBump) => old.bump == Bump::Ahead,
            Some(Supersede::Always) => true,
        };
        (takes_turns && !same_push && may && old.phase == RunPhase::Open).then(|| old.id.clone())
    })
}

/// Whether a newer run may take the place of an older one at all. Of the same group alone, they queue: what a branch
/// does is no reason to end what another deploys.
fn takes_turns(newer: &KnownRun, older: &KnownRun) -> bool {
    let by_push = matches!(older.event.kind, EventKind::Push | EventKind::Tag | EventKind::PullRequest);
    let same_group = newer.group.is_some() && newer.group == older.group;
    let same_line = newer.file == older.file && newer.event.reference == older.event.reference;
    by_push && same_group && same_line && newer.event.kind == older.event.kind
}
