//! Amazon ECR in a build without the feature `ecr`: its registries can be configured, and no login is to be had.

use crate::error::Error;
use crate::freshness::Freshness;
use oci_client::secrets::RegistryAuth;

/// One region's ECR API, which this build cannot ask.
pub struct Ecr {
    region: String,
}

impl Ecr {
    pub fn new(region: String, _: Option<String>) -> Ecr {
        Ecr { region }
    }

    /// No login is to be had.
    pub async fn login(&self, _: Freshness) -> Result<RegistryAuth, Error> {
        let region = &self.region;
        Err(Error::Settings(format!("this build knows no ECR (in {region}); build Bespin with the feature `ecr`")))
    }
}
