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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stages::git_server::{GitServer, PASSWORD, USER};
    use api::board::Board;
    use forge::{Credentials, Remote, Settings};
    use std::time::Instant;

    #[tokio::test]
    async fn a_branch_that_cannot_be_fetched_is_told_on_the_board_until_it_is_gone() {
        let (git, directory) = (GitServer::start().await, tempfile::tempdir().unwrap());
        git.create("user/x", &[("f", "1")]);
        let head = git.git("user/x", &["rev-parse", "main"]);
        let credentials = Credentials::Basic { username: USER.into(), password: PASSWORD.into() };
        let remotes = vec![Remote { url: git.url.clone(), credentials, plain_http: Default::default() }];
        let settings = Settings { base: Some(git.url.clone()), remotes, ..Settings::default() };
        let forge = Forge::new(settings, directory.path().join("git")).unwrap();
        let drivers =
            Drivers::new(journal::open(&directory.path().join("journal")).unwrap(), Arc::new(Board::default()));
        let shown = tokio::spawn(show(forge.clone(), drivers.clone()));
        let packed = |names: &[&str]| {
            let lines: String = names.iter().map(|name| format!("{head} refs/heads/{name}\n")).collect();
            let text = format!("# pack-refs with: peeled fully-peeled sorted \n{lines}");
            std::fs::write(git.bare("user/x").join("packed-refs"), text).unwrap();
        };
        let mirror = forge.repository("user/x").unwrap();
        let mut changed = drivers.board().changed();
        for (names, reason) in [(["a", "a/1"].as_slice(), Some("cannot be fetched: `refs/heads/a/1`")), (&["a"], None)]
        {
            packed(names);
            mirror.fetch(Instant::now()).await.unwrap();
            let told = || drivers.board().warnings().into_iter().find(|(name, _)| name.ends_with("user/x"));
            let is_so = || match (told(), reason) {
                (Some((name, warning)), Some(reason)) => name.starts_with("git/") && warning.reason.starts_with(reason),
                (told, reason) => told.is_none() && reason.is_none(),
            };
            let waiting = async {
                while !is_so() {
                    changed.changed().await.unwrap();
                }
            };
            let in_time = tokio::time::timeout(Duration::from_secs(60), waiting).await;
            in_time.unwrap_or_else(|_| panic!("{names:?}: {:?}", drivers.board().warnings()));
        }
        drivers.stop().await;
        shown.await.unwrap();
    }
}
