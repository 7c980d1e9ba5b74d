//! The one expression language, between `${{` and `}}`.

use minijinja::{Environment, UndefinedBehavior};
use serde_json::{Map, Value};

/// What expressions may name.
#[derive(Clone, Debug, PartialEq)]
pub struct Scope(pub Value);

/// Renders every text of a value. A lone `${{ x }}` keeps the type of `x`.
///
/// # Errors
/// A sentence that names the expression that failed.
pub fn render(value: &Value, scope: &Scope) -> Result<Value, String> {
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
/// # Errors
/// A sentence that says why it cannot be evaluated.
pub fn holds(condition: &str, scope: &Scope) -> Result<bool, String> {
    let bare = condition.trim();
    let bare = bare.strip_prefix("${{").and_then(|rest| rest.strip_suffix("}}")).unwrap_or(bare);
    Ok(evaluate(bare, scope)?.is_true())
}

fn render_text(text: &str, scope: &Scope) -> Result<Value, String> {
    let mut rest = text;
    let mut out = String::new();
    while let Some(start) = rest.find("${{") {
        let after = &rest[start + 3..];
        let end = after.find("}}").ok_or_else(|| format!("`{text}`: `${{{{` without its `}}}}`"))?;
        let value = evaluate(&after[..end], scope)?;
        let left = &after[end + 2..];
        if start == 0 && left.is_empty() && out.is_empty() {
            return serde_json::to_value(&value).map_err(|error| error.to_string());
        }
        out.push_str(&rest[..start]);
        out.push_str(&value.to_string());
        rest = left;
    }
    out.push_str(rest);
    Ok(Value::String(out))
}

fn evaluate(expression: &str, scope: &Scope) -> Result<minijinja::Value, String> {
    let mut environment = Environment::new();
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    let failed = |error: minijinja::Error| format!("`${{{{ {} }}}}`: {error}", expression.trim());
    let compiled = environment.compile_expression(expression.trim()).map_err(failed)?;
    let value = compiled.eval(minijinja::value::Serde(&scope.0)).map_err(failed)?;
    if value.is_undefined() {
        return Err(format!("`${{{{ {} }}}}`: there is no such name", expression.trim()));
    }
    Ok(value)
}
