//! Starts a driver for each Application, and wakes it when something of it changes.

use super::SyncStage;
use crate::drive::Drivers;
use cluster::{Change, Cluster};
use decide::stream::{Family, Stream};
use decide::sync::{Gvk, object};
use futures::StreamExt;
use serde_json::Value;
use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Argo CD's kind, by its group, version and name.
const APPLICATION: (&str, &str) = ("argoproj.io/v1alpha1", "Application");
/// What every application may wait for, whatever kinds it has: a namespace that comes or is gone at last, and a kind that
/// is served from now on.
const AWAITED: [(&str, &str); 2] = [("v1", "Namespace"), ("apiextensions.k8s.io/v1", "CustomResourceDefinition")];
/// Every application is looked at again after this long, though nothing was
/// heard. Source: argo-cd controller flags, 120 s and up to 60 s of jitter.
const RESYNC: Duration = Duration::from_secs(120);
/// How long changes are gathered before drivers are woken: one write often
/// changes several objects.
const GATHER: Duration = Duration::from_millis(20);
/// How long to wait for a kind that is not served yet.
const AGAIN: Duration = Duration::from_secs(5);

impl SyncStage {
    /// Follows one cluster until the server stops: every Application there
    /// gets a driver, and each change of what belongs to it wakes it.
    pub async fn supervise(self: Arc<Self>, drivers: Arc<Drivers>, cluster: Arc<Cluster>) {
        let stop = drivers.stopping().clone();
        let (changed, changes) = mpsc::unbounded_channel();
        let applications = self.clone().applications(drivers.clone(), cluster.clone());
        let followed = self.clone().followed(cluster.clone(), changed, stop.clone());
        let woken = self.clone().wake(drivers.clone(), cluster.clone(), changes);
        let again = resync(drivers, cluster);
        tokio::join!(until(&stop, applications), until(&stop, followed), until(&stop, woken), until(&stop, again),);
    }

    async fn applications(self: Arc<Self>, drivers: Arc<Drivers>, cluster: Arc<Cluster>) {
        // What a step waits for is driven, even if its Application is gone.
        match drivers.streams(Family::App).await {
            Ok(streams) => {
                let here = |stream: &&Stream| stream.object().is_some_and(|(place, ..)| place == cluster.name());
                streams.iter().filter(here).for_each(|stream| drivers.ensure(stream));
            }
            Err(error) => tracing::warn!(%error, "the journal's applications cannot be listed"),
        }
        let mut changes = followed(&cluster, &(APPLICATION.0.to_owned(), APPLICATION.1.to_owned())).await;
        while let Some(change) = changes.next().await {
            let object = change.object();
            let stream = Stream::app(cluster.name(), object::namespace(object), object::name(object));
            match change {
                Change::There(_) => drivers.ensure(&stream),
                Change::Gone(_) => drivers.poke(&stream),
            }
        }
    }

    /// One watch for each kind in use, started as looks find them. What looks have not found yet is not missed: the
    /// first look of an application reads it.
    async fn followed(
        self: Arc<Self>,
        cluster: Arc<Cluster>,
        changed: mpsc::UnboundedSender<Value>,
        stop: CancellationToken,
    ) {
        let mut interest = self.interest.subscribe();
        let mut known = BTreeSet::new();
        let awaited: BTreeSet<Gvk> = AWAITED.map(|(version, kind)| (version.to_owned(), kind.to_owned())).into();
        loop {
            interest.mark_unchanged();
            let wanted = &self.kinds_in_use(cluster.name()) | &awaited;
            for gvk in wanted.difference(&known.clone()) {
                known.insert(gvk.clone());
                tokio::spawn(forward(cluster.clone(), gvk.clone(), changed.clone(), stop.clone()));
            }
            if interest.changed().await.is_err() {
                return;
            }
        }
    }

    fn kinds_in_use(&self, cluster: &str) -> BTreeSet<Gvk> {
        let prefix = format!("app/{cluster}/");
        let memories = self.memories.lock().expect("nobody panics while holding the memories");
        let here = memories.iter().filter(|(stream, _)| stream.starts_with(&prefix));
        here.flat_map(|(_, memory)| memory.kinds.iter().cloned()).collect()
    }

    /// Wakes the applications that a change may be about: those that read its namespace, and those of which it is not
    /// known yet what they read. What is known is a cache, which spares the others a look.
    async fn wake(
        self: Arc<Self>,
        drivers: Arc<Drivers>,
        cluster: Arc<Cluster>,
        mut changes: mpsc::UnboundedReceiver<Value>,
    ) {
        while let Some(first) = changes.recv().await {
            tokio::time::sleep(GATHER).await;
            let mut places = BTreeSet::from([object::namespace(&first).to_owned()]);
            while let Ok(object) = changes.try_recv() {
                places.insert(object::namespace(&object).to_owned());
            }
            self.changed(&drivers, cluster.name(), &places);
        }
    }
}

impl SyncStage {
    /// Wakes the applications of a cluster that read one of these namespaces, or may; all of them for what has none.
    pub(super) fn changed(&self, drivers: &Drivers, cluster: &str, places: &BTreeSet<String>) {
        let memories = self.memories.lock().expect("nobody panics while holding the memories");
        let reads = |stream: &Stream| {
            let namespaces = memories.get(stream.as_str()).map(|memory| &memory.namespaces);
            let known = namespaces.filter(|namespaces| !namespaces.is_empty());
            places.contains("") || known.is_none_or(|namespaces| !places.is_disjoint(namespaces))
        };
        let is_here = |stream: &Stream| stream.object().is_some_and(|(place, ..)| place == cluster);
        drivers.poke_those(Family::App, |stream| is_here(stream) && reads(stream));
    }
}

/// Forwards the changes of one kind, without the objects' bodies.
async fn forward(cluster: Arc<Cluster>, gvk: Gvk, changed: mpsc::UnboundedSender<Value>, stop: CancellationToken) {
    until(&stop, async {
        let mut changes = followed(&cluster, &gvk).await;
        while let Some(change) = changes.next().await {
            let namespace = object::namespace(change.object());
            if changed.send(serde_json::json!({ "metadata": { "namespace": namespace } })).is_err() {
                return;
            }
        }
    })
    .await;
}

/// A kind's changes, once it is served.
async fn followed(cluster: &Cluster, gvk: &Gvk) -> futures::stream::BoxStream<'static, Change> {
    loop {
        match cluster.follow(&gvk.0, &gvk.1).await {
            Ok(changes) => return changes,
            Err(error) => {
                tracing::info!(cluster = cluster.name(), %error, "it is not followed yet");
                tokio::time::sleep(AGAIN).await;
            }
        }
    }
}

async fn resync(drivers: Arc<Drivers>, cluster: Arc<Cluster>) {
    let prefix = format!("app/{}/", cluster.name());
    loop {
        tokio::time::sleep(RESYNC + Duration::from_secs(rand::random_range(0..60))).await;
        drivers.poke_all(&prefix);
    }
}

async fn until(stop: &CancellationToken, work: impl Future<Output = ()>) {
    tokio::select! {
        () = stop.cancelled() => {}
        () = work => {}
    }
}
