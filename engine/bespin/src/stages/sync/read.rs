//! What git says an application is: its files, or what a generator makes of them.

use super::SyncStage;
use super::generate::{self, Made};
use crate::drive::Trouble;
use decide::manifest;
use decide::sync::application::{Application, Depth, MANIFESTS, Maker, Source};
use serde_json::Value;
use std::sync::Arc;

/// The manifests of an application at a commit.
#[derive(Clone)]
pub(super) struct Read {
    source: Source,
    commit: String,
    /// What a generator was asked; its code is the same for as long as the server runs.
    asked: Option<String>,
    /// The objects, or every mistake in them.
    pub(super) manifests: Arc<Result<Vec<Value>, Vec<String>>>,
    /// What a generator warned of.
    pub(super) remarks: Arc<Vec<String>>,
}

impl SyncStage {
    /// Reads git, unless it is where it was and the Application asks for what it asked for.
    pub(super) async fn read(&self, stream: &str, app: &Application, commit: &str) -> Result<Read, Trouble> {
        let source = &app.source;
        let asked = match &source.maker {
            Maker::Files(_) => None,
            Maker::Plugin(generator) => Some(generate::asked(app, generator, commit)),
        };
        let is_same = |read: &Read| read.source == *source && read.commit == commit && read.asked == asked;
        if let Some(read) = self.memory(stream).read.filter(is_same) {
            return Ok(read);
        }
        let (manifests, remarks) = match &source.maker {
            Maker::Files(depth) => {
                let files = self.git.files(&source.repo_url, commit, &source.path).await?;
                (parse(&source.path, *depth, &files), Vec::new())
            }
            Maker::Plugin(generator) => {
                let made = self.generators.make(stream, app, generator, commit, &self.git).await?;
                let Made { manifests, remarks } = made;
                (manifests, remarks)
            }
        };
        let (manifests, remarks) = (Arc::new(manifests), Arc::new(remarks));
        let read = Read { source: source.clone(), commit: commit.to_owned(), asked, manifests, remarks };
        self.remember(stream, |memory| memory.read = Some(read.clone()));
        Ok(read)
    }
}

/// What the files of an application name, or everything that is wrong with them.
fn parse(path: &str, depth: Depth, files: &[(String, String)]) -> Result<Vec<Value>, Vec<String>> {
    let mut objects = Vec::new();
    let mut mistakes = Vec::new();
    for (name, text) in files {
        let base = name.rsplit('/').next().unwrap_or(name);
        if !depth.reaches(name) {
            continue;
        }
        let place = if path.is_empty() { name.clone() } else { format!("{path}/{name}") };
        if matches!(base, "kustomization.yaml" | "kustomization.yml" | "Kustomization" | "Chart.yaml") {
            mistakes
                .push(format!("{place}: Kustomize and Helm are not run by this version; commit rendered manifests"));
            continue;
        }
        if !MANIFESTS.iter().any(|ending| base.ends_with(ending)) {
            continue;
        }
        match manifest::load(text, &place) {
            Ok(found) => objects.extend(found),
            Err(found) => mistakes.extend(found.iter().map(ToString::to_string)),
        }
    }
    if mistakes.is_empty() { Ok(objects) } else { Err(mistakes) }
}
