//! `bespin demo`: the whole way on one machine, with the embedded default and
//! the sample application.

use crate::config::Config;
use crate::drive::read;
use crate::serve::{self, Server};
use clap::Args;
use decide::run::{Entry, RunOutcome};
use decide::stream::{Family, Stream};
use playground::git::Webhook;
use playground::sample::{APPLICATION, Sample, SampleOptions};
use playground::{Options as Parts, Playground};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How the demo is shown.
#[derive(Args)]
pub struct Options {
    /// End when the canary is done: 0 if it was promoted, else 1, with one JSON line of stages and times.
    #[arg(long)]
    once: bool,
    /// The folder of the built-in plugins, `<name>.wasm`; `cargo xtask demo` builds them and names it.
    #[arg(long, env = "BESPIN_PLUGINS", value_name = "DIR")]
    plugins: PathBuf,
    /// Where everything is kept; a folder that goes away at the end, when absent.
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// How long the canary pauses after each weight, in Argo's notation, such as `30s`.
    #[arg(long, value_name = "DURATION")]
    pause: Option<String>,
}

/// How long each part of the demo may take before it is called failed.
const PATIENCE: Duration = Duration::from_secs(300);

/// Shows the demo.
///
/// # Errors
/// What failed, as a sentence; also a canary that was not promoted.
pub async fn run(options: Options) -> Result<(), String> {
    let temporary = tempfile::tempdir().map_err(|error| error.to_string())?;
    let dir = options.dir.clone().unwrap_or_else(|| temporary.path().to_owned());
    std::fs::create_dir_all(&dir).map_err(|error| format!("{}: {error}", dir.display()))?;
    eprintln!("Starting a Kubernetes API, a registry and git remotes.");
    let playground = start_playground(&dir).await?;
    let config = configure(&dir, &options.plugins, &playground)?;
    let server = serve::start(config).await?;
    let shown = tokio::select! {
        shown = show(&options, &dir, &playground, &server) => shown,
        () = serve::stop_asked() => Err("stopped before the canary was done".into()),
    };
    // A canary that somebody sent back is worth a look as well.
    if shown.is_ok() && !options.once {
        say_how_to_go_on(&dir, &playground, &server);
        serve::stop_asked().await;
    }
    server.stop().await;
    playground.stop().await;
    promoted(&shown?)
}

/// How to push again by git, and last of all the dashboard's link.
fn say_how_to_go_on(dir: &Path, playground: &Playground, server: &Server) {
    let password = std::fs::read_to_string(dir.join("git-password")).unwrap_or_default();
    let host = playground.git_url.trim_start_matches("http://");
    eprintln!(
        "Push again, from any terminal of this machine:\n\n    \
         git clone http://bespin:{password}@{host}/{APPLICATION}.git && cd petclinic\n    \
         echo 'echo greeting again' >> was/static/server\n    \
         git commit --all --message 'Greet again' && git push\n"
    );
    eprintln!("The dashboard stays open until Ctrl-C, by a link that logs in once:\n\n{}", server.one_time_link());
}

/// Whether the run of this line came to its end well.
fn promoted(line: &Value) -> Result<(), String> {
    match line["outcome"].as_str() {
        Some("succeeded") => Ok(()),
        outcome => Err(format!(
            "the run {} ended as {}",
            line["demo"].as_str().unwrap_or_default(),
            outcome.unwrap_or("nothing known")
        )),
    }
}

async fn start_playground(dir: &Path) -> Result<Playground, String> {
    let password = || Some(hex::encode(rand::random::<[u8; 16]>()));
    let parts = Parts {
        git_user: Some("bespin".into()),
        git_password: password(),
        registry_user: Some("bespin".into()),
        registry_password: password(),
        ..Parts::default()
    };
    write_secret(dir, "git-password", parts.git_password.as_deref())?;
    write_secret(dir, "registry-password", parts.registry_password.as_deref())?;
    write_secret(dir, "hook-secret", password().as_deref())?;
    Playground::start(&dir.join("playground"), parts).await.map_err(|error| error.to_string())
}

fn write_secret(dir: &Path, name: &str, secret: Option<&str>) -> Result<(), String> {
    use std::io::Write;
    use std::os::unix::fs::OpenOptionsExt;
    let path = dir.join(name);
    let mut open = std::fs::OpenOptions::new();
    let file = open.create(true).truncate(true).write(true).mode(0o600).open(&path);
    file.and_then(|mut file| file.write_all(secret.unwrap_or_default().as_bytes()))
        .map_err(|error| format!("{}: {error}", path.display()))
}

/// The demo's configuration goes the way of every configuration: through a file.
fn configure(dir: &Path, plugins: &Path, playground: &Playground) -> Result<Config, String> {
    let quoted = |path: PathBuf| toml::Value::String(path.display().to_string()).to_string();
    let secret = |name: &str| format!("{{ file = {} }}", quoted(dir.join(name)));
    let text = format!(
        r#"[server]
listen = "127.0.0.1:0"
hooks = "127.0.0.1:0"
data = {data}
plugins = {plugins}
builder = "context"
numbers = {{ "user/petclinic/petclinic-was" = 55 }}

[[hook]]
secrets = [{hook}]
repositories = [{{ name = "user/petclinic", url = "{git}/user/petclinic.git" }}]

[[git]]
url = "{git}/"
auth = {{ basic = {{ user = "bespin", password = {git_password} }} }}

[[registry]]
host = "{registry_host}"
endpoint = "http://{registry}"
auth = {{ basic = {{ user = "bespin", password = {registry_password} }} }}

[[cluster]]
name = "production"
reach = {{ kubeconfig = {{ path = {kubeconfig} }} }}

[[policy]]
repository = "user/petclinic"
ref = "refs/heads/main"
event = "push"
[policy.grants]
images = ["build"]
registry = ["{registry_host}/petclinic-was"]
git = ["{git_host}/user/k8s-manifests"]
cluster = ["production/petclinic/*"]
canary = ["production/petclinic/was"]
"#,
        data = quoted(dir.join("data")),
        plugins = quoted(plugins.to_owned()),
        hook = secret("hook-secret"),
        git = playground.git_url,
        git_host = playground.git_url.trim_start_matches("http://"),
        git_password = secret("git-password"),
        registry_host = REGISTRY,
        registry = playground.registry,
        registry_password = secret("registry-password"),
        kubeconfig = quoted(playground.kubeconfig.clone()),
    );
    let file = dir.join("bespin.toml");
    std::fs::write(&file, &text).map_err(|error| format!("{}: {error}", file.display()))?;
    Config::load(&file).map_err(|mistakes| mistakes.to_string())
}

/// The registry in the sample's image names.
const REGISTRY: &str = "123456789012.dkr.ecr.ap-northeast-2.amazonaws.com";

async fn show(options: &Options, dir: &Path, playground: &Playground, server: &Server) -> Result<Value, String> {
    let hook_secret = std::fs::read_to_string(dir.join("hook-secret")).map_err(|error| error.to_string())?;
    let pause = options.pause.clone().unwrap_or_else(|| if options.once { "1s".into() } else { "10s".into() });
    let hook = format!("{}/hooks/github/default", server.hooks);
    playground.webhooks().set(APPLICATION, Webhook { url: hook.clone(), secret: hook_secret.clone() });
    let sample = SampleOptions { pause, hook_url: Some(hook), hook_secret };
    let sample = Sample::create(playground, sample).await.map_err(|error| error.to_string())?;
    sample.apply_application().await.map_err(|error| error.to_string())?;
    eprintln!("Waiting for the sample application to be synced.");
    until("the sample application is synced and healthy", || async { settled(server) }).await?;
    eprintln!("Pushing a change to {APPLICATION}. Its way to a finished canary, by a link that logs in once:");
    let pushed = sample.push_change(1).await.map_err(|error| error.to_string())?;
    eprintln!("\n{}\n", server.one_time_link());
    let run = until("the run ended", || async { ended(server, &pushed.after).await }).await?;
    let line = stages(server, &run).await?;
    println!("{line}");
    Ok(line)
}

/// Whether the application stands where its repository wants it, and its rollout as well.
fn settled(server: &Server) -> Option<()> {
    let board = server.drivers.board();
    let apps = board.apps();
    let rollouts = board.rollouts();
    let synced = !apps.is_empty() && apps.values().all(|app| app.sync == "synced" && app.health == "Healthy");
    let healthy = !rollouts.is_empty() && rollouts.values().all(|rollout| rollout.phase == "Healthy");
    (synced && healthy).then_some(())
}

/// The id of the run for a commit, once it has ended.
async fn ended(server: &Server, commit: &str) -> Option<String> {
    let journal = server.drivers.journal();
    for stream in journal.streams(Family::Run.prefix()).await.ok()? {
        let written = read::<Entry>(journal, &stream.name).await.ok()?;
        let Some(Entry::Opened { run }) = written.first().map(|one| &one.entry) else { continue };
        let closed = written.iter().any(|one| matches!(one.entry, Entry::Closed { .. }));
        if run.commit.sha == commit && closed {
            return Some(run.id.clone());
        }
    }
    None
}

/// One line of stages with their times in ms, from the run's own journal.
async fn stages(server: &Server, run: &str) -> Result<Value, String> {
    let journal = server.drivers.journal();
    let written = read::<Entry>(journal, Stream::run(run)).await.map_err(|error| error.to_string())?;
    let mut stages = Vec::new();
    let mut started = std::collections::BTreeMap::new();
    let mut outcome = None;
    let opened = written.first().map_or(0, |one| one.at_ms);
    let mut last = opened;
    for one in &written {
        last = one.at_ms;
        match &one.entry {
            Entry::Started { step, .. } => {
                started.insert(step.clone(), one.at_ms);
            }
            Entry::Ended { step, .. } => {
                let since = started.get(step).copied().unwrap_or(one.at_ms);
                stages.push(json!({ "stage": step, "ms": one.at_ms - since }));
            }
            Entry::Closed { outcome: closed } => outcome = Some(*closed),
            Entry::Opened { .. }
            | Entry::Queued { .. }
            | Entry::Placed { .. }
            | Entry::Skipped { .. }
            | Entry::ApprovalAsked { .. }
            | Entry::ApprovalAnswered { .. }
            | Entry::CancelAsked { .. } => {}
        }
    }
    let outcome: Option<RunOutcome> = outcome;
    Ok(json!({ "demo": run, "outcome": outcome, "stages": stages, "total_ms": last - opened }))
}

async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut check: impl FnMut() -> F) -> Result<T, String> {
    let waiting = async {
        loop {
            if let Some(found) = check().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let patience = tokio::time::timeout(PATIENCE, waiting).await;
    patience.map_err(|_| format!("within {} s it did not happen that {what}", PATIENCE.as_secs()))
}
