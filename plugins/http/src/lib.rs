//! Sends one request, judges its status, and takes outputs out of a JSON answer.
//!
//! Secrets may stand in the address and in headers; the host fills them in, and the plugin never sees them.

use std::collections::BTreeMap;

use bespin_sdk::http::{Header, Request};
use bespin_sdk::secrets::{Part, Secret};
use bespin_sdk::{Deserialize, Failure, Named, Outputs, Result, Text, Value, http, reject, secrets, warn};

/// What is shown of an answer that was not expected, in bytes.
const SHOWN: usize = 2 << 10;

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Settings {
    /// The address.
    url: Words,
    /// In upper case.
    #[serde(default = "get")]
    method: String,
    /// By name.
    #[serde(default)]
    headers: BTreeMap<String, Words>,
    /// The body, as a text.
    body: Option<Text>,
    /// The body, as JSON; `content-type` follows from it.
    json: Option<Value>,
    /// Which statuses are a success: `204`, or `2xx` for all that begin so.
    #[serde(default = "successes")]
    expect: Vec<Text>,
    /// Outputs by name: each a JSON pointer into the answer, such as `/data/0/id`.
    #[serde(default)]
    outputs: BTreeMap<String, String>,
}

/// A text that may have secrets in it: one word, or several that are put together.
#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a text, `{ secret: name }` or a list of these")]
enum Words {
    One(Word),
    Several(Vec<Word>),
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "expected a text or `{ secret: name }`")]
enum Word {
    Text(Text),
    Secret(Named),
}

/// A word whose secret was found.
enum Found {
    Text(String),
    Secret(Secret),
}

fn get() -> String {
    "GET".to_owned()
}

fn successes() -> Vec<Text> {
    vec![Text("2xx".to_owned())]
}

fn run(settings: Settings) -> Result<Outputs> {
    if let Some(odd) = settings.expect.iter().find(|expected| !is_pattern(&expected.0)) {
        reject!("with: expect: `{}` is no status; write one such as 204, or 2xx", odd.0);
    }
    if settings.outputs.contains_key("status") {
        reject!("with: outputs: `status` is the answer's status already");
    }
    let (body, is_json) = match (settings.body, &settings.json) {
        (Some(_), Some(_)) => reject!("with: write `body` or `json`, not both"),
        (body, None) => (body.unwrap_or_default().0.into_bytes(), false),
        (None, Some(json)) => (bespin_sdk::json(json)?, true),
    };
    let mut headers = Vec::new();
    for (name, words) in settings.headers {
        headers.push((name, found(words)?));
    }
    if is_json && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type")) {
        headers.push(("content-type".to_owned(), vec![Found::Text("application/json".to_owned())]));
    }
    let url = found(settings.url)?;
    let headers = headers.iter().map(|(name, value)| Header { name: name.clone(), value: parts(value) }).collect();
    let answer = http::send(&Request { method: settings.method, url: parts(&url), headers, body })?;
    judge(answer.status, &answer.body, &settings.expect)?;
    let mut outputs = Outputs::new().with("status", answer.status.to_string());
    if settings.outputs.is_empty() {
        return Ok(outputs);
    }
    let Ok(json) = serde_json::from_slice::<Value>(&answer.body) else {
        reject!("the answer is not JSON, and `outputs` are to be taken from it");
    };
    for (name, pointer) in &settings.outputs {
        outputs = outputs.with(name, taken(&json, pointer)?);
    }
    Ok(outputs)
}

fn judge(status: u16, body: &[u8], expected: &[Text]) -> Result<()> {
    if expected.iter().any(|pattern| fits(&pattern.0, status)) {
        return Ok(());
    }
    let shown = String::from_utf8_lossy(&body[..body.len().min(SHOWN)]);
    if !shown.is_empty() {
        // To the log, where the host masks secrets; a reason is shown in more places.
        warn!("{shown}");
    }
    let expected: Vec<&str> = expected.iter().map(|pattern| pattern.0.as_str()).collect();
    let because = format!("the answer's status is {status}, and not {}", expected.join(" or "));
    match status {
        408 | 429 | 500.. => Err(Failure::Transient(because)),
        _ => Err(Failure::Rejected(because)),
    }
}

fn is_pattern(pattern: &str) -> bool {
    let digits = pattern.strip_suffix("xx").unwrap_or(pattern);
    let whole = matches!((digits.len(), pattern.len()), (1 | 3, 3));
    whole && digits.starts_with(['1', '2', '3', '4', '5']) && digits.bytes().all(|digit| digit.is_ascii_digit())
}

fn fits(pattern: &str, status: u16) -> bool {
    let status = status.to_string();
    match pattern.strip_suffix("xx") {
        Some(class) => status.starts_with(class),
        None => status == pattern,
    }
}

/// What a pointer names: a text as it stands, anything else as JSON. Nothing and null are no outputs.
fn taken(json: &Value, pointer: &str) -> Result<String> {
    match json.pointer(pointer) {
        None | Some(Value::Null) => reject!("the answer has nothing at `{pointer}`"),
        Some(Value::String(text)) => Ok(text.clone()),
        Some(other) => Ok(other.to_string()),
    }
}

fn found(words: Words) -> Result<Vec<Found>> {
    let words = match words {
        Words::One(word) => vec![word],
        Words::Several(words) => words,
    };
    let find = |word| match word {
        Word::Text(text) => Ok(Found::Text(text.0)),
        Word::Secret(named) => Ok(Found::Secret(secrets::get(&named.secret)?)),
    };
    words.into_iter().map(find).collect()
}

fn parts(found: &[Found]) -> Vec<Part<'_>> {
    found.iter().map(Found::part).collect()
}

impl Found {
    fn part(&self) -> Part<'_> {
        match self {
            Found::Text(text) => Part::Text(text.clone()),
            Found::Secret(secret) => Part::Secret(secret),
        }
    }
}

bespin_sdk::step!(run);
bespin_sdk::settings!("settings.json");
