//! Choosing TCP ports for our own processes.

use std::net::{Ipv4Addr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};

use anyhow::{Context, Result};

/// Below Linux' ephemeral range (32768 and up): otherwise the kernel could hand the port of a
/// broker that is down for a restart to some outgoing connection.
const FIRST: u16 = 20_000;
const COUNT: u16 = 12_000;

/// How many ports this process has tried, so that two calls never answer the same one.
static TRIED: AtomicU16 = AtomicU16::new(0);

/// A port on 127.0.0.1 that nobody listens on, and that this process was not given before.
///
/// # Errors
/// When every port of the range is taken.
pub fn free_port() -> Result<u16> {
    (0..COUNT)
        .map(|_| candidate(std::process::id(), TRIED.fetch_add(1, Ordering::Relaxed)))
        .find(|&port| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok())
        .with_context(|| {
            format!(
                "no free port on 127.0.0.1 between {FIRST} and {}",
                FIRST + COUNT - 1
            )
        })
}

/// Processes that run at the same time start at different places, 37 ports apart: more than one
/// of them needs, and without a common divisor with [`COUNT`].
fn candidate(process: u32, tried: u16) -> u16 {
    let offset = (u64::from(process) * 37 + u64::from(tried)) % u64::from(COUNT);
    FIRST + u16::try_from(offset).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_calls_never_answer_the_same_port() {
        let first = free_port().expect("a free port");
        let second = free_port().expect("a free port");
        assert_ne!(first, second);
    }

    #[test]
    fn a_port_that_somebody_listens_on_is_passed_over() {
        let next = candidate(std::process::id(), TRIED.load(Ordering::Relaxed));
        let _taken = TcpListener::bind((Ipv4Addr::LOCALHOST, next));
        assert_ne!(free_port().expect("a free port"), next);
    }

    #[test]
    fn candidates_stay_in_the_range() {
        for process in [0, 1, 4_194_304, u32::MAX] {
            for tried in [0, 1, u16::MAX] {
                assert!((FIRST..FIRST + COUNT).contains(&candidate(process, tried)));
            }
        }
    }
}
