//! Attacks from inside container steps, on a real Docker Engine: what each tries, what it meets, and how its step ends.
//!
//! `UPDATE=1` writes `plugins/hostile/CONTAINERS.md` anew; read the difference before it is committed.

use serde_json::Value;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{TcpListener, UdpSocket};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::net::{SocketAddr, UnixListener};
use std::path::{Path, PathBuf};
use std::process::Command;
use world::docker::Docker;
use world::estate::{Estate, Kind, PATIENCE};
use world::process::eventually;
use world::remotes::Change;
use world::{has, missing};

/// The image of all steps; an engine's own, for none can be pulled.
const IMAGE: &str = "caged:1";
/// Bounds that are soon reached.
const BOUNDS: &str = "\n[containers]\nmemory-mib = 128\nprocesses = 48\ndisk-mib = 64\nlog-mib = 2\nat-once = 4\n";
/// Permission to run that image, for two repositories.
const POLICY: &str = "\n[[policy]]\nrepository = \"user/*\"\ngrants = { containers = [\"caged:*\"] }\n";

/// The attacks, in the order of the table, and what it says of each.
const ATTACKS: [(&str, &str); 16] = [
    ("socket", "talk to Docker Engine or containerd"),
    ("devices", "reach a disk or the memory as a device"),
    ("mounts", "mount, or write to what is mounted"),
    ("namespaces", "be in a namespace of the host, or make one"),
    ("capabilities", "have a privilege, or gain one"),
    ("processes", "kill, trace or read a process of the host"),
    ("metadata", "ask the machine's metadata for credentials"),
    ("api-server", "ask the Kubernetes API"),
    ("loopback", "reach what listens on the host only"),
    ("workspaces", "read the workspace of another run"),
    ("cache", "read the cache of another repository"),
    ("fork-bomb", "use up the processes"),
    ("memory", "use up the memory"),
    ("disk", "use up the disk, by files without a name"),
    ("volume", "use up the disk by a volume of the image's own"),
    ("log", "use up the disk by printing"),
];

#[tokio::test(flavor = "multi_thread")]
async fn attack_by_attack() {
    if missing("Docker Engine", has("dockerd") && has("docker")) || missing("a C compiler", has("cc")) {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let is_root = std::fs::metadata(dir.path()).expect("it is there").uid() == 0;
    if missing("root, and mkfs.ext4 for disks of their own", is_root && has("mkfs.ext4")) {
        return;
    }
    let docker = Docker::start(dir.path()).await;
    let attacks = compile(dir.path());
    build(&docker, dir.path(), &attacks);
    let mut estate =
        Estate::configured(Kind::Embedded, "1s", |config| config.repository("user/other").with(POLICY).with(BOUNDS))
            .await;
    let _unmounted = Unmounted(estate.dir().to_owned());
    estate.restart(&[("DOCKER_HOST".to_owned(), docker.host.clone())]).await;

    let theirs = somebody_elses_cache(&estate).await;
    let targets = Targets::listen(&docker, &estate, theirs);
    targets.are_reached_without_a_cage(&attacks);

    let commit = push(&estate, "user/petclinic", &[(".bespin/caged.yaml", pipeline(&targets))]).await;
    assert_eq!(estate.ended(&commit.after).await["state"], "failed");
    let ended = outcomes(&estate, "run/user/petclinic/caged/1");
    for step in ["honest", "honest-after"] {
        assert_eq!(ended[step]["is"], "succeeded", "beside the attacks, {step} is served: {}", ended[step]);
    }
    assert!(lines(&estate, "honest").contains("cached before\tno"));
    targets.saw_nobody();
    nothing_is_left(&docker, &estate).await;
    let table = table(&estate, &ended);
    assert!(!table.contains("NOTHING"), "an attack met nothing:\n{table}");
    is_as_kept(&table);
}

fn compile(dir: &Path) -> PathBuf {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("stories/container_is_caged/attacks.c");
    let program = dir.join("attacks");
    let made = Command::new("cc").args(["-static", "-O1", "-o"]).arg(&program).arg(source).output().expect("cc runs");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    program
}

/// An image with the attacks, and with a copy of them that is set to root.
fn build(docker: &Docker, dir: &Path, attacks: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let context = dir.join("context");
    std::fs::create_dir(&context).expect("a folder");
    for (name, mode) in [("attacks", 0o755), ("set-to-root", 0o4755)] {
        std::fs::copy(attacks, context.join(name)).expect("a file can be copied");
        std::fs::set_permissions(context.join(name), PermissionsExt::from_mode(mode)).expect("a file has a mode");
    }
    // A builder's COPY takes back that a file is set to root; an import does not.
    let image = dir.join("image.tar");
    let mut tar = Command::new("tar");
    tar.args(["--owner=0", "--group=0", "-C"]).arg(&context).arg("-cf").arg(&image).args(["attacks", "set-to-root"]);
    assert!(tar.status().expect("tar runs").success());
    let mut command = Command::new("docker");
    command.args(["--host", &docker.host, "import", "--change", "ENTRYPOINT [\"/attacks\"]"]);
    // Docker would make a folder of its own disk there, for as long as the container is.
    command.args(["--change", "VOLUME /volume"]).arg(&image).arg(IMAGE);
    let built = command.output().expect("docker runs");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
}

/// A pipeline of the other repository leaves a secret in its cache: where that is on the host.
async fn somebody_elses_cache(estate: &Estate) -> PathBuf {
    estate.sample.repositories().create("user/other").await.expect("a repository can be made");
    let pipeline = "name: other\non: push\nsteps:\n".to_owned() + &step("honest", "[]", &honest("theirs"));
    let files = [(".bespin/other.yaml", pipeline), ("was/static/server", "pushed".to_owned())];
    let first = push(estate, "user/other", &files).await;
    assert_eq!(estate.ended(&first.after).await["state"], "succeeded", "{}", estate.bespin.last_words());
    let second = push(estate, "user/other", &[("was/static/server", "pushed again".to_owned())]).await;
    assert_eq!(estate.ended(&second.after).await["state"], "succeeded");
    let printed = log(estate, "user/other/other/2", "honest");
    assert!(printed.contains("cached before\tyes"), "its own cache is found again: {printed}");
    find(&estate.dir().join("data/caches"), "theirs").expect("the cache is on the disk")
}

async fn push(estate: &Estate, repository: &str, files: &[(&str, String)]) -> Change {
    let change = estate.remotes.commit(repository, files, "Run containers").await;
    estate.deliver(&change).await.expect("the webhook is accepted");
    change
}

fn step(id: &str, needs: &str, args: &[String]) -> String {
    let args = serde_json::to_string(args).expect("texts are JSON");
    format!(
        "  - id: {id}\n    uses: container\n    needs: {needs}\n    if: always()\n    timeout: 3m\n    \
         with: {{ image: \"{IMAGE}\", args: {args} }}\n    grants: {{ containers: [\"{IMAGE}\"] }}\n"
    )
}

/// The words of a step that does what steps are for, and keeps a file of this name in its cache.
fn honest(name: &str) -> Vec<String> {
    vec!["honest".to_owned(), format!("/cache/{name}")]
}

/// All attacks at once, between one honest step and another that needs what the first one made.
fn pipeline(targets: &Targets) -> String {
    let mut text = "name: caged\non: push\nsteps:\n".to_owned() + &step("honest", "[]", &honest("ours"));
    // A run's steps share its workspace, so that only the last of them may fill it.
    let (disk, others): (Vec<_>, Vec<_>) =
        ATTACKS.iter().map(|(attack, _)| *attack).partition(|attack| *attack == "disk");
    for attack in &others {
        text += &step(attack, "[honest]", &targets.arguments(attack));
    }
    for attack in disk {
        text += &step(attack, &format!("[{}]", others.join(", ")), &targets.arguments(attack));
    }
    text + &step("honest-after", "[disk]", &["honest-after".to_owned()])
}

/// What the attacks are after.
struct Targets {
    docker: String,
    api: String,
    namespaces: Vec<String>,
    loopback: TcpListener,
    machine: TcpListener,
    socket: UnixListener,
    name: String,
    data: PathBuf,
    workspace: PathBuf,
    cache: PathBuf,
    process: String,
}

impl Targets {
    fn listen(docker: &Docker, estate: &Estate, cache: PathBuf) -> Targets {
        // Nothing is sent: connecting only asks which address would be used.
        let own = UdpSocket::bind("0.0.0.0:0").and_then(|socket| {
            socket.connect("192.0.2.1:9")?;
            socket.local_addr()
        });
        let own = own.map_or("127.0.0.1".to_owned(), |own| own.ip().to_string());
        let name = format!("bespin-stories-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("a short name");
        let (data, workspace) = (estate.dir().join("data"), estate.dir().join("data/workspaces/user/other/other/9"));
        std::fs::create_dir_all(&workspace).expect("a folder can be made");
        let workspace = workspace.join("secret");
        std::fs::write(&workspace, "another run's").expect("a file can be written");
        let namespace = |kind: &str| std::fs::read_link(format!("/proc/self/ns/{kind}")).expect("a namespace");
        let namespaces =
            ["pid", "net", "ipc", "uts", "mnt", "cgroup"].map(|kind| namespace(kind).display().to_string());
        Targets {
            docker: docker.host.trim_start_matches("unix://").to_owned(),
            api: estate.kube.url.trim_start_matches("http://").to_owned(),
            namespaces: namespaces.to_vec(),
            loopback: TcpListener::bind("127.0.0.1:0").expect("loopback"),
            machine: TcpListener::bind((own.as_str(), 0)).expect("the machine's address"),
            socket: UnixListener::bind_addr(&address).expect("a name of our own"),
            name,
            data,
            workspace,
            cache,
            process: std::process::id().to_string(),
        }
    }

    fn arguments(&self, attack: &str) -> Vec<String> {
        let address = |listener: &TcpListener| listener.local_addr().expect("it is bound").to_string();
        let path = |path: &Path| path.display().to_string();
        let given = match attack {
            "socket" => vec![self.docker.clone()],
            "namespaces" => self.namespaces.clone(),
            "api-server" => vec![self.api.clone()],
            "loopback" => vec![address(&self.loopback), address(&self.machine), self.name.clone()],
            "workspaces" => vec![path(&self.data), path(&self.workspace)],
            "cache" => vec![path(&self.data), path(&self.cache)],
            "processes" => vec![self.process.clone()],
            _ => Vec::new(),
        };
        [vec![attack.to_owned()], given].concat()
    }

    /// The same program on the host finds what the steps must not: the attacks are real.
    fn are_reached_without_a_cage(&self, attacks: &Path) {
        for attack in ["socket", "namespaces", "api-server", "loopback", "workspaces", "cache"] {
            let output = Command::new(attacks).args(self.arguments(attack)).output().expect("the program runs");
            let printed = String::from_utf8_lossy(&output.stdout);
            assert!(output.status.success() && printed.contains("NOTHING"), "{attack} uncaged: {printed}");
        }
        self.loopback.accept().expect("it was reached");
        self.machine.accept().expect("it was reached");
        self.socket.accept().expect("it was reached");
    }

    fn saw_nobody(&self) {
        for listener in [&self.loopback, &self.machine] {
            listener.set_nonblocking(true).expect("a listener can be asked");
            assert_eq!(listener.accept().err().map(|error| error.kind()), Some(ErrorKind::WouldBlock));
        }
        self.socket.set_nonblocking(true).expect("a listener can be asked");
        assert_eq!(self.socket.accept().err().map(|error| error.kind()), Some(ErrorKind::WouldBlock));
    }
}

/// How each step of a run ended.
fn outcomes(estate: &Estate, stream: &str) -> BTreeMap<String, Value> {
    let entries = estate.bespin.journal(stream);
    let ended = entries.iter().filter(|entry| entry["kind"] == "ended").map(|entry| &entry["body"]);
    ended.map(|body| (body["step"].as_str().unwrap_or_default().to_owned(), body["outcome"].clone())).collect()
}

fn lines(estate: &Estate, step: &str) -> String {
    log(estate, "user/petclinic/caged/1", step)
}

/// What a step's container printed.
fn log(estate: &Estate, run: &str, step: &str) -> String {
    let file = estate.dir().join("data/logs").join(run).join(step).join("1.ndjson");
    let text = std::fs::read_to_string(file).expect("the step has a log");
    let texts =
        text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok()?["text"].as_str().map(str::to_owned));
    texts.filter(|line| line.contains('\t')).collect::<Vec<_>>().join("\n")
}

async fn nothing_is_left(docker: &Docker, estate: &Estate) {
    let listed = Command::new("docker").args(["--host", &docker.host, "ps", "--all", "--quiet"]).output();
    assert!(listed.expect("docker runs").stdout.is_empty(), "every container is gone");
    let listed = Command::new("docker").args(["--host", &docker.host, "volume", "ls", "--quiet"]).output();
    assert!(listed.expect("docker runs").stdout.is_empty(), "and every volume");
    // It goes in the turn after the run's end, and with it up to a gigabyte of files.
    let workspace = estate.dir().join("data/workspaces/user/petclinic/caged/1");
    eventually("the workspace is gone", PATIENCE, || async { (!workspace.exists()).then_some(()) }).await;
}

fn find(folder: &Path, name: &str) -> Option<PathBuf> {
    std::fs::read_dir(folder).ok()?.filter_map(Result::ok).find_map(|entry| match entry.file_name() == name {
        true => Some(entry.path()),
        false => find(&entry.path(), name),
    })
}

fn table(estate: &Estate, ended: &BTreeMap<String, Value>) -> String {
    let mut text =
        "# Attacks from inside a container step\n\nWritten by the story `container_is_caged`, which fails when \
        this page is stale. The attacks are in `tests/stories/container_is_caged/attacks.c`.\n\n\
        | attack | it tried to | and met | so its step ended |\n|---|---|---|---|\n"
            .to_owned();
    for (attack, what) in ATTACKS {
        let outcome = &ended[attack];
        let detail = ["which", "because"].map(|key| outcome[key].as_str().unwrap_or_default().to_owned());
        let verdict = [vec![outcome["is"].as_str().unwrap_or_default().to_owned()], detail.to_vec()].concat();
        let verdict = verdict.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ");
        let is_refused = verdict == "failed: the container ended with exit code 9";
        assert!(is_refused || verdict.starts_with("limit: "), "{attack} was not met as it should be: {verdict}");
        let printed = lines(estate, attack);
        let mut tries: Vec<_> = printed.lines().filter_map(|line| line.split_once('\t')).collect();
        if tries.is_empty() {
            tries.push(("go on until something gives", "its end"));
        }
        text += &format!("| **{attack}**: {what} | | | {verdict} |\n");
        tries.iter().for_each(|(tried, met)| text += &format!("| | {tried} | {met} | |\n"));
    }
    text
}

/// Compares with the page that is kept, or writes it where `UPDATE` is set.
fn is_as_kept(table: &str) {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../plugins/hostile/CONTAINERS.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&page, table).expect("the page can be written");
    }
    let kept = std::fs::read_to_string(&page).unwrap_or_default();
    assert!(kept == table, "{} is stale; it should be:\n{table}", page.display());
}

/// The caches' file systems outlive a server on purpose, and a test's folder must not hold them.
struct Unmounted(PathBuf);

impl Drop for Unmounted {
    fn drop(&mut self) {
        let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
        let ours = mounts
            .lines()
            .filter_map(|line| line.split(' ').nth(1))
            .filter(|mount| mount.starts_with(&*self.0.to_string_lossy()));
        ours.for_each(|mount| drop(Command::new("umount").args(["--lazy", mount]).status()));
    }
}
