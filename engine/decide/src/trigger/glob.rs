//! The patterns of `branches`, `paths` and `tags`, read as GitHub reads them:
//! `*` stops at a slash, `**` does not, `?` is one character, and a later
//! pattern with `!` takes back what an earlier one let through.

/// Whether the patterns let a name through. No patterns let everything through.
pub(super) fn takes(patterns: &[String], name: &str) -> bool {
    let mut taken = patterns.is_empty();
    for pattern in patterns {
        match pattern.strip_prefix('!') {
            Some(pattern) => taken &= !fits(pattern, name),
            None => taken |= fits(pattern, name),
        }
    }
    taken
}

/// Linear in both lengths but for the number of `*`, whose last is retried.
fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let mut row = vec![false; name.len() + 1];
    row[0] = true;
    let mut at = 0;
    while at < pattern.len() {
        let deep = pattern[at] == '*' && pattern.get(at + 1) == Some(&'*');
        let mut next = vec![false; name.len() + 1];
        for end in 0..=name.len() {
            next[end] = match pattern[at] {
                '*' if deep => row[end] || (end > 0 && next[end - 1]),
                '*' => row[end] || (end > 0 && next[end - 1] && name[end - 1] != '/'),
                '?' => end > 0 && row[end - 1] && name[end - 1] != '/',
                plain => end > 0 && row[end - 1] && name[end - 1] == plain,
            };
        }
        // `**/` also stands for no directory at all.
        if deep && pattern.get(at + 2) == Some(&'/') {
            let with_slash: Vec<bool> =
                (0..=name.len()).map(|end| end > 0 && next[end - 1] && name[end - 1] == '/').collect();
            next = row.iter().zip(with_slash).map(|(none, some)| *none || some).collect();
            at += 1;
        }
        row = next;
        at += if deep { 2 } else { 1 };
    }
    row[name.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_github_reads_them() {
        for (pattern, yes, no) in [
            ("was/**", "was/a/b.java", "web/was/a"),
            ("*.md", "README.md", "docs/README.md"),
            ("**.md", "docs/README.md", "README.txt"),
            ("**/x", "x", "ax"),
            ("**/x", "a/b/x", "a/xb"),
            ("feature/*", "feature/a", "feature/a/b"),
            ("v?", "v1", "v12"),
            ("a**b", "a/x/b", "a/x/c"),
        ] {
            assert!(fits(pattern, yes), "{pattern} {yes}");
            assert!(!fits(pattern, no), "{pattern} {no}");
        }
    }

    #[test]
    fn the_last_word_counts() {
        let patterns = ["was/**", "!was/docs/**", "was/docs/api/**"].map(String::from);
        assert!(takes(&patterns, "was/a"));
        assert!(!takes(&patterns, "was/docs/a"));
        assert!(takes(&patterns, "was/docs/api/a"));
        assert!(takes(&[], "anything"));
    }
}
