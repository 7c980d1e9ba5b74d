//! Looks at the manifests repository, and at the forge's pull requests.

use super::super::bump::observe as bump;
use super::RevertStage;
use crate::drive::Trouble;
use crate::sources;
use decide::revert::{Aside, Branch, Folder, How, Intent, Observed, Refusals, Request};
use forge::Mirror;

impl RevertStage {
    pub(super) async fn git(&self, intent: &Intent, refusals: Refusals) -> Result<Observed, Trouble> {
        let mirror = match self.forge.mirror(&intent.repo) {
            Ok(mirror) => mirror,
            Err(error) => return Ok(Observed::Unusable { because: error.to_string() }),
        };
        let Some((name, head)) = bump::tip(&mirror, intent.branch.as_deref()).await? else {
            let branch = intent.branch.as_ref().map_or("default branch".into(), |name| format!("branch `{name}`"));
            return Ok(Observed::NoBranch { branch });
        };
        let files = folder(&mirror, &head, intent).await?;
        let bumps = bump::past(&mirror, &head).await?;
        let (aside, request) = match intent.how {
            How::PullRequest => self.aside(&mirror, intent, (&name, &head), refusals.pull_request).await?,
            How::Revert => (Aside::Absent, Request::NoApi),
        };
        Ok(Observed::Branch(Box::new(Branch { name, head, files, bumps, aside, request, refused: refusals.push })))
    }

    /// The branch of the pull request, and the pull request once that branch is there.
    async fn aside(
        &self,
        mirror: &Mirror,
        intent: &Intent,
        (base, head): (&str, &str),
        refused: Option<String>,
    ) -> Result<(Aside, Request), Trouble> {
        let name = intent.aside();
        let tip = mirror.resolve(&format!("refs/heads/{name}")).await?;
        let Some(tip) = tip else { return Ok((Aside::Absent, Request::Absent)) };
        if mirror.contains(head, &tip).await? {
            return Ok((Aside::Absent, Request::Absent));
        }
        let aside = Aside::There { files: folder(mirror, &tip, intent).await? };
        let Some(pulls) = self.pulls.of(mirror.address()) else { return Ok((aside, Request::NoApi)) };
        let found = match pulls.find(&name, base).await {
            Err(error) if error.retry.may_pass() => return Err(error.into()),
            found => found,
        };
        // The forge also refuses what is there already, so what it has comes before what it said.
        let request = match (found, refused) {
            (Ok(Some(url)), _) => Request::Open { url },
            (Ok(None), Some(because)) => Request::Refused { because },
            (Ok(None), None) => Request::Absent,
            (Err(error), _) => Request::Refused { because: error.problem },
        };
        Ok((aside, request))
    }
}

/// What a sync of the application reads at this commit, or why that is not read.
async fn folder(mirror: &Mirror, commit: &str, intent: &Intent) -> Result<Result<Folder, String>, Trouble> {
    let Intent { repo, path, .. } = intent;
    match sources::manifests(mirror, commit, path).await {
        Ok(Some(files)) => Ok(Ok(Folder::new(intent, files.into_iter().map(|file| (file.path, file.bytes))))),
        Ok(None) => {
            let commit = commit.get(..7).unwrap_or(commit);
            Ok(Err(format!(
                "{repo} has no folder `{path}` at {commit}; put the image back by hand where it stands now"
            )))
        }
        Err(error @ forge::Error::TooLarge { .. }) => {
            Ok(Err(format!("{error}, below `{path}`; put the image back by hand")))
        }
        Err(error) => Err(error.into()),
    }
}
