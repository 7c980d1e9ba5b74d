//! Logging in to Amazon ECR: its API hands out passwords that last twelve hours.

use crate::error::{Error, innermost};
use crate::freshness::Freshness;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_ecr::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ecr::operation::get_authorization_token::GetAuthorizationTokenError;
use base64::Engine as _;
use decide::retry::{Retry, retry_after_ms};
use oci_client::secrets::RegistryAuth;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use tokio::sync::Mutex;

/// Passwords are renewed this long before they end.
const MARGIN: Duration = Duration::from_secs(30 * 60);
/// No password lasts longer, whatever the clocks of both sides say of its end. Source: AWS's
/// GetAuthorizationToken.
const LONGEST: Duration = Duration::from_secs(12 * 60 * 60);
/// An end that lies in the past is not believed, nor is the password used for long.
const DOUBTED: Duration = Duration::from_secs(5 * 60);
/// How long a login may take; every push waits for it. Tests of silence are not to wait for it.
const LOGIN: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 30 });

/// One region's ECR API.
pub(crate) struct Ecr {
    region: String,
    endpoint: Option<String>,
    cached: Mutex<Option<Cached>>,
}

struct Cached {
    auth: RegistryAuth,
    until: Instant,
}

impl Ecr {
    pub(crate) fn new(region: String, endpoint: Option<String>) -> Ecr {
        Ecr { region, endpoint, cached: Mutex::default() }
    }

    /// A login; one at a time asks the API, the others wait for its answer.
    pub(crate) async fn login(&self, freshness: Freshness) -> Result<RegistryAuth, Error> {
        let mut cached = self.cached.lock().await;
        match &*cached {
            Some(login) if freshness == Freshness::Cached && Instant::now() < login.until => Ok(login.auth.clone()),
            _ => {
                let login = self.fetch(SystemTime::now()).await?;
                let auth = login.auth.clone();
                *cached = Some(login);
                Ok(auth)
            }
        }
    }

    async fn fetch(&self, now: SystemTime) -> Result<Cached, Error> {
        let odd = |text: &str| self.error(text.to_owned(), Retry::PASSING);
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .region(Region::new(self.region.clone()))
            .timeout_config(TimeoutConfig::builder().operation_timeout(LOGIN).build())
            // Whoever asks for the login tries again, and keeps to what the API asks for.
            .retry_config(RetryConfig::disabled());
        if let Some(endpoint) = &self.endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        let client = aws_sdk_ecr::Client::new(&loader.load().await);
        let answer = client.get_authorization_token().send().await;
        let answer = answer.map_err(|error| {
            let (problem, retry) = read(&error, now);
            self.error(problem, retry)
        })?;
        let data = answer.authorization_data().first().ok_or_else(|| odd("answered without a token"))?;
        let token = data.authorization_token().ok_or_else(|| odd("answered without a token"))?;
        let decoded = base64::engine::general_purpose::STANDARD.decode(token);
        let decoded = decoded.ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let (user, password) = decoded
            .as_deref()
            .and_then(|text| text.split_once(':'))
            .ok_or_else(|| odd("answered with a token that is not base64 of user:password"))?;
        let ends = data.expires_at().and_then(|at| SystemTime::try_from(*at).ok());
        let auth = RegistryAuth::Basic(user.to_owned(), password.to_owned());
        Ok(Cached { auth, until: Instant::now() + lasts(ends, now) })
    }

    fn error(&self, problem: String, retry: Retry) -> Error {
        Error::Ecr { region: self.region.clone(), problem, retry }
    }
}

/// How long a password is used that ends then, counted from now: what the wall's clock does later changes nothing.
fn lasts(ends: Option<SystemTime>, now: SystemTime) -> Duration {
    let left = ends.and_then(|end| end.checked_sub(MARGIN)?.duration_since(now).ok());
    left.filter(|left| !left.is_zero()).unwrap_or(DOUBTED).min(LONGEST - MARGIN)
}

/// What the SDK's error says, and whether it may pass. A request for a token is wrong only in who asks, and where: a
/// person can mend either.
fn read(error: &SdkError<GetAuthorizationTokenError>, now: SystemTime) -> (String, Retry) {
    let Some(answer) = error.raw_response() else {
        let is_passing = match error {
            SdkError::TimeoutError(_) => true,
            SdkError::DispatchFailure(failure) => failure.is_io() || failure.is_timeout(),
            // The credentials, or the address.
            _ => false,
        };
        return (innermost(error), if is_passing { Retry::PASSING } else { Retry::NeedsPerson });
    };
    let status = answer.status().as_u16();
    let now_ms = now.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_millis() as u64);
    let after_ms = answer.headers().get("retry-after").and_then(|after| retry_after_ms(after, now_ms));
    let code = error.code().unwrap_or_default();
    let words = [code, error.message().unwrap_or_default()];
    let words = words.into_iter().filter(|word| !word.is_empty()).collect::<Vec<_>>().join(": ");
    // AWS words a rate limit by a code; its status is often 400.
    let is_throttled = ["Throttl", "TooManyRequests", "LimitExceeded"].iter().any(|word| code.contains(word));
    let retry = match if is_throttled { 429 } else { status } {
        status @ (408 | 409 | 425 | 429 | 500..=599) => Retry::of_status(status, after_ms),
        _ => Retry::NeedsPerson,
    };
    (format!("{status}: {words}"), retry)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_lasts_by_what_is_left_of_it_and_never_for_ever() {
        const HOUR: Duration = Duration::from_secs(3_600);
        let now = UNIX_EPOCH + 1_000 * HOUR;
        let at = |end: SystemTime| lasts(Some(end), now);
        assert_eq!(at(now + 12 * HOUR), 12 * HOUR - MARGIN);
        assert_eq!(at(now + 2 * HOUR), 2 * HOUR - MARGIN);
        assert_eq!(at(now + 24 * HOUR), 12 * HOUR - MARGIN, "our clock was set back");
        assert_eq!(at(now - HOUR), DOUBTED, "our clock was set forth");
        assert_eq!(at(now + MARGIN), DOUBTED);
        assert_eq!(at(UNIX_EPOCH), DOUBTED);
        assert_eq!(lasts(None, now), DOUBTED);
    }
}
