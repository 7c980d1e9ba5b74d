//! Each real part starts, answers and stops on this machine.

use serde_json::json;
use world::{docker::Docker, given, has, kube::ControlPlane, missing, registry::Registry};

#[tokio::test]
async fn the_control_plane_serves_and_collects() {
    let Some(bin) = given("BESPIN_KUBERNETES") else {
        assert!(missing("the Kubernetes control plane", false));
        return;
    };
    if missing("etcd", has("etcd")) {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let plane = ControlPlane::start(&bin, dir.path()).await;
    let map = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "m" }, "data": { "a": "b" } });
    let made = plane.kube.create("/api/v1/namespaces/default/configmaps", &map).await;
    assert_eq!(made["data"]["a"], "b");
    let merged = plane.kube.merge("/api/v1/namespaces/default/configmaps/m", &json!({ "data": { "a": "c" } })).await;
    assert_eq!(merged["data"]["a"], "c");
}

#[tokio::test]
async fn the_docker_engine_answers() {
    if missing("Docker Engine", has("dockerd") && has("docker")) {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let docker = Docker::start(dir.path()).await;
    let info =
        std::process::Command::new("docker").args(["--host", &docker.host, "info"]).output().expect("docker runs");
    assert!(String::from_utf8_lossy(&info.stdout).contains("Storage Driver: overlay2"));
}

#[tokio::test]
async fn the_registry_admits_whom_the_ecr_api_names() {
    let Some(moto) = given("BESPIN_MOTO") else {
        assert!(missing("moto", false));
        return;
    };
    if missing("docker-registry", has("docker-registry") && has("htpasswd")) {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let registry = Registry::start(&moto, dir.path()).await;
    assert!(registry.images().tags("petclinic-was").await.is_empty());
    let anonymous = reqwest::get(format!("{}/v2/_catalog", registry.url)).await.expect("it answers");
    assert_eq!(anonymous.status(), 401);
}
