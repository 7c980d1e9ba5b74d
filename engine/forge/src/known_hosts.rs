//! Which SSH host keys are trusted: OpenSSH's `known_hosts`, names unhashed.
//!
//! A key is trusted for names that are written out, never for a pattern; what
//! is revoked is revoked for patterns too, wherever in the file it stands.
//!
//! Source: OpenSSH's sshd(8), "SSH_KNOWN_HOSTS FILE FORMAT".

use base64::Engine;
use std::path::Path;

/// Whether the file lists exactly this key for the host.
///
/// # Errors
/// A sentence with the help, for the person who reads the log.
pub(crate) fn check(file: &Path, host: &str, port: Option<u16>, key: &[u8]) -> Result<(), String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    check_text(&text, host, port, key).map_err(|problem| format!("{}: {problem}", file.display()))
}

pub(crate) fn check_text(text: &str, host: &str, port: Option<u16>, key: &[u8]) -> Result<(), String> {
    let (wanted, scan) = match port {
        None | Some(22) => (host.to_owned(), format!("ssh-keyscan {host}")),
        Some(port) => (format!("[{host}]:{port}"), format!("ssh-keyscan -p {port} {host}")),
    };
    let shown = kind(key);
    let (mut trusted, mut changed, mut of_another_kind, mut hashed) = (false, false, false, false);
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let mut fields = line.split_whitespace().peekable();
        let marker = fields.next_if(|field| field.starts_with('@'));
        let (Some(names), Some(kind), Some(encoded)) = (fields.next(), fields.next(), fields.next()) else { continue };
        let same = base64::engine::general_purpose::STANDARD.decode(encoded).is_ok_and(|listed| listed == key);
        if marker == Some("@revoked") && same && revokes(names, &wanted) {
            return Err(format!("the key of {wanted} is revoked"));
        }
        hashed |= names.starts_with("|1|");
        if marker.is_some() || !names.split(',').any(|name| name.eq_ignore_ascii_case(&wanted)) {
            continue;
        }
        trusted |= same;
        changed |= !same && kind == shown;
        of_another_kind |= !same && kind != shown;
    }
    if trusted {
        return Ok(());
    }
    Err(match (changed, of_another_kind, hashed) {
        (true, _, _) => format!("{wanted} shows another {shown} key than the one listed; somebody may listen in"),
        (_, true, _) => format!(
            "{wanted} shows its {shown} key, and only keys of other kinds are listed; add the output of `{scan}` once \
             you have verified it"
        ),
        (_, _, true) => format!("{wanted} is not listed by name; hashed names are not read, use `{scan}`"),
        _ => format!("{wanted} is not listed; add the output of `{scan}` once you have verified it"),
    })
}

/// Whether the names of a revocation are the host's. Hashed names could be anybody's.
fn revokes(names: &str, host: &str) -> bool {
    if names.starts_with('|') {
        return true;
    }
    let host = host.to_ascii_lowercase();
    let fits = |pattern: &str| like(pattern.to_ascii_lowercase().as_bytes(), host.as_bytes());
    let (mut named, mut spared) = (false, false);
    for name in names.split(',') {
        match name.strip_prefix('!') {
            Some(pattern) => spared |= fits(pattern),
            None => named |= fits(name),
        }
    }
    named && !spared
}

/// Whether a name is like a pattern, in which `*` is any text and `?` is any one character.
fn like(pattern: &[u8], name: &[u8]) -> bool {
    let (mut at, mut star) = ((0, 0), None);
    while at.1 < name.len() {
        match (pattern.get(at.0), star) {
            (Some(b'*'), _) => {
                star = Some(at);
                at.0 += 1;
            }
            (Some(&one), _) if one == b'?' || one == name[at.1] => at = (at.0 + 1, at.1 + 1),
            // The last star takes one character more.
            (_, Some((pattern, taken))) => {
                star = Some((pattern, taken + 1));
                at = (pattern + 1, taken + 1);
            }
            (_, None) => return false,
        }
    }
    pattern[at.0..].iter().all(|rest| *rest == b'*')
}

/// The kind that a key names itself by: a length of four bytes, and that many letters.
fn kind(key: &[u8]) -> &str {
    let named = key.split_first_chunk::<4>().and_then(|(length, rest)| {
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        std::str::from_utf8(rest.get(..length)?).ok()
    });
    named.unwrap_or("unknown")
}

#[cfg(test)]
mod tests {
    use super::check_text;
    use base64::Engine;

    /// A key of a kind, as SSH writes it.
    fn key(kind: &str, secret: u8) -> Vec<u8> {
        let length = u32::try_from(kind.len()).unwrap().to_be_bytes();
        [&length, kind.as_bytes(), &[secret]].concat()
    }

    #[test]
    fn only_a_listed_key_is_trusted() {
        let (ed, rsa) = ("ssh-ed25519", "ssh-rsa");
        let line = |names: &str, key: &[u8]| {
            format!("{names} {} {}\n", super::kind(key), base64::engine::general_purpose::STANDARD.encode(key))
        };
        let text = [
            "# hosts\n".to_owned(),
            line("github.com,gh", &key(ed, 1)),
            line("[git.example]:2222", &key(ed, 2)),
            line("@revoked old.example", &key(ed, 1)),
            line("|1|salt|hash", &key(ed, 1)),
        ];
        let cases: [(&str, Option<u16>, &[u8], &str); 9] = [
            ("github.com", None, &key(ed, 1), ""),
            ("GH", Some(22), &key(ed, 1), ""),
            ("git.example", Some(2222), &key(ed, 2), ""),
            ("git.example", None, &key(ed, 2), "not listed by name"),
            ("github.com", None, &key(ed, 9), "another ssh-ed25519 key"),
            ("github.com", None, &key(rsa, 1), "its ssh-rsa key, and only keys of other kinds"),
            ("github.com", None, &[0, 0, 0, 9, 1], "its unknown key"),
            ("old.example", None, &key(ed, 1), "revoked"),
            ("other", Some(2222), &key(ed, 1), "ssh-keyscan -p 2222 other"),
        ];
        for (host, port, key, problem) in cases {
            match check_text(&text.concat(), host, port, key) {
                Ok(()) => assert_eq!(problem, "", "{host}"),
                Err(error) => assert!(!problem.is_empty() && error.contains(problem), "{host}: {error}"),
            }
        }
    }

    #[test]
    fn what_is_revoked_is_never_trusted() {
        let (bad, good) = (key("ssh-ed25519", 1), key("ssh-ed25519", 2));
        let line = |names: &str, key: &[u8]| {
            format!("{names} ssh-ed25519 {}\n", base64::engine::general_purpose::STANDARD.encode(key))
        };
        let trusted = line("git.example", &bad) + &line("git.example", &good) + &line("[git.example]:2222", &bad);
        for (names, port, revoked) in [
            ("@revoked git.example", None, true),
            ("@revoked\tgit.example", None, true),
            ("@revoked other.example,GIT.example", None, true),
            ("@revoked *", None, true),
            ("@revoked *", Some(2222), true),
            ("@revoked *.example", None, true),
            ("@revoked g?t.*", None, true),
            ("@revoked *,!other.example", None, true),
            ("@revoked |1|salt|hash", None, true),
            ("@revoked [git.example]:2222", Some(2222), true),
            ("@revoked [git.example]:2222", None, false),
            ("@revoked *,!git.example", None, false),
            ("@revoked *.example.com", None, false),
            ("@revoked ?.example", None, false),
            ("@cert-authority *", None, false),
        ] {
            for text in [line(names, &bad) + &trusted, trusted.clone() + &line(names, &bad)] {
                let checked = check_text(&text, "git.example", port, &bad);
                assert_eq!(checked.is_err_and(|error| error.contains("is revoked")), revoked, "{names} in:\n{text}");
                if port.is_none() {
                    check_text(&text, "git.example", port, &good).unwrap();
                }
            }
        }
        check_text(&line("*", &bad), "git.example", None, &bad).unwrap_err();
    }
}
