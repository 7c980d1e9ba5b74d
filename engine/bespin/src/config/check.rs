//! What the types of the configuration cannot say.

use super::{Config, FromFork, GitAuth, RegistryAuth, SecretSource, plugin_source};
use std::collections::BTreeSet;
use std::fmt;

/// Every mistake that was found, as texts with place and mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes(pub Vec<String>);

impl Mistakes {
    /// A single mistake.
    pub fn one(text: String) -> Mistakes {
        Mistakes(vec![text])
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.join("\n"))
    }
}

impl std::error::Error for Mistakes {}

/// Checks everything at once.
pub(super) fn check(name: &str, config: &Config) -> Result<(), Mistakes> {
    let mut found = Vec::new();
    hooks(config, &mut found);
    secrets(config, &mut found);
    config.containers.check(&mut found);
    config.terraform.iter().for_each(|terraform| terraform.check(&config.server.data, &mut found));
    unique("git", config.git.iter().map(|git| git.url.as_str()), &mut found);
    unique("registry", config.registry.iter().map(|registry| registry.host.as_str()), &mut found);
    unique("cluster", config.cluster.iter().map(|cluster| cluster.name.as_str()), &mut found);
    metrics(config, &mut found);
    unique("user", config.user.iter().map(|user| user.name.as_str()), &mut found);
    let hosts: Vec<_> = config.registry.iter().map(|registry| registry.host.as_str()).collect();
    config.plugin_source.iter().for_each(|source| source.check(&hosts, &mut found));
    unique("health", config.health.iter().map(|row| row.kind.as_str()), &mut found);
    config.health.iter().for_each(|row| row.check(&config.plugin_source, &mut found));
    unique("generate", config.generate.iter().map(|row| row.name.as_str()), &mut found);
    config.generate.iter().for_each(|row| row.check(&config.plugin_source, &mut found));
    unique("route", config.route.iter().map(|row| row.name.as_str()), &mut found);
    config.route.iter().for_each(|row| row.check(&config.plugin_source, &config.secret, &mut found));
    for (index, policy) in config.policy.iter().enumerate() {
        let mut named = Vec::new();
        plugin_source::check_named(policy.plugins.as_deref(), policy.grants.contains_key("secrets"), &mut named);
        found.extend(named.into_iter().map(|mistake| format!("policy {}: {mistake}", index + 1)));
        if policy.from_fork == FromFork::Yes && !policy.is_for_forks() {
            found.push(format!("policy {}: `from-fork` goes with `event = \"pull_request\"` alone; add it", index + 1));
        }
        let whose = if policy.is_for_forks() { sandbox::Whose::Fork } else { sandbox::Whose::Policy };
        if let Err(mistakes) = sandbox::Overrides::parse(&policy.limits) {
            found.extend(mistakes.into_iter().map(|mistake| format!("policy {}: {mistake}", index + 1)));
        }
        if let Err(mistakes) = sandbox::Grants::parse(whose, &policy.grants) {
            found.extend(mistakes.into_iter().map(|mistake| format!("policy {}: {mistake}", index + 1)));
        }
    }
    if config.server.listen == config.server.hooks && config.server.listen.port() != 0 {
        found.push("server: `listen` and `hooks` must differ; webhooks have a listener of their own".into());
    }
    let found: Vec<_> = found.into_iter().map(|mistake| format!("{name}: {mistake}")).collect();
    if found.is_empty() { Ok(()) } else { Err(Mistakes(found)) }
}

fn hooks(config: &Config, found: &mut Vec<String>) {
    unique("hook", config.hook.iter().map(|hook| hook.name.as_str()), found);
    let mut urls = std::collections::BTreeMap::new();
    for hook in &config.hook {
        if hook.secrets.is_empty() || hook.secrets.len() > 2 {
            found.push(format!("hook `{}`: `secrets` takes one, or two while they rotate", hook.name));
        }
        for repository in &hook.repositories {
            let well_formed = repository.name.split('/').count() == 2;
            if !well_formed {
                found.push(format!("hook `{}`: `{}` is not owner/name", hook.name, repository.name));
            }
            let known = urls.insert(repository.name.as_str(), repository.url.as_str());
            if known.is_some_and(|known| known != repository.url) {
                found.push(format!("hook `{}`: `{}` has two addresses; give it one", hook.name, repository.name));
            }
        }
    }
}

fn metrics(config: &Config, found: &mut Vec<String>) {
    unique("metrics", config.metrics.iter().map(|provider| provider.name.as_str()), found);
    for provider in &config.metrics {
        let url = &provider.url;
        if !["http://", "https://"].iter().any(|scheme| url.starts_with(scheme)) {
            found.push(format!("metrics `{}`: `{url}` is no address; write http:// or https://", provider.name));
        }
    }
}

fn secrets(config: &Config, found: &mut Vec<String>) {
    let mut check = |place: String, source: &SecretSource| {
        if let Err(because) = source.read() {
            found.push(format!("{place}: {because}"));
        }
    };
    for hook in &config.hook {
        hook.secrets.iter().for_each(|secret| check(format!("hook `{}`", hook.name), secret));
    }
    for git in &config.git {
        match &git.auth {
            Some(GitAuth::Token(secret) | GitAuth::Basic { password: secret, .. }) => {
                check(format!("git `{}`", git.url), secret);
            }
            Some(GitAuth::Ssh { key, passphrase, known_hosts }) => {
                let files = [key, known_hosts].map(|file| SecretSource::File(file.clone()));
                for source in files.iter().chain(passphrase) {
                    check(format!("git `{}`", git.url), source);
                }
            }
            None => {}
        }
    }
    for registry in &config.registry {
        if let Some(RegistryAuth::Basic { password, .. }) = &registry.auth {
            check(format!("registry `{}`", registry.host), password);
        }
    }
    for provider in &config.metrics {
        if let Some(token) = &provider.token {
            check(format!("metrics `{}`", provider.name), token);
        }
    }
    for (name, secret) in &config.secret {
        check(format!("secret `{name}`"), secret);
    }
    if let Some(github) = &config.github {
        check("github".into(), &github.token);
    }
}

fn unique<'a>(table: &str, names: impl Iterator<Item = &'a str>, found: &mut Vec<String>) {
    let mut seen = BTreeSet::new();
    for name in names {
        if name.is_empty() {
            found.push(format!("{table}: an empty name"));
        }
        if !seen.insert(name) {
            found.push(format!("{table}: `{name}` stands there twice"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Config;

    #[test]
    fn every_mistake_is_said_at_once() {
        let text = r#"
            [server]
            data = "d"
            listen = "127.0.0.1:1"
            hooks = "127.0.0.1:1"
            [[hook]]
            secrets = [{ env = "BESPIN_TEST_NOT_SET" }]
            repositories = [{ name = "petclinic", url = "u" }]
            [[policy]]
            grants = { clusters = ["x"] }
        "#;
        let mistakes = Config::parse("bespin.toml", text).expect_err("it is full of mistakes").to_string();
        for part in ["`petclinic` is not owner/name", "BESPIN_TEST_NOT_SET is not set", "must differ", "`clusters`"] {
            assert!(mistakes.contains(part), "{part} is not in:\n{mistakes}");
        }
    }

    #[test]
    fn what_forks_never_get_is_no_part_of_their_row() {
        let row = |keys: &str| {
            let text = format!("[server]\ndata = \"d\"\n[[policy]]\n{keys}\n");
            Config::parse("bespin.toml", &text).map(|config| config.policy.len()).map_err(|all| all.to_string())
        };
        let forks = "event = \"pull_request\"\nfrom-fork = true\ngrants";
        assert_eq!(row(&format!("{forks} = {{ images = [\"build\"], http = [\"example.com\"] }}")), Ok(1));
        let refused = row(&format!("{forks} = {{ secrets = [\"x\"], registry = [\"h/x\"] }}")).expect_err("never");
        assert_eq!(refused.matches("a fork's pull request never gets it").count(), 2, "{refused}");
        let refused = row("from-fork = true\ngrants = { images = [\"build\"] }").expect_err("no event");
        assert!(refused.contains("goes with `event = \"pull_request\"`"), "{refused}");
    }

    #[test]
    fn metrics_and_limits_are_checked_as_well() {
        let text = r#"
            [server]
            data = "d"
            [[metrics]]
            name = "a"
            url = "prometheus:9090"
            token = { env = "BESPIN_TEST_NOT_SET" }
            [[metrics]]
            name = "a"
            url = "http://prometheus:9090"
            [[policy]]
            grants = { metrics = ["a"] }
            limits = { memory = "much", speed = "1" }
        "#;
        let mistakes = Config::parse("bespin.toml", text).expect_err("it is full of mistakes").to_string();
        for part in
            ["`prometheus:9090` is no address", "stands there twice", "NOT_SET", "limits: memory", "limits: speed"]
        {
            assert!(mistakes.contains(part), "{part} is not in:\n{mistakes}");
        }
    }

    #[test]
    fn an_unknown_key_has_its_line() {
        let mistakes = Config::parse("bespin.toml", "[server]\ndata = \"d\"\nlisen = 1\n").expect_err("a typo");
        assert!(mistakes.to_string().contains("line 3"), "{mistakes}");
    }
}
