//! A broker that stops and starts: nobody takes it for one that declines.

use crate::bed::{LIMIT, drain, start, wait_until_busy};
use crate::certificates::Authority;
use crate::node::{Clients, TlsNode};
use crate::programs::{Programs, ca};
use ncs_broker::{Address, BrokerError, Connection, TlsFiles, UncheckedAddress};
use ncs_e2e::poll_until;
use ncs_e2e::producer::Producer;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

/// Between two tries to log in, which fail at once while nobody listens.
const PAUSE: Duration = Duration::from_millis(10);

/// Logs in again and again until it is told to stop, and returns the errors.
fn logging_in(address: Address, stop: &Arc<AtomicBool>) -> JoinHandle<Vec<BrokerError>> {
    let stop = Arc::clone(stop);
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build();
        runtime.expect("an async runtime").block_on(async {
            let mut errors = Vec::new();
            while !stop.load(Ordering::Relaxed) {
                match Connection::open(&address, "test").await {
                    Ok(connection) => connection.close().await,
                    Err(error) => {
                        errors.push(error);
                        tokio::time::sleep(PAUSE).await;
                    }
                }
            }
            errors
        })
    })
}

#[test]
fn a_broker_that_restarts_is_waited_for_with_tls_too() {
    let authority = Authority::new("fleet");
    let server = authority.server(&["localhost", "127.0.0.1"]);
    let mut node = TlsNode::start(&authority, &server, Clients::Any, &[]);
    let programs = Programs::new().with(ca(&authority.certificate));
    let url = node.url("localhost");
    let worker = start(&programs.worker(&url));
    let flood = programs
        .flood(&url, 400)
        .arguments(["--rate", "20", "--timeout", "170s"]);
    let producer = Producer::flood(&flood).expect("started");
    wait_until_busy(&worker);

    let stop = Arc::new(AtomicBool::new(false));
    let check = |url: String, files: TlsFiles| UncheckedAddress::from(url).check(&files);
    let files = TlsFiles {
        ca: Some(authority.certificate.clone()),
        ..TlsFiles::default()
    };
    let with_tls = check(url, files).expect("an address");
    let plain = check(node.node.amqp_url(), TlsFiles::default()).expect("an address");
    let clients = [plain, with_tls].map(|address| logging_in(address, &stop));
    for _ in 0..3 {
        node.node.shut_down().expect("it stops");
        node.node.restart().expect("it comes back");
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        let errors = client.join().expect("it ends");
        assert!(!errors.is_empty(), "it was noticed");
        let lasting = errors.iter().find(|error| !error.is_temporary());
        assert!(lasting.is_none(), "{lasting:?}");
    }
    let ready = poll_until(LIMIT, || {
        (worker.get("/readyz").ok()?.status == 200).then_some(())
    });
    assert!(ready.is_some(), "{}", worker.last_words());
    let finished = producer.finish(LIMIT).expect("finished");
    assert!(finished.status.success(), "{finished:?}");
    drain(worker);
    node.node.stop().expect("it stops");
}
