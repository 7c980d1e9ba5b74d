//! `bespin serve`: the parts of the server, bound together and listening.

use crate::alert_hooks::AlertHooks;
use crate::attempts::Alone;
use crate::commands::Buttons;
use crate::config::Config;
use crate::drive::{Drivers, Trouble, now};
use crate::epoch::StreamEpochs;
use crate::extensions::Extensions;
use crate::external_run_numbers::ExternalRunNumbers;
use crate::hooks::Hooks;
use crate::host::{Adapters, Archives, Artifacts, Connector, ContainerSteps, Plans, PluginHost, Waiting};
use crate::index::JournalIndex;
use crate::installed::Installed;
use crate::leftovers::Leftovers;
use crate::listeners::Listeners;
use crate::logs::Logs;
use crate::patience::until_known;
use crate::places::PlaceWaits;
use crate::plugins::Plugins;
use crate::plugins::remote::Remote;
use crate::reporter::CommitStatuses;
use crate::resume::resume;
use crate::retention::{Memory, Retention};
use crate::sources::Repositories;
use crate::stages::bump::BumpStage;
use crate::stages::delivery::{DeliveryStage, ManualRuns};
use crate::stages::heads::HeadsStage;
use crate::stages::image::ImageStage;
use crate::stages::revert::RevertStage;
use crate::stages::rollout::{RolloutStage, Routers};
use crate::stages::run::RunStage;
use crate::stages::sync::{Generators, Judges, SyncStage};
use crate::steps::PluginSteps;
use crate::{adapters, compiler, data_folder, descriptors, ending};
use api::ApiState;
use api::board::Board;
use api::hooks::{HookLimits, HookState};
use api::login::Login;
use cluster::Cluster;
use decide::next::{Phase, Status};
use forge::Forge;
use forge::pulls::Pulls;
use forge::redelivery::Webhooks;
use sandbox::Sandbox;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use url::Url;

/// A server that runs.
pub struct Server {
    /// The drivers, with the journal and the board.
    pub drivers: Arc<Drivers>,
    /// Where the dashboard is, without a slash at its end.
    pub dashboard: String,
    /// Where webhooks go, without a slash at its end.
    pub hooks: String,
    login: Arc<Login>,
    stop: CancellationToken,
}

/// The pause before a cluster that could not be watched is watched again.
const WATCH_AGAIN: Duration = Duration::from_secs(5);

/// How long the start waits for clusters that do not answer.
const REACHED: Duration = Duration::from_secs(10);

/// Where the journal of a data folder is.
pub fn journal_dir(data: &Path) -> PathBuf {
    data.join("journal")
}

/// Starts a server and runs it until SIGTERM or Ctrl-C.
///
/// # Errors
/// What kept it from starting.
pub async fn until_stopped(config: Config) -> Result<(), String> {
    if config.user.is_empty() {
        return Err("nobody could log in: add a [[user]] with a role and a hash from `bespin hash-password`".into());
    }
    descriptors::raise();
    let server = start(config).await?;
    let journal = server.drivers.journal().clone();
    ending::of(&journal, stop_asked(), server.stop()).await
}

/// Returns at SIGTERM or Ctrl-C.
pub async fn stop_asked() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        let _ctrl_c = tokio::signal::ctrl_c().await;
        return;
    };
    tokio::select! {
        _ = tokio::signal::ctrl_c() => {}
        _ = terminate.recv() => {}
    }
}

/// Starts a server; it listens when this returns.
///
/// # Errors
/// What kept it from starting, as a sentence.
pub async fn start(config: Config) -> Result<Server, String> {
    let data = config.server.data.clone();
    data_folder::private(&data)?;
    let journal = journal::open(&journal_dir(&data)).map_err(|error| error.to_string())?;
    let stop = CancellationToken::new();
    // A start that fails listens no longer.
    let starting = stop.clone().drop_guard();
    let listeners = Listeners::bind(&config, &stop).await?;
    let dashboard = config.server.url.clone().unwrap_or_else(|| listeners.pages_url.clone());
    let drivers = Drivers::new(journal, Arc::new(Board::default()));
    let logs = Arc::new(Logs::open(data.join("logs")));
    let stages = bind(&config, &drivers, &logs, &dashboard).await?;
    let resumed = resume(&drivers, &stages.delivery).await.map_err(|error| error.to_string())?;
    tracing::info!(resumed, "the journal was read");
    stages.heads.watch(&drivers);

    let url = Url::parse(&dashboard).map_err(|error| format!("server: url: {error}"))?;
    let login = Login::new(config.user.clone(), &url).map_err(|error| error.to_string())?;
    let login = Arc::new(login.behind(config.server.trusted_proxies.clone()));
    let clusters = config.cluster.iter().map(|cluster| cluster.name.clone()).collect();
    let alerts = AlertHooks::new(adapters::alert_hooks(&config)?, clusters, stages.buttons.rollout.clone(), &drivers);
    let (journal, board, commands) = (drivers.journal().clone(), drivers.board().clone(), Arc::new(stages.buttons));
    let api = ApiState::new(journal, board, logs, login.clone(), commands, stop.clone());
    let api = api.showing(Arc::new(Installed {
        plugins: stages.plugins,
        policy: config.policy.clone(),
        extensions: stages.extensions,
        route: config.route.clone(),
    }));
    api::control::listen(&data, api.clone()).map_err(|error| format!("the control socket: {error}"))?;
    let memories: Vec<Arc<dyn Memory>> = vec![Arc::new(api.clone()), stages.delivery.clone()];
    let keep_runs = config.server.keep_runs;
    let retention = Retention { drivers: drivers.clone(), leftovers: stages.leftovers, memories, keep_runs };
    drivers.beside(retention.rounds());
    let hooks = Arc::new(Hooks::new(adapters::hooks(&config)?, &drivers));
    let hooks = HookState::behind(hooks, HookLimits::default(), config.server.trusted_proxies.clone());
    let alerts = api::hooks::alerts::router(hooks.clone(), Arc::new(alerts));
    listeners.deliveries.open(api::hooks::router(hooks).merge(alerts));
    listeners.pages.open(api::router(api));
    listeners.started();
    starting.disarm();
    let server = Server { drivers, dashboard, hooks: listeners.deliveries_url, login, stop };
    server.tell(&data)?;
    Ok(server)
}

impl Server {
    /// A link that logs one person in, once, from this machine.
    pub fn one_time_link(&self) -> String {
        format!("{}/login/once?token={}", self.dashboard, self.login.one_time_link())
    }

    /// Stops listening and driving. What runs is left to the next start.
    pub async fn stop(self) {
        self.stop.cancel();
        self.drivers.stop().await;
    }

    /// Leaves the addresses where scripts find them, once everything listens.
    fn tell(&self, data: &Path) -> Result<(), String> {
        tracing::info!(dashboard = self.dashboard, hooks = self.hooks, "listening");
        let addresses = serde_json::json!({ "dashboard": self.dashboard, "hooks": self.hooks }).to_string();
        let path = data.join("addresses.json");
        data_folder::write_private(&path, &addresses).map_err(|error| format!("{}: {error}", path.display()))
    }
}

/// The stages, as the rest of the server needs them.
struct Bound {
    delivery: Arc<DeliveryStage>,
    heads: Arc<HeadsStage>,
    buttons: Buttons,
    leftovers: Arc<Leftovers>,
    plugins: Arc<Plugins>,
    extensions: Arc<Extensions>,
}

async fn bind(config: &Config, drivers: &Arc<Drivers>, logs: &Arc<Logs>, url: &str) -> Result<Bound, String> {
    let data = &config.server.data;
    let forge = Forge::new(adapters::forge(config)?, data.join("mirrors")).map_err(|error| error.to_string())?;
    let images = images(config)?;
    let registries = images::Registries::new(adapters::registries(config)?).map_err(|error| error.to_string())?;
    let repositories = Repositories::new(forge.clone());
    let waits = PlaceWaits::new(drivers);
    let waiting = Waiting::new(logs.clone(), waits.clone());

    let registries = Arc::new(registries);
    let artifacts = Artifacts::open(data.join("artifacts"));
    let plans = Plans::open(data.join("plans"));
    let leftovers = Leftovers::new(logs.clone(), data.join("workspaces"), artifacts.clone()).and(plans.clone());
    let leftovers = Arc::new(leftovers);
    let terraform = adapters::terraform(config, plans, &forge, (logs, &waits))?;
    let containers = container_steps(config, &images, &forge, (logs, &waits));
    let floors = ExternalRunNumbers::new(forge.clone(), registries.clone(), config.policy.clone(), data);
    let image = ImageStage::new(images.clone(), registries.clone(), repositories.clone(), waiting.clone());
    let bump = BumpStage::new(&forge);
    let (remote, extensions) = stage_plugins(config, registries)?;
    let connector = Arc::new(Connector::new().map_err(|error| error.to_string())?);
    let restored = journal::restored_up_to(&journal_dir(data)).map_err(|error| error.to_string())?;
    let (sync, rollout) =
        cluster_stages(config, drivers, &forge, repositories, &extensions, (&connector, restored)).await?;
    let host = PluginHost::new(Adapters {
        drivers: drivers.clone(),
        forge: forge.clone(),
        logs: logs.clone(),
        secrets: config.secret.clone(),
        artifacts,
        archives: Archives::open(data.join("archives")),
        metrics: config.metrics.clone(),
        containers,
        terraform,
        waiting,
        waits: waits.clone(),
        sync: sync.clone(),
        clusters: config.cluster.iter().map(|cluster| cluster.name.clone()).collect(),
        connector,
    });
    let (steps, plugins) = plugin_steps(config, host, remote).await?;
    let reporter = Arc::new(CommitStatuses::new(forge.clone()));
    let index = Arc::new(JournalIndex::restored(drivers.journal().clone(), restored));
    let owners = Arc::new(Alone::start());
    let steps = Arc::new(steps);
    let run = RunStage::new(steps, reporter, leftovers.clone(), index.clone(), owners, url.to_owned());
    let run = Arc::new(run.queueing(waits).judging(floors.clone()));
    let webhooks = Webhooks::new(adapters::forge(config)?.status);
    let heads = HeadsStage::new(&forge, index.clone(), adapters::hook_of_each(config), webhooks);
    let numbers = config.server.numbers.clone();
    let delivery = DeliveryStage::new(&forge, index, numbers, (floors, plugins.clone()));
    drivers.register(&heads);
    drivers.register(&delivery);
    drivers.register(&run);
    drivers.register(&image);
    drivers.register(&bump);
    drivers.beside(crate::git_notices::show(forge, drivers.clone()));
    let manual = ManualRuns::new(delivery.clone(), adapters::hook_of_each(config).into_keys());
    let buttons = Buttons { drivers: drivers.clone(), delivery: delivery.clone(), sync, rollout, manual };
    Ok(Bound { delivery, heads, buttons, leftovers, plugins, extensions })
}

/// What builds images, as the configuration chooses.
fn images(config: &Config) -> Result<Arc<images::Images>, String> {
    let builder = adapters::builder(config);
    if cfg!(not(feature = "buildkit")) && builder != images::Choice::Context {
        tracing::warn!("this build knows no BuildKit: a Docker Engine builds with its classic builder");
    }
    let images = images::Images::open(&config.server.data.join("images"), builder);
    images.map(Arc::new).map_err(|error| error.to_string())
}

/// The stages that look after clusters: sync, rollout, and revert after an abort. They follow each cluster from here on.
async fn cluster_stages(
    config: &Config,
    drivers: &Arc<Drivers>,
    forge: &Arc<Forge>,
    repositories: Arc<Repositories>,
    extensions: &Extensions,
    (connector, restored): (&Arc<Connector>, u64),
) -> Result<(Arc<SyncStage>, Arc<RolloutStage>), String> {
    let clusters = connect(config, drivers).await?;
    let judges = Judges::load(&config.health, extensions).await?;
    let generators = Generators::load(&config.generate, extensions).await?;
    let sync = SyncStage::extended(clusters.iter().cloned(), repositories, judges, generators);
    let revert = RevertStage::new(forge, Pulls::new(adapters::forge(config)?.status), &sync);
    let routers = Routers::load(&config.route, extensions, connector, &config.secret).await?;
    let rollout = RolloutStage::new(clusters.iter().cloned()).balanced_by(adapters::balancers(config)?);
    let rollout = Arc::new(rollout.routed_by(routers).restored(StreamEpochs::up_to(restored)));
    drivers.register(&sync);
    drivers.register(&revert);
    drivers.register(&rollout);
    for cluster in clusters {
        supervise(drivers, &sync, &rollout, cluster);
    }
    drivers.beside(sync.clone().hear(drivers.clone(), forge.clone()));
    Ok((sync, rollout))
}

/// What runs the containers of steps; those that an earlier process left are removed meanwhile.
fn container_steps(
    config: &Config,
    images: &Arc<images::Images>,
    forge: &Arc<Forge>,
    (logs, waits): (&Arc<Logs>, &Arc<PlaceWaits>),
) -> Arc<ContainerSteps> {
    let (images, forge, data) = (images.clone(), forge.clone(), config.server.data.clone());
    let containers = ContainerSteps::new(config.containers, images, forge, logs.clone(), waits.clone(), data);
    let containers = Arc::new(containers);
    let sweeping = containers.clone();
    tokio::spawn(async move { sweeping.sweep().await });
    containers
}

/// Loads every plugin of the folder before the first step asks for one; those of registries come when a step does.
async fn plugin_steps(
    config: &Config,
    host: PluginHost,
    remote: Arc<Remote>,
) -> Result<(PluginSteps, Arc<Plugins>), String> {
    let cache = config.server.data.join("plugins");
    let sandbox = Arc::new(Sandbox::open(&cache, compiler::settings(&cache)?).map_err(|error| error.to_string())?);
    let plugins = Arc::new(Plugins::of(&plugins_dir(config)).and(remote));
    let loaded = plugins.load_all(&sandbox).await.map_err(|error| error.to_string())?;
    tracing::info!(plugins = loaded.join(", "), "the plugins are ready");
    let steps = PluginSteps::new(sandbox, plugins.clone(), config.policy.clone(), Arc::new(host));
    Ok((steps, plugins))
}

/// The plugins of registries, and those that stages call: each stage asks for its own before it starts.
fn stage_plugins(
    config: &Config,
    registries: Arc<images::Registries>,
) -> Result<(Arc<Remote>, Arc<Extensions>), String> {
    let fetched = config.server.data.join(crate::plugins::FETCHED);
    let remote = Arc::new(Remote::new(fetched, registries, &config.plugin_source)?);
    let plugins = Plugins::of(&plugins_dir(config)).and(remote.clone());
    let cache = config.server.data.join("plugins");
    let settings = compiler::settings(&cache)?;
    Ok((remote, Arc::new(Extensions::new(plugins, cache, settings))))
}

fn plugins_dir(config: &Config) -> PathBuf {
    config.server.plugins.clone().unwrap_or_else(|| PathBuf::from("plugins"))
}

/// The clusters of the configuration. Those that do not answer are waited for beside the start: whoever delivers to
/// the others does not wait for them.
async fn connect(config: &Config, drivers: &Arc<Drivers>) -> Result<Vec<Arc<Cluster>>, String> {
    let mut clusters = Vec::new();
    for settings in &config.cluster {
        let cluster = Cluster::bind(settings.clone()).await.map_err(|error| error.to_string())?;
        clusters.push(Arc::new(cluster));
    }
    let preparing = clusters.iter().map(|cluster| {
        let (drivers, cluster) = (drivers.clone(), cluster.clone());
        tokio::spawn(async move {
            tokio::select! {
                () = drivers.stopping().cancelled() => {}
                () = prepare(&drivers, &cluster) => {}
            }
        })
    });
    let preparing = futures::future::join_all(preparing.collect::<Vec<_>>());
    if tokio::time::timeout(REACHED, preparing).await.is_err() {
        tracing::warn!("not every cluster answers; the others are delivered to, and these are asked again");
    }
    Ok(clusters)
}

/// Waits until a cluster answers, and installs the kinds that it lacks. Meanwhile the home page says what is wrong.
async fn prepare(drivers: &Drivers, cluster: &Cluster) {
    let place = format!("cluster/{}", cluster.name());
    let look = || async {
        let installing = async {
            cluster.reach().await?;
            cluster.install_crds().await
        };
        installing.await.map_err(|error| match Trouble::from(error) {
            // It may be mended at the cluster, or in the file that its settings name.
            trouble if !trouble.retry.may_pass() => Trouble::needs_person(trouble.message),
            trouble => trouble,
        })
    };
    let told = |trouble: &Trouble| {
        tracing::warn!(cluster = cluster.name(), %trouble, "will try again");
        let status = Status { phase: Phase::Blocked, message: format!("{trouble}; trying again") };
        drivers.board().publish(&place, "cluster", status, now());
    };
    let Ok(installed) = until_known(look, told).await else { return };
    drivers.board().forget(&place);
    if !installed.is_empty() {
        let kinds = installed.join(", ");
        tracing::info!(cluster = cluster.name(), kinds, "the cluster lacked kinds; they are installed");
    }
}

/// Follows what happens in a cluster, for as long as the server runs.
fn supervise(drivers: &Arc<Drivers>, sync: &Arc<SyncStage>, rollout: &Arc<RolloutStage>, cluster: Arc<Cluster>) {
    tokio::spawn(sync.clone().supervise(drivers.clone(), cluster.clone()));
    let (rollout, drivers) = (rollout.clone(), drivers.clone());
    tokio::spawn(async move {
        while let Err(trouble) = rollout.clone().watch(drivers.clone(), cluster.clone()).await {
            tracing::warn!(cluster = cluster.name(), %trouble, "will try again");
            tokio::select! {
                () = drivers.stopping().cancelled() => return,
                () = tokio::time::sleep(WATCH_AGAIN) => {}
            }
        }
    });
}
