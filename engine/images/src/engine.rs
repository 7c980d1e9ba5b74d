//! Docker Engine, through its API.

mod verdict;

use crate::archive;
use crate::context::Context;
use crate::error::Error;
use crate::job::Job;
use crate::layout::{BUILD, Layout};
use crate::names::Names;
use crate::progress::{self, Progress};
use crate::sink::{Lines, LogSink, Stream};
use bollard::Docker;
use bollard::models::ImageSummary;
use bollard::query_parameters::{
    BuildImageOptions, BuildImageOptionsBuilder, ListImagesOptionsBuilder, RemoveImageOptions,
};
use decide::image::{Network, build_id};
use decide::request::Key;
use decide::retry::Retry;
use futures::{StreamExt, TryStreamExt};
use pipeline::Digest;
use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tempfile::NamedTempFile;
use tokio::io::AsyncWriteExt;
use tokio_util::io::ReaderStream;

/// How long the engine may think before it begins to answer; an export of a large image is slow.
const SLOWEST: Duration = Duration::from_secs(60 * 60);
/// The API that knows BuildKit.
const BUILDKIT_SINCE: (usize, usize) = (1, 39);
/// How long it may take to say that it is there.
const GREETING: Duration = Duration::from_secs(if cfg!(test) { 1 } else { 5 });

/// A Docker Engine that answered.
#[derive(Clone)]
pub struct Engine {
    docker: Docker,
    backend: Backend,
    /// The most that a `RUN` can have: none on an engine without a bridge, where BuildKit would fail.
    network: Network,
}

/// Which of the engine's two builders works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Backend {
    BuildKit,
    /// For engines that are older, where `DOCKER_BUILDKIT=0` asks for it as of any client, and in a build of Bespin
    /// without the feature `buildkit`.
    Classic,
}

impl Engine {
    /// Connects to the engine that `DOCKER_HOST` names, or to the machine's own.
    ///
    /// # Errors
    /// None answers there.
    pub async fn connect() -> Result<Engine, Error> {
        Engine::greet(Docker::connect_with_defaults()).await
    }

    /// Connects to the engine at an address such as `unix:///var/run/docker.sock`.
    ///
    /// # Errors
    /// None answers there.
    pub async fn connect_to(address: &str) -> Result<Engine, Error> {
        Engine::greet(Docker::connect_with_host(address)).await
    }

    async fn greet(docker: Result<Docker, bollard::errors::Error>) -> Result<Engine, Error> {
        let docker = docker.map_err(absent)?.with_timeout(SLOWEST);
        let greeted = tokio::time::timeout(GREETING, docker.negotiate_version()).await;
        let docker = greeted.unwrap_or(Err(bollard::errors::Error::RequestTimeoutError)).map_err(absent)?;
        let version = docker.client_version();
        let is_old = (version.major_version, version.minor_version) < BUILDKIT_SINCE;
        let is_unwanted = std::env::var("DOCKER_BUILDKIT").is_ok_and(|value| value == "0");
        let is_left_out = cfg!(not(feature = "buildkit"));
        let backend = if is_old || is_unwanted || is_left_out { Backend::Classic } else { Backend::BuildKit };
        let networks = docker.list_networks(None).await.map_err(absent)?;
        let has_bridge = networks.iter().any(|network| network.name.as_deref() == Some("bridge"));
        let network = if has_bridge { Network::Builder } else { Network::None };
        Ok(Engine { docker, backend, network })
    }

    pub(crate) fn docker(&self) -> &Docker {
        &self.docker
    }

    /// The id of the image that was built for a key. The label alone proves nothing, for a Dockerfile and its base
    /// can set any; the name is one that only this server gives.
    pub(crate) async fn find(&self, key: &Key, names: &Names) -> Result<Option<String>, Error> {
        let label = build_id::label(key);
        let images = self.images(names.of(&label), format!("{BUILD}={label}")).await?;
        Ok(images.into_iter().next().map(|image| image.id))
    }

    /// Takes a build's name away, and with it the image unless something else uses it. Harmless where it is gone.
    /// Layers that BuildKit built stay in its cache, which it keeps bounded itself.
    pub(crate) async fn forget(&self, label: &str, names: &Names) -> Result<(), Error> {
        match self.docker.remove_image(&names.of(label), None::<RemoveImageOptions>, None).await {
            // Gone already, or a container runs of it.
            Err(bollard::errors::Error::DockerResponseServerError { status_code: 404 | 409, .. }) | Ok(_) => Ok(()),
            Err(error) => Err(said("removing the image from the engine", error)),
        }
    }

    /// The builds of this server that the engine still has: each by its label, with its age.
    pub(crate) async fn leftovers(&self, names: &Names) -> Result<Vec<(String, Duration)>, Error> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let found = self.images(Names::all(), BUILD.to_owned()).await?.into_iter().filter_map(|mut image| {
            let label = image.labels.remove(BUILD)?;
            let made = Duration::from_secs(u64::try_from(image.created).unwrap_or_default());
            image.repo_tags.contains(&names.of(&label)).then(|| (label, now.saturating_sub(made)))
        });
        Ok(found.collect())
    }

    async fn images(&self, reference: String, label: String) -> Result<Vec<ImageSummary>, Error> {
        let filters = HashMap::from([("reference", vec![reference]), ("label", vec![label])]);
        let options = ListImagesOptionsBuilder::default().filters(&filters).build();
        self.docker.list_images(Some(options)).await.map_err(|error| said("listing images", error))
    }

    /// Builds an image and returns its id. Dropping the future closes the request, which stops the build.
    pub(crate) async fn build(&self, job: &Job, names: &Names, sink: &dyn LogSink) -> Result<String, Error> {
        let name = names.of(&build_id::label(&job.key));
        let context = visible(job).await?;
        let file = context.reopen().map_err(|error| Error::file("reading", context.path(), error))?;
        let body = bollard::body_try_stream(ReaderStream::new(tokio::fs::File::from_std(file)));
        let mut events =
            std::pin::pin!(self.docker.build_image(self.options(job, &name, context.path()), None, Some(body)));
        let lines = Lines::new(sink);
        let mut progress = Progress::default();
        while let Some(event) = events.next().await {
            let event = event.map_err(|error| said("building", error))?;
            // The classic builder says what it called the image, and nobody is to read that.
            if let Some(text) = event.stream.as_ref().filter(|text| !text.contains(&name)) {
                lines.push(Stream::Stdout, text.as_bytes());
            }
            if let Some(status) = &event.status {
                lines.push(Stream::Progress, format!("{status}\n").as_bytes());
            }
            progress.event(&event, sink);
        }
        lines.finish();
        // The name says which image it is, whichever of the two builders was at work.
        let image = self.find(&job.key, names).await?;
        image.ok_or_else(|| unanswered("building", "the engine ended without an image"))
    }

    /// Copies an image of the engine into the layout.
    pub(crate) async fn take(
        &self,
        image: &str,
        key: &Key,
        layout: &Arc<Layout>,
        sink: &dyn LogSink,
    ) -> Result<Digest, Error> {
        sink.line(Stream::Progress, "copying the image from the engine");
        let scratch = layout.scratch();
        let file = NamedTempFile::new_in(&scratch).map_err(|error| Error::file("writing in", &scratch, error))?;
        let std_file = file.reopen().map_err(|error| Error::file("writing", file.path(), error))?;
        let mut out = tokio::fs::File::from_std(std_file);
        let mut chunks = std::pin::pin!(self.docker.export_image(image));
        while let Some(chunk) = chunks.try_next().await.map_err(|error| said("exporting", error))? {
            out.write_all(&chunk).await.map_err(|error| Error::file("writing", file.path(), error))?;
        }
        out.flush().await.map_err(|error| Error::file("writing", file.path(), error))?;
        let (key, layout) = (key.clone(), layout.clone());
        tokio::task::spawn_blocking(move || archive::take(file.path(), &key, &layout)).await.map_err(Error::lost)?
    }

    fn options(&self, job: &Job, name: &str, context: &Path) -> BuildImageOptions {
        let labels = HashMap::from([(BUILD.to_owned(), build_id::label(&job.key))]);
        let arguments: HashMap<String, String> = job.build_args.clone().into_iter().collect();
        // A name keeps the image from being pruned as dangling before it is copied.
        let options = BuildImageOptionsBuilder::default()
            .dockerfile(&job.dockerfile)
            .t(name)
            .labels(&labels)
            .buildargs(&arguments)
            .rm(true)
            .forcerm(true);
        let options = match (self.network, job.network) {
            (Network::Builder, Network::Builder) => options,
            (Network::None, _) | (_, Network::None) => options.networkmode("none"),
        };
        match self.backend {
            Backend::Classic => options.build(),
            Backend::BuildKit => {
                // A session belongs to one request, and this file's random name to it as well.
                let session = context.file_name().unwrap_or_default().to_string_lossy();
                progress::buildkit(options, &format!("bespin{session}"))
            }
        }
    }
}

/// The context as the Dockerfile's ignore file lets it be seen.
async fn visible(job: &Job) -> Result<NamedTempFile, Error> {
    let job = job.clone();
    let work = move || {
        let context = Context::open(&job.context, &job.dockerfile)?;
        let mut file = NamedTempFile::new().map_err(|error| Error::disk("a temporary file", error))?;
        context.write_visible(&mut file)?;
        file.flush().map_err(|error| Error::file("writing", file.path(), error))?;
        Ok(file)
    };
    tokio::task::spawn_blocking(work).await.map_err(Error::lost)?
}

/// What the engine answered, with its class.
pub(crate) fn said(tried: &'static str, error: bollard::errors::Error) -> Error {
    use bollard::errors::Error as Docker;
    let retry = class(&error);
    let problem = match error {
        Docker::DockerStreamError { error } => error,
        Docker::DockerResponseServerError { message, .. } => message,
        error => format!("Docker Engine: {error}"),
    };
    Error::Engine { tried, problem, retry }
}

/// The engine ended an answer before it was whole.
pub(crate) fn unanswered(tried: &'static str, problem: &str) -> Error {
    Error::Engine { tried, problem: problem.to_owned(), retry: Retry::PASSING }
}

fn absent(error: bollard::errors::Error) -> Error {
    let help = "start one, or set DOCKER_HOST, or `builder = \"context\"`";
    let problem = format!("no Docker Engine answers ({error}); {help}");
    Error::Engine { tried: "connecting", problem, retry: class(&error) }
}

fn class(error: &bollard::errors::Error) -> Retry {
    use bollard::errors::Error as Docker;
    match error {
        Docker::DockerStreamError { error } => verdict::class(error),
        // The classic builder answers 500 for a mistake in a Dockerfile.
        Docker::DockerResponseServerError { status_code: 500.., message } if message.contains("ockerfile") => {
            verdict::class(message)
        }
        Docker::DockerResponseServerError { status_code, .. } => Retry::of_status(*status_code, None),
        _ => Retry::PASSING,
    }
}
