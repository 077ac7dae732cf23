//! The runtime, and the devices that it lists.

use super::finding::{Finding, Grade};
use crate::cli::DoctorArgs;
use ncs_engine::{Device, DeviceChoice, EngineError, Runtime, Target};
use std::path::Path;

/// What the choice of devices says about sticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wanted {
    /// It names them: without them nothing works.
    Yes,
    /// `auto`: without them the CPU works.
    IfAny,
    /// It names other devices.
    No,
}

impl Wanted {
    pub(super) fn by(choice: &DeviceChoice) -> Self {
        match choice {
            DeviceChoice::Auto => Self::IfAny,
            DeviceChoice::Sticks => Self::Yes,
            DeviceChoice::Named(name) if name.contains("MYRIAD") => Self::Yes,
            DeviceChoice::Named(_) => Self::No,
        }
    }

    /// How bad it is when there is no stick to be had.
    pub(super) fn grade_of_none(self) -> Grade {
        match self {
            Self::Yes => Grade::Problem,
            Self::IfAny => Grade::Warning,
            Self::No => Grade::Ok,
        }
    }
}

/// Finds and loads OpenVINO. Call it while the process has one thread: see [`Runtime::load`].
pub(super) fn load(directory: Option<&Path>) -> (Finding, Option<Runtime>) {
    match Runtime::load(directory) {
        Ok(runtime) => {
            let (version, library) = (runtime.version(), runtime.library().display());
            let found = Finding::ok(format!("OpenVINO {version} ({library})"));
            (found, Some(runtime))
        }
        Err(error) => (Finding::problem(error.to_string()), None),
    }
}

/// Each device by its name.
pub(super) fn list(runtime: &Runtime, devices: &Result<Vec<Device>, EngineError>) -> Vec<Finding> {
    match devices {
        Ok(devices) if devices.is_empty() => vec![Finding::problem("OpenVINO lists no device")],
        Ok(devices) => devices.iter().map(|found| device(runtime, found)).collect(),
        Err(error) => vec![Finding::problem(error.to_string())],
    }
}

/// With its temperature, if it is a stick that says one: the real plugin knows it only of sticks that
/// this process has booted.
fn device(runtime: &Runtime, device: &Device) -> Finding {
    let Device { name, full_name } = device;
    let full_name = full_name.as_deref().unwrap_or("it does not say more");
    let celsius = device
        .is_stick()
        .then(|| runtime.temperature(name))
        .flatten();
    let celsius = celsius.map_or_else(String::new, |celsius| format!(", {celsius:.0} °C"));
    Finding::ok(format!("device {name}: {full_name}{celsius}"))
}

/// What `run` would run on.
pub(super) fn target(
    arguments: &DoctorArgs,
    devices: &[Device],
) -> (Option<Finding>, Option<Target>) {
    match arguments.devices.resolve(devices) {
        Ok(target) if target.missing.is_empty() => (None, Some(target)),
        Ok(target) => {
            let missing = target.missing.join(", ");
            let text = format!("not all devices are there: {missing} is missing");
            (Some(Finding::warning(text)), Some(target))
        }
        Err(error) => (Some(Finding::problem(error.to_string())), None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_names_a_stick_wants_sticks() {
        let wanted = |choice: &str| Wanted::by(&choice.parse().unwrap());
        assert_eq!(wanted("auto"), Wanted::IfAny);
        assert_eq!(wanted("sticks"), Wanted::Yes);
        assert_eq!(wanted("MULTI:MYRIAD.1.2-ma2480,CPU"), Wanted::Yes);
        assert_eq!(wanted("CPU"), Wanted::No);
    }
}
