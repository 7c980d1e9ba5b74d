//! Looks at the manifests repository.

use super::BumpStage;
use crate::drive::Trouble;
use decide::bump::{Branch, File, IMAGE_TRAILER, Intent, Observed, Past, RUN_TRAILER};
use forge::{Limits, Mirror, Trailered};
use std::time::Instant;

/// How far back the branch's history is searched, in commits.
const HISTORY: usize = 2_000;
/// How much of the manifests is read.
const LIMITS: Limits = Limits { files: 5_000, file_bytes: 1024 * 1024, bytes: 32 * 1024 * 1024 };
/// What counts as a manifest.
const ENDINGS: [&str; 3] = [".yaml", ".yml", "Kustomization"];

impl BumpStage {
    pub(super) async fn manifests(&self, intent: &Intent, refused: Option<String>) -> Result<Observed, Trouble> {
        let mirror = match self.forge.mirror(&intent.repo) {
            Ok(mirror) => mirror,
            Err(error) => return Ok(Observed::Unusable { because: error.to_string() }),
        };
        if intent.path.split('/').any(|part| part == "..") || intent.path.starts_with('/') {
            let because = format!("`{}` is not a path within the repository; write it from its root", intent.path);
            return Ok(Observed::Unusable { because });
        }
        let Some((name, head)) = tip(&mirror, intent.branch.as_deref()).await? else {
            let branch = intent.branch.as_ref().map_or("default branch".into(), |name| format!("branch `{name}`"));
            return Ok(Observed::NoBranch { branch });
        };
        let files = files(&mirror, &head, &intent.path).await?;
        let bumps = past(&mirror, &head).await?;
        Ok(Observed::Branch(Box::new(Branch { name, head, files, bumps, refused })))
    }
}

/// Fetches, and answers a branch's name and the commit that it is at; the default branch's where none is named.
pub(in crate::stages) async fn tip(mirror: &Mirror, branch: Option<&str>) -> Result<Option<(String, String)>, Trouble> {
    mirror.fetch(Instant::now()).await?;
    let name = match branch {
        Some(name) => Some(name.to_owned()),
        None => mirror.default_branch().await?,
    };
    let Some(name) = name else { return Ok(None) };
    let head = mirror.resolve(&format!("refs/heads/{name}")).await?;
    Ok(head.map(|head| (name, head)))
}

/// Reads the manifests; too many of them are for the author to fix.
async fn files(mirror: &Mirror, head: &str, path: &str) -> Result<Result<Vec<File>, String>, Trouble> {
    let path = path.trim_start_matches("./").trim_end_matches("/.");
    let path = if path == "." { "" } else { path };
    let files = match mirror.files(head, path, &ENDINGS, LIMITS).await {
        Ok(files) => files,
        Err(error @ forge::Error::TooLarge { .. }) => {
            return Ok(Err(format!("{error}, below `{path}`; give the step a narrower `path`")));
        }
        Err(error) => return Err(error.into()),
    };
    // What is no text names no image.
    let text = |file: forge::FileAt| Some(File { path: file.path, text: String::from_utf8(file.bytes).ok()? });
    Ok(Ok(files.into_iter().filter_map(text).collect()))
}

/// The bumps in a commit's history, newest first.
pub(in crate::stages) async fn past(mirror: &Mirror, head: &str) -> Result<Vec<Past>, Trouble> {
    let trailered = mirror.trailered(head, HISTORY).await?;
    Ok(trailered.into_iter().filter_map(bumped).collect())
}

fn bumped(commit: Trailered) -> Option<Past> {
    let value = |wanted: &str| {
        let found = commit.trailers.iter().rev().find(|(key, _)| key.eq_ignore_ascii_case(wanted));
        found.map(|(_, value)| value.clone())
    };
    let (run, image) = (value(RUN_TRAILER)?, value(IMAGE_TRAILER)?);
    Some(Past { run, image, commit: commit.sha })
}
