//! Deliveries that the forge says nobody took.

use super::HeadsStage;
use crate::drive::{Trouble, Turn};
use decide::heads::{Look, Lost, lost};
use decide::stream::Stream;
use forge::Address;
use forge::redelivery::RepositoryWebhooks;
use std::collections::BTreeSet;

impl HeadsStage {
    /// Asks once after a start. Where the forge has no such API, or the token may not, heads are all there is.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub(super) async fn lost(
        &self,
        turn: &Turn<'_>,
        repository: &str,
        hook: &str,
        look: Look,
    ) -> Result<Vec<Lost>, Trouble> {
        let first = |asked: &mut BTreeSet<String>| asked.insert(repository.to_owned());
        let is_first = first(&mut self.asked.lock().expect("nobody panics while holding what was asked"));
        if !is_first || look == Look::First {
            return Ok(Vec::new());
        }
        let address = Address::parse(&self.forge.address(repository)?)?;
        let Some(webhooks) = self.webhooks.of(&address) else { return Ok(Vec::new()) };
        let mut all = Vec::new();
        for (id, attempts) in attempts(&webhooks, hook).await {
            let mut known = BTreeSet::new();
            for attempt in &attempts {
                if !turn.journal().read(Stream::delivery(hook, &attempt.delivery).as_str()).await?.is_empty() {
                    known.insert(attempt.delivery.clone());
                }
            }
            all.extend(lost(id, &attempts, |delivery| known.contains(delivery)));
        }
        Ok(all)
    }

    /// Asks for one delivery again. What the forge refuses is left to the heads.
    pub(super) async fn ask_again(&self, repository: &str, lost: &Lost) {
        let address = self.forge.address(repository).and_then(|address| Address::parse(&address));
        let Some(webhooks) = address.ok().and_then(|address| self.webhooks.of(&address)) else { return };
        match webhooks.redeliver(lost.hook, lost.attempt).await {
            Ok(()) => tracing::info!(repository, lost.delivery, "nobody took it; the forge delivers it again"),
            Err(error) => {
                tracing::warn!(%error, lost.delivery, "it is not delivered again; heads are looked at instead")
            }
        }
    }
}

/// What was tried by each webhook that leads to the hook, as far as the forge says.
async fn attempts(webhooks: &RepositoryWebhooks<'_>, hook: &str) -> Vec<(u64, Vec<decide::heads::Attempt>)> {
    let told = async {
        let mut all = Vec::new();
        for id in webhooks.of_hook(hook).await? {
            all.push((id, webhooks.attempts(id).await?));
        }
        Ok::<_, forge::redelivery::WebhookError>(all)
    };
    told.await.unwrap_or_else(|error| {
        tracing::info!(%error, "failed deliveries are not known; heads are all there is, and pull requests may be missed");
        Vec::new()
    })
}
