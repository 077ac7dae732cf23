//! Whether the sticks on USB can be used, and how fast.

use super::finding::{Finding, Grade};
use super::openvino::Wanted;
use super::usb::{Access, State, Usb, UsbStick};
use std::path::Path;

/// Intel's rules for sticks before and after they boot; 2022.3 has them as
/// `97-myriad-usbboot.rules`.
const UDEV: &str = "\
let the group users use sticks: put these two lines into /etc/udev/rules.d/97-myriad-usbboot.rules
  SUBSYSTEM==\"usb\", ATTRS{idProduct}==\"2485\", ATTRS{idVendor}==\"03e7\", GROUP=\"users\", MODE=\"0660\", ENV{ID_MM_DEVICE_IGNORE}=\"1\"
  SUBSYSTEM==\"usb\", ATTRS{idProduct}==\"f63b\", ATTRS{idVendor}==\"03e7\", GROUP=\"users\", MODE=\"0660\", ENV{ID_MM_DEVICE_IGNORE}=\"1\"
and make them known: sudo udevadm control --reload-rules && sudo udevadm trigger";
const GROUP: &str = "be in that group: sudo usermod -aG users $USER, then log out and in again";
const CONTAINER: &str = "\
in a container, mount /dev/bus/usb whole, since a stick that boots gets a new file; allow these
devices with device_cgroup_rules: ['c 189:* rmw']; and use the host's network, from which libusb
learns of new devices";

/// Judges what is on USB. `listed` is how many sticks OpenVINO lists, none if it knows no sticks.
pub(super) fn check(
    usb: &Usb,
    listed: Option<usize>,
    wanted: Wanted,
    access: impl Fn(&Path) -> Access,
) -> Vec<Finding> {
    if wanted == Wanted::No {
        let unused = format!("sticks on USB: {}, not asked for", usb.sticks.len());
        return Vec::from_iter((!usb.sticks.is_empty()).then(|| Finding::ok(unused)));
    }
    let (old, usable): (Vec<_>, Vec<_>) = usb
        .sticks
        .iter()
        .partition(|stick| stick.state == State::FirstGeneration);
    let mut findings: Vec<_> = old.into_iter().map(first_generation).collect();
    if usable.is_empty() {
        findings.push(none(usb.visible, listed, wanted));
        return findings;
    }
    findings.extend(usable.iter().map(|stick| speed(stick)));
    findings.extend(files(&usable, access));
    findings.extend(listed.and_then(|listed| listing(&usable, listed, wanted)));
    findings
}

/// The speed of the sticks that have booted since: before, it says nothing about the port. A stick
/// that boots may change its bus, and so comes back as another one.
pub(super) fn speed_once_booted(before: &Usb, now: &Usb) -> Vec<Finding> {
    let has_booted = |stick: &&UsbStick| {
        let told = |old: &UsbStick| (&old.port, old.state) == (&stick.port, stick.state);
        stick.state == State::Booted && !before.sticks.iter().any(told)
    };
    now.sticks.iter().filter(has_booted).map(speed).collect()
}

fn first_generation(stick: &UsbStick) -> Finding {
    Finding::warning(format!(
        "stick on USB {}: 03e7:2150, a stick of the first generation (Myriad 2), which OpenVINO \
         2022.3 does not drive",
        stick.port
    ))
    .remedy("use a Neural Compute Stick 2")
}

fn none(visible: bool, listed: Option<usize>, wanted: Wanted) -> Finding {
    let where_to = if visible {
        "no stick on USB"
    } else {
        "this system shows no USB (/sys/bus/usb)"
    };
    match (listed, wanted) {
        (Some(listed @ 1..), _) => Finding::ok(format!(
            "{where_to}, yet OpenVINO lists {listed}: they are emulated"
        )),
        (_, Wanted::IfAny) => Finding::warning(format!("{where_to}; the CPU will be used"))
            .remedy("plug one in; or say --devices CPU, if you mean it"),
        _ => Finding::new(wanted.grade_of_none(), where_to)
            .remedy("plug one in, or choose other devices with --devices"),
    }
}

/// A stick that is not booted may be a USB 2 device in a USB 3 port too, since what speaks USB 3 is
/// its firmware; so only a booted one tells the port.
fn speed(stick: &UsbStick) -> Finding {
    let booted = stick.state == State::Booted;
    let state = if booted { "booted" } else { "not booted" };
    let name = format!("stick on USB {}, {state}", stick.port);
    match stick.megabits {
        Some(speed) if speed < 480.0 => {
            Finding::problem(format!("{name}: {speed} Mbit/s, too slow to be of use"))
                .remedy("use another port, cable or hub")
        }
        Some(speed) if speed >= 5000.0 => Finding::ok(format!("{name}: USB 3, {speed} Mbit/s")),
        Some(speed) if booted => Finding::warning(format!(
            "{name}: USB 2 port, {speed} Mbit/s: works, but slower"
        ))
        .remedy("use a USB 3 port, and USB 3 for the hub and cable before it"),
        Some(speed) => Finding::ok(format!(
            "{name}: {speed} Mbit/s; the speed of its port shows once it is booted"
        )),
        None => Finding::ok(format!("{name}: the kernel does not say how fast")),
    }
}

fn files(sticks: &[&UsbStick], access: impl Fn(&Path) -> Access) -> Vec<Finding> {
    let with = |wanted| {
        let nodes = sticks.iter().map(|stick| stick.node.as_path());
        let nodes = nodes.filter(|node| access(node) == wanted);
        let names: Vec<_> = nodes.map(|node| node.display().to_string()).collect();
        (!names.is_empty()).then(|| names.join(", "))
    };
    let denied = with(Access::Denied).map(|names| {
        Finding::problem(format!("no permission to read and write {names}"))
            .remedy(UDEV)
            .remedy(GROUP)
            .remedy(CONTAINER)
    });
    let missing = with(Access::Missing).map(|names| {
        Finding::problem(format!("the device file {names} is missing")).remedy(CONTAINER)
    });
    denied.into_iter().chain(missing).collect()
}

/// OpenVINO lists sticks that wait to be booted, so one that another process has booted is missing.
fn listing(sticks: &[&UsbStick], listed: usize, wanted: Wanted) -> Option<Finding> {
    if listed >= sticks.len() {
        return None;
    }
    let grade = match listed {
        0 => wanted.grade_of_none(),
        _ => Grade::Warning,
    };
    let text = format!(
        "OpenVINO lists {listed} of the {} on USB",
        plural(sticks.len())
    );
    let booted = sticks.iter().filter(|s| s.state == State::Booted).count();
    let finding = if booted > 0 {
        Finding::new(
            grade,
            format!(
                "{text}; {booted} of them booted: another process uses it, or it has not reset yet"
            ),
        )
        .remedy("end the other process, such as a worker, and wait 15 s; else unplug the stick")
    } else {
        Finding::new(grade, text)
            .remedy("unplug the missing stick, and plug it in again")
            .remedy(CONTAINER)
    };
    Some(finding)
}

fn plural(sticks: usize) -> String {
    let ending = if sticks == 1 { "" } else { "s" };
    format!("{sticks} stick{ending}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    fn usb(sticks: &[(&str, State, f32)]) -> Usb {
        let stick = |&(port, state, megabits): &(&str, State, f32)| UsbStick {
            port: port.to_owned(),
            state,
            megabits: Some(megabits),
            node: PathBuf::from("/dev/bus/usb").join(port),
        };
        Usb {
            visible: true,
            sticks: sticks.iter().map(stick).collect(),
        }
    }

    fn allowed(_node: &Path) -> Access {
        Access::Allowed
    }

    /// Grades, and all that is said.
    fn judge(
        usb: &Usb,
        listed: Option<usize>,
        wanted: Wanted,
        access: fn(&Path) -> Access,
    ) -> (Vec<Grade>, String) {
        let findings = check(usb, listed, wanted, access);
        let grades = findings.iter().map(|finding| finding.grade).collect();
        (grades, findings.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn the_speed_of_a_booted_stick_tells_its_port() {
        let speeds = [
            (State::Booted, 10_000.0, Grade::Ok, "USB 3, 10000"),
            (State::Booted, 5000.0, Grade::Ok, "USB 3, 5000"),
            (State::Booted, 480.0, Grade::Warning, "USB 2 port"),
            (State::Unbooted, 480.0, Grade::Ok, "once it is booted"),
            (State::Unbooted, 12.0, Grade::Problem, "12 Mbit/s, too slow"),
            (State::Booted, 1.5, Grade::Problem, "1.5 Mbit/s, too slow"),
        ];
        for (state, megabits, grade, words) in speeds {
            let usb = usb(&[("1-1", state, megabits)]);
            let (grades, text) = judge(&usb, Some(1), Wanted::Yes, allowed);
            assert_eq!(grades, [grade], "{text}");
            assert!(text.contains(words), "{text}");
        }
    }

    #[test]
    fn a_stick_that_may_not_be_opened_gets_the_rules() {
        let usb = usb(&[("1-1", State::Unbooted, 480.0)]);
        let (grades, text) = judge(&usb, Some(1), Wanted::IfAny, |_| Access::Denied);
        assert_eq!(grades, [Grade::Ok, Grade::Problem]);
        for words in [
            "/dev/bus/usb/1-1",
            "/etc/udev/rules.d/97-myriad-usbboot.rules",
            r#"SUBSYSTEM=="usb", ATTRS{idProduct}=="2485", ATTRS{idVendor}=="03e7", GROUP="users""#,
            r#"ATTRS{idProduct}=="f63b""#,
            "usermod -aG users",
        ] {
            assert!(text.contains(words), "{words} is not in\n{text}");
        }
    }

    #[test]
    fn a_stick_without_a_device_file_is_one_that_a_container_does_not_see() {
        let usb = usb(&[("1-1", State::Unbooted, 480.0)]);
        let (grades, text) = judge(&usb, Some(1), Wanted::Yes, |_| Access::Missing);
        assert_eq!(grades, [Grade::Ok, Grade::Problem]);
        assert!(
            text.contains("c 189:* rmw") && text.contains("missing"),
            "{text}"
        );
    }

    #[test]
    fn sticks_that_openvino_does_not_list_are_told() {
        let one_booted = usb(&[
            ("1-1", State::Unbooted, 480.0),
            ("2-2", State::Booted, 5000.0),
        ]);
        let (grades, text) = judge(&one_booted, Some(1), Wanted::Yes, allowed);
        assert_eq!(grades, [Grade::Ok, Grade::Ok, Grade::Warning]);
        assert!(text.contains("lists 1 of the 2 sticks"), "{text}");
        assert!(text.contains("another process uses it"), "{text}");

        let none_listed = usb(&[("1-1", State::Unbooted, 480.0)]);
        let (grades, _) = judge(&none_listed, Some(0), Wanted::Yes, allowed);
        assert_eq!(grades, [Grade::Ok, Grade::Problem]);
        // Why it lists none was told before.
        let (grades, _) = judge(&none_listed, None, Wanted::Yes, allowed);
        assert_eq!(grades, [Grade::Ok]);
    }

    #[test]
    fn no_stick_is_as_bad_as_sticks_are_wanted() {
        let none = usb(&[]);
        let grade = |listed, wanted| judge(&none, listed, wanted, allowed).0;
        assert_eq!(grade(None, Wanted::Yes), [Grade::Problem]);
        assert_eq!(grade(None, Wanted::IfAny), [Grade::Warning]);
        assert_eq!(grade(None, Wanted::No), []);
        assert_eq!(grade(Some(3), Wanted::Yes), [Grade::Ok]);
        let first = usb(&[("1-1", State::FirstGeneration, 480.0)]);
        let (grades, text) = judge(&first, Some(0), Wanted::Yes, allowed);
        assert_eq!(grades, [Grade::Warning, Grade::Problem]);
        assert!(text.contains("03e7:2150"), "{text}");
    }

    #[test]
    fn sticks_that_have_booted_meanwhile_are_told_once() {
        let before = usb(&[
            ("1-1", State::Unbooted, 480.0),
            ("1-2", State::Unbooted, 480.0),
            ("2-3", State::Booted, 5000.0),
        ]);
        let now = usb(&[
            ("1-1", State::Booted, 480.0),
            ("2-2", State::Booted, 5000.0),
            ("2-3", State::Booted, 5000.0),
            ("1-4", State::Unbooted, 480.0),
        ]);
        let findings = speed_once_booted(&before, &now);
        let grades: Vec<_> = findings.iter().map(|finding| finding.grade).collect();
        assert_eq!(grades, [Grade::Warning, Grade::Ok]);
    }
}
