//! A real Docker Engine: builds, what a crash leaves behind, and containers as steps.

use crate::assembled::contents;
use crate::world::{HOST, Log, Made, Program, Served, Shop, key, real};
use images::containers::{Access, Bound, Bounds, Containers, Ended, Floor, Mounted, Spec, User};
use images::{Choice, Engine, Error, Images};
use std::path::Path;
use std::process::Command;

/// An engine of the test's own, and a static program to put into images.
struct Yard {
    engine: Engine,
    tool: Vec<u8>,
    _dockerd: Program,
    _dir: tempfile::TempDir,
}

impl Yard {
    async fn open() -> Option<Yard> {
        let (dockerd, rustc) = (real("dockerd", None)?, real("rustc", None)?);
        let _set_before = rustls::crypto::aws_lc_rs::default_provider().install_default();
        let dir = tempfile::tempdir().unwrap();
        let tool = tool(&rustc, dir.path());
        let socket = dir.path().join("docker.sock");
        let address = format!("unix://{}", socket.display());
        let mut command = Command::new(dockerd);
        command.arg("--host").arg(&address).arg("--pidfile").arg(dir.path().join("docker.pid"));
        command.arg("--data-root").arg(dir.path().join("data")).arg("--exec-root").arg(dir.path().join("exec"));
        command.args(["--bridge=none", "--iptables=false", "--ip-masq=false", "--ip-forward=false"]);
        let mut program = Program::start(&mut command, &dir.path().join("dockerd.log"));
        program.ready(async || Engine::connect_to(&address).await.is_ok()).await;
        let engine = Engine::connect_to(&address).await.unwrap();
        Some(Yard { engine, tool, _dockerd: program, _dir: dir })
    }

    fn shop(&self) -> Shop {
        let Shop { images, dir } = Shop::new(Choice::Docker);
        Shop { images: images.with_engine(self.engine.clone()), dir }
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

/// The image is in the engine by its label; a layout that never heard of it takes it from there.
async fn a_crash_after_the_build_loses_nothing(yard: &Yard) {
    let (before, log) = (yard.shop(), Log::default());
    let digest = before.images.build(&before.job("crash", 0, &yard.files(DOCKERFILE)), &log).await.unwrap();
    let after = yard.shop();
    assert_eq!(after.images.find(&key("crash"), &log).await.unwrap(), Some(digest));
    assert_eq!(after.images.find(&key("never"), &log).await.unwrap(), None);
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
        assert!(matches!(&error, Error::Refused(because) if because.contains(wanted)), "{error:?}\n{}", log.text());
        assert_eq!(shop.images.find(&key("fails"), &log).await.unwrap(), None);
    }
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

async fn a_dropped_build_is_no_build(yard: &Yard) {
    let (shop, log) = (yard.shop(), Log::default());
    let text = "FROM scratch\nCOPY tool /tool\nRUN [\"/tool\", \"out\", \"asleep\", \"sleep\"]\n";
    let job = shop.job("dropped", 0, &yard.files(text));
    let asleep = async {
        while !log.text().contains("asleep\n") {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    tokio::select! {
        built = shop.images.build(&job, &log) => panic!("it never ends by itself: {built:?}"),
        () = asleep => {}
    }
    assert_eq!(shop.images.find(&key("dropped"), &log).await.unwrap(), None);
}

#[tokio::test]
async fn a_container_is_caged_and_gone_afterwards() {
    let Some(yard) = Yard::open().await else { return };
    let (shop, log) = (yard.shop(), Log::default());
    let digest = shop.images.build(&shop.job("step", 0, &yard.files(DOCKERFILE)), &log).await.unwrap();
    let image = format!("bespin-build:{}", &decide::image::Digest::of(b"user/petclinic/was/56#step").hex()[..32]);
    assert!(shop.images.layout().holds(&digest));
    let ours = Containers::open(yard.engine.clone(), "ours".into(), 2).await.unwrap();
    let workspace = workspace();
    let mounted = |access| vec![Mounted { source: workspace.path().into(), target: "/workspace".into(), access }];

    let words = "out hello err oops env NAME env HOME write /workspace/made status CapBnd status NoNewPrivs \
                 status Seccomp: status Uid refused /x interfaces exit 7";
    let log = Log::default();
    let ended = ours.run(&Spec { mounts: mounted(Access::Write), ..spec(&image, 1, words) }, &log).await;
    let text = log.text();
    assert_eq!(ended, Ok(Ended::Exited(7)), "{text}");
    let uid = format!("Uid:\t{0}\t{0}\t{0}\t{0}", USER.uid);
    let caged = ["CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2", uid.as_str(), "lo", "/tmp"];
    for line in ["hello", "oops", "value"].into_iter().chain(caged) {
        assert!(text.lines().any(|found| found == line), "{line}: {text}");
    }
    assert_eq!(std::fs::read_to_string(workspace.path().join("made")).unwrap(), "written");

    let read_only = Spec { mounts: mounted(Access::Read), ..spec(&image, 2, "refused /workspace/x exit 0") };
    assert_eq!(ours.run(&read_only, &log).await, Ok(Ended::Exited(0)), "{}", log.text());
    assert_eq!(ours.attempts().await.unwrap(), Vec::<String>::new());

    let absent = ours.run(&spec("nowhere/nothing:1", 3, "exit 0"), &log).await.unwrap_err();
    assert!(matches!(absent, Error::Refused(_)), "{absent:?}");
    what_is_refused_before_it_starts(&ours, &image).await;
    a_bound_is_said_by_its_name(&ours, &image, workspace.path()).await;
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
    for spec in [root, starts("/proc/self/fd/7"), starts("../.."), starts("a/../..")] {
        let refused = ours.run(&spec, &Log::default()).await;
        assert!(matches!(refused, Err(Error::Refused(_))), "{refused:?}");
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
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
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
async fn without_an_engine_the_mend_is_said() {
    let error = Engine::connect_to("unix:///nowhere/docker.sock").await.err().unwrap();
    assert!(matches!(&error, Error::Transient(because) if because.contains("DOCKER_HOST")), "{error}");
    let dir = tempfile::tempdir().unwrap();
    let _opens_without_one = Images::open(dir.path(), Choice::Docker).unwrap();
}
