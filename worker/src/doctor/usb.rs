//! The sticks on USB, as the kernel shows them.

use std::fs;
use std::path::{Path, PathBuf};

/// Intel Movidius.
const VENDOR: &str = "03e7";

/// What a stick's product id tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// 2485: a stick that waits for its firmware.
    Unbooted,
    /// f63b: it runs the firmware, since some process uses it or has just left it.
    Booted,
    /// 2150: a stick of the first generation, with a Myriad 2.
    FirstGeneration,
}

/// A stick on USB.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct UsbStick {
    /// Bus and ports, as in `2-1.4`.
    pub(super) port: String,
    pub(super) state: State,
    /// 480 for USB 2, 5000 and more for USB 3; none when the kernel does not say.
    pub(super) megabits: Option<f32>,
    /// Its device file, through which OpenVINO talks to it.
    pub(super) node: PathBuf,
}

/// What USB shows.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Usb {
    /// Whether there is a USB to look at.
    pub(super) visible: bool,
    /// By port.
    pub(super) sticks: Vec<UsbStick>,
}

/// Looks below `root`, which is `/` but for tests.
pub(super) fn look(root: &Path) -> Usb {
    let Ok(devices) = root.join("sys/bus/usb/devices").read_dir() else {
        return Usb {
            visible: false,
            sticks: Vec::new(),
        };
    };
    let mut sticks: Vec<_> = devices
        .flatten()
        .filter_map(|device| stick(root, &device.path()))
        .collect();
    sticks.sort_by(|a, b| a.port.cmp(&b.port));
    Usb {
        visible: true,
        sticks,
    }
}

/// None for other devices, and for one that goes away while it is looked at.
fn stick(root: &Path, device: &Path) -> Option<UsbStick> {
    if attribute(device, "idVendor")? != VENDOR {
        return None;
    }
    let state = match attribute(device, "idProduct")?.as_str() {
        "2485" => State::Unbooted,
        "f63b" => State::Booted,
        "2150" => State::FirstGeneration,
        _ => return None,
    };
    let number = |name| attribute(device, name)?.parse::<u16>().ok();
    let node = format!("{:03}/{:03}", number("busnum")?, number("devnum")?);
    Some(UsbStick {
        port: device.file_name()?.to_str()?.to_owned(),
        state,
        megabits: attribute(device, "speed").and_then(|speed| speed.parse().ok()),
        node: root.join("dev/bus/usb").join(node),
    })
}

fn attribute(device: &Path, name: &str) -> Option<String> {
    let text = fs::read_to_string(device.join(name)).ok()?;
    Some(text.trim().to_owned())
}

/// Whether this process may use a device file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Access {
    Allowed,
    Denied,
    Missing,
}

/// Asks the kernel, which also knows about groups and about a container's rules.
#[cfg(unix)]
pub(super) fn access(node: &Path) -> Access {
    use rustix::fs::Access as Mode;
    match rustix::fs::access(node, Mode::READ_OK | Mode::WRITE_OK) {
        Ok(()) => Access::Allowed,
        Err(rustix::io::Errno::NOENT) => Access::Missing,
        Err(_) => Access::Denied,
    }
}

/// No other system has such files.
#[cfg(not(unix))]
pub(super) fn access(_node: &Path) -> Access {
    Access::Allowed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::testing::Tree;

    #[test]
    fn sticks_are_told_from_other_devices_and_by_their_state() {
        let tree = Tree::new("usb");
        tree.stick("2-1.4", "f63b", "5000");
        tree.stick("1-2", "2485", "480");
        tree.stick("1-3", "2150", "480");
        // A hub, a camera of the same maker, and an interface, which has no ids.
        tree.usb_device("usb1", &[("idVendor", "1d6b"), ("idProduct", "0002")]);
        tree.usb_device("1-4", &[("idVendor", "03e7"), ("idProduct", "f63d")]);
        tree.usb_device("1-2:1.0", &[("bInterfaceNumber", "00")]);
        let usb = look(tree.path());
        let found: Vec<_> = usb
            .sticks
            .iter()
            .map(|stick| (stick.port.as_str(), stick.state, stick.megabits))
            .collect();
        let expected = [
            ("1-2", State::Unbooted, Some(480.0)),
            ("1-3", State::FirstGeneration, Some(480.0)),
            ("2-1.4", State::Booted, Some(5000.0)),
        ];
        assert_eq!(found, expected);
        assert_eq!(usb.sticks[0].node, tree.path().join("dev/bus/usb/002/007"));
    }

    #[test]
    fn malformed_files_are_passed_over() {
        let tree = Tree::new("usb-malformed");
        let ids = [("idVendor", "03e7"), ("idProduct", "2485")];
        tree.usb_device("1-1", &ids);
        tree.usb_device(
            "1-2",
            &[&ids[..], &[("busnum", "x"), ("devnum", "")]].concat(),
        );
        tree.usb_device("1-3", &[("idVendor", "")]);
        tree.write("sys/bus/usb/devices/1-4", "a file");
        assert_eq!(look(tree.path()).sticks, []);
        tree.stick("1-5", "2485", "fast");
        let sticks = look(tree.path()).sticks;
        assert_eq!((sticks.len(), sticks[0].megabits), (1, None));
    }

    #[test]
    fn a_system_without_usb_is_told_from_one_without_sticks() {
        let tree = Tree::new("usb-none");
        assert!(!look(tree.path()).visible);
        tree.usb_device("usb1", &[("idVendor", "1d6b")]);
        assert!(look(tree.path()).visible);
    }

    #[test]
    fn a_device_file_is_asked_for() {
        let tree = Tree::new("usb-node");
        tree.write("node", "");
        assert_eq!(access(&tree.path().join("node")), Access::Allowed);
        assert_eq!(access(&tree.path().join("other")), Access::Missing);
        assert_eq!(access(&tree.path().join("node/below")), Access::Denied);
    }
}
