//! What surrounds a call: the program, its environment, the name of its folder, and what it says of itself.

use super::process::Ended;
use super::work_directory::Users;
use crate::config;
use images::containers::User;
use sandbox::{Failure, Variable};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Map;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::{Error, ErrorKind};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Finds the program in the configuration, or on the `PATH`.
pub(super) fn program(configured: Option<&Path>, path: &std::ffi::OsStr) -> Result<PathBuf, String> {
    let is_program = |path: &PathBuf| {
        std::fs::metadata(path).is_ok_and(|seen| seen.is_file() && seen.permissions().mode() & 0o111 != 0)
    };
    if let Some(configured) = configured {
        let program = configured.to_owned();
        let because = || format!("terraform: binary: {} is no program", program.display());
        return if is_program(&program) { Ok(program) } else { Err(because()) };
    }
    let found = |name: &str| std::env::split_paths(path).map(|folder| folder.join(name)).find(is_program);
    let missing = "terraform: there is neither `terraform` nor `tofu` on PATH; install one, or name it in `binary`";
    found("terraform").or_else(|| found("tofu")).ok_or_else(|| missing.to_owned())
}

/// Who Terraform is, for a server that is the user `own`. To be the server's own user has to be asked for in words.
pub(super) fn users(settings: &config::Terraform, own: u32) -> Result<Users, String> {
    if own == 0 {
        return Ok(Users::From(settings.user));
    }
    if settings.unprivileged != Some(config::TerraformAs::TheServer) {
        let because = "terraform: the server is not root, so that Terraform would be the server's own user: what a \
                       repository runs could read every secret of the server, and stop it; start the server as root, \
                       or write `as = \"the-server\"` in [terraform], if all repositories may";
        return Err(because.to_owned());
    }
    tracing::warn!("Terraform is the server's own user: what it runs can read all that the server can");
    Ok(Users::Own(User { uid: own, gid: rustix::process::getegid().as_raw() }))
}

/// What a repository's own files are to blame for.
pub(super) fn mistake(what: &str, error: &Error) -> Error {
    Error::new(ErrorKind::InvalidData, format!("{what}: {error}"))
}

/// Why a commit's files could not be had: only their size is the repository's.
pub(super) fn unpacked(error: forge::Error) -> Error {
    let kind = if matches!(error, forge::Error::TooLarge { .. }) { ErrorKind::InvalidData } else { ErrorKind::Other };
    Error::new(kind, error)
}

/// Why there is no work directory. The same files are no better the next time.
pub(super) fn unmade(error: Error) -> Failure {
    let because = format!("Terraform's folder: {error}");
    if error.kind() == ErrorKind::InvalidData { Failure::Rejected(because) } else { Failure::Transient(because) }
}

/// Variables first, then what is ours, then what the configuration says: nothing of a pipeline's changes either.
pub(super) fn environment(
    variables: &[Variable],
    own: &[(&str, String)],
    configured: Vec<(String, String)>,
) -> BTreeMap<String, String> {
    let variable = |Variable { name, value, .. }: &Variable| (format!("TF_VAR_{name}"), exposed(value));
    let own = own.iter().map(|(name, value)| ((*name).to_owned(), value.clone()));
    variables.iter().map(variable).chain(own).chain(configured).collect()
}

fn exposed(value: &SecretString) -> String {
    value.expose_secret().to_owned()
}

/// The name of a work directory: short, for a provider's socket has its path in it.
pub(super) fn place(run: &str, folder: &str, workspace: Option<&str>) -> String {
    let key = serde_json::json!([run, folder, workspace]).to_string();
    hex::encode(&Sha256::digest(key.as_bytes())[..8])
}

/// The kind of backend that `init` wrote down.
pub(super) fn backend(initialised: Option<&[u8]>) -> Option<String> {
    let written: serde_json::Value = serde_json::from_slice(initialised?).ok()?;
    written["backend"]["type"].as_str().map(str::to_owned)
}

/// The outputs that are not sensitive. One that does not say so is.
pub(super) fn outputs(json: &Ended) -> Result<String, Failure> {
    let odd = || Failure::Rejected("it was applied, but its outputs are too large or not understood".to_owned());
    let all: Map<String, serde_json::Value> = serde_json::from_slice(&json.output).map_err(|_| odd())?;
    let open = all.into_iter().filter(|(_, output)| output["sensitive"] == false);
    let open: Map<_, _> = open.map(|(name, mut output)| (name, output["value"].take())).collect();
    Ok(serde_json::Value::Object(open).to_string())
}

/// How Go's network says that the same may work later.
const UNREACHED: [&str; 6] = [
    "connection refused",
    "connection reset by peer",
    "no such host",
    "i/o timeout",
    "TLS handshake timeout",
    "Client.Timeout exceeded",
];

/// Why a call failed. What may pass is what happened before anything was done.
pub(super) fn failure(what: &str, ended: &Ended, words: &str) -> Failure {
    if ended.is_unstarted() {
        return Failure::Transient(format!("Terraform could not be run: {words}"));
    }
    if ended.code >= 128 {
        let signal = ended.code - 128;
        let because = format!("terraform {what} was ended by signal {signal}, as what takes too much is: {words}");
        return Failure::Rejected(because);
    }
    let because = format!("terraform {what}: {words}");
    let locked = words.contains("Error acquiring the state lock");
    let unreached = what != "apply" && UNREACHED.iter().any(|phrase| words.contains(phrase));
    if locked || unreached { Failure::Transient(because) } else { Failure::Rejected(because) }
}

#[cfg(test)]
mod tests {
    use super::super::process::Cut;
    use super::*;

    #[test]
    fn a_pipelines_variables_change_nothing_of_the_servers() {
        let variable =
            |name: &str, value: &str| Variable { name: name.into(), value: value.into(), secrets: Vec::new() };
        let variables = [variable("region", "theirs"), variable("size", "small")];
        let own = [("HOME", "/call/home".to_owned()), ("TF_INPUT", "0".to_owned())];
        let configured = vec![("TF_VAR_region".to_owned(), "ours".to_owned())];
        let all = environment(&variables, &own, configured);
        let all: Vec<_> = all.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(all, ["HOME=/call/home", "TF_INPUT=0", "TF_VAR_region=ours", "TF_VAR_size=small"]);
    }

    #[test]
    fn a_server_that_is_not_root_has_to_be_told_so() {
        let settings = |table: &str| {
            let text = format!("[server]\ndata = \"/d\"\n[terraform]\nuser = 70000\n{table}");
            config::Config::parse("bespin.toml", &text).unwrap().terraform.unwrap()
        };
        let (silent, told) = (settings(""), settings("as = \"the-server\""));
        let refused = users(&silent, 1000).unwrap_err();
        assert!(refused.starts_with("terraform: ") && refused.contains("`as = \"the-server\"`"), "{refused}");
        assert!(matches!(users(&told, 1000), Ok(Users::Own(User { uid: 1000, .. }))));
        for settings in [silent, told] {
            assert_eq!(users(&settings, 0), Ok(Users::From(70_000)));
        }
    }

    #[test]
    fn a_mistake_in_the_repository_is_not_tried_again() {
        let kind = |error| matches!(unmade(error), Failure::Rejected(_));
        assert!(kind(mistake("the commit's files", &Error::other("a name that is too long"))));
        assert!(!kind(Error::other("no such commit")) && !kind(ErrorKind::StorageFull.into()));
    }

    #[test]
    fn a_backend_is_what_init_wrote_down() {
        assert_eq!(backend(Some(br#"{"version":3,"backend":{"type":"s3","config":{}}}"#)).as_deref(), Some("s3"));
        for none in [None, Some(&b"{}"[..]), Some(b"{\"backend\":null}"), Some(b"no JSON")] {
            assert_eq!(backend(none), None, "{none:?}");
        }
    }

    #[test]
    fn only_what_is_said_not_to_be_sensitive_is_told() {
        let ended = |text: &str| Ended { code: 0, output: text.into(), cut: Cut::No, words: String::new() };
        let json = r#"{"a":{"sensitive":false,"type":"string","value":"x"},"b":{"sensitive":true,"value":"hunter2"},
                   "c":{"value":"hunter2"},"d":{"sensitive":false,"value":[1,{"e":null}]}}"#;
        assert_eq!(outputs(&ended(json)).unwrap(), r#"{"a":"x","d":[1,{"e":null}]}"#);
        assert_eq!(outputs(&ended("{}")).unwrap(), "{}");
        assert!(outputs(&ended(r#"{"a":{"sensi"#)).is_err());
    }

    #[test]
    fn terraform_is_taken_before_tofu() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().as_os_str();
        assert!(program(None, path).unwrap_err().contains("neither"));
        let make = |name: &str, mode: u32| {
            std::fs::write(dir.path().join(name), "").unwrap();
            std::fs::set_permissions(dir.path().join(name), std::fs::Permissions::from_mode(mode)).unwrap();
        };
        make("tofu", 0o755);
        make("terraform", 0o644);
        assert_eq!(program(None, path), Ok(dir.path().join("tofu")), "the other is no program");
        make("terraform", 0o755);
        assert_eq!(program(None, path), Ok(dir.path().join("terraform")));
        let named = dir.path().join("tofu");
        assert_eq!(program(Some(&named), path), Ok(named));
        assert!(program(Some(Path::new("/none")), path).unwrap_err().contains("/none is no program"));
    }

    #[test]
    fn a_place_is_the_same_for_the_same_and_short() {
        let place_of = |folder| place("user/infra/terraform/7", folder, None);
        assert_eq!(place_of("a"), place_of("a"));
        assert_ne!(place_of("a"), place_of("b"));
        assert_ne!(place("r", "a", None), place("r", "a", Some("default")));
        assert_eq!(place_of("a").len(), 16);
    }

    #[test]
    fn only_what_came_before_the_deed_may_pass() {
        let said = |what: &str, code: i32, words: &str| {
            let ended = Ended { code, output: Vec::new(), cut: Cut::No, words: String::new() };
            matches!(failure(what, &ended, words), Failure::Transient(_))
        };
        assert!(said("plan", 1, "Error: Error acquiring the state lock"));
        assert!(said("apply", 1, "Error: Error acquiring the state lock"));
        assert!(said("init", 1, "dial tcp 127.0.0.1:9: connect: connection refused"));
        assert!(!said("apply", 1, "dial tcp 127.0.0.1:9: connect: connection refused"));
        assert!(!said("plan", 1, "Error: Unsupported argument"));
        assert!(!said("apply", 137, "") && said("apply", 125, "bounds"));
    }
}
