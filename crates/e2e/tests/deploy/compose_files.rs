//! The compose files, merged as users merge them.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use ncs_e2e::paths::repository_root;

use crate::project::{
    ALL, FURTHER, FURTHER_HOST, HEAD, HEAD_WITH_STICKS, HEAD_WITH_TLS, Project, SECRETS, config,
    text_of,
};
use crate::service::{Port, Service};

/// What a worker takes beyond its drain time: closing its connections.
const CLOSING: Duration = Duration::from_secs(15);

#[test]
fn one_machine_runs_the_whole_fleet_and_a_further_one_a_worker_alone() {
    let head = Project::read(HEAD, &SECRETS);
    let all = [
        "grafana",
        "models",
        "producer",
        "prometheus",
        "rabbitmq",
        "targets",
        "worker",
    ];
    assert_eq!(head.names(), all);
    for service in head.services() {
        let profiles = service.list("profiles");
        let wanted: &[&str] = if service.name == "producer" {
            &["flood"]
        } else {
            &[]
        };
        assert_eq!(profiles, wanted, "{}", service.name);
    }
    assert_eq!(Project::read(FURTHER_HOST, &FURTHER).names(), ["worker"]);
    for project in Project::all() {
        assert_eq!(project.service("worker").text("restart"), "unless-stopped");
    }
}

#[test]
fn without_passwords_it_refuses_and_says_which_one_is_missing() {
    for (files, known, missing) in [
        (HEAD, &SECRETS[1..], "NCS_RABBITMQ_PASSWORD"),
        (HEAD, &SECRETS[..1], "NCS_GRAFANA_PASSWORD"),
        (HEAD_WITH_STICKS, &SECRETS[1..], "NCS_RABBITMQ_PASSWORD"),
        (FURTHER_HOST, &[], "NCS_AMQP_URL"),
    ] {
        let output = config(files, known);
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{files:?}");
        assert!(said.contains(missing) && said.contains(".env"), "{said}");
    }
}

#[test]
fn no_password_is_in_any_file() {
    for file in ALL {
        for line in text_of(file).lines().map(str::trim) {
            let is_comment = line.starts_with('#');
            let names_one = line.contains("PASS") || line.contains("amqp://");
            assert!(
                is_comment || !names_one || line.contains("${NCS_"),
                "{file}: {line}"
            );
        }
    }
    let example = text_of(".env.example");
    for (name, _) in SECRETS {
        assert!(
            example.contains(&format!("\n{name}=\n")),
            "{name}: {example}"
        );
    }
    assert!(text_of(".gitignore").lines().any(|line| line == "/.env"));
}

#[test]
fn the_example_of_env_has_each_variable_of_the_files_and_no_other() {
    let mut used = BTreeSet::new();
    for file in ALL {
        let text = text_of(file);
        let lines = text.lines().filter(|line| !line.trim().starts_with('#'));
        for line in lines {
            let names = line.split("${").skip(1);
            used.extend(names.map(|rest| name_at_start(rest).to_owned()));
            // Without a value: the user's own.
            let bare = line.trim().strip_suffix(':');
            let bare = bare.filter(|name| name.starts_with("NCS_"));
            used.extend(bare.map(str::to_owned));
        }
    }
    let example = text_of(".env.example");
    let offered = example
        .lines()
        .filter_map(|line| line.trim_start_matches('#').split_once('='));
    let offered: BTreeSet<String> = offered
        .map(|(name, _)| name.to_owned())
        .filter(|name| name.starts_with("NCS_"))
        .collect();
    assert_eq!(used, offered);
}

fn name_at_start(text: &str) -> &str {
    let is_part = |character: char| character.is_ascii_alphanumeric() || character == '_';
    text.split(|character| !is_part(character))
        .next()
        .unwrap_or_default()
}

#[test]
fn an_env_says_which_files_there_are_and_what_the_worker_announces() {
    let head = "COMPOSE_FILE=docker-compose.yml:deploy/sticks.yml\nNCS_RABBITMQ_PASSWORD=a\n\
                NCS_GRAFANA_PASSWORD=b\nNCS_MODEL=/models/other.xml\n";
    let head = Project::of_env(head);
    let worker = head.service("worker");
    assert_eq!(worker.stage(), "worker-sticks");
    assert_eq!(worker.variable("NCS_MODEL"), "/models/other.xml");
    let further = "COMPOSE_FILE=deploy/worker-host.yml\nNCS_AMQP_URL=amqp://ncs:a@head\n";
    let silent = Project::of_env(further);
    assert_eq!(silent.service("worker").variable("NCS_ADVERTISE_ADDR"), "");
    let told = Project::of_env(&format!("{further}NCS_ADVERTISE_ADDR=cellar:9464\n"));
    let worker = told.service("worker");
    assert_eq!(worker.variable("NCS_ADVERTISE_ADDR"), "cellar:9464");
    assert_eq!(worker.stage(), "worker-cpu");
}

#[test]
fn with_tls_others_reach_the_broker_by_tls_alone() {
    let tls = [
        &SECRETS[..],
        &[("NCS_TLS_DIR", "/srv/tls"), ("NCS_TLS_BIND", "0.0.0.0")],
    ]
    .concat();
    let project = Project::read(HEAD_WITH_TLS, &tls);
    let broker = project.service("rabbitmq");
    let public = broker.ports().into_iter();
    let public: Vec<_> = public.filter(|port| port.address != "127.0.0.1").collect();
    let port = Port {
        inside: 5671,
        published: "5671",
        address: "0.0.0.0",
    };
    assert_eq!(public, [port]);
    let configuration = text_of("deploy/rabbitmq/tls.conf");
    assert!(configuration.contains("listeners.ssl.default = 5671"));
    let mounts = broker.bind_mounts();
    assert!(mounts.contains(&("/srv/tls", "/etc/rabbitmq/tls")));
    for file in ["ca.pem", "broker.pem", "broker-key.pem"] {
        let named = configuration.contains(&format!("= /etc/rabbitmq/tls/{file}\n"));
        assert!(named, "{file}: {configuration}");
    }
    let without = config(HEAD_WITH_TLS, &SECRETS);
    let said = String::from_utf8_lossy(&without.stderr);
    assert!(
        !without.status.success() && said.contains("NCS_TLS_DIR"),
        "{said}"
    );
}

#[test]
fn every_path_of_the_host_is_in_the_repository() {
    let root = repository_root();
    for project in Project::all() {
        for service in project.services() {
            for (source, target) in service.bind_mounts() {
                let source = Path::new(source);
                // The model of a further host comes from the head; USB is the system's.
                if target == "/models" || source == Path::new("/dev/bus/usb") {
                    continue;
                }
                let exists = source.starts_with(&root) && source.exists();
                assert!(exists, "{}: {} is missing", service.name, source.display());
            }
        }
    }
}

#[test]
fn grafana_and_prometheus_find_their_files_where_they_look() {
    let root = repository_root();
    let head = Project::read(HEAD, &SECRETS);
    let at_home = |service: &str, inside: &str| {
        let mounts = head.service(service).bind_mounts();
        let within = |(source, target): &(&str, &str)| {
            if inside == *target {
                return Some(PathBuf::from(source));
            }
            let below = Path::new(inside).strip_prefix(target).ok()?;
            Some(Path::new(source).join(below))
        };
        let file = mounts.iter().find_map(within);
        file.unwrap_or_else(|| panic!("{service} does not see {inside}"))
    };
    let grafana = head.service("grafana");
    let home = grafana.variable("GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH");
    let dashboard = at_home("grafana", home);
    assert_eq!(dashboard, root.join("grafana/dashboards/fleet.json"));
    for (service, inside) in [
        (
            "grafana",
            "/etc/grafana/provisioning/datasources/prometheus.yml",
        ),
        (
            "grafana",
            "/etc/grafana/provisioning/dashboards/ncs-fleet.yml",
        ),
        ("grafana", home),
        ("prometheus", "/etc/prometheus/prometheus.yml"),
        ("prometheus", "/etc/prometheus/workers.yml"),
        ("prometheus", "/etc/prometheus/rules"),
        ("rabbitmq", "/etc/rabbitmq/enabled_plugins"),
        ("models", "/etc/ncs/models.lst"),
    ] {
        let file = at_home(service, inside);
        assert!(file.exists(), "{} is missing", file.display());
    }
    let provider = text_of("grafana/provisioning/dashboards/ncs-fleet.yml");
    assert!(
        provider.contains("path: /var/lib/grafana/dashboards"),
        "{provider}"
    );
    let source = text_of("grafana/provisioning/datasources/prometheus.yml");
    assert!(source.contains("http://prometheus:9090"), "{source}");
}

#[test]
fn what_prometheus_asks_is_a_service_and_its_port() {
    let configuration = text_of("prometheus/prometheus.yml");
    assert!(
        configuration.contains("- rabbitmq:15692"),
        "{configuration}"
    );
    assert!(
        configuration.contains("http://targets:9465/targets"),
        "{configuration}"
    );
    for project in Project::all() {
        let worker = project.service("worker");
        assert_eq!(worker.variable("NCS_METRICS_ADDR"), "0.0.0.0:9464");
        if project.names().contains(&"targets") {
            // What it announces is where Prometheus reaches it; elsewhere it is its host's address.
            assert_eq!(worker.variable("NCS_ADVERTISE_ADDR"), "worker:9464");
            let targets = project.service("targets").list("command");
            assert_eq!(targets, ["targets", "--listen", "0.0.0.0:9465"]);
        }
    }
    let plugins = text_of("deploy/rabbitmq/enabled_plugins");
    assert_eq!(plugins.trim(), "[rabbitmq_management,rabbitmq_prometheus].");
    // On the host's network the worker has no name of its own.
    let sticks = Project::read(HEAD_WITH_STICKS, &SECRETS);
    let hosts = sticks.service("prometheus").list("extra_hosts");
    assert_eq!(hosts, ["worker=host-gateway"]);
}

#[test]
fn ports_are_those_of_the_programs_and_nothing_is_open_to_others_unless_it_is_asked_for() {
    let ports_of = |more: &[(&'static str, &'static str)]| {
        let environment = [&SECRETS[..], more].concat();
        Project::read(HEAD, &environment)
    };
    let closed = ports_of(&[]);
    for (service, ports) in [
        ("rabbitmq", &[5672, 15672][..]),
        ("worker", &[9464]),
        ("prometheus", &[9090]),
        ("grafana", &[3000]),
        ("models", &[]),
        ("producer", &[]),
        ("targets", &[]),
    ] {
        let found = closed.service(service).ports();
        let inside: Vec<u64> = found.iter().map(|port| port.inside).collect();
        assert_eq!(inside, ports, "{service}");
        for port in found {
            assert_eq!(port.address, "127.0.0.1", "{service}: {port:?}");
            assert_eq!(port.published, port.inside.to_string(), "{service}");
        }
    }
    let open = ports_of(&[("NCS_BIND", "0.0.0.0"), ("NCS_GRAFANA_BIND", "10.0.0.1")]);
    let public: Vec<_> = open.services().iter().flat_map(Service::ports).collect();
    let public: Vec<_> = public
        .iter()
        .filter(|port| port.address != "127.0.0.1")
        .collect();
    let port = |inside, published, address| Port {
        inside,
        published,
        address,
    };
    let wanted = [
        port(3000, "3000", "10.0.0.1"),
        port(5672, "5672", "0.0.0.0"),
    ];
    assert_eq!(public, wanted.iter().collect::<Vec<_>>());
}

#[test]
fn a_stick_may_boot_and_the_worker_on_the_hosts_network_reaches_the_broker() {
    let head = Project::read(HEAD_WITH_STICKS, &SECRETS);
    let further = Project::read(FURTHER_HOST, &FURTHER);
    for project in [&head, &further] {
        let worker = project.service("worker");
        assert_eq!(worker.text("network_mode"), "host");
        assert_eq!(worker.ports(), []);
        assert_eq!(worker.text("hostname"), "");
        assert_eq!(worker.list("device_cgroup_rules"), ["c 189:* rmw"]);
        assert_eq!(worker.list("group_add"), ["100"]);
        let usb = ("/dev/bus/usb", "/dev/bus/usb");
        assert!(worker.bind_mounts().contains(&usb));
        assert_eq!(worker.value["build"]["target"], "worker-sticks");
    }
    let worker = head.service("worker");
    assert_eq!(worker.variable("NCS_DEVICES"), "sticks");
    let bound = Project::read(
        HEAD_WITH_STICKS,
        &[&SECRETS[..], &[("NCS_BIND", "10.0.0.1")]].concat(),
    );
    for (project, address) in [(&head, "127.0.0.1"), (&bound, "10.0.0.1")] {
        let url = project.service("worker").variable("NCS_AMQP_URL");
        assert_eq!(url, format!("amqp://ncs:rabbitsecret@{address}:5672"));
        let broker = project.service("rabbitmq").ports();
        assert_eq!(broker[0].address, address);
    }
}

#[test]
fn a_worker_has_more_time_to_stop_than_it_takes_to_drain() {
    for project in Project::all() {
        let worker = project.service("worker");
        let drain = worker.variable("NCS_DRAIN_TIMEOUT");
        let drain = drain.strip_suffix('s').and_then(|drain| drain.parse().ok());
        let drain = Duration::from_secs(drain.expect("seconds"));
        assert!(worker.stop_grace() > drain + CLOSING, "{drain:?}");
    }
}

#[test]
fn services_wait_for_what_they_need_and_say_how_they_are() {
    let head = Project::read(HEAD, &SECRETS);
    let condition = |service: &str, needed: &str| {
        head.service(service).value["depends_on"][needed]["condition"].clone()
    };
    assert_eq!(condition("worker", "rabbitmq"), "service_healthy");
    assert_eq!(
        condition("worker", "models"),
        "service_completed_successfully"
    );
    assert_eq!(condition("producer", "worker"), "service_healthy");
    for service in head.services() {
        // Those that end say it by their exit code; nobody waits for `targets`.
        let ends = ["models", "producer"].contains(&service.name);
        let silent = ends || service.name == "targets";
        assert_eq!(service.health_test().is_empty(), silent, "{}", service.name);
        let restart = if ends { "no" } else { "unless-stopped" };
        assert_eq!(service.text("restart"), restart, "{}", service.name);
    }
    for project in Project::all() {
        let test = project.service("worker").health_test();
        assert_eq!(test, ["CMD", "ncs-worker", "health"]);
    }
    // Its data lies under the name of its host.
    assert_eq!(head.service("rabbitmq").text("hostname"), "rabbitmq");
    for (service, inside) in [
        ("rabbitmq", "/var/lib/rabbitmq"),
        ("prometheus", "/prometheus"),
        ("grafana", "/var/lib/grafana"),
        ("models", "/models"),
        ("worker", "/models"),
    ] {
        let volumes = head.service(service).named_volumes();
        assert!(
            volumes.contains(&(service_volume(service), inside)),
            "{volumes:?}"
        );
    }
}

fn service_volume(service: &str) -> &str {
    if service == "worker" {
        "models"
    } else {
        service
    }
}

#[test]
fn images_are_pinned_and_our_own_have_the_version_of_the_programs() {
    for project in Project::all() {
        for service in project.services() {
            let image = service.text("image");
            let (name, tag) = image.rsplit_once(':').expect("a tag");
            let whole = tag.trim_start_matches('v').split(['.', '-']).take(3);
            assert!(
                whole.clone().count() == 3 && whole.clone().all(is_number),
                "{image}"
            );
            if service.is_ours() {
                assert_eq!(tag, env!("CARGO_PKG_VERSION"));
                assert_eq!(name, format!("ncs-fleet/{}", service.stage()));
                assert_eq!(
                    service.text("pull_policy"),
                    "never",
                    "nobody else's: {image}"
                );
            }
        }
    }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|character| character.is_ascii_digit())
}

#[test]
fn containers_of_ours_can_write_and_do_no_more_than_they_must() {
    for project in Project::all() {
        for service in project
            .services()
            .iter()
            .filter(|service| service.is_ours())
        {
            assert_eq!(service.value["read_only"], true, "{}", service.name);
            assert_eq!(service.list("cap_drop"), ["ALL"], "{}", service.name);
            let options = service.list("security_opt");
            assert_eq!(options, ["no-new-privileges:true"], "{}", service.name);
            assert!(service.list("tmpfs").contains(&"/tmp"), "{}", service.name);
            assert!(service.value.get("privileged").is_none());
            assert!(service.value.get("user").is_none(), "the image's");
        }
    }
}

#[test]
fn a_worker_is_the_same_on_every_host() {
    let head = Project::read(HEAD, &SECRETS);
    let further = Project::read(FURTHER_HOST, &FURTHER);
    let (here, there) = (head.service("worker"), further.service("worker"));
    for key in [
        "healthcheck",
        "stop_grace_period",
        "restart",
        "logging",
        "tmpfs",
    ] {
        assert_eq!(here.value[key], there.value[key], "{key}");
    }
    for variable in [
        "NCS_MODEL",
        "NCS_LABELS",
        "NCS_METRICS_ADDR",
        "NCS_DRAIN_TIMEOUT",
    ] {
        assert_eq!(here.variable(variable), there.variable(variable));
    }
    for key in ["context", "dockerfile"] {
        assert_eq!(here.value["build"][key], there.value["build"][key], "{key}");
    }
    let cpu = Project::read(FURTHER_HOST, &FURTHER[..1]);
    assert_eq!(cpu.service("worker").value["build"]["target"], "worker-cpu");
}
