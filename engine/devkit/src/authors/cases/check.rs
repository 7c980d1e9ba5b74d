//! From a file's form to a case: what fits the plugin's world, and what fits the contract.

use super::calls::{FUNCTIONS, Function};
use super::written::{self, CaseFile, Page};
use super::{Case, CaseRequest, Expected, HostCall, HostFault, HttpExchange};
use crate::authors::outcome::{Ending, WorldAnswer};
use pipeline::Mistake;
use pipeline::permission::{Ability, Permissions, Whose};
use sandbox::{Destination, HealthStatus, Judgement, Split, Verification, World};
use serde_json::{Value, json};
use serde_saphyr::{Location, Spanned};
use std::collections::BTreeMap;

impl Case {
    /// Reads a case's text, for a plugin of this world.
    ///
    /// # Errors
    /// Every mistake in it, in the file's order; of its form only the first.
    pub(crate) fn parse(file: &str, text: &str, world: World) -> Result<Case, Vec<Mistake>> {
        let page = Page { file, text };
        let written = page.read().map_err(|mistake| vec![mistake])?;
        let mut check = Check { page, world, mistakes: Vec::new() };
        let case = check.case(written);
        let mut mistakes = check.mistakes;
        mistakes.sort_by_key(|mistake| (mistake.line, mistake.column));
        case.filter(|_| mistakes.is_empty()).ok_or(mistakes)
    }
}

struct Check<'a> {
    page: Page<'a>,
    world: World,
    mistakes: Vec<Mistake>,
}

/// What a case says is asked, and in which world.
type ChosenRequest = (Location, World, &'static str, CaseRequest);

impl Check<'_> {
    fn wrong(&mut self, at: Location, message: impl Into<String>, help: impl Into<String>) {
        let mistake = self.page.mistake(at, message, help);
        self.mistakes.push(mistake);
    }

    /// The case; `None` only where a mistake was noted.
    fn case(&mut self, mut written: CaseFile) -> Option<Case> {
        let grants = self.grants(written.grants.take());
        let files = self.of(written.files.take(), "files", Ability::Workspace);
        let artifacts = self.of(written.artifacts.take(), "artifacts", Ability::Artifacts);
        let secrets = self.of(written.secrets.take(), "secrets", Ability::Secrets);
        let http = self.of(written.http.take(), "http", Ability::Http);
        let http = http.into_iter().filter_map(|one| self.exchange(one)).collect();
        let calls = std::mem::take(&mut written.calls).into_iter().filter_map(|call| self.call(call)).collect();
        let asked = self.asked(&mut written)?;
        let expect = self.expected(written.expect, &asked)?;
        Some(Case { asked, grants: grants?, files, artifacts, secrets, http, calls, expect })
    }

    /// What is recorded of an ability, if a plugin of this world can have it.
    fn of<T: Default>(&mut self, written: Option<Spanned<T>>, key: &str, ability: Ability) -> T {
        let Some(written) = written else { return T::default() };
        self.may_ask(written.referenced, &format!("`{key}`"), ability);
        written.value
    }

    fn may_ask(&mut self, at: Location, what: &str, ability: Ability) {
        let may = self.world.may_ask();
        if !may.contains(&ability) {
            let may: Vec<_> = may.iter().map(|ability| ability.name()).collect();
            let message = format!("{what}: a plugin of the world `{}` cannot have {ability}", self.world);
            self.wrong(at, message, format!("leave it out: it may have {}", may.join(", ")));
        }
    }

    fn grants(&mut self, written: Option<Spanned<BTreeMap<String, Vec<String>>>>) -> Option<Permissions> {
        let Some(Spanned { value, referenced: at, .. }) = written else { return Some(Permissions::none()) };
        if self.world.may_ask().iter().all(|ability| ability.is_free()) {
            let message = format!("nothing is granted to a plugin of the world `{}`", self.world);
            self.wrong(at, message, "leave `grants` out");
            return None;
        }
        let mistakes = match Permissions::parse(Whose::Step, &value) {
            Ok(grants) => return Some(grants),
            Err(mistakes) => mistakes,
        };
        for mistake in mistakes {
            self.wrong(at, mistake, "write the grant as the pipeline does");
        }
        None
    }

    fn exchange(
        &mut self,
        Spanned { value, referenced: at, .. }: Spanned<written::WrittenExchange>,
    ) -> Option<HttpExchange> {
        let written::WrittenExchange { request, response, fault } = value;
        let what = format!("the request to {}", request.url);
        if response.as_ref().is_some_and(|response| !(100..600).contains(&response.status)) {
            self.wrong(at, format!("{what} is answered with no status"), "write 100 to 599");
            return None;
        }
        if request.method != request.method.to_ascii_uppercase() {
            self.wrong(at, format!("{what} has the method `{}`", request.method), "write it in upper case");
        }
        let answer = self.either(at, &what, "response", response, fault)?;
        Some(HttpExchange { request, answer })
    }

    fn either<T>(
        &mut self,
        at: Location,
        what: &str,
        key: &str,
        answer: Option<T>,
        fault: Option<HostFault>,
    ) -> Option<Result<T, HostFault>> {
        match (answer, fault) {
            (Some(answer), None) => Some(Ok(answer)),
            (None, Some(fault)) => Some(Err(fault)),
            _ => {
                let help = "write one of them; a fault is `fault: { transient: why }`, or `rejected`";
                self.wrong(at, format!("{what} needs either `{key}` or `fault`"), help);
                None
            }
        }
    }

    fn call(&mut self, Spanned { value, referenced: at, .. }: Spanned<written::WrittenCall>) -> Option<HostCall> {
        let written::WrittenCall { ask, with, answer, fault } = value;
        let Some(function) = Function::named(&ask.value) else {
            let known: Vec<_> = FUNCTIONS.iter().map(|function| function.name).collect();
            self.wrong(
                ask.referenced,
                format!("no function `{}` is recorded here", ask.value),
                format!("there are {}; requests stand under `http`", known.join(", ")),
            );
            return None;
        };
        self.may_ask(ask.referenced, function.name, function.ability());
        let (with, with_at) = with.map_or_else(|| (written::Object::new(), at), |with| (with.value, with.referenced));
        if let Some((message, help)) = function.asked(&with) {
            self.wrong(with_at, format!("{}: {message}", function.name), help);
        }
        if let Some((answer, (message, help))) =
            answer.as_ref().and_then(|answer| Some((answer, function.answered(&answer.value)?)))
        {
            self.wrong(answer.referenced, format!("{}: {message}", function.name), help);
        }
        let answer = self.either(at, function.name, "answer", answer.map(|answer| answer.value), fault)?;
        Some(HostCall { ask: ask.value, with: Value::Object(with), answer })
    }

    /// What the plugin is asked: one thing, and of its world.
    fn asked(&mut self, written: &mut CaseFile) -> Option<CaseRequest> {
        let object = |key: &'static str, world: World, asked: fn(written::Object) -> CaseRequest| {
            move |one: Spanned<written::Object>| (one.referenced, world, key, asked(one.value))
        };
        let mut all: Vec<ChosenRequest> = Vec::new();
        all.extend(written.with.take().map(object("with", World::Step, CaseRequest::Step)));
        all.extend(written.object.take().map(object("object", World::Health, CaseRequest::Health)));
        all.extend(self.generated(written));
        all.extend(written.metric.take().map(object("metric", World::Measure, CaseRequest::Measure)));
        all.extend(written.remove.take().map(object("remove", World::Route, CaseRequest::Remove)));
        for (key, split, asked) in [
            ("set-weight", written.set_weight.take(), CaseRequest::SetWeight as fn(Split) -> CaseRequest),
            ("verify-weight", written.verify_weight.take(), CaseRequest::VerifyWeight),
        ] {
            if let Some(Spanned { value, referenced: at, .. }) = split {
                all.push((at, World::Route, key, asked(self.split(at, value))));
            }
        }
        let world = self.world;
        let (ours, others): (Vec<_>, Vec<_>) = all.into_iter().partition(|(_, of, ..)| *of == world);
        let is_of_another = !others.is_empty();
        for (at, of, key, _) in others {
            let message = format!("`{key}` is for a plugin of the world `{of}`, and this one is of `{world}`");
            self.wrong(at, message, format!("write {}", first_key(world)));
        }
        let mut ours = ours.into_iter();
        match (ours.next(), ours.next()) {
            (Some((.., asked)), None) => Some(asked),
            (Some(_), Some((at, _, key, _))) => {
                self.wrong(at, format!("`{key}` stands beside another call"), "a case is one call: write two cases");
                None
            }
            (None, _) if is_of_another => None,
            (None, _) => match world {
                World::Step => Some(CaseRequest::Step(written::Object::new())),
                _ => {
                    let message = format!("a case of the world `{world}` lacks what is asked");
                    self.wrong(written.expect.referenced, message, format!("add {}", first_key(world)));
                    None
                }
            },
        }
    }

    /// What a generator is asked, whole, as the server asks it; a case writes as much of it as matters.
    fn generated(&mut self, written: &mut CaseFile) -> Option<ChosenRequest> {
        let (parameters, env, application) =
            (written.parameters.take(), written.env.take(), written.application.take());
        let places = [
            parameters.as_ref().map(|one| (one.referenced, "parameters")),
            env.as_ref().map(|one| (one.referenced, "env")),
            application.as_ref().map(|one| (one.referenced, "application")),
        ];
        let first = places.into_iter().flatten().next();
        let (at, key) = match self.world {
            World::Generate => first.unwrap_or((written.expect.referenced, "parameters")),
            _ => first?,
        };
        let parameters = parameters.map(|one| one.value).unwrap_or_default();
        for (name, value) in parameters.iter().filter(|(_, value)| !is_parameter(value)) {
            let message = format!("the parameter `{name}` is {value}, and a generator is given no such value");
            self.wrong(at, message, "write a text in quotes, a list of texts or a map of texts");
        }
        let asked = json!({
            "application": application.map(|one| one.value).unwrap_or_default(),
            "env": env.map(|one| one.value).unwrap_or_default(),
            "parameters": parameters,
        });
        Some((at, World::Generate, key, CaseRequest::Generate(asked)))
    }

    fn split(&mut self, at: Location, written: written::WrittenSplit) -> Split {
        let shares = written.others.iter().map(|other| other.weight).chain([written.weight]);
        if shares.map(u64::from).sum::<u64>() > 100 {
            self.wrong(
                at,
                "the shares are more than all traffic",
                "`weight` and those of `others` are 100 together at most",
            );
        }
        let other = |written::WrittenDestination { service, hash, weight }| Destination { service, hash, weight };
        let others = written.others.into_iter().map(other).collect();
        Split { rollout: Value::Object(written.rollout).to_string(), weight: written.weight, others }
    }

    fn expected(&mut self, written: Spanned<written::Expect>, asked: &CaseRequest) -> Option<Expected> {
        let Spanned { value, referenced: at, .. } = written;
        let written::Expect { verdict: ending, because, outputs, health, manifests, measurement, verification, log } =
            value;
        let mut all: Vec<(Location, &'static str, WorldAnswer)> = Vec::new();
        all.extend(outputs.map(|one| (one.referenced, "outputs", WorldAnswer::Outputs(one.value))));
        all.extend(manifests.map(|one| (one.referenced, "manifests", WorldAnswer::Manifests(one.value))));
        if let Some(Spanned { value: written::WrittenHealth { status, message }, referenced, .. }) = health {
            let status = self.word(&status, &HealthStatus::ALL, HealthStatus::name)?;
            all.push((referenced, "health", WorldAnswer::Health { status, message }));
        }
        if let Some(Spanned { value: written::WrittenMeasurement { value, judgement, message }, referenced, .. }) =
            measurement
        {
            let judgement = self.word(&judgement, &Judgement::ALL, Judgement::name)?;
            all.push((referenced, "measurement", WorldAnswer::Measurement { value, judgement, message }));
        }
        if let Some(one) = verification {
            let verification = self.word(&one, &Verification::ALL, Verification::name)?;
            all.push((one.referenced, "verification", WorldAnswer::Verification(verification)));
        }
        let wanted = if ending == Ending::Succeeded { asked.answered() } else { None };
        let mut answer = None;
        let before = self.mistakes.len();
        for (at, key, one) in all {
            if wanted == Some(key) {
                answer = Some(one);
            } else if ending == Ending::Succeeded {
                let what = wanted
                    .map_or_else(|| "leave it out: nothing is answered".to_owned(), |key| format!("write `{key}`"));
                self.wrong(
                    at,
                    format!("`{key}` is not what this call of a plugin of the world `{}` answers", self.world),
                    what,
                );
            } else {
                self.wrong(
                    at,
                    format!("`{key}` comes of a success only"),
                    "leave it out, or write `verdict: succeeded`",
                );
            }
        }
        match (answer, wanted) {
            (Some(answer), _) => Some(Expected { ending, because, answer, log }),
            (None, _) if self.mistakes.len() > before => None,
            (None, None | Some("outputs")) => Some(Expected { ending, because, answer: WorldAnswer::Nothing, log }),
            (None, Some(key)) => {
                self.wrong(
                    at,
                    format!("it lacks `{key}`, the answer"),
                    format!("add `{key}`; `bespin plugin test --help` shows its form"),
                );
                None
            }
        }
    }

    fn word<T: Copy>(&mut self, written: &Spanned<String>, all: &[T], name: fn(T) -> &'static str) -> Option<T> {
        let found = all.iter().copied().find(|one| name(*one) == written.value);
        if found.is_none() {
            let known: Vec<_> = all.iter().map(|one| format!("`{}`", name(*one))).collect();
            let message = format!("`{}` is none of the contract's words for it", written.value);
            self.wrong(written.referenced, message, format!("write one of {}", known.join(", ")));
        }
        found
    }
}

impl CaseRequest {
    /// The key of `expect` that has the answer of a success.
    fn answered(&self) -> Option<&'static str> {
        match self {
            CaseRequest::Step(_) => Some("outputs"),
            CaseRequest::Health(_) => Some("health"),
            CaseRequest::Generate(_) => Some("manifests"),
            CaseRequest::Measure(_) => Some("measurement"),
            CaseRequest::VerifyWeight(_) => Some("verification"),
            CaseRequest::SetWeight(_) | CaseRequest::Remove(_) => None,
        }
    }
}

/// Whether an Application's parameter can be this: `string`, `array` or `map`.
fn is_parameter(value: &Value) -> bool {
    match value {
        Value::String(_) => true,
        Value::Array(items) => items.iter().all(Value::is_string),
        Value::Object(map) => map.values().all(Value::is_string),
        _ => false,
    }
}

fn first_key(world: World) -> &'static str {
    match world {
        World::Step => "`with`, the step's settings",
        World::Health => "`object`, the whole object",
        World::Generate => "`parameters`, the Application's own",
        World::Measure => "`metric`, what the template says of the metric",
        World::Route => "`set-weight`, `verify-weight` or `remove`",
    }
}
