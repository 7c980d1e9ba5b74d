//! The binary. Everything is in the library, where tests can reach it.

use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    // Several crates bring rustls; one provider for all of them, or the first TLS client panics.
    let _installed_before = rustls::crypto::aws_lc_rs::default_provider().install_default();
    bespin::cli::main().await
}
