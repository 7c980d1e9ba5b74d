//! `bespin playground`: the embedded default in a process of its own.

use clap::Args;
use playground::{Options as Parts, Playground};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// How the playground is started.
#[derive(Args)]
pub struct Options {
    /// Where everything is kept; it is there again at the next start.
    #[arg(long)]
    dir: PathBuf,
    /// Where the Kubernetes API listens.
    #[arg(long, default_value = "127.0.0.1:6443", value_name = "ADDRESS")]
    kube: SocketAddr,
    /// Where the OCI registry listens.
    #[arg(long, default_value = "127.0.0.1:5000", value_name = "ADDRESS")]
    registry: SocketAddr,
    /// Where the git remotes listen.
    #[arg(long, default_value = "127.0.0.1:3000", value_name = "ADDRESS")]
    git: SocketAddr,
    /// How many nodes the cluster has.
    #[arg(long, default_value_t = 3)]
    nodes: u32,
    /// How long a pod takes to become ready, in ms.
    #[arg(long, default_value_t = 0)]
    ready_delay_ms: u64,
}

/// Runs the playground until Ctrl-C, after one line of JSON with its addresses.
///
/// # Errors
/// A part cannot be started.
pub async fn run(options: Options) -> Result<(), String> {
    let parts = Parts {
        kube_addr: options.kube,
        registry_addr: options.registry,
        git_addr: options.git,
        nodes: options.nodes,
        ready_delay: Duration::from_millis(options.ready_delay_ms),
        ..Parts::default()
    };
    let playground = Playground::start(&options.dir, parts).await.map_err(|error| error.to_string())?;
    let addresses = serde_json::json!({
        "kubeconfig": playground.kubeconfig, "kube": playground.kube_url,
        "registry": playground.registry.to_string(), "git": playground.git_url,
    });
    println!("{addresses}");
    eprintln!("try: kubectl --kubeconfig {} get pods -A", playground.kubeconfig.display());
    crate::serve::stop_asked().await;
    playground.stop().await;
    Ok(())
}
