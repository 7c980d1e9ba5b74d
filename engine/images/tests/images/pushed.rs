//! Pushing: to the playground's registry, and to a real one behind the ECR API.

use crate::port::free_port;
use crate::world::{HOST, Log, Made, Program, Served, Shop, known, real};
use decide::retry::Retry;
use images::{Auth, Choice, Error, Registries};
use pipeline::{Digest, ImageRef};
use playground::faults::{Fault, Target};
use std::path::Path;
use std::process::Command;
use std::sync::atomic::Ordering;

fn named(tag: &str) -> ImageRef {
    format!("{HOST}/petclinic-was:{tag}").parse().unwrap()
}

async fn built(shop: &Shop, step: &str, text: &[u8]) -> Digest {
    let files = [Made::File("Dockerfile", b"FROM scratch\nCOPY f /f\n", 0o644), Made::File("f", text, 0o644)];
    shop.images.build(&shop.job(step, 0, &files), &Log::default()).await.unwrap()
}

async fn push(shop: &Shop, to: &Registries, digest: &Digest, tag: &str, log: &Log) -> Result<images::Pushed, Error> {
    to.of(HOST).unwrap().push(shop.images.layout(), digest, &named(tag), log).await
}

#[tokio::test]
async fn a_push_names_the_digest_and_skips_what_is_there() {
    let (shop, served) = (Shop::new(Choice::Context), Served::start().await);
    let registries = served.known("secret");
    let registry = registries.of(HOST).unwrap();
    let digest = built(&shop, "image", b"one").await;
    assert_eq!(registry.digest(&named("v1")).await.unwrap(), None);

    let log = Log::default();
    let first = push(&shop, &registries, &digest, "v1", &log).await.unwrap();
    assert!(first.uploaded > 0 && first.skipped == 0, "{first:?}");
    assert_eq!(registry.digest(&named("v1")).await.unwrap(), Some(digest.clone()));
    assert!(log.text().contains(&format!("{HOST}/petclinic-was:v1")), "names stay as they are: {}", log.text());

    let again = push(&shop, &registries, &digest, "v2", &Log::default()).await.unwrap();
    assert_eq!((again.uploaded, again.skipped), (0, first.uploaded));
    assert_eq!(served.registry.counters().blobs.load(Ordering::SeqCst), 2, "a layer and a configuration, once");
    assert_eq!(registry.tags("petclinic-was").await.unwrap(), ["v1", "v2"]);
    assert_eq!(registry.tags("nowhere").await.unwrap(), Vec::<String>::new());
}

#[tokio::test]
async fn a_tag_of_another_image_stays() {
    let (shop, served) = (Shop::new(Choice::Context), Served::start().await);
    let registries = served.known("secret");
    let (one, two) = (built(&shop, "one", b"1").await, built(&shop, "two", b"2").await);
    push(&shop, &registries, &one, "v1", &Log::default()).await.unwrap();
    let refused = push(&shop, &registries, &two, "v1", &Log::default()).await.unwrap_err();
    assert!(matches!(&refused, Error::Taken(because) if because.contains("never overwritten")), "{refused}");
    assert_eq!(registries.of(HOST).unwrap().digest(&named("v1")).await.unwrap(), Some(one));
}

#[tokio::test]
async fn a_wrong_password_is_refused_and_not_shown() {
    let (shop, served) = (Shop::new(Choice::Context), Served::start().await);
    let registries = served.known("hunter2");
    let digest = built(&shop, "image", b"one").await;
    let log = Log::default();
    let error = push(&shop, &registries, &digest, "v1", &log).await.unwrap_err();
    assert_eq!(error.retry(), Retry::NeedsPerson, "{error}");
    assert!(error.to_string().contains("401") && error.to_string().contains("`auth`"), "{error}");
    assert!(!format!("{error:?} {}", log.text()).contains("hunter2"));
}

/// Whatever breaks, and wherever: what is said afterwards is true, and trying again ends it.
#[tokio::test]
async fn a_push_that_breaks_is_carried_on() {
    let faults = [
        ("GET", "/v2/", Fault::Status(503)),
        ("HEAD", "blobs", Fault::Drop),
        ("POST", "uploads", Fault::Status(500)),
        ("PUT", "uploads", Fault::DropAfter),
        ("PUT", "manifests", Fault::Drop),
        ("PUT", "manifests", Fault::DropAfter),
    ];
    for (method, path, fault) in faults {
        let (shop, served) = (Shop::new(Choice::Context), Served::start().await);
        let registries = served.known("secret");
        let digest = built(&shop, "image", b"one").await;
        served.faults.inject(Target::Registry, Some(method), path, fault, 1);
        let case = format!("{method} {path} {fault:?}");
        match push(&shop, &registries, &digest, "v1", &Log::default()).await {
            // The client may get over a fault by itself.
            Ok(_) => {}
            Err(error) if error.passes() => {
                push(&shop, &registries, &digest, "v1", &Log::default())
                    .await
                    .unwrap_or_else(|error| panic!("{case}: {error}"));
            }
            Err(error) => panic!("{case}: {error}"),
        }
        let found = registries.of(HOST).unwrap().digest(&named("v1")).await.unwrap();
        assert_eq!(found, Some(digest), "{case}");
    }
}

#[tokio::test]
async fn an_unknown_host_and_a_bad_endpoint_are_named() {
    let error = Registries::default().of("registry.local").err().unwrap();
    assert!(error.to_string().contains("[[registry]]"), "{error}");
    for endpoint in ["registry.local", "ftp://registry.local", "http://", "https://a.b/path", "http://u:p@a.b"] {
        let settings =
            images::RegistrySettings { host: "a.b".into(), endpoint: Some(endpoint.into()), auth: Auth::None };
        assert!(Registries::new(vec![settings]).is_err(), "{endpoint}");
    }
    // Nothing listens there: that may pass.
    let _set_before = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let away = known(&format!("http://127.0.0.1:{}", free_port()), Auth::None);
    let error = away.of(HOST).unwrap().digest(&named("v1")).await.unwrap_err();
    assert_eq!(error.retry(), Retry::PASSING, "{error}");
}

#[tokio::test]
async fn a_password_is_exchanged_while_the_process_runs() {
    let served = Served::start().await;
    let password = std::sync::Arc::new(std::sync::Mutex::new("old".to_owned()));
    let kept = password.clone();
    let read = images::RegistrySecret::read_by(move || kept.lock().unwrap().clone().into());
    let registries =
        known(&format!("http://{}", served.address), Auth::Basic { username: "AWS".into(), password: read });
    let registry = registries.of(HOST).unwrap();
    assert_eq!(registry.digest(&named("v1")).await.unwrap_err().retry(), Retry::NeedsPerson);
    *password.lock().unwrap() = "secret".into();
    assert_eq!(registry.digest(&named("v1")).await.unwrap(), None, "it is let in, and there is no such tag");
}

/// docker-registry, which admits whom moto's ECR API names.
#[tokio::test]
async fn a_real_registry_behind_the_ecr_api() {
    let (Some(registry), Some(moto)) = (real("docker-registry", None), real("moto_server", Some("BESPIN_MOTO"))) else {
        return;
    };
    let Some(htpasswd) = real("htpasswd", None) else { return };
    if std::env::var_os("AWS_ACCESS_KEY_ID").is_none() {
        return again_with_credentials("pushed::a_real_registry_behind_the_ecr_api");
    }
    let shop = Shop::new(Choice::Context);
    let (mut registry, endpoint) = start_registry(&registry, &htpasswd, shop.dir.path());
    let api_port = free_port();
    let mut command = Command::new(moto);
    command.args(["-H", "127.0.0.1", "-p", &api_port.to_string()]);
    let mut api = Program::start(&mut command, &shop.dir.path().join("moto.log"));
    let listens = |url: String| async move { reqwest::get(url).await.is_ok() };
    registry.ready(async || listens(format!("{endpoint}/v2/")).await).await;
    api.ready(async || listens(format!("http://127.0.0.1:{api_port}/moto-api/")).await).await;
    let api_endpoint = Some(format!("http://127.0.0.1:{api_port}"));
    let registries = known(&endpoint, Auth::Ecr { region: "ap-northeast-2".into(), api_endpoint });
    let digest = built(&shop, "image", b"one").await;
    let log = Log::default();
    let first = push(&shop, &registries, &digest, "v1", &log).await.unwrap();
    assert!(first.uploaded > 0 && first.skipped == 0, "{first:?}");
    let again = push(&shop, &registries, &digest, "v2", &log).await.unwrap();
    assert_eq!((again.uploaded, again.skipped), (0, first.uploaded));
    let found = registries.of(HOST).unwrap();
    assert_eq!(found.digest(&named("v2")).await.unwrap(), Some(digest));
    assert_eq!(found.digest(&named("v3")).await.unwrap(), None);
    assert_eq!(found.tags("petclinic-was").await.unwrap(), ["v1", "v2"]);
    assert!(!log.text().contains("auth-token"), "{}", log.text());
}

/// The SDK looks for credentials in the environment, which a test must not change under the others.
fn again_with_credentials(test: &str) {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", test]).env("AWS_ACCESS_KEY_ID", "test").env("AWS_SECRET_ACCESS_KEY", "test");
    let done = command.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
}

fn start_registry(program: &Path, htpasswd: &Path, dir: &Path) -> (Program, String) {
    let port = free_port();
    let passwords = dir.join("htpasswd");
    let made = Command::new(htpasswd).args(["-Bbn", "AWS", "123456789012-auth-token"]).output().unwrap();
    std::fs::write(&passwords, made.stdout).unwrap();
    let config = serde_json::json!({
        "version": 0.1,
        "storage": { "filesystem": { "rootdirectory": dir.join("registry") } },
        "http": { "addr": format!("127.0.0.1:{port}") },
        "auth": { "htpasswd": { "realm": "ecr", "path": passwords } },
    });
    let file = dir.join("registry.yml");
    std::fs::write(&file, config.to_string()).unwrap();
    let registry = Program::start(Command::new(program).arg("serve").arg(&file), &dir.join("registry.log"));
    (registry, format!("http://127.0.0.1:{port}"))
}
