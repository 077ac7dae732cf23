//! `ncs-worker doctor` over the real program, OpenVINO and broker.

use crate::bed::{LIMIT, amqp_url, runtime, unique};
use ncs_e2e::paths::binary;
use ncs_e2e::process::{Output, Process};
use ncs_e2e::sticks::{State, Sticks};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A system's root with what the doctor looks at. Dropping it removes it.
struct Root(PathBuf);

impl Root {
    fn new() -> Self {
        let root = Self(std::env::temp_dir().join(unique("ncs-doctor")));
        fs::create_dir_all(root.0.join("sys/bus/usb/devices")).expect("a folder");
        root
    }

    fn write(&self, file: &str, text: &str) {
        let path = self.0.join(file);
        let folder = path.parent().expect("a folder");
        fs::create_dir_all(folder).expect("a folder");
        fs::write(path, text).expect("a file");
    }

    /// A stick that some process has booted.
    fn stick(&self, port: &str, megabits: &str) {
        for (attribute, value) in [
            ("idVendor", "03e7"),
            ("idProduct", "f63b"),
            ("busnum", "1"),
            ("devnum", "5"),
            ("speed", megabits),
        ] {
            let file = format!("sys/bus/usb/devices/{port}/{attribute}");
            self.write(&file, &format!("{value}\n"));
        }
        self.write("dev/bus/usb/001/005", "");
    }
}

impl Drop for Root {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// Runs it on the real OpenVINO; its exit code and its report.
fn doctor(root: &Root, amqp_url: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let openvino = runtime().openvino().expect("run `cargo xtask test`");
    doctor_on(&openvino, &[], root, amqp_url, arguments)
}

/// Runs it on this OpenVINO.
fn doctor_on(
    openvino: &Path,
    environment: &[(OsString, OsString)],
    root: &Root,
    amqp_url: &str,
    arguments: &[&str],
) -> (Option<i32>, String) {
    let mut command = Command::new(binary("ncs-worker").expect("built"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("NCS_") {
            command.env_remove(name);
        }
    }
    command
        .arg("doctor")
        .arg("--openvino-dir")
        .arg(openvino)
        .arg("--sysfs-root")
        .arg(&root.0)
        .args(arguments)
        .env("NCS_AMQP_URL", amqp_url)
        .envs(environment.iter().map(|(name, value)| (name, value)));
    let logs = Output::Files(root.0.clone());
    let mut process = Process::spawn("doctor", command, logs).expect("started");
    let status = process.wait_with_limit(LIMIT).expect("it ends");
    (status.code(), process.stdout())
}

fn digits() -> String {
    let model: &Path = &runtime().digits_dir().join("digits.xml");
    model.to_str().expect("UTF-8").to_owned()
}

fn assert_says(report: &str, beginning: &str, words: &str) {
    let said = |line: &str| line.starts_with(beginning) && line.contains(words);
    assert!(
        report.lines().any(said),
        "no {beginning} with {words:?} in\n{report}"
    );
}

#[test]
fn a_host_that_can_work_is_ok() {
    let (root, model) = (Root::new(), unique("doctor"));
    let digits = digits();
    let cpu = [
        "--devices",
        "CPU",
        "--model",
        &digits,
        "--model-name",
        &model,
    ];
    let (code, report) = doctor(&root, &amqp_url(), &cpu);
    assert_eq!(code, Some(0), "{report}");
    assert_says(&report, "ok       OpenVINO ", "libopenvino_c.so");
    assert_says(&report, "ok       device CPU: ", "");
    let tried = "input [1, 1, 8, 8] f32 NCHW, 10 classes; compiled in ";
    assert_says(&report, "ok       model on CPU: ", tried);
    assert_says(&report, "ok       broker at amqp://", "logged in");
    let queue = format!("ok       queue ncs.jobs.{model}: ");
    assert_says(&report, &queue, "no worker has declared it yet");
    assert_says(&report, "no problems, ", "");
    // Other tests may leave dead letters, of which it warns.
    let warnings: Vec<_> = report
        .lines()
        .filter(|l| l.starts_with("warning"))
        .collect();
    assert!(
        warnings.iter().all(|line| line.contains("ncs.dead")),
        "{report}"
    );
}

#[test]
fn sticks_on_usb_without_their_plugin_are_a_problem() {
    let root = Root::new();
    root.stick("1-1", "480");
    let (code, report) = doctor(&root, &amqp_url(), &["--devices", "sticks"]);
    assert_eq!(code, Some(1), "{report}");
    let no_plugin = "has no MYRIAD plugin; sticks need 2022.3.1 or a later 2022.3";
    assert_says(&report, "problem  OpenVINO ", no_plugin);
    assert_says(&report, "         → install OpenVINO 2022.3.2", "");
    assert_says(&report, "warning  stick on USB 1-1, booted: ", "USB 2 port");
    let last = report.lines().last().unwrap_or_default();
    assert!(last.starts_with("2 problems, 1 warning"), "{report}");
}

#[test]
fn what_a_worker_cannot_reach_or_load_is_a_problem() {
    let root = Root::new();
    let closed = "amqp://ann:s3cret@127.0.0.1:1";
    let cpu = ["--devices", "CPU", "--model", "missing.xml"];
    let (code, report) = doctor(&root, closed, &cpu);
    assert_eq!(code, Some(1), "{report}");
    let unreachable = "problem  no broker answers at amqp://127.0.0.1:1: ";
    assert_says(
        &report,
        unreachable,
        "check the address and that RabbitMQ runs",
    );
    assert_says(&report, "problem  model on CPU: ", "missing.xml");
    assert!(!report.contains("s3cret"), "{report}");
    assert_says(&report, "2 problems, no warnings", "");
}

#[test]
fn each_stick_is_tried_and_the_one_that_fails_is_named() {
    let (root, model) = (Root::new(), unique("doctor"));
    root.stick("1-1", "5000");
    root.stick("1-2", "5000");
    let sticks = Sticks::plugged_in(2).expect("sticks");
    let digits = digits();
    let arguments = [
        "--devices",
        "sticks",
        "--model",
        &digits,
        "--model-name",
        &model,
    ];
    let look = || {
        let (openvino, environment) = (sticks.openvino_dir(), sticks.environment());
        doctor_on(openvino, &environment, &root, &amqp_url(), &arguments)
    };
    let (code, report) = look();
    assert_eq!(code, Some(0), "{report}");
    assert_says(&report, "ok       OpenVINO 2022.3.", "");
    for port in ["1.1", "1.2"] {
        let device = format!("MYRIAD.{port}-ma2480: ");
        assert_says(&report, &format!("ok       device {device}"), "°C");
        assert_says(
            &report,
            &format!("ok       model on {device}"),
            "compiled in ",
        );
    }

    sticks.set("1.2", State::Failing).expect("set");
    let (code, report) = look();
    assert_eq!(code, Some(1), "{report}");
    assert_says(&report, "ok       model on MYRIAD.1.1-ma2480: ", "");
    assert_says(
        &report,
        "problem  model on MYRIAD.1.2-ma2480: ",
        "could not infer",
    );
}
