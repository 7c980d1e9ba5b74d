//! `.dockerignore`: its rules decide as another reading of them does, which tries every way.

use decide::image::ignore::{Ignore, clean, matches};

/// The longest pattern and path that every way is tried for, in characters.
const MOST: usize = 14;

/// Looks at bytes as an ignore file, a NUL, and a path.
pub(crate) fn check(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let (rules, path) = text.split_once('\0').unwrap_or((text, "a/b.md"));
    let path = clean(path);
    let lines: Vec<&str> = rules.strip_prefix('\u{feff}').unwrap_or(rules).lines().collect();
    let rules = match Ignore::parse(rules) {
        Ok(rules) => rules,
        Err(wrong) => return assert!(wrong.pattern.split('/').any(|part| tokens(part).is_none()), "{wrong}"),
    };
    let ignored = rules.ignores(&path);
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
            let name: Vec<char> = name.chars().collect();
            let part = tokens(part).unwrap_or_else(|| panic!("{part} is refused"));
            name_fits(&part, &name) && parts_fit(rest, below)
        }),
    }
}

/// What one place of a pattern fits.
enum Token {
    /// Any number of characters.
    Star,
    /// Any one character.
    Any,
    /// One character of these ranges, or one outside of them.
    Class { negated: bool, ranges: Vec<(char, char)> },
}

/// One bound of a range.
fn bound(left: &mut impl Iterator<Item = char>) -> Option<char> {
    match left.next()? {
        '-' | ']' => None,
        '\\' => left.next(),
        plain => Some(plain),
    }
}

/// A pattern in its places, by the grammar that stands at Go's `filepath.Match`; `None` where it is none.
fn tokens(pattern: &str) -> Option<Vec<Token>> {
    let mut left = pattern.chars().peekable();
    let mut tokens = Vec::new();
    while let Some(first) = left.next() {
        let one = |c| Token::Class { negated: false, ranges: vec![(c, c)] };
        tokens.push(match first {
            '*' => Token::Star,
            '?' => Token::Any,
            '\\' => one(left.next()?),
            '[' => {
                let negated = left.next_if_eq(&'^').is_some();
                let mut ranges = Vec::new();
                while ranges.is_empty() || left.next_if_eq(&']').is_none() {
                    let low = bound(&mut left)?;
                    let is_range = left.next_if_eq(&'-').is_some();
                    ranges.push((low, if is_range { bound(&mut left)? } else { low }));
                }
                Token::Class { negated, ranges }
            }
            plain => one(plain),
        });
    }
    Some(tokens)
}

fn name_fits(pattern: &[Token], name: &[char]) -> bool {
    match pattern {
        [] => name.is_empty(),
        [Token::Star, rest @ ..] => (0..=name.len()).any(|taken| name_fits(rest, &name[taken..])),
        [Token::Any, rest @ ..] => !name.is_empty() && name_fits(rest, &name[1..]),
        [Token::Class { negated, ranges }, rest @ ..] => name.split_first().is_some_and(|(c, left)| {
            ranges.iter().any(|(low, high)| (low..=high).contains(&c)) != *negated && name_fits(rest, left)
        }),
    }
}
