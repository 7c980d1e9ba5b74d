//! Secrets, and texts with secrets in them.

use secrecy::{ExposeSecret, SecretString};
use wasmtime::component::Resource;

use super::bindings::bespin::plugin::secrets::{Host, HostSecret, Part};
use super::{Answer, value};
use crate::abilities::Failure;
use crate::ability::Ability;
use crate::limits::Limit;
use crate::state::State;

/// What a guest's handle stands for.
pub struct Secret {
    name: String,
    value: SecretString,
}

/// A text that was put together.
pub(super) struct Assembled {
    pub(super) text: SecretString,
    /// The secrets in it, by name.
    pub(super) secrets: Vec<String>,
    /// Whether one secret is all of it.
    pub(super) whole: Whole,
}

/// What a text consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whole {
    /// Of one secret and nothing else.
    Secret,
    /// Of anything else.
    Mixed,
}

impl State {
    /// Puts a text together. It goes to the host, never back to the guest.
    pub(super) fn assemble(&self, parts: &[Part]) -> wasmtime::Result<Assembled> {
        let mut text = String::new();
        let mut secrets = Vec::new();
        for part in parts {
            match part {
                Part::Text(plain) => text.push_str(plain),
                Part::Secret(handle) => {
                    let secret = self.table.get(handle)?;
                    text.push_str(secret.value.expose_secret());
                    secrets.push(secret.name.clone());
                }
            }
        }
        let whole = if matches!(parts, [Part::Secret(_)]) { Whole::Secret } else { Whole::Mixed };
        Ok(Assembled { text: text.into(), secrets, whole })
    }

    async fn find(&mut self, name: String) -> Result<Secret, Failure> {
        value::word("secret", &name)?;
        self.covers(Ability::Secrets, &name)?;
        let asked = name.clone();
        let found = self.ask(|abilities| async move { abilities.secret(asked).await }).await?;
        // The line break at the end of a file is no part of the secret in it.
        let value = found.expose_secret().trim_end_matches(['\r', '\n']).to_owned().into();
        Ok(Secret { name, value })
    }
}

impl Host for State {
    async fn get(&mut self, name: String) -> Answer<Resource<Secret>> {
        self.count()?;
        match self.find(name).await {
            Ok(secret) => match self.table.push(secret) {
                Ok(handle) => Ok(Ok(handle)),
                Err(_) => Err(self.exceed(Limit::Handles, format!("more than {} open handles", self.limits.handles))),
            },
            Err(failure) => self.answer(Err(failure)),
        }
    }
}

impl HostSecret for State {
    async fn reveal(&mut self, handle: Resource<Secret>) -> Answer<String> {
        self.count()?;
        let secret = self.table.get(&handle)?;
        let leave = self.covers(Ability::Secrets, &format!("read:{}", secret.name));
        let revealed = leave.map(|()| secret.value.expose_secret().to_owned());
        self.answer(revealed)
    }

    async fn drop(&mut self, handle: Resource<Secret>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}
