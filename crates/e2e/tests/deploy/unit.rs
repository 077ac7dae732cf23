//! The unit for hosts without Docker.

use std::process::Command;

use ncs_e2e::paths;

use crate::project::text_of;

/// The drain time that a worker has by itself, and what it takes to close its connections.
const DRAIN_AND_CLOSING: u32 = 30 + 15;

fn value(key: &str) -> String {
    let unit = text_of("deploy/ncs-worker.service");
    let prefix = format!("{key}=");
    let found = unit.lines().find_map(|line| line.strip_prefix(&prefix));
    found
        .unwrap_or_else(|| panic!("the unit has no {key}"))
        .to_owned()
}

#[test]
fn the_unit_starts_what_the_worker_has_and_gives_it_time_to_drain() {
    let start = value("ExecStart");
    let mut words = start.split(' ');
    assert_eq!(words.next(), Some("/usr/local/bin/ncs-worker"));
    let help = Command::new(paths::binary("ncs-worker").expect("the worker"))
        .args(words)
        .arg("--help")
        .output()
        .expect("it runs");
    assert!(help.status.success(), "{start}");
    let help = String::from_utf8_lossy(&help.stdout);
    assert!(help.contains("--drain-timeout") && help.contains("[default: 30s]"));
    let stop: u32 = value("TimeoutStopSec").parse().expect("seconds");
    assert!(stop > DRAIN_AND_CLOSING);
    // Its own codes, 75 and 69, are failures too, and a drain is none.
    assert_eq!(value("Restart"), "on-failure");
    assert_ne!(value("User"), "root");

    // The example of its environment file.
    let unit = text_of("deploy/ncs-worker.service");
    let example = unit.lines().filter_map(|line| line.strip_prefix("#   "));
    let names: Vec<_> = example.filter_map(|line| line.split_once('=')).collect();
    assert!(names.len() >= 4, "{names:?}");
    for (name, _) in names {
        assert!(help.contains(&format!("[env: {name}")), "{name}");
    }
}
