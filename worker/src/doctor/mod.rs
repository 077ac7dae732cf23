//! `ncs-worker doctor`: what a person needs to know when it does not work.
//!
//! Each check is a file of its own and gives findings, each with a remedy; this one has their
//! order, which is that of a worker's start.
//!
//! 1. `openvino`: the runtime and its devices; `plugin`: whether it can drive sticks;
//! 2. `usb` looks at what is on USB, `sticks` judges it; `usbfs`: what else the kernel can withhold.

mod finding;
mod openvino;
mod plugin;
mod sticks;
#[cfg(test)]
mod testing;
mod usb;
mod usbfs;

use self::finding::Report;
use self::openvino::Wanted;
use self::plugin::Sticks;
use self::usb::Usb;
use crate::cli::DoctorArgs;
use ncs_engine::Runtime;
use std::process::ExitCode;

/// Checks everything, and prints what it finds; fails if there is a problem.
#[must_use]
pub fn run(arguments: &DoctorArgs) -> ExitCode {
    let mut report = Report::default();
    let usb = usb::look(&arguments.sysfs_root);
    let (found, runtime) = openvino::load(arguments.runtime.openvino_dir.as_deref());
    report.tell(&found);
    let listed = runtime.and_then(|runtime| check_devices(&mut report, arguments, &runtime, &usb));
    check_usb(&mut report, arguments, &usb, listed);
    report.close()
}

/// How many sticks OpenVINO lists, or none if it knows no sticks.
fn check_devices(
    report: &mut Report,
    arguments: &DoctorArgs,
    runtime: &Runtime,
    usb: &Usb,
) -> Option<usize> {
    let devices = runtime.devices();
    let known = devices.as_deref().unwrap_or_default();
    let listed = known.iter().filter(|device| device.is_stick()).count();
    let sticks = Sticks {
        wanted: Wanted::by(&arguments.devices),
        listed,
        on_usb: usb.sticks.len(),
    };
    report.tell(&plugin::check(runtime.version(), runtime.library(), sticks));
    report.tell_all(openvino::list(&devices));
    if !known.is_empty() {
        report.tell_all(openvino::target(arguments, known));
    }
    plugin::is_there(runtime.library(), listed).then_some(listed)
}

fn check_usb(report: &mut Report, arguments: &DoctorArgs, usb: &Usb, listed: Option<usize>) {
    let wanted = Wanted::by(&arguments.devices);
    report.tell_all(sticks::check(usb, listed, wanted, usb::access));
    if wanted != Wanted::No {
        report.tell_all(usbfs::check(&arguments.sysfs_root, usb.sticks.len()));
    }
}
