//! Uses abilities without permission.

use bespin_sdk::canary::{FollowRequest, Followed, OnTimeout};
use bespin_sdk::cluster::{SyncRequest, Synced};
use bespin_sdk::containers::{Container, Mount, Process};
use bespin_sdk::failures::Fault;
use bespin_sdk::git::BumpRequest;
use bespin_sdk::images::BuildRequest;
use bespin_sdk::secrets::Part;
use bespin_sdk::terraform::{Mode, PlanRequest, Planned, Variable};
use bespin_sdk::{
    Failure, Outputs, Result, artifacts, cache, canary, cluster, containers, git, images, metrics as providers,
    registry, terraform,
};

use crate::stolen;

pub(crate) fn push(to: &str) -> Result<Outputs> {
    registry::push(&registry::PushRequest { build: None, to: to.to_owned(), tag: "v1".to_owned() })?;
    stolen(())
}

pub(crate) fn bump(repo: &str) -> Result<Outputs> {
    let request = BumpRequest {
        repo: repo.to_owned(),
        branch: None,
        path: "was".to_owned(),
        image: "host.example/name:v1".to_owned(),
        message: None,
    };
    git::bump(&request).map_err(Failure::from).and_then(stolen)
}

pub(crate) fn sync_of(application: &str) -> std::result::Result<Synced, Fault> {
    cluster::sync(&SyncRequest { application: application.to_owned(), revision: None })
}

pub(crate) fn sync(application: &str) -> Result<Outputs> {
    sync_of(application).map_err(Failure::from).and_then(stolen)
}

pub(crate) fn follow_of(rollout: &str) -> std::result::Result<Followed, Fault> {
    canary::follow(&FollowRequest { rollout: rollout.to_owned(), image: None, on_timeout: OnTimeout::Hold })
}

pub(crate) fn follow(rollout: &str) -> Result<Outputs> {
    follow_of(rollout).map_err(Failure::from).and_then(stolen)
}

pub(crate) fn container_of(image: &str) -> std::result::Result<i32, Fault> {
    containers::run(&Container {
        image: image.to_owned(),
        process: Process::Image,
        env: Vec::new(),
        workdir: None,
        workspace: Mount::None,
    })
}

pub(crate) fn container(image: &str) -> Result<Outputs> {
    container_of(image).map_err(Failure::from).and_then(stolen)
}

pub(crate) fn build(context: &str) -> Result<Outputs> {
    let request =
        BuildRequest { context: context.to_owned(), dockerfile: "Dockerfile".to_owned(), build_args: Vec::new() };
    images::build(&request).map_err(Failure::from).and_then(stolen)
}

pub(crate) fn artifact(name: &str, content: &[u8]) -> Result<Outputs> {
    artifacts::put(name, content).map_err(Failure::from).and_then(stolen)
}

pub(crate) fn archive(key: &str, content: &[u8]) -> Result<Outputs> {
    cache::save(key, content).map_err(Failure::from).and_then(stolen)
}

pub(crate) fn prefixes() -> Result<Outputs> {
    let prefixes: Vec<String> = (0..100_000).map(|number| number.to_string()).collect();
    cache::restore("key", &prefixes).map_err(Failure::from).and_then(stolen)
}

pub(crate) fn metrics(provider: &str) -> Result<Outputs> {
    providers::query(provider, "up").map_err(Failure::from).and_then(stolen)
}

fn plan_of(folder: &str, workspace: Option<String>, variables: Vec<Variable>) -> std::result::Result<Planned, Fault> {
    terraform::plan(&PlanRequest { folder: folder.to_owned(), workspace, variables, mode: Mode::Normal })
}

pub(crate) fn plan(folder: &str, workspace: &str) -> Result<Outputs> {
    let workspace = (workspace != crate::plain()).then(|| workspace.to_owned());
    plan_of(folder, workspace, Vec::new()).map_err(Failure::from).and_then(stolen)
}

pub(crate) fn plan_with_variables() -> Result<Outputs> {
    let variable = |n: usize| Variable { name: format!("v{n}"), value: vec![Part::Text("x".repeat(1000))] };
    plan_of("infrastructure", None, (0..200).map(variable).collect()).map_err(Failure::from).and_then(stolen)
}

pub(crate) fn plan_without_end() -> Result<Outputs> {
    while plan_of("infrastructure", None, Vec::new()).is_ok() {}
    stolen(())
}

pub(crate) fn apply(plan: &str) -> Result<Outputs> {
    terraform::apply(plan).map_err(Failure::from).and_then(stolen)
}
