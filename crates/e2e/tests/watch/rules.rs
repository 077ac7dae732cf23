//! The rules, by Prometheus' own tests.

use ncs_e2e::paths::repository_root;
use ncs_e2e::prometheus::program;
use std::path::PathBuf;
use std::process::Command;

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = repository_root().join("prometheus").join(folder);
    let files = folder.read_dir().expect("the folder").flatten();
    files.map(|entry| entry.path()).collect()
}

fn promtool(arguments: &[&str], files: &[PathBuf]) {
    let mut promtool = Command::new(program("promtool").expect("promtool"));
    let checked = promtool.args(arguments).args(files).output();
    let checked = checked.expect("promtool starts");
    let said = [checked.stdout, checked.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(checked.status.success(), "{arguments:?}: {said}");
}

#[test]
fn prometheus_takes_the_configuration_and_finds_nothing_in_the_rules() {
    let config = repository_root().join("prometheus/prometheus.yml");
    promtool(
        &["check", "config", "--lint=all", "--lint-fatal"],
        &[config],
    );
    promtool(
        &["check", "rules", "--lint=all", "--lint-fatal"],
        &files("rules"),
    );
}

#[test]
fn each_alert_fires_when_it_should_and_not_before() {
    let tests = files("tests");
    promtool(&["test", "rules"], &tests);
    let read = |file: &PathBuf| std::fs::read_to_string(file).expect("it");
    let tests: String = tests.iter().map(read).collect();
    let rules: String = files("rules").iter().map(read).collect();
    for alert in rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
    {
        let of_it = tests.split("alertname: ").skip(1);
        let mut of_it = of_it.filter(|test| test.lines().next() == Some(alert));
        let silent = |test: &str| {
            test.lines()
                .nth(1)
                .is_some_and(|it| it.contains("exp_alerts: []"))
        };
        let fires = of_it.clone().any(|test| !silent(test));
        assert!(fires, "no test lets {alert} fire");
        assert!(of_it.any(silent), "no test keeps {alert} silent");
    }
}
