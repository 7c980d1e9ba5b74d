//! A data plane that is told its weights by HTTP: `PUT`, `GET` and `DELETE /<namespace>/<name>`, whose body is the
//! canary's share. `Balancer::sharing` serves what it was told.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// How the data plane is today.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// It does what it is told.
    #[default]
    Works,
    /// It answers 503, whatever it is asked.
    Busy,
}

/// The data plane's API, until the test ends.
pub struct Weights {
    /// Where it listens.
    pub address: String,
    /// The file of the token that it wants to see.
    pub token: PathBuf,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    mode: Mode,
    weights: BTreeMap<String, u64>,
    requests: Vec<(String, u16)>,
}

const TOKEN: &str = "the data plane's own token";

impl Weights {
    /// Listens on loopback.
    pub async fn start(dir: &Path) -> Weights {
        let token = dir.join("router-token");
        std::fs::write(&token, TOKEN).expect("a file can be written");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = format!("http://{}", listener.local_addr().expect("it is bound"));
        let state: Arc<Mutex<State>> = Arc::default();
        let shared = state.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(serve(stream, shared.clone()));
            }
        });
        Weights { address, token, state }
    }

    /// From now on it is like this.
    pub fn set(&self, mode: Mode) {
        self.state.lock().expect("no holder panics").mode = mode;
    }

    /// The canary's share of a Rollout, such as `petclinic/was`, in percent.
    pub fn of(&self, rollout: &str) -> Option<u64> {
        self.state.lock().expect("no holder panics").weights.get(&format!("/{rollout}")).copied()
    }

    /// How many requests of a method were answered with a status.
    pub fn answered(&self, method: &str, status: u16) -> usize {
        let state = self.state.lock().expect("no holder panics");
        state.requests.iter().filter(|(asked, answer)| asked == method && *answer == status).count()
    }
}

async fn serve(stream: TcpStream, state: Arc<Mutex<State>>) {
    let mut stream = BufReader::new(stream);
    let Some((method, path, token, body)) = request(&mut stream).await else { return };
    let (status, answer) = {
        let mut state = state.lock().expect("no holder panics");
        let answer = match (state.mode, token == format!("Bearer {TOKEN}")) {
            (Mode::Busy, _) => (503, String::new()),
            (Mode::Works, false) => (401, String::new()),
            (Mode::Works, true) => state.answer(&method, &path, &body),
        };
        state.requests.push((method, answer.0));
        answer
    };
    let head = format!("HTTP/1.1 {status} -\r\ncontent-length: {}\r\nconnection: close\r\n\r\n", answer.len());
    let _gone = stream.write_all(format!("{head}{answer}").as_bytes()).await;
}

impl State {
    fn answer(&mut self, method: &str, path: &str, body: &str) -> (u16, String) {
        match (method, body.parse(), self.weights.get(path)) {
            ("PUT", Ok(weight @ 0..=100), _) => {
                self.weights.insert(path.to_owned(), weight);
                (200, String::new())
            }
            ("DELETE", ..) => {
                self.weights.remove(path);
                (200, String::new())
            }
            ("GET", _, Some(weight)) => (200, weight.to_string()),
            ("GET", _, None) => (404, String::new()),
            _ => (400, String::new()),
        }
    }
}

/// Method, path, authorization and body of a request.
async fn request(stream: &mut BufReader<TcpStream>) -> Option<(String, String, String, String)> {
    let mut line = String::new();
    stream.read_line(&mut line).await.ok()?;
    let mut words = line.split(' ').map(str::to_owned);
    let (method, path) = (words.next()?, words.next()?);
    let (mut length, mut token) = (0, String::new());
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.trim().split_once(':') else { break };
        match name.to_ascii_lowercase().as_str() {
            "content-length" => length = value.trim().parse().ok()?,
            "authorization" => token = value.trim().to_owned(),
            _ => {}
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some((method, path, token, String::from_utf8(body).ok()?))
}
