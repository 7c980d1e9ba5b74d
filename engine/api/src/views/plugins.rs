//! Plugins: what runs where, and with which permissions.

use pipeline::declaration::{Declared, OutputRow, SettingRow};
use pipeline::lock::plugin_reference;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// Every plugin that is ready or was used lately.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PluginsView {
    /// The plugins, those of registries first, then by name.
    pub plugins: Vec<PluginView>,
    /// How many of the newest runs were looked at.
    pub runs: usize,
}

/// One plugin that this server knows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PluginView {
    /// The name or the reference that steps use.
    pub uses: String,
    /// Where it comes from.
    pub origin: PluginOrigin,
    /// The component's digest; absent where it was not loaded since the start, or was refused.
    pub digest: Option<String>,
    /// The digest of its manifest in the registry.
    pub manifest: Option<String>,
    /// The key that signed it: the algorithm, and the beginning of the key's SHA-256.
    pub signer: Option<String>,
    /// The world that it is of, such as `step`; absent where it is not loaded.
    pub world: Option<String>,
    /// What it asks for.
    pub asks: Vec<AskView>,
    /// What it declares of its settings and outputs; absent where it is not loaded, and for plugins that are no steps.
    pub declared: Option<DeclaredView>,
    /// What the server's own stages use it for, by the rows of the configuration.
    pub serves: Vec<ServeView>,
    /// Where runs used it lately, newest first.
    pub used: Vec<UseView>,
}

impl PluginView {
    /// What is known of a plugin that is named and not loaded: whether it is of a registry, and the digest that its
    /// reference has.
    pub fn unloaded(uses: &str) -> PluginView {
        let reference = plugin_reference(uses).ok();
        PluginView {
            uses: uses.into(),
            origin: if reference.is_some() { PluginOrigin::Registry } else { PluginOrigin::BuiltIn },
            digest: None,
            manifest: reference.and_then(|reference| reference.digest).map(|digest| digest.to_string()),
            signer: None,
            world: None,
            asks: Vec::new(),
            declared: None,
            serves: Vec::new(),
            used: Vec::new(),
        }
    }
}

/// Where a plugin comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum PluginOrigin {
    /// A registry, by the component's digest.
    Registry,
    /// The server's own folder.
    BuiltIn,
}

/// What a plugin declares of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DeclaredView {
    /// Why the settings of its steps are not checked, where they are not; there are no rows then.
    pub unchecked: Option<String>,
    /// The settings, those that a step must have first.
    pub settings: Vec<SettingView>,
    /// The outputs that are known by name.
    pub outputs: Vec<OutputView>,
    /// The setting whose keys are outputs as well.
    pub outputs_named_by: Option<String>,
}

/// A setting of a plugin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SettingView {
    /// The key in `with`.
    pub name: String,
    /// What is taken, in words, such as `a text`.
    pub takes: String,
    /// Whether a step must have it.
    pub required: bool,
    /// What it is when absent, where it is something.
    pub default: Option<String>,
    /// What it is for; may be empty.
    pub description: String,
    /// The setting and its value without which it is none, such as `action: plan`.
    pub when: Option<String>,
}

/// An output of a plugin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OutputView {
    /// Its name, as expressions read it.
    pub name: String,
    /// What it is; may be empty.
    pub description: String,
    /// The setting and its value without which there is none, such as `action: plan`.
    pub when: Option<String>,
}

impl DeclaredView {
    /// What is known of a plugin's declaration, for people.
    pub fn new(declared: &Declared) -> DeclaredView {
        let setting = |row: SettingRow| SettingView {
            name: row.name,
            takes: row.takes,
            required: row.required,
            default: row.default,
            description: row.description,
            when: row.when,
        };
        let output = |row: OutputRow| OutputView { name: row.name, description: row.description, when: row.when };
        match declared {
            Declared::Known(declaration) => DeclaredView {
                unchecked: None,
                settings: declaration.setting_rows().into_iter().map(setting).collect(),
                outputs: declaration.output_rows().into_iter().map(output).collect(),
                outputs_named_by: declaration.outputs_named_by().map(str::to_owned),
            },
            Declared::Unchecked { because } => DeclaredView {
                unchecked: Some(because.clone()),
                settings: Vec::new(),
                outputs: Vec::new(),
                outputs_named_by: None,
            },
        }
    }
}

/// What a stage uses a plugin for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ServeView {
    /// The table of the row, such as `health`.
    pub table: String,
    /// What the row is for, such as `cert-manager.io/Certificate`.
    pub name: String,
    /// What the row lets it reach, by ability, as written.
    pub grants: BTreeMap<String, Vec<String>>,
    /// Why it is not ready, where it is not.
    pub trouble: Option<String>,
}

/// An ability that a plugin asks for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AskView {
    /// The ability, as a grant names it.
    pub ability: String,
    /// What permission to use it means.
    pub means: String,
    /// Whether it needs no permission.
    pub free: bool,
}

/// A step that used a plugin.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct UseView {
    /// The newest run that has the step.
    pub run: String,
    /// When that run was opened, in ms since the epoch.
    pub opened_ms: u64,
    /// The repository, as `owner/name`.
    pub repository: String,
    /// The pipeline's name, as its file says it.
    pub pipeline: String,
    /// The pipeline's file, relative to the repository.
    pub file: String,
    /// The step's id in the pipeline file.
    pub step: String,
    /// What the step grants it, by ability, as written.
    pub grants: BTreeMap<String, Vec<String>>,
    /// The rows of the server's policy that are for this plugin in this run and have something of that: both keys are
    /// needed.
    pub rows: Vec<RowView>,
}

/// A row of the server's policy, as it is for one step of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct RowView {
    /// Which, counted from 1.
    pub number: usize,
    /// One of whom must approve the step before the row gives anything; empty where it asks for no approval.
    pub approved_by: Vec<String>,
    /// Who of them did so in this run.
    pub approved: Option<String>,
}
