//! The proxy before moto: it says how targets are by their clocks, for at moto each of them is healthy at once, and it
//! refuses what comes too often.

use super::super::weights::request;
use super::api::{Api, all, first};
use super::state::State;
use std::fmt::Write as _;
use std::sync::Arc;
use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

const XMLNS: &str = "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/";

/// Serves until it is aborted.
pub(super) async fn run(listener: TcpListener, api: Api, state: Arc<State>) {
    while let Ok((stream, _)) = listener.accept().await {
        tokio::spawn(serve(stream, api.clone(), state.clone()));
    }
}

async fn serve(stream: TcpStream, api: Api, state: Arc<State>) {
    let mut stream = BufReader::new(stream);
    let Some((_, _, authorization, body)) = request(&mut stream).await else { return };
    // moto is away where a test ends, and whoever asks then is told so.
    let (status, text) = answer(&api, &state, authorization, body).await.unwrap_or_else(|error| (503, error));
    let head = format!(
        "HTTP/1.1 {status} -\r\ncontent-type: text/xml\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
        text.len()
    );
    let _gone = stream.write_all(format!("{head}{text}").as_bytes()).await;
}

async fn answer(api: &Api, state: &State, authorization: String, body: String) -> Result<(u16, String), String> {
    let action = value(&body, "Action").unwrap_or_default();
    if !state.admits(&action) {
        return Ok((400, throttled()));
    }
    let group = value(&body, "TargetGroupArn").unwrap_or_default();
    let asks_for_some = body.contains("Targets.member.");
    let (status, text) = api.hand_on(authorization, body).await?;
    if action != "DescribeTargetHealth" || status != 200 {
        return Ok((status, text));
    }
    // Who drains is listed after the others, unless some were asked for by their addresses.
    let draining = if asks_for_some { Vec::new() } else { state.draining(&group) };
    Ok((200, health(state, &group, &text, &draining)?))
}

/// moto's answer, with each target as its clock says.
fn health(state: &State, group: &str, answer: &str, draining: &[String]) -> Result<String, String> {
    let mut members = String::new();
    let mut port = "8080".to_owned();
    let mut said = Vec::new();
    for member in all(answer, "Target") {
        let address = first(member, "Id")?;
        port = first(member, "Port")?;
        write(&mut members, state, group, &address, &port);
        said.push(address);
    }
    for address in draining.iter().filter(|address| !said.contains(address)) {
        write(&mut members, state, group, address, &port);
    }
    Ok(format!(
        "<DescribeTargetHealthResponse xmlns=\"{XMLNS}\"><DescribeTargetHealthResult><TargetHealthDescriptions>{members}\
         </TargetHealthDescriptions></DescribeTargetHealthResult><ResponseMetadata><RequestId>stories</RequestId>\
         </ResponseMetadata></DescribeTargetHealthResponse>"
    ))
}

fn write(members: &mut String, state: &State, group: &str, address: &str, port: &str) {
    let (name, reason) = state.health(group, address).words();
    let why = reason.map_or_else(String::new, |(reason, description)| {
        format!("<Reason>{reason}</Reason><Description>{description}</Description>")
    });
    let _infallible = write!(
        members,
        "<member><Target><Id>{address}</Id><Port>{port}</Port></Target><HealthCheckPort>traffic-port</HealthCheckPort>\
         <TargetHealth><State>{name}</State>{why}</TargetHealth></member>"
    );
}

fn throttled() -> String {
    format!(
        "<ErrorResponse xmlns=\"{XMLNS}\"><Error><Type>Sender</Type><Code>Throttling</Code>\
         <Message>Rate exceeded</Message></Error><RequestId>stories</RequestId></ErrorResponse>"
    )
}

/// A value of a form.
fn value(form: &str, name: &str) -> Option<String> {
    let url = reqwest::Url::parse(&format!("http://form/?{form}")).ok()?;
    url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}
