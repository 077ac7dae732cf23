//! Servers that are no brokers, and addresses where there is none.

use crate::programs::{Programs, end_of_producer};
use crate::servers;
use ncs_e2e::free_port;
use std::net::SocketAddr;

fn url(server: SocketAddr) -> String {
    format!("amqp://ann:s3cret@{server}")
}

#[test]
fn a_server_that_is_no_broker_is_recognised() {
    let programs = Programs::new();
    let http = servers::answering(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
    programs.both_end(&url(http), 69, &["is an HTTP server", "usually 5672"]);
    let ssh = servers::answering(b"SSH-2.0-OpenSSH_9.2p1\r\n");
    programs.both_end(&url(ssh), 69, &["'SSH-2.0-OpenSSH_9.2p1'", "usually 5672"]);
    let amqp_1 = servers::answering(b"AMQP\x00\x01\x00\x00");
    programs.both_end(&url(amqp_1), 69, &["does not speak AMQP 0-9-1"]);
    let noise = servers::answering(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff");
    programs.both_end(&url(noise), 69, &["does not speak AMQP 0-9-1"]);
}

/// It is what a proxy does before a broker that is starting.
#[test]
fn a_server_that_hangs_up_at_once_may_be_a_broker_soon() {
    let programs = Programs::new();
    programs.worker_waits_and_producer_ends(&url(servers::closing()), &["closed without a word"]);
}

#[test]
fn where_nobody_answers_the_worker_waits() {
    let port = free_port().expect("a port");
    let url = format!("amqp://ann:s3cret@127.0.0.1:{port}");
    let words = ["no broker answers at amqp://127.0.0.1", "refused"];
    Programs::new().worker_waits_and_producer_ends(&url, &words);
}

#[test]
fn a_server_that_never_says_a_word_is_given_up() {
    let url = url(servers::silent());
    let end = end_of_producer(&Programs::new().flood(&url, 1));
    assert_eq!(end.code, Some(1), "{end:?}");
    assert!(end.sentence.contains("no answer within 15 s"), "{end:?}");
}
