//! The calls whose answers can be recorded, by the names of the contract: what each is asked, and what it answers.

use pipeline::permission::Ability;
use serde_json::{Map, Value};

/// A function of the contract.
pub(crate) struct Function {
    /// `interface.function`, as a case names it.
    pub name: &'static str,
    asked: &'static [KeyRule],
    answer: ValueForm,
}

/// A key of a record.
struct KeyRule {
    name: &'static str,
    form: ValueForm,
    need: Need,
}

/// Whether a key has to be there.
#[derive(PartialEq)]
enum Need {
    Always,
    WhereGiven,
}

/// What a value may be.
enum ValueForm {
    /// Nothing is answered: `{}`.
    Nothing,
    Text,
    /// A text, or `{ base64: text }` for what is no text.
    Bytes,
    Texts,
    /// Texts by their names.
    Named,
    Truth,
    Whole,
    /// One of these words.
    Word(&'static [&'static str]),
    Record(&'static [KeyRule]),
    /// One of these keys, with texts.
    OneOf(&'static [&'static str]),
    /// A record, or `null` where there is none.
    Perhaps(&'static [KeyRule]),
    /// What series are at the moment: `[{ labels: { name: value }, value: number }]`.
    Samples,
}

const fn key(name: &'static str, form: ValueForm) -> KeyRule {
    KeyRule { name, form, need: Need::Always }
}

const fn given(name: &'static str, form: ValueForm) -> KeyRule {
    KeyRule { name, form, need: Need::WhereGiven }
}

/// All of them. What a plugin reads of `files`, `artifacts` and `secrets`, and what it asks by `http`, is recorded there.
pub(crate) const FUNCTIONS: [Function; 12] = [
    Function {
        name: "artifacts.put",
        asked: &[key("name", ValueForm::Text), key("content", ValueForm::Bytes)],
        answer: ValueForm::Nothing,
    },
    Function {
        name: "cache.restore",
        asked: &[key("key", ValueForm::Text), given("prefixes", ValueForm::Texts)],
        answer: ValueForm::Perhaps(&[key("key", ValueForm::Text), key("archive", ValueForm::Bytes)]),
    },
    Function {
        name: "cache.save",
        asked: &[key("key", ValueForm::Text), key("archive", ValueForm::Bytes)],
        answer: ValueForm::Word(&["saved", "kept", "read-only"]),
    },
    Function {
        name: "containers.run",
        asked: &[
            key("image", ValueForm::Text),
            given("process", ValueForm::OneOf(&["args", "command"])),
            given("workdir", ValueForm::Text),
            key("workspace", ValueForm::Word(&["none", "read-only", "read-write"])),
            given("env", ValueForm::Named),
        ],
        answer: ValueForm::Record(&[key("code", ValueForm::Whole)]),
    },
    Function {
        name: "images.build",
        asked: &[
            key("context", ValueForm::Text),
            key("dockerfile", ValueForm::Text),
            given("build-args", ValueForm::Named),
        ],
        answer: ValueForm::Record(&[key("build", ValueForm::Text), key("digest", ValueForm::Text)]),
    },
    Function {
        name: "registry.push",
        asked: &[given("build", ValueForm::Text), key("to", ValueForm::Text), key("tag", ValueForm::Text)],
        answer: ValueForm::Record(&[
            key("image", ValueForm::Text),
            key("digest", ValueForm::Text),
            key("reference", ValueForm::Text),
        ]),
    },
    Function {
        name: "git.bump",
        asked: &[
            key("repo", ValueForm::Text),
            given("branch", ValueForm::Text),
            key("path", ValueForm::Text),
            key("image", ValueForm::Text),
            given("message", ValueForm::Text),
        ],
        answer: ValueForm::Record(&[key("commit", ValueForm::Text), key("changed", ValueForm::Truth)]),
    },
    Function {
        name: "terraform.plan",
        asked: &[
            key("folder", ValueForm::Text),
            given("workspace", ValueForm::Text),
            given("variables", ValueForm::Named),
            given("mode", ValueForm::Word(&["destroy"])),
        ],
        answer: ValueForm::Record(&[
            key("plan", ValueForm::Text),
            key("to-add", ValueForm::Whole),
            key("to-change", ValueForm::Whole),
            key("to-destroy", ValueForm::Whole),
            key("to-replace", ValueForm::Whole),
            key("changes", ValueForm::Named),
            key("text", ValueForm::Text),
        ]),
    },
    Function {
        name: "terraform.apply",
        asked: &[key("plan", ValueForm::Text), key("folder", ValueForm::Text)],
        answer: ValueForm::Record(&[key("outputs", ValueForm::Text)]),
    },
    Function {
        name: "cluster.sync",
        asked: &[key("application", ValueForm::Text), given("revision", ValueForm::Text)],
        answer: ValueForm::Record(&[key("revision", ValueForm::Text)]),
    },
    Function {
        name: "canary.follow",
        asked: &[
            key("rollout", ValueForm::Text),
            given("image", ValueForm::Text),
            key("on-timeout", ValueForm::Word(&["hold", "abort", "retreat"])),
        ],
        answer: ValueForm::Record(&[key("outcome", ValueForm::Text)]),
    },
    Function {
        name: "metrics.query",
        asked: &[key("provider", ValueForm::Text), key("query", ValueForm::Text)],
        answer: ValueForm::Samples,
    },
];

impl Function {
    /// The function of that name.
    pub(crate) fn named(name: &str) -> Option<&'static Function> {
        FUNCTIONS.iter().find(|function| function.name == name)
    }

    /// The ability that it is of.
    pub(crate) fn ability(&self) -> Ability {
        let interface = self.name.split('.').next().unwrap_or_default();
        Ability::named(interface).expect("the functions are those of abilities; a test looks")
    }

    /// What is wrong with what a case says is asked, and the help.
    pub(crate) fn asked(&self, with: &Map<String, Value>) -> Option<(String, String)> {
        record("`with`", self.asked, with).err()
    }

    /// What is wrong with what a case says is answered, and the help.
    pub(crate) fn answered(&self, answer: &Value) -> Option<(String, String)> {
        self.answer.check("`answer`", answer).err()
    }
}

type Checked = Result<(), (String, String)>;

impl ValueForm {
    fn check(&self, what: &str, value: &Value) -> Checked {
        match (self, value) {
            (ValueForm::Nothing, Value::Object(map)) if map.is_empty() => Ok(()),
            (ValueForm::Text, Value::String(_))
            | (ValueForm::Bytes, Value::String(_))
            | (ValueForm::Truth, Value::Bool(_)) => Ok(()),
            (ValueForm::Bytes, Value::Object(map)) if bytes(map).is_some() => Ok(()),
            (ValueForm::Texts, Value::Array(items)) if items.iter().all(Value::is_string) => Ok(()),
            (ValueForm::Named, Value::Object(map)) if map.values().all(Value::is_string) => Ok(()),
            (ValueForm::Whole, Value::Number(_)) if value.as_i64().is_some_and(|code| i32::try_from(code).is_ok()) => {
                Ok(())
            }
            (ValueForm::Word(words), Value::String(word)) if words.contains(&word.as_str()) => Ok(()),
            (ValueForm::OneOf(keys), Value::Object(map)) if one_of(keys, map) => Ok(()),
            (ValueForm::Perhaps(_), Value::Null) => Ok(()),
            (ValueForm::Record(keys) | ValueForm::Perhaps(keys), Value::Object(map)) => record(what, keys, map),
            (ValueForm::Samples, Value::Array(samples)) if samples.iter().all(is_sample) => Ok(()),
            _ => Err((format!("{what} is {}", said(value)), format!("write {}", self.help()))),
        }
    }

    fn help(&self) -> String {
        let names =
            |keys: &[KeyRule]| keys.iter().map(|key| format!("{}: ...", key.name)).collect::<Vec<_>>().join(", ");
        match self {
            ValueForm::Nothing => "`{}`: nothing is answered".to_owned(),
            ValueForm::Text => "a text, in quotes if it could be something else".to_owned(),
            ValueForm::Bytes => "a text, or `{ base64: ... }`".to_owned(),
            ValueForm::Texts => "a list of texts".to_owned(),
            ValueForm::Named => "texts by their names: `{ name: text }`".to_owned(),
            ValueForm::Truth => "`true` or `false`".to_owned(),
            ValueForm::Whole => "a whole number".to_owned(),
            ValueForm::Word(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" or "),
            ValueForm::Record(keys) => format!("`{{ {} }}`", names(keys)),
            ValueForm::OneOf(keys) => {
                keys.iter().map(|key| format!("`{{ {key}: [...] }}`")).collect::<Vec<_>>().join(" or ")
            }
            ValueForm::Perhaps(keys) => format!("`{{ {} }}`, or `null` where there is none", names(keys)),
            ValueForm::Samples => "a list of `{ labels: { name: text }, value: number }`".to_owned(),
        }
    }
}

fn record(what: &str, keys: &[KeyRule], map: &Map<String, Value>) -> Checked {
    let known = || format!("there are {}", keys.iter().map(|key| key.name).collect::<Vec<_>>().join(", "));
    if let Some(odd) = map.keys().find(|name| !keys.iter().any(|key| key.name == *name)) {
        return Err((format!("{what} has no key `{odd}`"), known()));
    }
    keys.iter().try_for_each(|key| match map.get(key.name) {
        Some(value) => key.form.check(&format!("`{}` of {what}", key.name), value),
        None if key.need == Need::WhereGiven => Ok(()),
        None => Err((format!("{what} lacks the key `{}`", key.name), format!("write {}", key.form.help()))),
    })
}

fn one_of(keys: &[&str], map: &Map<String, Value>) -> bool {
    let texts = |value: &Value| value.as_array().is_some_and(|items| items.iter().all(Value::is_string));
    map.len() == 1 && map.iter().all(|(key, value)| keys.contains(&key.as_str()) && texts(value))
}

fn is_sample(sample: &Value) -> bool {
    let Some(map) = sample.as_object() else { return false };
    let labels = map.get("labels").is_none_or(|labels| ValueForm::Named.check("labels", labels).is_ok());
    let known = map.keys().all(|key| matches!(key.as_str(), "labels" | "value"));
    labels && known && number(&sample["value"]).is_some()
}

/// A number; it may be the text `NaN` or `inf`, which JSON has no numbers for.
pub(crate) fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok())
}

fn bytes(map: &Map<String, Value>) -> Option<Vec<u8>> {
    use base64::Engine as _;
    let text = map.get("base64").filter(|_| map.len() == 1)?.as_str()?;
    base64::engine::general_purpose::STANDARD.decode(text).ok()
}

/// The bytes that a case wrote; `None` for what is neither a text nor base64.
pub(crate) fn read_bytes(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => Some(text.clone().into_bytes()),
        Value::Object(map) => bytes(map),
        _ => None,
    }
}

/// Bytes as a case writes them: a text where they are one.
pub(crate) fn write_bytes(bytes: Vec<u8>) -> Value {
    use base64::Engine as _;
    String::from_utf8(bytes).map_or_else(
        |error| {
            let encoded = base64::engine::general_purpose::STANDARD.encode(error.as_bytes());
            Value::Object(Map::from_iter([("base64".to_owned(), Value::String(encoded))]))
        },
        Value::String,
    )
}

fn said(value: &Value) -> &'static str {
    match value {
        Value::Null => "nothing",
        Value::Bool(_) => "true or false",
        Value::Number(_) => "a number",
        Value::String(_) => "a text",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map that does not fit",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn every_ability_is_recorded_somewhere() {
        let elsewhere = ["log", "workspace", "http", "secrets"];
        for ability in Ability::ALL {
            let here = FUNCTIONS.iter().any(|function| function.ability() == ability);
            assert!(here != elsewhere.contains(&ability.name()), "{ability}");
        }
    }

    #[test]
    fn bytes_are_texts_where_they_can_be() {
        for (bytes, written) in [(&b"text"[..], json!("text")), (&b"\xff\x00"[..], json!({ "base64": "/wA=" }))] {
            assert_eq!(write_bytes(bytes.to_vec()), written);
            assert_eq!(read_bytes(&written).unwrap(), bytes);
        }
        assert_eq!(read_bytes(&json!({ "base64": "no!" })), None);
    }

    #[test]
    fn what_does_not_fit_is_told_with_the_help() {
        let of = |name: &str| Function::named(name).unwrap();
        for (function, answer, told) in [
            ("registry.push", json!({ "image": "a" }), "`answer` lacks the key `digest`; write a text"),
            ("cluster.sync", json!({ "revison": "a" }), "`answer` has no key `revison`; there are revision"),
            ("cache.save", json!("stored"), "`answer` is a text; write `saved` or `kept` or `read-only`"),
            ("cache.restore", json!([]), "`answer` is a list; write `{ key: ..., archive: ... }`, or `null`"),
            ("containers.run", json!({ "code": 1.5 }), "`code` of `answer` is a number; write a whole number"),
            ("metrics.query", json!([{ "value": "x" }]), "`answer` is a list; write a list of `{ labels:"),
            ("artifacts.put", json!(null), "`answer` is nothing; write `{}`"),
        ] {
            let (message, help) = of(function).answered(&answer).unwrap();
            let got = format!("{message}; {help}");
            assert!(got.starts_with(told), "{got}");
        }
        for (function, answer) in [
            ("cache.restore", json!(null)),
            ("cache.restore", json!({ "key": "k", "archive": { "base64": "/wA=" } })),
            ("metrics.query", json!([{ "labels": { "a": "b" }, "value": 1 }, { "value": "NaN" }])),
            ("artifacts.put", json!({})),
        ] {
            assert_eq!(of(function).answered(&answer), None, "{function}");
        }
        let process = json!({ "image": "i", "workspace": "none", "process": { "args": ["a"], "command": ["b"] } });
        let (message, _) = of("containers.run").asked(process.as_object().unwrap()).unwrap();
        assert_eq!(message, "`process` of `with` is a map that does not fit");
    }
}
