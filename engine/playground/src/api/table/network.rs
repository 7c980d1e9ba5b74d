//! The columns of Services, and the cells of what leads to pods.

use serde_json::Value;

use super::cells::{self, age, items, number, shown, text, text_or};
use super::column::{Column, name, string, wide};

/// The columns of Services.
pub(super) fn service() -> Vec<Column> {
    vec![
        name(),
        string("Type", |o| text(o, "/spec/type").into()),
        string("Cluster-IP", |o| text_or(o, "/spec/clusterIPs/0", "<none>").into()),
        string("External-IP", service_outside),
        string("Port(s)", service_ports),
        string("Age", age),
        wide("Selector", |o| cells::labels(o, "/spec/selector")),
    ]
}

fn service_outside(service: &Value) -> Value {
    let given = items(service, "/spec/externalIPs").iter().filter_map(Value::as_str).map(str::to_owned);
    let balanced = Some(cells::balancer(service)).filter(|text| !text.is_empty());
    let (all, absent): (Vec<String>, _) = match text(service, "/spec/type") {
        "ExternalName" => return text(service, "/spec/externalName").into(),
        "LoadBalancer" => (balanced.into_iter().chain(given).collect(), "<pending>"),
        _ => (given.collect(), "<none>"),
    };
    if all.is_empty() { absent.into() } else { all.join(",").into() }
}

fn service_ports(service: &Value) -> Value {
    let one = |port: &Value| match number(port, "/nodePort") {
        0 => format!("{}/{}", number(port, "/port"), text(port, "/protocol")),
        node => format!("{}:{node}/{}", number(port, "/port"), text(port, "/protocol")),
    };
    let all: Vec<String> = items(service, "/spec/ports").iter().map(one).collect();
    if all.is_empty() { "<none>".into() } else { all.join(",").into() }
}

/// The first three addresses with their ports.
pub(super) fn endpoints(object: &Value) -> Value {
    let mut all = Vec::new();
    for subset in items(object, "/subsets") {
        let addresses: Vec<&str> = items(subset, "/addresses").iter().map(|a| text(a, "/ip")).collect();
        match items(subset, "/ports") {
            [] => all.extend(addresses.iter().map(|ip| (*ip).to_owned())),
            ports => {
                for port in ports {
                    all.extend(addresses.iter().map(|ip| format!("{ip}:{}", number(port, "/port"))));
                }
            }
        }
    }
    if items(object, "/subsets").is_empty() { "<none>".into() } else { cells::three_of(&all).into() }
}

/// The first three ports of an EndpointSlice.
pub(super) fn slice_ports(slice: &Value) -> Value {
    let one = |port: &Value| shown(port, "/port", text_or(port, "/name", "*"));
    listed(items(slice, "/ports").iter().map(one).collect())
}

/// The first three addresses of an EndpointSlice.
pub(super) fn slice_addresses(slice: &Value) -> Value {
    let addresses = items(slice, "/endpoints").iter().flat_map(|endpoint| items(endpoint, "/addresses"));
    listed(addresses.filter_map(Value::as_str).map(str::to_owned).collect())
}

fn listed(all: Vec<String>) -> Value {
    if all.is_empty() { "<unset>".into() } else { cells::three_of(&all).into() }
}

/// The first three hosts of an Ingress's rules.
pub(super) fn hosts(ingress: &Value) -> Value {
    let rules = items(ingress, "/spec/rules");
    let all: Vec<String> = rules.iter().map(|r| text(r, "/host").to_owned()).filter(|h| !h.is_empty()).collect();
    if all.is_empty() { "*".into() } else { cells::three_of(&all).into() }
}
