//! Every fault of the table, at a registry, at the ECR API and at Docker Engine.

#[path = "../../../decide/tests/faults/mod.rs"]
mod faults;

use super::*;
use crate::ecr::Ecr;
use crate::freshness::Freshness;
use crate::{Auth, Engine, Registries, RegistrySettings};
use faults::cases::Peer;

fn message(_: u16) -> String {
    r#"{"message":"a fault"}"#.into()
}

fn envelope(_: u16) -> String {
    r#"{"errors":[{"code":"UNKNOWN","message":"a fault"}]}"#.into()
}

fn told(error: &Error) -> (Retry, String) {
    (error.retry(), error.to_string())
}

fn registries(endpoint: String) -> Registries {
    let _set_before = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let auth = Auth::Basic { username: "ann".into(), password: "hush".to_owned().into() };
    Registries::new(vec![RegistrySettings { host: "a.example".into(), endpoint: Some(endpoint), auth }]).unwrap()
}

/// What is not there is no error until something is pushed to it.
#[tokio::test]
async fn a_registrys_faults_have_their_classes() {
    let digest = async |url: String| {
        let registry = registries(url).of("a.example").unwrap();
        let image = "a.example/petclinic:1".parse().unwrap();
        let error = match registry.digest(&image).await {
            Ok(None) => registry.put_blob(&image, &"a".into()).await.unwrap_err(),
            found => found.unwrap_err(),
        };
        told(&error)
    };
    faults::hold(Peer::Registry, envelope, digest).await;
}

/// An upload is the registry's client's: it hides `Retry-After`, and some statuses behind codes.
#[tokio::test]
async fn an_upload_is_never_refused_for_good_by_what_may_pass() {
    for (fault, rule, _) in faults::cases::RULES {
        let registry = registries(faults::address(fault, envelope)).of("a.example").unwrap();
        let error = registry.put_blob(&"a.example/petclinic:1".parse().unwrap(), &"a".into()).await.unwrap_err();
        assert!(error.retry().may_pass() || !rule.may_pass(), "{fault:?}: {error}");
        assert!(!error.to_string().contains("hush"), "{fault:?}: {error}");
    }
}

/// The SDK looks for credentials in the environment, which a test must not change under the others: where there are
/// none, the test is run again with some.
fn has_credentials(test: &str) -> bool {
    if std::env::var_os("AWS_ACCESS_KEY_ID").is_some() {
        return true;
    }
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", &format!("error::tests::{test}")]);
    let done = command.env("AWS_ACCESS_KEY_ID", "hush").env("AWS_SECRET_ACCESS_KEY", "hush").output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stdout));
    false
}

#[tokio::test]
async fn faults_of_the_ecr_api_have_their_classes() {
    if !has_credentials("faults_of_the_ecr_api_have_their_classes") {
        return;
    }
    let login = async |url: String| {
        let ecr = Ecr::new("ap-northeast-2".into(), Some(url));
        told(&ecr.login(Freshness::Cached).await.unwrap_err())
    };
    faults::hold(Peer::Aws, message, login).await;
}

/// AWS answers 400 for much of what others have a status for.
#[tokio::test]
async fn a_code_of_the_ecr_api_says_more_than_its_status() {
    if !has_credentials("a_code_of_the_ecr_api_says_more_than_its_status") {
        return;
    }
    type Body = fn(u16) -> String;
    let rows: [(Body, Retry); 2] = [
        (|_| r#"{"__type":"ThrottlingException","message":"Rate exceeded"}"#.into(), Retry::PASSING),
        (|_| r#"{"__type":"ExpiredTokenException","message":"expired"}"#.into(), Retry::NeedsPerson),
    ];
    for (body, retry) in rows {
        let address = faults::address(faults::cases::Fault::Status(400), body);
        let error = Ecr::new("ap-northeast-2".into(), Some(address)).login(Freshness::Cached).await.unwrap_err();
        assert_eq!(error.retry(), retry, "{error}");
    }
}

#[tokio::test]
async fn faults_of_docker_engine_have_their_classes() {
    let connect = async |url: String| told(&Engine::connect_to(&url).await.err().unwrap());
    faults::hold(Peer::Docker, message, connect).await;
}
