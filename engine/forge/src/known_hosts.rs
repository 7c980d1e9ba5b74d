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
    let (wanted, scan) = match port {
        None | Some(22) => (host.to_owned(), format!("ssh-keyscan {host}")),
        Some(port) => (format!("[{host}]:{port}"), format!("ssh-keyscan -p {port} {host}")),
    };
    let shown = kind(key);
    let (mut changed, mut of_another_kind, mut hashed) = (false, false, false);
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (marker, line) = match line.strip_prefix('@') {
            Some(rest) => rest.split_once(' ').map_or((Some(rest), ""), |(m, l)| (Some(m), l.trim_start())),
            None => (None, line),
        };
        let mut fields = line.split_whitespace();
        let (Some(names), Some(kind), Some(encoded)) = (fields.next(), fields.next(), fields.next()) else { continue };
        hashed |= names.starts_with("|1|");
        if !names.split(',').any(|name| name.eq_ignore_ascii_case(&wanted)) {
            continue;
        }
        let same = base64::engine::general_purpose::STANDARD.decode(encoded).is_ok_and(|listed| listed == key);
        match marker {
            Some("revoked") if same => return Err(format!("the key of {wanted} is revoked")),
            None if same => return Ok(()),
            None if kind == shown => changed = true,
            None => of_another_kind = true,
            Some(_) => {}
        }
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
}
