//! Finds the expressions of a text.

/// A part of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Piece {
    /// What stands for itself.
    Text(String),
    /// What stood between `${{` and `}}`, trimmed.
    Expression {
        /// The text between the braces, to be evaluated.
        source: String,
        /// The how-manieth `${{` of the text it is, from 0, counting `$${{` as well.
        nth: usize,
    },
}

/// Splits a text into its pieces. `$${{` stands for `${{`; a `}}` within
/// quotes does not end an expression.
///
/// # Errors
/// A sentence, when an expression does not end.
pub fn split(text: &str) -> Result<Vec<Piece>, String> {
    let (mut pieces, mut rest, mut plain, mut nth) = (Vec::new(), text, String::new(), 0);
    while let Some(start) = rest.find("${{") {
        let (before, from) = (&rest[..start], &rest[start + 3..]);
        if let Some(before) = before.strip_suffix('$') {
            plain.push_str(before);
            plain.push_str("${{");
            rest = from;
        } else {
            plain.push_str(before);
            let end = end(from)
                .ok_or_else(|| format!("a `${{{{` without its `}}}}`: `{}`", super::shorten(&rest[start..])))?;
            if !plain.is_empty() {
                pieces.push(Piece::Text(std::mem::take(&mut plain)));
            }
            pieces.push(Piece::Expression { source: from[..end].trim().to_owned(), nth });
            rest = &from[end + 2..];
        }
        nth += 1;
    }
    plain.push_str(rest);
    if !plain.is_empty() || pieces.is_empty() {
        pieces.push(Piece::Text(plain));
    }
    Ok(pieces)
}

/// Where the expression ends: at the first `}}` that is in no quotes and
/// closes no map of its own.
fn end(text: &str) -> Option<usize> {
    let (mut quote, mut escaped, mut open) = (None, false, 0_usize);
    for (at, byte) in text.bytes().enumerate() {
        match (quote, byte) {
            (Some(_), _) if escaped => escaped = false,
            (Some(_), b'\\') => escaped = true,
            (Some(q), _) if q == byte => quote = None,
            (Some(_), _) => {}
            (None, b'\'' | b'"') => quote = Some(byte),
            (None, b'{') => open += 1,
            (None, b'}') if open > 0 => open -= 1,
            (None, b'}') if text.as_bytes().get(at + 1) == Some(&b'}') => return Some(at),
            (None, _) => {}
        }
    }
    None
}

/// A condition without the `${{ }}` that may stand around it.
pub(crate) fn bare(condition: &str) -> &str {
    let condition = condition.trim();
    let inner = condition.strip_prefix("${{").filter(|inner| end(inner).map(|end| end + 2) == Some(inner.len()));
    inner.map_or(condition, |inner| inner[..inner.len() - 2].trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_and_their_places() {
        let expression = |source: &str, nth| Piece::Expression { source: source.into(), nth };
        let text = |text: &str| Piece::Text(text.into());
        assert_eq!(split("").unwrap(), [text("")]);
        assert_eq!(split("a$${{b}}${{ c }}d").unwrap(), [text("a${{b}}"), expression("c", 1), text("d")]);
        assert_eq!(split("${{ {'a': {'b': 1}} }}").unwrap(), [expression("{'a': {'b': 1}}", 0)]);
        assert_eq!(split("${{ '}}' }}${{x}}").unwrap(), [expression("'}}'", 0), expression("x", 1)]);
        assert!(split("${{ '}} ").is_err());
    }

    #[test]
    fn a_condition_needs_no_braces() {
        assert_eq!(bare(" ${{ a }} "), "a");
        assert_eq!(bare("a == '}}'"), "a == '}}'");
        assert_eq!(bare("${{ a }} or ${{ b }}"), "${{ a }} or ${{ b }}");
    }
}
