//! Goes where it was not let: by sockets, and by requests that are more than they seem.

use std::net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket};

use bespin_sdk::http::{Header, Request, Response};
use bespin_sdk::secrets::Part;
use bespin_sdk::{Outputs, Result, http, reject};

use crate::{Settings, stolen};

pub(crate) fn connect(address: &str) -> Result<Outputs> {
    match TcpStream::connect(address) {
        Ok(stream) => stolen(stream),
        Err(error) => reject!("no connection: {error}"),
    }
}

pub(crate) fn datagram(address: &str) -> Result<Outputs> {
    match UdpSocket::bind("127.0.0.1:0").and_then(|socket| socket.send_to(b"hostile", address)) {
        Ok(sent) => stolen(sent),
        Err(error) => reject!("no datagram: {error}"),
    }
}

pub(crate) fn listen() -> Result<Outputs> {
    match TcpListener::bind("127.0.0.1:0") {
        Ok(listener) => stolen(listener),
        Err(error) => reject!("no listener: {error}"),
    }
}

pub(crate) fn resolve(name: &str) -> Result<Outputs> {
    match name.to_socket_addrs() {
        Ok(addresses) => stolen(addresses),
        Err(error) => reject!("no address: {error}"),
    }
}

fn send(method: &str, url: &str, header: &str, value: &str) -> Result<Response> {
    let headers = vec![Header { name: header.to_owned(), value: vec![Part::Text(value.to_owned())] }];
    let url = vec![Part::Text(url.to_owned())];
    Ok(http::send(&Request { method: method.to_owned(), url, headers, body: Vec::new() })?)
}

pub(crate) fn request(settings: &Settings) -> Result<Outputs> {
    let answer = send(&settings.method, &settings.on, &settings.header, &settings.value)?;
    Ok(Outputs::new().with("status", answer.status.to_string()))
}

pub(crate) fn follow(url: &str) -> Result<Outputs> {
    let answer = send("GET", url, "x-plain", "plain")?;
    match answer.headers.iter().find(|field| field.name == "location") {
        Some(location) => send("GET", &location.value, "x-plain", "plain").and_then(stolen),
        None => reject!("the answer points nowhere"),
    }
}

pub(crate) fn many_headers(url: &str) -> Result<Outputs> {
    let header = |number| Header { name: format!("x-{number}"), value: vec![Part::Text(String::new())] };
    let headers = (0..40_000).map(header).collect();
    let url = vec![Part::Text(url.to_owned())];
    stolen(http::send(&Request { method: "GET".to_owned(), url, headers, body: Vec::new() })?)
}
