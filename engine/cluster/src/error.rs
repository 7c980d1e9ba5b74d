//! What can go wrong at this adapter: sentences for a person, each with its class.

use crate::REQUEST;
use decide::retry::Retry;
use std::future::Future;

/// Why something at the cluster did not work out.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The API server answered, and refused.
    #[error("{tried}: {message} ({reason}, HTTP {code})")]
    Refused {
        /// What was tried, naming the object.
        tried: String,
        /// The HTTP status code.
        code: u16,
        /// Kubernetes' word, such as `Conflict`.
        reason: String,
        /// The API server's own sentence.
        message: String,
        /// What it says about trying again.
        retry: Retry,
    },
    /// The API server did not answer, or not in time.
    #[error("{tried}: the API server does not answer: {cause}")]
    Unreachable {
        /// What was tried, naming the object.
        tried: String,
        /// What happened in place of an answer, such as a refused connection or a timeout.
        cause: String,
    },
    /// The API server answered something that is not an answer.
    #[error("{tried}: the answer makes no sense: {cause}")]
    Malformed {
        /// What was tried, naming the object.
        tried: String,
        /// What is wrong with it.
        cause: String,
    },
    /// A kind that the cluster does not serve.
    #[error("cluster `{cluster}` does not serve {kind} of {api_version}; install its CustomResourceDefinition")]
    UnknownKind {
        /// The cluster's name in the configuration.
        cluster: String,
        /// Group and version, such as `argoproj.io/v1alpha1`.
        api_version: String,
        /// The kind that was asked for, such as `Rollout`.
        kind: String,
    },
    /// The configuration of the cluster cannot be used.
    #[error("cluster `{cluster}`: {what}")]
    Settings {
        /// The cluster's name in the configuration.
        cluster: String,
        /// What is wrong and where.
        what: String,
    },
}

impl Error {
    /// The HTTP status, where the API server answered one.
    pub fn code(&self) -> Option<u16> {
        match self {
            Error::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// Whether the object, or its kind, is not there.
    pub fn is_not_found(&self) -> bool {
        self.code() == Some(404)
    }

    /// Whether somebody else changed the object first. A patch of an object that was made anew since it was read is
    /// answered as a change of its uid, which is immutable; a put or a delete of it as a conflict.
    pub fn is_conflict(&self) -> bool {
        match self {
            Error::Refused { code: 409, .. } => true,
            Error::Refused { code: 422, message, .. } => {
                message.contains("metadata.uid") && message.contains("field is immutable")
            }
            _ => false,
        }
    }

    /// Whether the same request may succeed later.
    pub fn retry(&self) -> Retry {
        match self {
            Error::Refused { .. } if self.is_conflict() => Retry::PASSING,
            Error::Refused { retry, .. } => *retry,
            // A proxy in between answers by a page of its own while the API server is away.
            Error::Unreachable { .. } | Error::Malformed { .. } => Retry::PASSING,
            // The definition comes with another application, or with a later wave of the same one.
            Error::UnknownKind { .. } => Retry::PASSING,
            Error::Settings { .. } => Retry::NeedsPerson,
        }
    }

    /// Whether the same request may succeed later, by itself or after a person has acted.
    pub fn is_transient(&self) -> bool {
        self.retry().may_pass()
    }

    /// Words kube's error with what was tried.
    pub(crate) fn of(tried: &str, error: kube::Error) -> Error {
        let tried = tried.to_owned();
        match error {
            kube::Error::Api(status) => {
                let (retry, status) = (refused(&status), *status);
                Error::Refused { tried, code: status.code, reason: status.reason, message: status.message, retry }
            }
            kube::Error::SerdeError(cause) => Error::Malformed { tried, cause: cause.to_string() },
            error => Error::Unreachable { tried, cause: causes(&error) },
        }
    }
}

/// What a refusal of the API server says about trying again.
/// Sources: Kubernetes, "API conventions", response status kind; `staging/src/k8s.io/apimachinery/pkg/api/errors`.
fn refused(status: &kube::core::Status) -> Retry {
    let details = status.details.as_ref();
    let after = details.map(|details| u64::from(details.retry_after_seconds) * 1000).filter(|after| *after > 0);
    let is_caused_by = |reason: &str| details.is_some_and(|all| all.causes.iter().any(|cause| cause.reason == reason));
    match status.code {
        // A namespace takes no new objects while it is being deleted; then it can be made anew.
        403 if is_caused_by("NamespaceTerminating") || status.message.contains("because it is being terminated") => {
            Retry::PASSING
        }
        // A verdict on the object itself; a right that is missing reads otherwise.
        403 if DENIALS.iter().any(|denial| status.message.contains(denial)) => Retry::Permanent,
        // A namespace or a kind that is not there yet comes by another application.
        404 => Retry::PASSING,
        // A list or a watch has expired, and is begun anew.
        410 => Retry::PASSING,
        code => Retry::of_status(code, after),
    }
}

/// How admission says that it does not take an object.
const DENIALS: [&str; 3] = ["denied the request", "denied request", "violates PodSecurity"];

/// An error with everything that caused it, for its outermost layer says little.
fn causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// Waits for one request, for as long as a request may take.
pub(crate) async fn trying<T>(tried: &str, request: impl Future<Output = kube::Result<T>>) -> Result<T, Error> {
    match tokio::time::timeout(REQUEST, request).await {
        Ok(answer) => answer.map_err(|error| Error::of(tried, error)),
        Err(_) => {
            let cause = format!("no answer within {} s", REQUEST.as_secs());
            Err(Error::Unreachable { tried: tried.to_owned(), cause })
        }
    }
}

#[cfg(test)]
mod tests;
