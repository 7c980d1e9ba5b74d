//! A plugin from a registry: pushed signed, locked, run by a pushed commit; and all that must not run.

mod cosign;

use serde_json::Value;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use world::bespin;
use world::estate::{Estate, Kind};
use world::registry::Open;
use world::{has, missing};

/// A chat that takes every message by POST.
struct Chat {
    address: String,
    heard: Arc<Mutex<Vec<String>>>,
}

impl Chat {
    async fn open() -> Chat {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let address = format!("http://{}/hook", listener.local_addr().expect("it is bound"));
        let heard = Arc::new(Mutex::new(Vec::new()));
        let all = heard.clone();
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let mut request = Vec::new();
                while !is_whole(&request) && stream.read_buf(&mut request).await.is_ok_and(|read| read > 0) {}
                all.lock().expect("no holder panics").push(String::from_utf8_lossy(&request).into_owned());
                let answer = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
                let _gone = stream.write_all(answer).await;
            }
        });
        Chat { address, heard }
    }

    fn heard(&self, text: &str) -> bool {
        self.heard.lock().expect("no holder panics").iter().any(|request| request.contains(text))
    }
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length =
        head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length:")?.trim().parse().ok());
    body.len() >= length.unwrap_or(0)
}

/// What the story works with: a registry, keys, and two plugins of different bytes.
struct Workshop {
    dir: PathBuf,
    registry: Open,
    /// The digest of the component that is granted the secret.
    granted: String,
    /// The rows of the configuration for plugins that stages call.
    judges: String,
}

impl Workshop {
    async fn start(dir: &Path) -> Workshop {
        let registry = Open::start(dir).await;
        let wasm = std::fs::read(bespin::plugins().join("slack.wasm")).expect("the plugins are built");
        let workshop = Workshop { dir: dir.to_owned(), registry, granted: String::new(), judges: String::new() };
        for key in ["acme", "stranger"] {
            let (private, public) = (workshop.file(&format!("{key}.key")), workshop.file(&format!("{key}.pub")));
            openssl(&["genpkey", "-algorithm", "ed25519", "-out", &private]);
            openssl(&["pkey", "-in", &private, "-pubout", "-out", &public]);
        }
        // A custom section changes a component's bytes, and nothing that it does.
        for n in ["one", "two", "three"] {
            let section = [b"\x00", &[n.len() as u8 + 2][..], b"\x01n", n.as_bytes()].concat();
            std::fs::write(workshop.file(n), [&wasm[..], &section].concat()).expect("a file can be written");
        }
        let granted = workshop.digest("one");
        let judges = workshop.judges();
        Workshop { granted, judges, ..workshop }
    }

    /// Pushes a judge of a kind, and the same without a signature for another kind.
    fn judges(&self) -> String {
        let components = world::given("BESPIN_COMPONENTS").expect("BESPIN_COMPONENTS names the components");
        std::fs::copy(components.join("examples/health.wasm"), self.file("judge")).expect("the examples are built");
        let key = self.file("acme.key");
        let row = |kind: &str, name: &str, more: &[&str]| {
            let pushed = self.push("judge", &format!("acme/{name}:1"), more);
            let digest = pushed.lines().next().and_then(|line| line.split('@').nth(1)).expect("a digest").to_owned();
            let plugin = self.reference(&format!("acme/{name}@{digest}"));
            format!("[[health]]\nkind = \"{kind}\"\nplugin = \"{plugin}\"\n")
        };
        row("cert-manager.io/Certificate", "judge", &["--sign", &key])
            + &row("example.com/Widget", "unsigned-judge", &[])
    }

    fn file(&self, name: &str) -> String {
        self.dir.join(name).display().to_string()
    }

    fn reference(&self, name: &str) -> String {
        format!("{}/{name}", self.registry.host)
    }

    /// A component's digest, as `inspect` shows it.
    fn digest(&self, file: &str) -> String {
        let shown: Value = serde_json::from_str(&said(&["inspect", &self.file(file), "--json"])).expect("JSON");
        assert_eq!(shown["world"], "step");
        shown["digest"].as_str().expect("a digest").to_owned()
    }

    fn push(&self, file: &str, name: &str, more: &[&str]) -> String {
        said(&[&["push", &self.file(file), &self.reference(name)], more].concat())
    }

    /// Pushes, and answers the reference by digest.
    fn pushed(&self, file: &str, name: &str, more: &[&str]) -> String {
        let printed = self.push(file, name, more);
        let digest = printed.lines().next().and_then(|line| line.split('@').nth(1)).expect("a digest");
        format!("{}@{digest}", self.reference(name).rsplit_once(':').expect("a tag").0)
    }

    /// The pipeline that says a text by a plugin, and the lock that `bespin plugin lock` writes beside it.
    fn locked(&self, name: &str, text: &str, more: &[&str]) -> [(&'static str, String); 2] {
        let checkout = self.dir.join("checkout");
        let folder = checkout.join(".bespin");
        std::fs::create_dir_all(&folder).expect("a folder can be made");
        let pipeline = self.pipeline(name, text);
        std::fs::write(folder.join("chat.yaml"), &pipeline).expect("a file can be written");
        said(&[&["lock", &checkout.display().to_string()], more].concat());
        let lock = std::fs::read_to_string(folder.join("plugins.lock")).expect("the lock is written");
        [(PIPELINE, pipeline), (LOCK, lock)]
    }

    fn pipeline(&self, name: &str, text: &str) -> String {
        format!(
            "name: chat\non: {{ push: {{ paths: [\".bespin/**\"] }} }}\nsteps:\n  - id: say\n    uses: {}\n    \
             with: {{ text: \"{text}\", secret: chat }}\n    grants: {{ secrets: [chat] }}\n",
            self.reference(name)
        )
    }

    /// The tables of a configuration whose source of plugins is trusted by one key.
    fn tables(&self, key: &str) -> String {
        format!(
            "[[registry]]\nhost = \"{host}\"\nendpoint = \"http://{host}\"\n\
             [[plugin-source]]\nmatch = \"{host}/acme/*\"\nkeys = [{{ file = \"{key}\" }}]\n\
             [secret]\nchat = {{ file = \"{chat}\" }}\n\
             [[policy]]\nrepository = \"user/petclinic\"\nplugins = [\"{granted}\"]\n\
             grants = {{ secrets = [\"chat\"] }}\n{judges}",
            judges = self.judges,
            host = self.registry.host,
            key = self.file(key),
            chat = self.file("chat"),
            granted = self.granted,
        )
    }
}

const PIPELINE: &str = ".bespin/chat.yaml";
const LOCK: &str = ".bespin/plugins.lock";

fn openssl(arguments: &[&str]) {
    let output = Command::new("openssl").args(arguments).output().expect("openssl runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// What a command of `bespin plugin` prints.
fn said(arguments: &[&str]) -> String {
    let (code, printed) = bespin::run(&[&["plugin"], arguments].concat());
    assert_eq!(code, 0, "bespin plugin {arguments:?}: {printed}");
    printed
}

/// Why a command of `bespin plugin` refuses.
fn refused(arguments: &[&str]) -> String {
    let (code, printed) = bespin::run(&[&["plugin"], arguments].concat());
    assert_eq!(code, 1, "bespin plugin {arguments:?}: {printed}");
    printed
}

/// Pushes the files and answers the run's state and its whole page.
async fn run(estate: &Estate, files: &[(&str, String)], what: &str) -> (String, String) {
    let commit = estate.push(files, what).await;
    let row = estate.ended(&commit.after).await;
    let id = row["id"].as_str().expect("a run has an id");
    let page = estate.dashboard().await.get(&format!("runs/{id}")).await;
    (row["state"].as_str().unwrap_or_default().to_owned(), page.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn it_runs_signed_and_locked_and_otherwise_not_at_all() {
    if missing("docker-registry", has("docker-registry")) || missing("openssl", has("openssl")) {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let (chat, workshop) = (Chat::open().await, Workshop::start(dir.path()).await);
    std::fs::write(workshop.file("chat"), &chat.address).expect("a file can be written");
    commands(&workshop);
    mistakes_are_corrected(&workshop);
    let key = workshop.file("acme.key");
    let first = workshop.pushed("one", "acme/say:1", &["--sign", &key]);
    let first = first.split('@').nth(1).expect("a digest").to_owned();
    let estate = Estate::configured(Kind::Embedded, "1s", |config| config.with(&workshop.tables("acme.pub"))).await;

    let files = workshop.locked("acme/say:1", "the first word", &[]);
    let (state, page) = run(&estate, &files, "Say it").await;
    assert_eq!(state, "succeeded", "{page}");
    assert!(chat.heard("the first word") && page.contains(&first), "{page}");

    // The tag moves; the lock stays where it was until somebody says otherwise.
    workshop.push("two", "acme/say:1", &["--sign", &key, "--move-tag"]);
    let files = workshop.locked("acme/say:1", "the second word", &[]);
    let (state, page) = run(&estate, &files, "The tag has moved").await;
    assert_eq!(state, "succeeded", "{page}");
    assert!(chat.heard("the second word") && page.contains(&first), "{page}");
    let files = workshop.locked("acme/say:1", "the third word", &["--update"]);
    let (state, page) = run(&estate, &files, "Another digest has no permission").await;
    assert_eq!(state, "failed", "{page}");
    assert!(page.contains("not granted: secrets for chat") && !chat.heard("the third word"), "{page}");

    for (what, files, because) in what_must_not_run(&workshop, &key) {
        let (state, page) = run(&estate, &files, what).await;
        assert_eq!(state, "failed", "{what}: {page}");
        assert!(because.iter().all(|part| page.contains(part)), "{what}: {because:?} is not in {page}");
        assert!(!chat.heard(what), "{what}");
    }

    // The server goes on, and shows what runs where.
    let files = workshop.locked("acme/say:2", "the last word", &[]);
    let (state, page) = run(&estate, &files, "Still here").await;
    assert_eq!(state, "succeeded", "{page}");
    assert!(chat.heard("the last word"));
    shown(&estate, &workshop).await;
}

/// Commands that need no server.
fn commands(workshop: &Workshop) {
    let (one, key) = (workshop.file("one"), workshop.file("acme.key"));
    let shown = said(&["inspect", &one]);
    assert!(shown.contains("secrets") && shown.contains("grants:") && shown.contains(&workshop.granted), "{shown}");
    let wasm = std::fs::read(&one).expect("it is there");
    std::fs::write(workshop.file("half"), &wasm[..wasm.len() / 2]).expect("a file can be written");
    let half = refused(&["inspect", &workshop.file("half")]);
    assert!(half.contains("half: byte ") && half.contains("truncated or damaged"), "{half}");
    assert_eq!(bespin::run(&["plugin", "inspect"]).0, 2, "a command without its argument is misused");

    said(&["sign", &one, "--key", &key]);
    said(&["verify", &one, "--key", &workshop.file("acme.pub")]);
    let other = refused(&["verify", &one, "--key", &workshop.file("stranger.pub")]);
    assert!(other.contains("is not its signature"), "{other}");

    // Pushed again it is the same; another content does not take its tag.
    let pushed = workshop.push("one", "acme/say:2", &["--sign", &key]);
    assert_eq!(workshop.push("one", "acme/say:2", &[]).lines().next(), pushed.lines().next());
    let taken = refused(&["push", &workshop.file("two"), &workshop.reference("acme/say:2")]);
    assert!(taken.contains("--move-tag"), "{taken}");
    said(&["verify", &workshop.reference("acme/say:2"), "--key", &workshop.file("acme.pub")]);
    let other = refused(&["verify", &workshop.reference("acme/say:2"), "--key", &workshop.file("stranger.pub")]);
    assert!(other.contains("none of its 1 signatures"), "{other}");
    said(&["pull", &workshop.reference("acme/say:2"), "-o", &workshop.file("pulled")]);
    assert_eq!(std::fs::read(workshop.file("pulled")).expect("it is there"), wasm);
}

/// What is mistaken at a terminal says what to do, and doing that helps.
fn mistakes_are_corrected(workshop: &Workshop) {
    let absent = refused(&["inspect", "absent.wasm"]);
    assert!(absent.contains("there is no file absent.wasm; name a component's file"), "{absent}");
    let silent = refused(&["pull", "127.0.0.1:1/acme/say:1"]);
    assert!(silent.contains("registry 127.0.0.1:1: ") && silent.contains("see that the registry is there"), "{silent}");
    let to = workshop.reference("acme/say:3");
    let keyless = refused(&["push", &workshop.file("one"), &to, "--sign", &workshop.file("none.key")]);
    assert!(keyless.contains("none.key: ") && keyless.contains("openssl genpkey"), "{keyless}");
    let nothing = refused(&["pull", &to]);
    assert!(nothing.contains("is not in the registry"), "what cannot be signed is not pushed: {nothing}");

    let [_pipeline, (_, lock)] = workshop.locked("acme/say:2", "never said", &[]);
    let file = workshop.dir.join("checkout").join(LOCK);
    std::fs::write(&file, lock.replace("version = 1", "version = 2")).expect("a file can be written");
    let checkout = workshop.dir.join("checkout").display().to_string();
    let broken = refused(&["lock", &checkout]);
    assert!(broken.contains("plugins.lock:2:11: ") && broken.contains("bespin plugin lock --update"), "{broken}");
    said(&["lock", &checkout, "--update"]);
    assert_eq!(std::fs::read_to_string(&file).expect("it is written"), lock);
}

type Row = (&'static str, Vec<(&'static str, String)>, Vec<&'static str>);

/// What must not run, with the sentence that says why and what to do.
fn what_must_not_run(workshop: &Workshop, key: &str) -> Vec<Row> {
    let mut rows: Vec<Row> = Vec::new();
    workshop.push("two", "acme/unsigned:1", &[]);
    let files = workshop.locked("acme/unsigned:1", "an unsigned one", &[]).to_vec();
    rows.push(("an unsigned one", files, vec!["is not signed", "cosign sign --key"]));
    workshop.push("two", "acme/strange:1", &["--sign", &workshop.file("stranger.key")]);
    let files = workshop.locked("acme/strange:1", "a stranger's", &[]).to_vec();
    rows.push(("a stranger's", files, vec!["has a signature by another key"]));
    workshop.push("two", "other/say:1", &["--sign", key]);
    let files = workshop.locked("other/say:1", "of no source", &[]).to_vec();
    rows.push(("of no source", files, vec!["is of no source", "[[plugin-source]]"]));

    workshop.push("three", "acme/damaged:1", &["--sign", key]);
    let files = workshop.locked("acme/damaged:1", "a damaged one", &[]).to_vec();
    workshop.registry.damage(workshop.digest("three").trim_start_matches("sha256:"));
    rows.push(("a damaged one", files, vec!["is damaged in the registry", "push it again"]));

    let pipeline = |name: &str, what: &str| (PIPELINE, workshop.pipeline(name, what));
    let gone = format!("acme/gone@sha256:{}", "0".repeat(64));
    rows.push(("a missing one", vec![pipeline(&gone, "a missing one")], vec!["is not in the registry"]));
    let unlocked = vec![pipeline("acme/say:3", "an unlocked one")];
    rows.push(("an unlocked one", unlocked, vec![".bespin/chat.yaml:5:11: ", "is not locked", "bespin plugin lock"]));
    let broken = (LOCK, "version = 1\n[plugins]\n\"acme/say\" = 3\n".to_owned());
    let files = vec![pipeline("acme/say:1", "a broken lock"), broken];
    rows.push(("a broken lock", files, vec![".bespin/plugins.lock:3:1: ", ".bespin/plugins.lock:3:14: ", "help: "]));
    rows
}

/// The dashboard's page: what runs where, with which leave.
async fn shown(estate: &Estate, workshop: &Workshop) {
    let page = estate.dashboard().await.get("plugins").await;
    let plugins = page["plugins"].as_array().cloned().unwrap_or_default();
    let of = |what: &str| plugins.iter().find(|plugin| plugin["uses"].as_str().is_some_and(|uses| uses.contains(what)));
    let say = of("acme/say:2").unwrap_or_else(|| panic!("{page:#}"));
    assert_eq!(say["digest"], workshop.granted.as_str());
    assert!(say["signer"].as_str().is_some_and(|signer| signer.starts_with("ed25519 ")), "{say:#}");
    let used = &say["used"][0];
    assert_eq!((used["pipeline"].as_str(), used["step"].as_str()), (Some("chat"), Some("say")), "{say:#}");
    assert_eq!(used["grants"]["secrets"][0], "chat");
    let rows = used["rows"].as_array().into_iter().flatten().map(|row| row["number"].as_u64());
    assert!(rows.eq([Some(2)]), "the policy's second row gives it leave: {say:#}");
    let judge = of("acme/judge@").unwrap_or_else(|| panic!("{page:#}"));
    let serves = &judge["serves"][0];
    let judges = (serves["name"].as_str(), judge["world"].as_str());
    assert_eq!(judges, (Some("cert-manager.io/Certificate"), Some("health")), "{judge:#}");
    assert!(serves["trouble"].is_null(), "{judge:#}");
    assert!(judge["signer"].as_str().is_some_and(|signer| signer.starts_with("ed25519 ")), "{judge:#}");
    let unsigned = of("acme/unsigned-judge@").unwrap_or_else(|| panic!("{page:#}"));
    let trouble = unsigned["serves"][0]["trouble"].as_str().unwrap_or_default();
    assert!(unsigned["digest"].is_null() && trouble.contains("is not signed"), "{unsigned:#}");
    let refused = of("acme/unsigned:1").unwrap_or_else(|| panic!("{page:#}"));
    assert!(refused["digest"].is_null(), "what was refused was never loaded: {refused:#}");
    assert!(of("sync").is_some_and(|sync| sync["origin"] == "built-in"), "{page:#}");
}
