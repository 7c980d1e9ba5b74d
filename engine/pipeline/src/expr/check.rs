//! What can be known of an expression before anything runs.

use super::{FILTERS, STATUS, TESTS, Unread, compile, environment, explain, split};
use minijinja::{ErrorKind, UndefinedBehavior, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

/// What an expression may name at its place.
#[derive(Clone, Debug)]
pub struct KnownNames<'a> {
    /// The names in the pipeline's `env`.
    pub env: &'a BTreeSet<String>,
    /// The names of the inputs that a person gives.
    pub inputs: &'a BTreeSet<String>,
    /// The steps that have surely ended by then.
    pub before: &'a BTreeSet<String>,
    /// Every step of the pipeline.
    pub steps: &'a BTreeSet<String>,
    /// What there is to read of a step, by its id; what is not there is not known.
    pub outputs: &'a BTreeMap<String, BTreeSet<String>>,
    /// Where the expression stands, which decides what it may name.
    pub place: ExprPlace,
}

/// Where an expression stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ExprPlace {
    /// In a step's settings or grants.
    Setting,
    /// In a step's `if`.
    Condition,
    /// In the group of `concurrency`, which is known before its run is open.
    Group,
}

/// What is wrong with an expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExprFault {
    /// The bytes of the expression that are meant; empty means all of it.
    pub at: Range<usize>,
    /// What is wrong, as one sentence without a full stop.
    pub message: String,
    /// How to fix it.
    pub help: String,
}

const SUBTRACTION: &str = "reads as a subtraction";
const RUN: [&str; 5] = ["id", "number", "url", "title", "outcome"];
const COMMIT: [&str; 5] = ["sha", "short", "message", "author", "branch"];
const EVENT: [&str; 1] = ["kind"];
const REF: [&str; 1] = ["name"];
const ROOTS: [&str; 7] = ["run", "commit", "env", "inputs", "steps", "event", "ref"];
/// What a group may name.
const EARLY: [&str; 5] = ["ref", "commit", "env", "event", "inputs"];

/// Checks one expression, without its braces.
pub fn check(source: &str, known: &KnownNames<'_>) -> Vec<ExprFault> {
    let whole = |message: String, help: &str| ExprFault { at: 0..0, message, help: help.to_owned() };
    if source.is_empty() {
        return vec![whole("an expression is empty".into(), "name something between the braces, or leave them out")];
    }
    let mut environment = environment();
    if known.place == ExprPlace::Condition {
        STATUS.iter().for_each(|name| environment.add_function(*name, || true));
    }
    // What has no value yet is passed over, so that only wrong names of filters and functions fail.
    environment.set_undefined_behavior(UndefinedBehavior::Chainable);
    let compiled = match compile(source, &environment) {
        Ok(compiled) => compiled,
        Err(unread) => return vec![syntax(source, unread)],
    };
    let mut names: Vec<String> = compiled.undeclared_variables(true).into_iter().collect();
    names.sort();
    let mut faults: Vec<ExprFault> = names.iter().filter_map(|name| check_name(source, name, known)).collect();
    if known.place != ExprPlace::Group {
        faults.extend(quoted_steps(source).filter_map(|(id, output)| check_step(source, id, output, known)));
    }
    if faults.iter().any(|fault| fault.message.ends_with(SUBTRACTION)) {
        // What stands behind the dash is no name of its own then.
        faults.retain(|fault| fault.message.ends_with(SUBTRACTION));
    }
    if !known.inputs.is_empty() {
        faults.extend(quoted_inputs(source).filter_map(|name| check_input(source, name, known)));
    }
    if faults.is_empty()
        && let Err(error) = compiled.eval(Value::UNDEFINED)
        && matches!(error.kind(), ErrorKind::UnknownFilter | ErrorKind::UnknownTest | ErrorKind::UnknownFunction)
    {
        faults.push(unknown(source, &error));
    }
    faults
}

/// Whether a condition asks how the run stands, so that it need not be asked for it.
pub(crate) fn asks_status(source: &str) -> bool {
    let environment = environment();
    let Ok(compiled) = compile(source, &environment) else { return false };
    let names = compiled.undeclared_variables(false);
    STATUS.iter().any(|name| names.contains(*name))
}

fn syntax(source: &str, unread: Unread) -> ExprFault {
    let help = match () {
        () if source.contains("&&") || source.contains("||") => "write `and`, `or` and `not`",
        () if source.contains("===") => "write `==`",
        () => "an expression reads like `commit.branch == 'main'`",
    };
    // minijinja counts one byte for a character of several, and the end of a text as a byte of it.
    let at = source.floor_char_boundary(unread.at.start)..source.ceil_char_boundary(unread.at.end);
    ExprFault { at, message: unread.message, help: help.to_owned() }
}

/// A filter, a test or a function that is not there; minijinja's words end in `... is unknown`.
fn unknown(source: &str, error: &minijinja::Error) -> ExprFault {
    let message = explain(error);
    let name = message.trim_end_matches(" is unknown").rsplit(' ').next().unwrap_or_default();
    let at = find(source, name);
    let help = match error.kind() {
        ErrorKind::UnknownFilter => format!("the filters are {}", FILTERS.join(", ")),
        ErrorKind::UnknownTest => format!("the tests are {}", TESTS.join(", ")),
        _ => format!("the functions are {}, and stand in `if`", STATUS.map(|name| format!("{name}()")).join(", ")),
    };
    let kind = match error.kind() {
        ErrorKind::UnknownFilter => "filter",
        ErrorKind::UnknownTest => "test",
        _ => "function",
    };
    ExprFault { message: format!("there is no {kind} `{name}`"), at, help }
}

fn check_name(source: &str, name: &str, known: &KnownNames<'_>) -> Option<ExprFault> {
    let mut parts = name.split('.');
    let (root, second, third) = (parts.next().unwrap_or_default(), parts.next(), parts.next());
    let fault = |part: &str, message: String, help: String| Some(ExprFault { at: find(source, part), message, help });
    if STATUS.contains(&root) {
        let help = "compare `run.outcome` instead, or move it into the step's `if`".to_owned();
        return (known.place != ExprPlace::Condition)
            .then(|| fault(root, format!("`{root}()` belongs into `if`"), help))
            .flatten();
    }
    if root == "hash" {
        return fault(
            root,
            "`hash()` is not supported by this version".into(),
            "name the version by hand, in `env`".into(),
        );
    }
    if known.place == ExprPlace::Group && ROOTS.contains(&root) && !EARLY.contains(&root) {
        let help = format!("a group may name {}", EARLY.join(", "));
        return fault(root, format!("`{root}` is not known before the run is open"), help);
    }
    let fields: &[&str] = match root {
        "run" => &RUN,
        "commit" => &COMMIT,
        "event" => &EVENT,
        "ref" => &REF,
        "steps" => return second.and_then(|id| check_step(source, id, third, known)),
        "inputs" if known.inputs.is_empty() => {
            let help = "declare them below `on: { manual: { inputs: ... } }`".to_owned();
            return fault(root, "the pipeline has no inputs".to_owned(), help);
        }
        "inputs" => return second.and_then(|name| check_input(source, name, known)),
        "env" => {
            return second.filter(|name| !known.env.contains(*name)).and_then(|name| {
                let help = did_you_mean(name, known.env.iter().map(String::as_str));
                fault(
                    name,
                    format!("`env` has no `{name}`"),
                    help.unwrap_or_else(|| format!("add `{name}` to the pipeline's `env`")),
                )
            });
        }
        _ => {
            let help =
                did_you_mean(root, ROOTS).unwrap_or_else(|| format!("an expression may name {}", ROOTS.join(", ")));
            return fault(root, format!("there is no `{root}`"), help);
        }
    };
    let second = second.filter(|second| !fields.contains(second))?;
    let help =
        did_you_mean(second, fields.iter().copied()).unwrap_or_else(|| format!("`{root}` has {}", fields.join(", ")));
    fault(second, format!("`{root}` has no `{second}`"), help)
}

fn check_step(source: &str, id: &str, output: Option<&str>, known: &KnownNames<'_>) -> Option<ExprFault> {
    if known.before.contains(id) {
        return output.and_then(|output| check_output(source, id, output, known));
    }
    let (message, help) = if known.steps.contains(id) {
        (format!("step `{id}` may not have ended by then"), format!("add `{id}` to this step's `needs`"))
    } else if let Some(longer) = known.steps.iter().find(|step| step.starts_with(&format!("{id}-"))) {
        (format!("`steps.{longer}` {SUBTRACTION}"), format!("write `steps['{longer}']`"))
    } else {
        let help = did_you_mean(id, known.steps.iter().map(String::as_str));
        (format!("there is no step `{id}`"), help.unwrap_or_else(|| "name a step that this one needs".to_owned()))
    };
    Some(ExprFault { at: find(source, id), message, help })
}

fn check_input(source: &str, name: &str, known: &KnownNames<'_>) -> Option<ExprFault> {
    if known.inputs.contains(name) {
        return None;
    }
    let (message, help) = match known.inputs.iter().find(|input| input.starts_with(&format!("{name}-"))) {
        Some(longer) => (format!("`inputs.{longer}` {SUBTRACTION}"), format!("write `inputs['{longer}']`")),
        None => {
            let near = did_you_mean(name, known.inputs.iter().map(String::as_str));
            let add = || format!("add `{name}` to the `inputs` of `manual`");
            (format!("there is no input `{name}`"), near.unwrap_or_else(add))
        }
    };
    Some(ExprFault { at: find(source, name), message, help })
}

/// The names in `inputs['name']`, which the names of an expression leave out.
fn quoted_inputs(source: &str) -> impl Iterator<Item = &str> {
    source.split("inputs[").skip(1).filter_map(|rest| {
        let quote = rest.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
        rest[1..].split(quote).next()
    })
}

fn check_output(source: &str, id: &str, output: &str, known: &KnownNames<'_>) -> Option<ExprFault> {
    let outputs = known.outputs.get(id).filter(|outputs| !outputs.contains(output))?;
    if let Some(longer) =
        outputs.iter().find(|known| known.starts_with(&format!("{output}-")) && source.contains(&format!(".{known}")))
    {
        let message = format!("`steps.{id}.{longer}` {SUBTRACTION}");
        return Some(ExprFault { at: 0..0, message, help: format!("write `steps['{id}']['{longer}']`") });
    }
    let all = || format!("it has {}", outputs.iter().map(String::as_str).collect::<Vec<_>>().join(", "));
    let help = did_you_mean(output, outputs.iter().map(String::as_str)).unwrap_or_else(all);
    let after_dot = find(source, &format!(".{output}"));
    let at = (after_dot.start + 1).min(after_dot.end)..after_dot.end;
    Some(ExprFault { at, message: format!("step `{id}` has no output `{output}`"), help })
}

/// The ids in `steps['id']`, which the names of an expression leave out, and what is read of them.
fn quoted_steps(source: &str) -> impl Iterator<Item = (&str, Option<&str>)> {
    source.split("steps[").skip(1).filter_map(|rest| {
        let quote = rest.chars().next().filter(|quote| matches!(quote, '\'' | '"'))?;
        let (id, rest) = rest[1..].split_once(quote)?;
        let output = rest.trim_start().strip_prefix(']').and_then(|rest| rest.strip_prefix('.'));
        let end = |output: &str| output.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(output.len());
        Some((id, output.map(|output| &output[..end(output)])))
    })
}

fn find(source: &str, part: &str) -> Range<usize> {
    source.find(part).map_or(0..0, |at| at..at + part.len())
}

/// The nearest of the known names, as a help, if one is near.
pub fn did_you_mean<'k>(name: &str, known: impl IntoIterator<Item = &'k str>) -> Option<String> {
    let near = |known: &'k str| (distance(name, known), known);
    let (distance, nearest) = known.into_iter().map(near).min()?;
    (distance <= (name.chars().count().max(3) / 3).min(3)).then(|| format!("did you mean `{nearest}`?"))
}

pub(crate) use split::bare;

/// How many letters must be changed, added, dropped or swapped.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().take(64).collect(), b.chars().take(64).collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let same = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (rows[i - 1][j] + 1).min(row[j - 1] + 1).min(rows[i - 1][j - 1] + same);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn says(source: &str, place: ExprPlace) -> Vec<String> {
        let set = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
        let (env, before, steps) =
            (set(&["repository"]), set(&["image", "dr-sync"]), set(&["image", "dr-sync", "push"]));
        let inputs = set(&["version", "dry-run"]);
        let outputs = BTreeMap::from([
            ("image".to_owned(), set(&["build", "outcome"])),
            ("dr-sync".to_owned(), set(&["outcome"])),
        ]);
        let known = KnownNames { env: &env, inputs: &inputs, before: &before, steps: &steps, outputs: &outputs, place };
        check(source, &known).into_iter().map(|fault| format!("{}; {}", fault.message, fault.help)).collect()
    }

    #[test]
    fn good_ones_pass() {
        for source in [
            "env.repository",
            "steps.image.build",
            "steps['dr-sync'].outcome",
            "run.number + 1",
            "commit.message | upper",
            "inputs.version",
            "inputs['dry-run']",
        ] {
            assert_eq!(says(source, ExprPlace::Setting), [""; 0], "{source}");
        }
        assert_eq!(says("failure() and commit.branch is startingwith 'release/'", ExprPlace::Condition), [""; 0]);
        assert_eq!(says("ref.name | lower", ExprPlace::Group), [""; 0]);
        assert_eq!(says("inputs.version", ExprPlace::Group), [""; 0]);
    }

    #[test]
    fn a_group_is_known_before_its_run() {
        let early = "a group may name ref, commit, env, event, inputs";
        for (source, expected) in [
            ("run.number", format!("`run` is not known before the run is open; {early}")),
            ("steps['image'].build", format!("`steps` is not known before the run is open; {early}")),
            ("ref.nmae", "`ref` has no `nmae`; did you mean `name`?".to_owned()),
        ] {
            assert_eq!(says(source, ExprPlace::Group), [expected], "{source}");
        }
    }

    #[test]
    fn bad_ones_are_named() {
        for (source, expected) in [
            ("env.repositroy", "`env` has no `repositroy`; did you mean `repository`?"),
            ("steps.push.image", "step `push` may not have ended by then; add `push` to this step's `needs`"),
            ("steps['push'].image", "step `push` may not have ended by then; add `push` to this step's `needs`"),
            ("steps.imgae.build", "there is no step `imgae`; did you mean `image`?"),
            ("steps.image.biuld", "step `image` has no output `biuld`; did you mean `build`?"),
            ("steps['dr-sync'].commit ~ 'x'", "step `dr-sync` has no output `commit`; it has outcome"),
            ("comit.sha", "there is no `comit`; did you mean `commit`?"),
            ("commit.id", "`commit` has no `id`; `commit` has sha, short, message, author, branch"),
            ("a && b", "unexpected character; write `and`, `or` and `not`"),
            ("commit.branch == 'main' && x", "what follows here cannot be read; write `and`, `or` and `not`"),
            ("", "an expression is empty; name something between the braces, or leave them out"),
            (
                "success()",
                "`success()` belongs into `if`; compare `run.outcome` instead, or move it into the step's `if`",
            ),
            ("inputs.vresion", "there is no input `vresion`; did you mean `version`?"),
            ("inputs['zone']", "there is no input `zone`; add `zone` to the `inputs` of `manual`"),
            ("inputs.dry-run", "`inputs.dry-run` reads as a subtraction; write `inputs['dry-run']`"),
            ("hash('pom.xml')", "`hash()` is not supported by this version; name the version by hand, in `env`"),
        ] {
            assert_eq!(says(source, ExprPlace::Setting).first().map(String::as_str), Some(expected), "{source}");
        }
        assert!(
            says("steps.dr-sync.outcome", ExprPlace::Setting)
                .iter()
                .any(|says| says.ends_with("write `steps['dr-sync']`"))
        );
        assert_eq!(says("steps.dr-sync.outcome", ExprPlace::Setting).len(), 1);
        assert!(
            says("run.title | shout", ExprPlace::Setting)[0]
                .starts_with("there is no filter `shout`; the filters are default")
        );
        assert!(says("run.title is loud", ExprPlace::Setting)[0].starts_with("there is no test `loud`"));
    }
}
