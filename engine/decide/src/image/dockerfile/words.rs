//! The words of an instruction: quotes, escapes and variables.
//!
//! Substitution is Docker's: `$name`, `${name}`, `${name:-word}`, `${name:+word}`.

use std::collections::BTreeMap;

/// How deep substitutions may nest: each takes its part of the stack.
const DEEPEST: usize = 50;
/// The longest text that substitutions may make, in bytes; a whole Dockerfile has no more.
const LONGEST: usize = 1 << 20;

/// Variables in reach of an instruction.
pub(super) type BuildVariables = BTreeMap<String, String>;

/// Splits at white space outside of quotes; quotes and escapes stay in the words.
pub(super) fn split(text: &str, escape: char) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = String::new();
    let mut quote: Option<char> = None;
    let mut characters = text.chars();
    while let Some(c) = characters.next() {
        match quote {
            Some(open) if c == open => quote = None,
            None if c == '"' || c == '\'' => quote = Some(c),
            None if c.is_whitespace() => {
                if !word.is_empty() {
                    words.push(std::mem::take(&mut word));
                }
                continue;
            }
            _ => {}
        }
        word.push(c);
        if c == escape && quote != Some('\'') {
            word.extend(characters.next());
        }
    }
    if !word.is_empty() {
        words.push(word);
    }
    words
}

/// Takes quotes and escapes away and puts the variables in, each from the first of the maps that has it.
///
/// # Errors
/// A sentence for the author: an open quote, a substitution that is not known, or what grows or nests without bounds.
pub(super) fn expand(text: &str, variables: &[&BuildVariables], escape: char) -> Result<String, String> {
    expand_within(text, variables, escape, DEEPEST)
}

fn expand_within(text: &str, variables: &[&BuildVariables], escape: char, deeper: usize) -> Result<String, String> {
    let mut out = String::new();
    let mut quote: Option<char> = None;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        rest = &rest[c.len_utf8()..];
        match c {
            '\'' if quote != Some('"') => quote = toggled(quote, c),
            '"' if quote != Some('\'') => quote = toggled(quote, c),
            '$' if quote != Some('\'') => {
                rest = variable(rest, variables, escape, deeper, &mut out)?;
                if out.len() > LONGEST {
                    return Err(format!("the variables make more than {LONGEST} bytes of it"));
                }
            }
            c if c == escape && quote != Some('\'') => match rest.chars().next() {
                // Within double quotes only these are escaped; elsewhere the character stays.
                Some(next) if quote.is_none() || next == '"' || next == '$' || next == escape => {
                    out.push(next);
                    rest = &rest[next.len_utf8()..];
                }
                _ => out.push(c),
            },
            c => out.push(c),
        }
    }
    match quote {
        Some(open) => Err(format!("the quote {open} is never closed")),
        None => Ok(out),
    }
}

fn toggled(quote: Option<char>, c: char) -> Option<char> {
    if quote.is_some() { None } else { Some(c) }
}

/// Writes the variable that `rest` begins with, and answers what follows it.
fn variable<'a>(
    rest: &'a str,
    variables: &[&BuildVariables],
    escape: char,
    deeper: usize,
    out: &mut String,
) -> Result<&'a str, String> {
    let value_of = |name: &str| variables.iter().find_map(|map| map.get(name)).map_or("", String::as_str);
    let inner = |word: &str| match deeper.checked_sub(1) {
        Some(deeper) => expand_within(word, variables, escape, deeper),
        None => Err(format!("its substitutions nest deeper than {DEEPEST} levels")),
    };
    let Some(braced) = rest.strip_prefix('{') else {
        let end = name_end(rest);
        if end == 0 {
            out.push('$');
            return Ok(rest);
        }
        out.push_str(value_of(&rest[..end]));
        return Ok(&rest[end..]);
    };
    let end = closing(braced).ok_or_else(|| format!("`${rest}` has no closing brace"))?;
    let (inside, after) = (&braced[..end], &braced[end + 1..]);
    let (name, modifier) = inside.split_at(name_end(inside));
    if name.is_empty() {
        return Err(format!("`${{{inside}}}` names no variable"));
    }
    let value = value_of(name);
    match (modifier.get(..2), modifier.is_empty()) {
        (_, true) => out.push_str(value),
        (Some(":-"), _) if value.is_empty() => out.push_str(&inner(&modifier[2..])?),
        (Some(":-"), _) => out.push_str(value),
        (Some(":+"), _) if value.is_empty() => {}
        (Some(":+"), _) => out.push_str(&inner(&modifier[2..])?),
        _ => return Err(format!("`${{{inside}}}` is a substitution that only a Docker Engine knows")),
    }
    Ok(after)
}

fn name_end(text: &str) -> usize {
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        return 1;
    }
    text.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(text.len())
}

/// The brace that closes, past nested ones.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 0;
    for (at, c) in text.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_keep_their_quotes_together() {
        assert_eq!(split(r#"A="b c" d\ e 'f g'"#, '\\'), [r#"A="b c""#, r"d\ e", "'f g'"]);
        assert_eq!(split("  ", '\\'), Vec::<String>::new());
    }

    #[test]
    fn variables_are_put_in() {
        let variables = BuildVariables::from([("A".into(), "1".into()), ("EMPTY".into(), String::new())]);
        let rows = [
            ("$A-${A}", "1-1"),
            ("$AB", ""),
            ("${B:-x$A}", "x1"),
            ("${A:-x}", "1"),
            ("${EMPTY:-x}", "x"),
            ("${A:+y}", "y"),
            ("${B:+y}", ""),
            (r"\$A", "$A"),
            ("'$A'", "$A"),
            (r#""$A \"q\" \n""#, r#"1 "q" \n"#),
            ("100$", "100$"),
        ];
        for (text, wanted) in rows {
            assert_eq!(expand(text, &[&variables], '\\').as_deref(), Ok(wanted), "{text}");
        }
    }

    #[test]
    fn what_is_not_closed_is_said() {
        for text in ["\"a", "${A", "${}", "${A#x}"] {
            assert!(expand(text, &[], '\\').is_err(), "{text}");
        }
    }
}
