//! What the dashboard shows of the server's plugins: what is ready, what it asks for, and which rows of the policy
//! give it something.

use crate::config::RoutePlugin;
use crate::extensions::Extensions;
use crate::plugins::{Known, Plugins};
use api::reading::PluginReader;
use api::views::{AskView, DeclaredView, PluginOrigin, PluginView, RowView, ServeView};
use decide::run::State as RunState;
use pipeline::Step;
use pipeline::permission::{Ability, Policy};
use sandbox::World;
use std::collections::BTreeMap;
use std::sync::Arc;

/// The plugins of the server, and the policy that gives them permissions.
pub struct Installed {
    /// The plugins that this server has, by name.
    pub plugins: Arc<Plugins>,
    /// The policy's rows, in the configuration's order.
    pub policy: Vec<Policy>,
    /// The plugins of the stages.
    pub extensions: Arc<Extensions>,
    /// What routers may reach.
    pub route: Vec<RoutePlugin>,
}

impl PluginReader for Installed {
    fn plugins(&self) -> Vec<PluginView> {
        let ready = self.plugins.ready();
        let mut all = ready.iter().map(|known| (known.identity.uses.clone(), loaded(known))).collect();
        self.add_serving(&mut all);
        all.into_values().collect()
    }

    fn rows(&self, run: &RunState, step: &Step) -> Vec<RowView> {
        let ready = self.plugins.ready();
        let known = ready.iter().find(|known| known.identity.uses == step.uses);
        let (Some(known), Some(opened)) = (known, run.opened()) else { return Vec::new() };
        let approved_by = run.approved_by(&step.id);
        let gives = |row: &Policy| step.grants.0.keys().any(|ability| row.grants.contains_key(ability));
        let is_for = |row: &Policy| gives(row) && known.identity.is_named(row) && row.matches(&opened.subject());
        let shown = |(at, row): (usize, &Policy)| RowView {
            number: at + 1,
            approved_by: row.approved_by.clone().unwrap_or_default(),
            approved: approved_by.filter(|_| row.approved_by.is_some() && row.counts(approved_by)).map(str::to_owned),
        };
        self.policy.iter().enumerate().filter(|(_, row)| is_for(row)).map(shown).collect()
    }
}

impl Installed {
    /// Adds what stages use, and for what.
    fn add_serving(&self, all: &mut BTreeMap<String, PluginView>) {
        for extension in self.extensions.all() {
            let ready = extension.ready();
            let shown = all.entry(extension.uses.clone()).or_insert_with(|| PluginView::unloaded(&extension.uses));
            if let (Ok(known), None) = (&ready, &shown.digest) {
                *shown = PluginView { serves: std::mem::take(&mut shown.serves), ..loaded(known) };
            }
            let (table, name) = (extension.table.to_owned(), extension.name.clone());
            // Of the stages, only a router's plugin may reach anything.
            let row = self.route.iter().find(|row| extension.world == World::Route && row.name == name);
            let grants = row.map(RoutePlugin::written).unwrap_or_default();
            shown.serves.push(ServeView { table, name, grants, trouble: ready.err() });
        }
    }
}

fn loaded(known: &Known) -> PluginView {
    let Known { plugin, identity, declared } = known;
    let ask = |ability: &Ability| AskView {
        ability: ability.name().into(),
        means: ability.means().into(),
        free: ability.is_free(),
    };
    let (manifest, signer) = identity.pulled.clone().unzip();
    PluginView {
        origin: if manifest.is_some() { PluginOrigin::Registry } else { PluginOrigin::BuiltIn },
        digest: Some(identity.component.to_string()),
        manifest: manifest.map(|manifest| manifest.to_string()),
        signer,
        world: Some(plugin.world().name().into()),
        asks: plugin.imports().iter().map(ask).collect(),
        declared: (plugin.world() == World::Step).then(|| DeclaredView::new(declared)),
        ..PluginView::unloaded(&identity.uses)
    }
}
