//! A playground by itself, until it is interrupted: `cargo run -p playground --example playground -- DIR`.

use std::path::PathBuf;

use playground::{Options, Playground};

#[tokio::main]
async fn main() -> Result<(), playground::Error> {
    let dir = std::env::args().nth(1).map_or_else(|| PathBuf::from("playground"), PathBuf::from);
    let playground = Playground::start(&dir, Options::default()).await?;
    println!("export KUBECONFIG={}", playground.kubeconfig.display());
    println!("registry {} git {}", playground.registry, playground.git_url);
    if let Err(error) = tokio::signal::ctrl_c().await {
        eprintln!("cannot wait for an interrupt: {error}");
    }
    playground.stop().await;
    Ok(())
}
