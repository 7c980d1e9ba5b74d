//! From the configuration to the adapters' own settings.

use crate::config::{Config, Git, GitAuth, KeptSecret, RegistryAuth, SecretSource};
use crate::drive::now;
use crate::host::{Plans, Terraform};
use crate::logs::Logs;
use crate::places::PlaceWaits;
use cluster::{Balancer, Elb};
use forge::{Credentials, Forge, PlainHttp, Remote, SshKey};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How git is reached.
///
/// # Errors
/// A secret cannot be read.
pub fn forge(config: &Config) -> Result<forge::Settings, String> {
    let repositories = config.hook.iter().flat_map(|hook| &hook.repositories);
    let repositories: BTreeMap<_, _> = repositories.map(|one| (one.name.clone(), one.url.clone())).collect();
    let remotes = config.git.iter().map(remote).collect::<Result<_, _>>()?;
    let author =
        forge::Identity { name: config.server.identity.name.clone(), email: config.server.identity.email.clone() };
    let status = match &config.github {
        Some(github) => {
            Some(forge::status::Settings { api_url: github.api.clone(), token: git_secret(&github.token)? })
        }
        None => None,
    };
    Ok(forge::Settings { repositories, remotes, author, status, ..forge::Settings::default() })
}

fn remote(git: &Git) -> Result<Remote, String> {
    let credentials = match &git.auth {
        None => Credentials::None,
        Some(GitAuth::Token(token)) => Credentials::Token(git_secret(token)?),
        Some(GitAuth::Basic { user, password }) => {
            Credentials::Basic { username: user.clone(), password: git_secret(password)? }
        }
        Some(GitAuth::Ssh { key, passphrase, known_hosts }) => Credentials::SshKey(SshKey {
            private_key: git_secret(&SecretSource::File(key.clone()))?,
            passphrase: passphrase.as_ref().map(git_secret).transpose()?,
            known_hosts: known_hosts.clone(),
        }),
    };
    Ok(Remote { url: git.url.clone(), credentials, plain_http: PlainHttp::Loopback })
}

/// A secret that is read again at each use.
fn git_secret(source: &SecretSource) -> Result<forge::GitSecret, String> {
    let kept = KeptSecret::read(source.clone())?;
    Ok(forge::GitSecret::read_by(move || kept.now()))
}

/// The secrets of the hooks, with their repositories.
///
/// # Errors
/// A secret cannot be read.
pub fn hooks(config: &Config) -> Result<Vec<crate::hooks::SignedHook>, String> {
    let hook = |hook: &crate::config::Hook| {
        let secrets = hook.secrets.iter().cloned().map(KeptSecret::read).collect::<Result<_, _>>()?;
        let repositories = hook.repositories.iter().map(|one| one.name.clone()).collect();
        Ok(crate::hooks::SignedHook { name: hook.name.clone(), secrets, repositories })
    };
    config.hook.iter().map(hook).collect()
}

/// Alertmanager's hooks, with their secrets and rules.
///
/// # Errors
/// A secret cannot be read.
pub fn alert_hooks(config: &Config) -> Result<Vec<crate::alert_hooks::AlertHook>, String> {
    let hook = |hook: &crate::config::AlertSettings| {
        let secrets = hook.secrets.iter().cloned().map(KeptSecret::read).collect::<Result<_, _>>()?;
        Ok(crate::alert_hooks::AlertHook { name: hook.name.clone(), secrets, rules: hook.rule.clone() })
    };
    config.alerts.iter().map(hook).collect()
}

/// The hook that each repository's deliveries come by, the first where there are several, by `owner/repo`.
pub fn hook_of_each(config: &Config) -> BTreeMap<String, String> {
    let each = |hook: &'_ crate::config::Hook| {
        let name = hook.name.clone();
        hook.repositories.iter().map(move |one| (one.name.clone(), name.clone())).collect::<Vec<_>>()
    };
    config.hook.iter().rev().flat_map(each).collect()
}

/// How registries are reached.
///
/// # Errors
/// A secret cannot be read.
pub fn registries(config: &Config) -> Result<Vec<images::RegistrySettings>, String> {
    let registry = |registry: &crate::config::Registry| {
        let auth = match &registry.auth {
            None => images::Auth::None,
            Some(RegistryAuth::Basic { user, password }) => {
                let kept = KeptSecret::read(password.clone())?;
                images::Auth::Basic {
                    username: user.clone(),
                    password: images::RegistrySecret::read_by(move || kept.now()),
                }
            }
            Some(RegistryAuth::Ecr { region, api_endpoint }) => {
                images::Auth::Ecr { region: region.clone(), api_endpoint: api_endpoint.clone() }
            }
        };
        Ok(images::RegistrySettings { host: registry.host.clone(), endpoint: registry.endpoint.clone(), auth })
    };
    config.registry.iter().map(registry).collect()
}

/// Who asks the load balancers before each cluster what they serve, where its row says how.
///
/// # Errors
/// This build cannot ask them.
pub fn balancers(config: &Config) -> Result<BTreeMap<String, Arc<dyn Balancer>>, String> {
    let asked = config.cluster.iter().filter_map(|cluster| Some((&cluster.name, cluster.elb.clone()?)));
    let each = asked.map(|(name, settings)| {
        let elb = Elb::new(name, settings, now).map_err(|error| error.to_string())?;
        Ok((name.clone(), Arc::new(elb) as Arc<dyn Balancer>))
    });
    each.collect()
}

/// The builder of images that the configuration chooses.
pub fn builder(config: &Config) -> images::Choice {
    match config.server.builder {
        crate::config::Builder::Auto => images::Choice::Auto,
        crate::config::Builder::Docker => images::Choice::Docker,
        crate::config::Builder::Context => images::Choice::Context,
    }
}

/// What plans and applies infrastructure, where the configuration has it.
///
/// # Errors
/// There is no Terraform, or nowhere for it to work.
pub fn terraform(
    config: &Config,
    plans: Plans,
    forge: &Arc<Forge>,
    (logs, waits): (&Arc<Logs>, &Arc<PlaceWaits>),
) -> Result<Option<Arc<Terraform>>, String> {
    let Some(settings) = config.terraform.clone() else { return Ok(None) };
    for caution in crate::host::terraform::cautions(config, rustix::process::geteuid().is_root()) {
        tracing::warn!("{caution}");
    }
    let supervisor = crate::compiler::program()?;
    let told = (logs.clone(), waits.clone());
    let terraform = Terraform::new(settings, supervisor, &config.server.data, plans, forge.clone(), told)?;
    Ok(Some(Arc::new(terraform)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use ::forge::redelivery::Webhooks;
    use std::sync::Mutex;

    #[tokio::test]
    async fn a_token_of_github_is_exchanged_while_the_server_runs() {
        let used: Arc<Mutex<Vec<String>>> = Arc::default();
        let heard = used.clone();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let answer = move |headers: axum::http::HeaderMap| async move {
            heard.lock().unwrap().push(headers["authorization"].to_str().unwrap().to_owned());
            "[]"
        };
        tokio::spawn(async move { axum::serve(listener, axum::Router::new().fallback(answer)).await });
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("token");
        let text =
            format!("[server]\ndata = \"d\"\n[github]\napi = \"{url}\"\ntoken = {{ file = \"{}\" }}\n", file.display());
        std::fs::write(&file, "old").unwrap();
        let config = Config::parse("bespin.toml", &text).unwrap_or_else(|mistakes| panic!("{mistakes}"));
        let webhooks = Webhooks::new(super::forge(&config).unwrap().status);
        let address = ::forge::Address::parse(&format!("{url}/user/x")).unwrap();
        for token in ["old", "new"] {
            std::fs::write(&file, token).unwrap();
            let asked = webhooks.of(&address).expect("it is at the API's host").of_hook("default").await;
            assert_eq!(asked.unwrap(), Vec::<u64>::new());
        }
        assert_eq!(*used.lock().unwrap(), ["Bearer old", "Bearer new"]);
    }
}
