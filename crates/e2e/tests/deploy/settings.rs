//! The real programs take what the files give them.

use std::net::TcpListener;
use std::process::{Command, Output};

use ncs_e2e::{free_port, paths};

use crate::project::{FURTHER, FURTHER_HOST, HEAD, HEAD_WITH_STICKS, Project, SECRETS, takes};
use crate::scratch::Scratch;
use crate::service::Service;

/// Clap's own code for a command line that it does not take.
const USAGE: i32 = 2;

fn program(name: &str) -> Command {
    let mut command = Command::new(paths::binary(name).expect("the program"));
    command.env_clear();
    command
}

fn run(command: &mut Command) -> (Option<i32>, String) {
    let Output { status, stderr, .. } = command.output().expect("it runs");
    (status.code(), String::from_utf8_lossy(&stderr).into_owned())
}

/// The worker with a service's environment, in a place without OpenVINO.
fn worker_as(service: &Service<'_>, scratch: &Scratch) -> Command {
    let mut command = program("ncs-worker");
    command
        .envs(service.environment())
        .env("NCS_OPENVINO_DIR", scratch.path());
    command
}

#[test]
fn a_worker_takes_each_variable_and_each_value() {
    let scratch = Scratch::new("worker");
    let help = program("ncs-worker").args(["run", "--help"]).output();
    let help = String::from_utf8_lossy(&help.expect("it runs").stdout).into_owned();
    for (files, environment) in [
        (HEAD, SECRETS),
        (HEAD_WITH_STICKS, SECRETS),
        (FURTHER_HOST, FURTHER),
    ] {
        let project = Project::read(files, &environment);
        let worker = project.service("worker");
        for (name, _) in worker.environment() {
            assert!(takes(&help, name), "{name} is no variable of a worker");
        }
        let command = worker.list("command");
        assert!(command.is_empty(), "the image's: run; not {command:?}");
        let (code, said) = run(worker_as(&worker, &scratch).arg("run"));
        // It has taken them all when it opens the first file, which is not here.
        assert_eq!(code, Some(1), "{said}");
        assert!(said.contains(worker.variable("NCS_LABELS")), "{said}");
    }
}

#[test]
fn its_health_check_asks_the_worker_of_the_same_variables() {
    let scratch = Scratch::new("health");
    let project = Project::read(HEAD, &SECRETS);
    let worker = project.service("worker");
    let test = worker.health_test();
    assert_eq!(test[..2], ["CMD", "ncs-worker"]);
    // Where the worker listens, but for the port, which somebody here may have.
    let address = worker.variable("NCS_METRICS_ADDR");
    let (host, _) = address.rsplit_once(':').expect("a port");
    let port = free_port().expect("a port");
    let mut command = worker_as(&worker, &scratch);
    command
        .args(&test[2..])
        .env("NCS_METRICS_ADDR", format!("{host}:{port}"));
    let (code, said) = run(&mut command);
    assert_eq!(code, Some(1));
    assert!(
        said.contains(&format!("no worker answers at 127.0.0.1:{port}")),
        "{said}"
    );
}

/// The producer as this service, at a broker's address where nobody listens.
fn producer_as(service: &Service<'_>) -> (Option<i32>, String) {
    let address = service.variable("NCS_AMQP_URL");
    assert!(address.starts_with("amqp://"), "it is told which broker");
    let nobody = format!("amqp://127.0.0.1:{}", free_port().expect("a port"));
    let mut command = program("ncs-producer");
    command
        .args(service.list("command"))
        .envs(service.environment())
        .env("NCS_AMQP_URL", nobody);
    run(&mut command)
}

#[test]
fn a_producer_takes_its_command() {
    let project = Project::read(HEAD, &SECRETS);
    let producer = project.service("producer");
    let (code, said) = producer_as(&producer);
    assert_ne!(code, Some(USAGE), "{said}");
    assert_eq!(code, Some(1), "{said}");
    // It asks for the model that the worker serves: the file's name.
    let worker = project.service("worker");
    let file = worker.variable("NCS_MODEL").rsplit('/').next();
    let model = file
        .and_then(|file| file.strip_suffix(".xml"))
        .expect("an IR");
    assert!(
        producer
            .list("command")
            .windows(2)
            .any(|pair| pair == ["--model", model])
    );
}

#[test]
fn the_list_of_workers_takes_its_command() {
    let project = Project::read(HEAD, &SECRETS);
    let targets = project.service("targets");
    // It would wait for the broker for ever; this port is taken, so it ends when it has read the rest.
    let taken = TcpListener::bind("0.0.0.0:0").expect("a port");
    let port = taken.local_addr().expect("its address").port();
    let command = targets.list("command");
    let here: Vec<String> = command
        .iter()
        .map(|word| word.replace(":9465", &format!(":{port}")))
        .collect();
    let mut command = program("ncs-producer");
    command.args(here).envs(targets.environment());
    let (code, said) = run(&mut command);
    assert_eq!(code, Some(1), "{said}");
    assert!(said.contains(&port.to_string()), "{said}");
}
