//! An author begins a plugin, builds it, tests it without a server, and a push runs it: in Rust, JavaScript and Python.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use world::bespin::run;
use world::config::Config;
use world::estate::{Estate, Kind};
use world::{has, missing};

const TOKEN: &str = "a token that no plugin sees";
const CHANGES: &str =
    "# Changes\n\n## 1.4.0 (today)\n- greets in a second way\n- starts in half the time\n\n## 1.3.0\n";

#[tokio::test(flavor = "multi_thread")]
async fn in_rust() {
    if !missing("cargo", has("cargo")) {
        story("rust").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_javascript() {
    if !missing("npm", has("npm")) {
        story("js").await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_python() {
    if !missing("python3", has("python3")) {
        story("python").await;
    }
}

/// The other worlds have a template in Rust: each is built and tested as its author would.
#[test]
fn of_each_world() {
    if missing("cargo", has("cargo")) {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let (cache, target) = (dir.path().join("compiled"), dir.path().join("target"));
    std::fs::create_dir(&target).expect("a folder can be made");
    for world in ["health", "generate", "measure", "route"] {
        let project = dir.path().join(format!("my-{world}"));
        let path = project.to_str().expect("the path is text");
        let (code, printed) = run(&["plugin", "new", path, "--lang", "python", "--world", world]);
        assert!(code == 1 && printed.contains("write `--lang rust`") && !project.exists(), "{printed}");
        let (code, printed) = run(&["plugin", "new", path, "--lang", "rust", "--world", world]);
        assert_eq!(code, 0, "{printed}");
        // What they share is compiled once.
        std::os::unix::fs::symlink(&target, project.join("target")).expect("a link can be made");
        let (code, printed) = run(&["plugin", "test", path, "--cache", cache.to_str().expect("text")]);
        assert_eq!(code, 0, "{printed}");
        assert!(printed.contains("same    ") && !printed.contains("DIFFERS"), "{printed}");
        let made = target.join(format!("wasm32-wasip2/release/my_{world}.wasm"));
        let (code, printed) = run(&["plugin", "inspect", made.to_str().expect("text")]);
        assert!(code == 0 && printed.contains(&format!("world     {world} of bespin:plugin@")), "{printed}");
    }
}

async fn story(language: &str) {
    let dir = tempfile::tempdir().expect("a folder");
    let project = dir.path().join("greet");
    let cache = dir.path().join("compiled");
    begun(&project, language);
    let component = tested(&project, &cache);
    let plugins = dir.path().join("plugins");
    std::fs::create_dir(&plugins).expect("a folder can be made");
    std::fs::copy(component, plugins.join("greet.wasm")).expect("the component is there");

    let chat = Chat::open().await;
    let token = dir.path().join("token");
    std::fs::write(&token, TOKEN).expect("a file can be written");
    let configured = |config: Config| {
        keep_compiled(&cache, &config.data().join("plugins"));
        config.plugins(&plugins).with(&tables(&token, &chat))
    };
    let estate = Estate::configured(Kind::Embedded, "1s", configured).await;
    let files = [(".bespin/greet.yaml", pipeline(&chat)), ("CHANGELOG.md", CHANGES.to_owned())];
    let pushed = estate.push(&files, "Greet in a second way").await;
    let ended = estate.ended(&pushed.after).await;
    let page = estate.dashboard().await.get(&format!("runs/{}", ended["id"].as_str().expect("an id"))).await;
    assert_eq!(ended["state"], "succeeded", "{page:#}");

    let outputs = &page["steps"][0]["outputs"];
    assert_eq!((outputs["version"].as_str(), outputs["lines"].as_str()), (Some("1.4.0"), Some("2")), "{page:#}");
    let asked = chat.asked();
    assert_eq!(asked.len(), 2, "{asked:?}");
    for one in &asked {
        assert!(one.starts_with("POST /") && one.contains(&format!("authorization: Bearer {TOKEN}\r\n")), "{one}");
    }
    assert!(asked[0].ends_with(r#"starts in half the time"}"#) && asked[0].contains("1.4.0"), "{}", asked[0]);
    assert!(asked[1].starts_with("POST /1.4.0 "), "the second step was given the first one's output: {}", asked[1]);
}

/// The project is there, bears its name, and is not written over.
fn begun(project: &Path, language: &str) {
    let path = project.to_str().expect("the path is text");
    let (code, printed) = run(&["plugin", "new", path, "--lang", language]);
    assert_eq!(code, 0, "{printed}");
    let (code, printed) = run(&["plugin", "new", path, "--lang", language]);
    assert!(code == 1 && printed.contains("is there already"), "{printed}");
}

/// Its cases pass, and a case that is made wrong is told with the lines that differ. Answers the component.
fn tested(project: &Path, cache: &Path) -> PathBuf {
    let description = std::fs::read_to_string(project.join("plugin.toml")).expect("the project describes itself");
    let value = |key: &str| {
        let line = description.lines().find_map(|line| line.strip_prefix(key)?.trim_start().strip_prefix("= \""));
        line.and_then(|rest| rest.strip_suffix('"')).unwrap_or_else(|| panic!("{description} has no {key}")).to_owned()
    };
    let before = Command::new("sh").arg("-c").arg(value("before")).current_dir(project).output().expect("sh runs");
    assert!(before.status.success(), "{}", String::from_utf8_lossy(&before.stderr));
    let (path, cache) = (project.to_str().expect("text"), cache.to_str().expect("text"));
    let (code, printed) = run(&["plugin", "test", path, "--cache", cache]);
    assert_eq!(code, 0, "{printed}");
    assert_eq!(printed.matches("same    ").count(), 4, "{printed}");

    let case = project.join("tests/announces.yaml");
    let text = std::fs::read_to_string(&case).expect("the case is there");
    let wrong = text.replace("lines: \"2\"", "lines: \"3\"").replace("notes: \"- greets", "notes: \"- sings");
    std::fs::write(&case, wrong).expect("a file can be written");
    let (code, printed) = run(&["plugin", "test", path, "--no-build", "--cache", cache]);
    assert_eq!(code, 1, "{printed}");
    for line in ["DIFFERS announces", "-     \"notes\": \"- sings", "+     \"notes\": \"- greets", "1 of 4 cases"] {
        assert!(printed.contains(line), "{line} is not in:\n{printed}");
    }
    std::fs::write(&case, text).expect("a file can be written");
    project.join(value("component"))
}

/// The server finds its one plugin compiled already.
fn keep_compiled(cache: &Path, data: &Path) {
    std::fs::create_dir_all(data).expect("a folder can be made");
    for entry in std::fs::read_dir(cache).expect("it was compiled").flatten() {
        std::fs::copy(entry.path(), data.join(entry.file_name())).expect("a file can be copied");
    }
}

/// The token, and the permission to use it there and nowhere else.
fn tables(token: &Path, chat: &Chat) -> String {
    format!(
        r#"
[secret]
chat-token = {{ file = "{}" }}

[[policy]]
repository = "user/petclinic"
pipeline = ".bespin/greet.yaml"
ref = "refs/heads/main"
event = "push"
plugins = ["greet"]
[policy.grants]
http = ["POST {}"]
secrets = ["chat-token"]
"#,
        token.display(),
        chat.url
    )
}

fn pipeline(chat: &Chat) -> String {
    let url = &chat.url;
    let grants = format!(r#"grants: {{ http: ["POST {url}"], secrets: [chat-token] }}"#);
    format!(
        r#"name: greet
on:
  push: {{ branches: [main], paths: [CHANGELOG.md] }}
steps:
  - id: first
    uses: greet
    with: {{ to: "{url}/first", secret: chat-token }}
    {grants}
  - id: second
    uses: greet
    with: {{ to: "{url}/${{{{ steps.first.version }}}}", secret: chat-token }}
    {grants}
"#
    )
}

/// What takes announcements, and keeps them.
struct Chat {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Chat {
    async fn open() -> Chat {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let url = format!("http://{}", listener.local_addr().expect("it is bound"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let kept = Arc::clone(&asked);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, Arc::clone(&kept)));
            }
        });
        Chat { url, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("nobody panics while holding it").clone()
    }
}

/// Reads a request as its `content-length` says, keeps it, and answers that there is nothing to say.
async fn answer(mut stream: TcpStream, kept: Arc<Mutex<Vec<String>>>) -> std::io::Result<()> {
    let mut request = Vec::new();
    loop {
        let mut some = [0; 4096];
        match stream.read(&mut some).await? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            read => request.extend_from_slice(&some[..read]),
        }
        let text = String::from_utf8_lossy(&request).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.to_ascii_lowercase();
        let length = length.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            kept.lock().expect("nobody panics while holding it").push(text);
            return stream.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").await;
        }
    }
}
