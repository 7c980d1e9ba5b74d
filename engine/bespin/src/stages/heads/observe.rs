//! Where the branches and tags of a repository stand, beside what the journal knows.

use super::HeadsStage;
use crate::drive::{Trouble, Turn};
use decide::delivery::NOTHING;
use decide::heads::{Observed, Way};
use std::collections::BTreeMap;
use std::time::Instant;

/// The longest time that is drawn by lot between two looks, in ms.
const JITTER_MS: u64 = 60 * 1_000;

impl HeadsStage {
    /// Looks at a repository's heads.
    ///
    /// # Errors
    /// The remote or the journal cannot be read, or the configuration does not name the repository any more.
    pub(super) async fn observe_heads(&self, turn: &Turn<'_>, repository: &str) -> Result<Observed, Trouble> {
        let reading = |error| Trouble::new("reading what is known of the heads", error);
        let unknown = || Trouble::passing(format!("no hook of the configuration names {repository}"));
        let hook = self.hooks.get(repository).ok_or_else(unknown)?;
        let mirror = self.forge.repository(repository)?;
        let place = self.places.acquire().await.map_err(|error| Trouble::new("waiting for other looks", error))?;
        let (before, look) = self.index.positions(repository).await.map_err(reading)?;
        let lost = self.lost(turn, repository, hook, look).await?;
        let mut formerly = self.index.formerly(repository).await.map_err(reading)?;
        mirror.fetch(Instant::now()).await?;
        let mut heads = mirror.references().await?;
        drop(place);
        let (mut known, look) = self.index.positions(repository).await.map_err(reading)?;
        formerly.retain(|name| !heads.contains_key(name) && !known.contains_key(name));
        // What was told during the look is left to the next one.
        heads.retain(|name, _| known.get(name) == before.get(name));
        known.retain(|name, at| before.get(name) == Some(at));
        // What cannot be taken from the remote is there, and says nothing of where it stands.
        heads.retain(|name, _| mirror.unfetched(name).is_none());
        known.retain(|name, _| mirror.unfetched(name).is_none());
        formerly.retain(|name| mirror.unfetched(name).is_none());
        let mut ways = BTreeMap::new();
        for (name, before) in known.iter().filter(|(_, known)| known.at != NOTHING) {
            let Some(after) = heads.get(name).filter(|after| **after != before.at) else { continue };
            let way = if mirror.contains(after, &before.at).await? { Way::Forward } else { Way::Elsewhere };
            ways.insert(name.clone(), way);
        }
        let jitter_ms = rand::random_range(0..JITTER_MS);
        Ok(Observed {
            repository: repository.to_owned(),
            hook: hook.clone(),
            heads,
            known,
            formerly,
            ways,
            lost,
            look,
            jitter_ms,
        })
    }
}
