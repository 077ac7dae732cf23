//! The units for hosts without Docker.

use std::process::Command;

use ncs_e2e::paths;

use crate::project::{takes, text_of};

/// The drain time that a worker has by itself, and what it takes to close its connections.
const DRAIN_AND_CLOSING: u32 = 30 + 15;

struct Unit {
    text: String,
}

impl Unit {
    fn read(file: &str) -> Self {
        let text = text_of(&format!("deploy/{file}"));
        Self { text }
    }

    fn value(&self, key: &str) -> &str {
        let setting = |line| str::strip_prefix(line, key)?.strip_prefix('=');
        let found = self.text.lines().find_map(setting);
        found.unwrap_or_else(|| panic!("the unit has no {key}"))
    }

    /// The help of what it starts. The program must be where the unit looks for it.
    fn help(&self, program: &str) -> String {
        let mut words = self.value("ExecStart").split(' ');
        let place = format!("/usr/local/bin/{program}");
        assert_eq!(words.next(), Some(&*place));
        let help = Command::new(paths::binary(program).expect("it is built"))
            .args(words)
            .arg("--help")
            .output()
            .expect("it runs");
        assert!(help.status.success(), "{place}");
        String::from_utf8_lossy(&help.stdout).into_owned()
    }

    /// The program takes each variable of the example for its environment's file.
    fn check_example(&self, help: &str, at_least: usize) {
        let lines = self.text.lines();
        let example = lines.filter_map(|line| line.strip_prefix("#   "));
        let names: Vec<_> = example.filter_map(|line| line.split_once('=')).collect();
        assert!(names.len() >= at_least, "{names:?}");
        for (name, _) in names {
            assert!(takes(help, name), "{name}");
        }
    }
}

#[test]
fn the_workers_unit_starts_what_it_has_and_gives_it_time_to_drain() {
    let unit = Unit::read("ncs-worker.service");
    let help = unit.help("ncs-worker");
    assert!(help.contains("--drain-timeout") && help.contains("[default: 30s]"));
    let stop: u32 = unit.value("TimeoutStopSec").parse().expect("seconds");
    assert!(stop > DRAIN_AND_CLOSING);
    // Its own codes, 75 and 69, are failures too, and a drain is none.
    assert_eq!(unit.value("Restart"), "on-failure");
    assert_ne!(unit.value("User"), "root");
    unit.check_example(&help, 4);
}

#[test]
fn the_unit_for_the_list_of_workers_starts_what_the_producer_has() {
    let unit = Unit::read("ncs-targets.service");
    let help = unit.help("ncs-producer");
    assert_eq!(unit.value("Restart"), "on-failure");
    assert_ne!(unit.value("User"), "root");
    unit.check_example(&help, 2);
}
