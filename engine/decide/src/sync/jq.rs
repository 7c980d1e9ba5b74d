//! `jqPathExpressions` with bounded work.
//!
//! jq can loop for ever, and a decision may not. So only expressions that
//! walk downwards are read: fields, indices, `[]`, `..`, `select` with simple
//! conditions. Each node is then visited at most once for each part of the
//! expression. Anything else is refused by name, never half understood.

use jaq_core::load::{Arena, File, Loader};
use jaq_core::{Compiler, Ctx, Vars, data::JustLut, unwrap_valr};
use jaq_json::{Val, read};
use serde_json::Value;

/// The longest expression, in bytes.
const LONGEST: usize = 512;
/// The most paths that one expression may find.
const MOST_PATHS: usize = 10_000;
/// The words that an expression may use.
const WORDS: [&str; 17] = [
    "select",
    "has",
    "length",
    "not",
    "test",
    "startswith",
    "endswith",
    "contains",
    "tostring",
    "tonumber",
    "type",
    "and",
    "or",
    "true",
    "false",
    "null",
    "empty",
];

/// A step of a found path.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Part {
    /// An item of a list.
    Index(usize),
    /// A field of a map.
    Key(String),
}

/// Finds the paths that an expression names in a value, in its order.
///
/// # Errors
/// An expression that cannot be read or whose work is not bounded, with the help.
pub(super) fn paths(expression: &str, value: &Value) -> Result<Vec<Vec<Part>>, String> {
    check(expression)?;
    let code = format!("path({expression})");
    let definitions = jaq_core::defs().chain(jaq_std::defs()).chain(jaq_json::defs());
    let functions = jaq_core::funs().chain(jaq_std::funs()).chain(jaq_json::funs());
    let arena = Arena::default();
    let wrong = || format!("`{expression}` is no jq path");
    let modules = Loader::new(definitions).load(&arena, File { code: code.as_str(), path: () }).map_err(|_| wrong())?;
    let filter = Compiler::default().with_funs(functions).compile(modules).map_err(|_| wrong())?;
    let input = read::parse_single(value.to_string().as_bytes()).map_err(|error| format!("{error:?}"))?;
    let context = Ctx::<JustLut<Val>>::new(&filter.lut, Vars::new([]));
    let mut found = Vec::new();
    // An error ends the walk as it does in Argo CD: a path that is not there matches nothing.
    for output in filter.id.run((context, input)).map(unwrap_valr).map_while(Result::ok) {
        if found.len() == MOST_PATHS {
            return Err(format!("`{expression}` finds more than {MOST_PATHS} paths: narrow it"));
        }
        found.extend(path_of(&output));
    }
    Ok(found)
}

fn path_of(output: &Val) -> Option<Vec<Part>> {
    let value: Value = serde_json::from_str(&output.to_string()).ok()?;
    let part = |part: &Value| match part {
        Value::String(key) => Some(Part::Key(key.clone())),
        Value::Number(index) => index.as_u64().map(|index| Part::Index(index as usize)),
        _ => None,
    };
    value.as_array()?.iter().map(part).collect()
}

/// Refuses whatever could make the work more than a walk.
fn check(expression: &str) -> Result<(), String> {
    if expression.len() > LONGEST {
        return Err(format!("a jq path of {} bytes; the most is {LONGEST}", expression.len()));
    }
    let refuse =
        |what: &str| Err(format!("`{expression}` uses {what}, which this version does not evaluate: name the fields"));
    let mut chars = expression.char_indices().peekable();
    let mut depth = 0usize;
    let mut recursions = 0;
    let mut before = ' ';
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => {
                let text = quoted(&expression[at..]).ok_or_else(|| format!("`{expression}` has an open quote"))?;
                if text.contains("\\(") {
                    return refuse("an interpolation");
                }
                while chars.peek().is_some_and(|(next, _)| *next < at + text.len()) {
                    chars.next();
                }
            }
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            '[' if depth > 0 && expression[at + 1..].trim_start().starts_with(']') => {
                return refuse("`[]` inside brackets");
            }
            '.' if before == '.' => {
                recursions += 1;
                if depth > 0 || recursions > 1 {
                    return refuse("`..` more than once or inside brackets");
                }
            }
            '$' | '@' | '+' | '*' | '/' | '%' | ',' | ';' | '{' => return refuse(&format!("`{c}`")),
            c if c.is_alphabetic() || c == '_' => {
                let end = expression[at..]
                    .find(|c: char| !c.is_alphanumeric() && c != '_')
                    .map_or(expression.len(), |n| at + n);
                let word = &expression[at..end];
                if before != '.' && !WORDS.contains(&word) {
                    return refuse(&format!("`{word}`"));
                }
                while chars.peek().is_some_and(|(next, _)| *next < end) {
                    chars.next();
                }
            }
            _ => {}
        }
        before = c;
    }
    Ok(())
}

/// A quoted text with its quotes, from its start.
fn quoted(text: &str) -> Option<&str> {
    let mut escaped = false;
    let end = text.char_indices().skip(1).find(|(_, c)| {
        let ends = *c == '"' && !escaped;
        escaped = *c == '\\' && !escaped;
        ends
    })?;
    text.get(..=end.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_reach_down_to_elements_of_lists() {
        let value = json!({ "spec": { "containers": [
            { "name": "a", "image": "x" }, { "name": "istio-proxy", "image": "y" } ], "a.b": 1 } });
        let image = r#".spec.containers[] | select(.name == "istio-proxy") | .image"#;
        let key = |text: &str| Part::Key(text.into());
        let found = paths(image, &value).expect("a path");
        assert_eq!(found, [vec![key("spec"), key("containers"), Part::Index(1), key("image")]]);
        assert_eq!(paths(r#".spec["a.b"]"#, &value).expect("a path"), [vec![key("spec"), key("a.b")]]);
        assert_eq!(paths(".spec.containers[]?.image", &value).expect("a path").len(), 2);
        assert_eq!(paths(".. | .image? | select(. == \"y\")", &value).expect("a path").len(), 1);
        assert!(paths(".nothing[].here", &value).expect("a path").is_empty());
    }

    #[test]
    fn what_could_run_for_ever_is_refused_by_name() {
        let refused = [
            "def f: f; f",
            "repeat(.)",
            "range(1e18)",
            ".. | ..",
            ".a | select(.. == 1)",
            ".[] + .[]",
            "input",
            "$ENV",
            "select(.[] == .[])",
            ".a as $x | .b",
            "\"\\(repeat(.))\"",
            "until(false; .)",
            ".[",
            "env.HOME",
            "limit(1; .)",
        ];
        for text in refused {
            assert!(paths(text, &json!({ "a": 1 })).is_err(), "{text}");
        }
    }
}
