//! The webhooks' deliveries: whose secret signs them, and how one is recorded.

use crate::config::KeptSecret;
use crate::drive::{Begun, Drivers};
use api::hooks::{Deliveries, Recorded};
use async_trait::async_trait;
use decide::by::By;
use decide::delivery::Received;
use forge::signature::{self, Verdict};
use std::collections::BTreeMap;
use std::sync::Arc;

/// A hook, with what its deliveries must bear.
#[derive(Debug)]
pub struct SignedHook {
    /// The last part of its address.
    pub name: String,
    /// The secrets that sign its deliveries: one, or two while they rotate, in files of their own or on two lines.
    pub secrets: Vec<KeptSecret>,
    /// The repositories whose deliveries it takes, as `owner/repo`.
    pub repositories: Vec<String>,
}

/// The hooks of the configuration, over the journal.
pub struct Hooks {
    hooks: BTreeMap<String, SignedHook>,
    drivers: Arc<Drivers>,
}

impl Hooks {
    /// Binds the hooks to the journal, and to the drivers that work deliveries off.
    pub fn new(hooks: Vec<SignedHook>, drivers: &Arc<Drivers>) -> Hooks {
        let hooks = hooks.into_iter().map(|hook| (hook.name.clone(), hook)).collect();
        Hooks { hooks, drivers: drivers.clone() }
    }
}

#[async_trait]
impl Deliveries for Hooks {
    fn repositories(&self, hook: &str) -> Option<&[String]> {
        self.hooks.get(hook).map(|hook| hook.repositories.as_slice())
    }

    fn is_signed(&self, hook: &str, signature: &[u8], body: &[u8]) -> bool {
        let Some(hook) = self.hooks.get(hook) else { return false };
        let secrets: Vec<_> = hook.secrets.iter().flat_map(KeptSecret::lines).collect();
        signature::verify(&secrets, signature, body) != Verdict::Wrong
    }

    async fn record(&self, received: Received) -> Result<Recorded, String> {
        let (stream, by) = (received.stream(), By::Delivery(received.delivery().to_owned()));
        match self.drivers.open(&stream, &by, &received.entry()).await {
            Ok(Begun::Now) => Ok(Recorded::Now),
            Ok(Begun::Before) => Ok(Recorded::Before),
            Err(error) => Err(error.to_string()),
        }
    }
}

#[cfg(test)]
mod tests;
