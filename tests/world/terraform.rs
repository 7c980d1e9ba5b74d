//! Where Terraform keeps a state: its `http` backend, with locks and a password, as far as it speaks to it.

use base64::Engine as _;
use serde_json::Value;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// Who may ask it, and by which password.
pub const LOGIN: (&str, &str) = ("bespin", "the-states-own-password");

/// A place for one state; it ends with the runtime.
pub struct States {
    /// Its address.
    pub url: String,
    held: Arc<Mutex<Held>>,
}

#[derive(Default)]
struct Held {
    state: Option<String>,
    lock: Option<String>,
}

impl States {
    /// Starts it, without a state.
    pub async fn start() -> States {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
        let url = format!("http://{}/state", listener.local_addr().expect("it listens"));
        let held: Arc<Mutex<Held>> = Arc::default();
        let keep = held.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, keep.clone()));
            }
        });
        States { url, held }
    }

    /// The block of a configuration that names it. The login is in the environment.
    pub fn backend(&self) -> String {
        let url = &self.url;
        format!(
            "terraform {{\n  backend \"http\" {{\n    address = \"{url}\"\n    lock_address = \"{url}\"\n    \
             unlock_address = \"{url}\"\n  }}\n}}\n"
        )
    }

    /// The state, as it was saved last.
    pub fn state(&self) -> Option<Value> {
        let state = self.held().state.clone()?;
        Some(serde_json::from_str(&state).expect("a state is JSON"))
    }

    /// What the first instance of a resource has for an attribute.
    pub fn attribute(&self, resource: &str, name: &str) -> Option<Value> {
        let state = self.state()?;
        let mut resources = state["resources"].as_array()?.iter();
        let found = resources.find(|found| found["name"] == resource)?;
        Some(found["instances"][0]["attributes"][name].clone())
    }

    /// Whether somebody holds the lock.
    pub fn is_locked(&self) -> bool {
        self.held().lock.is_some()
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().expect("nobody panics while holding it")
    }
}

async fn serve(mut stream: TcpStream, held: Arc<Mutex<Held>>) -> std::io::Result<()> {
    let mut request = Vec::new();
    let (head, body) = loop {
        let mut some = [0; 8192];
        match stream.read(&mut some).await? {
            0 => return Ok(()),
            read => request.extend_from_slice(&some[..read]),
        }
        let text = String::from_utf8_lossy(&request).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length =
            head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse().ok());
        if body.len() >= length.unwrap_or(0) {
            break (head.to_owned(), body.to_owned());
        }
    };
    let (user, password) = LOGIN;
    let login = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    let (status, answer) = match head.contains(&format!("Authorization: Basic {login}")) {
        true => held.lock().expect("nobody panics while holding it").answer(&head, body),
        false => ("401 Unauthorized", String::new()),
    };
    let length = answer.len();
    let head = format!("HTTP/1.1 {status}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n");
    stream.write_all(format!("{head}{answer}").as_bytes()).await
}

impl Held {
    fn answer(&mut self, head: &str, body: String) -> (&'static str, String) {
        match (head.split(' ').next().unwrap_or_default(), &self.lock) {
            ("GET", _) => self.state.clone().map_or(("404 Not Found", String::new()), |state| ("200 OK", state)),
            ("LOCK", Some(holder)) => ("423 Locked", holder.clone()),
            ("LOCK", None) => {
                self.lock = Some(body);
                ("200 OK", String::new())
            }
            ("UNLOCK", _) => {
                self.lock = None;
                ("200 OK", String::new())
            }
            // Only under the lock, as a backend has to be.
            ("POST", Some(holder)) => {
                let holder: Value = serde_json::from_str(holder).expect("a lock is JSON");
                if !head.contains(holder["ID"].as_str().expect("a lock has an id")) {
                    return ("409 Conflict", String::new());
                }
                self.state = Some(body);
                ("200 OK", String::new())
            }
            _ => ("400 Bad Request", String::new()),
        }
    }
}
