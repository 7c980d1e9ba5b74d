//! What a pull request shows: the pipelines of its base branch, and the commit of its head.
//!
//! Both are read from the base's repository, at the address that the
//! configuration gives it. A fork's own address is in no journal and is never
//! asked for anything: GitHub keeps every head at the base, as `refs/pull/N/head`.

use super::DeliveryStage;
use super::observe::AtRepository;
use crate::drive::Trouble;
use decide::delivery::{self, Changed, KnownRun, Observed, PullRequest, Received, Standing};
use decide::run::Commit;
use forge::{Error, Fetched, HEAD_KEPT, Head, HeadLimits, Mirror};
use std::time::Instant;

impl DeliveryStage {
    /// Looks at a pull request that was received before `since`, or says why there is nothing
    /// to decide on. Anybody can make one, so this holds up nothing but other heads of
    /// the repository, and no head is fetched that no pipeline of the base asks for.
    pub(super) async fn observe_pull_request(
        &self,
        mirror: &Mirror,
        asked: &PullRequest,
        since: Instant,
    ) -> Result<Result<AtRepository, Observed>, Trouble> {
        // The pipeline that counts is the branch's newest, not the one that the payload remembers.
        mirror.fetch(since).await?;
        let Some(base) = mirror.resolve(&asked.base).await? else { return Ok(Err(Observed::Missing)) };
        let Some(at_base) = self.read_at(mirror, &asked.repository, &base).await? else {
            return Ok(Err(Observed::Missing));
        };
        // Whoever opened a run before a crash finds it, whatever the base's pipelines say by now.
        let opened = self.runs(&asked.repository).await?.iter().any(|run| is_of(run, asked));
        if !opened && let Some(because) = delivery::idle(&Received::PullRequest(asked.clone()), &base, &at_base.files) {
            return Ok(Err(Observed::Refused { because }));
        }
        let Fetched { commit, tip } = match self.fetch_head(mirror, asked, &base).await? {
            Ok(fetched) => fetched,
            Err(observed) => return Ok(Err(observed)),
        };
        let changed = match mirror.changed_since(&base, &asked.head_sha).await? {
            forge::Changed::Paths(paths) => Changed::Paths(paths),
            forge::Changed::Everything { .. } => Changed::Everything,
        };
        let tip = match self.was_left(asked).await? {
            true => mirror.heads().await.tip(asked.number, &base, HeadLimits::default()).await?.unwrap_or(tip),
            false => tip,
        };
        let standing = if tip == asked.head_sha { Standing::Current } else { Standing::Passed { by: tip } };
        let commit = Commit { sha: commit.sha, short: commit.short, message: commit.message, author: commit.author };
        Ok(Ok(AtRepository { commit, files: at_base.files, files_at: base, changed, standing, brought: Vec::new() }))
    }

    /// Whether this head had a run, and another head after it: whether it is back, the remote must say.
    async fn was_left(&self, asked: &PullRequest) -> Result<bool, Trouble> {
        let runs = self.runs(&asked.repository).await?;
        let of_it = |run: &&KnownRun| run.event.pull_request.as_ref().is_some_and(|of| of.number == asked.number);
        let mut heads =
            runs.iter().filter(of_it).map(|run| &run.event.after).skip_while(|head| **head != asked.head_sha);
        Ok(heads.any(|head| *head != asked.head_sha))
    }

    async fn fetch_head(
        &self,
        mirror: &Mirror,
        asked: &PullRequest,
        base: &str,
    ) -> Result<Result<Fetched, Observed>, Trouble> {
        let head = Head { number: asked.number, sha: asked.head_sha.clone() };
        let turn = mirror.heads().await;
        let needed = self.index.heads().await.map_err(|error| Trouble::new("reading the heads", error))?;
        let fetched = turn.fetch(&head, base, needed, HeadLimits::default()).await;
        drop(turn);
        match fetched {
            Ok(Some(fetched)) => Ok(Ok(fetched)),
            Ok(None) => Ok(Err(Observed::Missing)),
            Err(error @ Error::TooLarge { .. }) => Ok(Err(Observed::Refused { because: error.to_string() })),
            // The server's own disk is no fault of the pull request's.
            Err(error @ (Error::Directory { .. } | Error::Mirror { .. })) => Err(error.into()),
            Err(error) => {
                // Nor is a remote that nothing can be read from.
                mirror.fetch(Instant::now()).await?;
                Ok(Err(Observed::Unreadable { because: error.to_string() }))
            }
        }
    }

    /// Removes the heads that no open run or delivery has needed for a day.
    pub(super) async fn tidy_heads(&self) -> Result<(), Trouble> {
        let reading = |error| Trouble::new("reading the heads", error);
        for repository in self.index.proposed_to().await.map_err(reading)? {
            // One that the configuration does not name any more has no mirror here.
            let Ok(mirror) = self.forge.repository(&repository) else { continue };
            let turn = mirror.heads().await;
            let needed = self.index.heads().await.map_err(reading)?;
            turn.tidy(needed, HEAD_KEPT).await?;
        }
        Ok(())
    }
}

fn is_of(run: &KnownRun, asked: &PullRequest) -> bool {
    let same = |of: &decide::run::PullRequest| of.number == asked.number && of.base == asked.base;
    run.event.after == asked.head_sha && run.event.pull_request.as_ref().is_some_and(same)
}
