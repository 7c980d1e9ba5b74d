//! The sample application: a 3-tier service, its repositories and its Application.

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};

use crate::git::{Push, Repositories, deliver};
use crate::{Error, Playground};

/// The repository that the sample's pushes go to, with its pipeline in `.bespin`.
pub const APPLICATION: &str = "user/petclinic";
/// The repository that the sample's bumps go to and its Application reads.
pub const MANIFESTS: &str = "user/k8s-manifests";
/// The folder of the manifests in their repository.
const FOLDER: &str = "petclinic";
/// How long the kind Application may take to be served.
const PATIENCE: Duration = Duration::from_secs(60);

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
    repositories: Repositories,
    options: SampleOptions,
    kube: (String, String),
}

impl Sample {
    /// Creates both repositories, unless they are there already.
    ///
    /// # Errors
    /// When git fails.
    pub async fn create(playground: &Playground, options: SampleOptions) -> Result<Sample, Error> {
        let kube = (playground.kube_url.clone(), playground.kube_token.clone());
        Sample::prepare(playground.repositories(), &playground.git_url, kube, options).await
    }

    /// The same for a playground that runs in a process of its own with the directory `dir`, by its addresses.
    ///
    /// # Errors
    /// When git fails, or the directory is not a playground's.
    pub async fn create_in(dir: &Path, git_url: &str, kube_url: &str, options: SampleOptions) -> Result<Sample, Error> {
        let path = dir.join("token");
        let token = tokio::fs::read_to_string(&path).await;
        let token = token.map_err(|error| Error::io(format!("read {}", path.display()), error))?;
        let kube = (kube_url.to_owned(), token.trim().to_owned());
        Sample::prepare(Repositories::new(dir.join("git")), git_url, kube, options).await
    }

    async fn prepare(
        repositories: Repositories,
        git_url: &str,
        kube: (String, String),
        options: SampleOptions,
    ) -> Result<Sample, Error> {
        let sample = Sample {
            application_repository: format!("{git_url}/{APPLICATION}.git"),
            manifests_repository: format!("{git_url}/{MANIFESTS}.git"),
            repositories,
            options,
            kube,
        };
        sample.first_commit(APPLICATION, application(git_url)).await?;
        sample.first_commit(MANIFESTS, manifests(&sample.options.pause)).await?;
        Ok(sample)
    }

    async fn first_commit(&self, name: &str, files: Vec<(String, String)>) -> Result<(), Error> {
        self.repositories.create(name).await?;
        if self.repositories.head(name, "main").await?.is_none() {
            self.repositories.commit(name, "main", &files, "The beginning").await?;
        }
        Ok(())
    }

    /// The `Application`, as it stands in the namespace `argocd`; owned by Bespin from birth.
    pub fn application(&self) -> Value {
        json!({
            "apiVersion": "argoproj.io/v1alpha1", "kind": "Application",
            "metadata": { "name": "petclinic", "namespace": "argocd", "annotations": { "bespin.dev/owner": "bespin" } },
            "spec": {
                "project": "default",
                "source": { "repoURL": self.manifests_repository, "targetRevision": "HEAD", "path": FOLDER },
                "destination": { "server": "https://kubernetes.default.svc", "namespace": "petclinic" },
                "syncPolicy": {
                    "automated": { "prune": true, "selfHeal": true },
                    "syncOptions": ["CreateNamespace=true"],
                },
                "ignoreDifferences": [
                    { "group": "argoproj.io", "kind": "Rollout", "jsonPointers": ["/spec/replicas"] },
                ],
            },
        })
    }

    /// Creates the `Application` `petclinic` in the namespace `argocd`, waiting until its kind is served.
    ///
    /// # Errors
    /// When the API refuses.
    pub async fn apply_application(&self) -> Result<(), Error> {
        let (url, token) = &self.kube;
        let failed = |what: &str, message: String| Error::Http { what: what.to_owned(), message };
        let client =
            reqwest::Client::builder().no_proxy().build().map_err(|e| failed("build a client", e.to_string()))?;
        let namespace = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "argocd" } });
        let path = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications";
        let end = tokio::time::Instant::now() + PATIENCE;
        for (path, object) in [("/api/v1/namespaces", namespace), (path, self.application())] {
            loop {
                let request = client.post(format!("{url}{path}")).bearer_auth(token).json(&object);
                let answer = request.send().await.map_err(|e| failed("create", e.to_string()))?;
                let status = answer.status().as_u16();
                match status {
                    200..=299 | 409 => break,
                    404 if tokio::time::Instant::now() < end => tokio::time::sleep(Duration::from_millis(50)).await,
                    _ => return Err(failed(&format!("create at {path}"), answer.text().await.unwrap_or_default())),
                }
            }
        }
        Ok(())
    }

    /// Commits change number `n` to the application and delivers its webhook.
    ///
    /// # Errors
    /// When git fails or the webhook is not accepted.
    pub async fn push_change(&self, n: u32) -> Result<Pushed, Error> {
        let file = "was/static/server".to_owned();
        let message = format!("Greet in way {n}");
        let files = [(file.clone(), format!("#!/bin/sh\necho greeting {n}\n"))];
        let commit = self.repositories.commit(APPLICATION, "main", &files, &message).await?;
        let mut delivery = None;
        if let Some(hook) = &self.options.hook_url {
            let id = format!("{}-{n}", &commit.after[..32]);
            let push = Push {
                repository: APPLICATION,
                clone_url: &self.application_repository,
                reference: "refs/heads/main",
                before: &commit.before,
                after: &commit.after,
                message: &message,
                modified: &[file],
            };
            deliver(hook, &self.options.hook_secret, "push", &id, &push.payload()).await?;
            delivery = Some(id);
        }
        Ok(Pushed { before: commit.before, after: commit.after, delivery })
    }

    /// The repositories themselves, to look at what was pushed.
    pub fn repositories(&self) -> &Repositories {
        &self.repositories
    }
}

fn application(git_url: &str) -> Vec<(String, String)> {
    let host = git_url.split_once("://").map_or(git_url, |(_, host)| host);
    let pipeline = include_str!("sample/application/.bespin/petclinic-was.yaml");
    let pipeline = pipeline.replace("GIT_URL", git_url).replace("GIT_HOST", host);
    let files = [
        (".bespin/petclinic-was.yaml", pipeline),
        ("was/Dockerfile", include_str!("sample/application/was/Dockerfile").to_owned()),
        ("was/static/server", "#!/bin/sh\necho greeting 0\n".to_owned()),
    ];
    files.map(|(path, content)| (path.to_owned(), content)).to_vec()
}

fn manifests(pause: &str) -> Vec<(String, String)> {
    let files = [
        ("access.yaml", include_str!("sample/manifests/access.yaml").to_owned()),
        ("redis.yaml", include_str!("sample/manifests/redis.yaml").to_owned()),
        ("was-rollout.yaml", include_str!("sample/manifests/was-rollout.yaml").replace("PAUSE", pause)),
        ("was-services.yaml", include_str!("sample/manifests/was-services.yaml").to_owned()),
        ("web.yaml", include_str!("sample/manifests/web.yaml").to_owned()),
    ];
    files.map(|(name, content)| (format!("{FOLDER}/{name}"), content)).to_vec()
}
