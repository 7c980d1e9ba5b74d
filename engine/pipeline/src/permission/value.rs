//! Values of grants: their patterns, and the one spelling that is compared with them.

use url::Url;

use super::Ability;

/// Whether `value` is what `pattern` says, `*` standing for any characters but `/`.
pub(super) fn matches(pattern: &str, value: &str) -> bool {
    let mut patterns = pattern.split('/');
    let mut values = value.split('/');
    loop {
        match (patterns.next(), values.next()) {
            (None, None) => return true,
            (Some(pattern), Some(value)) if segment_matches(pattern, value) => {}
            _ => return false,
        }
    }
}

/// One segment: the text between the stars has to follow in order, from the first character to the last.
fn segment_matches(pattern: &str, value: &str) -> bool {
    let Some((head, rest)) = pattern.split_once('*') else { return pattern == value };
    let Some(mut value) = value.strip_prefix(head) else { return false };
    let (middle, tail) = rest.rsplit_once('*').unwrap_or(("", rest));
    for part in middle.split('*') {
        let Some(at) = value.find(part) else { return false };
        value = &value[at + part.len()..];
    }
    value.len() >= tail.len() && value.ends_with(tail)
}

/// Whether a value would be a pattern, if it were a grant.
fn is_wild(value: &str) -> bool {
    value.contains('*')
}

/// The grant's spelling of what is done with a folder of infrastructure; the top of the repository is `.`.
pub fn terraform_value(action: &str, folder: &str) -> String {
    format!("{action} {}", if folder.is_empty() { "." } else { folder })
}

/// `plan` or `apply`, one space, and a pattern of folders.
fn check_terraform(value: &str) -> Result<(), String> {
    let folder = value.strip_prefix("plan ").or_else(|| value.strip_prefix("apply "));
    let plain = |folder: &str| {
        let odd = folder.chars().any(|c| c.is_whitespace() || c.is_control());
        folder == "." || (!odd && !folder.split('/').any(|name| matches!(name, "" | "." | "..")))
    };
    match folder {
        Some(folder) if plain(folder) => Ok(()),
        _ => Err("write `plan FOLDER` or `apply FOLDER`, such as `plan infrastructure`; the top is `.`".to_owned()),
    }
}

/// Refuses a pattern that could never match, or that matches more than it seems to.
pub(super) fn check_pattern(ability: Ability, value: &str) -> Result<(), String> {
    if ability == Ability::Terraform {
        return check_terraform(value);
    }
    if value.is_empty() || value.chars().any(|c| c.is_whitespace() || c.is_control()) {
        return Err("it is empty or has spaces in it".to_owned());
    }
    let segments: Vec<&str> = value.split('/').collect();
    if segments.iter().any(|segment| matches!(*segment, "" | "." | "..")) {
        return Err("it has an empty segment, or one of dots".to_owned());
    }
    let wrong = match ability {
        Ability::Images => (value != "build").then_some("the one value is `build`"),
        Ability::Registry => (segments.len() < 2).then_some("write `host/name`, without a tag"),
        Ability::Git => (segments.len() < 2 || value.contains("://")).then_some("write `host/owner/repository`"),
        Ability::Cluster | Ability::Canary => (segments.len() != 3).then_some("write `cluster/namespace/name`"),
        Ability::Secrets => (segments.len() != 1 || is_wild(value)).then_some("write one secret's name"),
        Ability::Metrics => (segments.len() != 1 || is_wild(value)).then_some("write one provider's name"),
        Ability::Log
        | Ability::Workspace
        | Ability::Artifacts
        | Ability::Cache
        | Ability::Http
        | Ability::Terraform
        | Ability::Containers => None,
    };
    wrong.map_or(Ok(()), |help| Err(help.to_owned()))
}

/// The grant's spelling of a repository's address: `host[:port]/path`, without a scheme, a user or `.git`.
///
/// # Errors
///
/// The address is none that git can speak to over HTTP(S) or SSH, or holds a password.
pub fn git_value(address: &str) -> Result<String, String> {
    let refuse = |why: &str| Err(format!("`{}` {why}; write https://host/owner/repository.git", without_user(address)));
    // The short form of SSH, `git@host:owner/repository`, is no URL.
    let spelled = match address.split_once(':') {
        Some((host, path)) if !path.starts_with("//") && !host.contains('/') => format!("ssh://{host}/{path}"),
        _ => address.to_owned(),
    };
    let Ok(url) = Url::parse(&spelled) else { return refuse("is no address of a git repository") };
    if !matches!(url.scheme(), "http" | "https" | "ssh") {
        return refuse("has a scheme that is not served");
    }
    if url.password().is_some() || (url.scheme() != "ssh" && !url.username().is_empty()) {
        return refuse("has a credential in it");
    }
    if url.query().is_some() || url.fragment().is_some() || address.contains("..") || address.contains('%') {
        return refuse("is not the plain address of a repository");
    }
    let Some(host) = url.host_str() else { return refuse("has no host") };
    let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
    let path = url.path().trim_matches('/');
    let path = path.strip_suffix(".git").unwrap_or(path);
    let plain = |c: char| c.is_ascii_alphanumeric() || "/-._~+".contains(c);
    if path.is_empty() || path.contains("//") || !path.chars().all(plain) {
        return refuse("names no repository");
    }
    Ok(format!("{host}{port}/{path}"))
}

fn without_user(address: &str) -> &str {
    address.rsplit_once('@').map_or(address, |(_, rest)| rest)
}

/// The grant's spelling of an image's repository, which is how it is written.
///
/// # Errors
///
/// It is not `host/name`.
pub fn registry_value(to: &str) -> Result<&str, String> {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c);
    let host_allowed = |c: char| c.is_ascii_alphanumeric() || ".-:[]".contains(c);
    let refuse = || Err(format!("`{to}` is no image repository; write `host/name`, in lower case, without a tag"));
    let Some((host, name)) = to.split_once('/') else { return refuse() };
    let named = name.split('/').all(|part| !part.is_empty() && part.chars().all(allowed) && !part.starts_with('.'));
    if host.is_empty() || !host.chars().all(host_allowed) || !named {
        return refuse();
    }
    Ok(to)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stars() {
        for (pattern, value, expected) in [
            ("a/b", "a/b", true),
            ("a/b", "a/bc", false),
            ("a/*", "a/b", true),
            ("a/*", "a/b/c", false),
            ("a/*", "a", false),
            ("*/*/*", "a/b/c", true),
            ("a/pet*", "a/petclinic", true),
            ("a/*-web", "a/petclinic-web", true),
            ("a/*-web", "a/petclinic-was", false),
            ("a*a", "a", false),
            ("a*b*c", "a-b-c", true),
            ("a*b*c", "a-c", false),
            ("maven:3*", "maven:3.9", true),
            ("*.*", "a", false),
        ] {
            assert_eq!(matches(pattern, value), expected, "{pattern} ~ {value}");
        }
    }

    #[test]
    fn infrastructure_is_an_action_and_a_folder() {
        for value in ["plan infrastructure", "apply infrastructure/*", "plan ."] {
            assert_eq!(check_pattern(Ability::Terraform, value), Ok(()), "{value}");
        }
        for value in
            ["plan", "plan ", "infrastructure", "destroy x", "plan  x", "plan ../x", "plan /x", "*", "plan a b"]
        {
            assert!(check_pattern(Ability::Terraform, value).is_err(), "{value}");
        }
        assert!(matches("plan infrastructure/*", &terraform_value("plan", "infrastructure/dns")));
        assert!(!matches("plan *", &terraform_value("apply", "infrastructure")));
        assert!(!matches("plan infrastructure", &terraform_value("plan", "infrastructure/dns")));
        assert!(matches("plan .", &terraform_value("plan", "")));
    }

    #[test]
    fn one_repository_has_one_spelling() {
        for address in [
            "https://github.com/user/k8s-manifests.git",
            "https://github.com/user/k8s-manifests",
            "https://GitHub.com/user/k8s-manifests/",
            "ssh://git@github.com/user/k8s-manifests.git",
            "git@github.com:user/k8s-manifests.git",
        ] {
            assert_eq!(git_value(address).as_deref(), Ok("github.com/user/k8s-manifests"), "{address}");
        }
        assert_eq!(git_value("http://127.0.0.1:3000/user/x.git").as_deref(), Ok("127.0.0.1:3000/user/x"));
    }

    #[test]
    fn odd_repositories_are_refused_without_their_password() {
        for address in [
            "file:///etc/passwd",
            "/etc/passwd",
            "https://user:hunter2@github.com/user/x",
            "https://github.com/user/../other/x",
            "https://github.com/user/%2e%2e/x",
            "https://github.com/user/x?ref=main",
            "https://github.com",
            "ext::sh -c touch",
            "",
        ] {
            let refused = git_value(address).unwrap_err();
            assert!(!refused.contains("hunter2"), "{refused}");
        }
    }

    #[test]
    fn image_repositories() {
        assert!(registry_value("123456789012.dkr.ecr.ap-northeast-2.amazonaws.com/petclinic-was").is_ok());
        assert!(registry_value("127.0.0.1:5000/team/app").is_ok());
        for to in ["petclinic", "host/app:v1", "host/app@sha256:00", "host/../x", "https://host/app", "host/", "/app"] {
            assert!(registry_value(to).is_err(), "{to}");
        }
    }
}
