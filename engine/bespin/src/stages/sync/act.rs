//! Carries out what the sync decided.

use super::SyncStage;
use crate::drive::Trouble;
use cluster::{Cluster, Error, Written};
use decide::stream::Stream;
use decide::sync::{self, Act, RefusedObject, Reply, State};
use futures::future::join_all;
use serde_json::Value;

/// How many objects of one kind are written at a time.
const AT_ONCE: usize = 10;

impl SyncStage {
    pub(super) async fn carry_out(&self, stream: &Stream, state: &State, act: &Act) -> Result<Reply, Trouble> {
        let (cluster, _, _) = self.find(stream)?;
        let written = match act {
            Act::Apply(objects) => return send(cluster, objects, Sending::ForGood).await,
            Act::Rehearse(objects) => return send(cluster, objects, Sending::ToRehearse).await,
            Act::CreateNamespace(name) => cluster.create_namespace(name).await,
            Act::Adopt { live, managed } => cluster.adopt(live, managed).await,
            Act::HandOver(object) => cluster.hand_over(object).await,
            Act::Prune { id, api_version, uid, resource_version } => {
                let place = (id.namespace.as_str(), id.name.as_str());
                cluster.prune((api_version, &id.kind), place, uid, resource_version).await
            }
            Act::Status { application, status } => {
                return match cluster.write_status(application, status).await {
                    // Nothing was written, and what was meant to be is compared with the newer Application.
                    Ok(Written::Stale) => Err(Trouble::passing("the Application has changed since it was read")),
                    written => done(written),
                };
            }
            Act::LetGo(application) => return done(cluster.let_go(application).await),
            Act::Claim(application) => return done(cluster.claim(application).await),
            Act::Release(application) => return done(cluster.release(application).await),
        };
        match written {
            // Ownership also moves while no sync is under way: then there is none to end, and it is tried again.
            Err(error) if !error.retry().may_pass() && state.operation.is_some() => {
                Ok(Reply::Refused(vec![RefusedObject { sent: None, because: error.to_string() }]))
            }
            written => done(written),
        }
    }
}

/// A conflict means to look again, which happens anyway.
fn done(written: Result<Written, Error>) -> Result<Reply, Trouble> {
    match written {
        Ok(Written::Done | Written::Stale) => Ok(Reply::Done),
        Err(error) => Err(error.into()),
    }
}

/// One kind's objects, several at a time; each is tried. A refusal for good comes before a trouble that may pass, for
/// it ends the sync.
async fn send(cluster: &Cluster, objects: &[Value], how: Sending) -> Result<Reply, Trouble> {
    let (mut refused, mut result) = (Vec::new(), Ok(Reply::Done));
    for some in objects.chunks(AT_ONCE) {
        let one = async |object: &Value| match how {
            Sending::ForGood => cluster.apply(object).await,
            Sending::ToRehearse => cluster.rehearse(object).await,
        };
        let written = join_all(some.iter().map(one)).await;
        for (object, written) in some.iter().zip(written) {
            match written {
                Err(error) if !error.retry().may_pass() => {
                    refused.push(RefusedObject { sent: Some(sync::sent(object)), because: error.to_string() });
                }
                written => result = result.and(done(written)),
            }
        }
    }
    if refused.is_empty() { result } else { Ok(Reply::Refused(refused)) }
}

#[derive(Clone, Copy)]
enum Sending {
    ForGood,
    ToRehearse,
}
