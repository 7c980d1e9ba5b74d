//! The names of the journal's streams: which stage a stream belongs to, and what it is about.

use crate::next::Timestamp;
use serde::{Deserialize, Serialize};
use std::fmt;

/// The stages, each with streams of its own, in the order of a push.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Family {
    /// One webhook's delivery, `delivery/<hook>/<delivery id>`.
    Delivery,
    /// One run of a pipeline, `run/<owner>/<repository>/<pipeline>/<number>`.
    Run,
    /// One image that a step asks for, `image/<run id>/<step>`.
    Image,
    /// One bump that a step asks for, `bump/<run id>/<step>`.
    Bump,
    /// `app/<cluster>/<namespace>/<name>`: the sync of an Application.
    App,
    /// One Rollout of a cluster, `rollout/<cluster>/<namespace>/<name>`.
    Rollout,
    /// `revert/<cluster>/<namespace>/<name>/<since>`: what that rollout promised about git at that moment.
    Revert,
    /// `heads/<owner>/<repository>`: where its branches and tags stood when they were looked at.
    Heads,
}

impl Family {
    /// Every family, in the order of a push; last what finds the pushes that nobody told of.
    pub const ALL: [Family; 8] = [
        Family::Delivery,
        Family::Run,
        Family::Image,
        Family::Bump,
        Family::App,
        Family::Rollout,
        Family::Revert,
        Family::Heads,
    ];

    /// What the names of its streams begin with, such as `run/`.
    pub fn prefix(self) -> &'static str {
        match self {
            Family::Delivery => "delivery/",
            Family::Run => "run/",
            Family::Image => "image/",
            Family::Bump => "bump/",
            Family::App => "app/",
            Family::Rollout => "rollout/",
            Family::Revert => "revert/",
            Family::Heads => "heads/",
        }
    }

    /// Whether streams of this family go on for as long as their object is there.
    pub fn is_endless(self) -> bool {
        matches!(self, Family::App | Family::Rollout | Family::Heads)
    }
}

/// The name of a stream of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Stream(String);

/// A name that is no stream's.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is no stream; it begins with one of delivery/, run/, image/, bump/, app/, rollout/, revert/, heads/")]
pub struct NoStream(String);

impl Stream {
    /// The stream of a delivery of a webhook.
    pub fn delivery(hook: &str, id: &str) -> Stream {
        Stream(format!("delivery/{hook}/{id}"))
    }

    /// The stream of a repository's heads, by its name `owner/repository`.
    pub fn heads(repository: &str) -> Stream {
        Stream(format!("heads/{repository}"))
    }

    /// The stream of a run, by its id `owner/repository/pipeline/number`.
    pub fn run(id: &str) -> Stream {
        Stream(format!("run/{id}"))
    }

    /// The stream of what a run's step asks of images.
    pub fn image(run: &str, step: &str) -> Stream {
        Stream(format!("image/{run}/{step}"))
    }

    /// The stream of a run's step that bumps.
    pub fn bump(run: &str, step: &str) -> Stream {
        Stream(format!("bump/{run}/{step}"))
    }

    /// The stream of an Application.
    pub fn app(cluster: &str, namespace: &str, name: &str) -> Stream {
        Stream(format!("app/{cluster}/{namespace}/{name}"))
    }

    /// The stream of a Rollout.
    pub fn rollout(cluster: &str, namespace: &str, name: &str) -> Stream {
        Stream(format!("rollout/{cluster}/{namespace}/{name}"))
    }

    /// The stream of what the rollout of this stream promised about git, by the promise's moment in ms since the
    /// epoch: each promise has a stream of its own.
    pub fn revert_of(rollout: &Stream, since: Timestamp) -> Stream {
        Stream(format!("revert/{}/{since}", rollout.rest()))
    }

    /// The stream of the rollout that a revert is about.
    pub fn rollout_of(revert: &Stream) -> Stream {
        let rest = revert.rest();
        Stream(format!("rollout/{}", rest.rsplit_once('/').map_or(rest, |(rollout, _since)| rollout)))
    }

    /// Reads a name.
    ///
    /// # Errors
    /// It begins like no family's.
    pub fn parse(name: &str) -> Result<Stream, NoStream> {
        match Family::ALL.iter().any(|family| name.starts_with(family.prefix())) {
            true => Ok(Stream(name.to_owned())),
            false => Err(NoStream(name.to_owned())),
        }
    }

    /// Whose stream it is.
    pub fn family(&self) -> Family {
        let family = Family::ALL.into_iter().find(|family| self.0.starts_with(family.prefix()));
        family.expect("every constructor begins with a family's prefix")
    }

    /// The whole name, as in the journal.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name without its family: a run's id, or `cluster/namespace/name`.
    pub fn rest(&self) -> &str {
        self.0.split_once('/').map_or("", |(_, rest)| rest)
    }

    /// Cluster, namespace and name, where the stream is about an object of a cluster.
    pub fn object(&self) -> Option<(&str, &str, &str)> {
        if !matches!(self.family(), Family::App | Family::Rollout) {
            return None;
        }
        let mut parts = self.rest().split('/');
        let object = (parts.next()?, parts.next()?, parts.next()?);
        parts.next().is_none().then_some(object)
    }
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl AsRef<str> for Stream {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Stream {
    type Error = NoStream;

    fn try_from(name: String) -> Result<Stream, NoStream> {
        Stream::parse(&name)
    }
}

impl From<Stream> for String {
    fn from(stream: Stream) -> String {
        stream.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_tells_its_family_and_its_object() {
        let rollout = Stream::rollout("eks", "petclinic", "was");
        assert_eq!(rollout.object(), Some(("eks", "petclinic", "was")));
        assert_eq!(Stream::rollout_of(&Stream::revert_of(&rollout, 7)), rollout);
        assert_ne!(Stream::revert_of(&rollout, 7), Stream::revert_of(&rollout, 8), "a promise does not join another");
        assert_eq!(Stream::run("user/petclinic/was/56").object(), None);
        assert_eq!(Stream::parse("app/eks/a/b/c").map(|stream| stream.object().is_none()), Ok(true));
        for family in Family::ALL {
            let stream = Stream::parse(&format!("{}a/b/c", family.prefix())).expect("it is one");
            assert_eq!((stream.family(), stream.rest()), (family, "a/b/c"));
        }
        assert!(Stream::parse("door/a").is_err());
    }
}
