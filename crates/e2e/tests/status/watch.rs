//! `--watch`: one look after the other, through a broker's restart, to Ctrl-C.

use crate::bed::LIMIT;
use crate::place::{Place, finish, queue};
use ncs_e2e::poll_until;
use ncs_e2e::process::Process;
use ncs_e2e::rabbitmq::{Release, wait_out_young_queues};
use ncs_protocol::Properties;
use ncs_protocol::topology::jobs_queue;
use serde_json::Value;
use std::process::Command;

/// The looks so far, each of which is a line.
fn looks(process: &Process) -> Vec<Value> {
    let written = process.stdout();
    let whole = written.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let look = |line: &str| serde_json::from_str(line).expect("JSON");
    whole.lines().map(look).collect()
}

fn wait_for(process: &Process, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let seen = poll_until(LIMIT, || Some(looks(process)).filter(|looks| wanted(looks)));
    seen.unwrap_or_else(|| panic!("not as wanted{}", process.last_words()))
}

#[test]
fn a_watch_outlives_the_brokers_restart_and_ends_well_with_ctrl_c() {
    let mut place = Place::on(Release::Installed);
    place.declare();
    let jobs = jobs_queue(&place.name());
    let arguments = [
        "--watch",
        "200ms",
        "--json",
        "--no-management",
        "--model",
        &place.model,
        // Each look at a queue that is not there costs the connection a channel.
        "--model",
        "nope",
    ];
    let mut watch = place.start(&arguments);
    wait_for(&watch, |looks| looks.len() > 2);
    let lasting = Properties {
        persistent: true,
        ..Properties::default()
    };
    place.send(4, &lasting);
    let looks = wait_for(&watch, |looks| {
        looks
            .last()
            .is_some_and(|look| queue(look, &jobs)["ready"] == 4)
    });
    let changed = |look: &Value| queue(look, &jobs)["ready_change_per_second"].as_f64() > Some(0.0);
    assert!(looks.iter().any(changed), "{looks:?}");
    assert_eq!(looks[0]["never_served"][0], "nope");

    wait_out_young_queues();
    place.node.shut_down().expect("ended");
    let told = "trying until it is back";
    let seen = poll_until(LIMIT, || watch.stderr().contains(told).then_some(()));
    seen.expect("the outage is told");
    let before = wait_for(&watch, |_| true).len();
    place.node.restart().expect("restarted");
    let looks = wait_for(&watch, |looks| looks.len() > before + 2);
    assert_eq!(queue(looks.last().expect("a look"), &jobs)["ready"], 4);
    assert_eq!(
        watch.stderr().matches(told).count(),
        1,
        "{}",
        watch.stderr()
    );

    watch.interrupt().expect("interrupted");
    finish(watch).assert_ends_with(0);
}

#[test]
fn a_watch_ends_where_the_broker_declines() {
    let place = Place::on(Release::Installed);
    place.declare();
    let watch = place.start(&["--watch", "200ms", "--json", "--no-management"]);
    wait_for(&watch, |looks| looks.len() > 1);
    place
        .node
        .ctl(&["change_password", "guest", "another"])
        .expect("changed");
    place
        .node
        .ctl(&["close_all_connections", "the test's"])
        .expect("closed");
    let said = finish(watch);
    said.assert_ends_with(69);
    said.assert_says("declines the connection");
}

#[test]
fn off_a_terminal_each_look_is_a_table_of_its_own_with_the_time() {
    let place = Place::on(Release::Installed);
    place.declare();
    let arguments = [
        "--watch",
        "200ms",
        "--no-management",
        "--model",
        &place.model,
    ];
    let mut watch = place.start(&arguments);
    let tables = |process: &Process| process.stdout().matches("\nmodel ").count();
    let seen = poll_until(LIMIT, || (tables(&watch) > 2).then_some(()));
    assert!(seen.is_some(), "{}", watch.last_words());
    watch.terminate().expect("terminated");
    let said = finish(watch);
    said.assert_ends_with(0);
    assert!(
        said.stdout.starts_with("20") && !said.stdout.contains('\x1b'),
        "{said:?}"
    );
    said.assert_says("change/s\n");
}

#[test]
fn on_a_terminal_a_look_is_drawn_over_the_one_before() {
    let place = Place::on(Release::Installed);
    place.declare();
    let inner = place.command(&[
        "--watch",
        "200ms",
        "--no-management",
        "--model",
        &place.model,
    ]);
    let mut line = String::from("stty rows 6 cols 40; exec ");
    line.push_str(&inner.get_program().to_string_lossy());
    for argument in inner.get_args() {
        line.push(' ');
        line.push_str(&argument.to_string_lossy());
    }
    let mut script = Command::new("script");
    script.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    for (name, value) in inner.get_envs() {
        match value {
            Some(value) => script.env(name, value),
            None => script.env_remove(name),
        };
    }
    let mut watch = place.spawn(script);
    // Home, and to the end of the line.
    let drawn = |process: &Process| process.stdout().matches("\x1b[1;1H").count();
    let seen = poll_until(LIMIT, || (drawn(&watch) > 2).then_some(()));
    assert!(seen.is_some(), "{}", watch.last_words());
    let written = watch.stdout();
    watch.kill().expect("killed");
    let look = written.split("\x1b[1;1H").nth(2).expect("a look");
    let lines: Vec<_> = look.lines().collect();
    assert!(
        lines[0].starts_with("model ") && lines[0].ends_with("\x1b[K"),
        "{look:?}"
    );
    assert!(lines.len() <= 6, "{look:?}");
    for line in lines {
        let text = line.split('\x1b').next().expect("text");
        assert!(text.chars().count() <= 40, "{line:?}");
    }
}
