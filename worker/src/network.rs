//! Loading a network over the devices, and saying what was found.

use crate::cli::NetworkArgs;
use ncs_engine::{Device, EngineError, Network, Runtime, Target};
use std::fmt::Write;
use std::io::Write as _;

/// A network on its devices.
pub struct Loaded {
    /// The compiled network with its infer requests.
    pub network: Network,
    /// The devices it runs on.
    pub target: Target,
    /// How many infer requests it has.
    pub infer_requests: usize,
    /// OpenVINO's version.
    pub openvino_version: String,
}

/// Finds OpenVINO and the devices, compiles the network, and prints what was found.
///
/// Call it before the process has a second thread: see [`Runtime::load`].
pub fn load(arguments: &NetworkArgs) -> Result<Loaded, EngineError> {
    let mut runtime = Runtime::load(arguments.runtime.openvino_dir.as_deref())?;
    let devices = runtime.devices()?;
    let target = arguments.devices.resolve(&devices)?;
    announce(&found(&devices, &target));
    if target.fallback {
        tracing::warn!("no stick found: running on the CPU; say --devices CPU if you mean it");
    }
    if !target.missing.is_empty() {
        let missing = target.missing.join(", ");
        tracing::warn!("not all devices are there; going on without {missing}");
    }
    let infer_requests = arguments.infer_requests(target.members.len());
    let network = runtime.load_network(
        &arguments.model,
        &target,
        infer_requests,
        arguments.precision,
    )?;
    announce(&format!(
        "Network : {}, input {}, {} classes, {infer_requests} infer requests\n",
        arguments.model.display(),
        network.input(),
        network.classes(),
    ));
    let openvino_version = runtime.version().to_owned();
    Ok(Loaded {
        network,
        target,
        infer_requests,
        openvino_version,
    })
}

/// `2 MYRIAD devices found. ['MYRIAD.5.1-ma2480', 'MYRIAD.5.3-ma2480']`, and the device's name.
fn found(devices: &[Device], target: &Target) -> String {
    let sticks: Vec<_> = devices.iter().filter(|device| device.is_stick()).collect();
    let mut text = String::new();
    if !sticks.is_empty() {
        let plural = if sticks.len() == 1 { "" } else { "s" };
        let names: Vec<_> = sticks
            .iter()
            .map(|stick| format!("'{}'", stick.name))
            .collect();
        let names = names.join(", ");
        // Writing to a String cannot fail.
        let _ = writeln!(
            text,
            "{} MYRIAD device{plural} found. [{names}]",
            sticks.len()
        );
    }
    let _ = writeln!(text, "Device name : {}", target.device);
    text
}

/// Prints to standard output; a reader who has gone away is no error.
pub(crate) fn announce(text: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush());
}

#[cfg(test)]
mod tests {
    use super::*;
    use ncs_engine::DeviceChoice;

    #[test]
    fn two_sticks_are_announced_as_the_original_program_did() {
        let names = ["CPU", "MYRIAD.5.1-ma2480", "MYRIAD.5.3-ma2480"];
        let devices = names.map(|name| Device {
            name: name.to_owned(),
            full_name: None,
        });
        let target = DeviceChoice::Auto.resolve(&devices).unwrap();
        let expected = "2 MYRIAD devices found. ['MYRIAD.5.1-ma2480', 'MYRIAD.5.3-ma2480']\n\
                        Device name : MULTI:MYRIAD.5.1-ma2480,MYRIAD.5.3-ma2480\n";
        assert_eq!(found(&devices, &target), expected);
    }
}
