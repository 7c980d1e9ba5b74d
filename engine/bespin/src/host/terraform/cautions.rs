//! What an administrator is told at the start, where `[terraform]` trusts somebody with more than may be meant.

use crate::config::{Config, GitAuth, RegistryAuth, SecretSource, TerraformValue};
use pipeline::permission::Policy;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

/// Every caution, as a sentence with its help; empty without the table. `is_root` is whether this server is.
pub fn cautions(config: &Config, is_root: bool) -> Vec<String> {
    let Some(terraform) = &config.terraform else { return Vec::new() };
    let mut found = Vec::new();
    if terraform.plan_env.is_none()
        && let Some((held, free)) = beside(&config.policy)
    {
        found.push(format!(
            "terraform: policy {held} lets nobody apply without an approval, but policy {free} lets plan without one, and \
             a plan runs what the repository says with the same `env`: whoever may push can take the keys; write \
             `plan-env` with keys that only read, or `approved-by` in policy {free}"
        ));
    }
    if is_root {
        found.extend(files(config).filter_map(open));
    }
    found
}

/// A row that gives permission to apply once approved, and one that gives permission to plan unasked; by their numbers.
fn beside(policy: &[Policy]) -> Option<(usize, usize)> {
    let gives = |row: &Policy, action: &str| {
        row.grants.get("terraform").into_iter().flatten().any(|value| value.split(' ').next() == Some(action))
    };
    let held = policy.iter().position(|row| row.approved_by.is_some() && gives(row, "apply"))?;
    let free = policy.iter().position(|row| row.approved_by.is_none() && gives(row, "plan"))?;
    Some((held + 1, free + 1))
}

/// The files that hold what the server knows.
fn files(config: &Config) -> impl Iterator<Item = &Path> {
    let env = config
        .terraform
        .iter()
        .flat_map(|table| table.env.values().chain(table.plan_env.iter().flatten().map(|(_, value)| value)));
    let env = env.filter_map(|value| match value {
        TerraformValue::Secret(source) => Some(source),
        TerraformValue::Plain(_) => None,
    });
    let git = config.git.iter().filter_map(|git| git.auth.as_ref());
    let keys =
        git.clone().filter_map(|auth| if let GitAuth::Ssh { key, .. } = auth { Some(key.as_path()) } else { None });
    let git = git.filter_map(|auth| match auth {
        GitAuth::Token(secret) | GitAuth::Basic { password: secret, .. } => Some(secret),
        GitAuth::Ssh { passphrase, .. } => passphrase.as_ref(),
    });
    let registries = config.registry.iter().filter_map(|registry| match &registry.auth {
        Some(RegistryAuth::Basic { password, .. }) => Some(password),
        _ => None,
    });
    let clusters = config.cluster.iter().filter_map(|settings| match &settings.reach {
        cluster::Reach::Kubeconfig { path, .. } => Some(path.as_path()),
        _ => None,
    });
    let sources = config.hook.iter().flat_map(|hook| &hook.secrets).chain(git).chain(registries).chain(env);
    let sources = sources.chain(config.github.iter().map(|github| &github.token)).chain(config.secret.values());
    let sources = sources.chain(config.metrics.iter().filter_map(|provider| provider.token.as_ref()));
    let files = sources.filter_map(|source| match source {
        SecretSource::File(path) => Some(path.as_path()),
        SecretSource::Env(_) => None,
    });
    files.chain(keys).chain(clusters).chain(config.file.as_deref())
}

fn open(file: &Path) -> Option<String> {
    let mode = std::fs::metadata(file).ok()?.permissions().mode();
    (mode & 0o004 != 0).then(|| {
        let file = file.display();
        format!(
            "terraform: everybody may read {file}, and so may what a repository runs as Terraform; `chmod 640 {file}`"
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cautions_of(text: &str, is_root: bool) -> Vec<String> {
        let head = "[server]\ndata = \"/d\"\n[[user]]\nname = \"ann\"\nrole = \"operator\"\nhash = \"x\"\n";
        cautions(&Config::parse("bespin.toml", &format!("{head}{text}")).unwrap(), is_root)
    }

    #[test]
    fn an_approval_of_applies_beside_free_plans_is_told() {
        let row = |value: &str, more: &str| format!("[[policy]]\n{more}\ngrants = {{ terraform = [\"{value}\"] }}\n");
        let approved = "approved-by = [\"ann\"]";
        let (held, free) = (row("apply *", approved), row("plan *", ""));
        let told = cautions_of(&format!("[terraform]\n{free}{held}"), false);
        let [told] = told.as_slice() else { panic!("{told:?}") };
        assert!(told.contains("policy 2 lets nobody apply") && told.contains("`plan-env`"), "{told}");
        for silent in [
            format!("[terraform]\nplan-env = {{}}\n{free}{held}"),
            format!("[terraform]\n{}{held}", row("plan *", approved)),
            format!("[terraform]\n{free}{}", row("apply *", "")),
            format!("{free}{held}"),
        ] {
            assert_eq!(cautions_of(&silent, false), [""; 0], "{silent}");
        }
    }

    #[test]
    fn a_file_that_everybody_may_read_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, mode: u32| {
            let path = dir.path().join(name);
            std::fs::write(&path, "hunter2").unwrap();
            std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
            path.display().to_string()
        };
        let (open, closed, key) = (file("open", 0o644), file("closed", 0o640), file("key", 0o604));
        let text = format!(
            "[secret]\na = {{ file = \"{open}\" }}\nb = {{ file = \"{closed}\" }}\n\
             [terraform]\nplan-env = {{ KEY = {{ file = \"{key}\" }} }}\n"
        );
        let told = cautions_of(&text, true).join("\n");
        assert!(told.contains(&format!("chmod 640 {open}")) && told.contains(&key), "{told}");
        assert!(!told.contains(&closed) && !told.contains("hunter2"), "{told}");
        assert_eq!(cautions_of(&text, false), [""; 0], "there Terraform may read them all anyway");
    }
}
