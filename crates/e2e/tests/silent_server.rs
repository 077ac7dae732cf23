//! A server that accepts connections and never says a word. lapin gives each connection a thread, which
//! would wait for it for ever.
//!
//! A program of its own, because it counts the threads of its process.
#![cfg(unix)]

#[path = "broker/certificates.rs"]
#[expect(dead_code, reason = "shared with the tests of the broker")]
mod certificates;
#[path = "broker/servers.rs"]
#[expect(dead_code, reason = "shared with the tests of the broker")]
mod servers;

use certificates::Authority;
use ncs_broker::{Address, Connection, TlsFiles, UncheckedAddress};
use std::time::{Duration, Instant};

/// Long enough for a handshake to come to where it waits, if that is not in lapin.
const PATIENCE: Duration = Duration::from_millis(500);
const TRIES: usize = 6;

/// How long a thread may take to begin or to end. Below the limit of opening, which would end it too, in
/// the same way: by dropping it.
const LIMIT: Duration = Duration::from_secs(10);

fn threads() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("this is Linux");
    let line = status.lines().find(|line| line.starts_with("Threads:"));
    let count = line.and_then(|line| line.split_whitespace().nth(1));
    count
        .and_then(|count| count.parse().ok())
        .expect("a number")
}

/// Whether lapin has threads now.
fn lapin_is_there() -> bool {
    let tasks = std::fs::read_dir("/proc/self/task").expect("this is Linux");
    tasks.flatten().any(|task| {
        let name = std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
        name.starts_with("lapin-io-loop")
    })
}

fn address(url: &str, authority: &Authority) -> Address {
    let ca = url
        .starts_with("amqps")
        .then(|| authority.certificate.clone());
    let files = TlsFiles {
        ca,
        ..TlsFiles::default()
    };
    let address = UncheckedAddress::from(url.to_owned());
    address.check(&files).expect("an address")
}

#[test]
fn giving_up_on_a_silent_server_leaves_no_thread_behind() {
    let authority = Authority::new("fleet");
    let pair = authority.server(&["127.0.0.1"]);
    let silent = servers::silent().port();
    let silent_with_tls = servers::silent_with_tls(&pair).port();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("an async runtime");
    for (url, comes_to_lapin) in [
        (format!("amqp://127.0.0.1:{silent}"), true),
        // Silent before the handshake of TLS, and after it.
        (format!("amqps://127.0.0.1:{silent}"), false),
        (format!("amqps://127.0.0.1:{silent_with_tls}"), true),
    ] {
        let address = address(&url, &authority);
        runtime.block_on(async {
            let give_up = async || {
                let waits = async {
                    if comes_to_lapin {
                        becomes(true).await;
                    } else {
                        tokio::time::sleep(PATIENCE).await;
                    }
                    assert_eq!(lapin_is_there(), comes_to_lapin, "{url}");
                };
                tokio::select! {
                    opened = Connection::open(&address, "test") => panic!("{:?}", opened.err()),
                    () = waits => {}
                }
                becomes(false).await;
            };
            // The first starts whatever stays.
            give_up().await;
            let before = threads();
            for _ in 1..TRIES {
                give_up().await;
            }
            let after = threads();
            assert!(after <= before, "{before} threads became {after}: {url}");
        });
    }
}

/// Waits until lapin has a thread, or none.
async fn becomes(there: bool) {
    let start = Instant::now();
    while lapin_is_there() != there && start.elapsed() < LIMIT {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
