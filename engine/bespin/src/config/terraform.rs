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
    /// Its environment, such as AWS credentials. Everybody who may apply anything acts with it, and without `plan-env`
    /// everybody who may plan.
    pub env: BTreeMap<String, Value>,
    /// The environment of plans in its place, such as credentials that only read.
    pub plan_env: Option<BTreeMap<String, Value>>,
    /// Who it is where the server is not root, and cannot make it somebody else.
    #[serde(rename = "as")]
    pub unprivileged: Option<As>,
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

/// Who Terraform is where the server is not root: `as = "the-server"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum As {
    /// The server's own user, so that what a repository runs can read and signal all that the server can.
    TheServer,
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
            plan_env: None,
            unprivileged: None,
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
        pipeline::duration::parse(&self.timeout).unwrap_or(3_600_000)
    }

    /// The environment of plans.
    pub fn env_of_plans(&self) -> &BTreeMap<String, Value> {
        self.plan_env.as_ref().unwrap_or(&self.env)
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
        if let Err((wrong, help)) = pipeline::duration::parse(&self.timeout) {
            found.push(format!("terraform: timeout: {wrong}; {help}"));
        }
        if self.work.as_ref().is_some_and(|work| work.starts_with(data)) {
            found.push("terraform: `work` is within `server.data`, which Terraform must not reach; move it out".into());
        }
        let last = u64::from(self.user) + u64::from(self.at_once).saturating_sub(1);
        for (taken, whose) in TAKEN {
            if (u64::from(self.user)..=last).contains(&taken) {
                found.push(format!(
                    "terraform: `user` is {} and `at-once` {}, so that {taken} is among its users, which is {whose}; \
                     write another `user`",
                    self.user, self.at_once
                ));
            }
        }
        variables("env", &self.env, found);
        self.plan_env.iter().for_each(|env| variables("plan-env", env, found));
        if let Some(file) = &self.cli_config
            && let Err(error) = std::fs::metadata(file)
        {
            found.push(format!("terraform: cli-config: {}: {error}", file.display()));
        }
    }
}

/// Users that are somebody already: what is killed with one call of Terraform is all that its user runs.
const TAKEN: [(u64, &str); 3] =
    [(65_532, "the user of containers"), (65_534, "nobody's on every machine"), (65_535, "no user")];

fn variables(key: &str, env: &BTreeMap<String, Value>, found: &mut Vec<String>) {
    for (name, value) in env {
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
        if name.is_empty() || !name.chars().all(plain) {
            found.push(format!("terraform: {key}: `{name}` is no variable's name"));
        }
        if let Value::Secret(source) = value
            && let Err(because) = source.read()
        {
            found.push(format!("terraform: {key}: {name}: {because}"));
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
    fn plans_have_their_own_environment_where_it_is_given() {
        let names = |table: &str| {
            let table = parse(table).unwrap().terraform.unwrap();
            table.env_of_plans().keys().cloned().collect::<Vec<_>>()
        };
        let env = "[terraform]\nenv = { KEY = \"x\" }\n";
        assert_eq!(names(env), ["KEY"]);
        assert_eq!(names(&format!("{env}plan-env = {{ READ_KEY = \"y\" }}")), ["READ_KEY"]);
        assert!(names(&format!("{env}plan-env = {{}}")).is_empty());
        let mistakes =
            parse(&format!("{env}plan-env = {{ TOKEN = {{ env = \"BESPIN_TEST_NOT_SET\" }} }}")).unwrap_err();
        assert!(mistakes.contains("plan-env: TOKEN") && mistakes.contains("NOT_SET"), "{mistakes}");
    }

    #[test]
    fn its_users_are_nobody_else() {
        for (user, at_once, taken) in
            [(65_532, 1, 65_532), (65_520, 13, 65_532), (65_533, 2, 65_534), (65_535, 1, 65_535)]
        {
            let mistakes = parse(&format!("[terraform]\nuser = {user}\nat-once = {at_once}")).unwrap_err();
            assert!(mistakes.contains(&format!("{taken} is among its users")), "{mistakes}");
        }
        parse("[terraform]\nuser = 65520\nat-once = 12").unwrap();
        parse("[terraform]\nuser = 65533\nat-once = 1").unwrap();
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
