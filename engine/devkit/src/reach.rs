//! How the commands reach a registry: as the server does where its
//! configuration is named, and otherwise as docker does.

use crate::Configured;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use clap::Args;
use images::{Auth, Registries, Registry, RegistrySettings};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

/// Where logins come from; never from the command line, where every process could read them.
#[derive(Args)]
pub(crate) struct RegistryOptions {
    /// The server's configuration, whose registries are used. Without it, docker's own logins are (`docker login`).
    #[arg(long, short, env = "BESPIN_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Docker's `config.json`, as far as logins stand in it.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Docker {
    #[serde(default)]
    auths: BTreeMap<String, DockerLogin>,
    #[serde(default)]
    creds_store: Option<String>,
    #[serde(default)]
    cred_helpers: BTreeMap<String, String>,
}

#[derive(Deserialize)]
struct DockerLogin {
    #[serde(default)]
    auth: Option<String>,
}

impl RegistryOptions {
    /// The registry of a host.
    ///
    /// # Errors
    /// The configuration or docker's file cannot be used, or the configuration does not know the host.
    pub(crate) fn registry(&self, host: &str, configured: Configured) -> Result<Arc<Registry>, String> {
        let settings = match &self.config {
            Some(file) => configured(file)?,
            None => vec![RegistrySettings { host: host.into(), endpoint: loopback(host), auth: docker_login(host)? }],
        };
        let registries = Registries::new(settings).map_err(|error| error.to_string())?;
        registries.of(host).map_err(|error| error.to_string())
    }
}

/// What a registry's error is to somebody at a terminal. What may pass by itself has no help in it yet.
pub(crate) fn told(error: images::Error) -> String {
    match error.passes() {
        true => format!("{error}; try again, and see that the registry is there and its host is written right"),
        false => error.to_string(),
    }
}

/// Plain HTTP is spoken on this machine only; elsewhere the configuration has to say so.
fn loopback(host: &str) -> Option<String> {
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    let address = name.trim_matches(['[', ']']).parse::<std::net::IpAddr>();
    (name == "localhost" || address.is_ok_and(|address| address.is_loopback())).then(|| format!("http://{host}"))
}

fn docker_login(host: &str) -> Result<Auth, String> {
    let home = || std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".docker"));
    let Some(folder) = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from).or_else(home) else {
        return Ok(Auth::None);
    };
    let file = folder.join("config.json");
    let text = match std::fs::read_to_string(&file) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Auth::None),
        Err(error) => return Err(format!("{}: {error}", file.display())),
    };
    // The text holds logins: neither it nor what the parser shows of it is said.
    let docker: Docker = serde_json::from_str(&text).map_err(|_| {
        format!(
            "{}: it is no JSON; `docker login` writes it, or name the server's configuration by --config",
            file.display()
        )
    })?;
    login_of(&docker, host).map_err(|because| format!("{}: {because}", file.display()))
}

fn login_of(docker: &Docker, host: &str) -> Result<Auth, String> {
    let names = [host.to_owned(), format!("https://{host}"), format!("https://{host}/v1/")];
    let hub = (host == "docker.io").then_some("https://index.docker.io/v1/");
    let entry = names.iter().map(String::as_str).chain(hub).find_map(|name| docker.auths.get(name));
    let Some(encoded) = entry.and_then(|login| login.auth.as_deref()).filter(|auth| !auth.is_empty()) else {
        let helper = docker.cred_helpers.get(host).or(docker.creds_store.as_ref().filter(|_| entry.is_some()));
        return match helper {
            Some(helper) => Err(format!(
                "the login of {host} is kept by docker-credential-{helper}, which is not asked; name the server's \
                 configuration by --config"
            )),
            None => Ok(Auth::None),
        };
    };
    let decoded = BASE64.decode(encoded).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let (username, password) = decoded.as_deref().and_then(|text| text.split_once(':')).ok_or_else(|| {
        format!("the login of {host} is not base64 of user:password; `docker login {host}` repairs it")
    })?;
    Ok(Auth::Basic { username: username.into(), password: password.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_http_is_for_this_machine() {
        for host in ["localhost:5000", "127.0.0.1:5000", "[::1]:5000", "localhost"] {
            assert_eq!(loopback(host), Some(format!("http://{host}")));
        }
        for host in ["ghcr.io", "10.0.0.1:5000", "localhost.example.com", "127.0.0.1.example.com:80"] {
            assert_eq!(loopback(host), None, "{host}");
        }
    }

    #[test]
    fn dockers_logins_are_found_by_host() {
        let text = r#"{"auths":{"ghcr.io":{"auth":"YW5uOmh1c2g="},"https://index.docker.io/v1/":{"auth":"YW5uOmh1c2g="},
            "kept.example":{},"broken.example":{"auth":"!"}},"credsStore":"pass"}"#;
        let docker: Docker = serde_json::from_str(text).unwrap();
        for host in ["ghcr.io", "docker.io"] {
            assert!(matches!(login_of(&docker, host), Ok(Auth::Basic { username, .. }) if username == "ann"), "{host}");
        }
        assert!(matches!(login_of(&docker, "elsewhere.example"), Ok(Auth::None)));
        assert!(login_of(&docker, "kept.example").unwrap_err().contains("docker-credential-pass"));
        assert!(login_of(&docker, "broken.example").unwrap_err().contains("docker login"));
    }
}
