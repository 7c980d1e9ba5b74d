//! The world around Bespin: real parts where a user has them.

pub mod alb;
pub mod alertmanager;
pub mod balancer;
pub mod bespin;
pub mod config;
pub mod cosign;
pub mod dashboard;
pub mod dataplane;
mod dice;
pub mod docker;
pub mod estate;
pub mod git;
pub mod github;
pub mod kube;
pub mod lane;
mod port;
pub mod process;
pub mod registry;
pub mod remotes;
pub mod rollouts;
pub mod terraform;
pub mod watch;
pub mod weights;

use std::path::PathBuf;

/// A port that nothing listens at, and that no other call gives, in no process, while this one runs.
pub fn free_port() -> u16 {
    port::free_port()
}

/// A path that `cargo xtask test` hands to the tests.
pub fn given(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).map(PathBuf::from).filter(|path| path.exists())
}

/// Whether a real part is missing; said loudly, and a failure where all are demanded.
pub fn missing(part: &str, is_there: bool) -> bool {
    if is_there {
        return false;
    }
    assert!(std::env::var_os("BESPIN_REAL").is_none(), "{part} is missing, and every real part is demanded");
    eprintln!("NOT CHECKED: {part} is missing; `cargo xtask install` may bring it");
    true
}

/// Whether a program can be found.
pub fn has(program: &str) -> bool {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths).any(|path| path.join(program).is_file())
}
