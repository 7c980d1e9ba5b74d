//! Answers of people to steps that ask before they start, over a real journal.

use super::*;

const STREAM: &str = "run/user/petclinic/petclinic-was/56";

/// A run whose `sync` asks before it starts; `by` as in the pipeline.
fn asking(by: &[&str]) -> Value {
    let mut opened = opened();
    let step = &mut opened["body"]["run"]["pipeline"]["steps"][1];
    step["approval"] = json!({ "ask": "Sync ${{ steps.bump.commit }}?", "by": by, "timeout_ms": 86_400_000 });
    opened
}

impl World {
    /// Appends what the server itself decided.
    async fn decided(&self, entries: &[Value]) {
        let journal = self.state.drivers.journal();
        let len = journal.read(STREAM).await.unwrap().len() as u64;
        let new = |entry: &Value| NewEntry {
            at_ms: crate::drive::now(),
            by: By::Server,
            kind: entry["kind"].as_str().unwrap().into(),
            body: entry["body"].clone(),
        };
        journal.append(STREAM, len, entries.iter().map(new).collect()).await.unwrap();
    }

    /// Runs up to the question.
    async fn asks(&self, by: &[&str]) {
        let done = ended("bump", 1, json!({ "is": "succeeded", "outputs": { "commit": "c0ffee" } }));
        let asked = json!({ "kind": "approval-asked", "body": { "step": "sync", "ask": "Sync c0ffee?" } });
        self.decided(&[asking(by), started("bump", 1), done, asked]).await;
    }

    async fn answer(&self, step: &str, verb: &str, (cookie, csrf): &(String, String)) -> (StatusCode, Value) {
        let path = format!("/api/v1/runs/{RUN}/steps/{step}/{verb}");
        let request = ask("POST", &path, cookie).header("x-bespin-csrf", csrf).body(Body::empty()).unwrap();
        let response = self.send(request).await;
        (response.status(), body(response).await)
    }

    async fn written(&self) -> Vec<String> {
        let entries = self.state.drivers.journal().read(STREAM).await.unwrap();
        let answers = entries.into_iter().filter(|entry| entry.kind == "approval-answered");
        answers.map(|entry| format!("{} by {}", entry.body["answer"].as_str().unwrap(), entry.by)).collect()
    }
}

#[tokio::test]
async fn an_operator_answers_once_and_the_page_says_so() {
    let world = World::new();
    let ann = world.login("ann").await;
    world.asks(&[]).await;
    let view = world.view(&format!("/api/v1/runs/{RUN}"), &ann.0).await;
    assert_eq!(view["steps"][1]["station"]["state"], "asking");
    let approval = &view["steps"][1]["approval"];
    assert_eq!((&approval["ask"], &approval["answered"]), (&json!("Sync c0ffee?"), &Value::Null));
    assert!(approval["asked_ms"].is_u64());
    let home = world.view("/api/v1/home", &ann.0).await;
    assert_eq!(home["corridors"][0]["stations"][2]["state"], "asking");
    for _ in 0..2 {
        assert_eq!(world.answer("sync", "approve", &ann).await.0, StatusCode::NO_CONTENT);
    }
    assert_eq!(world.written().await, ["approved by person:ann"], "written once, however often it is said");
    let (status, problem) = world.answer("sync", "refuse", &ann).await;
    assert_eq!((status, &problem["got"]), (StatusCode::CONFLICT, &json!("`sync`: ann approved it")));
    let view = world.view(&format!("/api/v1/runs/{RUN}"), &ann.0).await;
    let answered = &view["steps"][1]["approval"]["answered"];
    assert_eq!((&answered["answer"], &answered["by"]), (&json!("approved"), &json!("person:ann")));
    assert_eq!(view["steps"][1]["station"]["state"], "waiting");
}

#[tokio::test]
async fn a_refusal_fails_the_step() {
    let world = World::new();
    let ann = world.login("ann").await;
    world.asks(&["ann"]).await;
    assert_eq!(world.answer("sync", "refuse", &ann).await.0, StatusCode::NO_CONTENT);
    world.decided(&[json!({ "kind": "closed", "body": { "outcome": "failed" } })]).await;
    let view = world.view(&format!("/api/v1/runs/{RUN}"), &ann.0).await;
    assert_eq!(view["steps"][1]["station"]["state"], "failed");
    assert_eq!(view["run"]["status"]["message"], "sync: ann refused it");
    let (status, problem) = world.answer("sync", "approve", &ann).await;
    assert_eq!((status, &problem["got"]), (StatusCode::CONFLICT, &json!("`sync`: ann refused it")));
    assert_eq!(world.answer("sync", "refuse", &ann).await.0, StatusCode::NO_CONTENT, "it is what she said");
    assert_eq!(world.written().await, ["refused by person:ann"]);
}

#[tokio::test]
async fn who_may_not_changes_nothing() {
    let world = World::new();
    let (ann, val) = (world.login("ann").await, world.login("val").await);
    world.asks(&["bob"]).await;
    let (status, problem) = world.answer("sync", "approve", &ann).await;
    assert_eq!((status, &problem["got"]), (StatusCode::FORBIDDEN, &json!("`sync` takes the answer of bob")));
    for (who, proof) in [(&val.0, &val.1), (&ann.0, &val.1), (&ann.0, &String::new())] {
        let (status, _) = world.answer("sync", "approve", &(who.clone(), proof.clone())).await;
        assert_eq!(status, StatusCode::FORBIDDEN);
    }
    let (status, _) = world.answer("sync", "approve", &(String::new(), ann.1.clone())).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(world.written().await.is_empty());
}

#[tokio::test]
async fn what_does_not_ask_takes_no_answer() {
    let world = World::new();
    let ann = world.login("ann").await;
    assert_eq!(world.answer("sync", "approve", &ann).await.0, StatusCode::NOT_FOUND, "there is no such run");
    world.decided(&[asking(&[]), started("bump", 1)]).await;
    for (step, status, got) in [
        ("nobody", StatusCode::NOT_FOUND, "the run has no step `nobody`"),
        ("bump", StatusCode::NOT_FOUND, "the step `bump` needs no approval"),
        ("sync", StatusCode::CONFLICT, "`sync` has not asked yet: what comes before it has not ended"),
    ] {
        let (answered, problem) = world.answer(step, "approve", &ann).await;
        assert_eq!((answered, &problem["got"]), (status, &json!(got)));
    }
    let skipped = json!({ "kind": "skipped", "body": { "step": "sync", "because": "bump did not succeed" } });
    world.decided(&[skipped]).await;
    assert_eq!(world.answer("sync", "approve", &ann).await.0, StatusCode::CONFLICT);
    assert!(world.written().await.is_empty());
}
