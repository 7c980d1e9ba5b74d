//! What the types of the configuration cannot say.

use super::{Config, GitAuth, RegistryAuth, SecretSource, plugin_source, secret};
use api::login::{Role, User};
use decide::run::EventKind;
use pipeline::permission::{FromFork, covers};
use std::collections::BTreeSet;
use std::fmt;

/// Every mistake that was found, as texts with place and help.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes(pub Vec<String>);

impl Mistakes {
    /// A list of one mistake.
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
    unique("alerts", config.alerts.iter().map(|hook| hook.name.as_str()), &mut found);
    let clusters: Vec<_> = config.cluster.iter().map(|cluster| cluster.name.as_str()).collect();
    config.alerts.iter().for_each(|hook| hook.check(&clusters, &mut found));
    config.cluster.iter().for_each(|cluster| balancers(cluster, &mut found));
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
    policy(config, &mut found);
    if config.server.listen == config.server.hooks && config.server.listen.port() != 0 {
        found.push("server: `listen` and `hooks` must differ; webhooks have a listener of their own".into());
    }
    let found: Vec<_> = found.into_iter().map(|mistake| format!("{name}: {mistake}")).collect();
    if found.is_empty() { Ok(()) } else { Err(Mistakes(found)) }
}

fn policy(config: &Config, found: &mut Vec<String>) {
    for (index, row) in config.policy.iter().enumerate() {
        let mut mistakes = Vec::new();
        plugin_source::check_named(row.plugins.as_deref(), row.grants.contains_key("secrets"), &mut mistakes);
        if row.from_fork == FromFork::Yes && !row.is_for_forks() {
            mistakes.push("`from-fork` goes with `event = \"pull_request\"` alone; add it".to_owned());
        }
        let kinds = EventKind::OPENING.map(EventKind::as_str);
        if let Some(event) = row.event.as_deref().filter(|event| !kinds.iter().any(|kind| covers(event, kind))) {
            let events = kinds.join(", ");
            mistakes.push(format!("event: `{event}` is none; the row would never count. Write one of {events}"));
        }
        if let Some(short) = row.reference.as_deref().filter(|name| !name.starts_with("refs/") && !name.contains('*')) {
            let help = format!("write it whole: `refs/heads/{short}`, or `refs/tags/{short}`");
            mistakes.push(format!("ref: `{short}` is no reference, so the row would never count; {help}"));
        }
        if let Some(people) = &row.approved_by {
            approvers(people, &config.user, &mut mistakes);
        }
        let whose =
            if row.is_for_forks() { pipeline::permission::Whose::Fork } else { pipeline::permission::Whose::Policy };
        mistakes.extend(pipeline::limits::Overrides::of_steps(&row.limits).err().into_iter().flatten());
        mistakes.extend(pipeline::permission::Permissions::parse(whose, &row.grants).err().into_iter().flatten());
        found.extend(mistakes.into_iter().map(|mistake| format!("policy {}: {mistake}", index + 1)));
    }
}

/// Whoever a row waits for must be able to answer.
fn approvers(people: &[String], users: &[User], found: &mut Vec<String>) {
    if people.is_empty() {
        let help = "name an operator, or take the key out: without it the row asks for no approval";
        found.push(format!("`approved-by` names nobody, so the row would never count; {help}"));
    }
    for name in people {
        match users.iter().find(|user| user.name == *name).map(|user| user.role) {
            Some(Role::Operator) => {}
            Some(Role::Viewer) => found.push(format!(
                "approved-by: `{name}` is a viewer, who approves nothing; name an operator, or write `role = \"operator\"` in the [[user]] `{name}`"
            )),
            None => found.push(format!(
                "approved-by: there is no user `{name}`; add a [[user]] of that name with `role = \"operator\"`, or fix the name"
            )),
        }
    }
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

fn balancers(cluster: &cluster::Settings, found: &mut Vec<String>) {
    let Some(elb) = &cluster.elb else { return };
    if elb.region.as_ref().is_some_and(|region| region.trim().is_empty()) {
        found.push(format!("cluster `{}`: elb: the region is empty; write one, or leave the key out", cluster.name));
    }
    let Some(url) = &elb.endpoint else { return };
    match url::Url::parse(url) {
        Ok(parsed) if parsed.has_host() && parsed.scheme() == "https" => {}
        Ok(parsed) if parsed.has_host() && parsed.scheme() == "http" && is_loopback(&parsed) => {}
        Ok(parsed) if parsed.has_host() && parsed.scheme() == "http" => {
            let help = "requests carry a session's token; write https://, or an address of this machine";
            found.push(format!("cluster `{}`: elb: `{url}` is not encrypted; {help}", cluster.name));
        }
        _ => found.push(format!("cluster `{}`: elb: `{url}` is no address; write https://", cluster.name)),
    }
}

fn is_loopback(url: &url::Url) -> bool {
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(ip)) => ip.is_loopback(),
        Some(url::Host::Ipv6(ip)) => ip.is_loopback(),
        None => false,
    }
}

fn secrets(config: &Config, found: &mut Vec<String>) {
    hook_secrets(config, found);
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

/// A hook has one secret, or two while they rotate, whether in files of their own or on the lines of one.
fn hook_secrets(config: &Config, found: &mut Vec<String>) {
    for hook in &config.hook {
        let secrets = hook.secrets.iter().filter_map(|source| source.read().ok());
        let many = secrets.map(|secret| secret::lines(&secret).count()).sum::<usize>();
        if many > 2 {
            let help = "it takes one, or two while they rotate, each on a line of its own";
            found.push(format!("hook `{}`: its `secrets` hold {many}; {help}", hook.name));
        }
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
    fn a_row_that_could_never_count_is_a_mistake() {
        let row = |keys: &str| {
            let text = format!("[server]\ndata = \"d\"\n[[policy]]\n{keys}\ngrants = {{}}\n");
            Config::parse("bespin.toml", &text).map(|config| config.policy.len()).map_err(|all| all.to_string())
        };
        for well in
            ["event = \"tag\"", "event = \"*\"", "event = \"pu*\"", "ref = \"refs/tags/v*\"", "ref = \"*/main\""]
        {
            assert_eq!(row(well), Ok(1), "{well}");
        }
        let event = row("event = \"pull-request\"").expect_err("it is spelt otherwise");
        assert!(
            event.starts_with("bespin.toml: policy 1: event: `pull-request`") && event.contains("pull_request"),
            "{event}"
        );
        let reference = row("ref = \"main\"").expect_err("it is short");
        assert!(reference.contains("policy 1: ref: `main`") && reference.contains("`refs/heads/main`"), "{reference}");
    }

    #[test]
    fn a_row_waits_only_for_who_can_approve() {
        let users = "[[user]]\nname = \"ann\"\nrole = \"operator\"\nhash = \"h\"\n\
                     [[user]]\nname = \"val\"\nrole = \"viewer\"\nhash = \"h\"\n";
        let row = |people: &str| {
            let row = format!("[[policy]]\ngrants = {{}}\n[[policy]]\napproved-by = {people}\ngrants = {{}}\n");
            Config::parse("bespin.toml", &format!("[server]\ndata = \"d\"\n{users}{row}")).map_err(|all| all.0)
        };
        let named = row("[\"ann\"]").expect("ann is an operator").policy.remove(1).approved_by;
        assert_eq!(named, Some(vec!["ann".to_owned()]));
        let place = "bespin.toml: policy 2: ";
        let mistakes = row("[\"ann\", \"val\", \"bob\"]").expect_err("val only looks, and who is bob?");
        let [viewer, unknown] = mistakes.as_slice() else { panic!("{mistakes:?}") };
        assert!(viewer.starts_with(&format!("{place}approved-by: `val` is a viewer")), "{viewer}");
        assert!(viewer.ends_with("write `role = \"operator\"` in the [[user]] `val`"), "{viewer}");
        assert!(
            unknown.starts_with(&format!("{place}approved-by: there is no user `bob`; add a [[user]]")),
            "{unknown}"
        );
        let mistakes = row("[]").expect_err("nobody can say yes");
        let [nobody] = mistakes.as_slice() else { panic!("{mistakes:?}") };
        assert!(nobody.starts_with(&format!("{place}`approved-by` names nobody")), "{nobody}");
        assert!(nobody.contains("take the key out"), "{nobody}");
    }

    #[test]
    fn a_hook_has_two_secrets_at_the_most() {
        let directory = tempfile::tempdir().expect("a folder");
        let file = directory.path().join("hook");
        let hook = |text: &str| {
            std::fs::write(&file, text).expect("it is written");
            let hook = format!("[[hook]]\nsecrets = [{{ file = \"{}\" }}]\nrepositories = []\n", file.display());
            Config::parse("bespin.toml", &format!("[server]\ndata = \"d\"\n{hook}")).map(drop).map_err(|all| all.0)
        };
        assert_eq!(hook("old\nnew\n"), Ok(()));
        let mistakes = hook("old\nnew\nnewest\n").expect_err("one is too many");
        let [mistake] = mistakes.as_slice() else { panic!("{mistakes:?}") };
        assert!(mistake.contains("hook `default`: its `secrets` hold 3"), "{mistake}");
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
    fn a_cluster_says_how_its_load_balancers_are_asked() {
        let cluster = |elb: &str| {
            let text = format!("[server]\ndata = \"d\"\n[[cluster]]\nname = \"a\"\nreach = \"in-cluster\"\n{elb}\n");
            let config = Config::parse("bespin.toml", &text).map_err(|all| all.to_string())?;
            Ok::<_, String>(config.cluster[0].elb.clone().map(|elb| (elb.region, elb.endpoint)))
        };
        assert_eq!(cluster(""), Ok(None));
        assert_eq!(cluster("elb = {}"), Ok(Some((None, None))), "all of it is found as the AWS SDK finds it");
        let whole = Some("eu-central-1".to_owned());
        assert_eq!(cluster("elb = { region = \"eu-central-1\" }"), Ok(Some((whole, None))));
        let mistakes = cluster("elb = { region = \"\", endpoint = \"elb.local\" }").expect_err("both are wrong");
        assert!(mistakes.contains("cluster `a`: elb: the region is empty"), "{mistakes}");
        assert!(mistakes.contains("cluster `a`: elb: `elb.local` is no address"), "{mistakes}");
        for url in ["http://localhost:4566", "http://127.0.0.1:4566", "http://[::1]:4566", "https://elb.local"] {
            assert!(cluster(&format!("elb = {{ endpoint = \"{url}\" }}")).is_ok(), "{url}");
        }
        for url in ["http://elb.local", "http://127.0.0.1.example.com", "http://10.0.0.1"] {
            let mistakes = cluster(&format!("elb = {{ endpoint = \"{url}\" }}")).expect_err("it is in the clear");
            assert!(mistakes.contains(&format!("cluster `a`: elb: `{url}` is not encrypted")), "{mistakes}");
        }
        let unknown = cluster("elb = { regions = \"x\" }").expect_err("a typo");
        assert!(unknown.contains("unknown field `regions`"), "{unknown}");
    }

    #[test]
    fn an_unknown_key_has_its_line() {
        let mistakes = Config::parse("bespin.toml", "[server]\ndata = \"d\"\nlisen = 1\n").expect_err("a typo");
        assert!(mistakes.to_string().contains("line 3"), "{mistakes}");
    }
}
