//! How a step's ability asks a stage, and waits for its response.

use crate::drive::{Drivers, Trouble, Written, read};
use crate::patience::until_known;
use decide::by::By;
use decide::request::{Key, Ledger, RequestState, Requests, Response};
use decide::stream::Stream;
use sandbox::Failure;
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::sync::Arc;

/// The requests that a stream's entries add up to.
pub fn ledger<E: Requests>(written: &[Written<E>]) -> Ledger<E::Intent> {
    Ledger::fold(written.iter().map(|one| &one.entry))
}

/// Records the request, unless this step recorded it before, and waits for the response.
/// One that failed for a reason that may have passed, or that an earlier attempt gave up, is recorded once more,
/// which opens it again; one that was met is never asked for twice.
/// A journal without room is waited for, as the stages wait for it; `told` hears of it.
/// Dropping the future ends the waiting only; the request stands.
///
/// # Errors
/// The stage's refusal, or what may pass of its work.
pub async fn request<E>(
    drivers: &Arc<Drivers>,
    stream: &Stream,
    key: &Key,
    intent: E::Intent,
    told: impl Fn(&Trouble),
) -> Result<Value, Failure>
where
    E: Requests + Serialize + DeserializeOwned + Send + Sync,
    E::Intent: Send + Sync,
{
    let by = By::Run(format!("{}#{}", key.run, key.step));
    let mut newest = drivers.journal().newest();
    let ask = |written: &[Written<E>]| {
        let ledger = ledger(written);
        let asks = ledger.get(key).is_none_or(|request| request.may_open_again());
        asks.then(|| vec![E::asked(key.clone(), intent.clone())])
    };
    until_known(|| async { Ok(drivers.append::<E, _>(stream, by.clone(), ask).await?) }, &told).await?;
    drivers.ensure(stream);
    let mut length = None;
    loop {
        newest.mark_unchanged();
        let now = until_known(|| length_of(drivers, stream), &told).await?;
        if now != length {
            length = now;
            if let Some(response) = until_known(|| response::<E>(drivers, stream, key), &told).await? {
                return outcome(response);
            }
        }
        if newest.changed().await.is_err() {
            return Err(Failure::Transient("the server is stopping".into()));
        }
    }
}

async fn length_of(drivers: &Drivers, stream: &Stream) -> Result<Option<u64>, Trouble> {
    let streams = drivers.journal().streams(stream.as_str()).await?;
    Ok(streams.iter().find(|info| info.name == stream.as_str()).map(|info| info.len))
}

async fn response<E>(drivers: &Drivers, stream: &Stream, key: &Key) -> Result<Option<Response>, Trouble>
where
    E: Requests + DeserializeOwned,
{
    let written = read::<E>(drivers.journal(), stream).await?;
    Ok(match ledger(&written).get(key).map(|request| &request.state) {
        Some(RequestState::Ended(response)) => Some(response.clone()),
        Some(RequestState::Open | RequestState::GivenUp) | None => None,
    })
}

fn outcome(response: Response) -> Result<Value, Failure> {
    match response {
        Response::Met { outputs } => Ok(outputs),
        Response::Superseded { because } => Err(Failure::Rejected(format!("superseded: {because}"))),
        Response::Failed { because, transient: true } => Err(Failure::Transient(because)),
        Response::Failed { because, transient: false } => Err(Failure::Rejected(because)),
    }
}

#[cfg(test)]
mod tests;
