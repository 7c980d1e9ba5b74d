//! Reads objects: one, those of a kind, or everything that a filter keeps.

use crate::error::trying;
use crate::{Cluster, Kind, Result, Scope, to_json};
use futures::{StreamExt, TryStreamExt, stream};
use kube::api::ListParams;
use serde_json::Value;
use std::collections::BTreeSet;

/// How many objects one answer may hold; the rest comes in further answers.
const PAGE: u32 = 500;
/// How many lists are under way at a time.
const AT_ONCE: usize = 8;
/// Kinds that controllers make by the thousand and nobody writes into git.
const NOISE: [&str; 6] = ["Event", "EndpointSlice", "Endpoints", "Lease", "ControllerRevision", "ComponentStatus"];

/// Which objects a look keeps.
pub type Keep<'a> = &'a (dyn Fn(&Value) -> bool + Sync);

impl Cluster {
    /// Reads one object; `None` where it, or its kind, is not there. The
    /// namespace is ignored for cluster-scoped kinds.
    ///
    /// # Errors
    /// A read that fails.
    pub async fn get(&self, api_version: &str, kind: &str, namespace: &str, name: &str) -> Result<Option<Value>> {
        let kind = match self.kind(api_version, kind).await {
            Ok(kind) => kind,
            Err(crate::Error::UnknownKind { .. }) => return Ok(None),
            Err(error) => return Err(error),
        };
        let tried = format!("reading {} {namespace}/{name}", kind.kind);
        let found = trying(&tried, self.api_of(&kind, Some(namespace)).get_opt(name)).await?;
        Ok(found.map(|object| to_json(object, &kind.resource())))
    }

    /// Reads every object of a kind, in one namespace or in all.
    ///
    /// # Errors
    /// A read that fails.
    pub async fn list(&self, kind: &Kind, namespace: Option<&str>) -> Result<Vec<Value>> {
        let api = self.api_of(kind, namespace);
        let place = namespace.map(|namespace| format!(" in {namespace}")).unwrap_or_default();
        let tried = format!("listing {}{place}", kind.plural);
        let resource = kind.resource();
        let mut objects = Vec::new();
        let mut page = ListParams::default().limit(PAGE);
        loop {
            let list = trying(&tried, api.list(&page)).await?;
            let more = list.metadata.continue_.filter(|token| !token.is_empty());
            objects.extend(list.items.into_iter().map(|object| to_json(object, &resource)));
            match more {
                Some(token) => page = ListParams::default().limit(PAGE).continue_token(&token),
                None => return Ok(objects),
            }
        }
    }

    /// Reads what `keep` keeps of some kinds in some namespaces; cluster-scoped
    /// kinds are read whole, kinds that are not served hold nothing.
    ///
    /// # Errors
    /// A read that fails: a look is whole or it is none.
    pub async fn look(
        &self,
        kinds: &BTreeSet<(String, String)>,
        namespaces: &BTreeSet<String>,
        keep: Keep<'_>,
    ) -> Result<Vec<Value>> {
        let served = self.served(kinds).await?;
        let mut lists = Vec::new();
        for kind in served.into_iter().filter(|kind| kind.verbs.iter().any(|verb| verb == "list")) {
            match kind.scope {
                Scope::Cluster => lists.push((kind, None)),
                Scope::Namespaced => lists.extend(namespaces.iter().map(|name| (kind.clone(), Some(name.as_str())))),
            }
        }
        self.lists(lists, keep, Blind::IsAnError).await
    }

    /// Reads what `keep` keeps of every kind in every namespace. What may not
    /// be listed by us cannot have been made by us, and is passed over.
    ///
    /// # Errors
    /// A read that fails.
    pub async fn look_everywhere(&self, keep: Keep<'_>) -> Result<Vec<Value>> {
        let kinds = self.every_kind().await?;
        let listed = |kind: &Kind| kind.verbs.iter().any(|verb| verb == "list") && !NOISE.contains(&kind.kind.as_str());
        let lists = kinds.into_iter().filter(listed).map(|kind| (kind, None)).collect();
        self.lists(lists, keep, Blind::IsPassedOver).await
    }

    async fn lists(&self, lists: Vec<(Kind, Option<&str>)>, keep: Keep<'_>, blind: Blind) -> Result<Vec<Value>> {
        // The futures are made before they are polled, for a closure in the
        // stream would have to be general over lifetimes.
        let mut reads = Vec::with_capacity(lists.len());
        for (kind, namespace) in &lists {
            reads.push(self.kept(kind, *namespace, keep, blind));
        }
        let found: Vec<Vec<Value>> = stream::iter(reads).buffer_unordered(AT_ONCE).try_collect().await?;
        Ok(found.into_iter().flatten().collect())
    }

    async fn kept(&self, kind: &Kind, namespace: Option<&str>, keep: Keep<'_>, blind: Blind) -> Result<Vec<Value>> {
        match self.list(kind, namespace).await {
            Ok(mut objects) => {
                objects.retain(keep);
                Ok(objects)
            }
            Err(error) if blind == Blind::IsPassedOver && matches!(error.code(), Some(401 | 403 | 404 | 405 | 503)) => {
                tracing::info!(kind = kind.kind, %error, "passed over in the full look");
                Ok(Vec::new())
            }
            // A kind that has just gone holds nothing.
            Err(error) if error.is_not_found() => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// How the cluster serves some kinds; those that it does not serve are left out.
    ///
    /// # Errors
    /// A read that fails.
    pub async fn served(&self, kinds: &BTreeSet<(String, String)>) -> Result<Vec<Kind>> {
        let mut served = Vec::new();
        for (api_version, kind) in kinds {
            match self.kind(api_version, kind).await {
                Ok(kind) => served.push(kind),
                Err(crate::Error::UnknownKind { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(served)
    }

    /// Every kind, each in the version that the API server prefers.
    async fn every_kind(&self) -> Result<Vec<Kind>> {
        let client = self.client();
        let groups = trying("listing the API groups", client.list_api_groups()).await?;
        let version = |group: k8s_openapi::apimachinery::pkg::apis::meta::v1::APIGroup| {
            let preferred = group.preferred_version.or_else(|| group.versions.into_iter().next());
            preferred.map(|version| version.group_version)
        };
        let versions = groups.groups.into_iter().filter_map(version).chain(["v1".to_owned()]);
        let mut kinds = Vec::new();
        for version in versions {
            match self.kinds.all(&client, &version).await {
                Ok(found) => kinds.extend(found.iter().cloned()),
                // An aggregated API that is down serves nothing now.
                Err(error) if matches!(error.code(), Some(404 | 503)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(kinds)
    }
}

/// What a list that is refused means.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Blind {
    IsAnError,
    IsPassedOver,
}
