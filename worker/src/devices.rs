//! `ncs-worker devices`.

use crate::cli::RuntimeArgs;
use crate::network::announce;
use ncs_engine::Runtime;

/// Lists what OpenVINO finds.
pub fn print(arguments: &RuntimeArgs) -> anyhow::Result<()> {
    let runtime = Runtime::load(arguments.openvino_dir.as_deref())?;
    let devices = runtime.devices()?;
    let sticks = devices.iter().filter(|device| device.is_stick()).count();
    announce(&format!(
        "OpenVINO {} ({})\n",
        runtime.version(),
        runtime.library().display()
    ));
    for device in &devices {
        let full_name = device.full_name.as_deref().unwrap_or("");
        announce(&format!("{:<24} {full_name}\n", device.name));
    }
    announce(&format!(
        "{} devices, {sticks} of them sticks\n",
        devices.len()
    ));
    Ok(())
}
