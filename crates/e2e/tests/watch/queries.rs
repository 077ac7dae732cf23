//! Each query of a dashboard and of an alert, put to the real Prometheus that looks at a real fleet.

use crate::bed::LIMIT;
use crate::client::block_on;
use crate::dashboard::{Query, all};
use crate::place::Place;
use ncs_e2e::paths::repository_root;
use ncs_e2e::poll_until;
use ncs_e2e::prometheus::Prometheus;
use ncs_e2e::rabbitmq::Release;
use ncs_e2e::sticks::State;
use ncs_e2e::targets::Targets;
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// What may be empty on a fleet that works, and why. Everything else must show something, at some
/// moment of the test.
const MAY_BE_EMPTY: [(&str, &str); 4] = [
    (
        "Fleet: Time until no job waits, by model B",
        "no trend: the queue does not shrink",
    ),
    (
        "Host: \"Service\"",
        "a rebuild may be over between two scrapes",
    ),
    ("Host: \"Broker\"", "the connection holds"),
    ("Host: \"Starts\"", "the worker is not started anew"),
];

/// Where nobody listens.
const NOBODY: &str = "127.0.0.1:1";

/// The repository's own configuration, with nothing changed but whom it asks and how often. The worker is
/// listed by hand where nobody tells of it.
fn prometheus_for(place: &Place, targets: Option<&Targets>) -> Prometheus {
    let broker = place.node.prometheus_addr().expect("it serves figures");
    let own = repository_root().join("prometheus");
    let prepare = |dir: &Path| {
        fs::create_dir(dir.join("rules"))?;
        for rules in own.join("rules").read_dir()?.flatten() {
            fs::copy(rules.path(), dir.join("rules").join(rules.file_name()))?;
        }
        let changed = |file: &str, changes: &[(&str, &str)]| {
            let mut text = fs::read_to_string(own.join(file)).expect("it");
            for (from, to) in changes {
                assert!(text.contains(from), "{from} is not in {file}");
                text = text.replace(from, to);
            }
            text
        };
        let worker = format!("- targets: [{}]", place.worker.metrics_addr());
        let by_hand = if targets.is_some() { "[]" } else { &worker };
        let list = changed("workers.yml", &[("\n[]\n", &format!("\n{by_hand}\n"))]);
        fs::write(dir.join("workers.yml"), list)?;
        let told = targets.map_or(NOBODY.to_owned(), |targets| targets.addr().to_string());
        let config = [
            ("rabbitmq:15692", &*broker.to_string()),
            ("targets:9465", &told),
            ("refresh_interval: 15s", "refresh_interval: 1s"),
            ("scrape_interval: 15s", "scrape_interval: 1s"),
            ("evaluation_interval: 15s", "evaluation_interval: 1s"),
        ];
        Ok(changed("prometheus.yml", &config))
    };
    Prometheus::start(prepare).expect("prometheus starts")
}

/// Waits until a query comes to something.
fn wait_for(prometheus: &Prometheus, query: &str) {
    let found = poll_until(LIMIT, || {
        let found = prometheus.query(query).expect("a query that is understood");
        (!found.is_empty()).then_some(())
    });
    assert!(found.is_some(), "nothing for {query}");
}

/// The names in a query that a program or a rule must have made.
fn names(expr: &str) -> impl Iterator<Item = &str> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == ':';
    let words = expr.split(move |c| !is_part(c));
    words.filter(|word| {
        word.starts_with("ncs_worker_")
            || word.starts_with("rabbitmq_")
            || word.starts_with("process_")
    })
}

/// A fleet to which everything happens that dashboards have a panel for.
fn every_query_shows_something(place: &Place, prometheus: &Prometheus, host: &str) {
    for job in ["ncs-worker", "rabbitmq", "rabbitmq-queues"] {
        wait_for(prometheus, &format!("up{{job=\"{job}\"}} == 1"));
    }
    let flood = place.flood(None);
    wait_for(prometheus, "sum(model:ncs_jobs_waiting:sum) > 0");

    block_on(async {
        let client = place.client().await;
        // No job: a dead letter. No image: an error result. Too late: dead-lettered by the broker.
        client.send_image("a", "image/tiff", vec![0; 100]).await;
        client.send_image("b", "image/jpeg", vec![0; 100]).await;
        let mut late = client.image("c", "image/jpeg");
        late.expiration = Some("1".to_owned());
        client.send(late, vec![0; 100]).await;
    });
    let named = "ncs_worker_stick_state{stick=\"MYRIAD.1.2-ma2480\", state=\"lost\"} == 1";
    place.sticks.unplug("1.2").expect("unplugged");
    wait_for(prometheus, named);

    let dashboards = all();
    // What is marked in the panels is there only for a while, so it is asked for all the time.
    let mut open: Vec<Query> = Vec::new();
    for dashboard in &dashboards {
        let (host, model) = if dashboard.title() == "Fleet" {
            (".+", ".+")
        } else {
            (host, place.model.as_str())
        };
        let queries = [
            dashboard.queries(),
            dashboard.annotations(),
            dashboard.variables(),
        ];
        open.extend(
            queries
                .concat()
                .iter()
                .map(|query| query.filled_in(host, model)),
        );
    }
    let asked: Vec<Query> = open.clone();
    let _ = poll_until(LIMIT, || {
        open.retain(|Query { place, expr }| {
            let answer = prometheus.query(expr);
            answer
                .unwrap_or_else(|error| panic!("{place}: {error:#}"))
                .is_empty()
        });
        let allowed = |query: &Query| MAY_BE_EMPTY.iter().any(|(place, _)| *place == query.place);
        open.iter().all(allowed).then_some(())
    });
    open.retain(|query| MAY_BE_EMPTY.iter().all(|(place, _)| *place != query.place));
    assert!(open.is_empty(), "these show nothing: {open:#?}");
    for (place, _) in MAY_BE_EMPTY {
        assert!(asked.iter().any(|query| query.place == place), "no {place}");
    }

    every_alert_is_understood(prometheus);
    // The verdict on a host whose sticks are busy.
    wait_for(prometheus, "host_model:ncs_limit:info{limit=\"sticks\"}");
    wait_for(
        prometheus,
        "ALERTS{alertname=\"NcsDeadLetters\", alertstate=\"firing\"}",
    );
    wait_for(prometheus, "ALERTS{alertname=\"NcsSticksLost\"}");
    let wrong = prometheus
        .query("ALERTS{alertstate=\"firing\", alertname!~\"NcsDeadLetters|NcsSticksLost\"}");
    assert_eq!(wrong.expect("an answer"), Vec::<Value>::new());
    drop(flood);
}

/// Each rule is evaluated without an error, and all that it is made of exists.
fn every_alert_is_understood(prometheus: &Prometheus) {
    let rules = prometheus.api("/api/v1/rules").expect("the rules");
    let groups = rules["groups"].as_array().expect("groups");
    let rules = groups
        .iter()
        .flat_map(|group| group["rules"].as_array().expect("rules"));
    let mut alerts = 0;
    let mut used = BTreeSet::new();
    for rule in rules {
        assert_eq!(rule["health"], "ok", "{rule}");
        alerts += u32::from(rule["type"] == "alerting");
        used.extend(names(rule["query"].as_str().expect("a query")));
    }
    assert!(alerts >= 6, "{alerts}");
    // It is one name by a pattern.
    used.remove("rabbitmq_alarms_");
    for name in used {
        wait_for(prometheus, name);
    }
    let alarms = "{__name__=~\"rabbitmq_alarms_(memory_used|free_disk_space)_watermark\"}";
    wait_for(prometheus, &format!("count({alarms}) == 2"));
}

#[test]
fn every_query_shows_something_with_rabbitmq_3_and_a_slow_stick_widens_the_gap() {
    let place = Place::new(Release::V3);
    let prometheus = prometheus_for(&place, None);
    every_query_shows_something(&place, &prometheus, "127.0.0.1");

    // Two sticks are left. One that is slow has a fifth of the inferences.
    let flood = place.flood(None);
    let gap = |than: &str| {
        let quantile = |q: &str| {
            format!(
                "histogram_quantile({q}, sum by (le) (\
                 rate(ncs_worker_stage_seconds_bucket{{stage=\"infer\"}}[10s])))"
            )
        };
        format!("{} / {} {than}", quantile("0.95"), quantile("0.5"))
    };
    wait_for(&prometheus, &gap("< 1.7"));
    place.sticks.set("1.1", State::Slow(4.0)).expect("set");
    wait_for(&prometheus, &gap("> 2.5"));
    drop(flood);
}

#[test]
fn every_query_shows_something_with_rabbitmq_4_and_a_worker_that_announces_itself() {
    let place = Place::new(Release::V4);
    let targets = Targets::start(&place.node.amqp_url(), &[]).expect("it serves");
    let prometheus = prometheus_for(&place, Some(&targets));
    wait_for(&prometheus, "up{job=\"ncs-worker\"} == 1");
    let found = prometheus.query("up{job=\"ncs-worker\"}").expect("it");
    let labels = &found[0]["metric"];
    assert_eq!(labels["model"], *place.model, "{labels}");
    assert_eq!(labels["instance"], place.worker.metrics_addr().to_string());
    let host = labels["host"].as_str().expect("a host");
    assert!(!host.starts_with("127."), "its name: {host}");
    every_query_shows_something(&place, &prometheus, host);
}
