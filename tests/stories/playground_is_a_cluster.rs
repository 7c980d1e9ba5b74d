//! The same requests to the playground and to the real control plane: what the stories lean on is answered alike.
//!
//! Compared are the status and the body, without what differs from one server to the next: uids, versions, times.

mod alike;
mod asked;
mod columns;
mod frozen;
mod quantities;
mod settled;
mod writes;

use asked::{Asked, Counts, MAPS};
use playground::kubelet::{Kubelet, KubeletOptions};
use playground::{Options, Playground};
use reqwest::Method;
use serde_json::json;
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;
use world::kube::{ControlPlane, Kube};
use world::process::eventually;
use world::watch::Watch;
use world::{given, has, missing};

/// The differences that stay, by what is asked, with the reason. One that is gone must leave the list.
const DIFFERENT: &[(&str, &str)] = &[
    ("nodes: the one that is shown", "no controller here takes from a node the taint that it is born with"),
    ("nodes: its status", "no controller here takes from a node the taint that it is born with"),
    ("ingresses: its row", "the real one here has no load balancer that gives an address"),
    ("ingresses: the list of it alone", "the real one here has no load balancer that gives an address"),
    ("an Ingress with a Service", "the real one here has no load balancer that gives an address"),
    ("a claim without a volume", "the real one here has nobody who makes a volume for a claim"),
    (
        "a Job that runs: its pods",
        "the playground counts a Job's pods as they are, and holds none back until it is counted",
    ),
    ("a Service with pods: its slices", "the playground writes Endpoints alone"),
    ("resourcequotas: its row", "the playground counts nothing against a quota"),
    ("resourcequotas: the list of it alone", "the playground counts nothing against a quota"),
];

#[tokio::test(flavor = "multi_thread")]
async fn as_the_real_one_answers() {
    let bin = given("BESPIN_KUBERNETES");
    if missing("the Kubernetes control plane", bin.is_some() && has("etcd")) {
        return;
    }
    let dir = tempfile::tempdir().expect("a folder");
    let plane = ControlPlane::start(&bin.expect("it is there"), dir.path()).await;
    let mut differing = Differing::default();
    compare_answers(&mut differing, &dir.path().join("still"), &plane.kube).await;
    compare_rest(&mut differing, &dir.path().join("moving"), &plane.kube).await;
    differing.must_be(DIFFERENT);
}

/// Without nodes no pod ever runs, and nothing moves by itself but what controllers write.
async fn compare_answers(differing: &mut Differing, dir: &Path, theirs: &Kube) {
    let options = Options { nodes: 0, ..Options::default() };
    let playground = Playground::start(dir, options).await.expect("the playground starts");
    let ours = Kube::new(&playground.kube_url, &playground.kube_token, None);
    differing.ask(&ours, theirs, writes::objects()).await;
    let told = (Watch::start(&ours, MAPS).await, Watch::start(theirs, MAPS).await);
    for kube in [&ours, theirs] {
        columns::define(kube).await;
    }
    let requests = [
        writes::applies(),
        writes::workloads(),
        frozen::requests(),
        quantities::requests(),
        columns::requests(),
        writes::endings(),
    ];
    differing.ask(&ours, theirs, requests.into_iter().flatten().collect()).await;
    let order = |watch: &Watch| -> Vec<_> {
        let all = watch.all();
        let ours = all.iter().filter(|object| object["metadata"]["name"] != "kube-root-ca.crt");
        ours.map(|object| (object["metadata"]["name"].clone(), object["data"].clone())).collect()
    };
    eventually("both watches have told the last change", Duration::from_secs(30), || async {
        (order(&told.0).last()?.0 == "last" && order(&told.1).last()?.0 == "last").then_some(())
    })
    .await;
    if order(&told.0) != order(&told.1) {
        let (ours, theirs) = (order(&told.0), order(&told.1));
        differing.0.push(("the watches".into(), format!("playground {ours:?}\nreal       {theirs:?}")));
    }
    playground.stop().await;
}

/// With one node each, and the same stand-in for its kubelet, controllers bring everything to rest.
async fn compare_rest(differing: &mut Differing, dir: &Path, theirs: &Kube) {
    let options = Options { nodes: 1, ..Options::default() };
    let playground = Playground::start(dir, options).await.expect("the playground starts");
    let ours = Kube::new(&playground.kube_url, &playground.kube_token, None);
    theirs.send(Method::DELETE, "/api/v1/nodes/shown", "application/json", None).await;
    let authority = theirs.ca.clone().map(|pem| String::from_utf8(pem).expect("PEM is text"));
    let kubelet = Kubelet::start(KubeletOptions {
        url: theirs.url.clone(),
        token: theirs.token.clone(),
        ca_pem: authority,
        nodes: 1,
        ready_delay: Duration::ZERO,
    })
    .await
    .expect("the stand-in starts");
    // No controller here takes away what keeps pods from a node that was not ready yet.
    theirs.merge("/api/v1/nodes/node-1", &json!({ "spec": { "taints": null } })).await;
    differing.ask(&ours, theirs, settled::requests()).await;
    kubelet.stop().await;
    playground.stop().await;
}

/// What was answered otherwise, by what was asked.
#[derive(Default)]
struct Differing(Vec<(String, String)>);

impl Differing {
    /// Asks both, one request after the other.
    async fn ask(&mut self, ours: &Kube, theirs: &Kube, requests: Vec<Asked>) {
        for asked in requests {
            // What is known to differ is not waited for in earnest.
            let known = DIFFERENT.iter().any(|(what, _)| *what == asked.what);
            let mut patience = match (&asked.counts, known) {
                (Counts::AtOnce, _) => 0,
                (_, true) => 20,
                (_, false) => 300,
            };
            let (mut one, mut other) = (asked.of(ours).await, asked.of(theirs).await);
            // Both may begin alike, and differ once a controller of one of them has worked.
            let mut left = if known && patience > 0 { 300 } else { 0 };
            while asked.is_settled(&one, &other) && left > 0 {
                tokio::time::sleep(Duration::from_millis(100)).await;
                (one, other, left) = (asked.of(ours).await, asked.of(theirs).await, left - 1);
            }
            while !asked.is_settled(&one, &other) && patience > 0 {
                tokio::time::sleep(Duration::from_millis(100)).await;
                (one, other, patience) = (asked.of(ours).await, asked.of(theirs).await, patience - 1);
            }
            if !asked.is_settled(&one, &other) {
                let mut places = Vec::new();
                alike::differences(
                    "",
                    &json!({ "status": one.0, "": one.1 }),
                    &json!({ "status": other.0, "": other.1 }),
                    &mut places,
                );
                self.0.push((asked.what, places.join("\n")));
            }
        }
    }

    /// Every difference is listed, and every listed one is there.
    fn must_be(self, listed: &[(&str, &str)]) {
        let known: BTreeSet<&str> = listed.iter().map(|(what, _)| *what).collect();
        let found: BTreeSet<&str> = self.0.iter().map(|(what, _)| what.as_str()).collect();
        let gone: Vec<_> = known.difference(&found).collect();
        let fresh: Vec<String> = self
            .0
            .iter()
            .filter(|(what, _)| !known.contains(what.as_str()))
            .map(|(what, how)| format!("{what}:\n{how}"))
            .collect();
        assert!(fresh.is_empty(), "{} requests are answered otherwise:\n\n{}", fresh.len(), fresh.join("\n\n"));
        assert!(gone.is_empty(), "these are answered alike by now: take them out of the list: {gone:?}");
    }
}
