//! What a pull request shows: the pipelines of its base branch, and the commit of its head.
//!
//! Both are read from the base's repository, at the address that the
//! configuration gives it. A fork's own address is in no journal and is never
//! asked for anything: GitHub keeps every head at the base, as `refs/pull/N/head`.

use super::{DeliveryStage, Looked};
use crate::drive::Trouble;
use decide::delivery::PullRequest;
use decide::next::Timestamp;
use decide::run::Commit;
use decide::trigger::{Changed, Known, Standing};
use forge::{Error, Mirror};

/// Why there is nothing to decide on.
pub(super) enum Without {
    /// Something is not there yet, or not any more.
    Missing,
    /// It is there, and larger than what is taken in.
    TooLarge(String),
}

impl DeliveryStage {
    /// Looks at a pull request that was received at `at`; `runs` are its repository's.
    pub(super) async fn look_at_pull_request(
        &self,
        mirror: &Mirror,
        asked: &PullRequest,
        at: Timestamp,
        runs: &[Known],
    ) -> Result<Result<Looked, Without>, Trouble> {
        let trouble = |error: Error| Trouble(error.to_string());
        // The pipeline that counts is the branch's newest, not the one that the payload remembers.
        mirror.fetch(at).await.map_err(trouble)?;
        let known = mirror.resolve(&asked.reference()).await.map_err(trouble)?;
        let tip = if known.as_deref() == Some(asked.head_sha.as_str()) {
            known
        } else {
            match mirror.pull_request(asked.number).await {
                Err(error @ Error::TooLarge { .. }) => return Ok(Err(Without::TooLarge(error.to_string()))),
                tip => tip.map_err(trouble)?,
            }
        };
        let commit = mirror.commit(&asked.head_sha).await.map_err(trouble)?;
        let base = mirror.resolve(&asked.base).await.map_err(trouble)?;
        let (Some(tip), Some(commit), Some(base)) = (tip, commit, base) else { return Ok(Err(Without::Missing)) };
        let Some(standing) = standing(mirror, asked, tip, runs).await? else { return Ok(Err(Without::Missing)) };
        let changed = match mirror.changed_since(&base, &asked.head_sha).await.map_err(trouble)? {
            forge::Changed::Paths(paths) => Changed::Paths(paths),
            forge::Changed::Everything { .. } => Changed::Everything,
        };
        let Some(at_base) = self.read_at(mirror, &asked.repository, &base).await? else {
            return Ok(Err(Without::Missing));
        };
        let commit = Commit { sha: commit.sha, short: commit.short, message: commit.message, author: commit.author };
        Ok(Ok(Looked { commit, files: at_base.files.clone(), files_at: base, changed, standing }))
    }
}

/// How the pull request's reference stands to the commit; `None` where it does not lead there (yet).
async fn standing(
    mirror: &Mirror,
    asked: &PullRequest,
    tip: String,
    runs: &[Known],
) -> Result<Option<Standing>, Trouble> {
    if tip == asked.head_sha {
        return Ok(Some(Standing::Current));
    }
    let passed = mirror.contains(&tip, &asked.head_sha).await.map_err(|error| Trouble(error.to_string()))?;
    // Whoever opened a run before a crash finds it, wherever the reference has gone since.
    let opened = |run: &Known| {
        run.event.after == asked.head_sha && run.event.pull_request.as_ref().is_some_and(|of| of.number == asked.number)
    };
    Ok((passed || runs.iter().any(opened)).then_some(Standing::Passed { by: tip }))
}
