//! Runs that a person starts, over the API and at the control socket.

use super::*;
use decide::delivery::StartRefusal;

pub(super) fn refusal(field: &str) -> StartRefusal {
    StartRefusal::new(field, format!("`{field}` is wrong"), "write another")
}

impl World {
    async fn start(&self, (cookie, csrf): &(String, String), asked: Value) -> (StatusCode, Value) {
        let request = ask("POST", "/api/v1/runs", cookie).header("content-type", "application/json");
        let request = request.header("x-bespin-csrf", csrf).body(Body::from(asked.to_string())).unwrap();
        let response = self.send(request).await;
        (response.status(), body(response).await)
    }
}

#[tokio::test]
async fn an_operator_starts_a_run_and_mistakes_stand_at_their_fields() {
    let world = World::new();
    let ann = world.login("ann").await;
    let asked = json!({ "repository": "user/petclinic", "file": "release.yaml", "ref": "v1", "key": "k",
        "inputs": { "a": true } });
    let started = world.start(&ann, asked).await;
    assert_eq!(started, (StatusCode::OK, json!({ "run": "user/petclinic/release/1" })));
    assert_eq!(
        *world.told.0.lock().unwrap(),
        [
            r#"start {"repository":"user/petclinic","file":"release.yaml","ref":"v1","inputs":{"a":true},"key":"k"} by person:ann"#
        ]
    );
    let (status, problem) = world.start(&ann, json!({ "file": "wrong.yaml" })).await;
    assert_eq!(
        (status, &problem["got"]),
        (StatusCode::UNPROCESSABLE_ENTITY, &json!("`ref` is wrong; `inputs.a` is wrong"))
    );
    let field = json!({ "field": "inputs.a", "message": "`inputs.a` is wrong", "help": "write another" });
    assert_eq!(problem["fields"][1], field);
    let (status, problem) = world.start(&ann, json!({ "file": "away.yaml" })).await;
    assert_eq!((status, &problem["got"]), (StatusCode::SERVICE_UNAVAILABLE, &json!("git cannot be reached")));
    for asked in [json!({}), json!({ "file": "a.yaml", "input": {} }), json!([1])] {
        let (status, problem) = world.start(&ann, asked.clone()).await;
        assert!(status.is_client_error() && problem["help"].is_string(), "{asked}: {status} {problem}");
    }
}

#[tokio::test]
async fn who_may_not_starts_nothing() {
    let world = World::new();
    let (ann, val) = (world.login("ann").await, world.login("val").await);
    let asked = || json!({ "file": "release.yaml" });
    for (who, proof, status) in [
        (&val.0, &val.1, StatusCode::FORBIDDEN),
        (&ann.0, &val.1, StatusCode::FORBIDDEN),
        (&ann.0, &String::new(), StatusCode::FORBIDDEN),
        (&String::new(), &ann.1, StatusCode::UNAUTHORIZED),
    ] {
        assert_eq!(world.start(&(who.clone(), proof.clone()), asked()).await.0, status);
    }
    assert!(world.told.0.lock().unwrap().is_empty());
    assert_eq!(world.view("/api/v1/startable?repository=user/x&ref=main", &val.0).await, json!({ "repositories": [] }));
    let other = world.get("/api/v1/startable?repository=user/other", &val.0).await;
    assert_eq!(other.status(), StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(world.get("/api/v1/startable", "").await.status(), StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_control_socket_starts_a_run_or_says_everything_that_is_wrong() {
    let world = World::new();
    let data = world.dir.path();
    crate::control::listen(data, world.state.clone()).unwrap();
    let asked = |file: &str| StartRun { file: file.into(), ..StartRun::default() };
    let start = async |file: &str| crate::control::start(data, &asked(file)).await;
    assert_eq!(start("release.yaml").await, Ok("user/petclinic/release/1".into()));
    assert!(world.told.0.lock().unwrap()[0].ends_with("by person:control-socket"));
    let said = "`ref` is wrong\n  help: write another\n`inputs.a` is wrong\n  help: write another";
    assert_eq!(start("wrong.yaml").await, Err(said.into()));
    assert_eq!(start("away.yaml").await, Err("git cannot be reached".into()));
}
