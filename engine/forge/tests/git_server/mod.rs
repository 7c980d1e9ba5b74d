//! A git server over HTTP: `git http-backend` behind a small CGI server, with
//! basic authentication. For tests alone.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::TokioIo;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use tokio::io::AsyncWriteExt;

/// The only user, and the password.
pub const USER: &str = "kim";
pub const PASSWORD: &str = "hush";

/// Bare repositories in a directory of their own, served on loopback.
pub struct GitServer {
    /// `http://127.0.0.1:port`.
    pub url: String,
    root: tempfile::TempDir,
}

impl GitServer {
    /// Starts a server; it ends with the runtime.
    pub async fn start() -> GitServer {
        let root = tempfile::tempdir().unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let path = root.path().to_owned();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let path = path.clone();
                let service = hyper::service::service_fn(move |request| answer(path.clone(), request));
                let connection =
                    hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service);
                tokio::spawn(connection);
            }
        });
        GitServer { url, root }
    }

    /// Makes a bare repository `owner/name` and a first commit on `main`; returns its address.
    pub fn create(&self, name: &str, files: &[(&str, &str)]) -> String {
        let bare = self.bare(name);
        git(self.root.path(), &["init", "-q", "--bare", "-b", "main", bare.to_str().unwrap()]);
        git(&bare, &["config", "http.receivepack", "true"]);
        self.commit(name, "main", files, "first");
        format!("{}/{name}.git", self.url)
    }

    /// The repository's directory.
    pub fn bare(&self, name: &str) -> PathBuf {
        self.root.path().join(format!("{name}.git"))
    }

    /// Commits on a branch (made from the branch itself, or from nothing) and returns the commit.
    pub fn commit(&self, name: &str, branch: &str, files: &[(&str, &str)], message: &str) -> String {
        let bare = self.bare(name);
        let work = tempfile::tempdir().unwrap();
        let dir = work.path();
        git(dir, &["clone", "-q", bare.to_str().unwrap(), "."]);
        let known = run(dir, &["checkout", "-q", branch]).is_ok();
        if !known {
            git(dir, &["checkout", "-q", "-B", branch]);
        }
        for (path, text) in files {
            let path = dir.join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, text).unwrap();
        }
        git(dir, &["add", "-A"]);
        git(dir, &["commit", "-q", "--allow-empty", "-m", message]);
        git(dir, &["push", "-q", "origin", branch]);
        git(dir, &["rev-parse", "HEAD"])
    }

    /// Runs git in the bare repository and returns its output.
    pub fn git(&self, name: &str, arguments: &[&str]) -> String {
        git(&self.bare(name), arguments)
    }
}

fn git(directory: &Path, arguments: &[&str]) -> String {
    run(directory, arguments).unwrap_or_else(|error| panic!("git {arguments:?}: {error}"))
}

fn run(directory: &Path, arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("git")
        .current_dir(directory)
        .args(["-c", "user.name=Kim", "-c", "user.email=kim@example.com", "-c", "safe.directory=*"])
        .args(arguments)
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .output()
        .map_err(|error| error.to_string())?;
    match output.status.success() {
        true => Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned()),
        false => Err(String::from_utf8_lossy(&output.stderr).into_owned()),
    }
}

async fn answer(root: PathBuf, request: Request<Incoming>) -> Result<Response<Full<Bytes>>, std::io::Error> {
    use base64::Engine;
    let expected = base64::engine::general_purpose::STANDARD.encode(format!("{USER}:{PASSWORD}"));
    let header = |name: &str| request.headers().get(name).and_then(|v| v.to_str().ok()).unwrap_or_default().to_owned();
    if header("authorization") != format!("Basic {expected}") {
        let refused = Response::builder().status(401).header("www-authenticate", "Basic realm=\"git\"");
        return Ok(refused.body(Full::default()).unwrap());
    }
    let mut command = tokio::process::Command::new("git");
    command
        .arg("http-backend")
        .env("GIT_PROJECT_ROOT", &root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("PATH_INFO", request.uri().path())
        .env("QUERY_STRING", request.uri().query().unwrap_or_default())
        .env("REQUEST_METHOD", request.method().as_str())
        .env("CONTENT_TYPE", header("content-type"))
        .env("HTTP_CONTENT_ENCODING", header("content-encoding"))
        .env("HTTP_GIT_PROTOCOL", header("git-protocol"))
        .env("REMOTE_USER", USER)
        .env("GIT_CONFIG_COUNT", "1")
        .env("GIT_CONFIG_KEY_0", "safe.directory")
        .env("GIT_CONFIG_VALUE_0", "*")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped());
    let body = request.into_body().collect().await.map_err(std::io::Error::other)?.to_bytes();
    command.env("CONTENT_LENGTH", body.len().to_string());
    let mut child = command.spawn()?;
    let mut stdin = child.stdin.take().unwrap();
    let writing = tokio::spawn(async move { stdin.write_all(&body).await });
    let output = child.wait_with_output().await?.stdout;
    let _written = writing.await;
    let split = output.windows(4).position(|four| four == b"\r\n\r\n").unwrap_or(output.len());
    let mut response = Response::builder().status(StatusCode::OK);
    for line in String::from_utf8_lossy(&output[..split]).lines() {
        let Some((name, value)) = line.split_once(": ") else { continue };
        response = match name {
            "Status" => response.status(value[..3].parse::<u16>().unwrap()),
            _ => response.header(name, value),
        };
    }
    let body = Bytes::copy_from_slice(output.get(split + 4..).unwrap_or_default());
    Ok(response.body(Full::new(body)).unwrap())
}
