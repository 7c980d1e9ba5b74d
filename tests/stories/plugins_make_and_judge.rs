//! Plugins of the configuration in a sync: one makes an Application's manifests, others judge its custom resources.
//! While a judge crashes, or the generator fails, nothing is pruned.

use reqwest::Method;
use serde_json::{Value, json};
use std::path::Path;
use world::bespin::{self, plugins};
use world::dashboard::PASSWORD;
use world::estate::{Estate, Kind, PATIENCE, declare};
use world::process::eventually;

const FOLDER: &str = "shop/app.yaml.in";
const APPLICATION: &str = "/apis/argoproj.io/v1alpha1/namespaces/argocd/applications/shop";
const GREETING: &str = "/api/v1/namespaces/shop/configmaps/greeting";
const CERTIFICATE: &str = "/apis/cert-manager.io/v1/namespaces/shop/certificates/shop";

const MANIFESTS: &str = "apiVersion: v1
kind: ConfigMap
metadata: { name: greeting }
data: { stage: @STAGE@, replicas: \"@REPLICAS@\" }
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: { name: shop }
spec: { dnsNames: [shop.example.com] }
";

#[tokio::test(flavor = "multi_thread")]
async fn on_the_playground() {
    make_and_judge(Kind::Embedded).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn on_real_parts() {
    if !Kind::Real.is_missing() {
        make_and_judge(Kind::Real).await;
    }
}

async fn make_and_judge(kind: Kind) {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = folder(dir.path());
    let estate = Estate::configured(kind, "1s", |config| config.plugins(&folder).with(ROWS)).await;
    define(&estate, "cert-manager.io", "Certificate", "certificates").await;
    define(&estate, "example.com", "Widget", "widgets").await;
    estate.commit_manifests(&[(FOLDER, MANIFESTS.to_owned())], "A shop").await;
    declare(&estate.kube, &application(&estate)).await;

    // Generated from the folder, the parameters and the environment; and judged by what the plugin says.
    let page = shows(&estate, "made and judged", |app| app["sync"] == "synced" && app["health"] == "Progressing").await;
    let certificate = resource(&page, "Certificate");
    assert_eq!(certificate["message"], "it has no condition yet", "{certificate:#}");
    let greeting = estate.kube.get(GREETING).await.expect("it is there");
    assert_eq!(greeting["data"], json!({ "stage": "test", "replicas": "3" }));
    condition(&estate, json!({ "type": "Ready", "status": "True", "message": "issued" })).await;
    shows(&estate, "healthy once the plugin says so", |app| app["health"] == "Healthy").await;
    condition(&estate, json!({ "type": "Ready", "status": "False", "reason": "Failed", "message": "no issuer" })).await;
    let page = shows(&estate, "degraded", |app| app["health"] == "Degraded").await;
    assert_eq!(resource(&page, "Certificate")["message"], "no issuer");
    condition(&estate, json!({ "type": "Ready", "status": "True" })).await;

    a_judge_that_crashes(&estate).await;
    a_generator_that_fails(&estate).await;
    shown(&estate).await;
    let after = estate.kube.get(GREETING).await.expect("nothing was pruned");
    assert_eq!(after["metadata"]["uid"], greeting["metadata"]["uid"], "it is the same object as at the beginning");
}

/// Its kind is unknown from then on; everything else goes on.
async fn a_judge_that_crashes(estate: &Estate) {
    let widget = "---\napiVersion: example.com/v1\nkind: Widget\nmetadata: { name: w }\nspec: { wants: crash }\n";
    estate.commit_manifests(&[(FOLDER, format!("{MANIFESTS}{widget}"))], "A widget").await;
    press(estate).await;
    let page = shows(estate, "unknown", |app| app["sync"] == "synced" && app["health"] == "Unknown").await;
    let widget = resource(&page, "Widget");
    let message = widget["message"].as_str().unwrap_or_default();
    assert!(message.starts_with("the plugin crashed: "), "{widget:#}");
    assert_eq!(resource(&page, "Certificate")["health"], "Healthy");
    estate.commit_manifests(&[(FOLDER, MANIFESTS.to_owned())], "No widget").await;
    press(estate).await;
    shows(estate, "healthy again", |app| app["sync"] == "synced" && app["health"] == "Healthy").await;
    let pruned = "/apis/example.com/v1/namespaces/shop/widgets/w";
    assert!(estate.kube.get(pruned).await.is_none(), "what left the generator's answer is pruned");
}

/// Then nothing is known of the manifests, and so nothing is done.
async fn a_generator_that_fails(estate: &Estate) {
    let tell = async |plugin: Value| {
        estate.kube.merge(APPLICATION, &json!({ "spec": { "source": { "plugin": plugin } } })).await;
    };
    tell(json!({ "parameters": [{ "name": "REPLICAS", "array": ["3"] }] })).await;
    warned(estate, "the generator `fill-in`: parameters: parameters.REPLICAS: invalid type").await;
    tell(json!({ "name": "nobody", "parameters": parameters() })).await;
    warned(estate, "spec.source.plugin names `nobody`, which the server's configuration does not have").await;
    assert!(estate.kube.get(GREETING).await.is_some() && estate.kube.get(CERTIFICATE).await.is_some());
    tell(json!({ "name": "fill-in" })).await;
    shows(estate, "as it was", |app| app["sync"] == "synced" && app["health"] == "Healthy").await;
}

/// The dashboard's page says what runs where.
async fn shown(estate: &Estate) {
    let page = estate.dashboard().await.get("plugins").await;
    let all = page["plugins"].as_array().cloned().unwrap_or_default();
    for (uses, table, name) in [
        ("fill-in", "generate", "fill-in"),
        ("certificates", "health", "cert-manager.io/Certificate"),
        ("misjudges", "health", "example.com/Widget"),
    ] {
        let plugin = all.iter().find(|plugin| plugin["uses"] == uses).unwrap_or_else(|| panic!("{uses}: {page:#}"));
        let serves = &plugin["serves"][0];
        assert_eq!((&serves["table"], &serves["name"]), (&json!(table), &json!(name)), "{plugin:#}");
        assert!(serves["trouble"].is_null(), "{plugin:#}");
        assert_eq!(plugin["world"], table);
    }
}

/// A component of another world keeps the server from starting, and is named.
#[test]
fn another_world_is_refused_at_the_start() {
    let dir = tempfile::tempdir().expect("a folder");
    let folder = folder(dir.path());
    let file = dir.path().join("bespin.toml");
    let data = dir.path().join("data");
    for (row, because) in [
        (
            "[[health]]\nkind = \"Pod\"\nplugin = \"fill-in\"\n",
            "health `Pod`: the plugin `fill-in` is of the world `generate`; name one of the world `health`",
        ),
        (
            "[[generate]]\nname = \"g\"\nplugin = \"slack\"\n",
            "generate `g`: the plugin `slack` is of the world `step`; name one of the world `generate`",
        ),
        ("[[health]]\nkind = \"Pod\"\nplugin = \"pods\"\n", "health `Pod`: there is no plugin `pods` in the folder"),
        ("[[health]]\nkind = \"v1/Pod\"\nplugin = \"h\"\n[[generate]]\n", "missing field `name`"),
    ] {
        let head = format!(
            "[server]\nlisten = \"127.0.0.1:0\"\nhooks = \"127.0.0.1:0\"\ndata = \"{}\"\nplugins = \"{}\"\n\
             [[user]]\nname = \"kim\"\nrole = \"viewer\"\nhash = \"{}\"\n",
            data.display(),
            folder.display(),
            bespin::hash(PASSWORD),
        );
        std::fs::write(&file, format!("{head}{row}")).expect("a file can be written");
        let (code, printed) = bespin::run(&["serve", "--config", &file.display().to_string()]);
        assert!(code != 0 && printed.contains(because), "{because} is not in {code}: {printed}");
    }
}

/// The built-ins, and examples of the SDK beside them under names of their own.
fn folder(dir: &Path) -> std::path::PathBuf {
    let examples = world::given("BESPIN_COMPONENTS").expect("BESPIN_COMPONENTS names the components").join("examples");
    let folder = dir.join("plugins");
    std::fs::create_dir(&folder).expect("a folder can be made");
    for file in std::fs::read_dir(plugins()).expect("the plugins are built").flatten() {
        std::fs::copy(file.path(), folder.join(file.file_name())).expect("a file can be copied");
    }
    for (example, name) in [("generate", "fill-in"), ("health", "certificates"), ("misjudges", "misjudges")] {
        let built = examples.join(format!("{example}.wasm"));
        std::fs::copy(built, folder.join(format!("{name}.wasm"))).expect("the examples are built");
    }
    folder
}

/// A generator and two judges of kinds.
const ROWS: &str = r#"
[[generate]]
name = "fill-in"
plugin = "fill-in"
[[health]]
kind = "cert-manager.io/Certificate"
plugin = "certificates"
[[health]]
kind = "example.com/Widget"
plugin = "misjudges"
"#;

fn parameters() -> Value {
    json!([{ "name": "REPLICAS", "string": "3" }])
}

fn application(estate: &Estate) -> Value {
    let mut application = estate.sample.application();
    application["metadata"]["name"] = "shop".into();
    application["spec"]["source"]["path"] = "shop".into();
    application["spec"]["source"]["plugin"] =
        json!({ "name": "fill-in", "env": [{ "name": "STAGE", "value": "test" }], "parameters": parameters() });
    application["spec"]["destination"]["namespace"] = "shop".into();
    application["spec"]["ignoreDifferences"] = json!([]);
    application
}

/// Defines a kind that nobody has a rule for.
async fn define(estate: &Estate, group: &str, kind: &str, plural: &str) {
    let schema = json!({ "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } });
    let definition = json!({ "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
        "metadata": { "name": format!("{plural}.{group}") },
        "spec": { "group": group, "scope": "Namespaced",
            "names": { "plural": plural, "singular": kind.to_lowercase(), "kind": kind, "listKind": format!("{kind}List") },
            "versions": [{ "name": "v1", "served": true, "storage": true, "schema": schema }] } });
    estate.kube.create("/apis/apiextensions.k8s.io/v1/customresourcedefinitions", &definition).await;
    let list = format!("/apis/{group}/v1/{plural}");
    eventually("the kind is served", PATIENCE, || async { estate.kube.get(&list).await.map(drop) }).await;
}

/// The one condition of the Certificate, as its controller would write it.
async fn condition(estate: &Estate, condition: Value) {
    let patch = json!({ "status": { "conditions": [condition] } });
    estate.kube.send(Method::PATCH, CERTIFICATE, "application/merge-patch+json", Some(&patch)).await;
}

async fn press(estate: &Estate) {
    let (status, answer) = estate.dashboard().await.press("apps/production/argocd/shop/sync").await;
    assert_eq!(status, 202, "{answer}");
}

/// Waits until the application's page is so.
async fn shows(estate: &Estate, what: &str, so: impl Fn(&Value) -> bool) -> Value {
    let dashboard = estate.dashboard().await;
    eventually(&format!("the application is {what}"), PATIENCE, || async {
        let page = dashboard.get("apps/production/argocd/shop").await;
        so(&page["app"]).then_some(page)
    })
    .await
}

async fn warned(estate: &Estate, because: &str) {
    shows(estate, because, |app| {
        app["sync"] == "unknown"
            && app["warnings"].as_array().is_some_and(|all| {
                all.iter().any(|warning| warning.as_str().is_some_and(|warning| warning.starts_with(because)))
            })
    })
    .await;
}

fn resource(page: &Value, kind: &str) -> Value {
    let rows = page["app"]["resources"].as_array().cloned().unwrap_or_default();
    rows.into_iter().find(|row| row["kind"] == kind).unwrap_or_else(|| panic!("no {kind}: {page:#}"))
}
