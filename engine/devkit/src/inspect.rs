//! `bespin plugin inspect`: a component's request for permissions, in plain words.

use crate::Configured;
use crate::artifact::Where;
use crate::component::{read, unchecked};
use crate::reach::{RegistryOptions, told};
use clap::Args;
use pipeline::ImageRef;
use pipeline::declaration::{Declaration, OutputRow, SettingRow};
use pipeline::permission::Ability;
use sandbox::World;
use sandbox::inspect::{self, Inspected};
use serde_json::{Value, json};
use std::fmt::Write as _;

/// What `bespin plugin inspect` is asked.
#[derive(Args)]
pub struct Options {
    /// A component's file, or a reference: `host/name:tag` or `host/name@sha256:...`.
    plugin: String,
    /// Print JSON, for programs.
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    reach: RegistryOptions,
}

/// Prints what the plugin asks for.
///
/// # Errors
/// It is no plugin, with place and help.
pub(crate) async fn run(options: &Options, configured: Configured) -> Result<(), String> {
    let (name, wasm) = match Where::of(&options.plugin)? {
        Where::File(file) => (options.plugin.clone(), read(&file)?.into()),
        Where::Registry(reference) => {
            let registry = options.reach.registry(&reference.host, configured)?;
            let pulled = registry.pull_plugin(&reference, inspect::LONGEST).await;
            let pulled = pulled.map_err(told)?;
            (ImageRef { digest: Some(pulled.manifest), ..reference }.to_string(), pulled.wasm)
        }
    };
    let inspected = inspect::inspect(&wasm).map_err(|refused| format!("{name}: {refused}"))?;
    if options.json {
        println!("{:#}", as_json(&name, &inspected));
    } else {
        print!("{}", in_words(&name, &inspected));
    }
    Ok(())
}

fn as_json(name: &str, plugin: &Inspected) -> Value {
    let asks = plugin.asks.iter().map(|ability| {
        json!({
            "ability": ability.name(),
            "means": means(*ability, plugin.world),
            "free": ability.is_free(),
            "grant": ability.example(),
        })
    });
    json!({
        "plugin": name,
        "world": plugin.world.name(),
        "contract": format!("bespin:plugin@{}", plugin.contract),
        "digest": plugin.digest,
        "size": plugin.size,
        "exports": plugin.exports,
        "asks": asks.collect::<Vec<_>>(),
        "wasi": plugin.wasi,
        "settings": plugin.declared.known().map(settings_as_json),
        "outputs": plugin.declared.known().map(outputs_as_json),
        "outputs-named-by": plugin.declared.known().and_then(Declaration::outputs_named_by),
    })
}

fn settings_as_json(declaration: &Declaration) -> Value {
    let row = |row: SettingRow| {
        json!({
            "name": row.name,
            "takes": row.takes,
            "required": row.required,
            "default": row.default,
            "description": row.description,
            "when": row.when,
        })
    };
    declaration.setting_rows().into_iter().map(row).collect()
}

fn outputs_as_json(declaration: &Declaration) -> Value {
    let rows = declaration.output_rows().into_iter();
    rows.map(|row| json!({ "name": row.name, "description": row.description, "when": row.when })).collect()
}

/// What it declares: each row with what it is about in its first line.
fn declared(plugin: &Inspected) -> Vec<(&'static str, String)> {
    if plugin.world != World::Step {
        return Vec::new();
    }
    let Some(declaration) = plugin.declared.known() else {
        return unchecked(&plugin.declared).map(|why| ("settings", why)).into_iter().collect();
    };
    let settings = declaration.setting_rows().into_iter().map(setting).collect();
    let output = |row: OutputRow| {
        let when = row.when.map(|when| format!("; with `{when}`")).unwrap_or_default();
        format!("{:<13} {}{when}", row.name, row.description)
    };
    let mut outputs: Vec<String> = declaration.output_rows().into_iter().map(output).collect();
    outputs.extend(declaration.outputs_named_by().map(|by| format!("and what the setting `{by}` names")));
    [("settings", settings), ("outputs", outputs)].into_iter().flat_map(|(what, rows)| titled(what, rows)).collect()
}

fn titled(what: &'static str, mut rows: Vec<String>) -> Vec<(&'static str, String)> {
    if rows.is_empty() {
        rows.push("none".to_owned());
    }
    rows.into_iter().enumerate().map(|(at, row)| (if at == 0 { what } else { "" }, row)).collect()
}

fn setting(row: SettingRow) -> String {
    let need = match (row.required, &row.default) {
        (true, _) => "; required".to_owned(),
        (false, Some(default)) => format!("; `{default}` when absent"),
        (false, None) => String::new(),
    };
    let when = row.when.map(|when| format!("; with `{when}`")).unwrap_or_default();
    let description = if row.description.is_empty() { String::new() } else { format!(": {}", row.description) };
    format!("{:<13} {}{need}{when}{description}", row.name, row.takes)
}

fn in_words(name: &str, plugin: &Inspected) -> String {
    let mut text = format!("{name}\n");
    let mut row = |what: &str, value: &str| {
        writeln!(text, "{}", format!("  {what:<9} {value}").trim_end()).expect("a text takes more text")
    };
    row("world", &format!("{} of bespin:plugin@{}", plugin.world, plugin.contract));
    row("for", purpose(plugin.world));
    row("digest", &plugin.digest);
    row("size", &format!("{} bytes", plugin.size));
    row("exports", &plugin.exports.join(", "));
    let (free, asked): (Vec<Ability>, Vec<Ability>) = plugin.asks.iter().partition(|ability| ability.is_free());
    if asked.is_empty() {
        row("asks for", "nothing that needs permission");
    } else {
        row("asks for", "");
    }
    for ability in &asked {
        row("", &format!("{:<11} it {}", ability.name(), means(*ability, plugin.world)));
        row("", &format!("{:<11} grants: {{ {} }}", "", ability.example()));
    }
    for (at, ability) in free.iter().enumerate() {
        let what = if at == 0 { "free" } else { "" };
        row(what, &format!("{:<11} it {}", ability.name(), means(*ability, plugin.world)));
    }
    for (what, text) in declared(plugin) {
        row(what, &text);
    }
    row("never", "files of the server, its environment, its network, other plugins: nothing outside the list above");
    if !plugin.wasi.is_empty() {
        row(
            "WASI",
            &format!(
                "{} interfaces of its language's runtime; behind them are a clock, random numbers and its log, and nothing else",
                plugin.wasi.len()
            ),
        );
    }
    text
}

/// What a plugin of a world is for, and who says that it is used.
fn purpose(world: World) -> &'static str {
    match world {
        World::Step => "a step of a pipeline, by its `uses:`",
        World::Health => "how the objects of a kind are, by [[health]] of the server's configuration",
        World::Generate => "the manifests of Applications, by [[generate]] of the server's configuration",
        World::Measure => "a metric of an analysis; no stage of this server asks it yet",
        World::Route => "the traffic of a Rollout",
    }
}

/// What an ability is to a plugin of a world: only a step has a log of its own and a pushed commit.
fn means(ability: Ability, world: World) -> &'static str {
    match (world, ability) {
        (World::Step, _) => ability.means(),
        (_, Ability::Log) => "writes lines to the server's log",
        (_, Ability::Workspace) => "reads the files of an Application's source folder, at the commit that is synced",
        _ => ability.means(),
    }
}
