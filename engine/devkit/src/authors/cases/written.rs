//! A case as it stands in its file, before anybody has asked whether it makes sense.

use pipeline::Mistake;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use serde_saphyr::{DefaultMessageFormatter, Error, Location, MessageFormatter, Spanned};
use std::collections::BTreeMap;

/// A JSON object, in the order in which it was written.
pub(crate) type Object = Map<String, Value>;

/// The whole file. Which of the first keys it has depends on the plugin's world.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct CaseFile {
    pub with: Option<Spanned<Object>>,
    pub object: Option<Spanned<Object>>,
    pub parameters: Option<Spanned<Object>>,
    pub env: Option<Spanned<BTreeMap<String, String>>>,
    pub application: Option<Spanned<WrittenApplication>>,
    pub metric: Option<Spanned<Object>>,
    pub set_weight: Option<Spanned<WrittenSplit>>,
    pub verify_weight: Option<Spanned<WrittenSplit>>,
    pub remove: Option<Spanned<Object>>,
    pub grants: Option<Spanned<BTreeMap<String, Vec<String>>>>,
    pub files: Option<Spanned<BTreeMap<String, String>>>,
    pub artifacts: Option<Spanned<BTreeMap<String, String>>>,
    pub secrets: Option<Spanned<BTreeMap<String, String>>>,
    pub http: Option<Spanned<Vec<Spanned<WrittenExchange>>>>,
    #[serde(default)]
    pub calls: Vec<Spanned<WrittenCall>>,
    pub expect: Spanned<Expect>,
}

/// The Application that a generator is asked for; a case names what matters to it.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct WrittenApplication {
    pub name: String,
    pub namespace: String,
    pub revision: String,
    pub path: String,
}

impl Default for WrittenApplication {
    fn default() -> Self {
        let (name, revision) = ("recorded".to_owned(), "0".repeat(40));
        WrittenApplication { name, namespace: String::new(), revision, path: String::new() }
    }
}

/// How traffic is to be shared.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenSplit {
    pub rollout: Object,
    pub weight: u32,
    #[serde(default)]
    pub others: Vec<WrittenDestination>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenDestination {
    pub service: String,
    pub hash: String,
    pub weight: u32,
}

/// A request and its answer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenExchange {
    pub request: super::RecordedRequest,
    pub response: Option<super::RecordedResponse>,
    pub fault: Option<super::HostFault>,
}

/// A call of an ability and its answer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenCall {
    pub ask: Spanned<String>,
    pub with: Option<Spanned<Object>>,
    /// `null` is an answer as well.
    #[serde(default, deserialize_with = "there")]
    pub answer: Option<Spanned<Value>>,
    pub fault: Option<super::HostFault>,
}

/// What must come of it. Which of the middle keys it has depends on the plugin's world.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expect {
    pub verdict: crate::authors::outcome::Ending,
    pub because: Option<String>,
    pub outputs: Option<Spanned<BTreeMap<String, String>>>,
    pub health: Option<Spanned<WrittenHealth>>,
    pub manifests: Option<Spanned<Vec<String>>>,
    pub measurement: Option<Spanned<WrittenMeasurement>>,
    pub verification: Option<Spanned<String>>,
    pub log: Option<Vec<String>>,
}

/// How an object is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenHealth {
    pub status: Spanned<String>,
    pub message: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct WrittenMeasurement {
    pub value: Value,
    pub judgement: Spanned<String>,
    pub message: Option<String>,
}

/// A key that is there, whatever its value.
fn there<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Spanned<Value>>, D::Error> {
    Spanned::deserialize(deserializer).map(Some)
}

/// A case's text, in which mistakes have their places.
pub(super) struct Page<'a> {
    /// The file's name, as it was found.
    pub file: &'a str,
    /// The file's text, for the line that a mistake shows.
    pub text: &'a str,
}

impl Page<'_> {
    /// A mistake at a place.
    pub(super) fn mistake(&self, at: Location, message: impl Into<String>, help: impl Into<String>) -> Mistake {
        let from_one = |number: u64| usize::try_from(number).unwrap_or(1).max(1);
        let (line, column) = (from_one(at.line()), from_one(at.column()));
        let source_line = self.text.lines().nth(line - 1).unwrap_or_default().to_owned();
        let word = source_line.chars().skip(column - 1).take_while(|c| c.is_alphanumeric() || "._-".contains(*c));
        let length = word.count().max(1);
        let (file, message, help) = (self.file.to_owned(), message.into(), help.into());
        Mistake { file, line, column, length, message, help, source_line }
    }

    /// Reads the file's form.
    ///
    /// # Errors
    /// Where it is no YAML, or has another form.
    pub(super) fn read(&self) -> Result<CaseFile, Mistake> {
        serde_saphyr::from_str(self.text).map_err(|error| {
            let at = error.location().unwrap_or(Location::UNKNOWN);
            let (message, help) = told(error.without_snippet());
            self.mistake(at, message, help)
        })
    }
}

fn told(error: &Error) -> (String, String) {
    let ticked = |words: &[&str]| words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(", ");
    match error {
        Error::SerdeUnknownField { field, expected, .. } => {
            (format!("there is no key `{field}` here"), format!("there are {}", ticked(expected)))
        }
        Error::SerdeUnknownVariant { variant, expected, .. } => (
            format!("`{variant}` is none of the words that can stand here"),
            format!("write one of {}", ticked(expected)),
        ),
        Error::SerdeMissingField { field, .. } => (format!("it lacks the key `{field}`"), format!("add `{field}:`")),
        Error::NullIntoString { .. } => {
            ("a text is missing here".into(), "write a text; an empty one is `\"\"`".into())
        }
        Error::Unexpected { expected: "mapping start", .. } => ("it is no map".into(), "write `key: value`".into()),
        Error::Unexpected { expected: "sequence start", .. } => ("it is no list".into(), "write `[one, other]`".into()),
        other => {
            let message = DefaultMessageFormatter.format_message(other).into_owned();
            (message, "`bespin plugin test --help` shows how a case is written".to_owned())
        }
    }
}
