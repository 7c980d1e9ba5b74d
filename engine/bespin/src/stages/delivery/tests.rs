//! Pushes to a real git server become runs in a real journal.

mod epochs;
mod moves;
mod settings;

use super::*;
use crate::drive::{Begun, encode, now, read};
use crate::external_run_numbers::ExternalRunNumbers;
use crate::stages::git_server::{GitServer, PASSWORD, USER};
use crate::stages::heads::HeadsStage;
use api::board::Board;
use decide::by::By;
use decide::delivery::{NOTHING, Origin, Paths, PullRequest, Source};
use decide::next::Wake;
use decide::run::{CancelCause, Entry as RunEntry};
use decide::stream::Stream;
use forge::{Credentials, Remote, Settings};
use playground::faults::Faults;
use playground::registry::Registry;
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

const REPOSITORY: &str = "user/petclinic";
const HOST: &str = "registry.example";
const PIPELINE: &str = "name: petclinic-was
on:
  push: { branches: [main], paths: ['was/**'] }
concurrency: { group: was, supersede: until-bump }
steps:
  - id: image
    uses: image
    with: { dockerfile: Dockerfile }
";

struct World {
    git: GitServer,
    drivers: Arc<Drivers>,
    stage: Arc<DeliveryStage>,
    started: Arc<Mutex<Vec<String>>>,
    directory: tempfile::TempDir,
}

impl World {
    async fn new(files: &[(&str, &str)]) -> World {
        let git = GitServer::start().await;
        git.create(REPOSITORY, files);
        let directory = tempfile::tempdir().unwrap();
        let (drivers, stage, started) = server(&git, &directory, "journal");
        World { git, drivers, stage, started, directory }
    }

    /// Receives a push as the webhook does, and waits until it is worked off.
    async fn push(&self, delivery: &str, before: &str, after: &str, paths: Paths) -> Vec<String> {
        self.receive(delivery, before, after, paths).await;
        self.ended(delivery).await
    }

    async fn receive(&self, delivery: &str, before: &str, after: &str, paths: Paths) {
        self.record(Received::Push(push_of(delivery, before, after, paths))).await;
    }

    async fn record(&self, received: Received) {
        let begun = self.drivers.open(&received.stream(), &By::Server, &received.entry()).await.unwrap();
        assert_eq!(begun, Begun::Now);
    }

    async fn ended(&self, delivery: &str) -> Vec<String> {
        ended(&self.drivers, delivery).await
    }

    async fn run(&self, id: &str) -> Vec<RunEntry> {
        let written = read::<RunEntry>(self.drivers.journal(), &format!("run/{id}")).await.unwrap();
        written.into_iter().map(|written| written.entry).collect()
    }
}

/// A push to `main` as a webhook tells it.
fn push_of(delivery: &str, before: &str, after: &str, paths: Paths) -> Push {
    Push {
        hook: "default".into(),
        delivery: delivery.into(),
        repository: REPOSITORY.into(),
        reference: "refs/heads/main".into(),
        before: before.into(),
        after: after.into(),
        change: if before == NOTHING { Change::New } else { Change::Forward },
        pusher: "kim".into(),
        paths,
        source: Source::Webhook,
    }
}

/// Stands in for the stage of runs: it notes which are driven.
pub(in crate::stages) struct Started(pub(in crate::stages) Arc<Mutex<Vec<String>>>);

#[async_trait]
impl Stage for Started {
    const NAME: &'static str = "run";
    const FAMILY: Family = Family::Run;
    type Entry = RunEntry;
    type State = ();
    type Observed = ();
    type Act = ();
    type ActKey = ();
    type Reply = ();

    fn replay(&self, _: &[Written<RunEntry>]) {}

    fn is_current(&self, (): &(), (): &()) -> bool {
        false
    }

    async fn observe(&self, turn: &Turn<'_>, (): &(), _: &Outcomes<(), ()>) -> Result<(), Trouble> {
        self.0.lock().unwrap().push(turn.stream.to_string());
        Ok(())
    }

    fn decide(&self, (): &(), (): &(), _: Timestamp) -> Next<RunEntry, ()> {
        Next::done(Wake::Never, "it is noted")
    }

    async fn act(&self, _: &Turn<'_>, (): &(), (): &()) -> Result<(), Trouble> {
        Ok(())
    }
}

/// A stage on a journal, which reaches the git server and this registry.
fn server_with(git: &GitServer, directory: &tempfile::TempDir, name: &str, registry: Option<SocketAddr>) -> Server {
    server_restored(git, directory, name, registry, 0)
}

/// The same on a journal whose entries up to this sequence came with a backup.
pub(in crate::stages) fn server_restored(
    git: &GitServer,
    directory: &tempfile::TempDir,
    name: &str,
    registry: Option<SocketAddr>,
    up_to: u64,
) -> Server {
    let journal = journal::open(&directory.path().join(name)).unwrap();
    let drivers = Drivers::new(journal, Arc::new(Board::default()));
    let credentials = Credentials::Basic { username: USER.into(), password: PASSWORD.into() };
    let remotes = vec![Remote { url: git.url.clone(), credentials, plain_http: Default::default() }];
    let settings = Settings { base: Some(git.url.clone()), remotes, ..Settings::default() };
    let forge = Forge::new(settings, directory.path().join("git")).unwrap();
    let started = Arc::new(Mutex::new(Vec::new()));
    let floors = match registry {
        None => BTreeMap::from([("user/petclinic/petclinic-was".to_owned(), 55)]),
        Some(_) => BTreeMap::new(),
    };
    let registry = registry.map(|address| images::RegistrySettings {
        host: HOST.into(),
        endpoint: Some(format!("http://{address}")),
        auth: images::Auth::None,
    });
    let registries = Arc::new(images::Registries::new(registry.into_iter().collect()).unwrap());
    // Nobody has approved anything yet: where approved steps left their numbers is looked at all the same.
    let grants = format!("grants = {{ registry = [\"{HOST}/*\"], git = [\"{}/user/*\"] }}", &git.url[7..]);
    let policy = toml::from_str(&format!("approved-by = [\"ann\"]\n{grants}")).unwrap();
    let external = ExternalRunNumbers::new(forge.clone(), registries, vec![policy], directory.path());
    let index = Arc::new(crate::index::JournalIndex::restored(drivers.journal().clone(), up_to));
    let plugins = Arc::new(crate::plugins::Plugins::of(&directory.path().join("plugins")));
    let stage = DeliveryStage::new(&forge, index, floors, (external, plugins));
    drivers.register(&stage);
    drivers.register(&Arc::new(Started(started.clone())));
    (drivers, stage, started)
}

pub(crate) type Server = (Arc<Drivers>, Arc<DeliveryStage>, Arc<Mutex<Vec<String>>>);

pub(in crate::stages) fn server(git: &GitServer, directory: &tempfile::TempDir, name: &str) -> Server {
    server_with(git, directory, name, None)
}

/// The stage that finds what no delivery told, beside a delivery's.
pub(crate) fn heads_beside(stage: &DeliveryStage, repositories: &[&str], api: Option<&str>) -> Arc<HeadsStage> {
    let hooks = repositories.iter().map(|name| ((*name).to_owned(), "default".to_owned())).collect();
    let settings = api.map(|url| forge::status::Settings { api_url: url.into(), token: "hush".into() });
    HeadsStage::new(&stage.forge, stage.index.clone(), hooks, forge::redelivery::Webhooks::new(settings))
}

/// Waits for the journal to say how a delivery ended: its runs.
pub(crate) async fn ended(drivers: &Drivers, delivery: &str) -> Vec<String> {
    let mut newest = drivers.journal().newest();
    let waiting = async {
        loop {
            newest.mark_unchanged();
            let written = read::<Entry>(drivers.journal(), &format!("delivery/default/{delivery}")).await.unwrap();
            match written.last().map(|written| &written.entry) {
                Some(Entry::Opened { runs, .. }) => return runs.clone(),
                Some(Entry::Ignored { because }) => return vec![format!("ignored: {because}")],
                _ => newest.changed().await.unwrap(),
            }
        }
    };
    let in_time = tokio::time::timeout(Duration::from_secs(60), waiting).await;
    in_time.unwrap_or_else(|_| panic!("{delivery} does not end: {:?}", drivers.board().statuses()))
}

fn compare() -> Paths {
    Paths::Compare { because: "a test".into() }
}

#[tokio::test]
async fn a_push_opens_its_run_and_a_newer_one_supersedes_it() {
    let world = World::new(&[(".bespin/was.yaml", PIPELINE), ("was/a", "1")]).await;
    let first = world.git.git(REPOSITORY, &["rev-parse", "main"]);
    assert_eq!(world.push("d1", NOTHING, &first, compare()).await, ["user/petclinic/petclinic-was/56"]);
    let second = world.git.commit(REPOSITORY, "main", &[("was/a", "2")], "Fix it");
    assert_eq!(world.push("d2", &first, &second, compare()).await, ["user/petclinic/petclinic-was/57"]);
    let third = world.git.commit(REPOSITORY, "main", &[("web/a", "2")], "The web");
    let ignored = world.push("d3", &second, &third, compare()).await;
    assert!(ignored[0].contains("nothing changed in `was/**`"), "{ignored:?}");
    let listed = Paths::Listed { paths: vec!["was/z".into()] };
    assert_eq!(
        world.push("d4", &second, &third, listed).await,
        ["user/petclinic/petclinic-was/58"],
        "the payload's list counts"
    );
    let run = world.run("user/petclinic/petclinic-was/57").await;
    let RunEntry::Opened { run: opened } = &run[0] else { panic!("{run:?}") };
    assert_eq!((opened.title.as_str(), opened.commit.author.as_str()), ("Fix it", "Kim"));
    assert_eq!((&opened.event.after, opened.event.delivery.as_str()), (&second, "d2"));
    assert!(
        matches!(&run[1], RunEntry::CancelAsked { cause: CancelCause::Superseded, because } if because.contains("/58"))
    );
    assert_eq!(world.run("user/petclinic/petclinic-was/56").await.len(), 2, "asked once");
    let streams = [56, 57, 58].map(|n| format!("run/user/petclinic/petclinic-was/{n}"));
    assert_eq!(*world.started.lock().unwrap(), streams);
}

#[tokio::test]
async fn the_same_push_by_two_deliveries_is_one_run() {
    let world = World::new(&[(".bespin/was.yaml", PIPELINE), ("was/a", "1")]).await;
    let first = world.git.git(REPOSITORY, &["rev-parse", "main"]);
    for n in 0..20 {
        world.receive(&format!("d{n}"), NOTHING, &first, compare()).await;
    }
    for n in 0..20 {
        assert_eq!(world.ended(&format!("d{n}")).await, ["user/petclinic/petclinic-was/56"]);
    }
    assert_eq!(world.drivers.journal().streams("run/").await.unwrap().len(), 1);
}

#[tokio::test]
async fn a_bad_pipeline_is_a_run_with_every_mistake() {
    let bad = PIPELINE.replace("branches", "branchs").replace("uses: image", "use: image");
    let world = World::new(&[(".bespin/was.yaml", &bad), (".bespin/scripts/x.yaml", "not: a pipeline\n")]).await;
    let first = world.git.git(REPOSITORY, &["rev-parse", "main"]);
    let runs = world.push("d1", NOTHING, &first, compare()).await;
    let run = world.run(&runs[0]).await;
    let RunEntry::Opened { run: opened } = &run[0] else { panic!("{run:?}") };
    assert!(opened.mistakes.len() >= 2, "{:?}", opened.mistakes);
    assert!(opened.mistakes[0].contains(".bespin/was.yaml:3"), "{}", opened.mistakes[0]);
}

#[tokio::test]
async fn a_late_delivery_of_an_older_commit_opens_nothing() {
    let world = World::new(&[(".bespin/was.yaml", PIPELINE), ("was/a", "1")]).await;
    let first = world.git.git(REPOSITORY, &["rev-parse", "main"]);
    let second = world.git.commit(REPOSITORY, "main", &[("was/a", "2")], "second");
    let third = world.git.commit(REPOSITORY, "main", &[("was/a", "3")], "third");
    assert_eq!(world.push("d2", &second, &third, compare()).await, ["user/petclinic/petclinic-was/56"]);
    let late = world.push("d1", &first, &second, compare()).await;
    assert!(late[0].contains("/56 is a run of a newer commit"), "{late:?}");
}

const CHECK: &str = "name: check
on:
  pull_request: { branches: [main], paths: ['was/**'] }
steps:
  - uses: image
";

/// A fork's pull request of this head, as GitHub tells of it.
fn asked(delivery: &str, head_sha: &str) -> PullRequest {
    PullRequest {
        hook: "default".into(),
        delivery: delivery.into(),
        repository: REPOSITORY.into(),
        number: 7,
        activity: pipeline::Activity::Synchronize,
        base: "refs/heads/main".into(),
        base_sha: "1".repeat(40),
        head: "fix".into(),
        head_sha: head_sha.into(),
        origin: Origin::Fork,
        sender: "mallory".into(),
    }
}

impl World {
    /// Commits to the pull request's head, which GitHub keeps beside the branches.
    fn head(&self, files: &[(&str, &str)]) -> String {
        let head = self.git.commit(REPOSITORY, "fork", files, "a fork's");
        self.git.git(REPOSITORY, &["update-ref", "refs/pull/7/head", &head]);
        head
    }

    async fn propose(&self, asked: PullRequest) -> Vec<String> {
        let delivery = asked.delivery.clone();
        self.record(Received::PullRequest(asked)).await;
        self.ended(&delivery).await
    }

    async fn opened(&self, run: &str) -> Opened {
        match self.run(run).await.remove(0) {
            RunEntry::Opened { run } => Arc::unwrap_or_clone(run),
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_pull_request_is_judged_by_its_bases_pipelines() {
    let world = World::new(&[(".bespin/check.yaml", CHECK), ("was/a", "1")]).await;
    let own = CHECK.replace("check", "hostile").replace("image", "push");
    let hostile = CHECK.replace("image", "push");
    let head = world.head(&[(".bespin/check.yaml", &hostile), (".bespin/own.yaml", &own), ("was/a", "2")]);
    // The branch moves on after the pull request left it.
    let newer = CHECK.replace("image", "container");
    let base = world.git.commit(REPOSITORY, "main", &[(".bespin/check.yaml", &newer), ("web/a", "1")], "meanwhile");
    assert_eq!(world.propose(asked("d1", &head)).await, ["user/petclinic/check/1"]);
    let opened = world.opened("user/petclinic/check/1").await;
    assert_eq!(opened.pipeline.steps[0].uses, "container", "the base's, as it stands now");
    assert_eq!((&opened.commit.sha, &opened.event.after, &opened.event.before), (&head, &head, &base));
    assert_eq!(opened.event.pull_request.as_ref().map(|asked| asked.origin), Some(Origin::Fork));
    assert_eq!(world.propose(asked("d2", &head)).await, ["user/petclinic/check/1"], "another delivery of the same");
}

#[tokio::test]
async fn a_newer_head_supersedes_the_older_ones_run() {
    let world = World::new(&[(".bespin/check.yaml", CHECK), ("was/a", "1")]).await;
    world.git.git(REPOSITORY, &["branch", "fork", "main"]);
    let docs = world.head(&[("README", "x")]);
    let idle = world.propose(asked("d1", &docs)).await;
    assert!(idle[0].contains("nothing changed in `was/**`"), "{idle:?}");
    let first = world.head(&[("was/a", "2")]);
    assert_eq!(world.propose(asked("d2", &first)).await, ["user/petclinic/check/1"]);
    let second = world.head(&[("was/a", "3")]);
    assert_eq!(world.propose(asked("d4", &second)).await, ["user/petclinic/check/2"]);
    let older = world.run("user/petclinic/check/1").await;
    assert!(
        matches!(&older[1..], [RunEntry::CancelAsked { because, cause: CancelCause::Superseded }]
        if because == "superseded by user/petclinic/check/2"),
        "{older:?}"
    );
    let late = world.propose(asked("d3", &docs)).await;
    assert!(late[0].contains("the pull request has a newer head"), "{late:?}");
    assert_eq!(world.run("user/petclinic/check/2").await.len(), 1, "nobody took its place");
}

#[tokio::test]
async fn a_head_that_the_base_does_not_keep_is_waited_for() {
    let world = World::new(&[(".bespin/check.yaml", CHECK), ("was/a", "1")]).await;
    // The commit is there, under another name: a payload alone leads nowhere.
    let head = world.git.commit(REPOSITORY, "elsewhere", &[("was/a", "2")], "not proposed");
    world.record(Received::PullRequest(asked("d1", &head))).await;
    let mut changed = world.drivers.board().changed();
    let waits = async {
        loop {
            let said = world.drivers.board().status("delivery/default/d1").map(|said| said.status.message);
            if said.is_some_and(|text| text.contains("waiting until the commit")) {
                return;
            }
            changed.changed().await.unwrap();
        }
    };
    tokio::time::timeout(Duration::from_secs(60), waits).await.expect("it says that it waits");
    world.git.git(REPOSITORY, &["update-ref", "refs/pull/7/head", &head]);
    assert_eq!(world.ended("d1").await, ["user/petclinic/check/1"]);
}

impl World {
    /// The heads that are kept.
    fn heads(&self) -> Vec<String> {
        let mirrors = std::fs::read_dir(self.directory.path().join("git")).unwrap();
        let stores = mirrors.map(|mirror| mirror.unwrap().path().join("heads-of-pull-requests"));
        let stores = stores.filter(|heads| heads.exists()).flat_map(|heads| std::fs::read_dir(heads).unwrap());
        stores.map(|store| store.unwrap().file_name().into_string().unwrap()).collect()
    }

    /// The file of an object at the git server.
    fn object(&self, name: &str) -> std::path::PathBuf {
        let id = self.git.git(REPOSITORY, &["rev-parse", name]);
        self.git.bare(REPOSITORY).join("objects").join(&id[..2]).join(&id[2..])
    }

    /// Waits until the server says this of a delivery.
    async fn says(&self, delivery: &str, text: &str) {
        let mut changed = self.drivers.board().changed();
        let says = async {
            loop {
                let said = self.drivers.board().status(&format!("delivery/default/{delivery}"));
                if said.is_some_and(|said| said.status.message.contains(text)) {
                    return;
                }
                changed.changed().await.unwrap();
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(60), says).await;
        in_time.unwrap_or_else(|_| panic!("nobody says `{text}`: {:?}", self.drivers.board().statuses()))
    }
}

#[tokio::test]
async fn no_head_is_fetched_that_no_pipeline_asks_for() {
    let world = World::new(&[(".bespin/was.yaml", PIPELINE), (".bespin/check.yaml", CHECK), ("was/a", "1")]).await;
    let head = world.head(&[("was/a", "2")]);
    world.git.git(REPOSITORY, &["branch", "next", "main"]);
    let next = PullRequest { base: "refs/heads/next".into(), ..asked("d1", &head) };
    let idle = world.propose(next).await;
    assert!(idle[0].contains(".bespin/check.yaml: the branch `next` is not among `main`"), "{idle:?}");
    let closed = PullRequest { activity: pipeline::Activity::ReadyForReview, ..asked("d2", &head) };
    let idle = world.propose(closed).await;
    assert!(idle[0].contains("`ready_for_review` is not among"), "{idle:?}");
    assert!(world.heads().is_empty(), "{:?}", world.heads());
    // The branch's own pipelines count, wherever the commit lies.
    assert_eq!(world.propose(asked("d3", &head)).await, ["user/petclinic/check/1"]);
    assert_eq!(world.heads(), [format!("7-{head}")]);
    let other = PIPELINE.replace("petclinic-was", "other");
    world.git.commit(REPOSITORY, "main", &[(".bespin/check.yaml", &other)], "no more checks");
    assert_eq!(world.propose(asked("d4", &head)).await, ["user/petclinic/check/1"], "the run that it opened");
}

#[tokio::test]
async fn a_head_that_cannot_be_fetched_is_given_up() {
    let world = World::new(&[(".bespin/check.yaml", CHECK), ("was/a", "1")]).await;
    let head = world.head(&[("was/a", "2")]);
    world.git.git(REPOSITORY, &["update-ref", "-d", "refs/heads/fork"]);
    // The remote's own copy is broken: it tells of the head, and cannot give it.
    let tree = world.object(&format!("{head}^{{tree}}"));
    let kept = std::fs::read(&tree).unwrap();
    std::fs::remove_file(&tree).unwrap();
    world.record(Received::PullRequest(asked("d1", &head))).await;
    world.says("d1", "fetching a pull request of").await;
    let old = now() - decide::delivery::PATIENCE_MS - 1_000;
    let missed = Entry::Missed { because: "it could not be read".into() };
    let entries = [Received::PullRequest(asked("d2", &head)).entry(), missed];
    let entries = encode(&entries, &By::Server, old).unwrap();
    world.drivers.journal().append("delivery/default/d2", 0, entries).await.unwrap();
    world.drivers.ensure(&Stream::delivery("default", "d2"));
    let given_up = world.ended("d2").await;
    assert!(given_up[0].starts_with("ignored: fetching a pull request of"), "{given_up:?}");
    assert!(given_up[0].ends_with("given up after 10 minutes"), "{given_up:?}");
    std::fs::write(&tree, kept).unwrap();
    assert_eq!(world.ended("d1").await, ["user/petclinic/check/1"], "the younger one was tried on");
}

#[tokio::test]
async fn a_head_that_comes_slowly_holds_up_no_push() {
    let world = World::new(&[(".bespin/check.yaml", CHECK), (".bespin/was.yaml", PIPELINE), ("was/a", "1")]).await;
    let first = world.git.git(REPOSITORY, &["rev-parse", "main"]);
    let second = world.git.commit(REPOSITORY, "main", &[("was/a", "2")], "Fix it");
    world.git.git(REPOSITORY, &["update-ref", "refs/heads/main", &first]);
    let head = world.head(&[("was/a", "a stranger's")]);
    world.git.git(REPOSITORY, &["update-ref", "-d", "refs/heads/fork"]);
    // Whoever reads a pipe waits for somebody who writes: the remote gets no further with the head.
    let blob = world.object(&format!("{head}:was/a"));
    let kept = std::fs::read(&blob).unwrap();
    std::fs::remove_file(&blob).unwrap();
    assert!(std::process::Command::new("mkfifo").arg(&blob).status().unwrap().success());
    world.record(Received::PullRequest(asked("d1", &head))).await;
    let fetching = async {
        while world.heads().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), fetching).await.expect("the head is asked for");
    world.git.git(REPOSITORY, &["update-ref", "refs/heads/main", &second]);
    assert_eq!(world.push("d2", &first, &second, compare()).await, ["user/petclinic/petclinic-was/56"]);
    assert_eq!(world.heads(), [format!("7-{head}")], "it is still being fetched");
    let opened = read::<Entry>(world.drivers.journal(), "delivery/default/d1").await.unwrap();
    assert_eq!(opened.len(), 1, "{opened:?}");
    std::fs::rename(&blob, world.directory.path().join("pipe")).unwrap();
    std::fs::write(&blob, kept).unwrap();
    // Both ends are opened here, so that neither side waits: the remote's reading ends, and fails.
    let pipe = world.directory.path().join("pipe");
    drop(std::fs::File::options().read(true).write(true).open(pipe).unwrap());
    assert_eq!(world.ended("d1").await, ["user/petclinic/check/1"]);
}

#[tokio::test]
async fn a_head_is_needed_until_its_runs_have_ended() {
    let world = World::new(&[(".bespin/check.yaml", CHECK), ("was/a", "1")]).await;
    let head = world.head(&[("was/a", "2")]);
    assert!(world.stage.index().heads().await.unwrap().is_empty());
    assert_eq!(world.propose(asked("d1", &head)).await, ["user/petclinic/check/1"]);
    let needed = world.stage.index().heads().await.unwrap();
    assert_eq!(needed, BTreeSet::from([forge::Head { number: 7, sha: head.clone() }]));
    let mirrors = std::fs::read_dir(world.directory.path().join("git")).unwrap();
    let config = mirrors.last().unwrap().unwrap().path().join(format!("heads-of-pull-requests/7-{head}/config"));
    let long_ago = std::time::SystemTime::now() - 2 * forge::HEAD_KEPT;
    std::fs::File::options().write(true).open(config).unwrap().set_modified(long_ago).unwrap();
    world.stage.tidy().await;
    assert_eq!(world.heads().len(), 1, "its run is open");
    let closed = RunEntry::Closed { outcome: decide::run::RunOutcome::Succeeded };
    let entries = encode(&[closed], &By::Server, now()).unwrap();
    world.drivers.journal().append("run/user/petclinic/check/1", 1, entries).await.unwrap();
    world.stage.tidy().await;
    assert!(world.heads().is_empty(), "{:?}", world.heads());
}

/// Dies between opening the run and recording that it did, and anywhere else:
/// every prefix of the delivery's stream, with the runs as they were then.
#[tokio::test]
async fn cut_anywhere_the_same_runs_are_open() {
    let web = PIPELINE.replace("petclinic-was", "web");
    let world = World::new(&[(".bespin/was.yaml", PIPELINE), (".bespin/web.yaml", &web), ("was/a", "1")]).await;
    let first = world.git.git(REPOSITORY, &["rev-parse", "main"]);
    let expected = world.push("d1", NOTHING, &first, compare()).await;
    assert_eq!(expected, ["user/petclinic/petclinic-was/56", "user/petclinic/web/1"]);
    let whole = world.drivers.journal().tail(0, 100).await.unwrap();
    assert_eq!(whole.iter().map(|e| e.kind.as_str()).collect::<Vec<_>>(), ["received", "opened", "opened", "opened"]);
    for cut in 1..=whole.len() {
        let (drivers, stage, _started) = server(&world.git, &world.directory, &format!("cut-{cut}"));
        for entry in &whole[..cut] {
            let again = journal::NewEntry {
                at_ms: entry.at_ms,
                by: entry.by.clone(),
                kind: entry.kind.clone(),
                body: entry.body.clone(),
            };
            drivers.journal().append(&entry.stream, entry.index, vec![again]).await.unwrap();
        }
        stage.resume(&drivers).await.unwrap();
        assert_eq!(ended(&drivers, "d1").await, expected, "cut after {cut}");
        assert_eq!(drivers.journal().streams("run/").await.unwrap().len(), 2, "cut after {cut}");
        drivers.stop().await;
    }
}

/// The journal is lost; the registry and the manifests are not.
struct Traces {
    world: World,
    address: SocketAddr,
    head: String,
    stop: CancellationToken,
    _directory: tempfile::TempDir,
}

impl Traces {
    /// Tags `v56-…` and `v9-…` in the registry, and a bump's commit of run 57.
    async fn new() -> Traces {
        let _set_before = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let directory = tempfile::tempdir().unwrap();
        let registry = Registry::open(directory.path(), None, None, Faults::default()).unwrap();
        let (listener, address) = playground::serve::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(playground::serve::run(listener, registry, stop.clone()));
        let index = "application/vnd.oci.image.index.v1+json";
        let body = format!("{{\"schemaVersion\":2,\"mediaType\":\"{index}\",\"manifests\":[]}}");
        for tag in ["v56-3f2a1bc", "v9-0123456", "latest"] {
            let url = format!("http://{address}/v2/petclinic-was/manifests/{tag}");
            let put = reqwest::Client::new().put(url).header("content-type", index).body(body.clone()).send();
            assert!(put.await.unwrap().status().is_success());
        }
        let world = World::new(&[("was/a", "1")]).await;
        let url = world.git.create("user/manifests", &[("was/rollout.yaml", "kind: Rollout\n")]);
        let bumped = "Bump petclinic-was\n\nBespin-Run: user/petclinic/petclinic-was/57\n";
        world.git.commit("user/manifests", "main", &[("was/rollout.yaml", "kind: Rollout # 2\n")], bumped);
        world.git.commit("user/manifests", "main", &[("README", "by hand")], "No trailer");
        let pipeline = format!(
            "{PIPELINE}  - id: push
    uses: push
    with: {{ to: {HOST}/petclinic-was, tag: v1 }}
    grants: {{ registry: [{HOST}/petclinic-was] }}
  - id: bump
    uses: bump
    with: {{ repo: '{url}', path: was, image: '${{{{ steps.push.image }}}}' }}
    grants: {{ git: ['{}/user/manifests'] }}
",
            &world.git.url[7..]
        );
        let head = world.git.commit(REPOSITORY, "main", &[(".bespin/was.yaml", &pipeline)], "The pipeline");
        Traces { world, address, head, stop, _directory: directory }
    }

    /// Receives a push on an empty journal.
    async fn push(&self, journal: &str) -> Server {
        self.push_after(journal, 0).await
    }

    /// Receives a push on a journal whose entries up to this sequence came with a backup.
    async fn push_after(&self, journal: &str, up_to: u64) -> Server {
        let server = server_restored(&self.world.git, &self.world.directory, journal, Some(self.address), up_to);
        let drivers = &server.0;
        let push = Push {
            hook: "default".into(),
            delivery: "d1".into(),
            repository: REPOSITORY.into(),
            reference: "refs/heads/main".into(),
            before: NOTHING.into(),
            after: self.head.clone(),
            change: Change::New,
            pusher: "kim".into(),
            paths: compare(),
            source: Source::Webhook,
        };
        let stream = Received::Push(push.clone()).stream();
        drivers
            .append(&stream, By::Server, |_: &[Written<Entry>]| Some(vec![Entry::Received(push.clone())]))
            .await
            .unwrap();
        drivers.ensure(&stream);
        server
    }
}

#[tokio::test]
async fn after_a_lost_journal_numbers_go_on_where_the_traces_end() {
    let traces = Traces::new().await;
    let (drivers, ..) = traces.push("new").await;
    assert_eq!(ended(&drivers, "d1").await, ["user/petclinic/petclinic-was/58"], "after the trailer's 57");
    drivers.stop().await;
}

#[tokio::test]
async fn after_a_restore_numbers_go_on_where_the_traces_end() {
    let traces = Traces::new().await;
    let text = traces.world.git.git(REPOSITORY, &["show", "main:.bespin/was.yaml"]);
    let cases = [("backup", true, "main", 58), ("own", false, "main", 51), ("of-another", false, "next", 58)];
    for (name, backup, branch, expected) in cases {
        let journal = journal::open(&traces.world.directory.path().join(name)).unwrap();
        let run = crate::index::tests::opened("petclinic-was", 50, None);
        let pipeline = pipeline::parse("was.yaml", &text).unwrap();
        let event = decide::run::Event { reference: format!("refs/heads/{branch}"), ..run.event.clone() };
        let run = Opened { pipeline, pipeline_file: ".bespin/was.yaml".into(), event, ..run };
        let opened = encode(&[RunEntry::Opened { run: Arc::new(run) }], &By::Server, 5).unwrap();
        let newest = journal.append("run/user/petclinic/petclinic-was/50", 0, opened).await.unwrap();
        drop(journal);
        let (drivers, ..) = traces.push_after(name, if backup { newest } else { 0 }).await;
        assert_eq!(ended(&drivers, "d1").await, [format!("user/petclinic/petclinic-was/{expected}")], "{name}");
        drivers.stop().await;
    }
}

#[tokio::test]
async fn a_registry_that_is_down_is_no_reason_to_count_from_one() {
    let traces = Traces::new().await;
    traces.stop.cancel();
    // The port is closed once the registry has let go of it.
    while tokio::net::TcpStream::connect(traces.address).await.is_ok() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let (drivers, ..) = traces.push("new").await;
    let mut changed = drivers.board().changed();
    let said = async {
        loop {
            let said = drivers.board().status("delivery/default/d1").map(|said| said.status.message);
            match said.filter(|text| text.contains("trying again")) {
                Some(text) => return text,
                None => changed.changed().await.unwrap(),
            }
        }
    };
    let said = tokio::time::timeout(Duration::from_secs(60), said).await.expect("it says why it waits");
    assert!(said.contains("looking for earlier runs' tags of registry.example/petclinic-was"), "{said}");
    assert!(drivers.journal().streams("run/").await.unwrap().is_empty(), "no number, no run");
    drivers.stop().await;
}
