//! What abilities are asked, and what they answer.

mod terraform;

use std::collections::BTreeMap;

use pipeline::permission::HostReach;
use secrecy::SecretString;

pub use terraform::{Applied, ApplyRequest, Change, PlanMode, PlanRequest, Planned, Variable};

/// A file to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Read {
    /// Relative to the top of the repository, `/` between names, no `.` or `..`.
    pub path: String,
    /// A file of more bytes is to be rejected, naming its size.
    pub at_most: u64,
}

/// A directory to list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct List {
    /// Relative to the top of the repository, which itself is the empty path.
    pub path: String,
}

/// One name in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// The last part of its path, without slashes.
    pub name: String,
    /// Whether the name is a file, a directory or something else.
    pub kind: ListedKind,
    /// In bytes; 0 for what is not a file.
    pub size: u64,
}

/// What a name in a directory stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListedKind {
    /// A regular file, executable or not.
    File,
    /// A directory, whose names are listed by another call.
    Directory,
    /// A link or a submodule, which is not followed.
    Other,
}

/// A file to store for the other steps of the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    /// A bare file name.
    pub name: String,
    /// The whole content, in no particular encoding.
    pub content: Vec<u8>,
}

/// A file that a step has stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stored {
    /// A bare file name.
    pub name: String,
    /// The length of its content, in bytes.
    pub size: u64,
    /// The step that stored it.
    pub step: String,
}

/// An archive to find in the repository's cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Restore {
    /// The exact key that is looked for first.
    pub key: String,
    /// Where there is none of that key: the newest that begins with the first of these that any begins with.
    pub prefixes: Vec<String>,
    /// A longer archive is to be rejected, in bytes.
    pub at_most: u64,
}

/// An archive that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The key that it was saved under.
    pub key: String,
    /// The whole archive, as it was saved.
    pub archive: Vec<u8>,
}

/// An archive to save in the repository's cache.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Save {
    /// The key that later runs find it by; a key that is there already is kept.
    pub key: String,
    /// The whole archive, in a format of the plugin's own.
    pub archive: Vec<u8>,
}

/// What became of an archive that was to be saved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Saved {
    /// It is there now.
    Saved,
    /// The key was there already.
    Kept,
    /// The run may only read.
    ReadOnly,
}

/// A question to a metric provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The provider's name in the server's `[[metrics]]`.
    pub provider: String,
    /// An instant query in PromQL.
    pub query: String,
}

/// What one series is at the moment.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The series' labels, by name.
    pub labels: BTreeMap<String, String>,
    /// May be infinite, or no number.
    pub value: f64,
}

/// A request that was granted, with its secrets filled in: never log it.
#[derive(Clone)]
pub struct HttpRequest {
    /// The HTTP method in upper case, such as `POST`.
    pub method: String,
    /// `http` or `https`, without user information or fragment.
    pub url: SecretString,
    /// Names are tokens and none that frames the message; values have no control characters.
    pub headers: Vec<(String, SecretString)>,
    /// As it was given.
    pub body: Vec<u8>,
    /// Which addresses the name may lead to. The connector resolves, filters by this, and connects to what it filtered.
    pub reach: HostReach,
    /// What to do with a redirect.
    pub redirects: Redirects,
    /// An answer with a longer body is to be rejected, in bytes.
    pub at_most: u64,
}

/// What a connector does with a redirect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Redirects {
    /// Hands it to the plugin, whose next request is checked as the first was.
    None,
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpResponse {
    /// The HTTP status code, 100 to 599.
    pub status: u16,
    /// In the order of the answer; a value that is not UTF-8 is left out.
    pub headers: Vec<(String, String)>,
    /// The whole body, within the limit on answers.
    pub body: Vec<u8>,
}

/// An image to run.
#[derive(Clone)]
pub struct Container {
    /// The image's reference, as a grant must cover it.
    pub image: String,
    /// What to run in it.
    pub process: Process,
    /// Environment, with secrets filled in.
    pub env: Vec<(String, SecretString)>,
    /// Where it starts; relative to the workspace, or absolute in the image.
    pub workdir: Option<String>,
    /// How the pushed commit's files are mounted.
    pub workspace: Mount,
}

/// What a container runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Process {
    /// What the image says.
    Image,
    /// The image's entry point with these arguments.
    Args(Vec<String>),
    /// This program and its arguments instead of the image's entry point.
    Command(Vec<String>),
}

/// How a container sees the workspace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mount {
    /// The container does not see it.
    None,
    /// The container only reads it.
    ReadOnly,
    /// To read and write; later steps of the run see what it wrote.
    ReadWrite,
}

/// How a container ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// 0 is success, by convention.
    pub code: i32,
}

/// An image to build.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Build {
    /// A directory of the repository; the empty path is its top.
    pub context: String,
    /// The Dockerfile's path, relative to `context`.
    pub dockerfile: String,
    /// Values of the Dockerfile's `ARG`s.
    pub build_args: BTreeMap<String, String>,
}

/// An image that the host has built, and keeps until its run is gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Built {
    /// An opaque id, for [`Push::build`].
    pub build: String,
    /// The image's digest, `sha256:...`.
    pub digest: String,
}

/// A build to push.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Push {
    /// Which build; without it, the newest of this run.
    pub build: Option<String>,
    /// `host/name`, without a tag.
    pub to: String,
    /// The tag that the image gets; one that names another image is not overwritten.
    pub tag: String,
}

/// An image that is in the registry, by tag and by digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// The image by its tag, `<to>:<tag>`.
    pub image: String,
    /// The manifest's digest, `sha256:...`.
    pub digest: String,
    /// The image by its digest, `<to>@sha256:...`.
    pub reference: String,
}

/// An image to write into a manifests repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bump {
    /// The repository's URL, as it was given.
    pub repo: String,
    /// Its branch; without it, the remote's default.
    pub branch: Option<String>,
    /// The folder or file whose image changes.
    pub path: String,
    /// The image that the files shall name, as `host/name:tag`.
    pub image: String,
    /// The commit's subject; without it, the host writes one.
    pub message: Option<String>,
}

/// The commit at which the manifests name the image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bumped {
    /// The commit that names the image.
    pub commit: String,
    /// Whether this bump made it, or it was so already.
    pub changed: bool,
}

/// What a plugin may name without saying where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Named {
    /// An application, as written: `name`, `namespace/name` or `cluster/namespace/name`.
    Application(String),
    /// A rollout, as written: `namespace/name` or `cluster/namespace/name`.
    Rollout(String),
}

/// Where something is. As `cluster/namespace/name` it is the value that a grant must cover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// The cluster's name in the configuration.
    pub cluster: String,
    /// The namespace that is written to.
    pub namespace: String,
    /// The name of the Application or Rollout.
    pub name: String,
}

/// An application to bring to what git says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SyncRequest {
    /// As the plugin wrote it.
    pub application: String,
    /// As [`Abilities::locate`] found it, and the grant covers it.
    pub place: Place,
    /// At least this commit; without it, the branch's head.
    pub revision: Option<String>,
}

/// An application that is synced and healthy.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Synced {
    /// The commit that it is at.
    pub revision: String,
}

/// A rollout to follow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Follow {
    /// As the plugin wrote it.
    pub rollout: String,
    /// As [`Abilities::locate`] found it, and the grant covers it.
    pub place: Place,
    /// The image that it is expected to walk to, if the plugin knows.
    pub image: Option<String>,
    /// What becomes of the canary when the step runs out of time.
    pub on_timeout: OnTimeout,
}

/// What becomes of a canary when the step that follows it runs out of time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnTimeout {
    /// It stays where it is.
    Hold,
    /// It aborts: all traffic goes back to the stable version.
    Retreat,
}

/// How a rollout ended, when it ended well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Followed {
    /// How it ended, as the step's output says it: `promoted`.
    pub outcome: String,
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}/{}", self.cluster, self.namespace, self.name)
    }
}
