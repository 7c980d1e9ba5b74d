//! What a registry's refusal says, whichever of the two clients heard it.

use crate::error::{Error, innermost};
use decide::retry::Retry;
use oci_client::errors::{OciDistributionError, OciEnvelope, OciErrorCode};

/// Why a request to a registry came to nothing.
pub(crate) enum RegistryRefusal {
    /// As the registry's client has it. The client keeps no header of an answer, and often not its status.
    Client(OciDistributionError),
    /// The answer to a request of our own.
    Answer {
        status: u16,
        body: String,
        /// Its `Retry-After`, in ms.
        after_ms: Option<u64>,
    },
}

impl From<OciDistributionError> for RegistryRefusal {
    fn from(error: OciDistributionError) -> RegistryRefusal {
        RegistryRefusal::Client(error)
    }
}

impl From<reqwest::Error> for RegistryRefusal {
    fn from(error: reqwest::Error) -> RegistryRefusal {
        RegistryRefusal::Client(OciDistributionError::RequestError(error))
    }
}

/// A refusal, read: the HTTP status it stands for, its words, and whether it may pass.
struct Meaning {
    status: Option<u16>,
    text: String,
    retry: Retry,
}

impl Meaning {
    fn of_status(status: u16, text: String, after_ms: Option<u64>) -> Meaning {
        let text = if text.is_empty() { format!("answered {status}") } else { format!("{status}: {text}") };
        Meaning { status: Some(status), text, retry: Retry::of_status(status, after_ms) }
    }
}

impl RegistryRefusal {
    /// The HTTP status that it stands for, as far as it was an answer.
    pub(crate) fn status(&self) -> Option<u16> {
        self.read().status
    }

    /// The error of the registry at this host, with the help that belongs to it.
    pub(crate) fn at(&self, host: &str) -> Error {
        let Meaning { status, text, retry } = self.read();
        let help = match status {
            Some(401 | 403) => "; check this registry's `auth` in the configuration, and what it may do",
            Some(404) => "; the repository has to exist before the push",
            _ => "",
        };
        Error::Registry { host: host.to_owned(), status, problem: format!("{text}{help}"), retry }
    }

    fn read(&self) -> Meaning {
        let error = match self {
            RegistryRefusal::Answer { status, body, after_ms } => {
                return Meaning::of_status(*status, spoken(body), *after_ms);
            }
            RegistryRefusal::Client(error) => error,
        };
        match error {
            OciDistributionError::ServerError { code, message, .. } => Meaning::of_status(*code, spoken(message), None),
            OciDistributionError::UnauthorizedError { .. } => Meaning::of_status(401, "not authorized".into(), None),
            // Whatever else the service for tokens answers, an outage among it, is told as this: it is tried again.
            OciDistributionError::AuthenticationFailure(text) => Meaning::of_status(401, spoken(text), None),
            OciDistributionError::RegistryError { envelope, .. } => of_envelope(envelope),
            OciDistributionError::RequestError(request) => match request.status() {
                Some(status) => Meaning::of_status(status.as_u16(), String::new(), None),
                None => Meaning { status: None, text: innermost(request), retry: Retry::PASSING },
            },
            // A proxy in between answers by a page of its own while the registry is away.
            other => Meaning { status: None, text: other.to_string(), retry: Retry::PASSING },
        }
    }
}

/// The client keeps the codes of an answer's envelope, not its status.
fn of_envelope(envelope: &OciEnvelope) -> Meaning {
    let messages: Vec<_> = envelope.errors.iter().map(|error| error.message.as_str()).collect();
    let messages = messages.join("; ");
    let status = match envelope.errors.first().map(|first| &first.code) {
        Some(
            OciErrorCode::ManifestUnknown
            | OciErrorCode::NameUnknown
            | OciErrorCode::NotFound
            | OciErrorCode::BlobUnknown,
        ) => 404,
        Some(OciErrorCode::Unauthorized) => 401,
        Some(OciErrorCode::Denied) => 403,
        Some(OciErrorCode::Toomanyrequests) => 429,
        // An upload that the registry has lost, or has taken in wrong, is begun anew.
        Some(
            OciErrorCode::BlobUploadUnknown
            | OciErrorCode::BlobUploadInvalid
            | OciErrorCode::ManifestBlobUnknown
            | OciErrorCode::DigestInvalid
            | OciErrorCode::SizeInvalid,
        ) => return Meaning { status: None, text: messages, retry: Retry::PASSING },
        _ => 400,
    };
    Meaning::of_status(status, messages, None)
}

/// The messages of the specification's error body, or the text as it is, cut short.
fn spoken(body: &str) -> String {
    let envelope: Option<serde_json::Value> = serde_json::from_str(body).ok();
    let messages = envelope.as_ref().and_then(|envelope| envelope["errors"].as_array()).map(|errors| {
        let message = |error: &serde_json::Value| error["message"].as_str().unwrap_or("no message").to_owned();
        errors.iter().map(message).collect::<Vec<_>>().join("; ")
    });
    messages.unwrap_or_else(|| body.chars().take(200).collect::<String>().trim().to_owned())
}

#[cfg(test)]
#[path = "refusal/properties_tests.rs"]
mod properties;
