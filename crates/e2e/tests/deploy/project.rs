//! A combination of compose files, merged by Docker Compose.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

use ncs_e2e::compose::Compose;
use ncs_e2e::paths::repository_root;
use serde_json::{Map, Value};

use crate::scratch::Scratch;
use crate::service::Service;

/// The files on one machine, and those for the others.
pub(crate) const HEAD: &[&str] = &["docker-compose.yml"];
pub(crate) const HEAD_WITH_STICKS: &[&str] = &["docker-compose.yml", "deploy/sticks.yml"];
pub(crate) const HEAD_WITH_TLS: &[&str] = &["docker-compose.yml", "deploy/tls.yml"];
pub(crate) const FURTHER_HOST: &[&str] = &["deploy/worker-host.yml"];

/// Each once.
pub(crate) const ALL: [&str; 4] = [
    "docker-compose.yml",
    "deploy/sticks.yml",
    "deploy/tls.yml",
    "deploy/worker-host.yml",
];

/// What a user has written into `.env`.
pub(crate) const SECRETS: [(&str, &str); 2] = [
    ("NCS_RABBITMQ_PASSWORD", "rabbitsecret"),
    ("NCS_GRAFANA_PASSWORD", "grafanasecret"),
];
pub(crate) const FURTHER: [(&str, &str); 2] = [
    ("NCS_AMQP_URL", "amqp://ncs:rabbitsecret@head:5672"),
    ("NCS_RUNTIME", "sticks"),
];

/// What Docker Compose makes of the files.
pub(crate) struct Project(Value);

impl Project {
    pub(crate) fn read(files: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::from_output(&config(files, environment), &format!("{files:?}"))
    }

    fn from_output(output: &Output, what: &str) -> Self {
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{what}: {stderr}");
        assert!(!stderr.contains("warning"), "{what}: {stderr}");
        Self(serde_json::from_slice(&output.stdout).expect("JSON"))
    }

    /// What Docker Compose makes of a copy of all files and of this `.env`, with nothing said on its command
    /// line.
    pub(crate) fn of_env(lines: &str) -> Self {
        let scratch = Scratch::new(&unique_name());
        for file in ALL {
            scratch.file(file, &text_of(file));
        }
        scratch.file(".env", lines);
        let mut command = clean(Compose::find().expect("Docker Compose").command());
        command.current_dir(scratch.path());
        Self::from_output(&merged(command), lines)
    }

    /// All of them, as a user would run them.
    pub(crate) fn all() -> [Self; 4] {
        [
            Self::read(HEAD, &SECRETS),
            Self::read(HEAD_WITH_STICKS, &SECRETS),
            Self::read(FURTHER_HOST, &FURTHER),
            Self::read(FURTHER_HOST, &FURTHER[..1]),
        ]
    }

    pub(crate) fn services(&self) -> Vec<Service<'_>> {
        let services = self.services_by_name();
        services
            .iter()
            .map(|(name, value)| Service { name, value })
            .collect()
    }

    pub(crate) fn service(&self, name: &str) -> Service<'_> {
        let found = self.services_by_name().get_key_value(name);
        let (name, value) = found.unwrap_or_else(|| panic!("there is no {name}"));
        Service { name, value }
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        self.services_by_name().keys().map(String::as_str).collect()
    }

    fn services_by_name(&self) -> &Map<String, Value> {
        self.0["services"].as_object().expect("services")
    }
}

/// `docker compose config` of every profile, with this `.env` and nothing of our own environment that
/// could stand in for it.
pub(crate) fn config(files: &[&str], environment: &[(&str, &str)]) -> Output {
    let scratch = Scratch::new(&unique_name());
    let lines = environment
        .iter()
        .map(|(name, value)| format!("{name}={value}\n"));
    let file = scratch.file("env", &lines.collect::<String>());
    let mut command = clean(Compose::find().expect("Docker Compose").command());
    command.arg("--env-file").arg(file);
    for file in files {
        command.arg("--file").arg(repository_root().join(file));
    }
    merged(command)
}

fn merged(mut command: Command) -> Output {
    command
        .args(["--profile", "*", "config", "--format", "json"])
        .output()
        .expect("Docker Compose runs")
}

/// Tests run beside each other.
fn unique_name() -> String {
    use std::sync::atomic::{AtomicU32, Ordering};
    static MADE: AtomicU32 = AtomicU32::new(0);
    format!("env{}", MADE.fetch_add(1, Ordering::Relaxed))
}

fn clean(mut command: Command) -> Command {
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        if name.starts_with("NCS_") || name.starts_with("COMPOSE_") {
            command.env_remove(name.as_ref());
        }
    }
    command
}

/// Whether a program's help names this variable, with its value or, where that is a secret, without.
pub(crate) fn takes(help: &str, variable: &str) -> bool {
    ["=", "]"]
        .iter()
        .any(|end| help.contains(&format!("[env: {variable}{end}")))
}

/// A file of the repository.
pub(crate) fn text_of(file: &str) -> String {
    let path: PathBuf = repository_root().join(file);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
