//! A data plane that is told its weights by HTTP: `PUT`, `GET` and `DELETE /<namespace>/<name>`, whose body is the
//! canary's share. `Balancer::sharing` serves what it was told.

use super::bespin::plugins;
use super::config::Config;
use super::estate::{Estate, Kind, declare};
use super::given;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
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
    /// How long it takes until it does what it was told.
    lag: Duration,
    weights: BTreeMap<String, Told>,
    requests: Vec<(String, u16)>,
}

/// What it was told last, and what it does until then.
struct Told {
    weight: u64,
    before: u64,
    from: Instant,
}

impl Told {
    fn serving(&self) -> u64 {
        if Instant::now() >= self.from { self.weight } else { self.before }
    }
}

/// The file of the manifests repository that has the Rollout.
const MANIFEST: &str = "petclinic/was-rollout.yaml";
const BY_ALB: &str = "        alb:\n          ingress: petclinic-ingress\n          servicePort: 8080\n";

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

    /// From now on it does what it is told so much later, and tells what it does.
    pub fn lag(&self, lag: Duration) {
        self.state.lock().expect("no holder panics").lag = lag;
    }

    /// The canary's share of a Rollout, such as `petclinic/was`, in percent, as it is served.
    pub fn of(&self, rollout: &str) -> Option<u64> {
        self.state.lock().expect("no holder panics").weights.get(&format!("/{rollout}")).map(Told::serving)
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
        let serving = self.weights.get(path).map(Told::serving);
        match (method, body.parse(), serving) {
            ("PUT", Ok(weight @ 0..=100), _) => {
                // Told the same again, it goes on as it was about to.
                if self.weights.get(path).is_none_or(|told| told.weight != weight) {
                    let told = Told { weight, before: serving.unwrap_or(0), from: Instant::now() + self.lag };
                    self.weights.insert(path.to_owned(), told);
                }
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
pub(super) async fn request(stream: &mut BufReader<TcpStream>) -> Option<(String, String, String, String)> {
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

/// The sample, its Rollout's traffic shared by the example of a router; v55 serves. Its plugins are in the folder. `edit` is
/// given the Rollout's manifest.
pub async fn sharing(kind: Kind, edit: impl FnOnce(String) -> String) -> (Estate, Weights, tempfile::TempDir) {
    let dir = tempfile::tempdir().expect("a folder");
    let weights = Weights::start(dir.path()).await;
    let folder = folder(dir.path());
    let route = format!(
        "[secret]\nrouter = {{ file = \"{token}\" }}\n\
         [[route]]\nname = \"example/http\"\nplugin = \"route\"\n\
         http = [\"GET,PUT,DELETE {address}\"]\nsecrets = [\"router\"]\n",
        token = weights.token.display(),
        address = weights.address,
    );
    let configured = |config: Config| config.plugins(&folder).with(&route);
    let estate = Estate::configured(kind, "1h", configured).await;
    let manifests = estate.manifests();
    let text = manifests.file(&manifests.head(), MANIFEST);
    let by_plugin = format!(
        "        plugins:\n          example/http:\n            address: {}\n      \
         scaleDownDelaySeconds: 1\n      abortScaleDownDelaySeconds: 1\n",
        weights.address
    );
    assert_eq!(text.matches(BY_ALB).count(), 1, "{text}");
    let text = edit(text.replace(BY_ALB, &by_plugin));
    estate.commit_manifests(&[(MANIFEST, text)], "A plugin shares the traffic").await;
    declare(&estate.kube, &estate.sample.application()).await;
    estate.settled().await;
    (estate, weights, dir)
}

/// The sample behind a load balancer; v55 serves. `edit` is given the Rollout's manifest.
pub async fn balanced(edit: impl FnOnce(String) -> String) -> Estate {
    let estate = Estate::undeclared(Kind::Balanced, "1h").await;
    let manifests = estate.manifests();
    let text = manifests.file(&manifests.head(), MANIFEST);
    assert_eq!(text.matches(BY_ALB).count(), 1, "{text}");
    let soon = format!("{BY_ALB}      scaleDownDelaySeconds: 1\n      abortScaleDownDelaySeconds: 1\n");
    let text = edit(text.replace(BY_ALB, &soon));
    estate.commit_manifests(&[(MANIFEST, text)], "Pods go soon").await;
    declare(&estate.kube, &estate.sample.application()).await;
    estate.settled().await;
    estate
}

/// Names another image in the manifests, as a bump does, and has it synced.
pub async fn ship(estate: &Estate, old: &str, new: &str) {
    let manifests = estate.manifests();
    let text = manifests.file(&manifests.head(), MANIFEST);
    assert_eq!(text.matches(old).count(), 1, "{text}");
    estate.commit_manifests(&[(MANIFEST, text.replace(old, new))], new).await;
    let (status, answer) = estate.dashboard().await.press("apps/production/argocd/petclinic/sync").await;
    assert_eq!(status, 202, "{answer}");
}

fn folder(dir: &Path) -> PathBuf {
    let examples = given("BESPIN_COMPONENTS").expect("BESPIN_COMPONENTS names the components").join("examples");
    let folder = dir.join("plugins");
    std::fs::create_dir(&folder).expect("a folder can be made");
    for file in std::fs::read_dir(plugins()).expect("the plugins are built").flatten() {
        std::fs::copy(file.path(), folder.join(file.file_name())).expect("a file can be copied");
    }
    std::fs::copy(examples.join("route.wasm"), folder.join("route.wasm")).expect("the examples are built");
    folder
}
