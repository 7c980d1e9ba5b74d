//! The sample application: a 3-tier service, its repositories and its Application.

use crate::{Error, Playground};

/// How to set up the sample.
#[derive(Clone, Debug)]
pub struct SampleOptions {
    /// How long each canary step pauses, in Argo's notation (`30s`, `1s`).
    pub pause: String,
    /// Where Bespin listens for webhooks, such as `http://127.0.0.1:9000/hooks/github/default`.
    pub hook_url: Option<String>,
    /// The secret that signs the webhooks.
    pub hook_secret: String,
}

/// What a delivered push was.
#[derive(Clone, Debug)]
pub struct Pushed {
    /// The commit before the push, 40 hexadecimal digits.
    pub before: String,
    /// The commit after the push, 40 hexadecimal digits.
    pub after: String,
    /// The delivery's id, when a webhook was sent.
    pub delivery: Option<String>,
}

/// The sample application in a running playground.
#[derive(Debug)]
pub struct Sample {
    /// The clone URL of the application's repository (`user/petclinic`).
    pub application_repository: String,
    /// The clone URL of the manifests repository (`user/k8s-manifests`).
    pub manifests_repository: String,
}

impl Sample {
    /// Creates both repositories, unless they are there already.
    ///
    /// # Errors
    /// When git fails.
    pub async fn create(playground: &Playground, options: SampleOptions) -> Result<Sample, Error> {
        let _ = (playground, options);
        Err(Error::Http { what: "sample".into(), message: "not built yet".into() })
    }

    /// Creates the `Application` `petclinic` in the namespace `argocd`, waiting until its kind is served.
    ///
    /// # Errors
    /// When the API refuses.
    pub async fn apply_application(&self) -> Result<(), Error> {
        Ok(())
    }

    /// Commits change number `n` to the application and delivers its webhook.
    ///
    /// # Errors
    /// When git fails or the webhook is not accepted.
    pub async fn push_change(&self, n: u32) -> Result<Pushed, Error> {
        let _ = n;
        Err(Error::Http { what: "push".into(), message: "not built yet".into() })
    }
}
