//! The stage against a real layout and the playground's registry, killed at every point.

use super::*;
use crate::drive::Drivers;
use api::board::Board;
use decide::by::By;
use decide::image::{Build, Intent, Network, Push};
use decide::next::Wake;
use decide::request::Response;
use decide::stream::Stream;
use images::{Auth, Choice, RegistrySettings, Silent};
use playground::faults::Faults;
use playground::registry::Registry;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio_util::sync::{CancellationToken, DropGuard};

const HOST: &str = "123456789012.dkr.ecr.ap-northeast-2.amazonaws.com";

/// One small context, and how often it was asked for.
#[derive(Default)]
struct Contexts(AtomicUsize);

#[async_trait]
impl Source for Contexts {
    async fn context(&self, _repository: &str, _commit: &str, _directory: &str) -> Result<NamedTempFile, Trouble> {
        self.0.fetch_add(1, Ordering::SeqCst);
        let file = NamedTempFile::new().unwrap();
        let mut tar = tar::Builder::new(file.reopen().unwrap());
        for (path, text) in [("Dockerfile", "FROM scratch\nCOPY was /was\n"), ("was", "program")] {
            let mut header = tar::Header::new_gnu();
            header.set_mode(0o755);
            header.set_size(text.len() as u64);
            tar.append_data(&mut header, path, text.as_bytes()).unwrap();
        }
        tar.finish().unwrap();
        Ok(file)
    }
}

struct Nowhere;

impl Sinks for Nowhere {
    fn of(&self, _key: &Key) -> Box<dyn LogSink> {
        Box::new(Silent)
    }
}

/// What outlives the server: its directory, the registry, and the repositories.
struct World {
    directory: tempfile::TempDir,
    registry: Registry,
    address: SocketAddr,
    contexts: Arc<Contexts>,
    _stop: DropGuard,
}

impl World {
    async fn new() -> World {
        let _set_before = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let directory = tempfile::tempdir().unwrap();
        let registry = Registry::open(directory.path().join("registry"), None, None, Faults::default()).unwrap();
        let (listener, address) = playground::serve::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await.unwrap();
        let stop = CancellationToken::new();
        tokio::spawn(playground::serve::run(listener, registry.clone(), stop.clone()));
        World { directory, registry, address, contexts: Arc::default(), _stop: stop.drop_guard() }
    }

    /// A server that has just started.
    fn server(&self) -> Arc<ImageStage> {
        let images = Images::open(&self.directory.path().join("images"), Choice::Context).unwrap();
        let endpoint = Some(format!("http://{}", self.address));
        let settings = RegistrySettings { host: HOST.into(), endpoint, auth: Auth::None };
        let registries = Registries::new(vec![settings]).unwrap();
        ImageStage::new(Arc::new(images), Arc::new(registries), self.contexts.clone(), Arc::new(Nowhere))
    }
}

fn key(step: &str) -> Key {
    Key { run: "user/petclinic/was/56".into(), step: step.into() }
}

fn build() -> Entry {
    let build = Build {
        repository: "user/petclinic".into(),
        commit: "f31bdcc0a1b2c3d4e5f60718293a4b5c6d7e8f90".into(),
        context: String::new(),
        dockerfile: "Dockerfile".into(),
        build_args: std::collections::BTreeMap::new(),
        network: image::Network::Builder,
        timeout_ms: None,
    };
    Entry::Wanted { key: key("image"), intent: Intent::Build(build) }
}

fn push(build: &serde_json::Value) -> Entry {
    let build = build["build"].as_str().expect("a build is met with its id").to_owned();
    let push = Push { build, to: format!("{HOST}/petclinic-was"), tag: "v56-f31bdcc".into(), timeout_ms: None };
    Entry::Wanted { key: key("push"), intent: Intent::Push(push) }
}

fn written(journal: &[Entry]) -> Vec<Written<Entry>> {
    journal.iter().map(|entry| Written { at_ms: 0, by: By::Server, entry: entry.clone() }).collect()
}

fn outputs(state: &State, step: &str) -> serde_json::Value {
    match state.answer(&key(step)) {
        Some(Response::Met { outputs }) => outputs.clone(),
        other => panic!("{step}: {other:?}"),
    }
}

/// Drivers that drive nothing here: the stage reaches none of them.
fn drivers() -> (tempfile::TempDir, Arc<Drivers>) {
    let directory = tempfile::tempdir().unwrap();
    let journal = journal::open(directory.path()).unwrap();
    (directory, Drivers::new(journal, Arc::new(Board::default())))
}

/// Drives as the server does, until both requests are answered or `left` points of death have passed.
async fn drive(stage: &ImageStage, journal: &mut Vec<Entry>, mut left: usize) {
    let mut survives = || {
        let survives = left > 0;
        left = left.saturating_sub(1);
        survives
    };
    let (_directory, drivers) = drivers();
    let stream = Stream::image("user/petclinic/was/56", "image");
    let (turn, mut outcomes) = (Turn::new(&drivers, &stream), Outcomes::default());
    for _ in 0..20 {
        let state = stage.replay(&written(journal));
        outcomes.retain(|act| stage.is_current(&state, act));
        let observed = stage.observe(&turn, &state, &outcomes).await.unwrap();
        let next = stage.decide(&state, &observed, 0);
        journal.extend(next.record);
        if !survives() {
            return;
        }
        for act in next.acts {
            let reply = stage.act(&turn, &state, &act).await.unwrap();
            outcomes.keep(act, Ok(reply), 0);
        }
        if !survives() {
            return;
        }
        if next.wake == Wake::Never {
            match state.intent(&key("push")) {
                None => journal.push(push(&outputs(&state, "image"))),
                Some(_) => return,
            }
        }
    }
    panic!("the stream never ends: {journal:?}");
}

#[tokio::test]
async fn killed_anywhere_there_is_one_image_under_one_tag() {
    let mut endings = Vec::new();
    for point in 0..16 {
        let world = World::new().await;
        let mut journal = vec![build()];
        drive(&world.server(), &mut journal, point).await;
        drive(&world.server(), &mut journal, usize::MAX).await;
        let state = world.server().replay(&written(&journal));
        endings.push((outputs(&state, "image"), outputs(&state, "push")));
        assert_eq!(world.contexts.0.load(Ordering::SeqCst), 1, "built once, killed at point {point}");
        let counters = world.registry.counters();
        let pushed = (counters.blobs.load(Ordering::SeqCst), counters.manifests.load(Ordering::SeqCst));
        assert_eq!(pushed, (2, 1), "pushed once, killed at point {point}");
        assert_eq!(world.registry.tags("petclinic-was").await, ["v56-f31bdcc"]);
    }
    assert!(endings.iter().all(|ending| *ending == endings[0]), "{endings:#?}");
}

#[tokio::test]
async fn a_failed_build_is_an_answer_and_built_again_by_the_next_attempt_of_the_step() {
    let world = World::new().await;
    let stage = world.server();
    let Entry::Wanted { key, intent: Intent::Build(build) } = build() else { unreachable!("it is a build") };
    let intent = Intent::Build(Build { dockerfile: "Dockerfile.missing".into(), ..build });
    let journal = [Entry::Wanted { key: key.clone(), intent }];
    let state = stage.replay(&written(&journal));
    let (_directory, drivers) = drivers();
    let stream = Stream::image("x", "image");
    let (turn, mut outcomes) = (Turn::new(&drivers, &stream), Outcomes::default());
    let observed = stage.observe(&turn, &state, &outcomes).await.unwrap();
    for act in stage.decide(&state, &observed, 0).acts {
        let reply = stage.act(&turn, &state, &act).await.unwrap();
        outcomes.keep(act, Ok(reply), 0);
    }
    let observed = stage.observe(&turn, &state, &outcomes).await.unwrap();
    let next = stage.decide(&state, &observed, 0);
    let [Entry::Answered { answer: Response::Failed { because, .. }, .. }] = &next.record[..] else {
        panic!("{next:?}")
    };
    assert!(because.contains("Dockerfile.missing"), "{because}");
    assert_eq!(world.contexts.0.load(Ordering::SeqCst), 1);
    let again = [journal[0].clone(), next.record[0].clone(), journal[0].clone()];
    let answered = stage.replay(&written(&again[..2]));
    outcomes.retain(|act| stage.is_current(&answered, act));
    let state = stage.replay(&written(&again));
    let observed = stage.observe(&turn, &state, &outcomes).await.unwrap();
    assert_eq!(stage.decide(&state, &observed, 0).acts.len(), 1, "it is built again");
}

/// A source that hands nothing out until it may, and says how many ask.
struct Slow {
    asking: tokio::sync::watch::Sender<usize>,
    may: Semaphore,
}

#[async_trait]
impl Source for Slow {
    async fn context(&self, _repository: &str, _commit: &str, _directory: &str) -> Result<NamedTempFile, Trouble> {
        self.asking.send_modify(|asking| *asking += 1);
        let _leave = self.may.acquire().await.unwrap();
        self.asking.send_modify(|asking| *asking -= 1);
        Err(Trouble::permanent("there is nothing here"))
    }
}

fn slow(world: &World) -> (Arc<Slow>, Arc<ImageStage>) {
    let slow = Arc::new(Slow { asking: tokio::sync::watch::channel(0).0, may: Semaphore::new(0) });
    let images = Images::open(&world.directory.path().join("images"), Choice::Context).unwrap();
    let registries = Registries::new(Vec::new()).unwrap();
    (slow.clone(), ImageStage::new(Arc::new(images), Arc::new(registries), slow, Arc::new(Nowhere)))
}

fn intent(network: Network) -> Build {
    let Entry::Wanted { intent: Intent::Build(build), .. } = build() else { unreachable!("it is a build") };
    Build { network, ..build }
}

#[tokio::test]
async fn no_more_are_built_at_a_time_than_there_are_places_and_strangers_leave_one() {
    let world = World::new().await;
    let (slow, stage) = slow(&world);
    let mut asking = slow.asking.subscribe();
    let build = |step: String, network| {
        let stage = stage.clone();
        tokio::spawn(async move { stage.build(&key(&step), &intent(network), LONGEST).await })
    };
    let mut builds: Vec<_> = (0..3).map(|number| build(format!("stranger-{number}"), Network::None)).collect();
    asking.wait_for(|asking| *asking == 1).await.unwrap();
    builds.extend((0..3).map(|number| build(format!("ours-{number}"), Network::Builder)));
    asking.wait_for(|asking| *asking == 2).await.unwrap();
    // Whoever found a place is at the source, and the others have all been polled to where they wait.
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
    assert_eq!((stage.places.available_permits(), *asking.borrow()), (0, AT_ONCE));
    slow.may.add_permits(1);
    for build in builds {
        assert_eq!(build.await.unwrap(), Err(Trouble::permanent("there is nothing here")));
    }
    assert_eq!((stage.places.available_permits(), stage.strangers.available_permits()), (AT_ONCE, STRANGERS));
}

#[tokio::test]
async fn a_build_that_takes_too_long_is_refused_and_gives_its_place_back() {
    let world = World::new().await;
    let (_never, stage) = slow(&world);
    let stopped = stage.build(&key("image"), &intent(Network::Builder), Duration::ZERO).await;
    let Err(Trouble { message, retry: Retry::Permanent }) = stopped else { panic!("it never ends by itself") };
    assert!(message.contains("longer than 0 minutes and was stopped"), "{message}");
    assert_eq!(stage.places.available_permits(), AT_ONCE);
}
