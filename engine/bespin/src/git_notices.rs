//! Shows on the home page what people should know of the mirrors of git.

use crate::drive::{Drivers, now};
use forge::{Address, Forge};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How often it is looked whether a notice has become old.
const LOOK_AGAIN: Duration = Duration::from_secs(60 * 60);

/// Publishes the notices whenever they change, until the server stops.
pub(crate) async fn show(forge: Arc<Forge>, drivers: Arc<Drivers>) {
    let mut changed = forge.notices().changed();
    loop {
        let told = forge.notices().all().into_iter().map(|(address, texts)| {
            let name = Address::parse(&address).map_or(address, |address| address.name());
            (format!("git/{name}"), texts.join("; "))
        });
        drivers.board().warn("git", told.collect::<BTreeMap<_, _>>(), now());
        tokio::select! {
            () = drivers.stopping().cancelled() => return,
            _ = changed.changed() => {}
            () = tokio::time::sleep(LOOK_AGAIN) => {}
        }
    }
}
