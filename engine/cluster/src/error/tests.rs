//! Every fault of the table, at the Kubernetes API; and what its own words say more.

#[path = "../../../decide/tests/faults/mod.rs"]
mod faults;

use super::{Error, refused};
use crate::{Cluster, Reach, Settings};
use decide::retry::Retry;
use faults::cases::Peer;
use serde_json::json;

fn status(code: u16) -> String {
    json!({ "kind": "Status", "apiVersion": "v1", "status": "Failure", "message": "a fault", "code": code }).to_string()
}

async fn connect(url: String) -> (Retry, String) {
    let reach = Reach::Url { url, token: Some("hush".into()), ca: None };
    let error = Cluster::connect(Settings { name: "a".into(), reach, elb: None }).await.err().unwrap();
    (error.retry(), error.to_string())
}

#[tokio::test]
async fn an_api_servers_faults_have_their_classes() {
    faults::hold(Peer::Kubernetes, status, connect).await;
}

/// What a proxy before the API server answers is no Status.
#[tokio::test]
async fn a_page_of_a_proxy_has_the_class_of_its_status() {
    for (code, retry) in [(502, Retry::PASSING), (403, Retry::NeedsPerson)] {
        let address = faults::address(faults::cases::Fault::Status(code), |_| "<html>a proxy</html>".into());
        let (found, told) = connect(address).await;
        assert_eq!(found, retry, "{told}");
    }
}

#[test]
fn a_refusals_words_say_whether_it_may_pass() {
    let of = |code: u16, message: &str| {
        let status = json!({ "status": "Failure", "message": message, "code": code });
        refused(&serde_json::from_value(status).unwrap())
    };
    let terminating = "deployments.apps \"was\" is forbidden: unable to create new content in namespace shop because it \
                       is being terminated";
    assert_eq!(of(403, terminating), Retry::PASSING);
    assert_eq!(of(403, "deployments.apps \"was\" is forbidden: User \"bespin\" cannot patch it"), Retry::NeedsPerson);
    assert_eq!(of(403, "admission webhook \"policy.example\" denied the request: no latest"), Retry::Permanent);
    assert_eq!(of(400, "admission webhook \"policy.example\" denied the request: no latest"), Retry::Permanent);
    assert_eq!(of(500, "failed calling webhook \"policy.example\": connection refused"), Retry::PASSING);
}

#[test]
fn a_refusal_says_how_long_to_wait() {
    let busy = json!({ "status": "Failure", "message": "busy", "code": 500, "details": { "retryAfterSeconds": 240 } });
    assert_eq!(refused(&serde_json::from_value(busy).unwrap()), Retry::after(240_000));
}

#[test]
fn a_missing_definition_may_come() {
    let kind =
        Error::UnknownKind { cluster: "a".into(), api_version: "argoproj.io/v1alpha1".into(), kind: "Rollout".into() };
    assert_eq!(kind.retry(), Retry::PASSING);
}
