//! `.dockerignore`: its rules decide as another reading of them does, which tries every way.

use decide::image::ignore::{Ignore, clean, matches};

/// The longest pattern and path that every way is tried for, in characters.
const MOST: usize = 14;

/// Looks at bytes as an ignore file, a NUL, and a path.
pub(crate) fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (rules, path) = text.split_once('\0').unwrap_or((text, "a/b.md"));
    let path = clean(path);
    let ignored = Ignore::parse(rules).ignores(&path);
    let lines: Vec<&str> = rules.strip_prefix('\u{feff}').unwrap_or(rules).lines().collect();
    let short = |text: &str| text.chars().count() <= MOST;
    if short(&path) && lines.iter().all(|line| short(line)) {
        assert_eq!(ignored, decides(&lines, &path), "{lines:?} on {path:?}");
    }
}

/// The last line that fits the path or a folder above it decides.
fn decides(lines: &[&str], path: &str) -> bool {
    let mut ignored = false;
    for line in lines.iter().filter(|line| !line.starts_with('#')) {
        let line = line.trim();
        let (pattern, kept) = line.strip_prefix('!').map_or((line, false), |pattern| (pattern.trim(), true));
        let pattern = clean(pattern);
        let parts: Vec<&str> = path.split('/').collect();
        let fits = |pattern: &str| {
            let pattern: Vec<&str> = pattern.split('/').collect();
            (1..=parts.len()).any(|length| parts_fit(&pattern, &parts[..length]))
        };
        if !pattern.is_empty() && fits(&pattern) {
            ignored = !kept;
        }
        assert_eq!(matches(&pattern, path), parts_fit(&pattern.split('/').collect::<Vec<_>>(), &parts), "{pattern}");
    }
    ignored
}

fn parts_fit(pattern: &[&str], path: &[&str]) -> bool {
    match pattern {
        [] => path.is_empty(),
        ["**", rest @ ..] => (0..=path.len()).any(|taken| parts_fit(rest, &path[taken..])),
        [part, rest @ ..] => path.split_first().is_some_and(|(name, below)| {
            let (part, name): (Vec<char>, Vec<char>) = (part.chars().collect(), name.chars().collect());
            name_fits(&part, &name) && parts_fit(rest, below)
        }),
    }
}

/// As Go's `filepath.Match` says of itself.
fn name_fits(pattern: &[char], name: &[char]) -> bool {
    match pattern {
        [] => name.is_empty(),
        ['*', rest @ ..] => (0..=name.len()).any(|taken| name_fits(rest, &name[taken..])),
        ['?', rest @ ..] => !name.is_empty() && name_fits(rest, &name[1..]),
        ['[', rest @ ..] => {
            let Some(end) = rest.iter().skip(1).position(|c| *c == ']').map(|at| at + 1) else { return false };
            let (negated, inside) = match &rest[..end] {
                ['^', inside @ ..] => (true, inside),
                inside => (false, inside),
            };
            let is_in = |c: char| {
                let mut left = inside;
                let mut found = false;
                while let [low, more @ ..] = left {
                    (found, left) = match more {
                        ['-', high, more @ ..] => (found || (*low..=*high).contains(&c), more),
                        more => (found || *low == c, more),
                    };
                }
                found
            };
            name.first().is_some_and(|c| is_in(*c) != negated) && name_fits(&rest[end + 1..], &name[1..])
        }
        ['\\', c, rest @ ..] | [c, rest @ ..] => name.first() == Some(c) && name_fits(rest, &name[1..]),
    }
}
