//! A compiled plugin, and what keeps a file from being one.

use std::sync::Arc;

use thiserror::Error;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, Linker};

use crate::host::bindings::StepPre;
use crate::host::worlds::{generate::GeneratePre, health::HealthPre, measure::MeasurePre, route::RoutePre};
use crate::meter::FirstSlice;
use crate::state::State;
use crate::verdict::Verdict;
use crate::worlds::World;
use pipeline::permission::Ability;

/// The package that the contract is, without its version.
pub(crate) const PACKAGE: &str = "bespin:plugin/";

/// The version of the contract that this server offers.
pub(crate) const OFFERED: &str = "1.1.0";

/// A compiled plugin, ready to run. Cheap to clone.
#[derive(Clone)]
pub struct Plugin {
    name: Arc<str>,
    pub(crate) compiled: Arc<Compiled>,
}

/// What plugins of the same bytes share.
pub(crate) struct Compiled {
    pub(crate) pre: Pre,
    pub(crate) first: Arc<FirstSlice>,
    digest: String,
    imports: Vec<Ability>,
}

/// A linked component, by its world.
pub(crate) enum Pre {
    Step(StepPre<State>),
    Health(HealthPre<State>),
    Generate(GeneratePre<State>),
    Measure(MeasurePre<State>),
    Route(RoutePre<State>),
}

/// Why a file cannot be loaded as a plugin.
#[derive(Debug, Error)]
#[error("cannot load the plugin `{plugin}`: {because}")]
pub struct LoadError {
    /// The plugin's name, as it was given to the load.
    pub plugin: String,
    /// What is wrong with it, and how to fix it.
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

    /// What it is for.
    pub fn world(&self) -> World {
        match self.compiled.pre {
            Pre::Step(_) => World::Step,
            Pre::Health(_) => World::Health,
            Pre::Generate(_) => World::Generate,
            Pre::Measure(_) => World::Measure,
            Pre::Route(_) => World::Route,
        }
    }

    /// What is said when it is asked what only a plugin of the world `wanted` can do.
    pub(crate) fn is_no<T>(&self, wanted: World) -> Verdict<T> {
        let because = format!("the plugin `{}` is of the world `{}`, and not of `{wanted}`", self.name, self.world());
        Verdict::Rejected { because }
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
        let world = world(component)?;
        let imports = imports(component, world)?;
        let pre = linker.instantiate_pre(component).and_then(|pre| {
            Ok(match world {
                World::Step => Pre::Step(StepPre::new(pre)?),
                World::Health => Pre::Health(HealthPre::new(pre)?),
                World::Generate => Pre::Generate(GeneratePre::new(pre)?),
                World::Measure => Pre::Measure(MeasurePre::new(pre)?),
                World::Route => Pre::Route(RoutePre::new(pre)?),
            })
        });
        let pre = pre.map_err(|error| {
            format!("it does not fit the contract that this server offers ({PACKAGE}{OFFERED}): {error:#}")
        })?;
        Ok(Compiled { pre, first: Arc::default(), digest, imports })
    }
}

/// Which world a component is of.
fn world(component: &Component) -> Result<World, String> {
    let exports = component.component_type();
    let exports: Vec<_> = exports.exports(component.engine()).map(|(name, _)| name.to_owned()).collect();
    let of = |world: &World| exports.iter().any(|name| name.starts_with(&format!("{PACKAGE}{}@", world.guest())));
    let versions = exports.iter().filter_map(|name| name.strip_prefix(PACKAGE)?.split_once('@'));
    if let Some((_, version)) = versions.clone().find(|(_, version)| !version.starts_with("1.")) {
        return Err(format!("it was built against version {version} of the contract; this server offers {OFFERED}"));
    }
    match World::ALL.into_iter().filter(of).collect::<Vec<_>>()[..] {
        [only] => Ok(only),
        [] => Err(format!(
            "it does not export {PACKAGE}guest, as the world `step` of {PACKAGE}{OFFERED} does, nor the guest of another world: {}",
            World::ALL[1..].iter().map(|world| world.guest()).collect::<Vec<_>>().join(", ")
        )),
        [first, second, ..] => Err(format!("it is of the worlds `{first}` and `{second}`; a plugin is of one")),
    }
}

/// Which abilities a component asks for.
fn imports(component: &Component, world: World) -> Result<Vec<Ability>, String> {
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
            Some(ability) if world.may_ask().contains(&ability) => abilities.push(ability),
            Some(ability) => {
                let may = world.may_ask().iter().map(|ability| ability.name()).collect::<Vec<_>>().join(", ");
                return Err(format!(
                    "it asks for {ability}, which a plugin of the world `{world}` cannot have: it may have {may}"
                ));
            }
            // `failures` has types and no functions: nothing is asked for.
            None if !has_functions(&import.ty, component) => {}
            None => {
                let known = Ability::ALL.map(Ability::name).join(", ");
                return Err(format!("it asks for `{name}`; this server offers {OFFERED} with {known}"));
            }
        }
    }
    abilities.sort();
    // The same interface can be imported in two versions of it.
    abilities.dedup();
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
