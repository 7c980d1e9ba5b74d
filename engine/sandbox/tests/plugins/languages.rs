//! Plugins in JavaScript and Python: what their runtimes start with, and what they meet.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use pipeline::limits::{Limit, Limits};
use sandbox::{Abilities, Plugin, Sandbox, Settings, Verdict, inspect};

use crate::world::{World, grants, outputs};

/// A component that `cargo xtask plugins` built, if the language is here.
fn example(name: &str) -> Option<PathBuf> {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/examples");
    let folder = std::env::var_os("BESPIN_EXAMPLES").map_or_else(|| PathBuf::from(default), PathBuf::from);
    let path = folder.join(format!("{name}.wasm"));
    if path.exists() {
        return Some(path);
    }
    assert!(std::env::var_os("BESPIN_REAL").is_none(), "{name} is missing, and every real part is demanded");
    eprintln!("NOT CHECKED: {} is missing; `cargo xtask plugins` builds it", path.display());
    None
}

/// A sandbox whose compiled plugins stay from one test to the next: these take a minute to compile.
fn sandbox() -> &'static Sandbox {
    static SHARED: OnceLock<Sandbox> = OnceLock::new();
    let cache = Path::new(env!("CARGO_TARGET_TMPDIR")).join("compiled");
    SHARED.get_or_init(|| Sandbox::open(&cache, Settings::default()).unwrap())
}

async fn load(name: &str) -> Option<Plugin> {
    Some(sandbox().load_file(name, &example(name)?).await.unwrap())
}

async fn run(plugin: &Plugin, settings: &str, limits: &Limits) -> (Verdict, Arc<World>) {
    let mut world = World::petclinic();
    world.files.insert("CHANGELOG.md".to_owned(), b"# Changes\n\n## 1.2.3 (today)\n- one\n- two\n\n## 1.2.2".to_vec());
    let world = Arc::new(world);
    let granted = grants(&[("secrets", "token"), ("http", "POST chat.example")]);
    let abilities = Arc::clone(&world) as Arc<dyn Abilities>;
    (sandbox().run(plugin, settings, &granted, limits, abilities).await, world)
}

#[tokio::test]
async fn the_same_plugin_in_each_does_the_same() {
    for name in ["javascript", "python"] {
        let Some(plugin) = load(name).await else { continue };
        let settings = r#"{"to":"https://chat.example/releases","secret":"token"}"#;
        let (verdict, world) = run(&plugin, settings, &Limits::default()).await;
        let outputs = outputs(verdict);
        assert_eq!((outputs["version"].as_str(), outputs["lines"].as_str()), ("1.2.3", "2"), "{name}");
        let (method, url, headers, body) = world.happened().requests.remove(0);
        assert_eq!((method.as_str(), url.as_str()), ("POST", "https://chat.example/releases"));
        assert!(headers.contains(&("authorization".to_owned(), "Bearer hunter2".to_owned())), "{name}: {headers:?}");
        let body: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body, serde_json::json!({ "version": "1.2.3", "notes": "- one\n- two" }), "{name}");
        for (settings, because) in [
            (r#"{"to":"https://chat.example/","secret":"token","fiel":"x"}"#, "with: fiel: there are"),
            (r#"{"to":"https://chat.example/","secret":"token","file":"none"}"#, "there is no file `none`"),
        ] {
            let (verdict, _) = run(&plugin, settings, &Limits::default()).await;
            assert!(matches!(&verdict, Verdict::Rejected { because: told } if told.contains(because)), "{verdict:?}");
        }
    }
}

/// The rows of the table: the interface, and whether each language has it.
fn table() -> Vec<(String, bool, bool)> {
    let text = include_str!("../../../../plugins/examples/README.md");
    let row = |line: &str| {
        let cells: Vec<_> = line.split('|').map(str::trim).collect();
        let interface = cells.get(1)?.strip_prefix('`')?.strip_suffix('`')?;
        Some((interface.to_owned(), cells[2] == "yes", cells[3] == "yes"))
    };
    text.lines().filter_map(row).collect()
}

#[test]
fn what_a_language_starts_with_is_in_the_table() {
    for (name, of) in [
        ("javascript", (|row: &(String, bool, bool)| row.1) as fn(&(String, bool, bool)) -> bool),
        ("python", |row| row.2),
        ("hostile-python", |row| row.2),
    ] {
        let Some(path) = example(name) else { continue };
        let inspected = inspect::inspect(&std::fs::read(path).unwrap()).unwrap();
        let bare = |name: &String| name.split('@').next().unwrap_or_default().to_owned();
        let imported: BTreeSet<String> = inspected.wasi.iter().map(bare).collect();
        let written: BTreeSet<String> = table().into_iter().filter(of).map(|row| row.0).collect();
        assert_eq!(imported, written, "{name} and the table in plugins/examples/README.md");
    }
}

#[tokio::test]
async fn there_is_nothing_outside_for_python() {
    let Some(python) = load("hostile-python").await else { return };
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let attempt = |expression: &str| serde_json::json!({ "try": expression }).to_string();
    let connect = format!("socket.socket().connect(('127.0.0.1', {port}))");
    for (expression, because) in [
        ("open('/etc/passwd').read()", "FileNotFoundError"),
        ("open('Cargo.toml').read()", "FileNotFoundError"),
        ("open('/proc/self/environ').read()", "FileNotFoundError"),
        ("open('note', 'w').write('x')", "FileNotFoundError"),
        ("os.listdir('/')", "FileNotFoundError"),
        ("os.listdir('.')", "FileNotFoundError"),
        ("os.environ['PATH']", "KeyError"),
        ("pathlib.Path('/etc').stat().st_size", "FileNotFoundError"),
        ("subprocess.run(['ls'])", "wasi does not support processes"),
        ("os.system('ls')", "has no attribute 'system'"),
        ("os.fork()", "has no attribute 'fork'"),
        ("threading.Thread(target=print).start()", "can't start new thread"),
        (connect.as_str(), "PermissionError"),
        ("socket.socket().connect(('169.254.169.254', 80))", "PermissionError"),
        ("socket.getaddrinfo('example.com', 80)", "gaierror"),
        ("socket.getaddrinfo('localhost', 80)", "gaierror"),
        ("socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('127.0.0.1', 53))", "PermissionError"),
        ("socket.create_server(('127.0.0.1', 0))", "PermissionError"),
    ] {
        let (verdict, _) = run(&python, &attempt(expression), &Limits::default()).await;
        let refused = matches!(&verdict, Verdict::Rejected { because: told } if told.contains(because));
        assert!(refused, "{expression}: {verdict:?}");
    }
    for (expression, answer) in [
        ("missing", "['ctypes', 'ssl']"),
        ("dict(os.environ)", "{}"),
        ("sys.argv", "[]"),
        ("sys.stdin.read()", ""),
        ("sys.stdin.isatty()", "False"),
    ] {
        let (verdict, _) = run(&python, &attempt(expression), &Limits::default()).await;
        assert_eq!(outputs(verdict)["answer"], answer, "{expression}");
    }
    listener.set_nonblocking(true).unwrap();
    assert!(listener.accept().is_err(), "somebody connected");
}

#[tokio::test]
async fn what_python_takes_too_much_of_meets_its_limit() {
    let Some(python) = load("hostile-python").await else { return };
    let limits = Limits { cpu: Duration::from_secs(2), wall: Duration::from_secs(60), ..Limits::default() };
    for (expression, limit) in
        [("[0 for _ in iter(int, 1)]", Limit::Memory), ("all(1 for _ in iter(int, 1))", Limit::Cpu)]
    {
        let (verdict, _) = run(&python, &serde_json::json!({ "try": expression }).to_string(), &limits).await;
        assert!(matches!(&verdict, Verdict::Limit { which, .. } if *which == limit), "{expression}: {verdict:?}");
    }
    let brief = Limits { wall: Duration::from_millis(300), ..limits };
    let (verdict, _) = run(&python, r#"{"try":"time.sleep(3600)"}"#, &brief).await;
    assert!(matches!(verdict, Verdict::TimedOut { .. }), "{verdict:?}");
}
