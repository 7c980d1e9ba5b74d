//! `bespin check`: what a configuration names is tried, and each part has its line.

use crate::adapters;
use crate::config::Config;
use crate::drive::now;
use cluster::{Cluster, Elb, ElbSettings};
use decide::retry::Retry;
use forge::redelivery::{WebhookError, Webhooks};
use forge::{Address, Forge};
use std::fmt;
use std::io::Write;
use std::time::Duration;

/// How the lines are read.
pub(crate) const AFTER_HELP: &str = "\
Each line is a result, a part and what was found:
  ok      it answers, and takes the credentials
  note    it works less well than it could, or was not tried
  failed  it does not answer, or refuses";

/// How long one part may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// What became of one part.
enum Finding {
    Good(String),
    Note(String),
    Failed(String),
}

/// One part of a configuration with what was found.
struct CheckLine {
    part: &'static str,
    name: String,
    finding: Finding,
}

impl fmt::Display for CheckLine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CheckLine { part, name, finding } = self;
        let (word, text) = match finding {
            Finding::Good(text) => ("ok", text),
            Finding::Note(text) => ("note", text),
            Finding::Failed(text) => ("failed", text),
        };
        write!(f, "{word:<7} {part:<9} {name}: {text}")
    }
}

/// Tries everything, and writes a line as soon as its part is known.
///
/// # Errors
/// How many parts failed, or what cannot be tried at all.
pub(crate) async fn run(config: Config, out: &mut (impl Write + Send)) -> Result<(), String> {
    let room = tempfile::tempdir().map_err(|error| format!("a temporary folder: {error}"))?;
    let settings = adapters::forge(&config)?;
    let webhooks = Webhooks::new(settings.status.clone());
    let forge = Forge::new(settings, room.path()).map_err(|error| error.to_string())?;
    let mut failed = 0;
    let mut tell = |line: CheckLine| {
        failed += usize::from(matches!(line.finding, Finding::Failed(_)));
        writeln!(out, "{line}").map_err(|error| format!("standard output: {error}"))
    };
    tell(line("secrets", "all", Finding::Good("each can be read".into())))?;
    let hooks = adapters::hook_of_each(&config);
    for repository in hooks.keys() {
        tell(line("git", repository, within(git(&forge, repository)).await))?;
    }
    for (repository, hook) in hooks {
        tell(line("webhooks", &repository, within(deliveries(&forge, &webhooks, &repository, &hook)).await))?;
    }
    for settings in config.cluster {
        let (name, elb) = (settings.name.clone(), settings.elb.clone());
        tell(line("cluster", &name, within(reached(settings)).await))?;
        if let Some(elb) = elb {
            tell(line("balancer", &name, within(balanced(&name, elb)).await))?;
        }
    }
    let untried = || Finding::Note("not tried; the first request will show whether it answers".into());
    for registry in &config.registry {
        tell(line("registry", &registry.host, untried()))?;
    }
    for provider in &config.metrics {
        tell(line("metrics", &provider.name, untried()))?;
    }
    if failed == 0 { Ok(()) } else { Err(format!("{failed} failed")) }
}

fn line(part: &'static str, name: &str, finding: Finding) -> CheckLine {
    CheckLine { part, name: name.to_owned(), finding }
}

async fn within(trying: impl Future<Output = Finding>) -> Finding {
    let late = |_| Finding::Failed(format!("no answer within {} s", PATIENCE.as_secs()));
    tokio::time::timeout(PATIENCE, trying).await.unwrap_or_else(late)
}

async fn git(forge: &Forge, repository: &str) -> Finding {
    let listed = async {
        let mirror = forge.repository(repository)?;
        Ok::<_, forge::Error>((forge.address(repository)?, mirror.shown_references().await?))
    };
    match listed.await {
        Ok((url, references)) => Finding::Good(format!("{url} shows {references} references")),
        Err(error) => Finding::Failed(error.to_string()),
    }
}

async fn reached(settings: cluster::Settings) -> Finding {
    match Cluster::connect(settings).await {
        Ok(_) => Finding::Good("the API server answers".into()),
        Err(error) => Finding::Failed(error.to_string()),
    }
}

async fn balanced(cluster: &str, settings: ElbSettings) -> Finding {
    let elb = match Elb::new(cluster, settings, now) {
        Ok(elb) => elb,
        Err(error) => return Finding::Failed(error.to_string()),
    };
    match elb.reach().await {
        Ok(untried) if untried.is_empty() => {
            Finding::Good("the load balancers' API answers each call that is needed".into())
        }
        Ok(untried) => {
            let untried = untried.join(", ");
            Finding::Good(format!(
                "the load balancers' API answers; not tried, for there is nothing to ask about: {untried}"
            ))
        }
        Err(failure) => Finding::Failed(failure.message),
    }
}

/// Whether pushes whose delivery failed are delivered again. Without that, heads are all there is: they tell of
/// branches and tags that moved while the server was down, and of nothing else.
async fn deliveries(forge: &Forge, webhooks: &Webhooks, repository: &str, hook: &str) -> Finding {
    let heads = |because: String| {
        Finding::Note(format!(
            "heads are all there is: {because}. Branches and tags that moved while the server was down are found, \
             pull requests may be missed"
        ))
    };
    let unasked = |error: WebhookError| match error.retry {
        Retry::NeedsPerson => heads(format!("{error}; the token needs `Webhooks: write`")),
        Retry::Passing { .. } | Retry::Permanent => Finding::Failed(error.to_string()),
    };
    let address = forge.address(repository).and_then(|address| Address::parse(&address));
    let Some(webhooks) = address.as_ref().ok().and_then(|address| webhooks.of(address)) else {
        return heads("no [github] of the configuration is at this repository's host".into());
    };
    let leading = match webhooks.of_hook(hook).await {
        Ok(leading) => leading,
        Err(error) => return unasked(error),
    };
    let Some(first) = leading.first() else {
        return Finding::Failed(format!("no webhook leads to /hooks/github/{hook}; add one at the repository"));
    };
    match webhooks.may_redeliver(*first).await {
        Ok(()) => Finding::Good("deliveries that failed are asked for again".into()),
        Err(error) => unasked(error),
    }
}

#[cfg(test)]
mod tests;
