//! Which SSH host keys are trusted: OpenSSH's `known_hosts`, names unhashed.

use base64::Engine;
use std::path::Path;

/// Whether the file lists exactly this key for the host.
///
/// # Errors
/// A sentence with the mend, for the person who reads the log.
pub(crate) fn check(file: &Path, host: &str, port: Option<u16>, key: &[u8]) -> Result<(), String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    check_text(&text, host, port, key).map_err(|problem| format!("{}: {problem}", file.display()))
}

fn check_text(text: &str, host: &str, port: Option<u16>, key: &[u8]) -> Result<(), String> {
    let wanted = match port {
        None | Some(22) => host.to_owned(),
        Some(port) => format!("[{host}]:{port}"),
    };
    let mut known = false;
    let mut hashed = false;
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (marker, line) = match line.strip_prefix('@') {
            Some(rest) => rest.split_once(' ').map_or((Some(rest), ""), |(m, l)| (Some(m), l.trim_start())),
            None => (None, line),
        };
        let mut fields = line.split_whitespace();
        let (Some(names), Some(_kind), Some(encoded)) = (fields.next(), fields.next(), fields.next()) else { continue };
        hashed |= names.starts_with("|1|");
        if !names.split(',').any(|name| name.eq_ignore_ascii_case(&wanted)) {
            continue;
        }
        let same = base64::engine::general_purpose::STANDARD.decode(encoded).is_ok_and(|listed| listed == key);
        match marker {
            Some("revoked") if same => return Err(format!("the key of {wanted} is revoked")),
            None if same => return Ok(()),
            None => known = true,
            Some(_) => {}
        }
    }
    Err(match (known, hashed) {
        (true, _) => format!("{wanted} shows another key than the ones listed; somebody may listen in"),
        (_, true) => format!("{wanted} is not listed by name; hashed names are not read, use `ssh-keyscan {host}`"),
        _ => format!("{wanted} is not listed; add the output of `ssh-keyscan {host}` once you have verified it"),
    })
}

#[cfg(test)]
mod tests {
    use super::check_text;

    #[test]
    fn only_a_listed_key_is_trusted() {
        let text = "# hosts\ngithub.com,gh ssh-ed25519 AAEC\n[git.example]:2222 ssh-ed25519 AwQF comment\n\
                    @revoked old.example ssh-ed25519 AAEC\n|1|salt|hash ssh-ed25519 AAEC\n";
        let cases: [(&str, Option<u16>, &[u8], &str); 7] = [
            ("github.com", None, &[0, 1, 2], ""),
            ("GH", Some(22), &[0, 1, 2], ""),
            ("git.example", Some(2222), &[3, 4, 5], ""),
            ("git.example", None, &[3, 4, 5], "not listed by name"),
            ("github.com", None, &[9], "another key"),
            ("old.example", None, &[0, 1, 2], "revoked"),
            ("other", None, &[0, 1, 2], "ssh-keyscan other"),
        ];
        for (host, port, key, problem) in cases {
            match check_text(text, host, port, key) {
                Ok(()) => assert_eq!(problem, "", "{host}"),
                Err(error) => assert!(!problem.is_empty() && error.contains(problem), "{host}: {error}"),
            }
        }
    }
}
