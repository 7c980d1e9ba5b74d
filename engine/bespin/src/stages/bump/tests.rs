//! Bumps against a real git server.

use super::*;
use crate::drive::Drivers;
use crate::requests::request;
use crate::stages::git_server::{GitServer, PASSWORD, USER};
use api::board::Board;
use decide::bump::Intent;
use decide::next::Phase;
use decide::request::Key;
use decide::stream::Stream;
use forge::{Credentials, Remote, Settings};
use serde_json::Value;

const NAME: &str = "123456789012.dkr.ecr.ap-northeast-2.amazonaws.com/petclinic";
const REPOSITORY: &str = "user/k8s-manifests";

struct World {
    git: GitServer,
    url: String,
    drivers: Arc<Drivers>,
    directory: tempfile::TempDir,
}

fn manifest(name: &str) -> String {
    format!(
        "# {name}\nkind: Deployment\nspec:\n  template:\n    spec:\n      containers:\n      - image: '{NAME}-{name}:v1' # ours\n"
    )
}

impl World {
    async fn new() -> World {
        let git = GitServer::start().await;
        let files = [("petclinic/was.yaml", manifest("was")), ("petclinic/web.yaml", manifest("web"))];
        let url = git.create(REPOSITORY, &files.each_ref().map(|(path, text)| (*path, text.as_str())));
        let directory = tempfile::tempdir().unwrap();
        let drivers = server(&git, &directory, "journal");
        World { git, url, drivers, directory }
    }

    fn intent(&self, image: &str) -> Intent {
        let image = format!("{NAME}-{image}");
        Intent { repo: self.url.clone(), branch: None, path: "petclinic".into(), image, message: None }
    }

    async fn bump(&self, run: &str, image: &str) -> Result<Value, sandbox::Failure> {
        bump(&self.drivers, run, self.intent(image)).await
    }

    fn commits(&self) -> String {
        self.git.git(REPOSITORY, &["rev-list", "--count", "main"])
    }

    fn text(&self, path: &str) -> String {
        self.git.git(REPOSITORY, &["show", &format!("main:{path}")])
    }
}

fn server(git: &GitServer, directory: &tempfile::TempDir, name: &str) -> Arc<Drivers> {
    let journal = journal::open(&directory.path().join(name)).unwrap();
    let drivers = Drivers::new(journal, Arc::new(Board::default()));
    let credentials = Credentials::Basic { username: USER.into(), password: PASSWORD.into() };
    let remotes = vec![Remote { url: git.url.clone(), credentials, plain_http: Default::default() }];
    let settings = Settings { remotes, ..Settings::default() };
    let forge = Forge::new(settings, directory.path().join(format!("git-{name}"))).unwrap();
    drivers.register(&BumpStage::new(&forge));
    drivers
}

async fn bump(drivers: &Arc<Drivers>, run: &str, intent: Intent) -> Result<Value, sandbox::Failure> {
    let key = Key { run: run.into(), step: "bump".into() };
    let stream = Stream::bump(run, "bump");
    let asking = request::<Entry>(drivers, &stream, &key, intent, |_| {});
    let in_time = tokio::time::timeout(std::time::Duration::from_secs(60), asking).await;
    in_time.unwrap_or_else(|_| panic!("no answer: {:?}", drivers.board().statuses()))
}

#[tokio::test]
async fn a_bump_lands_once_and_changes_one_line() {
    let world = World::new().await;
    let outputs = world.bump("user/petclinic/was/2", "was:v2").await.unwrap();
    assert_eq!(outputs["commit"], world.git.git(REPOSITORY, &["rev-parse", "main"]));
    assert_eq!(outputs["changed"], "true");
    assert_eq!(world.text("petclinic/was.yaml"), manifest("was").replace(":v1", ":v2").trim_end());
    let message = world.git.git(REPOSITORY, &["log", "-1", "--format=%B", "main"]);
    assert!(message.starts_with("Bump petclinic-was to v2\n\nBespin-Run: user/petclinic/was/2\n"), "{message}");
    // The same request joins the first; another step that asks for the same finds it done.
    assert_eq!(world.bump("user/petclinic/was/2", "was:v2").await.unwrap(), outputs);
    assert_eq!(world.bump("user/petclinic/other/1", "was:v2").await.unwrap()["changed"], "false");
    assert_eq!(world.commits(), "2");
    let error = world.bump("user/petclinic/was/3", "wax:v2").await.unwrap_err();
    assert!(format!("{error:?}").contains("nearest names there"), "{error:?}");
}

#[tokio::test]
async fn many_bumps_at_once_all_land() {
    let world = World::new().await;
    // Another server of its own, with a mirror of its own, bumps at the same time.
    let drivers = server(&world.git, &world.directory, "other");
    let intent = world.intent("web:v2");
    let (was, web, again) = tokio::join!(
        world.bump("user/petclinic/was/2", "was:v2"),
        bump(&drivers, "user/petclinic/web/2", intent),
        world.bump("user/petclinic/was/3", "was:v3"),
    );
    web.unwrap();
    again.unwrap();
    // The older run of the same pipeline lands first, or is superseded; it never wins.
    if let Err(error) = was {
        assert!(format!("{error:?}").contains("superseded"), "{error:?}");
    }
    assert!(world.text("petclinic/was.yaml").contains(":v3"));
    assert!(world.text("petclinic/web.yaml").contains(":v2"));
}

#[tokio::test]
async fn an_older_run_does_not_bump_back() {
    let world = World::new().await;
    world.bump("user/petclinic/was/9", "was:v9").await.unwrap();
    let error = world.bump("user/petclinic/was/8", "was:v8").await.unwrap_err();
    assert!(format!("{error:?}").contains("user/petclinic/was/9 has bumped"), "{error:?}");
    assert_eq!(world.commits(), "2");
}

#[tokio::test]
async fn a_refused_push_needs_a_person_and_lands_once_the_remote_takes_it() {
    let world = World::new().await;
    world.git.refuse(REPOSITORY);
    let status = async {
        let mut changed = world.drivers.board().changed();
        loop {
            changed.mark_unchanged();
            let statuses = world.drivers.board().statuses();
            let refused = statuses.values().find(|one| one.status.message.contains("refuses the push to `main`"));
            if let Some(refused) = refused {
                // A person gives the right that was missing.
                std::fs::remove_file(world.git.bare(REPOSITORY).join("hooks/update")).unwrap();
                return refused.status.clone();
            }
            changed.changed().await.unwrap();
        }
    };
    let (landed, status) = tokio::join!(world.bump("user/petclinic/was/2", "was:v2"), status);
    assert_eq!((status.phase, status.message.contains("hook")), (Phase::Blocked, true), "{}", status.message);
    assert_eq!(landed.unwrap()["changed"], "true");
    assert_eq!(world.commits(), "2");
    let gone = Intent { branch: Some("gone".into()), ..world.intent("was:v2") };
    let error = bump(&world.drivers, "user/petclinic/was/3", gone).await.unwrap_err();
    assert!(format!("{error:?}").contains("no branch `gone`"), "{error:?}");
    let local = Intent { repo: world.git.bare(REPOSITORY).display().to_string(), ..world.intent("was:v2") };
    let error = bump(&world.drivers, "user/petclinic/was/4", local).await.unwrap_err();
    assert!(format!("{error:?}").contains("path of this machine"), "{error:?}");
}

/// Dies after the push and before the answer: the trailer is the memory.
#[tokio::test]
async fn cut_anywhere_there_is_one_commit() {
    let world = World::new().await;
    let run = "user/petclinic/was/2";
    let outputs = world.bump(run, "was:v2").await.unwrap();
    let whole = world.drivers.journal().tail(0, 100).await.unwrap();
    assert_eq!(whole.iter().map(|e| e.kind.as_str()).collect::<Vec<_>>(), ["wanted", "answered"]);
    for cut in 0..=whole.len() {
        let drivers = server(&world.git, &world.directory, &format!("cut-{cut}"));
        for entry in &whole[..cut] {
            let (by, kind, body) = (entry.by.clone(), entry.kind.clone(), entry.body.clone());
            let again = journal::NewEntry { at_ms: entry.at_ms, by, kind, body };
            drivers.journal().append(&entry.stream, entry.index, vec![again]).await.unwrap();
        }
        assert_eq!(bump(&drivers, run, world.intent("was:v2")).await.unwrap(), outputs, "cut after {cut}");
        assert_eq!(world.commits(), "2", "cut after {cut}");
        drivers.stop().await;
    }
}
