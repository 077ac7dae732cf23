//! `ncs-worker doctor`: what a person needs to know when it does not work.
//!
//! Each check is a file of its own and gives findings, each with a remedy; this one has their
//! order, which is that of a worker's start. A later check does not repeat what an earlier one has
//! told: without OpenVINO no model is tried.
//!
//! 1. `openvino`: the runtime and its devices; `plugin`: whether it can drive sticks;
//! 2. `usb` looks at what is on USB, `sticks` judges it; `usbfs` and `lock`: what else the kernel
//!    and other processes can withhold;
//! 3. `model`: compiled for each device, and one inference;
//! 4. `broker`: whether it answers, and what waits in its queues.

mod broker;
mod finding;
mod lock;
mod model;
mod openvino;
mod plugin;
mod sticks;
#[cfg(test)]
mod testing;
mod usb;
mod usbfs;

use self::finding::{Finding, Report};
use self::openvino::Wanted;
use self::plugin::Sticks;
use self::usb::Usb;
use crate::cli::DoctorArgs;
use ncs_engine::{Device, Runtime, Target};
use ncs_protocol::ModelName;
use std::process::ExitCode;
use std::thread::JoinHandle;

/// Checks everything, and prints what it finds; fails if there is a problem.
#[must_use]
pub fn run(arguments: &DoctorArgs) -> ExitCode {
    let mut report = Report::default();
    let usb = usb::look(&arguments.sysfs_root);
    let (found, runtime) = openvino::load(arguments.runtime.openvino_dir.as_deref());
    report.tell(&found);
    let devices = runtime
        .as_ref()
        .map(|runtime| check_devices(&mut report, arguments, runtime, &usb));
    check_usb(&mut report, arguments, &usb, devices.as_ref());
    let trial = match (runtime, devices) {
        (Some(runtime), Some(devices)) => {
            check_model(&mut report, arguments, runtime, &devices, &usb)
        }
        _ => None,
    };
    let name = name_of_model(&mut report, arguments);
    match broker::check(&arguments.broker, name.as_ref()) {
        Ok(findings) => report.tell_all(findings),
        Err(error) => report.tell(&Finding::problem(format!("{error:#}"))),
    }
    let code = report.close();
    if trial.is_some_and(|thread| !thread.is_finished()) {
        // It hangs in OpenVINO, whose own cleaning up could wait for it for ever.
        ncs_engine::end_process(code);
    }
    code.into()
}

/// What OpenVINO has to offer.
struct Offer {
    /// How many sticks it lists, or none if it knows no sticks.
    sticks: Option<usize>,
    target: Option<Target>,
}

fn check_devices(
    report: &mut Report,
    arguments: &DoctorArgs,
    runtime: &Runtime,
    usb: &Usb,
) -> Offer {
    let devices = runtime.devices();
    let known = devices.as_deref().unwrap_or_default();
    let listed = known.iter().filter(|device| device.is_stick()).count();
    let sticks = Sticks {
        wanted: Wanted::by(&arguments.devices),
        listed,
        on_usb: usb.sticks.len(),
    };
    report.tell(&plugin::check(runtime.version(), runtime.library(), sticks));
    report.tell_all(openvino::list(runtime, &devices));
    let target = target(report, arguments, known);
    Offer {
        sticks: plugin::is_there(runtime.library(), listed).then_some(listed),
        target,
    }
}

fn target(report: &mut Report, arguments: &DoctorArgs, devices: &[Device]) -> Option<Target> {
    if devices.is_empty() {
        return None;
    }
    let (finding, target) = openvino::target(arguments, devices);
    report.tell_all(finding);
    target
}

fn check_usb(report: &mut Report, arguments: &DoctorArgs, usb: &Usb, offer: Option<&Offer>) {
    let wanted = Wanted::by(&arguments.devices);
    let listed = offer.and_then(|offer| offer.sticks);
    report.tell_all(sticks::check(usb, listed, wanted, usb::access));
    if wanted != Wanted::No {
        report.tell_all(usbfs::check(&arguments.sysfs_root, usb.sticks.len()));
    }
}

/// The thread on which the model was tried, if it was.
fn check_model(
    report: &mut Report,
    arguments: &DoctorArgs,
    runtime: Runtime,
    offer: &Offer,
    usb: &Usb,
) -> Option<JoinHandle<()>> {
    let Some(model) = &arguments.model else {
        report.tell(&Finding::ok("model: not checked; give --model"));
        return None;
    };
    let target = offer.target.as_ref()?;
    if target.device.contains("MYRIAD")
        && let Some(locked) = lock::check(&arguments.sysfs_root)
    {
        // OpenVINO would end this process too.
        report.tell(&locked);
        return None;
    }
    model::check(report, arguments, model, runtime, target, usb)
        .inspect_err(|error| report.tell(&Finding::problem(format!("{error:#}"))))
        .ok()
}

/// The name under which a worker serves the model, if both are known.
fn name_of_model(report: &mut Report, arguments: &DoctorArgs) -> Option<ModelName> {
    if arguments.model_name.is_some() {
        return arguments.model_name.clone();
    }
    let stem = arguments.model.as_ref()?.file_stem().unwrap_or_default();
    match stem.to_string_lossy().parse::<ModelName>() {
        Ok(name) => Some(name),
        Err(error) => {
            let finding = Finding::problem(format!("the model's file: {error}"));
            report.tell(&finding.remedy("give --model-name; run needs it too"));
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    /// The text of the doctor's sources, with strings that go on in the next line in one piece.
    fn sources() -> String {
        let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/doctor");
        let files = dir.read_dir().expect("the folder").flatten();
        let text: String = files
            .map(|file| fs::read_to_string(file.path()).expect("a source"))
            .collect();
        let mut joined = String::new();
        for line in text.lines() {
            let line = line.trim_start();
            match line.strip_suffix('\\') {
                Some(begun) => joined.push_str(begun),
                None => joined.extend([line, "\n"]),
            }
        }
        joined
    }

    #[test]
    fn what_the_documentation_says_that_it_says_it_says() {
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/sticks.md");
        let page = fs::read_to_string(page).expect("the page");
        let (_, table) = page.split_once("| finding |").expect("the table");
        let rows = table.lines().skip(2).take_while(|line| !line.is_empty());
        let findings: Vec<&str> = rows
            .filter_map(|row| row.split('|').nth(1))
            .flat_map(|cell| cell.split('`').skip(1).step_by(2))
            .collect();
        assert!(findings.len() > 20, "{findings:?}");
        let sources = sources();
        for finding in findings {
            for piece in finding.split('…') {
                assert!(sources.contains(piece), "{piece:?} of {finding:?}");
            }
        }
    }
}
