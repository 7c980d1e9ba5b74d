//! GitHub, as far as Bespin speaks to it: commit statuses, taken over HTTP and kept.

use serde_json::Value;
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// The API; it ends with the runtime.
pub struct Github {
    /// Its address.
    pub url: String,
    heard: Arc<Mutex<Vec<Heard>>>,
}

/// A request that was made.
#[derive(Clone, Debug)]
pub struct Heard {
    /// The first line, such as `POST /repos/user/petclinic/statuses/4be1d07... HTTP/1.1`.
    pub line: String,
    /// The body; `Null` where it is no JSON.
    pub body: Value,
}

impl Github {
    /// Starts it; every request is answered `201`.
    pub async fn start() -> Github {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let url = format!("http://{}", listener.local_addr().expect("it listens"));
        let heard: Arc<Mutex<Vec<Heard>>> = Arc::default();
        let keep = heard.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let keep = keep.clone();
                tokio::spawn(async move {
                    if let Ok(one) = hear(stream).await {
                        keep.lock().expect("nobody panics while holding the requests").push(one);
                    }
                });
            }
        });
        Github { url, heard }
    }

    /// Everything that was asked of it, in order.
    pub fn heard(&self) -> Vec<Heard> {
        self.heard.lock().expect("nobody panics while holding the requests").clone()
    }

    /// The last state that was posted for a commit of a repository under a context.
    pub fn status(&self, repository: &str, sha: &str, context: &str) -> Option<String> {
        let place = format!("POST /repos/{repository}/statuses/{sha} ");
        let mut heard = self.heard();
        heard.retain(|one| one.line.starts_with(&place) && one.body["context"] == context);
        heard.last().and_then(|one| one.body["state"].as_str().map(str::to_owned))
    }
}

async fn hear(mut stream: TcpStream) -> std::io::Result<Heard> {
    let (mut bytes, mut buffer) = (Vec::new(), [0; 4096]);
    let (head, body) = loop {
        let read = stream.read(&mut buffer).await?;
        bytes.extend_from_slice(&buffer[..read]);
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            if read == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            continue;
        };
        let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
        let length = head.lines().find_map(|line| {
            let (name, value) = line.split_once(':')?;
            name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
        });
        let body = &bytes[end + 4..];
        if read == 0 || body.len() >= length.unwrap_or(0) {
            break (head, body.to_vec());
        }
    };
    stream.write_all(b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}").await?;
    let line = head.lines().next().unwrap_or_default().to_owned();
    Ok(Heard { line, body: serde_json::from_slice(&body).unwrap_or_default() })
}
