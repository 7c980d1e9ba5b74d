//! Asks for every ability that a step may have, one after another.
//!
//! It does no work of its own. Each release of the contract leaves a build of
//! it behind in `engine/sandbox/tests/released`, which must run for ever.

use bespin_sdk::canary::{FollowRequest, OnTimeout};
use bespin_sdk::cluster::SyncRequest;
use bespin_sdk::containers::{Container, Mount, Process, Variable};
use bespin_sdk::git::BumpRequest;
use bespin_sdk::http::{Header, Request};
use bespin_sdk::images::BuildRequest;
use bespin_sdk::registry::PushRequest;
use bespin_sdk::secrets::Part;
use bespin_sdk::terraform::{Mode, PlanRequest};
use bespin_sdk::{
    Deserialize, Outputs, Result, artifacts, cache, canary, cluster, containers, git, http, images, info, metrics,
    registry, secrets, terraform, workspace,
};

// Older builds of this refuse settings that they do not know, so that no release adds one.
#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Settings {
    /// A file of the repository.
    file: String,
    /// The name of a secret.
    secret: String,
    /// Where it is sent, in a header.
    address: String,
    /// An image to run.
    container: String,
    /// `host/name` to push to.
    registry: String,
    /// The manifests repository.
    manifests: String,
    /// The application.
    application: String,
    /// The rollout.
    rollout: String,
}

fn run(settings: Settings) -> Result<Outputs> {
    let names = workspace::list("")?;
    let file = workspace::read(&settings.file)?;
    info!("{} has {} bytes; there are {} names", settings.file, file.len(), names.len());
    artifacts::put("report.txt", &file)?;
    let kept = artifacts::get("report.txt")?;
    let saved = cache::save("every-1", &kept)?;
    let restored = cache::restore("every-2", &["every-".to_owned()])?.map_or(0, |found| found.archive.len());
    info!("{} artifacts, cache {saved:?}, {restored} bytes restored", artifacts::list()?.len());
    let samples = metrics::query("prometheus", "up")?;
    let secret = secrets::get(&settings.secret)?;
    let header = Header { name: "authorization".to_owned(), value: vec![Part::Secret(&secret)] };
    let url = vec![Part::Text(settings.address)];
    let answer = http::send(&Request { method: "GET".to_owned(), url, headers: vec![header], body: Vec::new() })?;
    let exit = containers::run(&Container {
        image: settings.container,
        process: Process::Command(vec!["true".to_owned()]),
        env: vec![Variable { name: "TOKEN".to_owned(), value: vec![Part::Secret(&secret)] }],
        workdir: None,
        workspace: Mount::ReadOnly,
    })?;
    let request = BuildRequest { context: String::new(), dockerfile: "Dockerfile".to_owned(), build_args: Vec::new() };
    let build = images::build(&request)?.build;
    let pushed = registry::push(&PushRequest { build: Some(build), to: settings.registry, tag: "v1".to_owned() })?;
    let bumped = git::bump(&BumpRequest {
        repo: settings.manifests,
        branch: None,
        path: "app".to_owned(),
        image: pushed.image,
        message: None,
    })?;
    let variables = vec![terraform::Variable { name: "token".to_owned(), value: vec![Part::Secret(&secret)] }];
    let folder = "infrastructure".to_owned();
    let planned = terraform::plan(&PlanRequest { folder, workspace: None, variables, mode: Mode::Normal })?;
    let applied = terraform::apply(&planned.plan)?;
    info!("{} to add, {} changes, left {}", planned.to_add, planned.changes.len(), applied.outputs);
    let revision = Some(bumped.commit);
    let synced = cluster::sync(&SyncRequest { application: settings.application, revision })?;
    let request = FollowRequest { rollout: settings.rollout, image: None, on_timeout: OnTimeout::Hold };
    let followed = canary::follow(&request)?;
    Ok(Outputs::new()
        .with("status", answer.status.to_string())
        .with("exit", exit.to_string())
        .with("digest", pushed.digest)
        .with("revision", synced.revision)
        .with("outcome", followed.outcome)
        .with("samples", samples.len().to_string()))
}

bespin_sdk::step!(run);
