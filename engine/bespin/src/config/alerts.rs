//! Alertmanager's webhooks: the tables `[[alerts]]` and `[[alerts.rule]]`.

use super::secret::lines;
use super::{SecretSource, default_hook};
use decide::rollout::AlertRule;
use serde::Deserialize;

/// One address for Alertmanager, `POST /hooks/alertmanager/{name}`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct AlertSettings {
    /// The last part of its path; `default` is also served without it.
    #[serde(default = "default_hook")]
    pub name: String,
    /// The tokens or passwords that it admits; two while they rotate: two entries, or two lines of one file.
    pub secrets: Vec<SecretSource>,
    /// What alerts do, by their labels; the first that fits counts.
    #[serde(default)]
    pub rule: Vec<AlertRule>,
}

impl AlertSettings {
    /// What is wrong with it; `clusters` are those that there are.
    pub(super) fn check(&self, clusters: &[&str], found: &mut Vec<String>) {
        let mut wrong = Vec::new();
        let read: Vec<_> = self.secrets.iter().map(SecretSource::read).collect();
        let many = read.iter().flatten().map(|secret| lines(secret).count()).sum::<usize>();
        if self.secrets.is_empty() || self.secrets.len() > 2 || many > 2 {
            wrong.push("`secrets` takes one, or two while they rotate, each on a line of its own".to_owned());
        }
        wrong.extend(read.into_iter().filter_map(Result::err));
        if self.rule.is_empty() {
            wrong.push("there is no rule, so no alert does anything; add an [[alerts.rule]]".to_owned());
        }
        for (index, rule) in self.rule.iter().enumerate() {
            let place = format!("rule {}", index + 1);
            rule_mistakes(rule, clusters, &place, &mut wrong);
            if let Some(before) = self.rule[..index].iter().position(|before| covers(before, rule)) {
                let help = "put the narrower one first, or take one out";
                wrong.push(format!("{place}: rule {} fits every alert that it fits, and counts; {help}", before + 1));
            }
        }
        found.extend(wrong.into_iter().map(|what| format!("alerts `{}`: {what}", self.name)));
    }
}

fn rule_mistakes(rule: &AlertRule, clusters: &[&str], place: &str, wrong: &mut Vec<String>) {
    for (label, value) in &rule.labels {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let begins = label.starts_with(|c: char| is_name(c) && !c.is_ascii_digit());
        if !begins || !label.chars().all(is_name) {
            wrong.push(format!("{place}: match: `{label}` is no name of a label; write it as Prometheus shows it"));
        }
        if ["=", "!=", "!~"].iter().any(|operator| value.starts_with(operator)) {
            let help = "write just the value, and a rule for each; a route of Alertmanager knows expressions";
            wrong.push(format!("{place}: match: `{label}` is compared with the text `{value}`; {help}"));
        }
    }
    for (key, part) in [("cluster", &rule.cluster), ("namespace", &rule.namespace), ("rollout", &rule.rollout)] {
        if part.as_ref().is_some_and(|part| part.is_empty() || part.contains('/')) {
            wrong.push(format!("{place}: {key}: this is no name; write the {key}'s own, or take the key out"));
        }
    }
    if let Some(cluster) = rule.cluster.as_deref().filter(|cluster| !clusters.contains(cluster)) {
        wrong.push(format!("{place}: cluster: there is no cluster `{cluster}`; add a [[cluster]], or fix the name"));
    }
}

/// Whether one fits every alert that the other fits.
fn covers(rule: &AlertRule, other: &AlertRule) -> bool {
    rule.labels.iter().all(|(label, value)| other.labels.get(label) == Some(value))
}

#[cfg(test)]
mod tests {
    use crate::config::Config;
    use decide::rollout::AlertAction;

    const SECRET: &str = "secrets = [{ file = \"Cargo.toml\" }]\n";

    fn parse(directory: &std::path::Path, rows: &str) -> Result<Config, String> {
        let token = directory.join("token");
        std::fs::write(&token, "hush\n").unwrap();
        let text = format!("[server]\ndata = \"d\"\n{rows}").replace("Cargo.toml", &token.display().to_string());
        Config::parse("bespin.toml", &text).map_err(|all| all.to_string())
    }

    #[test]
    fn a_hook_has_its_secret_and_its_rules() {
        let directory = tempfile::tempdir().unwrap();
        let rows = format!(
            "[[alerts]]\n{SECRET}[[alerts.rule]]\nmatch = {{ severity = \"critical\" }}\ndo = \"abort\"\n\
             [[alerts.rule]]\ndo = \"pause\"\nnamespace = \"petclinic\"\nrollout = \"was\"\n\
             [[alerts]]\nname = \"staging\"\n{SECRET}[[alerts.rule]]\ndo = \"pause\"\n"
        );
        let config = parse(directory.path(), &rows).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let names: Vec<_> = config.alerts.iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, ["default", "staging"]);
        let rules = &config.alerts[0].rule;
        assert_eq!((rules[0].action, rules[0].labels["severity"].as_str()), (AlertAction::Abort, "critical"));
        assert_eq!((rules[1].action, rules[1].rollout.as_deref()), (AlertAction::Pause, Some("was")));
    }

    #[test]
    fn every_mistake_has_its_place_and_its_help() {
        let directory = tempfile::tempdir().unwrap();
        let rows = format!(
            "[[alerts]]\nsecrets = []\n\
             [[alerts]]\nname = \"b\"\nsecrets = [{{ env = \"BESPIN_TEST_NOT_SET\" }}]\n[[alerts.rule]]\n\
             match = {{ severity = \"=~crit.*\", \"a-b\" = \"c\" }}\ndo = \"pause\"\ncluster = \"test\"\n\
             [[alerts]]\nname = \"c\"\n{SECRET}[[alerts.rule]]\ndo = \"pause\"\nrollout = \"a/b\"\n[[alerts.rule]]\n\
             match = {{ severity = \"critical\" }}\ndo = \"abort\"\n\
             [[alerts]]\nname = \"c\"\n{SECRET}[[alerts.rule]]\ndo = \"pause\"\n"
        );
        let mistakes = parse(directory.path(), &rows).expect_err("it is full of mistakes");
        for part in [
            "alerts `default`: `secrets` takes one, or two",
            "alerts `default`: there is no rule, so no alert does anything; add an [[alerts.rule]]",
            "alerts `b`: the environment variable BESPIN_TEST_NOT_SET is not set",
            "alerts `b`: rule 1: match: `severity` is compared with the text `=~crit.*`",
            "alerts `b`: rule 1: match: `a-b` is no name of a label",
            "alerts `b`: rule 1: cluster: there is no cluster `test`",
            "alerts `c`: rule 1: rollout: this is no name",
            "alerts `c`: rule 2: rule 1 fits every alert that it fits",
            "alerts: `c` stands there twice",
        ] {
            assert!(mistakes.contains(part), "{part} is not in:\n{mistakes}");
        }
        for (row, part) in [
            (format!("[[alerts]]\n{SECRET}[[alerts.rule]]\ndo = \"stop\"\n"), "expected `pause` or `abort`"),
            (format!("[[alerts]]\n{SECRET}[[alerts.rule]]\nmatch = {{ a = \"b\" }}\n"), "missing field `do`"),
            (format!("[[alerts]]\n{SECRET}[[alerts.rule]]\ndo = \"pause\"\nlabels = {{}}\n"), "unknown field `labels`"),
            ("[[alerts]]\nsecrets = [\"hunter2hunter2\"]\n".to_owned(), "does not stand in this file itself"),
        ] {
            let mistake = parse(directory.path(), &row).expect_err(part);
            assert!(mistake.contains(part) && mistake.contains("line"), "{mistake}");
            assert!(!mistake.contains("hunter2"), "{mistake}");
        }
    }
}
