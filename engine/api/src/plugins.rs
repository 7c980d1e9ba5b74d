//! Plugins: what is ready, what it asks for, and where runs used it with which permissions.

use crate::guard::Viewer;
use crate::problem::Problem;
use crate::runs::read;
use crate::state::ApiState;
use crate::views::{PluginView, PluginsView, UseView};
use axum::Json;
use axum::extract::State;
use std::collections::BTreeMap;

/// How many of the newest runs are looked at.
const RUNS: usize = 50;

pub(crate) async fn plugins(State(state): State<ApiState>, _: Viewer) -> Result<Json<PluginsView>, Problem> {
    let known = state.index.known(&state.journal, &state.board).await;
    let known = known.map_err(|error| Problem::journal("listing the plugins", error))?;
    let mut newest: Vec<_> = known.open.into_iter().chain(known.ended).map(|row| row.run).collect();
    newest.sort_by_key(|run| std::cmp::Reverse(run.opened_ms));
    newest.truncate(RUNS);
    let shown = state.plugins.as_ref().map(|plugins| plugins.plugins()).unwrap_or_default();
    let mut all: BTreeMap<String, PluginView> = shown.into_iter().map(|plugin| (plugin.uses.clone(), plugin)).collect();
    for run in &newest {
        // Retention may have taken it since it was listed.
        let Ok((fold, _)) = read(&state, &run.id).await else { continue };
        let Some(opened) = fold.opened() else { continue };
        for step in opened.pipeline.steps.iter().chain(&opened.pipeline.finally) {
            let plugin = all.entry(step.uses.clone()).or_insert_with(|| PluginView::unloaded(&step.uses));
            let same = |used: &UseView| used.repository == opened.repository && used.file == opened.pipeline_file;
            if plugin.used.iter().any(|used| same(used) && used.step == step.id) {
                continue;
            }
            plugin.used.push(UseView {
                run: opened.id.clone(),
                opened_ms: run.opened_ms,
                repository: opened.repository.clone(),
                pipeline: opened.pipeline.name.clone(),
                file: opened.pipeline_file.clone(),
                step: step.id.clone(),
                grants: step.grants.0.clone(),
                rows: state.plugins.as_ref().map(|plugins| plugins.rows(&fold.run, step)).unwrap_or_default(),
            });
        }
    }
    let mut plugins: Vec<_> = all.into_values().collect();
    plugins.sort_by(|a, b| (a.origin, &a.uses).cmp(&(b.origin, &b.uses)));
    Ok(Json(PluginsView { plugins, runs: newest.len() }))
}
