//! The table of attacks, and the page that is made from it.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use serde::Deserialize;

/// One attack; `attacks.toml` says what each field is.
#[derive(Clone, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct Row {
    pub name: String,
    pub tries: String,
    pub verdict: String,
    pub says: Option<String>,
    #[serde(default)]
    pub by: By,
    pub attack: Option<String>,
    #[serde(default)]
    pub with: BTreeMap<String, String>,
    #[serde(default)]
    pub grants: BTreeMap<String, Vec<String>>,
    pub wall_ms: Option<u64>,
    pub core: Option<String>,
    pub world: Option<String>,
    /// Of the egress rows.
    #[serde(default, rename = "answers")]
    pub _answers: Vec<Vec<String>>,
    /// Of the egress rows.
    #[serde(default, rename = "dials")]
    pub _dials: Vec<String>,
}

/// Who carries an attack out.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub(super) enum By {
    #[default]
    Guest,
    Core,
    Bytes,
    Test,
    Story,
    Terraform,
    Egress,
    Leak,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    parts: BTreeMap<String, String>,
    attack: Vec<Row>,
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../plugins/hostile").join(name)
}

/// All attacks, each core module with the common parts put in.
pub(super) fn read() -> Vec<Row> {
    let text = std::fs::read_to_string(file("attacks.toml")).unwrap();
    let Table { parts, mut attack } = toml::from_str(&text).unwrap();
    for core in attack.iter_mut().filter_map(|row| row.core.as_mut()) {
        for (name, part) in &parts {
            *core = core.replace(&format!("{{{name}}}"), part.trim());
        }
    }
    attack
}

/// Compares the page with the table, or writes it where `UPDATE` is set.
///
/// # Errors
///
/// It is stale.
pub(super) fn is_written(rows: &[Row]) -> Result<(), String> {
    let mut page = format!(
        "# The hostile collection\n\n\
         {} plugins that each try one thing. The tests carry every one of them out and demand this very end; while\n\
         they run, honest steps beside them have to succeed. `engine/sandbox/tests/plugins/collection` runs most of\n\
         them, `engine/bespin/tests/hostile.rs` those that need the server's own connector, and\n\
         `tests/stories/plugin_is_caged.rs` those that need its logs, journal and files, with a sample of the rest, in\n\
         the server itself; `tests/stories/terraform_asks_first.rs` those that need a real Terraform.\n\
         What containers try stands in [CONTAINERS.md](CONTAINERS.md).\n\n\
         This page is made from [attacks.toml](attacks.toml) by\n\
         `UPDATE=1 cargo test -p sandbox --test plugins collection`.\n\n\
         | name | attack | verdict |\n|---|---|---|\n",
        rows.len()
    );
    for Row { name, tries, verdict, says, .. } in rows {
        let says = says.as_ref().map(|says| format!(" (“{says}”)")).unwrap_or_default();
        writeln!(page, "| {name} | {} | {verdict}{} |", cell(tries), cell(&says)).unwrap();
    }
    let path = file("README.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    match std::fs::read_to_string(&path) {
        Ok(written) if written == page => Ok(()),
        _ => Err(format!("{} is stale; UPDATE=1 writes it", path.display())),
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}
