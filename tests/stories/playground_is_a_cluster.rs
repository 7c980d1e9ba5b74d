//! The same requests to the playground and to the real control plane: what the stories lean on is answered alike.
//!
//! Compared are the status and the body, without what differs from one server to the next: uids, versions, times.

use playground::{Options, Playground};
use reqwest::Method;
use serde_json::{Value, json};
use world::kube::{ControlPlane, Kube};
use world::process::eventually;
use world::watch::Watch;
use world::{given, has, missing};

/// A request, and how much of the answer is compared.
struct Asked {
    what: &'static str,
    method: Method,
    path: String,
    kind: &'static str,
    body: Option<Value>,
}

const JSON: &str = "application/json";
const MERGE: &str = "application/merge-patch+json";
const APPLY: &str = "application/apply-patch+yaml";
const MAPS: &str = "/api/v1/namespaces/compared/configmaps";
const DEPLOYMENTS: &str = "/apis/apps/v1/namespaces/compared/deployments";
const HPAS: &str = "/apis/autoscaling/v2/namespaces/compared/horizontalpodautoscalers";

#[tokio::test(flavor = "multi_thread")]
async fn as_the_real_one_answers() {
    let bin = given("BESPIN_KUBERNETES");
    if missing("the Kubernetes control plane", bin.is_some() && has("etcd")) {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let plane = ControlPlane::start(&bin.expect("it is there"), dir.path()).await;
    // Without nodes no pod ever runs, and nothing moves by itself but what controllers write.
    let options = Options { nodes: 0, ..Options::default() };
    let playground = Playground::start(&dir.path().join("playground"), options).await.expect("the playground starts");
    let ours = Kube::new(&playground.kube_url, &playground.kube_token, None);
    let mut differing = Vec::new();
    let (mut told_ours, mut told_theirs) = (None, None);
    for asked in requests() {
        let (ours_now, theirs_now) = (ask(&ours, &asked).await, ask(&plane.kube, &asked).await);
        if ours_now != theirs_now {
            differing.push(format!(
                "{}:\nplayground {}\nreal       {}",
                asked.what,
                show(&ours_now),
                show(&theirs_now)
            ));
        }
        if told_ours.is_none() && asked.path == "/api/v1/namespaces" {
            told_ours = Some(Watch::start(&ours, MAPS).await);
            told_theirs = Some(Watch::start(&plane.kube, MAPS).await);
        }
    }
    let (ours, theirs) = (told_ours.expect("it began"), told_theirs.expect("it began"));
    let order = |watch: &Watch| -> Vec<_> {
        let all = watch.all();
        let ours = all.iter().filter(|object| object["metadata"]["name"] != "kube-root-ca.crt");
        ours.map(|object| (object["metadata"]["name"].clone(), object["data"].clone())).collect()
    };
    eventually("both watches have told the last change", std::time::Duration::from_secs(30), || async {
        (order(&ours).last()?.0 == "last" && order(&theirs).last()?.0 == "last").then_some(())
    })
    .await;
    if order(&ours) != order(&theirs) {
        differing.push(format!("the watches:\nplayground {:?}\nreal       {:?}", order(&ours), order(&theirs)));
    }
    assert!(differing.is_empty(), "{} requests are answered otherwise:\n\n{}", differing.len(), differing.join("\n\n"));
}

fn requests() -> Vec<Asked> {
    [objects(), applies(), workloads(), endings()].into_iter().flatten().collect()
}

fn ask_for(what: &'static str, method: Method, path: &str, kind: &'static str, body: Option<Value>) -> Asked {
    Asked { what, method, path: path.into(), kind, body }
}

fn get(what: &'static str, path: &str) -> Asked {
    ask_for(what, Method::GET, path, JSON, None)
}

fn post(what: &'static str, path: &str, body: Value) -> Asked {
    ask_for(what, Method::POST, path, JSON, Some(body))
}

fn merge(what: &'static str, path: &str, body: Value) -> Asked {
    ask_for(what, Method::PATCH, path, MERGE, Some(body))
}

fn delete(what: &'static str, path: &str, body: Option<Value>) -> Asked {
    ask_for(what, Method::DELETE, path, JSON, body)
}

fn apply(what: &'static str, path: &str, manager: &str, body: Value) -> Asked {
    ask_for(what, Method::PATCH, &format!("{path}?fieldManager={manager}"), APPLY, Some(body))
}

fn map(name: &str, data: Value) -> Value {
    let metadata = json!({ "name": name, "namespace": "compared" });
    json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data })
}

fn objects() -> Vec<Asked> {
    let compared = json!({ "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": "compared" } });
    let homeless = json!({ "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "a" } });
    vec![
        get("a namespace that is not there", "/api/v1/namespaces/compared"),
        post("a namespace", "/api/v1/namespaces", compared),
        post("into a missing namespace", "/api/v1/namespaces/nowhere/configmaps", homeless),
        post("an object", MAPS, map("created", json!({ "k": "v" }))),
        post("the same again", MAPS, map("created", json!({ "k": "v" }))),
        post("of another namespace than the path's", "/api/v1/namespaces/default/configmaps", map("a", json!({}))),
        post("with a bad name", MAPS, map("Not_A_Name", json!({}))),
        get("an object that is not there", &format!("{MAPS}/absent")),
        get("a kind that is not there", "/apis/example.com/v1/things"),
    ]
}

fn applies() -> Vec<Asked> {
    let a = format!("{MAPS}/a");
    let stale = json!({ "metadata": { "resourceVersion": "1" }, "data": { "m": "5" } });
    vec![
        apply("an object is born by an apply", &a, "one", map("a", json!({ "x": "1", "y": "1" }))),
        apply("nothing changes", &a, "one", map("a", json!({ "x": "1", "y": "1" }))),
        apply("another manager adds a field", &a, "two", map("a", json!({ "z": "2" }))),
        apply("a conflict", &a, "two", map("a", json!({ "x": "2", "z": "2" }))),
        apply("a conflict, forced", &a, "two&force=true", map("a", json!({ "x": "2", "z": "2" }))),
        apply("a field that is no longer applied goes", &a, "one", map("a", json!({}))),
        apply("a rehearsal", &a, "three&dryRun=All", map("a", json!({ "w": "3" }))),
        merge("a merge", &a, json!({ "data": { "m": "4", "z": null } })),
        merge("a merge with a stale version", &a, stale),
    ]
}

fn workloads() -> Vec<Asked> {
    let web = format!("{DEPLOYMENTS}/web");
    let three = json!({ "spec": { "replicas": 3 } });
    let aimless = json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": { "name": "bad" },
        "spec": { "maxReplicas": 1 },
    });
    vec![
        apply("a deployment with its defaults", &web, "one", deployment(2)),
        merge("scaled", &format!("{web}/scale?fieldManager=kubectl"), three),
        get("its scale", &format!("{web}/scale")),
        apply("applied against the scale", &web, "one", deployment(2)),
        apply("applied without replicas", &web, "one", without_replicas()),
        post("an autoscaler with its defaults", HPAS, autoscaler()),
        post("an autoscaler without a target", HPAS, aimless),
    ]
}

fn endings() -> Vec<Asked> {
    let a = format!("{MAPS}/a");
    let other = json!({ "preconditions": { "uid": "00000000-0000-0000-0000-000000000000" } });
    vec![
        delete("with another's uid", &a, Some(other)),
        delete("deleted", &a, None),
        delete("deleted before", &a, None),
        post("the last", MAPS, map("last", json!({ "the": "end" }))),
    ]
}

fn deployment(replicas: u32) -> Value {
    let mut deployment = without_replicas();
    deployment["spec"]["replicas"] = json!(replicas);
    deployment
}

fn without_replicas() -> Value {
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": "web", "namespace": "compared" },
        "spec": {
            "selector": { "matchLabels": { "app": "web" } },
            "template": {
                "metadata": { "labels": { "app": "web" } },
                "spec": { "containers": [{ "name": "web", "image": "example.com/web:1", "ports": [{ "containerPort": 80 }] }] },
            },
        },
    })
}

fn autoscaler() -> Value {
    json!({
        "apiVersion": "autoscaling/v2", "kind": "HorizontalPodAutoscaler", "metadata": { "name": "web" },
        "spec": { "scaleTargetRef": { "apiVersion": "apps/v1", "kind": "Deployment", "name": "web" }, "maxReplicas": 5 },
    })
}

async fn ask(kube: &Kube, asked: &Asked) -> (u16, Value) {
    let (status, mut answer) = kube.send(asked.method.clone(), &asked.path, asked.kind, asked.body.as_ref()).await;
    normalise(&mut answer);
    (status, answer)
}

/// Takes away what differs from one server to the next, or from one moment to the next.
fn normalise(value: &mut Value) {
    match value {
        Value::Object(map) => {
            for key in ["uid", "resourceVersion", "creationTimestamp", "lastTransitionTime", "lastUpdateTime"] {
                if map.contains_key(key) {
                    map.insert(key.into(), json!("-"));
                }
            }
            // The time of a manager of a subresource is forgotten by the real one when somebody else applies.
            map.remove("time");
            // What controllers have written by now is a race, here and there.
            if matches!(
                map.get("kind").and_then(Value::as_str),
                Some("Deployment" | "HorizontalPodAutoscaler" | "Scale")
            ) {
                map.remove("status");
                if let Some(metadata) = map.get_mut("metadata").and_then(Value::as_object_mut) {
                    metadata.remove("generation");
                    metadata.remove("annotations");
                }
            }
            if let Some(Value::Array(managed)) = map.get_mut("managedFields") {
                managed.retain(|entry| entry["manager"] != "kube-controller-manager");
                // A client that names no manager is known by its user agent's first word.
                managed.sort_by_key(|entry| entry["manager"].to_string() + &entry["operation"].to_string());
            }
            map.values_mut().for_each(normalise);
        }
        Value::Array(all) => all.iter_mut().for_each(normalise),
        Value::String(text) => *text = without_uids(text),
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// A message that names a uid names another one elsewhere.
fn without_uids(text: &str) -> String {
    let is_uid = |word: &str| word.len() == 36 && word.split('-').map(str::len).eq([8, 4, 4, 4, 12]);
    let words = text.split(' ').map(|word| {
        let bare = word.trim_matches(|c: char| !c.is_ascii_hexdigit());
        if is_uid(bare) { word.replace(bare, "-") } else { word.to_owned() }
    });
    words.collect::<Vec<_>>().join(" ")
}

fn show((status, body): &(u16, Value)) -> String {
    format!("{status} {body}")
}
