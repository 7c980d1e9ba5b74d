//! Docker Engine, through its API.

use crate::archive;
use crate::builder::Job;
use crate::context::Context;
use crate::error::Error;
use crate::layout::{BUILD, Layout};
use crate::progress::Progress;
use crate::sink::{Lines, LogSink, Stream};
use bollard::Docker;
use bollard::models::BuildInfoAux;
use bollard::query_parameters::{
    BuildImageOptions, BuildImageOptionsBuilder, BuilderVersion, ListImagesOptionsBuilder,
};
use decide::image::{Digest, build_id};
use decide::want::Key;
use futures::{StreamExt, TryStreamExt};
use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tempfile::NamedTempFile;
use tokio::io::AsyncWriteExt;
use tokio_util::io::ReaderStream;

/// How long the engine may think before it begins to answer; an export of a large image is slow.
const SLOWEST: Duration = Duration::from_secs(60 * 60);
/// The API that knows BuildKit.
const BUILDKIT_SINCE: (usize, usize) = (1, 39);
/// How long it may take to say that it is there.
const GREETING: Duration = Duration::from_secs(5);

/// A Docker Engine that answered.
#[derive(Clone)]
pub struct Engine {
    docker: Docker,
    backend: Backend,
    network: BuildNetwork,
}

/// What network a `RUN` has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum BuildNetwork {
    /// The engine's own choice.
    Default,
    /// None, on an engine without a bridge: BuildKit fails there instead of going on without one.
    None,
}

/// Which of the engine's two builders works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Backend {
    BuildKit,
    /// For engines that are older, and where `DOCKER_BUILDKIT=0` asks for it as of any client.
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
        let absent = |error: &dyn std::fmt::Display| {
            let mend = "start one, or set DOCKER_HOST, or `builder = \"context\"`";
            Error::Transient(format!("no Docker Engine answers ({error}); {mend}"))
        };
        let docker = docker.map_err(|error| absent(&error))?.with_timeout(SLOWEST);
        let greeted = tokio::time::timeout(GREETING, docker.negotiate_version()).await;
        let docker = greeted.map_err(|error| absent(&error))?.map_err(|error| absent(&error))?;
        let version = docker.client_version();
        let is_old = (version.major_version, version.minor_version) < BUILDKIT_SINCE;
        let is_unwanted = std::env::var("DOCKER_BUILDKIT").is_ok_and(|value| value == "0");
        let backend = if is_old || is_unwanted { Backend::Classic } else { Backend::BuildKit };
        let networks = docker.list_networks(None).await.map_err(|error| absent(&error))?;
        let has_bridge = networks.iter().any(|network| network.name.as_deref() == Some("bridge"));
        let network = if has_bridge { BuildNetwork::Default } else { BuildNetwork::None };
        Ok(Engine { docker, backend, network })
    }

    pub(crate) fn docker(&self) -> &Docker {
        &self.docker
    }

    /// The id of the newest image that was built for a key.
    pub(crate) async fn find(&self, key: &Key) -> Result<Option<String>, Error> {
        let label = format!("{BUILD}={}", build_id::label(key));
        let filters = HashMap::from([("label", vec![label])]);
        let options = ListImagesOptionsBuilder::default().filters(&filters).build();
        let images = self.docker.list_images(Some(options)).await.map_err(|error| said("listing images", error))?;
        Ok(images.into_iter().max_by_key(|image| image.created).map(|image| image.id))
    }

    /// Builds an image and returns its id. Dropping the future closes the request, which stops the build.
    pub(crate) async fn build(&self, job: &Job, sink: &dyn LogSink) -> Result<String, Error> {
        let context = visible(job).await?;
        let file = context.reopen().map_err(|error| Error::file("reading", context.path(), error))?;
        let body = bollard::body_try_stream(ReaderStream::new(tokio::fs::File::from_std(file)));
        let mut events = std::pin::pin!(self.docker.build_image(self.options(job, context.path()), None, Some(body)));
        let lines = Lines::new(sink);
        let mut progress = Progress::default();
        while let Some(event) = events.next().await {
            let event = event.map_err(|error| said("building", error))?;
            if let Some(text) = event.stream {
                lines.push(Stream::Stdout, text.as_bytes());
            }
            if let Some(status) = event.status {
                lines.push(Stream::Progress, format!("{status}\n").as_bytes());
            }
            if let Some(BuildInfoAux::BuildKit(report)) = event.aux {
                progress.report(&report, sink);
            }
        }
        lines.finish();
        // The label says which image it is, whichever of the two builders was at work.
        let image = self.find(&job.key).await?;
        image.ok_or_else(|| Error::Transient("building: the engine ended without an image".into()))
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

    fn options(&self, job: &Job, context: &Path) -> BuildImageOptions {
        let label = build_id::label(&job.key);
        let labels = HashMap::from([(BUILD.to_owned(), label.clone())]);
        let arguments: HashMap<String, String> = job.build_args.clone().into_iter().collect();
        // A name keeps the image from being pruned as dangling before it is copied.
        let name = format!("bespin-build:{}", &Digest::of(label.as_bytes()).hex()[..32]);
        let options = BuildImageOptionsBuilder::default()
            .dockerfile(&job.dockerfile)
            .t(&name)
            .labels(&labels)
            .buildargs(&arguments)
            .rm(true)
            .forcerm(true);
        let options = match self.network {
            BuildNetwork::Default => options,
            BuildNetwork::None => options.networkmode("none"),
        };
        match self.backend {
            Backend::Classic => options.build(),
            Backend::BuildKit => {
                // A session belongs to one request, and this file's random name to it as well.
                let session = context.file_name().unwrap_or_default().to_string_lossy();
                options.version(BuilderVersion::BuilderBuildKit).session(&format!("bespin{session}")).build()
            }
        }
    }
}

/// The context as the Dockerfile's ignore file lets it be seen.
async fn visible(job: &Job) -> Result<NamedTempFile, Error> {
    let job = job.clone();
    let work = move || {
        let context = Context::open(&job.context, &job.dockerfile)?;
        let mut file = NamedTempFile::new().map_err(|error| Error::Transient(format!("a temporary file: {error}")))?;
        context.write_visible(&mut file)?;
        file.flush().map_err(|error| Error::file("writing", file.path(), error))?;
        Ok(file)
    };
    tokio::task::spawn_blocking(work).await.map_err(Error::lost)?
}

/// What the engine answered, told apart by whether trying again helps.
pub(crate) fn said(tried: &str, error: bollard::errors::Error) -> Error {
    use bollard::errors::Error as Docker;
    match &error {
        // A failing RUN or a missing file: the author's.
        Docker::DockerStreamError { error } => Error::Refused(format!("{tried}: {error}")),
        Docker::DockerResponseServerError { status_code, message }
            if *status_code < 500 || message.contains("ockerfile") =>
        {
            Error::Refused(format!("{tried}: {message}"))
        }
        _ => Error::Transient(format!("{tried}: Docker Engine: {error}")),
    }
}
