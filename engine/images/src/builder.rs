//! Building: by a Docker Engine, or without one where the Dockerfile allows it.

use crate::assemble::assemble;
use crate::context::Context;
use crate::engine::Engine;
use crate::error::Error;
use crate::job::Job;
use crate::layout::Layout;
use crate::names::Names;
use crate::sink::{LogSink, Stream};
use decide::image::build_id;
use decide::image::dockerfile::{self, InstructionKind, Recipe};
use decide::request::Key;
use pipeline::Digest;
use serde::Deserialize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::OnceCell;

/// How many builds the layout keeps.
const KEPT: usize = 50;
/// After how long a build that nobody came back for goes from the engine.
const WAITED: Duration = Duration::from_secs(24 * 60 * 60);

/// Whether a Docker Engine builds, or the process itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Choice {
    /// A Docker Engine where one answers, else the process itself.
    #[default]
    Auto,
    /// A Docker Engine only.
    Docker,
    /// The process itself only.
    Context,
}

/// Builds images into one layout.
pub struct Images {
    layout: Arc<Layout>,
    names: Names,
    choice: Choice,
    engine: OnceCell<Engine>,
    /// Whether what an earlier process left in the engine was looked at.
    swept: OnceCell<()>,
}

impl Images {
    /// Opens the layout in this directory.
    ///
    /// # Errors
    /// As [`Layout::open`]; or its key cannot be read or made.
    pub fn open(directory: &Path, choice: Choice) -> Result<Images, Error> {
        let layout = Arc::new(Layout::open(directory)?);
        let names = Names::open(directory)?;
        Ok(Images { layout, names, choice, engine: OnceCell::new(), swept: OnceCell::new() })
    }

    /// Builds by this engine, rather than by the one that is found.
    #[must_use]
    pub fn with_engine(self, engine: Engine) -> Images {
        Images { engine: OnceCell::new_with(Some(engine)), ..self }
    }

    /// The layout that every build ends in.
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// The digest of what was built for a key; also where only the engine has it yet.
    ///
    /// # Errors
    /// The layout or the engine cannot be read.
    pub async fn find(&self, key: &Key, sink: &dyn LogSink) -> Result<Option<Digest>, Error> {
        if let Some(digest) = self.layout.find(key)? {
            return Ok(Some(digest));
        }
        if self.choice == Choice::Context {
            return Ok(None);
        }
        match self.builder().await {
            Ok(engine) => match engine.find(key, &self.names).await? {
                Some(image) => self.take(engine, &image, key, sink).await.map(Some),
                None => Ok(None),
            },
            Err(_) if self.choice == Choice::Auto => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Builds an image. Dropping the future stops the build.
    ///
    /// # Errors
    /// The Dockerfile cannot be built, with each of its lines that stands in the way; or the builder fails.
    pub async fn build(&self, job: &Job, sink: &dyn LogSink) -> Result<Digest, Error> {
        let engine = match self.choice {
            Choice::Context => None,
            Choice::Docker => Some(self.builder().await?),
            Choice::Auto => self.builder().await.ok(),
        };
        let digest = match engine {
            Some(engine) => {
                sink.line(Stream::Progress, "building with Docker Engine");
                let image = engine.build(job, &self.names, sink).await?;
                self.take(engine, &image, &job.key, sink).await?
            }
            None => {
                sink.line(Stream::Progress, "assembling from the context, without a daemon");
                self.assemble(job).await?
            }
        };
        sink.line(Stream::Progress, &format!("built {digest}"));
        let layout = self.layout.clone();
        tokio::task::spawn_blocking(move || layout.prune(KEPT)).await.map_err(Error::lost)??;
        Ok(digest)
    }

    /// The engine, once it has answered.
    ///
    /// # Errors
    /// None answers; the sentence says how to have one, or to do without.
    pub async fn engine(&self) -> Result<&Engine, Error> {
        self.engine.get_or_try_init(Engine::connect).await
    }

    /// The engine, once what an earlier process left there is gone or known to be wanted.
    async fn builder(&self) -> Result<&Engine, Error> {
        let engine = self.engine().await?;
        self.swept.get_or_init(|| self.sweep(engine)).await;
        Ok(engine)
    }

    /// Removes from the engine what the layout has already, and what nobody came back for. Before anything is built,
    /// so that no build is taken for a leftover.
    async fn sweep(&self, engine: &Engine) {
        let swept = async {
            for (label, age) in engine.leftovers(&self.names).await? {
                let is_taken = match label.split_once('#') {
                    Some((run, step)) => self.layout.find(&Key { run: run.into(), step: step.into() })?.is_some(),
                    None => false,
                };
                if is_taken || age >= WAITED {
                    engine.forget(&label, &self.names).await?;
                }
            }
            Ok::<(), Error>(())
        };
        if let Err(error) = swept.await {
            tracing::warn!(%error, "what an earlier process built stays in the engine until the next start");
        }
    }

    /// Copies an image into the layout, and leaves none of it to the engine's other users.
    async fn take(&self, engine: &Engine, image: &str, key: &Key, sink: &dyn LogSink) -> Result<Digest, Error> {
        let digest = engine.take(image, key, &self.layout, sink).await?;
        // The image is there; its name is tried again at the next start.
        if let Err(error) = engine.forget(&build_id::label(key), &self.names).await {
            tracing::warn!(%error, "a build stays in the engine until the next start");
        }
        Ok(digest)
    }

    async fn assemble(&self, job: &Job) -> Result<Digest, Error> {
        let (layout, job) = (self.layout.clone(), job.clone());
        let work = move || {
            let context = Context::open(&job.context, &job.dockerfile)?;
            let recipe = recipe(context.dockerfile_text(), &job)?;
            assemble(&job.key, &recipe, &context, &layout)
        };
        tokio::task::spawn_blocking(work).await.map_err(Error::lost)?
    }
}

fn recipe(text: &str, job: &Job) -> Result<Recipe, Error> {
    // Arguments of BuildKit's own are for the engine and are nowhere declared.
    let own = |(name, _): &(&String, &String)| !name.starts_with("BUILDKIT_");
    let build_args = job.build_args.iter().filter(own).map(|(name, value)| (name.clone(), value.clone())).collect();
    dockerfile::read(text, &build_args).map_err(|objections| {
        let lines: Vec<_> = objections.iter().map(ToString::to_string).collect();
        let help = match objections.iter().any(|objection| objection.kind == InstructionKind::NeedsEngine) {
            true => "; without a Docker Engine only FROM scratch, COPY and what describes the image can be built",
            false => "",
        };
        Error::Input(format!("{}: {}{help}", job.dockerfile, lines.join("; ")))
    })
}
