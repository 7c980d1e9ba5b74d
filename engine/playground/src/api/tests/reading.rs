use super::*;
use http_body_util::BodyExt;

const MAPS: &str = "/api/v1/namespaces/n/configmaps";

struct Watch {
    body: crate::serve::Body,
    lines: std::collections::VecDeque<Value>,
}

impl Watch {
    async fn open(api: &Api, query: &str) -> Watch {
        let request = Request::builder()
            .uri(format!("{MAPS}?watch=true&{query}"))
            .header("authorization", format!("Bearer {TOKEN}"))
            .body(Full::new(Bytes::new()))
            .unwrap();
        let body = api.clone().call(request).await.unwrap().into_body();
        Watch { body, lines: Default::default() }
    }

    async fn next(&mut self) -> (String, Value) {
        while self.lines.is_empty() {
            let frame = tokio::time::timeout(std::time::Duration::from_secs(10), self.body.frame());
            let frame = frame.await.expect("an event comes").expect("the watch is open").unwrap();
            let text = String::from_utf8(frame.into_data().unwrap().to_vec()).unwrap();
            self.lines.extend(text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()));
        }
        let event = self.lines.pop_front().unwrap();
        (event["type"].as_str().unwrap().to_owned(), event["object"].clone())
    }
}

#[tokio::test]
async fn a_watch_tells_every_change_after_its_version() {
    let api = api();
    let (_, list) = get(&api, MAPS).await;
    let version = list["metadata"]["resourceVersion"].as_str().unwrap().to_owned();
    post(&api, MAPS, &config_map("a")).await;
    let mut watch = Watch::open(&api, &format!("resourceVersion={version}")).await;
    assert_eq!(watch.next().await.0, "ADDED");
    merge(&api, &format!("{MAPS}/a"), &json!({"data": {"x": "2"}})).await;
    let (what, object) = watch.next().await;
    assert_eq!((what.as_str(), &object["data"]["x"]), ("MODIFIED", &json!("2")));
    send(&api, "DELETE", &format!("{MAPS}/a"), "", &Value::Null).await;
    let (what, gone) = watch.next().await;
    assert_eq!(what, "DELETED");
    let number = |o: &Value| o["metadata"]["resourceVersion"].as_str().unwrap().parse::<u64>().unwrap();
    assert!(number(&gone) > number(&object), "a deletion has a version of its own");
}

#[tokio::test]
async fn leaving_the_selection_looks_like_a_deletion() {
    let api = api();
    let mut map = config_map("a");
    map["metadata"]["labels"] = json!({"tier": "web"});
    post(&api, MAPS, &map).await;
    let mut watch = Watch::open(&api, "labelSelector=tier%3Dweb").await;
    assert_eq!(watch.next().await.0, "ADDED");
    merge(&api, &format!("{MAPS}/a"), &json!({"metadata": {"labels": {"tier": "db"}}})).await;
    assert_eq!(watch.next().await.0, "DELETED");
    merge(&api, &format!("{MAPS}/a"), &json!({"metadata": {"labels": {"tier": "web"}}})).await;
    assert_eq!(watch.next().await.0, "ADDED");
}

#[tokio::test]
async fn a_version_that_is_forgotten_is_gone() {
    let api = api();
    post(&api, MAPS, &config_map("a")).await;
    api.compact();
    let mut watch = Watch::open(&api, "resourceVersion=1").await;
    let (what, status) = watch.next().await;
    assert_eq!((what.as_str(), &status["code"], &status["reason"]), ("ERROR", &json!(410), &json!("Expired")));
}

#[tokio::test]
async fn a_streamed_list_ends_with_a_bookmark() {
    let api = api();
    post(&api, MAPS, &config_map("a")).await;
    let query = "sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan";
    let mut watch = Watch::open(&api, query).await;
    assert_eq!(watch.next().await.0, "ADDED");
    let (what, bookmark) = watch.next().await;
    assert_eq!(what, "BOOKMARK");
    assert_eq!(bookmark["metadata"]["annotations"]["k8s.io/initial-events-end"], "true");
}

#[tokio::test]
async fn lists_come_in_pages_and_by_selector() {
    let api = api();
    for n in 0..5 {
        let mut map = config_map(&format!("m{n}"));
        map["metadata"]["labels"] = json!({"odd": (n % 2 == 1).to_string()});
        post(&api, MAPS, &map).await;
    }
    let (_, first) = get(&api, &format!("{MAPS}?limit=2")).await;
    assert_eq!((first["items"].as_array().unwrap().len(), &first["metadata"]["remainingItemCount"]), (2, &json!(3)));
    let token = first["metadata"]["continue"].as_str().unwrap();
    let (_, rest) = get(&api, &format!("{MAPS}?limit=10&continue={token}")).await;
    let names: Vec<&str> =
        rest["items"].as_array().unwrap().iter().filter_map(|m| m["metadata"]["name"].as_str()).collect();
    assert_eq!(names, ["m2", "m3", "m4"]);
    for (selector, count) in [
        ("labelSelector=odd%3Dtrue", 2),
        ("labelSelector=odd!%3Dtrue", 3),
        ("labelSelector=odd+in+(true,false)", 5),
        ("labelSelector=!odd", 0),
        ("fieldSelector=metadata.name%3Dm3", 1),
        ("fieldSelector=metadata.name!%3Dm3", 4),
    ] {
        let (_, list) = get(&api, &format!("{MAPS}?{selector}")).await;
        assert_eq!(list["items"].as_array().unwrap().len(), count, "{selector}");
    }
    assert_eq!(get(&api, &format!("{MAPS}?labelSelector=a+b+c")).await.0, 400);
}

#[tokio::test]
async fn discovery_names_every_kind_in_both_forms() {
    let api = api();
    let (_, groups) = get(&api, "/apis").await;
    assert!(groups["groups"].as_array().unwrap().iter().any(|g| g["preferredVersion"]["groupVersion"] == "apps/v1"));
    let (_, core) = get(&api, "/api/v1").await;
    let pods = core["resources"].as_array().unwrap().iter().find(|r| r["name"] == "pods").unwrap();
    assert_eq!((&pods["kind"], &pods["namespaced"]), (&json!("Pod"), &json!(true)));
    let request = Request::builder()
        .uri("/apis")
        .header("authorization", format!("Bearer {TOKEN}"))
        .header("accept", "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList")
        .body(Full::new(Bytes::new()))
        .unwrap();
    let bytes = api.clone().call(request).await.unwrap().into_body().collect().await.unwrap().to_bytes();
    let aggregated: Value = serde_json::from_slice(&bytes).unwrap();
    assert_eq!(aggregated["kind"], "APIGroupDiscoveryList");
    assert!(aggregated["items"].as_array().unwrap().iter().any(|g| g["metadata"]["name"] == "autoscaling"));
}
