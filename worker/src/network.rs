//! Loading a network over the devices, and saying what was found.

use crate::cli::NetworkArgs;
use ncs_engine::{EngineError, Network, Runtime, Target, is_stick};
use std::fmt::Write;
use std::io::Write as _;

/// Finds OpenVINO and the devices, compiles the network, and prints what was found: for a command
/// that has nothing else to do meanwhile.
///
/// Call it before the process has a second thread: see [`Runtime::load`].
pub fn load(arguments: &NetworkArgs) -> Result<Network, EngineError> {
    let mut runtime = Runtime::load(arguments.runtime.openvino_dir.as_deref())?;
    let target = arguments.devices.resolve(&runtime.devices()?)?;
    let infer_requests = arguments.infer_requests(target.members.len());
    let network = runtime.load_network(
        &arguments.model,
        &target,
        infer_requests,
        arguments.precision,
    )?;
    announce(&announcement(arguments, &network, &target, infer_requests));
    Ok(network)
}

/// What runs where, and a warning where that is not what was asked for.
pub(crate) fn announcement(
    arguments: &NetworkArgs,
    network: &Network,
    target: &Target,
    infer_requests: usize,
) -> String {
    if target.fallback {
        tracing::warn!("no stick found: running on the CPU; say --devices CPU if you mean it");
    }
    if !target.missing.is_empty() {
        let missing = target.missing.join(", ");
        tracing::warn!("not all devices are there; going on without {missing}");
    }
    let mut text = found(target);
    // Writing to a String cannot fail.
    let _ = writeln!(
        text,
        "Network : {}, input {}, {} classes, {infer_requests} infer requests",
        arguments.model.display(),
        network.input(),
        network.classes(),
    );
    text
}

/// `2 MYRIAD devices found. ['MYRIAD.5.1-ma2480', 'MYRIAD.5.3-ma2480']`, and the device's name.
fn found(target: &Target) -> String {
    let sticks: Vec<_> = target
        .members
        .iter()
        .filter(|name| is_stick(name))
        .collect();
    let mut text = String::new();
    if !sticks.is_empty() {
        let plural = if sticks.len() == 1 { "" } else { "s" };
        let names: Vec<_> = sticks.iter().map(|stick| format!("'{stick}'")).collect();
        let names = names.join(", ");
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
    use ncs_engine::{Device, DeviceChoice};

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
        assert_eq!(found(&target), expected);
    }
}
