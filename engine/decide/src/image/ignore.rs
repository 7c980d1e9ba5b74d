//! `.dockerignore`: which files of a context are not sent to a build.
//!
//! The rules are those of <https://docs.docker.com/build/concepts/context/#dockerignore-files>:
//! the last pattern that matches decides, `!` takes back, and a pattern that
//! matches a directory matches all below it.

/// The patterns of one file, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ignore {
    rules: Vec<IgnoreRule>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct IgnoreRule {
    pattern: String,
    verdict: IgnoreVerdict,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum IgnoreVerdict {
    Ignored,
    Kept,
}

impl Ignore {
    /// Reads the file's text. Every text is valid; an odd pattern matches nothing.
    pub fn parse(text: &str) -> Ignore {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let rules = text.lines().filter(|line| !line.starts_with('#')).filter_map(rule).collect();
        Ignore { rules }
    }

    /// Whether the build does not see this path (relative, `/` between its parts).
    pub fn ignores(&self, path: &str) -> bool {
        let verdict = self.rules.iter().rev().find(|rule| rule.applies(path)).map(|rule| rule.verdict);
        verdict == Some(IgnoreVerdict::Ignored)
    }
}

fn rule(line: &str) -> Option<IgnoreRule> {
    let line = line.trim();
    let (pattern, verdict) = match line.strip_prefix('!') {
        Some(rest) => (rest.trim(), IgnoreVerdict::Kept),
        None => (line, IgnoreVerdict::Ignored),
    };
    let pattern = clean(pattern);
    (!pattern.is_empty()).then_some(IgnoreRule { pattern, verdict })
}

impl IgnoreRule {
    fn applies(&self, path: &str) -> bool {
        let parents = path.match_indices('/').map(|(at, _)| &path[..at]);
        matches(&self.pattern, path) || parents.into_iter().any(|parent| matches(&self.pattern, parent))
    }
}

/// Takes `.`, doubled and outer slashes out of a relative path; `..` goes up, not past the root.
pub fn clean(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            part => parts.push(part),
        }
    }
    parts.join("/")
}

/// Go's `filepath.Match`, and `**` for any number of directories.
pub fn matches(pattern: &str, path: &str) -> bool {
    let pattern: Vec<&str> = pattern.split('/').collect();
    let path: Vec<&str> = path.split('/').collect();
    matches_parts(&pattern, &path)
}

/// Whether a path is written with wildcards.
pub fn is_pattern(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

/// Two-pointer matching with one place to return to, so that no pattern is slow.
fn matches_parts(pattern: &[&str], path: &[&str]) -> bool {
    let (mut p, mut s) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while s < path.len() {
        if pattern.get(p) == Some(&"**") {
            retry = Some((p, s));
            p += 1;
        } else if pattern.get(p).is_some_and(|part| matches_part(part, path[s])) {
            p += 1;
            s += 1;
        } else if let Some((star, from)) = retry {
            retry = Some((star, from + 1));
            p = star + 1;
            s = from + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|part| *part == "**")
}

fn matches_part(pattern: &str, name: &str) -> bool {
    let pattern: Vec<char> = pattern.chars().collect();
    let name: Vec<char> = name.chars().collect();
    let (mut p, mut s) = (0, 0);
    let mut retry: Option<(usize, usize)> = None;
    while s < name.len() {
        if pattern.get(p) == Some(&'*') {
            retry = Some((p, s));
            p += 1;
        } else if let Some(taken) = one(&pattern[p..], name[s]) {
            p += taken;
            s += 1;
        } else if let Some((star, from)) = retry {
            retry = Some((star, from + 1));
            p = star + 1;
            s = from + 1;
        } else {
            return false;
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

/// How many characters of the pattern match this one character, if they do.
fn one(pattern: &[char], c: char) -> Option<usize> {
    match pattern {
        [] => None,
        ['?', ..] => Some(1),
        ['\\', escaped, ..] => (*escaped == c).then_some(2),
        ['[', rest @ ..] => class(rest, c).map(|taken| taken + 1),
        [literal, ..] => (*literal == c).then_some(1),
    }
}

/// A class such as `[a-z]` or `[^0-9]`; `rest` starts behind its bracket.
fn class(rest: &[char], c: char) -> Option<usize> {
    let (negated, start) = match rest {
        ['^', ..] => (true, 1),
        _ => (false, 0),
    };
    let end = start + rest[start..].iter().position(|c| *c == ']')?;
    let mut found = false;
    let mut at = start;
    while at < end {
        let low = rest[at];
        let is_range = at + 2 < end && rest[at + 1] == '-';
        let high = if is_range { rest[at + 2] } else { low };
        found |= (low..=high).contains(&c);
        at += if is_range { 3 } else { 1 };
    }
    (found != negated).then_some(end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_matching_rule_decides() {
        let rows = [
            ("target", "target", true),
            ("target", "target/debug/x", true),
            ("target", "src/target", false),
            ("/target/", "target/x", true),
            ("**/target", "a/b/target/x", true),
            ("**/target", "target", true),
            ("*.md", "README.md", true),
            ("*.md", "docs/README.md", false),
            ("*.md\n!README.md", "README.md", false),
            ("!README.md\n*.md", "README.md", true),
            ("docs\n!docs/keep.txt", "docs/keep.txt", false),
            ("docs\n!docs/keep.txt", "docs/other.txt", true),
            ("# comment\n\n  .git  ", ".git/config", true),
            ("#notes", "#notes", false),
            ("*", "anything/at/all", true),
            ("**", "anything/at/all", true),
            ("a/**/z", "a/z", true),
            ("a/**/z", "a/b/c/z", true),
            ("a/**/z", "a/b/c/y", false),
            ("file[0-9].txt", "file7.txt", true),
            ("file[^0-9].txt", "file7.txt", false),
            ("file[", "file[", false),
            ("./x/../y", "y", true),
            ("", "x", false),
        ];
        for (rules, path, ignored) in rows {
            assert_eq!(Ignore::parse(rules).ignores(path), ignored, "{rules:?} on {path}");
        }
    }

    #[test]
    fn no_pattern_is_slow() {
        let pattern = format!("{}b", "*a".repeat(50));
        assert!(!matches(&pattern, &"a".repeat(5000)));
        assert!(!matches(&format!("{}z", "**/a/".repeat(50)), &"a/".repeat(2000)));
    }
}
