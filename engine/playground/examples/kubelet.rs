//! The kubelet stand-in by itself, for any API server, until it is interrupted:
//! `KUBE_TOKEN=... cargo run -p playground --example kubelet -- URL [CA.pem]`.

use std::time::Duration;

use playground::Error;
use playground::kubelet::{Kubelet, KubeletOptions};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let mut arguments = std::env::args().skip(1);
    let url = arguments.next().unwrap_or_else(|| "http://127.0.0.1:8080".into());
    let ca_pem = arguments.next().and_then(|path| std::fs::read_to_string(path).ok());
    let token = std::env::var("KUBE_TOKEN").unwrap_or_default();
    let options = KubeletOptions { url, token, ca_pem, nodes: 3, ready_delay: Duration::ZERO };
    let kubelet = Kubelet::start(options).await?;
    println!("three nodes are ready");
    if let Err(error) = tokio::signal::ctrl_c().await {
        eprintln!("cannot wait for an interrupt: {error}");
    }
    kubelet.stop().await;
    Ok(())
}
