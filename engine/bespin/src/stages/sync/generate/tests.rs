use super::super::SyncStage;
use super::*;
use crate::drive::Drivers;
use crate::extensions::tests::extensions;
use api::board::Board;
use sandbox::ListedKind;
use serde_json::json;
use std::sync::atomic::{AtomicUsize, Ordering};

const STREAM: &str = "app/test/argocd/petclinic";
const COMMIT: &str = "c0ffee";

/// A repository of a few files at one commit, which counts how often it is read.
#[derive(Default)]
struct Folder {
    files: BTreeMap<&'static str, String>,
    reads: AtomicUsize,
    /// A file that cannot be read at the moment.
    stuck: Option<&'static str>,
    /// A file or folder that is larger than what is read.
    large: Option<&'static str>,
}

impl Folder {
    fn measured(&self, path: &str) -> Result<(), Failure> {
        let large = || Failure::Rejected(format!("`{path}` is larger than what is read"));
        if self.large == Some(path) { Err(large()) } else { Ok(()) }
    }
}

#[async_trait]
impl Manifests for Folder {
    async fn head(&self, _: &str, _: &str) -> Result<String, Trouble> {
        Ok(COMMIT.into())
    }

    async fn files(&self, _: &str, _: &str, _: &str) -> Result<Vec<(String, String)>, Trouble> {
        Err(Trouble::passing("its files are no manifests"))
    }

    async fn file(&self, _: &str, commit: &str, path: &str, at_most: usize) -> Result<Option<Vec<u8>>, Failure> {
        assert!(commit == COMMIT && at_most > 0);
        self.reads.fetch_add(1, Ordering::SeqCst);
        if self.stuck == Some(path) {
            return Err(Failure::Transient("the mirror is busy".into()));
        }
        self.measured(path)?;
        Ok(self.files.get(path).map(|text| text.clone().into_bytes()))
    }

    async fn list(&self, _: &str, _: &str, path: &str) -> Result<Option<Vec<Listed>>, Failure> {
        self.measured(path)?;
        let below = |file: &&str| file.strip_prefix(path).and_then(|rest| rest.strip_prefix('/')).map(str::to_owned);
        let names: Vec<String> = self.files.keys().filter_map(below).filter(|name| !name.contains('/')).collect();
        let listed = |name| Listed { name, kind: ListedKind::File, size: 1 };
        Ok((!names.is_empty()).then(|| names.into_iter().map(listed).collect()))
    }

    async fn contains(&self, _: &str, _: &str, _: &str) -> Result<bool, Trouble> {
        Ok(true)
    }
}

const TEMPLATE: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: greeting }\ndata: { replicas: \"@REPLICAS@\", stage: @STAGE@ }\n";

fn folder(stuck: Option<&'static str>) -> Arc<Folder> {
    let files = [("shop/app.yaml.in", TEMPLATE.to_owned()), ("secret.yaml.in", "@REPLICAS@".to_owned())];
    Arc::new(Folder { files: files.into(), stuck, ..Folder::default() })
}

fn application(plugin: &Value) -> Application {
    let object = json!({ "metadata": { "name": "petclinic", "namespace": "argocd" },
        "spec": { "source": { "repoURL": "http://git/k8s.git", "path": "shop", "plugin": plugin },
            "destination": { "server": "https://kubernetes.default.svc", "namespace": "shop" } } });
    decide::sync::application::read(&object).unwrap()
}

fn fill_in(parameter: Value) -> Value {
    json!({ "name": "fill-in", "env": [{ "name": "STAGE", "value": "test" }], "parameters": [parameter] })
}

fn three() -> Value {
    json!({ "name": "REPLICAS", "string": "3" })
}

/// The stage with the generator `fill-in`, before a repository.
async fn stage(dir: &std::path::Path, git: &Arc<Folder>) -> (Arc<Drivers>, Arc<SyncStage>) {
    let journal = journal::open(&dir.join("journal")).unwrap();
    let drivers = Drivers::new(journal, Arc::new(Board::default()));
    let row = config::Generator { name: "fill-in".into(), plugin: "generate".into(), limits: BTreeMap::new() };
    let generators = Generators::load(&[row], &extensions(dir)).await.unwrap();
    let stage = SyncStage::extended([], git.clone(), super::super::Judges::default(), generators);
    (drivers, stage)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_and_parameters_become_manifests_once() {
    let dir = tempfile::tempdir().unwrap();
    let git = folder(None);
    let (_drivers, stage) = stage(dir.path(), &git).await;
    let app = application(&fill_in(three()));
    let read = stage.read(STREAM, &app, COMMIT).await.unwrap();
    let manifests = read.manifests.as_ref().as_ref().unwrap();
    assert_eq!(manifests.len(), 1, "what is beside the folder is not in it");
    assert_eq!(manifests[0]["data"], json!({ "replicas": "3", "stage": "test" }));
    assert_eq!(git.reads.load(Ordering::SeqCst), 1);
    stage.read(STREAM, &app, COMMIT).await.unwrap();
    assert_eq!(git.reads.load(Ordering::SeqCst), 1, "the same is not made twice");
    let other = application(&fill_in(json!({ "name": "REPLICAS", "string": "4" })));
    let read = stage.read(STREAM, &other, COMMIT).await.unwrap();
    assert_eq!(read.manifests.as_ref().as_ref().unwrap()[0]["data"]["replicas"], "4");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_author_can_fix_is_a_mistake_and_what_passes_is_no_look() {
    let dir = tempfile::tempdir().unwrap();
    let git = folder(None);
    let (_drivers, stage) = stage(dir.path(), &git).await;
    let app = application(&fill_in(json!({ "name": "REPLICAS", "array": ["3"] })));
    let mistakes = stage.read(STREAM, &app, COMMIT).await.unwrap().manifests.as_ref().clone().unwrap_err();
    assert!(
        mistakes[0].starts_with("the generator `fill-in`: parameters: parameters.REPLICAS: invalid type"),
        "{mistakes:?}"
    );
    let app = application(&fill_in(three()));
    let nowhere = Application { source: Source { path: "nowhere".into(), ..app.source.clone() }, ..app.clone() };
    let trouble = stage.read(STREAM, &nowhere, COMMIT).await.err().unwrap();
    assert_eq!(trouble.message, "http://git/k8s.git has no folder `nowhere` at c0ffee");
}

#[tokio::test(flavor = "multi_thread")]
async fn half_a_folder_makes_no_manifests() {
    let dir = tempfile::tempdir().unwrap();
    let git = folder(Some("shop/app.yaml.in"));
    let (_drivers, stage) = stage(dir.path(), &git).await;
    let trouble = stage.read(STREAM, &application(&fill_in(three())), COMMIT).await.err().unwrap();
    assert_eq!(trouble.message, "the generator `fill-in`: the mirror is busy");
}

fn workspace(git: Arc<Folder>) -> Workspace {
    Workspace {
        git,
        repo_url: String::new(),
        commit: COMMIT.into(),
        path: "shop".into(),
        log: Lines::new("generate", STREAM, "shop".into()),
        told: Mutex::default(),
    }
}

#[tokio::test]
async fn what_is_too_large_to_read_voids_an_answer_that_took_it_for_nothing() {
    let list = |path: &str| List { path: path.to_owned() };
    let read = |path: &str| Read { path: path.to_owned(), at_most: 8 };
    let nothing = || Verdict::Succeeded { outputs: Vec::new() };
    for large in ["shop/overlays", "shop/app.yaml.in"] {
        let Folder { files, .. } = Arc::into_inner(folder(None)).unwrap();
        let workspace = workspace(Arc::new(Folder { files, large: Some(large), ..Folder::default() }));
        assert!(workspace.list(list("nowhere")).await.is_err());
        assert!(workspace.read(read("nothing.yaml")).await.is_err());
        let absent = made("fill-in", workspace.told(), nothing()).unwrap();
        assert_eq!(absent.manifests, Ok(Vec::new()), "what is not there is none");
        let listed = workspace.list(list("overlays")).await.is_err();
        assert!(workspace.read(read("app.yaml.in")).await.is_err() || listed);
        let mistakes = made("fill-in", workspace.told(), nothing()).unwrap().manifests.unwrap_err();
        assert_eq!(mistakes, [format!("the generator `fill-in`: `{large}` is larger than what is read")]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_source_folder_that_is_too_large_is_a_mistake() {
    let dir = tempfile::tempdir().unwrap();
    let git = Arc::new(Folder { large: Some("shop"), ..Folder::default() });
    let (_drivers, stage) = stage(dir.path(), &git).await;
    let read = stage.read(STREAM, &application(&fill_in(three())), COMMIT).await.unwrap();
    let mistakes = read.manifests.as_ref().clone().unwrap_err();
    assert_eq!(mistakes, ["the generator `fill-in`: `shop` is larger than what is read"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_generator_that_nobody_configured_is_named() {
    let dir = tempfile::tempdir().unwrap();
    let (_drivers, stage) = stage(dir.path(), &folder(None)).await;
    let lacking = |plugin: Value| stage.generators.lacking(&application(&plugin).source);
    assert_eq!(lacking(fill_in(three())), None);
    let because = lacking(json!({ "name": "helmfile" })).unwrap();
    assert!(because.contains("names `helmfile`") && because.contains("(it has fill-in)"), "{because}");
    assert!(because.contains("add [[generate]] with name = \"helmfile\""), "{because}");
}

#[test]
fn a_mistake_names_the_text_and_the_line() {
    let texts = ["kind: ConfigMap\napiVersion: v1\nmetadata: { name: a }\n", "---\nkind: ConfigMap\n"];
    let mistakes = parse("envsubst", &texts.map(str::to_owned)).unwrap_err();
    assert_eq!(mistakes.len(), 1, "{mistakes:?}");
    assert!(
        mistakes[0].starts_with("the generator `envsubst`, text 2:2: a manifest without `apiVersion`"),
        "{mistakes:?}"
    );
    assert_eq!(
        parse("envsubst", &texts[..1].iter().map(|text| (*text).to_owned()).collect::<Vec<_>>()).unwrap().len(),
        1
    );
    let many = vec![String::new(); TEXTS + 1];
    assert!(parse("envsubst", &many).unwrap_err()[0].contains("1001 texts; 1000 are allowed"));
}

#[test]
fn a_warning_is_shown_and_the_rest_is_logged() {
    let workspace = workspace(folder(None));
    workspace.log(Level::Info, "two files");
    for n in 0..1_000 {
        workspace.log(Level::Warn, &format!("old syntax {n}"));
    }
    let remarks = workspace.told().remarks;
    assert_eq!((remarks.len(), remarks[0].as_str()), (REMARKS, "old syntax 0"));
    let places = ["", "a/b"].map(|path| workspace.place(path));
    assert_eq!(places, ["shop", "shop/a/b"]);
    let top = Workspace { path: String::new(), ..workspace };
    assert_eq!(["", "a/b"].map(|path| top.place(path)), ["", "a/b"]);
}

/// A repository whose files never come.
#[derive(Default)]
struct Hanging {
    lists: AtomicUsize,
    reads: AtomicUsize,
}

#[async_trait]
impl Manifests for Hanging {
    async fn head(&self, _: &str, _: &str) -> Result<String, Trouble> {
        Ok(COMMIT.into())
    }

    async fn files(&self, _: &str, _: &str, _: &str) -> Result<Vec<(String, String)>, Trouble> {
        Err(Trouble::passing("its files are no manifests"))
    }

    async fn file(&self, _: &str, _: &str, _: &str, _: usize) -> Result<Option<Vec<u8>>, Failure> {
        self.reads.fetch_add(1, Ordering::SeqCst);
        std::future::pending().await
    }

    async fn list(&self, _: &str, _: &str, path: &str) -> Result<Option<Vec<Listed>>, Failure> {
        if path == "shop" {
            self.lists.fetch_add(1, Ordering::SeqCst);
        }
        Ok(Some(vec![Listed { name: "app.yaml.in".into(), kind: ListedKind::File, size: 1 }]))
    }

    async fn contains(&self, _: &str, _: &str, _: &str) -> Result<bool, Trouble> {
        Ok(true)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn generators_that_hang_leave_the_other_stages_their_places() {
    let dir = tempfile::tempdir().unwrap();
    let all = extensions(dir.path());
    let row = config::Generator { name: "fill-in".into(), plugin: "generate".into(), limits: BTreeMap::new() };
    let generators = Arc::new(Generators::load(&[row], &all).await.unwrap());
    let kind = config::HealthPlugin { kind: "Pod".into(), plugin: "misjudges".into(), limits: BTreeMap::new() };
    let judges = super::super::Judges::load(&[kind], &all).await.unwrap();
    let git = Arc::new(Hanging::default());
    let many: Vec<_> = (0..3 * SHARE)
        .map(|_| {
            let (generators, git, app) = (generators.clone(), git.clone(), application(&fill_in(three())));
            tokio::spawn(async move {
                let Maker::Plugin(generator) = &app.source.maker else { return };
                let git: Arc<dyn Manifests> = git;
                drop(generators.make(STREAM, &app, generator, COMMIT, &git).await);
            })
        })
        .collect();
    let share = usize::try_from(SHARE).unwrap();
    while git.lists.load(Ordering::SeqCst) < many.len() || git.reads.load(Ordering::SeqCst) < share {
        tokio::task::yield_now().await;
    }
    let pod = json!({ "apiVersion": "v1", "kind": "Pod", "metadata": { "uid": "u1", "resourceVersion": "1" } });
    let (judged, _) = judges.ask(STREAM, "test", &[pod]).await;
    assert_eq!(judged.answers["u1"].status, decide::health::Status::Healthy, "{judged:?}");
    assert_eq!(git.reads.load(Ordering::SeqCst), share, "the others wait for their turn");
    many.iter().for_each(tokio::task::JoinHandle::abort);
}
