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
use std::time::Duration;

/// Long enough to come to where lapin waits, on a busy machine too. It stands for the limit of opening,
/// which also ends it by dropping it.
const PATIENCE: Duration = Duration::from_millis(500);
const TRIES: usize = 6;

/// How long a thread may take to end.
const LIMIT: Duration = Duration::from_secs(20);

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
    let pair = authority.server(&["localhost"]);
    let silent = servers::silent().port();
    let silent_with_tls = servers::silent_with_tls(&pair).port();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("an async runtime");
    for (url, comes_to_lapin) in [
        (format!("amqp://localhost:{silent}"), true),
        // Silent before the handshake of TLS, and after it.
        (format!("amqps://localhost:{silent}"), false),
        (format!("amqps://localhost:{silent_with_tls}"), true),
    ] {
        let address = address(&url, &authority);
        runtime.block_on(async {
            let give_up = async || {
                let opening = Connection::open(&address, "test");
                let seen = async {
                    tokio::time::sleep(PATIENCE).await;
                    lapin_is_there()
                };
                tokio::select! {
                    opened = opening => panic!("{:?}", opened.err()),
                    seen = seen => seen,
                }
            };
            // The first looks up the name, for which tokio keeps a thread for a while.
            assert_eq!(give_up().await, comes_to_lapin, "{url}");
            let before = settled().await;
            for _ in 1..TRIES {
                give_up().await;
            }
            let after = settled().await;
            assert!(after <= before, "{before} threads became {after}: {url}");
        });
    }
}

/// The number of threads, when lapin's have ended.
async fn settled() -> usize {
    let start = std::time::Instant::now();
    while lapin_is_there() && start.elapsed() < LIMIT {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    threads()
}
