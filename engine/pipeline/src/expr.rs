//! The one expression language, between `${{` and `}}`: minijinja's, with a
//! short list of filters and GitHub's status functions.
//!
//! An unknown name is an error, never an empty text; what an expression may
//! cost is bounded.

mod check;
mod split;

pub use check::{ExprFault, ExprPlace, KnownNames, check, did_you_mean};
pub(crate) use check::{asks_status, bare};
pub use split::{Piece, split};

use minijinja::value::{Serde, ValueKind};
use minijinja::{Environment, Error, ErrorKind, Expression, UndefinedBehavior, Value as Found, filters, tests};
use serde_json::{Map, Value};

/// What one expression may cost, in minijinja's instructions.
const FUEL: u64 = 10_000;
/// How many words and signs an expression may have: each may nest in the one before it, and takes of the stack then.
const MOST_PARTS: usize = 500;
/// How long what an expression makes may be, in bytes.
const LONGEST: usize = 256 << 10;
/// The functions that say how the run stands; conditions only.
pub(crate) const STATUS: [&str; 4] = ["success", "failure", "always", "cancelled"];

/// The filters that there are.
const FILTERS: [&str; 13] = [
    "default", "first", "int", "join", "last", "length", "lower", "replace", "split", "string", "tojson", "trim",
    "upper",
];
/// The tests that there are.
const TESTS: [&str; 4] = ["defined", "endingwith", "in", "startingwith"];

/// What expressions may name.
#[derive(Clone, Debug, PartialEq)]
pub struct Variables(pub Value);

/// What stands around a condition that does not ask how the run stands.
const AFTER_SUCCESS: (&str, &str) = ("success() and (", ")");

/// A condition that counts only once what the step needs succeeded.
pub(crate) fn after_success(condition: &str) -> String {
    let (before, after) = AFTER_SUCCESS;
    format!("{before}{condition}{after}")
}

/// The condition as the file has it, where [`Step::condition`](crate::Step::condition) asks for success on top of it.
pub fn beside_success(condition: &str) -> Option<&str> {
    let (before, after) = AFTER_SUCCESS;
    condition.strip_prefix(before)?.strip_suffix(after)
}

/// Renders every text of a value. A lone `${{ x }}` keeps the type of `x`.
///
/// # Errors
/// A sentence that names the expression that failed.
pub fn render(value: &Value, scope: &Variables) -> Result<Value, String> {
    match value {
        Value::String(text) => render_text(text, scope),
        Value::Array(items) => items.iter().map(|item| render(item, scope)).collect(),
        Value::Object(map) => {
            let render = |(key, value): (&String, &Value)| Ok((key.clone(), render(value, scope)?));
            map.iter().map(render).collect::<Result<Map<_, _>, String>>().map(Value::Object)
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(value.clone()),
    }
}

/// Whether a condition holds; it may stand with or without `${{ }}`.
///
/// `success()` asks whether all that the step needs succeeded, by `run.succeeding`; `failure()` whether something
/// failed, by `run.failing`: a need that was skipped is neither. `cancelled()` asks for the run; `always()` holds.
///
/// # Errors
/// A sentence that says why it cannot be evaluated; a text or a number is no
/// condition, since the text `false` would hold.
pub fn holds(condition: &str, scope: &Variables) -> Result<bool, String> {
    let bare = split::bare(condition);
    let found = evaluate(bare, scope, &conditions(scope))?;
    match bool::try_from(found.clone()) {
        Ok(holds) if found.kind() == ValueKind::Bool => Ok(holds),
        _ => Err(format!("`{bare}` is {}, neither true nor false; compare it with something", name_kind(&found))),
    }
}

fn render_text(text: &str, scope: &Variables) -> Result<Value, String> {
    let pieces = split(text)?;
    if let [Piece::Expression { source, .. }] = pieces.as_slice() {
        let found = evaluate(source, scope, &environment())?;
        return serde_json::to_value(&found).map_err(|error| format!("`${{{{ {source} }}}}`: {error}"));
    }
    let mut out = String::new();
    for piece in &pieces {
        match piece {
            Piece::Text(text) => out.push_str(text),
            Piece::Expression { source, .. } => {
                let found = evaluate(source, scope, &environment())?;
                match found.kind() {
                    // As GitHub and YAML write it; Jinja would say `True`.
                    ValueKind::Bool => out.push_str(if found.is_true() { "true" } else { "false" }),
                    ValueKind::String | ValueKind::Number => out.push_str(&found.to_string()),
                    _ => {
                        return Err(format!(
                            "`${{{{ {source} }}}}` is {}, which has no place within a text",
                            name_kind(&found)
                        ));
                    }
                }
            }
        }
        if out.len() > LONGEST {
            return Err(format!("the text that `{}` makes is over {LONGEST} bytes", shorten(text)));
        }
    }
    Ok(Value::String(out))
}

fn evaluate(source: &str, scope: &Variables, environment: &Environment<'_>) -> Result<Found, String> {
    let failed = |error: Error| format!("`${{{{ {source} }}}}`: {}", explain(&error));
    let compiled =
        compile(source, environment).map_err(|unread| format!("`${{{{ {source} }}}}`: {}", unread.message))?;
    let found = compiled.eval(Serde(&scope.0));
    match found {
        Ok(found) if !found.is_undefined() => Ok(found),
        Err(error) if error.kind() != ErrorKind::UndefinedError => Err(failed(error)),
        // Say which part of which name is missing, and what there is instead.
        _ => {
            let mut names: Vec<String> = compiled.undeclared_variables(true).into_iter().collect();
            names.sort();
            let missing = names.iter().filter(|name| !STATUS.contains(&name.as_str()));
            let missing = missing.map(String::as_str).find_map(|name| self::missing(name, &scope.0));
            Err(format!("`${{{{ {source} }}}}`: {}", missing.unwrap_or_else(|| "there is no such name".to_owned())))
        }
    }
}

/// What of an expression cannot be read.
struct Unread {
    at: std::ops::Range<usize>,
    message: String,
}

/// Compiles an expression, all of it.
fn compile<'e, 's>(source: &'s str, environment: &'e Environment<'s>) -> Result<Expression<'e, 's>, Unread> {
    let parts = parts(beside_success(source).unwrap_or(source));
    if parts > MOST_PARTS {
        let message = format!("it has {parts} words and signs, and {MOST_PARTS} are the most");
        return Err(Unread { at: 0..0, message });
    }
    let unread = |error: &Error| Unread { at: error.range().unwrap_or_default(), message: explain(error) };
    let compiled = environment.compile_expression(source).map_err(|error| unread(&error))?;
    // minijinja 3.1 ends an expression without a word at an unreadable character
    // that follows a text, as in `a == 'b' && c`; within brackets it cannot.
    match environment.compile_expression_owned(format!("({source}\n)")) {
        Ok(_) => Ok(compiled),
        Err(error) => {
            let end = error.range().map_or(source.len(), |range| range.end.saturating_sub(1).min(source.len()));
            Err(Unread { at: end..source.len(), message: "what follows here cannot be read".to_owned() })
        }
    }
}

/// The words of an expression and the signs between them; a text in quotes is one, whatever stands in it.
fn parts(source: &str) -> usize {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let (mut parts, mut in_word, mut chars) = (0, false, source.chars());
    while let Some(c) = chars.next() {
        parts += usize::from(!(c.is_whitespace() || in_word && is_word(c)));
        in_word = is_word(c);
        if matches!(c, '\'' | '"') {
            while let Some(inner) = chars.next().filter(|inner| *inner != c) {
                if inner == '\\' {
                    chars.next();
                }
            }
        }
    }
    parts
}

fn missing(name: &str, scope: &Value) -> Option<String> {
    let (mut at, mut here) = (String::new(), scope);
    for part in name.split('.') {
        let Some(map) = here.as_object() else { return Some(format!("`{at}` is no map, so it has no `{part}`")) };
        let Some(next) = map.get(part) else {
            let known: Vec<&str> = map.keys().map(String::as_str).collect();
            let known = if known.is_empty() { "nothing".to_owned() } else { known.join(", ") };
            let place = if at.is_empty() { "an expression may name".to_owned() } else { format!("`{at}` has") };
            return Some(format!("there is no `{}`; {place} {known}", join(&at, part)));
        };
        at = join(&at, part);
        here = next;
    }
    None
}

fn join(at: &str, part: &str) -> String {
    if at.is_empty() { part.to_owned() } else { format!("{at}.{part}") }
}

/// minijinja's words without its place, which is always the expression itself.
fn explain(error: &Error) -> String {
    match (error.kind(), error.detail()) {
        (ErrorKind::OutOfFuel, _) => "it costs too much".to_owned(),
        (_, Some(detail)) => detail.to_owned(),
        (kind, None) => kind.to_string(),
    }
}

fn name_kind(found: &Found) -> String {
    match found.kind() {
        ValueKind::String => format!("the text `{}`", shorten(&found.to_string())),
        ValueKind::Number => format!("the number {found}"),
        ValueKind::None => "nothing (null)".to_owned(),
        other => format!("a {other}"),
    }
}

pub(crate) fn shorten(text: &str) -> String {
    if text.chars().count() <= 60 { text.to_owned() } else { text.chars().take(60).chain(['…']).collect() }
}

/// Nothing but what is listed here is there.
fn environment() -> Environment<'static> {
    let mut environment = Environment::empty();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_fuel(Some(FUEL));
    environment.add_filter("default", filters::default);
    environment.add_filter("first", filters::first);
    environment.add_filter("int", filters::int);
    environment.add_filter("join", filters::join);
    environment.add_filter("last", filters::last);
    environment.add_filter("length", filters::length);
    environment.add_filter("lower", filters::lower);
    environment.add_filter("replace", filters::replace);
    environment.add_filter("split", filters::split);
    environment.add_filter("string", filters::string);
    environment.add_filter("tojson", |found: Found| {
        serde_json::to_string(&found).map_err(|e| Error::new(ErrorKind::BadSerialization, e.to_string()))
    });
    environment.add_filter("trim", filters::trim);
    environment.add_filter("upper", filters::upper);
    environment.add_test("defined", tests::is_defined);
    environment.add_test("in", tests::is_in);
    environment.add_test("startingwith", tests::is_startingwith);
    environment.add_test("endingwith", tests::is_endingwith);
    environment
}

fn conditions(scope: &Variables) -> Environment<'static> {
    let outcome = scope.0["run"]["outcome"].as_str().unwrap_or_default().to_owned();
    let cancelled = matches!(outcome.as_str(), "cancelled" | "superseded");
    let succeeding = scope.0["run"]["succeeding"].as_bool().unwrap_or(outcome == "succeeded");
    let failing = scope.0["run"]["failing"].as_bool().unwrap_or(!succeeding);
    let mut environment = environment();
    environment.add_function("success", move || succeeding && !cancelled);
    environment.add_function("failure", move || failing && !cancelled);
    environment.add_function("cancelled", move || cancelled);
    environment.add_function("always", || true);
    environment
}

#[cfg(test)]
mod checks {
    use super::*;
    use serde_json::json;

    fn scope() -> Variables {
        Variables(json!({
            "run": { "number": 55, "outcome": "failed", "succeeding": false, "title": "Größe" },
            "commit": { "short": "f31bdcc", "branch": "main" },
            "env": { "repository": "host/petclinic-was" },
            "steps": { "push": { "image": "host/was:v55", "changed": "false" }, "dr-sync": { "outcome": "skipped" } },
        }))
    }

    fn check(text: &str, expected: Value) {
        assert_eq!(render(&json!(text), &scope()), Ok(expected), "{text}");
    }

    fn refused(text: &str) -> String {
        render(&json!(text), &scope()).unwrap_err()
    }

    #[test]
    fn texts_are_rendered_and_a_lone_expression_keeps_its_type() {
        check("plain", json!("plain"));
        check("v${{ run.number }}-${{ commit.short }}", json!("v55-f31bdcc"));
        check("${{ run.number }}", json!(55));
        check("well: ${{ run.succeeding }}, or ${{ run.number > 1 }}", json!("well: false, or true"));
        check("${{ steps.push }}", json!({ "image": "host/was:v55", "changed": "false" }));
        check("${{ steps['dr-sync'].outcome }}", json!("skipped"));
        check("${{ env.repository | upper }}: ${{ \"}}\" }}", json!("HOST/PETCLINIC-WAS: }}"));
        check("$${{ kept }}", json!("${{ kept }}"));
        check("${{ steps.push.digest | default('-') }}", json!("-"));
        let nested = json!({ "a": ["${{ run.number }}", true], "b": null });
        assert_eq!(render(&nested, &scope()), Ok(json!({ "a": [55, true], "b": null })));
    }

    #[test]
    fn what_is_missing_is_named_with_what_there_is() {
        assert_eq!(
            refused("${{ steps.push.imagee }}"),
            "`${{ steps.push.imagee }}`: there is no `steps.push.imagee`; `steps.push` has image, changed"
        );
        assert!(refused("${{ steps.image.build }}").contains("`steps` has push, dr-sync"));
        assert!(refused("${{ comit.sha }}").contains("an expression may name run, commit, env, steps"));
        assert!(refused("${{ run.number.x }}").contains("`run.number` is no map"));
        assert!(refused("${{ run.number").contains("without its `}}`"));
        assert!(refused("a ${{ steps.push }}").contains("no place within a text"));
        assert!(refused("${{ success() }}").contains("success"));
    }

    #[test]
    fn costs_are_bounded() {
        assert!(refused("${{ 'a' * 100000000 }}").contains("costs too much"));
        assert!(refused(&format!("${{{{ {}1 }}}}", "(".repeat(100_000))).len() < 400_000);
        assert!(refused("${{ range(100000) }}").contains("unknown"));
    }

    #[test]
    fn a_text_in_quotes_is_one_part_of_an_expression_whatever_stands_in_it() {
        let words = "Größe, \\' and {} \\\\ ".repeat(300);
        for quote in ['"', '\''] {
            let text = words.replace('"', "\\\"");
            let made = render(&json!(format!("${{{{ {quote}{text}{quote} ~ run.number }}}}")), &scope()).unwrap();
            assert!(made.as_str().unwrap().ends_with("\\ 55"), "{made}");
        }
        let sum = |terms: usize| format!("${{{{ {}'a' }}}}", "'b + c' ~ ".repeat(terms));
        assert!(render(&json!(sum(249)), &scope()).is_ok());
        assert!(refused(&sum(250)).contains("it has 501 words and signs, and 500 are the most"));
        let open = format!("${{{{ run.number ~ {}'a b }}}}", "1 + ".repeat(10));
        assert!(refused(&open).contains("without its"), "{}", refused(&open));
    }

    #[test]
    fn conditions_are_true_or_false_and_nothing_else() {
        let holds = |condition: &str| holds(condition, &scope());
        assert_eq!(holds("commit.branch == 'main'"), Ok(true));
        assert_eq!(holds("${{ commit.branch == 'main' and not success() }}"), Ok(true));
        assert_eq!(holds("success()"), Ok(false));
        assert_eq!(holds("failure() or cancelled()"), Ok(true));
        assert_eq!(holds("not failure()"), Ok(false));
        assert_eq!(holds("always()"), Ok(true));
        assert!(holds("steps.push.changed").unwrap_err().contains("is the text `false`, neither true nor false"));
        assert!(holds("commit.branch == 'main' && false").unwrap_err().contains("cannot be read"));
        assert!(holds("run.number").is_err() && holds("steps.x.y").is_err() && holds("").is_err());
    }
}
