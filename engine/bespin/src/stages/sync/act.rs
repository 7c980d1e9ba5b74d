//! Carries out what the sync decided.

use super::SyncStage;
use crate::drive::{Trouble, now};
use cluster::{Cluster, Error, Written};
use decide::retry::Retry;
use decide::sync::{Act, Refused};
use futures::future::join_all;
use serde_json::Value;

/// How many objects of one kind are written at a time.
const AT_ONCE: usize = 10;

impl SyncStage {
    pub(super) async fn carry_out(&self, stream: &str, act: &Act) -> Result<(), Trouble> {
        let (cluster, _, _) = self.find(stream)?;
        let written = match act {
            Act::Apply(objects) => return self.send(stream, cluster, objects, Sending::ForGood).await,
            Act::Rehearse(objects) => return self.send(stream, cluster, objects, Sending::ToRehearse).await,
            Act::CreateNamespace(name) => cluster.create_namespace(name).await,
            Act::Adopt { live, managed } => cluster.adopt(live, managed).await,
            Act::HandOver(object) => cluster.hand_over(object).await,
            Act::Prune { id, api_version, uid, resource_version } => {
                let place = (id.namespace.as_str(), id.name.as_str());
                cluster.prune((api_version, &id.kind), place, uid, resource_version).await
            }
            Act::Status(status) => return self.tell(stream, cluster, status).await,
            Act::LetGo => cluster.let_go(&self.seen(stream)?).await,
            Act::Claim => cluster.claim(&self.seen(stream)?).await,
            Act::Release => cluster.release(&self.seen(stream)?).await,
        };
        self.came_of(stream, None, written)
    }

    /// The Application as it was seen by the look that led to this act.
    fn seen(&self, stream: &str) -> Result<Value, Trouble> {
        self.memory(stream).application.ok_or_else(|| Trouble::passing("the application was not seen yet"))
    }

    /// One kind's objects, several at a time.
    async fn send(&self, stream: &str, cluster: &Cluster, objects: &[Value], how: Sending) -> Result<(), Trouble> {
        let mut result = Ok(());
        for some in objects.chunks(AT_ONCE) {
            let one = async |object: &Value| match how {
                Sending::ForGood => cluster.apply(object).await,
                Sending::ToRehearse => cluster.rehearse(object).await,
            };
            let written = join_all(some.iter().map(one)).await;
            for (object, written) in some.iter().zip(written) {
                result = result.and(self.came_of(stream, Some(object), written));
            }
        }
        result
    }

    /// A conflict means to look again, which happens anyway; a refusal for good
    /// is remembered, so that the next decision ends the sync with it.
    fn came_of(&self, stream: &str, sent: Option<&Value>, written: Result<Written, Error>) -> Result<(), Trouble> {
        let error = match written {
            Ok(Written::Done | Written::Stale) => return Ok(()),
            Err(error) => error,
        };
        if !error.retry().may_pass() {
            let refused = Refused { sent: sent.cloned(), because: error.to_string(), at: now() };
            self.remember(stream, |memory| {
                memory.refused.truncate(50);
                memory.refused.insert(0, refused);
            });
        }
        match error.retry() {
            // The next look comes at once, and the decision ends the sync.
            Retry::Permanent => Err(Trouble::passing(error.to_string())),
            _ => Err(error.into()),
        }
    }

    async fn tell(&self, stream: &str, cluster: &Cluster, status: &Value) -> Result<(), Trouble> {
        let memory = self.memory(stream);
        if memory.status.as_ref() == Some(status) {
            return Ok(());
        }
        let object = self.seen(stream)?;
        self.remember(stream, |memory| memory.status = Some(status.clone()));
        // The status informs other clients; a sync does not fail by it.
        if let Err(error) = cluster.write_status(&object, status).await {
            tracing::warn!(stream, %error, "the Application's status is not written");
        }
        Ok(())
    }
}

#[derive(Clone, Copy)]
enum Sending {
    ForGood,
    ToRehearse,
}
