//! A small world that keeps what plugins do to it, and how to run a plugin in it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use async_trait::async_trait;
use pipeline::limits::Limits;
use pipeline::permission::{Permissions, Whose};
use sandbox::{
    Abilities, Applied, ApplyRequest, Artifact, Build, Built, Bump, Bumped, Change, Container, Exit, Failure, Follow,
    Followed, Found, HttpRequest, HttpResponse, Level, List, Listed, ListedKind, Named, Place, PlanRequest, Planned,
    Plugin, Process, Push, Pushed, Query, Read, Restore, Sample, Sandbox, Save, Saved, Settings, Stored, SyncRequest,
    Synced, Verdict,
};
use secrecy::{ExposeSecret, SecretString};

/// Everything that there is outside of the sandbox.
#[derive(Default)]
pub(crate) struct World {
    pub files: BTreeMap<String, Vec<u8>>,
    pub secrets: BTreeMap<String, String>,
    /// What a request is answered with.
    pub status: u16,
    /// What a container ends with.
    pub exit: i32,
    /// What a metric provider answers each query with.
    pub metrics: BTreeMap<String, Vec<f64>>,
    /// The run that its calls belong to.
    pub run: Option<String>,
    pub happened: Mutex<Happened>,
}

/// Names and values, in order.
pub(crate) type Pairs = Vec<(String, String)>;

/// What plugins did.
#[derive(Default, Clone)]
pub(crate) struct Happened {
    pub log: Vec<(Level, String)>,
    pub builds: Vec<Build>,
    pub images: BTreeMap<String, String>,
    pub manifests: BTreeMap<String, String>,
    pub synced: Vec<SyncRequest>,
    pub followed: Vec<Follow>,
    /// Method, address, headers and body.
    pub requests: Vec<(String, String, Pairs, String)>,
    /// Image, process and environment.
    pub containers: Vec<(String, Process, Pairs)>,
    pub artifacts: BTreeMap<String, Vec<u8>>,
    pub archives: BTreeMap<String, Vec<u8>>,
    pub queries: Vec<Query>,
    /// Folder and variables.
    pub plans: Vec<(String, Pairs)>,
    pub applied: Vec<ApplyRequest>,
}

/// The one plan of this world; it is for the folder `infrastructure`.
pub(crate) const PLAN: &str = "sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef";

impl World {
    pub(crate) fn petclinic() -> World {
        World {
            files: BTreeMap::from([("was/Dockerfile".to_owned(), b"FROM scratch".to_vec())]),
            secrets: BTreeMap::from([
                ("slack-webhook".to_owned(), "https://hooks.slack.example/services/T0/B0/hunter2\n".to_owned()),
                ("token".to_owned(), "hunter2".to_owned()),
            ]),
            status: 200,
            metrics: BTreeMap::from([("up".to_owned(), vec![1.0])]),
            ..World::default()
        }
    }

    pub(crate) fn happened(&self) -> Happened {
        self.happened.lock().unwrap().clone()
    }

    fn with<T>(&self, change: impl FnOnce(&mut Happened) -> T) -> T {
        change(&mut self.happened.lock().unwrap())
    }
}

#[async_trait]
impl Abilities for World {
    fn log(&self, level: Level, line: &str) {
        self.with(|happened| happened.log.push((level, line.to_owned())));
    }

    async fn read(&self, asked: Read) -> Result<Vec<u8>, Failure> {
        let missing = || Failure::Rejected(format!("there is no file `{}`", asked.path));
        self.files.get(&asked.path).cloned().ok_or_else(missing)
    }

    async fn list(&self, asked: List) -> Result<Vec<Listed>, Failure> {
        let below = |path: &String| path.strip_prefix(&asked.path).map(|rest| rest.trim_start_matches('/').to_owned());
        let listed = |name| Listed { name, kind: ListedKind::File, size: 0 };
        Ok(self.files.keys().filter_map(below).map(listed).collect())
    }

    fn share(&self) -> Option<String> {
        self.run.clone()
    }

    async fn store(&self, asked: Artifact) -> Result<(), Failure> {
        self.with(|happened| happened.artifacts.insert(asked.name, asked.content));
        Ok(())
    }

    async fn stored(&self, asked: Read) -> Result<Vec<u8>, Failure> {
        let missing = || Failure::Rejected(format!("there is no artifact `{}`", asked.path));
        self.happened().artifacts.get(&asked.path).cloned().ok_or_else(missing)
    }

    async fn artifacts(&self) -> Result<Vec<Stored>, Failure> {
        let stored = |(name, content): (String, Vec<u8>)| Stored { name, size: content.len() as u64, step: "a".into() };
        Ok(self.happened().artifacts.into_iter().map(stored).collect())
    }

    async fn restore(&self, asked: Restore) -> Result<Option<Found>, Failure> {
        let mut archives = self.happened().archives.into_iter();
        let fits = |key: &str| key == asked.key || asked.prefixes.iter().any(|prefix| key.starts_with(prefix));
        Ok(archives.find(|(key, _)| fits(key)).map(|(key, archive)| Found { key, archive }))
    }

    async fn save(&self, asked: Save) -> Result<Saved, Failure> {
        self.with(|happened| happened.archives.insert(asked.key, asked.archive));
        Ok(Saved::Saved)
    }

    async fn query(&self, asked: Query) -> Result<Vec<Sample>, Failure> {
        let values = self.metrics.get(&asked.query).cloned().unwrap_or_default();
        self.with(|happened| happened.queries.push(asked));
        Ok(values.into_iter().map(|value| Sample { labels: BTreeMap::new(), value }).collect())
    }

    async fn http(&self, asked: HttpRequest) -> Result<HttpResponse, Failure> {
        let headers =
            asked.headers.iter().map(|(name, value)| (name.clone(), value.expose_secret().to_owned())).collect();
        let body = String::from_utf8(asked.body).unwrap();
        let request = (asked.method, asked.url.expose_secret().to_owned(), headers, body);
        self.with(|happened| happened.requests.push(request));
        Ok(HttpResponse { status: self.status, headers: Vec::new(), body: b"ok".to_vec() })
    }

    async fn secret(&self, name: String) -> Result<SecretString, Failure> {
        let missing = || Failure::Rejected(format!("the server has no secret `{name}`"));
        self.secrets.get(&name).map(|value| value.clone().into()).ok_or_else(missing)
    }

    async fn container(&self, asked: Container) -> Result<Exit, Failure> {
        let env = asked.env.iter().map(|(name, value)| (name.clone(), value.expose_secret().to_owned())).collect();
        self.with(|happened| happened.containers.push((asked.image, asked.process, env)));
        Ok(Exit { code: self.exit })
    }

    async fn build(&self, asked: Build) -> Result<Built, Failure> {
        self.with(|happened| happened.builds.push(asked));
        Ok(Built { build: "build-1".to_owned(), digest: "sha256:b1".to_owned() })
    }

    async fn push(&self, asked: Push) -> Result<Pushed, Failure> {
        let Some(build) = asked.build.or_else(|| (!self.happened().builds.is_empty()).then(|| "build-1".to_owned()))
        else {
            return Err(Failure::Rejected("this run has built nothing yet".to_owned()));
        };
        let image = format!("{}:{}", asked.to, asked.tag);
        self.with(|happened| happened.images.insert(image.clone(), build));
        Ok(Pushed { image, digest: "sha256:b1".to_owned(), reference: format!("{}@sha256:b1", asked.to) })
    }

    async fn bump(&self, asked: Bump) -> Result<Bumped, Failure> {
        let path = format!("{}/{}", asked.repo, asked.path);
        let before = self.with(|happened| happened.manifests.insert(path, asked.image.clone()));
        Ok(Bumped { commit: "c0ffee".to_owned(), changed: before != Some(asked.image) })
    }

    async fn plan(&self, asked: PlanRequest) -> Result<Planned, Failure> {
        let pairs = asked.variables.iter().map(|given| (given.name.clone(), given.value.expose_secret().to_owned()));
        self.with(|happened| happened.plans.push((asked.folder, pairs.collect())));
        let change = |address: &str, action| Change { address: address.to_owned(), action };
        let changes = vec![change("aws_instance.web", "create"), change("aws_instance.db", "replace")];
        let text = "Plan: 2 to add, 0 to change, 1 to destroy.".to_owned();
        Ok(Planned { plan: PLAN.to_owned(), to_add: 1, to_change: 0, to_destroy: 0, to_replace: 1, changes, text })
    }

    async fn planned_folder(&self, plan: String) -> Result<String, Failure> {
        let unknown = || Failure::Rejected(format!("no step of this run has made the plan {plan}"));
        (plan == PLAN).then(|| "infrastructure".to_owned()).ok_or_else(unknown)
    }

    async fn apply(&self, asked: ApplyRequest) -> Result<Applied, Failure> {
        self.with(|happened| happened.applied.push(asked));
        Ok(Applied { outputs: r#"{"address":"10.0.0.1"}"#.to_owned() })
    }

    async fn locate(&self, asked: Named) -> Result<Place, Failure> {
        let (Named::Application(written) | Named::Rollout(written)) = asked;
        let name = written.rsplit('/').next().unwrap_or_default().to_owned();
        Ok(Place { cluster: "production".to_owned(), namespace: "petclinic".to_owned(), name })
    }

    async fn sync(&self, asked: SyncRequest) -> Result<Synced, Failure> {
        let revision = asked.revision.clone().unwrap_or_else(|| "head".to_owned());
        self.with(|happened| happened.synced.push(asked));
        Ok(Synced { revision })
    }

    async fn follow(&self, asked: Follow) -> Result<Followed, Failure> {
        self.with(|happened| happened.followed.push(asked));
        Ok(Followed { outcome: "promoted".to_owned() })
    }
}

/// A built-in that was built before the tests.
pub(crate) fn component(name: &str) -> PathBuf {
    built(&format!("plugin_{name}.wasm"))
}

/// An example of the SDK.
pub(crate) fn example(name: &str) -> PathBuf {
    built(&format!("examples/{name}.wasm"))
}

fn built(file: &str) -> PathBuf {
    let default = concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/wasm32-wasip2/plugin");
    let folder = std::env::var_os("BESPIN_COMPONENTS").map_or_else(|| PathBuf::from(default), PathBuf::from);
    let path = folder.join(file);
    assert!(path.exists(), "{} is not there; build the plugins first: cargo xtask plugins", path.display(),);
    path
}

/// One sandbox for all tests, so that each component is compiled once.
pub(crate) fn sandbox() -> &'static Sandbox {
    static SHARED: OnceLock<(tempfile::TempDir, Sandbox)> = OnceLock::new();
    let open = || {
        let dir = tempfile::tempdir().unwrap();
        let sandbox = Sandbox::open(dir.path(), Settings::default()).unwrap();
        (dir, sandbox)
    };
    &SHARED.get_or_init(open).1
}

pub(crate) async fn plugin(name: &str) -> Plugin {
    sandbox().load_file(name, &component(name)).await.unwrap()
}

/// `grants(&[("registry", "host/name")])`.
pub(crate) fn grants(written: &[(&str, &str)]) -> Permissions {
    let mut map: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (ability, value) in written {
        map.entry((*ability).to_owned()).or_default().push((*value).to_owned());
    }
    Permissions::parse(Whose::Step, &map).unwrap()
}

/// Small enough that a test of a limit ends soon.
pub(crate) fn limits() -> Limits {
    Limits { cpu: Duration::from_millis(300), wall: Duration::from_secs(60), ..Limits::default() }
}

/// Runs a plugin in a world.
pub(crate) async fn run(world: &Arc<World>, name: &str, settings: &str, written: &[(&str, &str)]) -> Verdict {
    run_within(world, name, settings, written, &limits()).await
}

/// Runs a plugin in a world, within limits.
pub(crate) async fn run_within(
    world: &Arc<World>,
    name: &str,
    settings: &str,
    written: &[(&str, &str)],
    limits: &Limits,
) -> Verdict {
    let plugin = plugin(name).await;
    let abilities = Arc::clone(world) as Arc<dyn Abilities>;
    sandbox().run(&plugin, settings, &grants(written), limits, abilities).await
}

/// The outputs of a success.
#[track_caller]
pub(crate) fn outputs(verdict: Verdict) -> BTreeMap<String, String> {
    match verdict {
        Verdict::Succeeded { outputs } => outputs,
        other => panic!("{other:?}"),
    }
}
