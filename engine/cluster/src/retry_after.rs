//! What an answer's header `Retry-After` asks for, kept in the error: kube reads an error's body only.

use decide::retry::retry_after_ms;
use http::Response;
use http::header::RETRY_AFTER;
use http_body_util::BodyExt;
use kube::client::DynBody;
use kube::core::Status;
use kube::core::response::StatusDetails;
use std::time::{SystemTime, UNIX_EPOCH};
use tower::BoxError;

/// How much of an error's text is read, in bytes.
const SAID: usize = 64 << 10;

/// Hands an answer on; one that asks to come back later becomes the error that kube would make of it, with the seconds
/// in its details.
pub(crate) async fn keep(answer: Response<Box<DynBody>>) -> Result<Response<Box<DynBody>>, BoxError> {
    let code = answer.status().as_u16();
    let after = answer.headers().get(RETRY_AFTER).and_then(|after| after.to_str().ok());
    let Some(after_ms) = after.filter(|_| code >= 400).and_then(|after| retry_after_ms(after, now_ms())) else {
        return Ok(answer);
    };
    let text = text(answer.into_body()).await;
    let unread = || Status::failure(text.trim(), "no reason given").with_code(code);
    let mut status: Status = serde_json::from_str(&text).unwrap_or_else(|_| unread());
    let seconds = u32::try_from(after_ms.div_ceil(1000)).unwrap_or(u32::MAX);
    let none = || StatusDetails {
        name: String::new(),
        group: String::new(),
        kind: String::new(),
        uid: String::new(),
        causes: Vec::new(),
        retry_after_seconds: 0,
    };
    status.details.get_or_insert_with(none).retry_after_seconds = seconds;
    Err(kube::Error::Api(status.boxed()).into())
}

/// The beginning of a body. What cannot be read of it takes nothing from the status.
async fn text(mut body: Box<DynBody>) -> String {
    let mut text = Vec::new();
    while text.len() < SAID
        && let Some(Ok(frame)) = body.frame().await
    {
        text.extend_from_slice(frame.data_ref().map_or(&[], |data| data));
    }
    String::from_utf8_lossy(&text).into_owned()
}

fn now_ms() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64)
}
