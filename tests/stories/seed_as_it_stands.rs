//! The replaced system's own files, verbatim, each given to the program by the way that it would take: accepted,
//! warned about, or refused with the place and the help. Where there is no way through the program for a kind of file
//! yet, its row says what `bespin lint` makes of it today.

use serde_json::{Value, json};
use std::path::PathBuf;
use world::bespin;
use world::estate::{Estate, Kind, PATIENCE, declare};
use world::process::eventually;

/// By which way a file goes in.
#[derive(Clone, Copy)]
enum Way {
    /// As a manifest of an Application of its own.
    Manifest,
    /// As the Dockerfile of the application.
    Dockerfile,
    /// As a pipeline file; the way of all that has no other yet.
    Pipeline,
}

/// What becomes of it.
#[derive(Clone, Copy)]
enum Fate {
    /// It does what it says; these words are told of it.
    Accepted(&'static str),
    /// It is in the cluster, and what is wrong with it is said.
    Warned(&'static str),
    /// Nothing is done, and these words are said: the place, and the help.
    Refused(&'static [&'static str]),
}

use Fate::{Accepted, Refused, Warned};

const ROWS: [(&str, Way, Fate); 15] = [
    ("README.md", Way::Pipeline, Refused(&["README.md:5:38: this is no YAML", "help: put the text in quotes"])),
    ("Dockerfile.was", Way::Dockerfile, Refused(&["line 6: RUN mvn", "build on a server with a Docker Engine"])),
    ("Jenkinsfile", Way::Pipeline, Refused(&["Jenkinsfile:13:27: this is no YAML", "help: put the text in quotes"])),
    (
        "alertmanager.yaml",
        Way::Manifest,
        Refused(&["alertmanager.yaml:1: a manifest without `apiVersion`", "add it, or"]),
    ),
    // The Application is created as it stands. It names no owner, so that Bespin would only observe it.
    ("application.yaml", Way::Manifest, Accepted("Healthy")),
    ("backend.tf", Way::Pipeline, Refused(&["backend.tf:1:1: a pipeline is a map", "help: write `key: value`"])),
    ("dr-sync.sh.txt", Way::Pipeline, Refused(&["dr-sync.sh.txt:5:1: this is no YAML", "help: check the indentation"])),
    (
        "dynamodb-lock.tf",
        Way::Pipeline,
        Refused(&["dynamodb-lock.tf:1:1: a pipeline is a map", "help: write `key: value`"]),
    ),
    (
        "hpa-was.fragment.yaml",
        Way::Manifest,
        Refused(&["hpa-was.fragment.yaml:1: a manifest without `apiVersion`", "add it"]),
    ),
    // Alone it has no target.
    ("hpa-web.yaml", Way::Manifest, Warned("Deployment \"web\" not found")),
    ("networkpolicy-was.yaml", Way::Manifest, Accepted("Healthy")),
    (
        "nginx-web.conf",
        Way::Pipeline,
        Refused(&["nginx-web.conf:1:1: a pipeline is a map", "help: write `key: value`"]),
    ),
    (
        "redis-helm-install.sh.txt",
        Way::Pipeline,
        Refused(&["redis-helm-install.sh.txt:1:1: a pipeline is a map", "help: "]),
    ),
    (
        "role-developer.yaml",
        Way::Manifest,
        Warned("`logs` is no resource, so that its rule grants nothing; write `pods/log`"),
    ),
    ("rollout-was.yaml", Way::Manifest, Warned("spec.selector: is missing (help: write spec.selector.matchLabels")),
];

#[tokio::test(flavor = "multi_thread")]
async fn row_by_row() {
    let mut files: Vec<_> = std::fs::read_dir(folder()).expect("the seed is there").collect();
    files.retain(|entry| entry.as_ref().is_ok_and(|entry| entry.path().is_file()));
    assert_eq!(files.len(), ROWS.len(), "every file of the seed has its row");
    let estate = Estate::undeclared(Kind::Embedded, "1s").await;
    for (file, way, fate) in ROWS {
        match way {
            Way::Pipeline => linted(file, fate),
            Way::Manifest => synced(&estate, file, fate).await,
            Way::Dockerfile => built(&estate, file, fate).await,
        }
    }
    around_the_weights(&estate).await;
    let petclinic = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/petclinic";
    let petclinic = estate.kube.get(petclinic).await.expect("the seed's Application is there");
    assert!(petclinic["status"].is_null(), "nobody gave it to us, so not even its status is written: {petclinic:#}");
    let text = std::fs::read_to_string(folder().join("rollout-was.yaml")).expect("it is there");
    assert!(text.contains("setWeight: 10\n          pause: {duration: 30s}"), "weight and pause in one step");
}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("seed")
}

fn read(file: &str) -> String {
    std::fs::read_to_string(folder().join(file)).expect("the seed's files are text")
}

fn linted(file: &str, fate: Fate) {
    let (code, printed) = bespin::run(&["lint", &folder().join(file).display().to_string()]);
    let Refused(words) = fate else { panic!("{file}: no file of the seed is a pipeline of ours") };
    assert_eq!(code, 1, "{printed}");
    for word in words {
        assert!(printed.contains(word), "{file}: {word} is not in\n{printed}");
    }
}

/// Gives the file a folder and an Application of its own, and reads what the dashboard says then.
async fn synced(estate: &Estate, file: &str, fate: Fate) {
    let name = file.replace('.', "-");
    let folder = format!("seed/{name}");
    estate.commit_manifests(&[(format!("{folder}/{file}").as_str(), read(file))], "As it stands").await;
    let mut application = estate.sample.application();
    application["metadata"]["name"] = json!(name);
    application["spec"]["source"]["path"] = json!(folder);
    declare(&estate.kube, &application).await;
    let dashboard = estate.dashboard().await;
    let what = format!("{file} fares as its row says");
    eventually(&what, PATIENCE, || async {
        let page = dashboard.get(&format!("apps/production/argocd/{name}")).await;
        fares(&page, fate).then_some(())
    })
    .await;
}

/// `nginx-web.conf` sends to a Service `was-service`, of which the document shows no more than the name. As anybody
/// would write it, it selects both versions.
async fn around_the_weights(estate: &Estate) {
    assert!(read("nginx-web.conf").contains("server was-service.petclinic.svc.cluster.local:8080;"));
    let manifests = estate.manifests();
    let sample = |file: &str| manifests.file(&manifests.head(), &format!("petclinic/{file}"));
    let service = "apiVersion: v1\nkind: Service\nmetadata:\n  name: was-service\nspec:\n  selector: {app: was}\n  \
                   ports:\n  - port: 8080\n";
    let files = [
        ("around/was-rollout.yaml", sample("was-rollout.yaml")),
        ("around/was-services.yaml", sample("was-services.yaml")),
        ("around/was-service.yaml", service.to_owned()),
    ];
    estate.commit_manifests(&files, "What the web tier sends to").await;
    let mut application = estate.sample.application();
    application["metadata"]["name"] = json!("around");
    application["spec"]["source"]["path"] = json!("around");
    application["spec"]["destination"]["namespace"] = json!("around");
    declare(&estate.kube, &application).await;
    let dashboard = estate.dashboard().await;
    eventually("the Service that goes around the weights is told of", PATIENCE, || async {
        let page = dashboard.get("apps/production/argocd/around").await;
        fares(&page, Warned("was-service in around selects the pods of both versions of the Rollout was")).then_some(())
    })
    .await;
}

fn fares(page: &Value, fate: Fate) -> bool {
    let (app, said) = (&page["app"], page["status"]["message"].as_str().unwrap_or_default());
    match fate {
        Accepted(health) => app["sync"] == "synced" && app["health"] == health,
        Warned(word) => {
            let messages = app["resources"].as_array().into_iter().flatten().map(|row| &row["message"]);
            let mut told = messages.chain(app["warnings"].as_array().into_iter().flatten()).filter_map(Value::as_str);
            app["sync"] == "synced" && told.any(|message| message.contains(word))
        }
        Refused(words) => app["sync"] == "unknown" && words.iter().all(|word| said.contains(word)),
    }
}

/// Builds it in process, where nothing can be run.
async fn built(estate: &Estate, file: &str, fate: Fate) {
    let pushed = estate.push(&[("was/Dockerfile", read(file))], "The estate's own Dockerfile").await;
    let run = estate.ended(&pushed.after).await;
    let said = run["status"]["message"].as_str().unwrap_or_default();
    let Refused(words) = fate else { panic!("{file} has a RUN, which nothing in process can do") };
    assert_eq!(run["state"], "failed", "{run:#}");
    for word in words {
        assert!(said.contains(word), "{file}: {word} is not in: {said}");
    }
}
