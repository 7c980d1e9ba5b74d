//! Patterns of branches, tags and paths, as GitHub reads them: `*` stops at a
//! slash, `**` does not, `?` and `+` repeat the character before them, `[]`
//! lists characters, `\` escapes, and a later pattern with `!` takes back what
//! an earlier one let through.
//!
//! Source: the filter pattern cheat sheet of GitHub Actions' workflow syntax.

/// Whether the patterns let a name through. No patterns let everything through.
pub fn takes(patterns: &[String], name: &str) -> bool {
    let mut taken = patterns.is_empty();
    for pattern in patterns {
        match pattern.strip_prefix('!') {
            Some(pattern) => taken &= !fits(pattern, name),
            None => taken |= fits(pattern, name),
        }
    }
    taken
}

/// Says what is wrong with a pattern, if anything.
pub fn refuse(pattern: &str) -> Option<String> {
    let pattern = pattern.strip_prefix('!').unwrap_or(pattern);
    match parse(pattern) {
        Err(why) => Some(why),
        Ok(atoms) if atoms.is_empty() => Some("a pattern is empty".into()),
        Ok(_) => None,
    }
}

#[derive(Clone, Debug, PartialEq)]
enum One {
    /// Any character but a slash.
    NoSlash,
    Any,
    Char(char),
    /// One of these ranges.
    Class(Vec<(char, char)>),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Times {
    Once,
    AtMostOnce,
    AtLeastOnce,
    Any,
}

impl One {
    fn is(&self, c: char) -> bool {
        match self {
            One::NoSlash => c != '/',
            One::Any => true,
            One::Char(one) => *one == c,
            One::Class(ranges) => ranges.iter().any(|(from, to)| (*from..=*to).contains(&c)),
        }
    }
}

enum Atom {
    Repeat(One, Times),
    /// `**/`: no folder at all, or any number of them.
    Folders,
}

fn parse(pattern: &str) -> Result<Vec<Atom>, String> {
    let chars: Vec<char> = pattern.chars().collect();
    let (mut atoms, mut at) = (Vec::new(), 0);
    while at < chars.len() {
        let (atom, used) = match (chars[at], chars.get(at + 1), chars.get(at + 2)) {
            ('*', Some('*'), Some('/')) if at == 0 || chars[at - 1] == '/' => (Atom::Folders, 3),
            ('*', Some('*'), _) => (Atom::Repeat(One::Any, Times::Any), 2),
            ('*', ..) => (Atom::Repeat(One::NoSlash, Times::Any), 1),
            (c @ ('?' | '+'), ..) => return Err(format!("nothing stands before the `{c}`")),
            ('[', ..) => {
                let (class, used) = class(&chars[at..]).ok_or("a `[` without its `]`")?;
                (Atom::Repeat(One::Class(class), Times::Once), used)
            }
            ('\\', None, _) => return Err("the pattern ends in a `\\`".into()),
            ('\\', Some(c), _) => (Atom::Repeat(One::Char(*c), Times::Once), 2),
            (c, ..) => (Atom::Repeat(One::Char(c), Times::Once), 1),
        };
        at += used;
        atoms.push(match (atom, chars.get(at)) {
            (Atom::Repeat(one, Times::Once), Some('?')) => {
                at += 1;
                Atom::Repeat(one, Times::AtMostOnce)
            }
            (Atom::Repeat(one, Times::Once), Some('+')) => {
                at += 1;
                Atom::Repeat(one, Times::AtLeastOnce)
            }
            (atom, _) => atom,
        });
    }
    Ok(atoms)
}

fn class(chars: &[char]) -> Option<(Vec<(char, char)>, usize)> {
    let end = chars.iter().position(|c| *c == ']')?;
    let (inner, mut ranges, mut at) = (&chars[1..end], Vec::new(), 0);
    while at < inner.len() {
        let range = inner.get(at + 1) == Some(&'-') && at + 2 < inner.len();
        ranges.push((inner[at], if range { inner[at + 2] } else { inner[at] }));
        at += if range { 3 } else { 1 };
    }
    (!ranges.is_empty()).then_some((ranges, end + 1))
}

/// Row by row, so that no pattern costs more than its length times the name's.
fn fits(pattern: &str, name: &str) -> bool {
    let Ok(atoms) = parse(pattern) else { return false };
    let name: Vec<char> = name.chars().collect();
    // row[n]: the atoms so far fit the first n characters.
    let mut row = vec![false; name.len() + 1];
    row[0] = true;
    for atom in &atoms {
        let mut next = vec![false; name.len() + 1];
        let mut inside = false;
        for end in 0..=name.len() {
            let last = end.checked_sub(1);
            next[end] = match atom {
                Atom::Folders => {
                    inside |= row[end];
                    row[end] || last.is_some_and(|last| inside && name[last] == '/')
                }
                Atom::Repeat(one, times) => {
                    let took = last.is_some_and(|last| {
                        let again = matches!(times, Times::AtLeastOnce | Times::Any) && next[last];
                        one.is(name[last]) && (row[last] || again)
                    });
                    took || (matches!(times, Times::AtMostOnce | Times::Any) && row[end])
                }
            };
        }
        row = next;
    }
    row[name.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_github_reads_them() {
        // From the cheat sheet, and the seed's own.
        for (pattern, yes, no) in [
            ("feature/*", "feature/my-branch", "feature/beta-a/my-branch"),
            ("feature/**", "feature/beta-a/my-branch", "other/feature/a"),
            ("*feature", "mona-feature", "mona/feature"),
            ("v2*", "v2.9", "v1"),
            ("v[12].[0-9]+.[0-9]+", "v1.10.1", "v3.0.0"),
            ("*", "README.md", "docs/README.md"),
            ("*.jsx?", "page.js", "page.jsxx"),
            ("**.js", "src/js/app.js", "app.jsx"),
            ("docs/*", "docs/README.md", "docs/mona/octocat.txt"),
            ("docs/**/*.md", "docs/README.md", "docs/a.txt"),
            ("**/docs/**", "dir/docs/my-file.txt", "dir/mydocs/x"),
            ("**/docs/**", "docs/hello.md", "docs"),
            ("**/README.md", "js/README.md", "js/xREADME.md"),
            ("**/*src/**", "a/src/app.js", "a/srx/app.js"),
            ("**/*-post.md", "path/their-post.md", "path/post.md"),
            ("was/**", "was/a/b.java", "web/was/a"),
            ("a\\*b", "a*b", "axb"),
            ("한*", "한글", "글한"),
        ] {
            assert!(fits(pattern, yes), "{pattern} {yes}");
            assert!(!fits(pattern, no), "{pattern} {no}");
        }
        assert!(fits("**", "all/the/files.md") && fits("**", ""), "`**` matches everything");
    }

    #[test]
    fn the_last_word_counts() {
        let patterns = ["was/**", "!was/docs/**", "was/docs/api/**"].map(String::from);
        assert!(takes(&patterns, "was/a"));
        assert!(!takes(&patterns, "was/docs/a"));
        assert!(takes(&patterns, "was/docs/api/a"));
        assert!(takes(&[], "anything"));
    }

    #[test]
    fn bad_patterns_are_refused() {
        for bad in ["", "!", "?a", "a[bc", "a[]", "x\\"] {
            assert!(refuse(bad).is_some(), "{bad}");
        }
        assert_eq!(refuse("!v[0-9]+.*"), None);
    }

    /// Another way to the same answer: try every way, character by character.
    fn oracle(pattern: &[char], name: &[char]) -> bool {
        match pattern {
            [] => name.is_empty(),
            ['*', '*', rest @ ..] => (0..=name.len()).any(|n| oracle(rest, &name[n..])),
            ['*', rest @ ..] => {
                (0..=name.len()).take_while(|n| *n == 0 || name[*n - 1] != '/').any(|n| oracle(rest, &name[n..]))
            }
            [c, '?', rest @ ..] => oracle(rest, name) || (name.first() == Some(c) && oracle(rest, &name[1..])),
            [c, rest @ ..] => name.first() == Some(c) && oracle(rest, &name[1..]),
        }
    }

    #[test]
    fn it_agrees_with_the_oracle() {
        let mut dice = 88172645463325252_u64;
        let mut roll = |n: usize| {
            dice ^= dice << 13;
            dice ^= dice >> 7;
            dice ^= dice << 17;
            (dice % n as u64) as usize
        };
        let (mut met, tokens) = (0, ["a", "b", "/", "*", "**", "a?"]);
        for _ in 0..40_000 {
            let pattern: String = (0..=roll(5)).map(|_| tokens[roll(tokens.len())]).collect();
            // `**/` at a folder's beginning is a rule of its own; `***` and `/?` are nobody's.
            if pattern.contains("**/") || pattern.contains("***") || pattern.starts_with("*?") {
                continue;
            }
            let name: String = (0..roll(7)).map(|_| ["a", "b", "/"][roll(3)]).collect();
            let (p, n): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
            assert_eq!(fits(&pattern, &name), oracle(&p, &n), "{pattern} {name}");
            met += usize::from(fits(&pattern, &name));
        }
        assert!(met > 1_000, "only {met} fitted");
    }
}
