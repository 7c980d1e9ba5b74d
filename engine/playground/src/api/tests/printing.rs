//! Tables, as kubectl asks for them.

use serde_json::json;

use super::*;

async fn table(api: &Api, path: &str) -> Value {
    let request = Request::builder()
        .uri(path)
        .header("authorization", format!("Bearer {TOKEN}"))
        .header("accept", "application/json;as=Table;v=v1;g=meta.k8s.io")
        .body(Full::new(Bytes::new()))
        .unwrap();
    let response = api.clone().call(request).await.unwrap();
    serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap()
}

#[tokio::test]
async fn a_deployment_has_the_columns_of_kubectl() {
    let api = api();
    post(&api, DEPLOYMENTS, &deployment()).await;
    let table = table(&api, WEB).await;
    let names: Vec<&str> =
        table["columnDefinitions"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["Name", "Ready", "Up-to-date", "Available", "Age", "Containers", "Images", "Selector"]);
    let mut cells = table["rows"][0]["cells"].clone();
    cells[4] = json!("-");
    assert_eq!(cells, json!(["web", "0/2", 0, 0, "-", "web", "web:1", "app=web"]));
}

#[tokio::test]
async fn a_custom_resource_has_the_columns_of_its_definition() {
    let api = api();
    let columns = json!([
        {"name": "Wheels", "type": "integer", "jsonPath": ".spec.wheels"},
        {"name": "Ready", "type": "string", "jsonPath": ".status.conditions[?(@.type==\"Ready\")].status"},
        {"name": "Colour", "type": "string", "jsonPath": ".spec['paint'].colour", "priority": 1},
    ]);
    let schema = json!({"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": true}});
    let definition = json!({"metadata": {"name": "cars.example.com"}, "spec": {
        "group": "example.com", "scope": "Namespaced", "names": {"kind": "Car", "plural": "cars"},
        "versions": [{"name": "v1", "served": true, "storage": true, "schema": schema, "additionalPrinterColumns": columns}]}});
    post(&api, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions", &definition).await;
    let cars = "/apis/example.com/v1/namespaces/n/cars";
    let conditions = json!([{"type": "Sold", "status": "False"}, {"type": "Ready", "status": "True"}]);
    let car = json!({"metadata": {"name": "c"}, "spec": {"wheels": 4}, "status": {"conditions": conditions}});
    post(&api, cars, &car).await;
    let table = table(&api, cars).await;
    assert_eq!(table["rows"][0]["cells"], json!(["c", 4, "True", null]));
    assert_eq!(table["columnDefinitions"][3]["priority"], 1);
}
