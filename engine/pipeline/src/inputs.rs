//! The inputs of a pipeline that a person starts: how a file declares them, and which values fit.

use crate::Manual;
use crate::expr::did_you_mean;
use crate::reader::{FileReader, field, head};
use crate::shape;
use crate::tree::{MapKey, Node, NodeKind};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};

mod given;

pub use given::given_in;

/// How many inputs a pipeline may have; a form that is longer is not read.
const MOST: usize = 25;
/// How long a text may be that a person gives, in bytes.
const LONGEST: usize = 8 << 10;
/// How long the values of one start may be together, in bytes: each of them is in its journal and in its page.
const LONGEST_TOGETHER: usize = 16 << 10;
/// From here on not every whole number is one that a float can hold.
const EXACT: f64 = 9_007_199_254_740_992.0;

/// A value that a person gives to the run that they start.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Input {
    /// Its name, as in `inputs.NAME`.
    pub name: String,
    /// What it is for, for people; may be empty.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub description: String,
    /// Which values it takes.
    #[serde(rename = "type")]
    pub kind: InputKind,
    /// The values of a choice, in the file's order; empty for the other types.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    /// Whether it may be left out.
    pub presence: InputPresence,
    /// Its value where nobody gives one, of its type.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default: Option<Value>,
}

/// Which values an input takes, in GitHub's words.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InputKind {
    /// Any text.
    #[default]
    String,
    /// `true` or `false`.
    Boolean,
    /// A number as JSON writes it.
    Number,
    /// One of its options.
    Choice,
}

/// Whether an input may be left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InputPresence {
    /// It may: then it has its default, or the empty value of its type.
    #[default]
    Optional,
    /// A person has to give it, unless it has a default.
    Required,
}

/// What is wrong with a value that a person gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongInput {
    /// The name of the input, as the person wrote it.
    pub input: String,
    /// What is wrong, as one sentence without a full stop.
    pub message: String,
    /// How to fix it.
    pub help: String,
}

impl InputKind {
    /// Every type that there is.
    pub const ALL: [InputKind; 4] = [InputKind::String, InputKind::Boolean, InputKind::Number, InputKind::Choice];

    /// Its word in a pipeline file.
    pub fn word(self) -> &'static str {
        match self {
            InputKind::String => "string",
            InputKind::Boolean => "boolean",
            InputKind::Number => "number",
            InputKind::Choice => "choice",
        }
    }
}

impl Input {
    /// Its value where nobody gives one: the default, or what GitHub takes for a called workflow's.
    pub fn unset(&self) -> Value {
        self.default.clone().unwrap_or_else(|| match self.kind {
            InputKind::String | InputKind::Choice => Value::String(String::new()),
            InputKind::Boolean => Value::Bool(false),
            InputKind::Number => Value::from(0),
        })
    }

    /// The value that was given, as one of its type. A text stands for a truth or a number, since forms and command
    /// lines know nothing else.
    ///
    /// # Errors
    /// What is wrong, and how to fix it.
    pub fn read(&self, given: &Value) -> Result<Value, WrongInput> {
        let text = given.as_str();
        match self.kind {
            InputKind::String => match text {
                Some(text) if text.len() > LONGEST => {
                    let long = format!("`{}` has {} bytes, over the {LONGEST} that are taken", self.name, text.len());
                    Err(self.wrong(long, "give a shorter text"))
                }
                Some(text) if text.contains('\0') => {
                    Err(self.wrong(format!("`{}` has a NUL in it", self.name), "no program could be given it"))
                }
                Some(_) => Ok(given.clone()),
                None => Err(self.wrong(format!("`{}` is a text, not {given}", self.name), "put it in quotes")),
            },
            InputKind::Boolean => match (given, text) {
                (Value::Bool(_), _) => Ok(given.clone()),
                (_, Some("true")) => Ok(Value::Bool(true)),
                (_, Some("false")) => Ok(Value::Bool(false)),
                _ => {
                    let what = format!("`{}` is true or false, not {}", self.name, shown(given));
                    Err(self.wrong(what, "write `true` or `false`"))
                }
            },
            InputKind::Number => self.number(given),
            InputKind::Choice => match text {
                Some(text) if self.options.iter().any(|option| option == text) => Ok(given.clone()),
                _ => {
                    let named = self.options.iter().map(String::as_str).filter(|option| !option.is_empty());
                    let near = text.and_then(|text| did_you_mean(text, named));
                    let help = near.unwrap_or_else(|| format!("the options are {}", list(&self.options)));
                    Err(self.wrong(format!("`{}` has no option {}", self.name, shown(given)), help))
                }
            },
        }
    }

    fn number(&self, given: &Value) -> Result<Value, WrongInput> {
        let text = given.as_str().map(str::trim);
        let Some(number) = given.as_number().cloned().or_else(|| written_number(text?)) else {
            let what = format!("`{}` is a number, not {}", self.name, shown(given));
            return Err(self.wrong(what, "write a number, such as `3` or `0.5`"));
        };
        let kept = number.to_string();
        let reads_back = match text {
            Some(text) => text == kept,
            // How JSON wrote it is not known here; a float of this size stands for a whole number that lost digits.
            None => number.is_i64() || number.is_u64() || number.as_f64().is_some_and(|float| float.abs() < EXACT),
        };
        if reads_back {
            return Ok(Value::Number(number));
        }
        let what = format!("the number {} of `{}` would be kept as `{kept}`", shown(given), self.name);
        let help = format!("write `{kept}`; an input of `type: string` keeps what is quoted as it is written");
        Err(self.wrong(what, help))
    }

    fn wrong(&self, message: impl Into<String>, help: impl Into<String>) -> WrongInput {
        WrongInput { input: self.name.clone(), message: message.into(), help: help.into() }
    }

    fn missing(&self) -> WrongInput {
        let help = match self.kind {
            InputKind::String => "give it a text".to_owned(),
            InputKind::Boolean => "say `true` or `false`".to_owned(),
            InputKind::Number => "give it a number".to_owned(),
            InputKind::Choice => format!("choose one of {}", list(&self.options)),
        };
        self.wrong(format!("`{}` is required", self.name), help)
    }
}

impl Manual {
    /// The value of every input, where a person gives these.
    ///
    /// # Errors
    /// Everything that is wrong with what the person gives.
    pub fn values(&self, given: &BTreeMap<String, Value>) -> Result<BTreeMap<String, Value>, Vec<WrongInput>> {
        let names = || self.inputs.iter().map(|input| input.name.as_str());
        let unknown = given.keys().filter(|name| !names().any(|known| known == name.as_str())).map(|name| {
            let all = || match self.inputs.len() {
                0 => "the pipeline takes no inputs; leave it out".to_owned(),
                _ => format!("the inputs are {}", list(names())),
            };
            let help = did_you_mean(name, names()).unwrap_or_else(all);
            WrongInput { input: name.clone(), message: format!("there is no input `{name}`"), help }
        });
        let mut wrong: Vec<WrongInput> = unknown.collect();
        let mut values = BTreeMap::new();
        for input in &self.inputs {
            let is_required = input.presence == InputPresence::Required;
            match given.get(&input.name) {
                None if is_required && input.default.is_none() => wrong.push(input.missing()),
                None => drop(values.insert(input.name.clone(), input.unset())),
                // What a form sends of a field that nobody filled.
                Some(Value::String(text)) if is_required && text.trim().is_empty() => wrong.push(input.missing()),
                Some(given) => match input.read(given) {
                    Ok(value) => drop(values.insert(input.name.clone(), value)),
                    Err(one) => wrong.push(one),
                },
            }
        }
        if wrong.is_empty() {
            wrong.extend(too_long_together(&values));
        }
        if wrong.is_empty() { Ok(values) } else { Err(wrong) }
    }
}

/// Said of the longest, which is the one to be shortened.
fn too_long_together(values: &BTreeMap<String, Value>) -> Option<WrongInput> {
    let length = |value: &Value| value.as_str().map_or_else(|| value.to_string().len(), str::len);
    let together: usize = values.values().map(length).sum();
    let (longest, _) = values.iter().max_by_key(|(_, value)| length(value))?;
    (together > LONGEST_TOGETHER).then(|| WrongInput {
        input: longest.clone(),
        message: format!("the inputs have {together} bytes together, over the {LONGEST_TOGETHER} that are taken"),
        help: "give shorter texts, or the name of a file that holds them".to_owned(),
    })
}

/// The number that a text is as JSON writes it.
fn written_number(text: &str) -> Option<serde_json::Number> {
    serde_json::from_str(text).ok()
}

fn shown(given: &Value) -> String {
    match given {
        Value::String(text) => format!("`{}`", crate::expr::shorten(text)),
        other => format!("`{}`", crate::expr::shorten(&other.to_string())),
    }
}

fn list<'a>(names: impl IntoIterator<Item = impl AsRef<str> + 'a>) -> String {
    names.into_iter().map(|name| format!("`{}`", name.as_ref())).collect::<Vec<_>>().join(", ")
}

/// Reads `inputs`. One with a mistake is kept, so that whoever names it makes none.
pub(crate) fn read(reader: &mut FileReader<'_>, node: &Node) -> Vec<Input> {
    if node.is_null() {
        return Vec::new();
    }
    let entries = reader.entries(node, "`inputs`").unwrap_or_default();
    if let Some((key, _)) = entries.get(MOST) {
        reader.wrong(&key.at, format!("`inputs` has more than {MOST} of them"), "leave some out, or group them in one");
    }
    entries.iter().map(|(key, value)| input(reader, key, value)).collect()
}

fn hint(key: &str) -> Option<(&'static str, &'static str)> {
    match key {
        "value" => Some(("the value where nobody gives one is called `default`", "write `default:`")),
        "choices" | "values" | "enum" => {
            Some(("the values of a choice are called `options`", "write `options: [a, b]`"))
        }
        "deprecationMessage" => Some(("`deprecationMessage` is not used", "say it in the `description`")),
        _ => None,
    }
}

fn input(reader: &mut FileReader<'_>, key: &MapKey, node: &Node) -> Input {
    name(reader, key);
    let what = format!("the input `{}`", key.text);
    let entries = if node.is_null() { &[] } else { reader.entries(node, &what).unwrap_or_default() };
    reader.known_keys(entries, &shape::keys::<shape::InputSchema>(), "an input", hint);
    let set = |key: &str| field(entries, key).filter(|node| !node.is_null());
    let kind = set("type").map_or(Some(InputKind::default()), |node| kind(reader, node));
    let mut input = Input {
        name: key.text.clone(),
        description: set("description").and_then(|node| reader.text(node, "`description`")).unwrap_or_default(),
        kind: kind.unwrap_or_default(),
        options: options(reader, kind, set("options"), &key.at),
        presence: set("required").map(|node| presence(reader, node)).unwrap_or_default(),
        default: None,
    };
    if let Some(node) = set("default").filter(|_| kind.is_some()) {
        input.default = default(reader, &input, node);
    }
    input
}

fn name(reader: &mut FileReader<'_>, key: &MapKey) {
    let name = &key.text;
    let starts = |c: char| c.is_ascii_alphabetic() || c == '_';
    let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if name.starts_with(starts) && name.chars().all(fits) && name.len() <= 63 {
        return;
    }
    let better: String = name.chars().map(|c| if fits(c) { c } else { '_' }).take(63).collect();
    let better = better.trim_start_matches(|c| !starts(c)).trim_end_matches(['_', '-']);
    let help = if better.is_empty() { "write something like `version`".into() } else { format!("write `{better}`") };
    reader.wrong(&key.at, "an input's name has 1 to 63 letters, digits, `_` and `-`, a letter or `_` first", help);
}

fn kind(reader: &mut FileReader<'_>, node: &Node) -> Option<InputKind> {
    let text = reader.text(node, "`type`")?;
    let named = InputKind::ALL.into_iter().find(|kind| kind.word() == text);
    if named.is_none() {
        let words = InputKind::ALL.map(InputKind::word);
        let help = match text.as_str() {
            "environment" => "write `type: choice`, and the environments as its `options`".to_owned(),
            "bool" | "flag" => "write `type: boolean`".to_owned(),
            "text" => "write `type: string`".to_owned(),
            "int" | "integer" | "float" => "write `type: number`".to_owned(),
            "enum" | "select" => "write `type: choice`".to_owned(),
            _ => did_you_mean(&text, words).unwrap_or_else(|| format!("there are {}", list(words))),
        };
        reader.wrong(&node.at, format!("an input has no type `{text}`"), help);
    }
    named
}

fn options(
    reader: &mut FileReader<'_>,
    kind: Option<InputKind>,
    node: Option<&Node>,
    at: &std::ops::Range<usize>,
) -> Vec<String> {
    const EXAMPLE: &str = "write them as `options: [staging, production]`";
    let Some(node) = node else {
        if kind == Some(InputKind::Choice) {
            reader.wrong(at, "a choice without `options` leaves nothing to choose", EXAMPLE);
        }
        return Vec::new();
    };
    let texts = reader.texts(node, "`options`");
    if kind.is_some_and(|kind| kind != InputKind::Choice) {
        reader.wrong(&head(node), "only a choice has `options`", "write `type: choice`, or leave them out");
    }
    if texts.is_empty() && matches!(node.kind, NodeKind::List(_)) {
        reader.wrong(&head(node), "a choice without `options` leaves nothing to choose", EXAMPLE);
    }
    let mut known = BTreeSet::new();
    for (text, at) in &texts {
        if text.trim().is_empty() {
            reader.wrong(at, "an option is empty", "write what a person chooses");
        } else if text.contains("${{") {
            reader.wrong(at, "options are known before a run is, so that they hold no expressions", "write it out");
        } else if !known.insert(text.as_str()) {
            reader.wrong(at, format!("the option `{text}` stands there twice"), "leave one of them out");
        }
    }
    texts.into_iter().map(|(text, _)| text).collect()
}

fn presence(reader: &mut FileReader<'_>, node: &Node) -> InputPresence {
    match node.to_json() {
        Value::Bool(true) => InputPresence::Required,
        Value::Bool(false) => InputPresence::Optional,
        _ => {
            reader.wrong(
                &head(node),
                format!("`required` is true or false, not {}", node.name()),
                "write `required: true`",
            );
            InputPresence::Optional
        }
    }
}

fn default(reader: &mut FileReader<'_>, input: &Input, node: &Node) -> Option<Value> {
    let text = reader.text(node, "`default`")?;
    if text.contains("${{") {
        let help = "write it out; an expression stands where the input is used";
        reader.wrong(&head(node), "a default is known before a run is, so that it holds no expression", help);
        return None;
    }
    if input.kind == InputKind::Choice && input.options.is_empty() {
        return None;
    }
    let given = match input.kind {
        // As it is written: `1.10` is a version.
        InputKind::String | InputKind::Choice => Value::String(text),
        InputKind::Number if written_number(&text).is_some() => Value::String(text),
        InputKind::Boolean | InputKind::Number => node.to_json(),
    };
    let read = input.read(&given);
    read.map_err(|wrong| reader.wrong(&node.at, format!("the default of {}", wrong.message), wrong.help)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const FILE: &str = "name: x
on:
  manual:
    inputs:
      version: { description: Which one?, required: true }
      environment: { type: choice, options: [staging, production], default: staging }
      dry-run: { type: boolean, default: true }
      replicas: { type: number }
      note:
steps: [{ uses: image }]
";

    fn values(given: Value) -> Result<Value, Vec<String>> {
        let manual = crate::parse("x.yaml", FILE).unwrap().on.manual.unwrap();
        let values = manual.values(&serde_json::from_value(given).unwrap());
        let said = |wrong: Vec<WrongInput>| {
            wrong.into_iter().map(|wrong| format!("{}: {}; {}", wrong.input, wrong.message, wrong.help)).collect()
        };
        values.map(|values| json!(values)).map_err(said)
    }

    #[test]
    fn what_is_not_given_has_its_default_or_the_empty_value() {
        let all = json!({ "version": "1.2", "environment": "staging", "dry-run": true, "replicas": 0, "note": "" });
        assert_eq!(values(json!({ "version": "1.2" })), Ok(all));
        let typed =
            json!({ "version": "5", "environment": "production", "dry-run": false, "replicas": 2.5, "note": " " });
        assert_eq!(values(typed.clone()), Ok(typed.clone()));
        let texts =
            json!({ "version": "5", "environment": "production", "dry-run": "false", "replicas": "2.5", "note": " " });
        assert_eq!(values(texts), Ok(typed), "a form and a command line give texts");
    }

    #[test]
    fn everything_that_is_wrong_is_said_at_once() {
        let given = json!({ "version": 5, "environment": "prodution", "dry-run": "yes", "replicas": "many", "note": "a\0b",
            "dryrun": true, "zone": "x" });
        let expected = [
            "dryrun: there is no input `dryrun`; did you mean `dry-run`?",
            "zone: there is no input `zone`; the inputs are `version`, `environment`, `dry-run`, `replicas`, `note`",
            "version: `version` is a text, not 5; put it in quotes",
            "environment: `environment` has no option `prodution`; did you mean `production`?",
            "dry-run: `dry-run` is true or false, not `yes`; write `true` or `false`",
            "replicas: `replicas` is a number, not `many`; write a number, such as `3` or `0.5`",
            "note: `note` has a NUL in it; no program could be given it",
        ];
        assert_eq!(values(given).unwrap_err(), expected);
        for given in [json!({}), json!({ "version": " " })] {
            assert_eq!(values(given).unwrap_err(), ["version: `version` is required; give it a text"]);
        }
        let long = values(json!({ "version": "x".repeat(LONGEST + 1) })).unwrap_err();
        assert_eq!(long, ["version: `version` has 8193 bytes, over the 8192 that are taken; give a shorter text"]);
    }

    #[test]
    fn a_number_that_does_not_read_back_is_refused() {
        let replicas = |given: Value| values(json!({ "version": "1", "replicas": given }));
        let kept =
            [json!("-2"), json!("0.5"), json!(" 18446744073709551615 "), json!(u64::MAX), json!(i64::MIN), json!(1.5)];
        for given in kept {
            let expected = given.as_str().map_or_else(|| given.clone(), |text| serde_json::from_str(text).unwrap());
            assert_eq!(replicas(given).unwrap()["replicas"], expected);
        }
        let said = "replicas: the number `2.50` of `replicas` would be kept as `2.5`; \
                    write `2.5`; an input of `type: string` keeps what is quoted as it is written";
        assert_eq!(replicas(json!("2.50")).unwrap_err(), [said]);
        let large: Value = serde_json::from_str("20261201000000000001").unwrap();
        for given in [json!("20261201000000000001"), large, json!("1e3"), json!("-0")] {
            let said = replicas(given.clone()).unwrap_err();
            assert!(said[0].contains("would be kept as"), "{given}: {said:?}");
        }
        let file = FILE.replace("{ type: number }", "{ type: number, default: 2.50 }");
        let said = crate::parse("x.yaml", &file).unwrap_err();
        assert_eq!(said[0].message, "the default of the number `2.50` of `replicas` would be kept as `2.5`");
    }

    #[test]
    fn the_values_of_a_start_have_a_length_together() {
        let file = "name: x\non: { manual: { inputs: { a: , b: , c: } } }\nsteps: [{ uses: image }]\n";
        let manual = crate::parse("x.yaml", file).unwrap().on.manual.unwrap();
        let given = |c: usize| {
            let texts = [("a", LONGEST - 1), ("b", LONGEST), ("c", c)];
            texts.map(|(name, length)| (name.to_owned(), json!("x".repeat(length)))).into()
        };
        assert!(manual.values(&given(1)).is_ok());
        let wrong = manual.values(&given(2)).unwrap_err();
        assert_eq!(wrong[0].message, "the inputs have 16385 bytes together, over the 16384 that are taken");
        assert_eq!((wrong.len(), wrong[0].input.as_str()), (1, "b"));
    }

    #[test]
    fn inputs_survive_the_journal_and_older_ones_have_none() {
        let manual = crate::parse("x.yaml", FILE).unwrap().on.manual.unwrap();
        let json = serde_json::to_value(&manual).unwrap();
        assert_eq!(
            json["inputs"][2],
            json!({ "name": "dry-run", "type": "boolean", "presence": "optional", "default": true })
        );
        assert_eq!(serde_json::from_value::<Manual>(json).unwrap(), manual);
        assert_eq!(serde_json::from_value::<Manual>(json!({})).unwrap(), Manual::default());
        assert_eq!(serde_json::to_value(Manual::default()).unwrap(), json!({}), "older servers read what they know");
    }
}
