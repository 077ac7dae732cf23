//! TLS: a private CA, client certificates, and what is said when a handshake fails.

use crate::bed::{LIMIT, drain, start};
use crate::certificates::{Authority, Pair};
use crate::node::{Clients, TlsNode};
use crate::programs::{Programs, ca, end_of_producer};
use crate::servers;
use ncs_e2e::producer::{FloodOptions, Producer};
use ncs_e2e::worker::WorkerOptions;
use std::ffi::OsString;
use std::path::Path;

/// The names in the certificates of our nodes.
const HERE: [&str; 2] = ["localhost", "127.0.0.1"];

const JOBS: u64 = 40;

fn ca_and_client(file: &Path, client: &Pair) -> Vec<OsString> {
    let mut arguments = ca(file);
    arguments.extend(["--tls-cert".into(), client.certificate.clone().into()]);
    arguments.extend(["--tls-key".into(), client.key.clone().into()]);
    arguments
}

/// Holds a worker and a producer to answer a flood between them, over TLS.
fn assert_that_jobs_flow(worker: &WorkerOptions, flood: &FloodOptions) {
    let worker = start(worker);
    let finished = Producer::flood(flood).expect("started").finish(LIMIT);
    let finished = finished.expect("finished");
    assert!(finished.status.success(), "{finished:?}");
    assert_eq!(finished.report.expect("a report")["answered"], JOBS);
    let said = worker.stderr();
    assert!(said.contains("broker=amqps://"), "{said}");
    drain(worker);
}

#[test]
fn jobs_flow_over_tls_where_the_brokers_ca_is_given_or_the_systems() {
    let authority = Authority::new("fleet");
    let node = TlsNode::start(&authority, &authority.server(&HERE), Clients::Any, &[]);
    let with_ca = Programs::new().with(ca(&authority.certificate));
    let (by_number, by_name) = (node.url("127.0.0.1"), node.url("localhost"));
    assert_that_jobs_flow(&with_ca.worker(&by_number), &with_ca.flood(&by_name, JOBS));

    let without = Programs::new();
    without.both_end(&by_name, 69, &["does not know", "--tls-ca"]);
    let systems = ("SSL_CERT_FILE", &authority.certificate);
    assert_that_jobs_flow(
        &without.worker(&by_name).env(systems.0, systems.1),
        &without.flood(&by_name, JOBS).env(systems.0, systems.1),
    );
    // With a CA of one's own, no other is trusted.
    let another = Authority::new("another");
    let wrong = Programs::new().with(ca(&another.certificate));
    let options = wrong.flood(&by_name, 1).env(systems.0, systems.1);
    let end = end_of_producer(&options);
    assert!(
        end.sentence.contains("is not signed by the CA in"),
        "{end:?}"
    );
    wrong.both_end(&by_name, 69, &["is not signed by", "ca.pem", "--tls-ca"]);

    with_ca.both_end(
        &node.url_of_the_plain_port(),
        69,
        &["does not speak TLS", "5671", "amqp://"],
    );
    without.both_end(
        &node.url_without_tls(),
        69,
        &["speaks TLS on this port", "write amqps://"],
    );
    node.node.stop().expect("it stops");
}

/// What becomes of programs without a client certificate, with a wrong one, and with the right one.
fn ask_for_client_certificates(further: &[&str]) {
    let authority = Authority::new("fleet");
    let another = Authority::new("another");
    let server = authority.server(&HERE);
    let node = TlsNode::start(&authority, &server, Clients::WithCertificate, further);
    let url = node.url("localhost");
    let of = |pair: &Pair| Programs::new().with(ca_and_client(&authority.certificate, pair));

    // Several times: the broker's last words are easily lost with its connection.
    let without = Programs::new().with(ca(&authority.certificate));
    for _ in 0..5 {
        let words = ["want", "a client certificate", "--tls-cert and --tls-key"];
        without.both_end(&url, 69, &words);
    }
    let theirs = another.sign(&[], |_| ());
    of(&theirs).both_end(&url, 69, &["does not accept", "--tls-cert", "UnknownCA"]);
    let old = authority.sign(&[], |params| {
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    });
    of(&old).both_end(&url, 69, &["does not accept", "CertificateExpired"]);

    let ours = of(&authority.sign(&[], |_| ()));
    assert_that_jobs_flow(&ours.worker(&url), &ours.flood(&url, JOBS));
    node.node.stop().expect("it stops");
}

#[test]
fn a_broker_that_asks_for_a_client_certificate_gets_one_or_its_refusal_is_told() {
    ask_for_client_certificates(&[]);
}

#[test]
fn so_it_is_with_tls_1_2() {
    ask_for_client_certificates(&["ssl_options.versions.1 = tlsv1.2"]);
}

#[test]
fn a_server_whose_certificate_cannot_be_trusted_is_told_why() {
    let authority = Authority::new("fleet");
    let programs = Programs::new().with(ca(&authority.certificate));
    let assert_told = |pair: &Pair, code: i32, words: &[&str]| {
        let server = servers::silent_with_tls(pair);
        let url = format!("amqps://ann:s3cret@localhost:{}", server.port());
        programs.both_end(&url, code, words);
    };
    let other_names = authority.server(&["rabbit", "10.0.0.1"]);
    assert_told(&other_names, 69, &["rabbit", "10.0.0.1", "not localhost"]);
    let no_names = authority.server(&[]);
    assert_told(
        &no_names,
        69,
        &["names no host", "subject alternative name"],
    );
    let expired = authority.sign(&HERE, |params| {
        params.not_after = rcgen::date_time_ymd(2020, 1, 1);
    });
    assert_told(&expired, 69, &["has expired", "renew it"]);
    assert_told(&authority.own(), 69, &["that of a CA", "CA:FALSE"]);
}

#[test]
fn a_certificate_that_is_not_valid_yet_may_be_so_soon() {
    let authority = Authority::new("fleet");
    let early = authority.sign(&HERE, |params| {
        params.not_before = rcgen::date_time_ymd(2999, 1, 1);
        params.not_after = rcgen::date_time_ymd(3000, 1, 1);
    });
    let server = servers::silent_with_tls(&early);
    let url = format!("amqps://localhost:{}", server.port());
    let programs = Programs::new().with(ca(&authority.certificate));
    programs.worker_waits_and_producer_ends(&url, &["not valid yet", "clock"]);
}

#[test]
fn a_file_that_cannot_be_used_is_named_with_its_flag_and_the_remedy() {
    let authority = Authority::new("fleet");
    let good = authority.sign(&[], |_| ());
    let other = authority.sign(&[], |_| ());
    let missing = authority.folder.missing();
    let empty = authority.folder.write("empty.pem", "");
    let broken = authority
        .folder
        .write("broken.pem", "-----BEGIN CERTIFICATE-----\ns3cret\n");
    let no_ca = authority.folder.write(
        "no-ca.pem",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    );
    let encrypted = authority.folder.write(
        "encrypted.key",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    let pair = |certificate: &Path, key: &Path| {
        let (certificate, key) = (certificate.to_owned(), key.to_owned());
        ca_and_client(&authority.certificate, &Pair { certificate, key })
    };
    let (certificate, key) = (&good.certificate, &good.key);
    for (arguments, words) in [
        (ca(&missing), ["missing.pem (--tls-ca)", "No such file"]),
        (ca(&empty), ["empty.pem (--tls-ca)", "BEGIN CERTIFICATE"]),
        (ca(key), [".key (--tls-ca)", "holds no certificate"]),
        (ca(&broken), ["broken.pem (--tls-ca)", "is broken PEM"]),
        (ca(&no_ca), ["no-ca.pem (--tls-ca)", "the CA's certificate"]),
        (pair(&missing, key), ["missing.pem (--tls-cert)", "No such"]),
        (
            pair(key, certificate),
            [".key (--tls-cert)", "no certificate"],
        ),
        (
            pair(certificate, &missing),
            ["missing.pem (--tls-key)", "No such"],
        ),
        (
            pair(certificate, certificate),
            [".pem (--tls-key)", "no private key"],
        ),
        (
            pair(certificate, &broken),
            ["broken.pem (--tls-key)", "broken PEM"],
        ),
        (
            pair(certificate, &encrypted),
            ["encrypted.key (--tls-key)", "openssl pkey"],
        ),
        (
            pair(certificate, &other.key),
            ["does not belong", "(--tls-cert)"],
        ),
    ] {
        let programs = Programs::new().with(arguments);
        programs.both_end("amqps://ann:s3cret@localhost:1", 69, &words);
    }
    let programs = Programs::new().with(ca(&authority.certificate));
    let words = [
        "--tls-ca (NCS_TLS_CA) is for TLS",
        "write amqps://localhost",
    ];
    programs.both_end("amqp://ann:s3cret@localhost:1", 69, &words);
}
