//! docs/metrics.md against what the programs really show.

use crate::bed::LIMIT;
use crate::place::{Place, STICKS};
use crate::text::{Kinds, kinds};
use ncs_e2e::http::http_get;
use ncs_e2e::paths::repository_root;
use ncs_e2e::rabbitmq::Release;
use ncs_e2e::{free_port, poll_until, prometheus};
use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{Command, Stdio};

/// The metrics that docs/metrics.md lists, of which the name begins so. Its rows are
/// `` | `name` | type | `label`, `label` | unit | meaning | ``.
fn listed(belongs: impl Fn(&str) -> bool) -> Kinds {
    let text = std::fs::read_to_string(repository_root().join("docs/metrics.md")).expect("it");
    let mut listed = Kinds::new();
    for line in text.lines() {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        let [_, name, kind, labels, _unit, meaning, _] = cells[..] else {
            continue;
        };
        let name = name.trim_matches('`');
        if !["counter", "gauge", "histogram"].contains(&kind) || !belongs(name) {
            continue;
        }
        assert!(!meaning.is_empty(), "{name} has no meaning");
        let labels = labels
            .split(',')
            .map(|label| label.trim().trim_matches('`'));
        let labels = labels.filter(|label| !label.is_empty()).map(str::to_owned);
        let entry = (kind.to_owned(), labels.collect());
        assert!(
            listed.insert(name.to_owned(), entry).is_none(),
            "{name} is listed twice"
        );
    }
    listed
}

/// Prometheus' own judgement of a page.
fn has_nothing_to_mend(page: &str) {
    let mut promtool = Command::new(prometheus::program("promtool").expect("promtool"));
    promtool
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut checking = promtool.spawn().expect("promtool starts");
    let mut input = checking.stdin.take().expect("an input");
    input.write_all(page.as_bytes()).expect("it reads");
    drop(input);
    let checked = checking.wait_with_output().expect("it ends");
    let said = [checked.stdout, checked.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(checked.status.success() && said.is_empty(), "{said}");
}

#[test]
fn every_metric_is_listed_as_it_is_and_promtool_finds_nothing() {
    let place = Place::new(Release::Installed);
    let addr: SocketAddr = (Ipv4Addr::LOCALHOST, free_port().expect("a port")).into();
    let flood = place.flood(Some(addr));
    place.wait_for("ncs_worker_jobs_total{outcome=\"classified\"}", |jobs| {
        jobs > 50.0
    });
    let first = "ncs_worker_stick_temperature_celsius{stick=\"MYRIAD.1.1-ma2480\"}";
    place.wait_for(first, |celsius| celsius > 0.0);

    let page = place.worker.metrics().expect("figures");
    has_nothing_to_mend(&page);
    assert_eq!(
        listed(|name| !name.starts_with("ncs_producer_")),
        kinds(&page)
    );

    let page = poll_until(LIMIT, || http_get(addr, "/metrics").ok()).expect("the flood's figures");
    has_nothing_to_mend(&page.body);
    let of_the_flood = listed(|name| name.starts_with("ncs_producer_"));
    assert_eq!(of_the_flood, kinds(&page.body));
    drop(flood);
}

#[test]
fn a_stick_that_is_lost_is_named_and_idle_requests_count_up_to_the_scrape() {
    let place = Place::new(Release::Installed);
    let state = |stick: u16, state: &str| {
        format!("ncs_worker_stick_state{{state=\"{state}\",stick=\"MYRIAD.1.{stick}-ma2480\"}}")
    };
    for stick in 1..=STICKS {
        place.wait_for(&state(stick, "serving"), |now| now > 0.5);
    }
    place.sticks.unplug("1.2").expect("unplugged");
    place.wait_for(&state(2, "lost"), |now| now > 0.5);
    place.wait_for(&state(1, "serving"), |now| now > 0.5);
    place.wait_for("ncs_worker_sticks{state=\"lost\"}", |now| now > 0.5);
    place.wait_for("ncs_worker_infer_requests", |now| now < 8.5);
    place.sticks.plug_in("1.2").expect("plugged in");
    place.wait_for(&state(2, "serving"), |now| now > 0.5);

    // No job has ever come: 12 requests wait, and none of them ends its wait.
    place.wait_for("ncs_worker_infer_requests", |now| now > 11.5);
    let idle = || {
        let idle = "ncs_worker_idle_seconds_total";
        (
            crate::bed::metric(&place.worker, idle).expect("it"),
            std::time::Instant::now(),
        )
    };
    // A machine that is busy may keep one of the two looks waiting.
    let mut seen = Vec::new();
    let right = poll_until(LIMIT / 6, || {
        let (before, start) = idle();
        let _ = poll_until(std::time::Duration::from_secs(2), || None::<()>);
        let (after, end) = idle();
        let requests = (after - before) / end.duration_since(start).as_secs_f64();
        seen.push(requests);
        (11.5..12.5).contains(&requests).then_some(())
    });
    assert!(right.is_some(), "so many requests wait: {seen:?}");
}
