//! The calls whose answers can be recorded, by the names of the contract: what each is asked, and what it answers.

use pipeline::permission::Ability;
use serde_json::{Map, Value};

/// A function of the contract.
pub struct Function {
    /// `interface.function`, as a case names it.
    pub name: &'static str,
    asked: &'static [Key],
    answer: Form,
}

/// A key of a record.
struct Key {
    name: &'static str,
    form: Form,
    need: Need,
}

/// Whether a key has to be there.
#[derive(PartialEq)]
enum Need {
    Always,
    WhereGiven,
}

/// What a value may be.
enum Form {
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
    Record(&'static [Key]),
    /// One of these keys, with texts.
    OneOf(&'static [&'static str]),
    /// A record, or `null` where there is none.
    Perhaps(&'static [Key]),
    /// What series are at the moment: `[{ labels: { name: value }, value: number }]`.
    Samples,
}

const fn key(name: &'static str, form: Form) -> Key {
    Key { name, form, need: Need::Always }
}

const fn given(name: &'static str, form: Form) -> Key {
    Key { name, form, need: Need::WhereGiven }
}

/// All of them. What a plugin reads of `files`, `artifacts` and `secrets`, and what it asks by `http`, is recorded there.
pub const FUNCTIONS: [Function; 12] = [
    Function {
        name: "artifacts.put",
        asked: &[key("name", Form::Text), key("content", Form::Bytes)],
        answer: Form::Nothing,
    },
    Function {
        name: "cache.restore",
        asked: &[key("key", Form::Text), given("prefixes", Form::Texts)],
        answer: Form::Perhaps(&[key("key", Form::Text), key("archive", Form::Bytes)]),
    },
    Function {
        name: "cache.save",
        asked: &[key("key", Form::Text), key("archive", Form::Bytes)],
        answer: Form::Word(&["saved", "kept", "read-only"]),
    },
    Function {
        name: "containers.run",
        asked: &[
            key("image", Form::Text),
            given("process", Form::OneOf(&["args", "command"])),
            given("workdir", Form::Text),
            key("workspace", Form::Word(&["none", "read-only", "read-write"])),
            given("env", Form::Named),
        ],
        answer: Form::Record(&[key("code", Form::Whole)]),
    },
    Function {
        name: "images.build",
        asked: &[key("context", Form::Text), key("dockerfile", Form::Text), given("build-args", Form::Named)],
        answer: Form::Record(&[key("build", Form::Text), key("digest", Form::Text)]),
    },
    Function {
        name: "registry.push",
        asked: &[given("build", Form::Text), key("to", Form::Text), key("tag", Form::Text)],
        answer: Form::Record(&[key("image", Form::Text), key("digest", Form::Text), key("reference", Form::Text)]),
    },
    Function {
        name: "git.bump",
        asked: &[
            key("repo", Form::Text),
            given("branch", Form::Text),
            key("path", Form::Text),
            key("image", Form::Text),
            given("message", Form::Text),
        ],
        answer: Form::Record(&[key("commit", Form::Text), key("changed", Form::Truth)]),
    },
    Function {
        name: "terraform.plan",
        asked: &[
            key("folder", Form::Text),
            given("workspace", Form::Text),
            given("variables", Form::Named),
            given("mode", Form::Word(&["destroy"])),
        ],
        answer: Form::Record(&[
            key("plan", Form::Text),
            key("to-add", Form::Whole),
            key("to-change", Form::Whole),
            key("to-destroy", Form::Whole),
            key("to-replace", Form::Whole),
            key("changes", Form::Named),
            key("text", Form::Text),
        ]),
    },
    Function {
        name: "terraform.apply",
        asked: &[key("plan", Form::Text), key("folder", Form::Text)],
        answer: Form::Record(&[key("outputs", Form::Text)]),
    },
    Function {
        name: "cluster.sync",
        asked: &[key("application", Form::Text), given("revision", Form::Text)],
        answer: Form::Record(&[key("revision", Form::Text)]),
    },
    Function {
        name: "canary.follow",
        asked: &[
            key("rollout", Form::Text),
            given("image", Form::Text),
            key("on-timeout", Form::Word(&["hold", "retreat"])),
        ],
        answer: Form::Record(&[key("outcome", Form::Text)]),
    },
    Function {
        name: "metrics.query",
        asked: &[key("provider", Form::Text), key("query", Form::Text)],
        answer: Form::Samples,
    },
];

impl Function {
    /// The function of that name.
    pub fn named(name: &str) -> Option<&'static Function> {
        FUNCTIONS.iter().find(|function| function.name == name)
    }

    /// The ability that it is of.
    pub fn ability(&self) -> Ability {
        let interface = self.name.split('.').next().unwrap_or_default();
        Ability::named(interface).expect("the functions are those of abilities; a test looks")
    }

    /// What is wrong with what a case says is asked, and the help.
    pub fn asked(&self, with: &Map<String, Value>) -> Option<(String, String)> {
        record("`with`", self.asked, with).err()
    }

    /// What is wrong with what a case says is answered, and the help.
    pub fn answered(&self, answer: &Value) -> Option<(String, String)> {
        self.answer.check("`answer`", answer).err()
    }
}

type Checked = Result<(), (String, String)>;

impl Form {
    fn check(&self, what: &str, value: &Value) -> Checked {
        match (self, value) {
            (Form::Nothing, Value::Object(map)) if map.is_empty() => Ok(()),
            (Form::Text, Value::String(_)) | (Form::Bytes, Value::String(_)) | (Form::Truth, Value::Bool(_)) => Ok(()),
            (Form::Bytes, Value::Object(map)) if bytes(map).is_some() => Ok(()),
            (Form::Texts, Value::Array(items)) if items.iter().all(Value::is_string) => Ok(()),
            (Form::Named, Value::Object(map)) if map.values().all(Value::is_string) => Ok(()),
            (Form::Whole, Value::Number(_)) if value.as_i64().is_some_and(|code| i32::try_from(code).is_ok()) => Ok(()),
            (Form::Word(words), Value::String(word)) if words.contains(&word.as_str()) => Ok(()),
            (Form::OneOf(keys), Value::Object(map)) if one_of(keys, map) => Ok(()),
            (Form::Perhaps(_), Value::Null) => Ok(()),
            (Form::Record(keys) | Form::Perhaps(keys), Value::Object(map)) => record(what, keys, map),
            (Form::Samples, Value::Array(samples)) if samples.iter().all(is_sample) => Ok(()),
            _ => Err((format!("{what} is {}", said(value)), format!("write {}", self.help()))),
        }
    }

    fn help(&self) -> String {
        let names = |keys: &[Key]| keys.iter().map(|key| format!("{}: ...", key.name)).collect::<Vec<_>>().join(", ");
        match self {
            Form::Nothing => "`{}`: nothing is answered".to_owned(),
            Form::Text => "a text, in quotes if it could be something else".to_owned(),
            Form::Bytes => "a text, or `{ base64: ... }`".to_owned(),
            Form::Texts => "a list of texts".to_owned(),
            Form::Named => "texts by their names: `{ name: text }`".to_owned(),
            Form::Truth => "`true` or `false`".to_owned(),
            Form::Whole => "a whole number".to_owned(),
            Form::Word(words) => words.iter().map(|word| format!("`{word}`")).collect::<Vec<_>>().join(" or "),
            Form::Record(keys) => format!("`{{ {} }}`", names(keys)),
            Form::OneOf(keys) => {
                keys.iter().map(|key| format!("`{{ {key}: [...] }}`")).collect::<Vec<_>>().join(" or ")
            }
            Form::Perhaps(keys) => format!("`{{ {} }}`, or `null` where there is none", names(keys)),
            Form::Samples => "a list of `{ labels: { name: text }, value: number }`".to_owned(),
        }
    }
}

fn record(what: &str, keys: &[Key], map: &Map<String, Value>) -> Checked {
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
    let labels = map.get("labels").is_none_or(|labels| Form::Named.check("labels", labels).is_ok());
    let known = map.keys().all(|key| matches!(key.as_str(), "labels" | "value"));
    labels && known && number(&sample["value"]).is_some()
}

/// A number; it may be the text `NaN` or `inf`, which JSON has no numbers for.
pub fn number(value: &Value) -> Option<f64> {
    value.as_f64().or_else(|| value.as_str()?.parse().ok())
}

fn bytes(map: &Map<String, Value>) -> Option<Vec<u8>> {
    use base64::Engine as _;
    let text = map.get("base64").filter(|_| map.len() == 1)?.as_str()?;
    base64::engine::general_purpose::STANDARD.decode(text).ok()
}

/// The bytes that a case wrote; `None` for what is neither a text nor base64.
pub fn read_bytes(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => Some(text.clone().into_bytes()),
        Value::Object(map) => bytes(map),
        _ => None,
    }
}

/// Bytes as a case writes them: a text where they are one.
pub fn write_bytes(bytes: Vec<u8>) -> Value {
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
