//! Terraform on this server: the table `[terraform]`. Without it, no pipeline plans or applies anything.

use super::SecretSource;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// How Terraform is run.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Terraform {
    /// The program; without it, `terraform`, else `tofu`, as `PATH` has it at the start.
    pub binary: Option<PathBuf>,
    /// Its environment, such as AWS credentials. Everybody who may plan or apply anything acts with it.
    pub env: BTreeMap<String, Value>,
    /// A configuration of Terraform's command line, such as a mirror of providers.
    pub cli_config: Option<PathBuf>,
    /// How long one plan or apply may take, such as `30m`.
    pub timeout: String,
    /// How many run at the same time; further ones wait.
    pub at_once: u32,
    /// The first of `at-once` users (and groups) that it is, by number, where the server is root.
    pub user: u32,
    /// Where it works: a folder outside of `server.data`, which every user may pass. In /var/tmp when absent.
    pub work: Option<PathBuf>,
    /// What each of its processes may write to memory, in MiB.
    pub memory_mib: u64,
    /// Processes and threads; bounded where the server is root.
    pub processes: u64,
    /// What it may write, in MiB.
    pub disk_mib: u64,
}

/// The value of a variable: a text, `{ file = "..." }` or `{ env = "..." }`.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, expecting = "expected a text, { file = \"...\" } or { env = \"...\" }")]
pub enum Value {
    /// What anybody may read, such as a region.
    Plain(String),
    /// A secret, hidden in every log.
    Secret(SecretSource),
}

impl Default for Terraform {
    fn default() -> Terraform {
        Terraform {
            binary: None,
            env: BTreeMap::new(),
            cli_config: None,
            timeout: "1h".to_owned(),
            at_once: 2,
            user: 65_520,
            work: None,
            memory_mib: 4096,
            processes: 512,
            disk_mib: 4096,
        }
    }
}

impl Terraform {
    /// How long one plan or apply may take, in ms. The check at the start has read it before.
    pub fn timeout_ms(&self) -> u64 {
        decide::pipeline::duration::parse(&self.timeout).unwrap_or(3_600_000)
    }

    /// Finds what cannot be.
    pub(super) fn check(&self, data: &std::path::Path, found: &mut Vec<String>) {
        let rows = [
            ("at-once", u64::from(self.at_once), 1, 64),
            ("user", u64::from(self.user), 1, 4_000_000_000),
            ("memory-mib", self.memory_mib, 256, 1 << 24),
            ("processes", self.processes, 32, 1 << 20),
            ("disk-mib", self.disk_mib, 16, 1 << 24),
        ];
        for (name, value, least, most) in rows {
            if !(least..=most).contains(&value) {
                found.push(format!("terraform: `{name}` is {value}; write {least} to {most}"));
            }
        }
        if let Err((wrong, mend)) = decide::pipeline::duration::parse(&self.timeout) {
            found.push(format!("terraform: timeout: {wrong}; {mend}"));
        }
        if self.work.as_ref().is_some_and(|work| work.starts_with(data)) {
            found.push("terraform: `work` is within `server.data`, which Terraform must not reach; move it out".into());
        }
        for (name, value) in &self.env {
            let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
            if name.is_empty() || !name.chars().all(plain) {
                found.push(format!("terraform: env: `{name}` is no variable's name"));
            }
            if let Value::Secret(source) = value
                && let Err(because) = source.read()
            {
                found.push(format!("terraform: env: {name}: {because}"));
            }
        }
        if let Some(file) = &self.cli_config
            && let Err(error) = std::fs::metadata(file)
        {
            found.push(format!("terraform: cli-config: {}: {error}", file.display()));
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    fn parse(table: &str) -> Result<Config, String> {
        Config::parse("bespin.toml", &format!("[server]\ndata = \"/d\"\n{table}\n")).map_err(|all| all.to_string())
    }

    #[test]
    fn it_is_off_unless_the_table_is_there() {
        assert!(parse("").unwrap().terraform.is_none());
        let table = parse("[terraform]\nenv = { AWS_REGION = \"ap-northeast-2\", HOME_OF = { env = \"PATH\" } }");
        let table = table.unwrap().terraform.unwrap();
        assert_eq!((table.timeout_ms(), table.env.len()), (3_600_000, 2));
    }

    #[test]
    fn what_cannot_be_is_named() {
        let table = "[terraform]\nat-once = 0\nuser = 0\ntimeout = \"soon\"\nwork = \"/d/work\"\ncli-config = \"/none\"\n\
                     env = { \"a=b\" = \"x\", TOKEN = { env = \"BESPIN_TEST_NOT_SET\" } }";
        let mistakes = parse(table).unwrap_err();
        for part in ["`at-once` is 0", "`user` is 0", "`soon`", "`work` is within", "/none", "`a=b`", "NOT_SET"] {
            assert!(mistakes.contains(part), "{part} is not in:\n{mistakes}");
        }
    }
}
