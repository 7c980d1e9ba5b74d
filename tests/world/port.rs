//! Ports on loopback for programs that take no open socket: one allocator for all programs of tests.
//!
//! The tests of other crates include this file by its path, since a dependency would bring the whole world with it.
//! A port is claimed by a UDP socket of the same number, which the system lets one process have at a time, and takes
//! back when that process ends; so two test programs never hand out the same port. TCP, which the started programs
//! use, is free of it.

use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::ops::Range;
use std::sync::Mutex;

/// They lie below those that systems give to outgoing connections by themselves (32,768 and up on Linux).
const PORTS: Range<u16> = 12_000..32_000;

/// The claims of this process, held until it ends, with the number of ports that were looked at.
static CLAIMED: Mutex<(u16, Vec<UdpSocket>)> = Mutex::new((0, Vec::new()));

/// A port that nothing listens at, and that no other call of this function gives, in no process, while this one runs.
///
/// # Panics
/// When every port of the range is taken.
pub(crate) fn free_port() -> u16 {
    let all = PORTS.end - PORTS.start;
    let first = (std::process::id() % u32::from(all)) as u16;
    let mut claimed = CLAIMED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    for _ in 0..all {
        let port = PORTS.start + (first + claimed.0) % all;
        claimed.0 = (claimed.0 + 1) % all;
        let Ok(claim) = UdpSocket::bind((Ipv4Addr::LOCALHOST, port)) else { continue };
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            claimed.1.push(claim);
            return port;
        }
    }
    panic!("loopback has no free port in {PORTS:?}");
}
