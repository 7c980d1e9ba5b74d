//! An image is assembled without a daemon and pushed to a real registry protocol.

use decide::image::{BuildId, ImageRef};
use decide::want::Key;
use images::{Auth, Choice, Images, Job, Registries, RegistrySettings, Silent};
use playground::faults::{Fault, Faults, Target};
use playground::registry::Registry;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::Ordering;
use tokio_util::sync::CancellationToken;

const HOST: &str = "123456789012.dkr.ecr.ap-northeast-2.amazonaws.com";

struct World {
    dir: tempfile::TempDir,
    registry: Registry,
    registries: Registries,
    faults: Faults,
    _stop: CancellationToken,
}

async fn world(password: &str) -> World {
    let _installed_before = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let dir = tempfile::tempdir().unwrap();
    let faults = Faults::default();
    let registry =
        Registry::open(dir.path().join("registry"), Some("u".into()), Some("p".into()), faults.clone()).unwrap();
    let (listener, addr) = playground::serve::bind(([127, 0, 0, 1], 0).into()).await.unwrap();
    let stop = CancellationToken::new();
    tokio::spawn(playground::serve::run(listener, registry.clone(), stop.clone()));
    let settings = RegistrySettings {
        host: HOST.into(),
        endpoint: Some(format!("http://{addr}")),
        auth: Auth::Basic { username: "u".into(), password: password.to_owned().into() },
    };
    World { dir, registry, registries: Registries::new(vec![settings]).unwrap(), faults, _stop: stop }
}

fn context(dir: &Path, greeting: &str) -> std::path::PathBuf {
    let path = dir.join("context.tar");
    let mut tar = tar::Builder::new(std::fs::File::create(&path).unwrap());
    let dockerfile = "FROM scratch\nCOPY static /app\nENV PORT=8080\nENTRYPOINT [\"/app/server\"]\n";
    for (name, content) in [("Dockerfile", dockerfile), ("static/server", greeting)] {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, content.as_bytes()).unwrap();
    }
    tar.finish().unwrap();
    path
}

fn job(dir: &Path, step: &str) -> Job {
    Job {
        key: Key { run: "o/r/p/1".into(), step: step.into() },
        dockerfile: "Dockerfile".into(),
        build_args: BTreeMap::new(),
        context: context(dir, "hello\n"),
    }
}

#[tokio::test]
async fn an_image_is_built_twice_alike_and_pushed_once() {
    let world = world("p").await;
    let images = Images::open(&world.dir.path().join("images"), Choice::Context).unwrap();
    let job = job(world.dir.path(), "image");
    assert_eq!(images.find(&job.key, &Silent).await.unwrap(), None);
    let digest = images.build(&job, &Silent).await.unwrap();
    assert_eq!(images.find(&job.key, &Silent).await.unwrap(), Some(digest.clone()));
    let again = Images::open(&world.dir.path().join("other"), Choice::Context).unwrap();
    assert_eq!(again.build(&job, &Silent).await.unwrap(), digest);

    let to: ImageRef = format!("{HOST}/petclinic-was:v1-f31bdcc").parse().unwrap();
    let registry = world.registries.of(HOST).unwrap();
    assert_eq!(registry.digest(&to).await.unwrap(), None);
    let first = registry.push(images.layout(), &digest, &to, &Silent).await.unwrap();
    assert!(first.uploaded > 0 && first.skipped == 0, "{first:?}");
    assert_eq!(registry.digest(&to).await.unwrap(), Some(digest.clone()));
    let second = registry.push(images.layout(), &digest, &to, &Silent).await.unwrap();
    assert_eq!((second.uploaded, second.skipped), (0, first.uploaded));
    assert_eq!(world.registry.counters().blobs.load(Ordering::Relaxed), 2);
    assert_eq!(registry.tags("petclinic-was").await.unwrap(), ["v1-f31bdcc"]);
    let build = BuildId { key: job.key, digest };
    assert_eq!(build.to_string().parse::<BuildId>().unwrap(), build);
}

#[tokio::test]
async fn a_refusal_is_told_from_what_may_pass() {
    let wrong = world("wrong").await;
    let to: ImageRef = format!("{HOST}/petclinic-was:v1").parse().unwrap();
    let refused = wrong.registries.of(HOST).unwrap().digest(&to).await;
    assert!(matches!(refused, Err(images::Error::Refused(_))), "{refused:?}");

    let busy = world("p").await;
    busy.faults.inject(Target::Registry, None, "/v2/petclinic-was/", Fault::Status(503), 2);
    let transient = busy.registries.of(HOST).unwrap().digest(&to).await;
    assert!(matches!(transient, Err(images::Error::Transient(_))), "{transient:?}");
    assert!(busy.registries.of("nowhere.example").is_err());
}
