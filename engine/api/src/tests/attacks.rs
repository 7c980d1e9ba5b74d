//! The attacks on the two HTTP listeners: each is carried out over loopback against listeners as the server has them,
//! with smaller numbers and shorter times, and ends as the table says while an honest request gets its answer.
//!
//! `UPDATE=1 cargo test -p api attacks` writes `engine/api/ATTACKS.md` anew.

mod many;
mod odd;
mod slow;

use super::World;
use crate::hooks::tests::{SIGNATURE, push, taking};
use crate::hooks::{self, HookLimits, HookState};
use crate::listener::{ConnectionLimits, LateRoutes, serve};
use crate::router;
use futures::future::BoxFuture;
use std::fmt::Write as _;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;

/// Where honest requests come from, and most attacks.
const HERE: Ipv4Addr = Ipv4Addr::LOCALHOST;
/// Another machine.
const THERE: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
/// What ends a test that hangs.
const HANGS: Duration = Duration::from_secs(60);

/// Which listener is attacked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum On {
    Pages,
    Hooks,
}

const BOTH: &[On] = &[On::Pages, On::Hooks];
const PAGES: &[On] = &[On::Pages];
const HOOKS: &[On] = &[On::Hooks];

/// A row of the table.
#[derive(Clone, Copy)]
struct Row {
    on: &'static [On],
    name: &'static str,
    tries: &'static str,
    allowed: &'static str,
    /// What the attacker gets, and what others get meanwhile.
    seen: &'static str,
    attack: for<'a> fn(&'a Target) -> BoxFuture<'a, String>,
}

/// Both listeners of one server, of which one is attacked.
struct Target {
    on: On,
    pages: SocketAddr,
    hooks: SocketAddr,
    world: World,
    hook_state: HookState,
    /// How many read the log, which has no end.
    readers: watch::Sender<usize>,
}

fn limits() -> ConnectionLimits {
    ConnectionLimits {
        connections: 24,
        per_client: 12,
        streams: 4,
        streams_per_client: 3,
        head_time: Duration::from_secs(2),
        body_grace: Duration::from_secs(1),
        write_time: Duration::from_secs(3),
        ..ConnectionLimits::default()
    }
}

impl Target {
    async fn new(on: On) -> Target {
        let (mut world, readers) = (World::new(), watch::Sender::new(0));
        world.state.logs = Arc::new(slow::Endless(readers.clone()));
        let hook_limits = HookLimits {
            body_bytes: 1024 * 1024,
            budget_bytes: 4 * 1024 * 1024,
            client_bytes: 2 * 1024 * 1024,
            body_time: Duration::from_secs(10),
        };
        let hook_state = taking(hook_limits);
        let listen = async |router| {
            let listener = TcpListener::bind((HERE, 0)).await.unwrap();
            let address = listener.local_addr().unwrap();
            let routes = LateRoutes::closed(Arc::default());
            routes.open(router);
            tokio::spawn(serve(listener, routes, limits(), world.state.stop.clone()));
            address
        };
        let (pages, hooks) =
            (listen(router(world.state.clone())).await, listen(hooks::router(hook_state.clone())).await);
        Target { on, pages, hooks, world, hook_state, readers }
    }

    fn address(&self) -> SocketAddr {
        if self.on == On::Pages { self.pages } else { self.hooks }
    }

    /// A connection from this address to the listener that is attacked.
    async fn connect(&self, from: Ipv4Addr) -> TcpStream {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_reuseaddr(true).unwrap();
        socket.bind(SocketAddr::new(IpAddr::V4(from), 0)).unwrap();
        socket.connect(self.address()).await.unwrap()
    }

    /// Sends this and reads until the listener closes: the answers' statuses, in order.
    async fn send(&self, bytes: impl AsRef<[u8]>) -> String {
        self.send_from(HERE, bytes).await
    }

    async fn send_from(&self, from: Ipv4Addr, bytes: impl AsRef<[u8]>) -> String {
        let (mut read, mut write) = self.connect(from).await.into_split();
        let sending = async {
            let _cut_off = write.write_all(bytes.as_ref()).await;
            write
        };
        let (_write, said) = tokio::join!(sending, rest(&mut read));
        said
    }

    /// What an honest client gets: the session, or the receipt of a delivery.
    async fn honest(&self) -> String {
        self.honest_from(HERE).await
    }

    async fn honest_from(&self, from: Ipv4Addr) -> String {
        let request = match self.on {
            On::Pages => b"GET /api/v1/session HTTP/1.1\r\nhost: 127.0.0.1\r\nconnection: close\r\n\r\n".to_vec(),
            On::Hooks => {
                let body = push("user/petclinic");
                let head = format!(
                    "{}x-github-event: push\r\nx-github-delivery: d-1\r\ncontent-type: application/json\r\n\
                     connection: close\r\ncontent-length: {}\r\n\r\n",
                    self.signed(),
                    body.len()
                );
                [head.into_bytes(), body].concat()
            }
        };
        self.send_from(from, request).await
    }

    /// The head of a request that has a body, up to its lengths.
    fn post(&self) -> String {
        match self.on {
            On::Pages => {
                "POST /api/v1/login HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n".to_owned()
            }
            On::Hooks => self.signed(),
        }
    }

    fn signed(&self) -> String {
        format!("POST /hooks/github HTTP/1.1\r\nhost: 127.0.0.1\r\nx-hub-signature-256: {SIGNATURE}\r\n")
    }

    /// Somebody who is logged in, as a header.
    fn cookie(&self) -> String {
        let login = &self.world.state.login;
        let token = login.enter_once(&login.one_time_link(), crate::clock::now()).unwrap();
        format!("cookie: bespin_session={token}\r\n")
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.world.state.stop.cancel();
    }
}

/// Reads to the end: the statuses of the answers, equal ones counted.
async fn rest(read: &mut (impl AsyncReadExt + Unpin)) -> String {
    let mut answers = Vec::new();
    let _cut_off = tokio::time::timeout(HANGS, read.read_to_end(&mut answers)).await.expect("the listener ends it");
    let text = String::from_utf8_lossy(&answers);
    let statuses: Vec<&str> = text.split("HTTP/1.1 ").skip(1).filter_map(|answer| answer.get(..3)).collect();
    match statuses.as_slice() {
        [] => "no answer".to_owned(),
        [first, .., last] if first == last => format!("{} × {first}", statuses.len()),
        statuses => statuses.join(", "),
    }
}

fn rows() -> Vec<&'static Row> {
    [slow::ROWS, many::ROWS, odd::LENGTHS, odd::NAMES, odd::PROTOCOLS].into_iter().flatten().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_attack_ends_as_the_table_says() {
    let mut under_way = Vec::new();
    for row in rows() {
        for on in row.on {
            under_way.push(tokio::spawn(async move {
                let seen = (row.attack)(&Target::new(*on).await).await;
                (seen != row.seen).then(|| format!("{} on {on:?}: expected `{}`, saw `{seen}`", row.name, row.seen))
            }));
        }
    }
    let mut wrong = Vec::new();
    for attack in under_way {
        wrong.extend(attack.await.unwrap());
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_page_of_attacks_is_what_the_table_says() {
    let rows = rows();
    let mut page = format!(
        "# Attacks on the HTTP listeners\n\n\
         {} ways to keep the dashboard or the webhooks from others, to slip something past them, or to get what is not\n\
         one's own. `src/tests/attacks.rs` carries each of them out against listeners as the server has them, with smaller\n\
         numbers and shorter times, and demands this very end; behind a semicolon stands what an honest request got meanwhile.\n\
         The limits of a real server are the defaults of `ConnectionLimits` and `HookLimits`.\n\n\
         This page is written by `UPDATE=1 cargo test -p api attacks`.\n\n\
         | attack | on | what is tried | what is allowed | what is seen |\n|---|---|---|---|---|\n",
        rows.len()
    );
    for Row { on, name, tries, allowed, seen, .. } in &rows {
        let on = match *on {
            [On::Pages] => "dashboard",
            [On::Hooks] => "webhooks",
            _ => "both",
        };
        writeln!(page, "| {name} | {on} | {tries} | {allowed} | {seen} |").unwrap();
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("ATTACKS.md");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &page).unwrap();
    }
    let written = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(written == page, "{} is stale; UPDATE=1 writes it", path.display());
}
