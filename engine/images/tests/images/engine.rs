//! A real Docker Engine: builds, what a crash leaves behind, and containers as steps.

use crate::assembled::contents;
use crate::world::{HOST, Log, Made, Program, Served, Shop, key, real};
use bollard::Docker;
use bollard::query_parameters::{CreateImageOptionsBuilder, ListImagesOptions, TagImageOptionsBuilder};
use decide::image::Network;
use decide::retry::Retry;
use futures::TryStreamExt;
use images::containers::{Access, Bound, Bounds, Containers, Ended, Floor, Mounted, Spec, Stop, User};
use images::{Choice, Engine, Error, Images, Job};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

/// An engine of the test's own, and a static program to put into images.
struct Yard {
    engine: Engine,
    docker: Docker,
    tool: Vec<u8>,
    _dockerd: Program,
    _dir: tempfile::TempDir,
}

impl Yard {
    async fn open() -> Option<Yard> {
        let dockerd = Command::new(real("dockerd", None)?);
        Yard::of(dockerd, &["--bridge=none"]).await
    }

    /// An engine that has a bridge of its own, in a network of its own.
    async fn with_bridge() -> Option<Yard> {
        let (dockerd, unshare) = (real("dockerd", None)?, real("unshare", None)?);
        let mut command = Command::new(unshare);
        command.arg("--net").arg(dockerd);
        Yard::of(command, &[]).await
    }

    async fn of(mut command: Command, more: &[&str]) -> Option<Yard> {
        let rustc = real("rustc", None)?;
        let _set_before = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let dir = tempfile::tempdir().unwrap();
        let tool = tool(&rustc, dir.path());
        let socket = dir.path().join("docker.sock");
        let address = format!("unix://{}", socket.display());
        command.arg("--host").arg(&address).arg("--pidfile").arg(dir.path().join("docker.pid"));
        command.arg("--data-root").arg(dir.path().join("data")).arg("--exec-root").arg(dir.path().join("exec"));
        command.args(["--iptables=false", "--ip-masq=false", "--ip-forward=false"]).args(more);
        let mut program = Program::start(&mut command, &dir.path().join("dockerd.log"));
        program.ready(async || Engine::connect_to(&address).await.is_ok()).await;
        let engine = Engine::connect_to(&address).await.unwrap();
        let docker = Docker::connect_with_host(&address).unwrap().negotiate_version().await.unwrap();
        Some(Yard { engine, docker, tool, _dockerd: program, _dir: dir })
    }

    fn shop(&self) -> Shop {
        let Shop { images, dir } = Shop::new(Choice::Docker);
        Shop { images: images.with_engine(self.engine.clone()), dir }
    }

    /// The builder of a server that has just started.
    fn again(&self, shop: &Shop) -> Images {
        Images::open(&shop.dir.path().join("layout"), Choice::Docker).unwrap().with_engine(self.engine.clone())
    }

    /// The names of the images that the engine has.
    async fn names(&self) -> Vec<String> {
        let images = self.docker.list_images(None::<ListImagesOptions>).await.unwrap();
        images.into_iter().flat_map(|image| image.repo_tags).filter(|name| name != "<none>:<none>").collect()
    }

    async fn tag(&self, image: &str, name: &str) {
        let (repository, tag) = name.split_once(':').unwrap();
        let options = TagImageOptionsBuilder::default().repo(repository).tag(tag).build();
        self.docker.tag_image(image, Some(options)).await.unwrap();
    }

    /// Puts an image of the tool into the engine by an import, described by these instructions.
    async fn import(&self, name: &str, described: &[&str]) {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o755);
        header.set_size(self.tool.len() as u64);
        tar.append_data(&mut header, "tool", self.tool.as_slice()).unwrap();
        let described = ["ENTRYPOINT [\"/tool\"]"].iter().chain(described).copied().map(str::to_owned).collect();
        let options = CreateImageOptionsBuilder::default().from_src("-").repo(name).tag("1").changes(described).build();
        let body = bollard::body_full(tar.into_inner().unwrap().into());
        let imported: Vec<_> = self.docker.create_image(Some(options), Some(body), None).try_collect().await.unwrap();
        assert!(!imported.is_empty());
    }

    fn files<'a>(&'a self, dockerfile: &'a str) -> Vec<Made<'a>> {
        vec![Made::File("Dockerfile", dockerfile.as_bytes(), 0o644), Made::File("tool", &self.tool, 0o755)]
    }
}

fn tool(rustc: &Path, dir: &Path) -> Vec<u8> {
    let (source, program) = (dir.join("tool.rs"), dir.join("tool"));
    std::fs::write(&source, include_str!("tool.rs.txt")).unwrap();
    let mut command = Command::new(rustc);
    command.args(["--edition=2024", "-Ctarget-feature=+crt-static", "-Cstrip=symbols", "-o"]);
    let made = command.arg(&program).arg(&source).output().unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    std::fs::read(program).unwrap()
}

const DOCKERFILE: &str = "FROM scratch AS builder\n\
    ARG word=none\n\
    COPY tool /tool\n\
    RUN [\"/tool\", \"write\", \"/made\", \"out\", \"made it\"]\n\
    FROM scratch\n\
    COPY --from=builder /tool /made /\n\
    ENTRYPOINT [\"/tool\"]\n";

#[tokio::test]
async fn an_engine_builds_what_a_process_cannot() {
    let Some(yard) = Yard::open().await else { return };
    builds_and_pushes(&yard).await;
    a_crash_after_the_build_loses_nothing(&yard).await;
    a_failing_run_is_the_authors(&yard).await;
    a_base_image_out_of_reach_may_come_back(&yard).await;
    a_dropped_build_is_no_build(&yard).await;
    a_strangers_cache_mounts_are_its_own(&yard).await;
}

async fn builds_and_pushes(yard: &Yard) {
    let (shop, served, log) = (yard.shop(), Served::start().await, Log::default());
    let mut job = shop.job("image", 0, &yard.files(DOCKERFILE));
    job.build_args.insert("word".into(), "given".into());
    let digest = shop.images.build(&job, &log).await.unwrap_or_else(|error| panic!("{error}\n{}", log.text()));
    assert!(log.text().contains("made it"), "the build's log is streamed: {}", log.text());
    let found = contents(shop.images.layout(), &digest);
    assert_eq!(found["made"].3, "written");

    let registries = served.known("secret");
    let to = format!("{HOST}/petclinic-was:v1").parse().unwrap();
    let registry = registries.of(HOST).unwrap();
    let pushed = registry.push(shop.images.layout(), &digest, &to, &log).await.unwrap();
    assert!(pushed.uploaded > 0);
    assert_eq!(registry.digest(&to).await.unwrap(), Some(digest));
}

/// What is copied is gone from the engine. What a crash left there is found by its name and label, and copied then;
/// nobody else's image is taken for it.
async fn a_crash_after_the_build_loses_nothing(yard: &Yard) {
    let (shop, log) = (yard.shop(), Log::default());
    shop.images.build(&shop.job("crash", 0, &yard.files(DOCKERFILE)), &log).await.unwrap();
    assert_eq!(yard.names().await, Vec::<String>::new(), "what was copied is nobody else's to read");
    assert!(!log.text().contains("bespin-building"), "{}", log.text());

    let (lost, label) = (key("lost"), "user/petclinic/was/56#lost");
    for name in ["planted", "bespin-building"] {
        yard.import(name, &[&format!("LABEL dev.bespin.build={label}")]).await;
    }
    assert_eq!(yard.again(&shop).find(&lost, &log).await.unwrap(), None, "a label is anybody's, and so are names");

    let name = shop.name(label);
    yard.tag("planted:1", &name).await;
    let again = yard.again(&shop);
    let found = again.find(&lost, &log).await.unwrap().expect("it is there by its name");
    assert!(again.layout().holds(&found));
    assert!(!yard.names().await.contains(&name), "it is copied, and its name is gone");
    assert_eq!(again.find(&key("never"), &log).await.unwrap(), None);

    yard.tag("planted:1", &name).await;
    assert_eq!(yard.again(&shop).find(&key("never"), &log).await.unwrap(), None);
    assert!(!yard.names().await.contains(&name), "the layout has it: the next start takes the name away");
    let mut left = yard.names().await;
    left.sort();
    assert_eq!(left, ["bespin-building:1", "planted:1"], "what is somebody else's stays");
}

async fn a_failing_run_is_the_authors(yard: &Yard) {
    let shop = yard.shop();
    let rows = [
        ("FROM scratch\nCOPY tool /tool\nRUN [\"/tool\", \"err\", \"it broke\", \"exit\", \"3\"]\n", "exit code: 3"),
        ("FROM scratch\nCOPPY tool /tool\n", "COPPY"),
        ("FROM scratch\nCOPY missing /missing\n", "missing"),
    ];
    for (dockerfile, wanted) in rows {
        let log = Log::default();
        let error = shop.images.build(&shop.job("fails", 0, &yard.files(dockerfile)), &log).await.unwrap_err();
        assert_eq!(error.retry(), Retry::Permanent, "{error:?}\n{}", log.text());
        assert!(error.to_string().contains(wanted), "{error:?}\n{}", log.text());
        assert_eq!(shop.images.find(&key("fails"), &log).await.unwrap(), None);
    }
}

/// The engine has no network of its own here, so that nothing answers for the base image.
async fn a_base_image_out_of_reach_may_come_back(yard: &Yard) {
    let (shop, log) = (yard.shop(), Log::default());
    let files = yard.files("FROM 127.0.0.1:9/base:1\nCOPY tool /tool\n");
    let error = shop.images.build(&shop.job("based", 0, &files), &log).await.unwrap_err();
    assert_eq!(error.retry(), Retry::PASSING, "{error:?}\n{}", log.text());
}

/// What a fork's build leaves in a cache mount is found by its own builds alone, whatever name it gives the mount.
async fn a_strangers_cache_mounts_are_its_own(yard: &Yard) {
    let shop = yard.shop();
    let build = async |step: &str, word: &str, path: &str, caches: Option<&str>| {
        let log = Log::default();
        let run = format!("RUN --mount=type=cache,id=/shared,target=/cache [\"/tool\", \"{word}\", \"{path}\"]");
        let dockerfile = format!("FROM scratch\nCOPY tool /tool\n{run}\n");
        let mut job = shop.job(step, 0, &yard.files(&dockerfile));
        job.build_args.extend(caches.map(|name| ("BUILDKIT_CACHE_MOUNT_NS".to_owned(), name.to_owned())));
        shop.images.build(&job, &log).await.unwrap_or_else(|error| panic!("{error}\n{}", log.text()));
        log.text()
    };
    let stranger = Some("user/petclinic refs/pull/7/head");
    build("left-by-stranger", "write", "/cache/left", stranger).await;
    build("left-by-deployment", "write", "/cache/own", None).await;
    for (step, path, caches, expected) in [
        ("deployment-1", "/cache/left", None, "/cache/left is absent"),
        ("deployment-2", "/cache/own", None, "/cache/own is there"),
        ("stranger-1", "/cache/left", stranger, "/cache/left is there"),
        ("stranger-2", "/cache/../cache/own", stranger, "/cache/../cache/own is absent"),
    ] {
        let told = build(step, "find", path, caches).await;
        assert!(told.contains(expected), "{step}: {told}");
    }
}

/// Nor does the engine go on with it.
async fn a_dropped_build_is_no_build(yard: &Yard) {
    const MARK: &str = "the-build-that-is-dropped";
    let (shop, log) = (yard.shop(), Log::default());
    let text = format!("FROM scratch\nCOPY tool /tool\nRUN [\"/tool\", \"out\", \"asleep\", \"sleep\", \"{MARK}\"]\n");
    let job = shop.job("dropped", 0, &yard.files(&text));
    let asleep = async {
        while !log.text().contains("asleep\n") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        built = shop.images.build(&job, &log) => panic!("it never ends by itself: {built:?}"),
        () = asleep => assert!(is_running(MARK), "a process of the engine's is one of this machine's"),
    }
    let end = Instant::now() + Duration::from_secs(60);
    while is_running(MARK) {
        assert!(Instant::now() < end, "the engine goes on with a build that nobody waits for");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(shop.images.find(&key("dropped"), &log).await.unwrap(), None);
}

/// Whether a process of this machine has such an argument.
fn is_running(mark: &str) -> bool {
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    let mut commands = processes.filter_map(|process| std::fs::read(process.path().join("cmdline")).ok());
    // An argument of its own: whoever started the tests may have written the word as well.
    commands.any(|command| command.split(|byte| *byte == 0).any(|argument| argument == mark.as_bytes()))
}

#[tokio::test]
async fn a_strangers_build_has_no_network_and_any_other_keeps_the_engines() {
    let Some(yard) = Yard::with_bridge().await else { return };
    let shop = yard.shop();
    let build = async |step: &str, flag: &str, network| {
        let log = Log::default();
        let run = format!("RUN {flag} [\"/tool\", \"out\", \"{step}\", \"interfaces\", \"routes\"]");
        let dockerfile = format!("FROM scratch\nCOPY tool /tool\n{run}\n");
        let job = Job { network, ..shop.job(step, 0, &yard.files(&dockerfile)) };
        let built = shop.images.build(&job, &log).await;
        (built, log.text())
    };
    for (step, network, expected) in [
        ("stranger", Network::None, ["interfaces: lo\n", "routes: 0\n"]),
        ("ours", Network::Builder, ["eth0", "routes: "]),
    ] {
        let (built, log) = build(step, "", network).await;
        assert!(built.is_ok() && expected.iter().all(|text| log.contains(text)), "{step}: {built:?}\n{log}");
        assert_eq!(log.contains("routes: 0\n"), network == Network::None, "{log}");
    }
    let (built, log) = build("stranger-on-the-host", "--network=host", Network::None).await;
    assert!(built.is_err() && !log.contains("interfaces: "), "{built:?}\n{log}");
}

#[tokio::test]
async fn a_container_is_caged_and_gone_afterwards() {
    let Some(yard) = Yard::open().await else { return };
    let image = "step:1".to_owned();
    yard.import("step", &["VOLUME /volume", "WORKDIR /app"]).await;
    let ours = Containers::open(yard.engine.clone(), "ours".into(), 2).await.unwrap();
    let workspace = workspace();
    let mounted = |access| vec![Mounted { source: workspace.path().into(), target: "/workspace".into(), access }];

    let words = "out hello err oops env NAME env HOME write /workspace/made status CapBnd status NoNewPrivs \
                 status Seccomp: status Uid refused /x interfaces write /volume/made mounted /volume exit 7";
    let log = Log::default();
    let ended = ours.run(&Spec { mounts: mounted(Access::Write), ..spec(&image, 1, words) }, &log).await;
    let text = log.text();
    assert_eq!(ended, Ok(Ended::Exited(7)), "{text}");
    let uid = format!("Uid:\t{0}\t{0}\t{0}\t{0}", USER.uid);
    let caged = ["CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2", uid.as_str(), "interfaces: lo", "/tmp"];
    assert!(text.contains("tmpfs") && text.contains("size=1048576k"), "the image's volume is bounded: {text}");
    for line in ["hello", "oops", "value"].into_iter().chain(caged) {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
    assert_eq!(std::fs::read_to_string(workspace.path().join("made")).unwrap(), "written");

    let read_only = Spec { mounts: mounted(Access::Read), ..spec(&image, 2, "refused /workspace/x exit 0") };
    assert_eq!(ours.run(&read_only, &log).await, Ok(Ended::Exited(0)), "{}", log.text());
    assert_eq!(ours.attempts().await.unwrap(), Vec::<String>::new());

    let absent = ours.run(&spec("nowhere/nothing:1", 3, "exit 0"), &log).await.unwrap_err();
    assert_eq!(absent.retry(), Retry::NeedsPerson, "{absent:?}");
    yard.import("astray", &["WORKDIR /./proc/self/fd/7"]).await;
    let astray = ours.run(&spec("astray:1", 3, "exit 0"), &log).await;
    assert!(matches!(&astray, Err(Error::Input(because)) if because.contains("workdir")), "{astray:?}");
    assert_eq!(
        ours.run(&spec(&image, 3, "started-in /app exit 0"), &log).await,
        Ok(Ended::Exited(0)),
        "{}",
        log.text()
    );
    what_is_refused_before_it_starts(&ours, &image).await;
    a_bound_is_said_by_its_name(&ours, &image, workspace.path()).await;
    one_that_is_to_stop_is_told_so_and_killed_later(&ours, &image).await;
    left_alive_by_a_crash(&yard, &ours, &image).await;
}

/// A folder that the user of the containers may write to.
fn workspace() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    folder
}

async fn what_is_refused_before_it_starts(ours: &Containers, image: &str) {
    let root = Spec { user: User { uid: 0, gid: 1 }, ..spec(image, 3, "exit 0") };
    let starts = |directory: &str| Spec { workdir: Some(directory.into()), ..spec(image, 3, "exit 0") };
    let astray = ["/proc/self/fd/7", "//proc/self/fd/7", "/./proc/self/fd/7", "../..", "a/../.."].map(starts);
    for spec in [root].into_iter().chain(astray) {
        let refused = ours.run(&spec, &Log::default()).await;
        assert!(matches!(refused, Err(Error::Input(_))), "{refused:?}");
    }
}

async fn a_bound_is_said_by_its_name(ours: &Containers, image: &str, workspace: &Path) {
    let bounds = Bounds { memory_bytes: 64 << 20, processes: 32, log_bytes: 1 << 20, ..Bounds::default() };
    let floor = |least_bytes| vec![Floor { place: workspace.into(), least_bytes }];
    let rows = [
        (Spec { bounds, ..spec(image, 1, "memory") }, Bound::Memory),
        (Spec { bounds, ..spec(image, 1, "threads") }, Bound::Processes),
        (Spec { bounds, ..spec(image, 1, "flood") }, Bound::Log),
        (Spec { floors: floor(u64::MAX), ..spec(image, 1, "sleep") }, Bound::Disk),
        (Spec { floors: floor(u64::MAX), ..spec(image, 1, "exit 1") }, Bound::Disk),
    ];
    for (spec, bound) in rows {
        let ended = ours.run(&spec, &Log::default()).await;
        assert!(matches!(&ended, Ok(Ended::Exceeded(found, _)) if *found == bound), "{:?}: {ended:?}", spec.args);
    }
    let enough = Spec { floors: floor(1), ..spec(image, 1, "exit 1") };
    assert_eq!(ours.run(&enough, &Log::default()).await, Ok(Ended::Exited(1)));
}

async fn one_that_is_to_stop_is_told_so_and_killed_later(ours: &Containers, image: &str) {
    let rows = [
        ("until-told out tidied exit 3", Duration::from_secs(60), 3, "waiting\ntidied\n"),
        // The first process of a container has no signal that it did not ask for.
        ("out waiting sleep", Duration::from_secs(1), 137, "waiting\n"),
    ];
    for (words, grace, code, printed) in rows {
        let log = Log::default();
        let asked = async {
            while !log.text().contains("waiting") {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let place = ours.place(|_| panic!("nobody else has a place")).await;
        let ended = ours.run_in(place, &spec(image, 1, words), &log, Stop { asked, grace }).await;
        assert_eq!((ended, log.text().as_str()), (Ok(Ended::Exited(code)), printed), "{words}");
        assert_eq!(ours.attempts().await.unwrap(), Vec::<String>::new());
    }
}

/// The server died while attempt 4 ran; attempt 5 begins when that one is gone, and so does the server.
async fn left_alive_by_a_crash(yard: &Yard, ours: &Containers, image: &str) {
    left_alive(ours, &spec(image, 4, "out asleep sleep")).await;
    assert_eq!(ours.run(&spec(image, 5, "exit 0"), &Log::default()).await, Ok(Ended::Exited(0)));
    assert_eq!(ours.attempts().await.unwrap(), Vec::<String>::new());

    left_alive(ours, &spec(image, 6, "out asleep sleep")).await;
    let theirs = Containers::open(yard.engine.clone(), "theirs".into(), 1).await.unwrap();
    assert_eq!(theirs.attempts().await.unwrap(), Vec::<String>::new());
    assert_eq!(theirs.run(&spec(image, 6, "exit 0"), &Log::default()).await, Ok(Ended::Exited(0)));
    assert_eq!(ours.attempts().await.unwrap(), ["user/petclinic/was/56#step#6"], "another server leaves it alone");
    let again = Containers::open(yard.engine.clone(), "ours".into(), 1).await.unwrap();
    assert_eq!(again.attempts().await.unwrap(), Vec::<String>::new());
}

async fn left_alive(ours: &Containers, spec: &Spec) {
    let log = Log::default();
    let asleep = async {
        while !log.text().contains("asleep") {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        ended = ours.run(spec, &log) => panic!("it never ends by itself: {ended:?}"),
        () = asleep => {}
    }
    assert_eq!(ours.attempts().await.unwrap(), [spec.attempt.as_str()]);
}

/// Whom the containers run as.
const USER: User = User { uid: 65_532, gid: 65_532 };

fn spec(image: &str, attempt: u32, words: &str) -> Spec {
    Spec {
        attempt: format!("user/petclinic/was/56#step#{attempt}"),
        image: image.into(),
        entrypoint: None,
        args: Some(words.split_whitespace().map(str::to_owned).collect()),
        env: vec!["NAME=value".into()],
        workdir: None,
        user: USER,
        mounts: Vec::new(),
        floors: Vec::new(),
        bounds: Bounds::default(),
    }
}

#[tokio::test]
async fn without_an_engine_the_help_is_said() {
    let error = Engine::connect_to("unix:///nowhere/docker.sock").await.err().unwrap();
    assert_eq!(error.retry(), Retry::PASSING, "{error}");
    assert!(error.to_string().contains("DOCKER_HOST"), "{error}");
    let dir = tempfile::tempdir().unwrap();
    let _opens_without_one = Images::open(dir.path(), Choice::Docker).unwrap();
}
