//! What an autoscaler owns is left alone, without a rule by anybody: while its load moves, while git changes
//! everything else of the same object, and after a restart. What it does not own is git's.

use serde_json::Value;
use world::estate::{DEPLOYMENTS, Estate, Kind, PATIENCE, ROLLOUT};
use world::process::eventually;
use world::watch::{Watch, distinct};

const WEB: &str = "petclinic/web.yaml";

#[tokio::test(flavor = "multi_thread")]
async fn through_load_commits_and_a_restart() {
    let mut estate = Estate::start(Kind::Embedded, "1s").await;
    estate.settled().await;
    let web = format!("{DEPLOYMENTS}/web");
    let watch = Watch::start(&estate.kube, DEPLOYMENTS).await;

    // 60 % is the target of each pod, so these loads of all pods together ask for 5 and then 3.
    estate.parts.playground().loads().set("petclinic", "web-hpa", 290.0);
    replicas(&estate, &web, 5).await;
    assert_eq!(owner_of_replicas(&estate, &web).await, None, "the field was handed over, and is nobody's by apply");

    commit_image(&estate, "v9-b390e30", "v10-aaaaaaa").await;
    eventually("web has git's new image and all its pods", PATIENCE, || async {
        let web = estate.kube.get(&web).await?;
        let image = web["spec"]["template"]["spec"]["containers"][0]["image"].as_str()?;
        (image.ends_with(":v10-aaaaaaa") && web["status"]["updatedReplicas"] == 5).then_some(())
    })
    .await;

    estate.restart(&[]).await;
    estate.settled().await;
    estate.parts.playground().loads().set("petclinic", "web-hpa", 170.0);
    replicas(&estate, &web, 3).await;
    commit_image(&estate, "v10-aaaaaaa", "v11-bbbbbbb").await;
    eventually("web has the newest image", PATIENCE, || async {
        let web = estate.kube.get(&web).await?;
        let image = web["spec"]["template"]["spec"]["containers"][0]["image"].as_str()?;
        image.ends_with(":v11-bbbbbbb").then_some(())
    })
    .await;

    let states = watch.states("web");
    let seen = distinct(states.iter().map(|state| state["spec"]["replicas"].as_u64()).collect::<Vec<_>>());
    assert_eq!(seen, [Some(2), Some(5), Some(3)], "only the autoscaler ever changed the number");
    let dashboard = estate.dashboard().await;
    let row = eventually("the board has web as it is now", PATIENCE, || async {
        let page = dashboard.get("apps/production/argocd/petclinic").await;
        let rows = page["app"]["resources"].as_array()?.clone();
        let mut web = rows.into_iter().filter(|row| row["kind"] == "Deployment" && row["name"] == "web");
        // The autoscaler's choice is no difference.
        web.find(|row| row["sync"] == "synced" && row["live"].as_str().is_some_and(|live| live.contains("v11-bbbbbbb")))
    })
    .await;
    assert!(row["owned"].to_string().contains("web-hpa"), "it is said whose choice the number is: {row:#}");
}

/// A Rollout is a target as well; its number goes through the Rollout's own scale.
#[tokio::test(flavor = "multi_thread")]
async fn of_a_rollout_too() {
    let estate = Estate::start(Kind::Embedded, "1s").await;
    estate.settled().await;
    estate.parts.playground().loads().set("petclinic", "was-hpa", 270.0);
    replicas(&estate, ROLLOUT, 4).await;
    eventually("was has four pods", PATIENCE, || async {
        let was = estate.kube.get(ROLLOUT).await?;
        (was["status"]["availableReplicas"] == 4).then_some(())
    })
    .await;
    estate.settled().await;
    let was = estate.rollout().await;
    assert_eq!(was["spec"]["replicas"], 4);
}

async fn replicas(estate: &Estate, path: &str, number: u64) {
    eventually(&format!("{path} has {number} replicas"), PATIENCE, || async {
        let object = estate.kube.get(path).await?;
        (object["spec"]["replicas"] == number).then_some(())
    })
    .await;
}

/// A person changes the image of web in git, and asks for a sync rather than to wait for the next look.
async fn commit_image(estate: &Estate, from: &str, to: &str) {
    let manifests = estate.manifests();
    let text = manifests.file(&manifests.head(), WEB);
    assert!(text.contains(from));
    estate.commit_manifests(&[(WEB, text.replace(from, to))], "Another web").await;
    let (status, answer) = estate.dashboard().await.press("apps/production/argocd/petclinic/sync").await;
    assert_eq!(status, 202, "{answer}");
}

/// The manager that owns `spec.replicas` by an apply, if one does.
async fn owner_of_replicas(estate: &Estate, path: &str) -> Option<String> {
    let object = estate.kube.get(path).await.expect("it is there");
    let managers = object["metadata"]["managedFields"].as_array().cloned().unwrap_or_default();
    let owns = |entry: &&Value| entry["operation"] == "Apply" && entry["fieldsV1"]["f:spec"]["f:replicas"].is_object();
    managers.iter().find(owns).and_then(|entry| entry["manager"].as_str().map(str::to_owned))
}
