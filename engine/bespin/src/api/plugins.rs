//! Plugins: what is ready, what it asks for, and where runs used it with which permissions.

use super::ApiState;
use super::guard::Viewer;
use super::problem::Problem;
use super::runs::read;
use crate::config::RoutePlugin;
use crate::extensions::Extensions;
use crate::plugins::{Identity, Known, Plugins};
use crate::views::{AskView, PluginOrigin, PluginView, PluginsView, RowView, ServeView, UseView};
use axum::Json;
use axum::extract::State;
use decide::run::State as RunState;
use pipeline::Step;
use pipeline::lock::plugin_reference;
use pipeline::permission::{Ability, Policy};
use sandbox::World;
use std::collections::BTreeMap;
use std::sync::Arc;

/// How many of the newest runs are looked at.
const RUNS: usize = 50;

/// The plugins of the server, and the policy that gives them permissions.
pub struct Installed {
    /// The plugins.
    pub plugins: Arc<Plugins>,
    /// The policy's rows.
    pub policy: Vec<Policy>,
    /// The plugins of the stages.
    pub extensions: Arc<Extensions>,
    /// What routers may reach.
    pub route: Vec<RoutePlugin>,
}

pub(super) async fn plugins(State(state): State<ApiState>, _: Viewer) -> Result<Json<PluginsView>, Problem> {
    let known = state.index.known(state.drivers.journal(), state.drivers.board()).await;
    let known = known.map_err(|error| Problem::journal("listing the plugins", error))?;
    let mut newest: Vec<_> = known.open.into_iter().chain(known.ended).map(|corridor| corridor.run).collect();
    newest.sort_by_key(|run| std::cmp::Reverse(run.opened_ms));
    newest.truncate(RUNS);
    let ready = state.installed.as_ref().map(|installed| installed.plugins.ready()).unwrap_or_default();
    let mut all: BTreeMap<String, PluginView> = ready.iter().map(|known| (uses(known), loaded(known))).collect();
    if let Some(installed) = &state.installed {
        serving(installed, &mut all);
    }
    for run in &newest {
        // Retention may have taken it since it was listed.
        let Ok((fold, _)) = read(&state, &run.id).await else { continue };
        let Some(opened) = fold.opened() else { continue };
        for step in opened.pipeline.steps.iter().chain(&opened.pipeline.finally) {
            let plugin = all.entry(step.uses.clone()).or_insert_with(|| unloaded(&step.uses));
            let same = |used: &UseView| used.repository == opened.repository && used.file == opened.pipeline_file;
            if plugin.used.iter().any(|used| same(used) && used.step == step.id) {
                continue;
            }
            let identity = ready.iter().find(|known| known.identity.uses == step.uses).map(|known| &*known.identity);
            plugin.used.push(UseView {
                run: opened.id.clone(),
                opened_ms: run.opened_ms,
                repository: opened.repository.clone(),
                pipeline: opened.pipeline.name.clone(),
                file: opened.pipeline_file.clone(),
                step: step.id.clone(),
                grants: step.grants.0.clone(),
                rows: state
                    .installed
                    .as_ref()
                    .map(|all| rows(&all.policy, &fold.run, step, identity))
                    .unwrap_or_default(),
            });
        }
    }
    let mut plugins: Vec<_> = all.into_values().collect();
    plugins.sort_by(|a, b| (a.origin, &a.uses).cmp(&(b.origin, &b.uses)));
    Ok(Json(PluginsView { plugins, runs: newest.len() }))
}

/// Adds what stages use, and for what.
fn serving(installed: &Installed, all: &mut BTreeMap<String, PluginView>) {
    for extension in installed.extensions.all() {
        let ready = extension.ready();
        let shown = all.entry(extension.uses.clone()).or_insert_with(|| unloaded(&extension.uses));
        if let (Ok(known), None) = (&ready, &shown.digest) {
            *shown = PluginView { serves: std::mem::take(&mut shown.serves), ..loaded(known) };
        }
        let (table, name) = (extension.table.to_owned(), extension.name.clone());
        // Of the stages, only a router's plugin may reach anything.
        let row = installed.route.iter().find(|row| extension.world == World::Route && row.name == name);
        let grants = row.map(RoutePlugin::written).unwrap_or_default();
        shown.serves.push(ServeView { table, name, grants, trouble: ready.err() });
    }
}

/// The rows of the policy that give a plugin something of what its step grants, some once the step is approved; none for
/// a plugin that is not known.
fn rows(policy: &[Policy], run: &RunState, step: &Step, identity: Option<&Identity>) -> Vec<RowView> {
    let (Some(identity), Some(opened)) = (identity, run.opened()) else { return Vec::new() };
    let approved_by = run.approved_by(&step.id);
    let gives = |row: &Policy| step.grants.0.keys().any(|ability| row.grants.contains_key(ability));
    let is_for = |row: &Policy| gives(row) && identity.is_named(row) && row.matches(&opened.subject());
    let shown = |(at, row): (usize, &Policy)| RowView {
        number: at + 1,
        approved_by: row.approved_by.clone().unwrap_or_default(),
        approved: approved_by.filter(|_| row.approved_by.is_some() && row.counts(approved_by)).map(str::to_owned),
    };
    policy.iter().enumerate().filter(|(_, row)| is_for(row)).map(shown).collect()
}

fn uses(known: &Known) -> String {
    known.identity.uses.clone()
}

fn loaded(known: &Known) -> PluginView {
    let Known { plugin, identity } = known;
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
        ..unloaded(&identity.uses)
    }
}

/// What is known of a plugin that is named and not loaded.
fn unloaded(uses: &str) -> PluginView {
    let reference = plugin_reference(uses).ok();
    PluginView {
        uses: uses.into(),
        origin: if reference.is_some() { PluginOrigin::Registry } else { PluginOrigin::BuiltIn },
        digest: None,
        manifest: reference.and_then(|reference| reference.digest).map(|digest| digest.to_string()),
        signer: None,
        world: None,
        asks: Vec::new(),
        serves: Vec::new(),
        used: Vec::new(),
    }
}
