//! Secrets, and texts with secrets in them.

use secrecy::{ExposeSecret, SecretString};
use wasmtime::component::Resource;

use super::bindings::bespin::plugin::secrets::{Host, HostSecret, Part};
use super::{Answer, value};
use crate::abilities::Failure;
use crate::state::State;
use pipeline::limits::Limit;
use pipeline::permission::Ability;

/// What a guest's handle stands for.
#[expect(unreachable_pub, reason = "the bindings that a macro makes re-export it")]
pub struct Secret {
    name: String,
    value: SecretString,
}

/// A text that was put together.
pub(super) struct Assembled {
    pub(super) text: SecretString,
    /// What stands before the first secret; all of it, if there is none.
    pub(super) before: String,
    /// The secrets in it.
    pub(super) secrets: Vec<SecretString>,
    /// Whether one secret is all of it.
    pub(super) whole: Whole,
}

/// What a text consists of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Whole {
    /// Of one secret and nothing else.
    Secret,
    /// Of several secrets, or of a secret and other text, or of no secret.
    Mixed,
}

/// A shorter secret would be found in what has nothing to do with it, in bytes.
const SHORTEST: usize = 6;

impl State {
    /// Keeps secrets out of what others may read: an artifact or an archive outlives the step.
    ///
    /// # Errors
    ///
    /// One that this plugin was given is in it, as it stands.
    pub(super) fn tells_no_secret(&self, what: &str, content: &[u8]) -> Result<(), Failure> {
        let is_in =
            |secret: &[u8]| secret.len() >= SHORTEST && content.windows(secret.len()).any(|part| part == secret);
        match self.known.iter().find(|(_, value)| is_in(value.expose_secret().as_bytes())) {
            Some((name, _)) => {
                Err(Failure::Rejected(format!("{what} has the secret `{name}` in it, so it is not kept")))
            }
            None => Ok(()),
        }
    }

    /// Puts a text of at most `most` bytes together. It goes to the host, never back to the guest.
    ///
    /// # Errors
    ///
    /// It is longer. A few bytes of the guest name a secret as often as it likes, so that the bound holds for what
    /// comes of them.
    pub(super) fn assemble(&self, what: &str, parts: &[Part], most: usize) -> Result<Assembled, Failure> {
        let mut text = String::new();
        let mut before = None;
        let mut secrets: Vec<SecretString> = Vec::new();
        for part in parts {
            let piece = match part {
                Part::Text(plain) => plain,
                Part::Secret(handle) => {
                    let gone = |_| Failure::Rejected(format!("{what} names a secret that is gone"));
                    let secret = self.table.get(handle).map_err(gone)?;
                    before.get_or_insert_with(|| text.clone());
                    if !secrets.iter().any(|known| known.expose_secret() == secret.value.expose_secret()) {
                        secrets.push(secret.value.clone());
                    }
                    secret.value.expose_secret()
                }
            };
            value::at_most(what, text.len() + piece.len(), most)?;
            text.push_str(piece);
        }
        let whole = if matches!(parts, [Part::Secret(_)]) { Whole::Secret } else { Whole::Mixed };
        Ok(Assembled { before: before.unwrap_or_else(|| text.clone()), text: text.into(), secrets, whole })
    }

    async fn find(&mut self, name: String) -> Result<Secret, Failure> {
        value::word("secret", &name)?;
        self.covers(Ability::Secrets, &name)?;
        let asked = name.clone();
        let found = self.ask(|abilities| async move { abilities.secret(asked).await }).await?;
        // The line break at the end of a file is no part of the secret in it.
        let value = found.expose_secret().trim_end_matches(['\r', '\n']).to_owned().into();
        let secret = Secret { name, value };
        if !self.known.iter().any(|(name, _)| *name == secret.name) {
            self.known.push((secret.name.clone(), secret.value.clone()));
        }
        Ok(secret)
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
        let permission = self.covers(Ability::Secrets, &format!("read:{}", secret.name));
        let revealed = permission.map(|()| secret.value.expose_secret().to_owned());
        self.answer(revealed)
    }

    async fn drop(&mut self, handle: Resource<Secret>) -> wasmtime::Result<()> {
        self.table.delete(handle)?;
        Ok(())
    }
}

/// Takes secrets out of what comes back to a guest that may only use them: a page that repeats what it was asked would
/// tell them otherwise. An answer that encodes them is the granted host's own doing.
pub(super) fn hide(bytes: Vec<u8>, secrets: &[SecretString]) -> Vec<u8> {
    secrets.iter().map(|secret| secret.expose_secret().as_bytes()).filter(|secret| !secret.is_empty()).fold(
        bytes,
        |bytes, secret| {
            let mut hidden = Vec::with_capacity(bytes.len());
            let mut rest = &bytes[..];
            while let Some(at) = rest.windows(secret.len()).position(|window| window == secret) {
                hidden.extend_from_slice(&rest[..at]);
                hidden.extend_from_slice(b"***");
                rest = &rest[at + secret.len()..];
            }
            hidden.extend_from_slice(rest);
            hidden
        },
    )
}

/// The same for a text.
pub(super) fn hide_in(text: String, secrets: &[SecretString]) -> String {
    String::from_utf8(hide(text.into_bytes(), secrets)).expect("whole characters were taken out of a text")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_back_has_no_secret_in_it() {
        let secrets = ["hunter2".into(), "".into(), "é".into()];
        assert_eq!(hide(b"a hunter2hunter2 hunter".to_vec(), &secrets), b"a ****** hunter");
        assert_eq!(hide_in("café".to_owned(), &secrets), "caf***");
    }
}
