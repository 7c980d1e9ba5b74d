//! A step leaves a file for the next step and an archive for the next run, and asks a metric that it was granted.

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use world::bespin::plugins;
use world::config::Config;
use world::estate::{Estate, Kind};

const PIPELINE: &str = r#"name: keep
on:
  push: { branches: [main], paths: ["keep/**"] }
steps:
  - id: count
    uses: keep
    with: { act: count }
  - id: read
    uses: keep
    with: { act: read, provider: prometheus }
    grants: { metrics: [prometheus] }
  - id: ungranted
    uses: keep
    with: { act: read, provider: prometheus }
"#;

#[tokio::test(flavor = "multi_thread")]
async fn steps_leave_things() {
    let provider = metrics().await;
    let folder = tempfile::tempdir().expect("a folder");
    let example = plugins().parent().expect("a target folder").join("wasm32-wasip2/plugin/examples/keep.wasm");
    std::fs::copy(example, folder.path().join("keep.wasm")).expect("the plugin is built");
    // The example is the server's one plugin.
    let configured = |config: Config| config.plugins(folder.path()).with(&tables(&provider));
    let estate = Estate::configured(Kind::Embedded, "1s", configured).await;

    for run in ["1", "2"] {
        let files = [(".bespin/keep.yaml", PIPELINE.to_owned()), ("keep/file", run.to_owned())];
        let pushed = estate.push(&files, "Keep").await;
        let ended = estate.ended(&pushed.after).await;
        let id = ended["id"].as_str().expect("an id").to_owned();
        let page = estate.dashboard().await.get(&format!("runs/{id}")).await;
        // The second run found what the first one had saved; the second step found what the first one had stored.
        assert_eq!(output(&page, 0, "count"), run, "{page:#}");
        assert_eq!((output(&page, 1, "count"), output(&page, 1, "up")), (run.to_owned(), "1".to_owned()), "{page:#}");
        assert_eq!(ended["state"], "failed", "{page:#}");
        let entries = estate.bespin.journal(&format!("run/{id}"));
        let ends: Vec<_> = entries.iter().filter(|entry| entry["kind"] == "ended").collect();
        let because = ends.last().expect("the last step ended").to_string();
        assert!(because.contains("not granted: metrics for prometheus"), "{because}");
        assert!(because.contains("grants: { metrics: ["), "the line to add is not in {because}");
    }
}

fn output(page: &Value, step: usize, name: &str) -> String {
    page["steps"][step]["outputs"][name].as_str().unwrap_or_default().to_owned()
}

/// The provider, and the permission to ask it.
fn tables(provider: &str) -> String {
    format!(
        r#"
[[metrics]]
name = "prometheus"
url = "{provider}"

[[policy]]
repository = "user/petclinic"
pipeline = ".bespin/keep.yaml"
limits = {{ memory = "32MiB", concurrent = "1" }}
[policy.grants]
metrics = ["prometheus"]
"#
    )
}

/// What answers instant queries as Prometheus does: `up` is 1.
async fn metrics() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream));
        }
    });
    url
}

async fn answer(mut stream: TcpStream) -> std::io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"query=up") {
        let mut some = [0; 4096];
        match stream.read(&mut some).await? {
            0 => return Ok(()),
            read => request.extend_from_slice(&some[..read]),
        }
    }
    let body =
        r#"{"status":"success","data":{"resultType":"vector","result":[{"metric":{"job":"was"},"value":[1,"1"]}]}}"#;
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", body.len());
    stream.write_all(format!("{head}{body}").as_bytes()).await
}
