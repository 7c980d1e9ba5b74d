//! A router that is told by HTTP: `PUT` and `GET <address>/<namespace>/<name>`, whose body is the canary's weight.

use bespin_sdk::http::{Header, Request, Response};
use bespin_sdk::route::{Route, Split, Verification};
use bespin_sdk::secrets::Part;
use bespin_sdk::{Failure, Result, Value, http, reject, secrets};

/// Where the address stands in the Rollout.
const ADDRESS: &str = "/spec/strategy/canary/trafficRouting/plugins/example~1http/address";

struct Router;

impl Route for Router {
    fn set_weight(split: Split) -> Result<()> {
        send("PUT", &split.rollout, &split.weight.to_string()).map(|_| ())
    }

    fn verify_weight(split: Split) -> Result<Verification> {
        let answer = send("GET", &split.rollout, "")?;
        let stands = String::from_utf8_lossy(&answer.body).trim().to_owned();
        Ok(if stands == split.weight.to_string() { Verification::Verified } else { Verification::NotVerified })
    }

    fn remove(rollout: Value) -> Result<()> {
        send("DELETE", &rollout, "").map(|_| ())
    }
}

fn send(method: &str, rollout: &Value, body: &str) -> Result<Response> {
    let text = |pointer: &str| rollout.pointer(pointer).and_then(Value::as_str).unwrap_or_default();
    let address = format!("{}/{}/{}", text(ADDRESS), text("/metadata/namespace"), text("/metadata/name"));
    let token = secrets::get("router")?;
    let value = vec![Part::Text("Bearer ".to_owned()), Part::Secret(&token)];
    let headers = vec![Header { name: "authorization".to_owned(), value }];
    let url = vec![Part::Text(address)];
    let answer = http::send(&Request { method: method.to_owned(), url, headers, body: body.as_bytes().to_vec() })?;
    match answer.status {
        200..=299 => Ok(answer),
        429 | 500..=599 => Err(Failure::Transient(format!("the router answered {}", answer.status))),
        status => reject!("the router answered {status}"),
    }
}

bespin_sdk::route!(Router);
