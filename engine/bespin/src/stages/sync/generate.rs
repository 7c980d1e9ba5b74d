//! Has a plugin of the world `generate` make an application's manifests.
//!
//! It sees the folder of the Application's source at one commit, and what the Application says to it. Nothing else,
//! so that the same commit gives the same manifests; a look that finds git where it was does not ask again.

use super::Manifests;
use super::lines::Lines;
use crate::config::{self, limited};
use crate::drive::Trouble;
use crate::extensions::{Extension, Extensions, SHARE, answer, in_turn};
use async_trait::async_trait;
use decide::manifest;
use decide::sync::application::{Application, Maker, Source};
use decide::sync::generator::{Generator, Place};
use pipeline::limits::{Limit, Limits};
use sandbox::{Abilities, Failure, Level, List, Listed, Read, Verdict, World};
use serde_json::Value;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// How many texts one answer may have.
const TEXTS: usize = 1_000;
/// How many objects they may name together.
const OBJECTS: usize = 5_000;
/// How many of a generator's warnings are shown with the application.
const REMARKS: usize = 20;

/// The generators, by the names that Applications use.
#[derive(Default)]
pub struct Generators {
    by_name: BTreeMap<String, Arc<Extension>>,
}

/// What came of asking a generator.
pub(super) struct Made {
    /// The objects, or what the author of the folder or of the plugin has to fix.
    pub(super) manifests: Result<Vec<Value>, Vec<String>>,
    /// What it warned of.
    pub(super) remarks: Vec<String>,
}

impl Generators {
    /// Loads the plugins of the configuration's rows.
    ///
    /// # Errors
    /// A row that can never work, as a sentence.
    pub async fn load(rows: &[config::Generator], extensions: &Extensions) -> Result<Generators, String> {
        let mut by_name = BTreeMap::new();
        for row in rows {
            let limits = limited(&row.limits, limits());
            let extension = extensions.load("generate", &row.name, &row.plugin, World::Generate, limits).await?;
            by_name.insert(row.name.clone(), extension);
        }
        Ok(Generators { by_name })
    }

    /// What an Application names and the configuration does not have, with the help.
    pub(super) fn lacking(&self, source: &Source) -> Option<String> {
        let Maker::Plugin(Generator { name, .. }) = &source.maker else { return None };
        if self.by_name.contains_key(name) {
            return None;
        }
        let known = match self.by_name.keys().map(String::as_str).collect::<Vec<_>>() {
            known if known.is_empty() => "it has none".to_owned(),
            known => format!("it has {}", known.join(", ")),
        };
        Some(format!(
            "spec.source.plugin names `{name}`, which the server's configuration does not have: add [[generate]] with \
             name = \"{name}\" ({known}), or commit rendered manifests"
        ))
    }

    /// Makes the manifests of an application at a commit.
    ///
    /// # Errors
    /// What another try may fix: then nothing is known of the manifests.
    pub(super) async fn make(
        &self,
        stream: &str,
        app: &Application,
        generator: &Generator,
        commit: &str,
        git: &Arc<dyn Manifests>,
    ) -> Result<Made, Trouble> {
        let name = &generator.name;
        let extension = self.by_name.get(name).ok_or_else(|| failed(name, "the configuration does not have it"))?;
        let plugin = extension.ready().map_err(|because| failed(name, &because))?.plugin;
        let Source { repo_url, path, .. } = &app.source;
        let log = Lines::new(plugin.name(), stream, format!("{path} at {commit}"));
        let (repo_url, path) = (repo_url.clone(), path.clone());
        let workspace = Arc::new(Workspace {
            git: git.clone(),
            repo_url,
            commit: commit.to_owned(),
            path,
            log,
            told: Mutex::default(),
        });
        // A folder that is not there is no folder without manifests.
        match workspace.entries("").await {
            Ok(Some(_)) => {}
            Ok(None) => {
                let Workspace { repo_url, path, .. } = &*workspace;
                return Err(Trouble::passing(format!("{repo_url} has no folder `{path}` at {commit}")));
            }
            Err(fault) => return unread(name, &fault, Vec::new()),
        }
        let (asked, limits) = (asked(app, generator, commit), &extension.limits);
        let call = extension.sandbox().generate(&plugin, &asked, limits, workspace.clone());
        let verdict = in_turn(limits.wall, call).await;
        made(name, workspace.told(), verdict)
    }
}

fn failed(name: &str, because: &str) -> Trouble {
    Trouble::passing(format!("the generator `{name}`: {because}"))
}

/// What came of a call.
fn made(name: &str, told: Told, verdict: Verdict<Vec<String>>) -> Result<Made, Trouble> {
    let Told { remarks, fault } = told;
    if let Some(fault) = fault {
        return unread(name, &fault, remarks);
    }
    let passes = matches!(
        verdict,
        Verdict::Transient { .. } | Verdict::TimedOut { .. } | Verdict::Limit { which: Limit::Concurrent, .. }
    );
    let manifests = match answer(verdict) {
        Ok(texts) => parse(name, &texts),
        Err(because) if passes => return Err(failed(name, &because)),
        Err(because) => Err(vec![failed(name, &because).message]),
    };
    Ok(Made { manifests, remarks })
}

/// What there is where something of the folder could not be read, whatever the plugin answered: what it made of half
/// a folder says nothing of the whole, and the other half's objects would be pruned.
fn unread(name: &str, fault: &Failure, remarks: Vec<String>) -> Result<Made, Trouble> {
    let because = failed(name, &said(fault));
    match fault {
        Failure::Transient(_) => Err(because),
        // It is the same at the next try: the author has to make the folder smaller.
        _ => Ok(Made { manifests: Err(vec![because.message]), remarks }),
    }
}

/// Everything that a generator's answer follows from, beside its own code and the repository's address.
pub(super) fn asked(app: &Application, generator: &Generator, commit: &str) -> String {
    let (application, namespace, path) = (app.name.as_str(), app.namespace.as_str(), app.source.path.as_str());
    generator.asked(Place { application, namespace, revision: commit, path })
}

/// What making the manifests of one folder may use, where its row says nothing else.
fn limits() -> Limits {
    Limits {
        memory_bytes: 128 << 20,
        wall: Duration::from_secs(60),
        output_bytes: 8 << 20,
        log_bytes: 256 << 10,
        concurrent: SHARE,
        ..Limits::default()
    }
}

/// What the texts of an answer name, or everything that is wrong with them.
fn parse(name: &str, texts: &[String]) -> Result<Vec<Value>, Vec<String>> {
    let (mut objects, mut mistakes) = (Vec::new(), Vec::new());
    if texts.len() > TEXTS {
        return Err(vec![format!("the generator `{name}` made {} texts; {TEXTS} are allowed", texts.len())]);
    }
    for (at, text) in texts.iter().enumerate() {
        match manifest::load(text, &format!("the generator `{name}`, text {}", at + 1)) {
            Ok(found) => objects.extend(found),
            Err(found) => mistakes.extend(found.iter().map(ToString::to_string)),
        }
        if objects.len() > OBJECTS {
            return Err(vec![format!(
                "the generator `{name}` made more than {OBJECTS} objects: split the application"
            )]);
        }
    }
    if mistakes.is_empty() { Ok(objects) } else { Err(mistakes) }
}

/// The folder of an Application's source at one commit, to read.
struct Workspace {
    git: Arc<dyn Manifests>,
    repo_url: String,
    commit: String,
    path: String,
    log: Lines,
    told: Mutex<Told>,
}

/// What happened in a call beside its answer.
#[derive(Clone, Default)]
struct Told {
    remarks: Vec<String>,
    /// Why something could not be read, that was perhaps there.
    fault: Option<Failure>,
}

impl Workspace {
    /// Where a path of the workspace is in the repository. The sandbox refuses what would lead out of it, and git's
    /// links are not followed.
    fn place(&self, path: &str) -> String {
        match (self.path.as_str(), path) {
            ("", path) => path.to_owned(),
            (folder, "") => folder.to_owned(),
            (folder, path) => format!("{folder}/{path}"),
        }
    }

    async fn entries(&self, path: &str) -> Result<Option<Vec<Listed>>, Failure> {
        self.git.list(&self.repo_url, &self.commit, &self.place(path)).await
    }

    fn told(&self) -> Told {
        self.told.lock().expect("nobody panics while holding what was told").clone()
    }

    /// Remembers what a plugin might not tell: it could take what is there, and cannot be read, for nothing.
    fn noted<T>(&self, answer: Result<T, Failure>) -> Result<T, Failure> {
        if let Err(fault) = &answer {
            self.told.lock().expect("nobody panics while holding what was told").fault = Some(fault.clone());
        }
        answer
    }
}

#[async_trait]
impl Abilities for Workspace {
    fn log(&self, level: Level, line: &str) {
        let kept = self.log.line(level, line);
        let mut told = self.told.lock().expect("nobody panics while holding what was told");
        if kept && matches!(level, Level::Warn | Level::Error) && told.remarks.len() < REMARKS {
            told.remarks.push(line.to_owned());
        }
    }

    /// Generators take turns, so that slow ones leave routers their places.
    fn share(&self) -> Option<String> {
        Some("generate".to_owned())
    }

    async fn read(&self, asked: Read) -> Result<Vec<u8>, Failure> {
        let at_most = usize::try_from(asked.at_most).unwrap_or(usize::MAX);
        let read = self.git.file(&self.repo_url, &self.commit, &self.place(&asked.path), at_most).await;
        self.noted(read)?.ok_or_else(|| Failure::Rejected(format!("there is no file `{}` in the folder", asked.path)))
    }

    async fn list(&self, asked: List) -> Result<Vec<Listed>, Failure> {
        let listed = self.entries(&asked.path).await;
        self.noted(listed)?.ok_or_else(|| Failure::Rejected(format!("there is no folder `{}`", asked.path)))
    }
}

fn said(failure: &Failure) -> String {
    match failure {
        Failure::Rejected(because) | Failure::Transient(because) | Failure::Limit { because, .. } => because.clone(),
        Failure::Denied(denied) => denied.to_string(),
    }
}

#[cfg(test)]
#[path = "generate/tests.rs"]
mod tests;
