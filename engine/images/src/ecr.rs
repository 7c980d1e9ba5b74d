//! Logging in to Amazon ECR: its API hands out passwords that last twelve hours.

use crate::error::Error;
use crate::registry::Freshness;
use aws_config::{BehaviorVersion, Region};
use base64::Engine as _;
use oci_client::secrets::RegistryAuth;
use std::time::{Duration, SystemTime};
use tokio::sync::Mutex;

/// Passwords are renewed this long before they end.
const MARGIN: Duration = Duration::from_secs(30 * 60);
/// An end that lies in the past is not believed, nor is the password used for long.
const DOUBTED: Duration = Duration::from_secs(5 * 60);

/// One region's ECR API.
pub struct Ecr {
    region: String,
    endpoint: Option<String>,
    cached: Mutex<Option<Cached>>,
}

struct Cached {
    auth: RegistryAuth,
    until: SystemTime,
}

impl Ecr {
    pub fn new(region: String, endpoint: Option<String>) -> Ecr {
        Ecr { region, endpoint, cached: Mutex::default() }
    }

    /// A login; one at a time asks the API, the others wait for its answer.
    pub async fn login(&self, freshness: Freshness) -> Result<RegistryAuth, Error> {
        let mut cached = self.cached.lock().await;
        let now = SystemTime::now();
        match &*cached {
            Some(login) if freshness == Freshness::Cached && now < login.until => Ok(login.auth.clone()),
            _ => {
                let login = self.fetch(now).await?;
                let auth = login.auth.clone();
                *cached = Some(login);
                Ok(auth)
            }
        }
    }

    async fn fetch(&self, now: SystemTime) -> Result<Cached, Error> {
        let said = |text: &str| Error::Transient(format!("the ECR API in {}: {text}", self.region));
        let mut loader = aws_config::defaults(BehaviorVersion::latest()).region(Region::new(self.region.clone()));
        if let Some(endpoint) = &self.endpoint {
            loader = loader.endpoint_url(endpoint);
        }
        let client = aws_sdk_ecr::Client::new(&loader.load().await);
        let answer = client.get_authorization_token().send().await;
        let answer = answer.map_err(|error| said(&aws_sdk_ecr::error::DisplayErrorContext(&error).to_string()))?;
        let data = answer.authorization_data().first().ok_or_else(|| said("answered without a token"))?;
        let token = data.authorization_token().ok_or_else(|| said("answered without a token"))?;
        let decoded = base64::engine::general_purpose::STANDARD.decode(token);
        let decoded = decoded.ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let (user, password) = decoded
            .as_deref()
            .and_then(|text| text.split_once(':'))
            .ok_or_else(|| said("answered with a token that is not base64 of user:password"))?;
        let ends = data.expires_at().and_then(|at| SystemTime::try_from(*at).ok());
        let until = ends.and_then(|end| end.checked_sub(MARGIN)).filter(|until| *until > now).unwrap_or(now + DOUBTED);
        Ok(Cached { auth: RegistryAuth::Basic(user.to_owned(), password.to_owned()), until })
    }
}
