//! A compiled plugin, and what keeps a file from being one.

use std::sync::Arc;

use thiserror::Error;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker};

use crate::ability::Ability;
use crate::host::bindings::StepPre;
use crate::state::State;

/// The package that the contract is, without its version.
const PACKAGE: &str = "bespin:plugin/";

/// The version of the contract that this server offers.
const OFFERED: &str = "1.0.0";

/// A compiled plugin, ready to run. Cheap to clone.
#[derive(Clone)]
pub struct Plugin {
    name: Arc<str>,
    pub(crate) compiled: Arc<Compiled>,
}

/// What plugins of the same bytes share.
pub(crate) struct Compiled {
    pub(crate) pre: StepPre<State>,
    digest: String,
    imports: Vec<Ability>,
}

/// Why a file cannot be loaded as a plugin.
#[derive(Debug, Error)]
#[error("cannot load the plugin `{plugin}`: {because}")]
pub struct LoadError {
    /// The plugin's name.
    pub plugin: String,
    /// What is wrong with it, and how to mend it.
    pub because: String,
}

impl Plugin {
    pub(crate) fn new(name: &str, compiled: Arc<Compiled>) -> Self {
        Plugin { name: name.into(), compiled }
    }

    /// The name that it was loaded under.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The SHA-256 of the component, in hex.
    pub fn digest(&self) -> &str {
        self.compiled.digest()
    }

    /// Which abilities it asks for, in the order of [`Ability::ALL`].
    pub fn imports(&self) -> &[Ability] {
        &self.compiled.imports
    }
}

impl Compiled {
    /// The SHA-256 of the component, in hex.
    pub(crate) fn digest(&self) -> &str {
        &self.digest
    }

    /// Links a component with the host.
    ///
    /// # Errors
    ///
    /// It imports what is not offered, or is of another world: as a sentence.
    pub(crate) fn link(component: &Component, linker: &Linker<State>, digest: String) -> Result<Self, String> {
        let imports = imports(component)?;
        let guest = format!("{PACKAGE}guest@");
        let exports = component.component_type();
        if !exports.exports(component.engine()).any(|(name, _)| name.starts_with(&guest)) {
            return Err(format!("it does not export {PACKAGE}guest, as the world `step` of {PACKAGE}{OFFERED} does"));
        }
        let pre = linker.instantiate_pre(component).and_then(StepPre::new);
        let pre = pre.map_err(|error| {
            format!("it does not fit the contract that this server offers ({PACKAGE}{OFFERED}): {error:#}")
        })?;
        Ok(Compiled { pre, digest, imports })
    }
}

/// Which abilities a component asks for.
fn imports(component: &Component) -> Result<Vec<Ability>, String> {
    let mut abilities = Vec::new();
    for (name, import) in component.component_type().imports(component.engine()) {
        let Some(versioned) = name.strip_prefix(PACKAGE) else {
            if name.starts_with("wasi:") {
                continue;
            }
            return Err(format!("it imports `{name}`, which no plugin can have; the contract is {PACKAGE}{OFFERED}"));
        };
        let (interface, version) = versioned.split_once('@').unwrap_or((versioned, "none"));
        if !version.starts_with("1.") {
            return Err(format!(
                "it was built against version {version} of the contract; this server offers {OFFERED}"
            ));
        }
        match Ability::named(interface) {
            Some(ability) => abilities.push(ability),
            // `failures` has types and no functions: nothing is asked for.
            None if !has_functions(&import.ty, component) => {}
            None => {
                let known = Ability::ALL.map(Ability::name).join(", ");
                return Err(format!("it asks for `{name}`; this server offers {OFFERED} with {known}"));
            }
        }
    }
    abilities.sort();
    Ok(abilities)
}

fn has_functions(item: &ComponentItem, component: &Component) -> bool {
    match item {
        ComponentItem::ComponentInstance(instance) => {
            instance.exports(component.engine()).any(|(_, export)| matches!(export.ty, ComponentItem::ComponentFunc(_)))
        }
        _ => true,
    }
}
