//! Artifacts, the cache and metrics.

use super::bindings::bespin::plugin::{artifacts, cache, metrics};
use super::{Answer, value};
use crate::abilities::{Artifact, Failure, Found, Query, Read, Restore, Sample, Save, Saved, Stored};
use crate::state::State;
use pipeline::permission::Ability;

/// Prefixes of one search of the cache.
const PREFIXES: usize = 16;

/// The longest question to a metric provider, in bytes.
const QUERY: usize = 16 << 10;

impl artifacts::Host for State {
    async fn put(&mut self, name: String, content: Vec<u8>) -> Answer<()> {
        self.count()?;
        let stored = self.store(Artifact { name, content }).await;
        self.answer(stored)
    }

    async fn get(&mut self, name: String) -> Answer<Vec<u8>> {
        self.count()?;
        let content = self.stored(name).await;
        self.answer(content)
    }

    async fn list(&mut self) -> Answer<Vec<artifacts::Artifact>> {
        self.count()?;
        let listed = self.ask(|abilities| async move { abilities.artifacts().await }).await;
        let artifact = |Stored { name, size, step }| artifacts::Artifact { name, size, step };
        self.answer(listed.map(|stored| {
            let mut listed: Vec<_> = stored.into_iter().map(artifact).collect();
            listed.sort_by(|one, other| one.name.cmp(&other.name));
            listed
        }))
    }
}

impl cache::Host for State {
    async fn restore(&mut self, key: String, prefixes: Vec<String>) -> Answer<Option<cache::Found>> {
        self.count()?;
        let found = self.find_archive(key, prefixes).await;
        self.answer(found.map(|found| found.map(|Found { key, archive }| cache::Found { key, archive })))
    }

    async fn save(&mut self, key: String, archive: Vec<u8>) -> Answer<cache::Saved> {
        self.count()?;
        let saved = self.save_archive(Save { key, archive }).await;
        self.answer(saved.map(|saved| match saved {
            Saved::Saved => cache::Saved::Saved,
            Saved::Kept => cache::Saved::Kept,
            Saved::ReadOnly => cache::Saved::ReadOnly,
        }))
    }
}

impl metrics::Host for State {
    async fn query(&mut self, provider: String, query: String) -> Answer<Vec<metrics::Sample>> {
        self.count()?;
        let asked = self.query_metrics(Query { provider, query }).await;
        self.answer(asked.map(|samples| samples.into_iter().map(sample).collect()))
    }
}

fn sample(Sample { labels, value }: Sample) -> metrics::Sample {
    let label = |(name, value)| metrics::Label { name, value };
    metrics::Sample { labels: labels.into_iter().map(label).collect(), value }
}

impl State {
    async fn store(&mut self, asked: Artifact) -> Result<(), Failure> {
        value::artifact(&asked.name)?;
        self.fits("artifact", &asked.name, asked.content.len())?;
        self.tells_no_secret("the artifact", &asked.content)?;
        self.ask(|abilities| async move { abilities.store(asked).await }).await
    }

    async fn stored(&mut self, name: String) -> Result<Vec<u8>, Failure> {
        value::artifact(&name)?;
        let asked = Read { path: name.clone(), at_most: self.limits.response_bytes };
        let content = self.ask(|abilities| async move { abilities.stored(asked).await }).await?;
        self.fits("artifact", &name, content.len())?;
        Ok(content)
    }

    async fn find_archive(&mut self, key: String, prefixes: Vec<String>) -> Result<Option<Found>, Failure> {
        value::key(&key)?;
        if prefixes.len() > PREFIXES {
            return Err(Failure::Rejected(format!("{} prefixes; {PREFIXES} can be searched", prefixes.len())));
        }
        prefixes.iter().try_for_each(|prefix| value::key(prefix))?;
        let asked = Restore { key, prefixes, at_most: self.limits.response_bytes };
        let found = self.ask(|abilities| async move { abilities.restore(asked).await }).await?;
        if let Some(found) = &found {
            self.fits("archive", &found.key, found.archive.len())?;
        }
        Ok(found)
    }

    async fn save_archive(&mut self, asked: Save) -> Result<Saved, Failure> {
        value::key(&asked.key)?;
        self.fits("archive", &asked.key, asked.archive.len())?;
        self.tells_no_secret("the archive", &asked.archive)?;
        self.ask(|abilities| async move { abilities.save(asked).await }).await
    }

    async fn query_metrics(&mut self, asked: Query) -> Result<Vec<Sample>, Failure> {
        value::word("metric provider", &asked.provider)?;
        if asked.query.trim().is_empty() || asked.query.len() > QUERY {
            return Err(Failure::Rejected(format!("the query is empty, or has more than {QUERY} bytes")));
        }
        self.covers(Ability::Metrics, &asked.provider)?;
        self.ask(|abilities| async move { abilities.query(asked).await }).await
    }

    fn fits(&self, what: &str, name: &str, bytes: usize) -> Result<(), Failure> {
        let at_most = self.limits.response_bytes;
        if bytes as u64 > at_most {
            return Err(Failure::Rejected(format!("{what} `{name}` has {bytes} bytes; {at_most} are allowed")));
        }
        Ok(())
    }
}
