//! Passwords: where they may come from, and where they must not go.

use crate::bed::{LIMIT, drain, start, unique};
use crate::certificates::Folder;
use crate::node::{ctl, shared};
use crate::programs::{Programs, end_of_producer};
use ncs_e2e::poll_until;
use ncs_e2e::process::Process;
use ncs_e2e::producer::Producer;
use ncs_e2e::rabbitmq::Release;
use std::fs;

/// Where there is no broker, and nothing is to be sent.
const NOWHERE: &str = "amqp://127.0.0.1:1";

fn cmdline(process: &Process) -> String {
    let cmdline = fs::read(format!("/proc/{}/cmdline", process.id())).expect("it runs");
    String::from_utf8_lossy(&cmdline).replace('\0', " ")
}

#[test]
fn a_password_is_nowhere_to_be_seen() {
    let node = shared(Release::Installed);
    let (ann, password) = (unique("ann"), unique("s3cret"));
    ctl(&node, &["add_user", &ann, &password]);
    ctl(&node, &["set_permissions", &ann, ".*", ".*", ".*"]);
    let programs = Programs::new();
    let url = format!("amqp://{ann}:{password}@{}", node.amqp_addr());

    let worker = programs
        .worker(NOWHERE)
        .arguments(["--amqp-url", &url])
        .env("NCS_LOG", "trace");
    let worker = start(&worker);
    let shown = cmdline(&worker);
    assert!(shown.contains(" run ") && !shown.contains('@'), "{shown}");
    let name = fs::read_to_string(format!("/proc/{}/comm", worker.id())).expect("it runs");
    assert_eq!(name.trim(), "ncs-worker");

    let flood = programs
        .flood(NOWHERE, 10)
        .arguments([format!("--amqp-url={url}"), "--rate=2".to_owned()])
        .env("NCS_LOG", "trace");
    let producer = Producer::flood(&flood).expect("started");
    let logged_in = poll_until(LIMIT, || {
        producer.stderr().contains("create channel").then_some(())
    });
    assert!(logged_in.is_some(), "{}", producer.stderr());
    let shown = cmdline(&producer);
    assert!(shown.contains(" flood ") && !shown.contains('@'), "{shown}");
    let finished = producer.finish(LIMIT).expect("finished");
    assert!(finished.status.success(), "{finished:?}");

    // As lapin writes it in the frame that logs in.
    let as_numbers = format!("{:?}", password.as_bytes());
    let as_numbers = as_numbers.trim_matches(['[', ']']).to_owned();
    let metrics = worker.metrics().expect("metrics");
    let logs = [worker.stderr(), finished.stderr];
    for log in &logs {
        assert!(log.contains("DEBUG create channel"), "lapin speaks: {log}");
    }
    for said in [worker.stdout(), finished.stdout, metrics]
        .iter()
        .chain(&logs)
    {
        for password in [&password, &as_numbers] {
            assert!(!said.contains(password), "{said}");
        }
    }
    drain(worker);
    ctl(&node, &["delete_user", &ann]);
}

#[test]
fn the_address_may_come_from_a_file_and_goes_before_the_environment() {
    let node = shared(Release::Installed);
    let folder = Folder::create();
    let file = folder.write("url", &format!("\n  {}\n\n", node.amqp_url()));
    let programs = Programs::new().with([&"--amqp-url-file".into(), &file]);
    let worker = start(&programs.worker(NOWHERE));
    drain(worker);

    // A flag goes before the variable of the other, also where its password leaves the command line.
    let nowhere = folder.write("nowhere", NOWHERE);
    let flood = Programs::new()
        .flood(NOWHERE, 1)
        .arguments(["--amqp-url", &node.amqp_url()])
        .env("NCS_AMQP_URL_FILE", &nowhere);
    let end = end_of_producer(&flood);
    assert!(
        end.sentence.contains("there is no queue for the model"),
        "{end:?}"
    );
}

#[test]
fn two_addresses_or_a_bad_file_are_refused_without_showing_them() {
    let folder = Folder::create();
    let file = folder.write("url", "amqp://ann:s3cret@secret-host:port");
    let of_file = |file| Programs::new().with(["--amqp-url-file".into(), file]);
    let url = "amqp://ann:s3cret@secret-host";
    for (end, words) in [
        (
            end_of_producer(&of_file(file.clone()).flood(NOWHERE, 1)),
            ["the content of", "invalid port number"],
        ),
        (
            end_of_producer(&of_file(folder.missing()).flood(NOWHERE, 1)),
            ["missing.pem (--amqp-url-file)", "No such file"],
        ),
        (
            end_of_producer(
                &of_file(file.clone())
                    .flood(NOWHERE, 1)
                    .arguments(["--amqp-url", url]),
            ),
            ["--amqp-url and --amqp-url-file", "give one of them"],
        ),
        (
            end_of_producer(
                &Programs::new()
                    .flood(url, 1)
                    .env("NCS_AMQP_URL_FILE", &file),
            ),
            ["NCS_AMQP_URL and NCS_AMQP_URL_FILE", "give one of them"],
        ),
    ] {
        assert_eq!(end.code, Some(69), "{end:?}");
        for word in words {
            assert!(end.sentence.contains(word), "{word} is not in {end:?}");
        }
        for secret in ["s3cret", "secret-host"] {
            assert!(!end.sentence.contains(secret), "{end:?}");
        }
    }
}
