//! `.dockerignore`: which files of a context are not sent to a build.
//!
//! The rules are those of <https://docs.docker.com/build/concepts/context/#dockerignore-files>:
//! the last pattern that matches decides, `!` takes back, and a pattern that
//! matches a directory matches all below it.

/// A line whose pattern is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: `{pattern}` is no pattern: a class such as `[a-z]` is empty or not closed, or a `\\` ends it")]
pub struct BadPattern {
    /// The line, from 1.
    pub line: usize,
    /// The pattern without its `!` and its doubled slashes.
    pub pattern: String,
}

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
    /// Reads the file's text.
    ///
    /// # Errors
    /// A line with a pattern that Docker refuses as well; without it, more files would be sent than its author wants.
    pub fn parse(text: &str) -> Result<Ignore, BadPattern> {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        let lines = (1..).zip(text.lines()).filter(|(_, line)| !line.starts_with('#'));
        let rules = lines.filter_map(|(number, line)| Some((number, rule(line)?)));
        let checked = rules.map(|(line, rule)| match is_well_formed(&rule.pattern) {
            true => Ok(rule),
            false => Err(BadPattern { line, pattern: rule.pattern }),
        });
        Ok(Ignore { rules: checked.collect::<Result<_, _>>()? })
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
        ['[', rest @ ..] => {
            let class = class(rest, c)?;
            class.has.then_some(class.length + 1)
        }
        [literal, ..] => (*literal == c).then_some(1),
    }
}

/// Whether Go's `filepath.Match` takes every part of a pattern for one.
fn is_well_formed(pattern: &str) -> bool {
    pattern.split('/').all(|part| {
        let part: Vec<char> = part.chars().collect();
        let mut left = part.as_slice();
        while let [first, rest @ ..] = left {
            left = match (first, rest) {
                ('\\', []) => return false,
                ('\\', [_, rest @ ..]) => rest,
                ('[', rest) => match class(rest, '\0') {
                    Some(class) => &rest[class.length..],
                    None => return false,
                },
                (_, rest) => rest,
            };
        }
        true
    })
}

/// What a class says of a character.
struct Class {
    has: bool,
    /// How many characters it is written with, its last bracket included.
    length: usize,
}

/// Reads a class such as `[a-z]` or `[^0-9]`; `rest` starts behind its bracket. `None` where it is none: as in Go's
/// `filepath.Match` it has one range or more, `\` takes a character as it is, and neither `-` nor `]` begins or ends one.
fn class(rest: &[char], c: char) -> Option<Class> {
    let (negated, start) = match rest {
        ['^', ..] => (true, 1),
        _ => (false, 0),
    };
    let (mut found, mut at) = (false, start);
    loop {
        if rest.get(at) == Some(&']') && at > start {
            return Some(Class { has: found != negated, length: at + 1 });
        }
        let (low, taken) = bound(&rest[at..])?;
        at += taken;
        let mut high = low;
        if rest.get(at) == Some(&'-') {
            let taken;
            (high, taken) = bound(&rest[at + 1..])?;
            at += taken + 1;
        }
        found |= (low..=high).contains(&c);
    }
}

/// One bound of a range, and how many characters it is written with.
fn bound(text: &[char]) -> Option<(char, usize)> {
    match text {
        [] | ['-' | ']', ..] | ['\\'] => None,
        ['\\', escaped, ..] => Some((*escaped, 2)),
        [plain, ..] => Some((*plain, 1)),
    }
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
            ("file[\\]a-c]", "file]", true),
            ("file[\\]a-c]", "fileb", true),
            ("file[\\]a-c]", "file\\", false),
            ("file[^a\\-c]", "file-", false),
            ("./x/../y", "y", true),
            ("", "x", false),
        ];
        for (rules, path, ignored) in rows {
            let read = Ignore::parse(rules).unwrap_or_else(|error| panic!("{rules:?}: {error}"));
            assert_eq!(read.ignores(path), ignored, "{rules:?} on {path}");
        }
    }

    /// Each of these is refused by `docker build` as well: Go's `filepath.Match` has a syntax error in it.
    #[test]
    fn what_is_no_pattern_is_refused_with_its_line() {
        for pattern in ["file[", "[]a]", "[", "[^]", "[-a]", "[a-]", "[a-\\]", "a\\", "ok/[/z", "[^]a]"] {
            let wrong = Ignore::parse(&format!("*.md\n\n# a comment [\n!{pattern}\n")).unwrap_err();
            assert_eq!((wrong.line, wrong.pattern.as_str()), (4, pattern), "{wrong}");
        }
    }

    #[test]
    fn no_pattern_is_slow() {
        let pattern = format!("{}b", "*a".repeat(50));
        assert!(!matches(&pattern, &"a".repeat(5000)));
        assert!(!matches(&format!("{}z", "**/a/".repeat(50)), &"a/".repeat(2000)));
    }
}
