//! Label and field selectors.

use serde_json::Value;

use super::refusal::Refusal;

#[derive(Clone, Debug, PartialEq)]
enum Need {
    In(String, Vec<String>),
    NotIn(String, Vec<String>),
    Exists(String),
    Absent(String),
}

/// A label selector: every requirement in it must hold.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Labels(Vec<Need>);

impl Labels {
    /// Reads the form of an address: `app=web,tier!=db,env in (a,b),!old`.
    ///
    /// # Errors
    /// 400 when it is malformed.
    pub fn parse(text: &str) -> Result<Labels, Refusal> {
        let mut needs = Vec::new();
        for part in split_outside_parentheses(text) {
            needs.push(need(part.trim()).ok_or_else(|| {
                let found = part.split_whitespace().nth(1).unwrap_or_default();
                let expected = "in, notin, =, ==, !=, gt, lt";
                Refusal::bad_request(format!("unable to parse requirement: found '{found}', expected: {expected}"))
            })?);
        }
        Ok(Labels(needs))
    }

    /// Reads the form of a spec: `matchLabels` and `matchExpressions`, or a plain map. Nothing at all selects nothing.
    pub fn of_spec(selector: &Value) -> Option<Labels> {
        let map = selector.as_object()?;
        let text = |v: &Value| v.as_str().unwrap_or_default().to_owned();
        let plain = !map.contains_key("matchLabels") && !map.contains_key("matchExpressions");
        let labels = if plain { Some(map) } else { selector["matchLabels"].as_object() };
        let equal = labels.into_iter().flatten().map(|(k, v)| Need::In(k.clone(), vec![text(v)]));
        let mut needs: Vec<Need> = equal.collect();
        for expression in selector["matchExpressions"].as_array().into_iter().flatten().filter(|_| !plain) {
            let key = text(&expression["key"]);
            let values = expression["values"].as_array().into_iter().flatten().map(&text).collect();
            needs.push(match expression["operator"].as_str()? {
                "In" => Need::In(key, values),
                "NotIn" => Need::NotIn(key, values),
                "Exists" => Need::Exists(key),
                "DoesNotExist" => Need::Absent(key),
                _ => return None,
            });
        }
        Some(Labels(needs))
    }

    /// Whether an object's labels satisfy it.
    pub fn matches(&self, object: &Value) -> bool {
        let label = |key: &str| object["metadata"]["labels"].get(key).and_then(Value::as_str);
        self.0.iter().all(|need| match need {
            Need::In(key, values) => label(key).is_some_and(|v| values.iter().any(|w| w == v)),
            Need::NotIn(key, values) => !label(key).is_some_and(|v| values.iter().any(|w| w == v)),
            Need::Exists(key) => label(key).is_some(),
            Need::Absent(key) => label(key).is_none(),
        })
    }
}

/// The form of an address.
impl std::fmt::Display for Labels {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let parts: Vec<String> = self
            .0
            .iter()
            .map(|need| match need {
                Need::In(key, values) if values.len() == 1 => format!("{key}={}", values[0]),
                Need::In(key, values) => format!("{key} in ({})", values.join(",")),
                Need::NotIn(key, values) if values.len() == 1 => format!("{key}!={}", values[0]),
                Need::NotIn(key, values) => format!("{key} notin ({})", values.join(",")),
                Need::Exists(key) => key.clone(),
                Need::Absent(key) => format!("!{key}"),
            })
            .collect();
        f.write_str(&parts.join(","))
    }
}

fn split_outside_parentheses(text: &str) -> Vec<&str> {
    let (mut depth, mut start, mut parts) = (0, 0, Vec::new());
    for (at, letter) in text.char_indices() {
        match letter {
            '(' => depth += 1,
            ')' => depth -= 1,
            ',' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts.into_iter().filter(|p| !p.trim().is_empty()).collect()
}

fn need(part: &str) -> Option<Need> {
    let owned = |s: &str| s.trim().to_owned();
    for (word, negative) in [(" notin ", true), (" in ", false)] {
        if let Some((key, values)) = part.split_once(word) {
            let values = values.trim().strip_prefix('(')?.strip_suffix(')')?;
            let values = values.split(',').map(owned).collect();
            return Some(if negative { Need::NotIn(owned(key), values) } else { Need::In(owned(key), values) });
        }
    }
    if let Some((key, value)) = part.split_once("!=") {
        return Some(Need::NotIn(owned(key), vec![owned(value)]));
    }
    if let Some((key, value)) = part.split_once("==").or_else(|| part.split_once('=')) {
        return Some(Need::In(owned(key), vec![owned(value)]));
    }
    match part.strip_prefix('!') {
        Some(key) => Some(Need::Absent(owned(key))),
        None => (!part.contains(' ')).then(|| Need::Exists(owned(part))),
    }
}

/// A field selector: paths with dots, compared as text.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fields(Vec<(String, String, bool)>);

impl Fields {
    /// Reads `metadata.name=web,status.phase!=Running`.
    ///
    /// # Errors
    /// 400 when it is malformed.
    pub fn parse(text: &str) -> Result<Fields, Refusal> {
        let mut terms = Vec::new();
        for part in text.split(',').filter(|p| !p.is_empty()) {
            let (path, value, equal) = match part.split_once("!=") {
                Some((path, value)) => (path, value, false),
                None => match part.split_once("==").or_else(|| part.split_once('=')) {
                    Some((path, value)) => (path, value, true),
                    None => return Err(Refusal::bad_request(format!("invalid selector: '{part}'; can't understand"))),
                },
            };
            terms.push((path.replace('.', "/"), value.to_owned(), equal));
        }
        Ok(Fields(terms))
    }

    /// Whether an object satisfies it; an absent field is an empty text.
    pub fn matches(&self, object: &Value) -> bool {
        self.0.iter().all(|(path, wanted, equal)| {
            let found = match object.pointer(&format!("/{path}")) {
                None | Some(Value::Null) => String::new(),
                Some(Value::String(text)) => text.clone(),
                Some(other) => other.to_string(),
            };
            (found == *wanted) == *equal
        })
    }
}

/// Both selectors of a list or a watch.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selection {
    /// What `labelSelector` asks; empty lets every object through.
    pub labels: Labels,
    /// What `fieldSelector` asks; empty lets every object through.
    pub fields: Fields,
}

impl Selection {
    /// Whether an object is selected.
    pub fn matches(&self, object: &Value) -> bool {
        self.labels.matches(object) && self.fields.matches(object)
    }
}
