use super::*;

fn devices(names: &[&str]) -> Vec<Device> {
    names
        .iter()
        .map(|&name| Device {
            name: name.to_owned(),
            full_name: None,
        })
        .collect()
}

fn resolve(choice: &str, found: &[&str]) -> Result<Target, String> {
    let choice = choice
        .parse::<DeviceChoice>()
        .map_err(|error| error.to_string())?;
    choice
        .resolve(&devices(found))
        .map_err(|error| error.to_string())
}

fn device(choice: &str, found: &[&str]) -> String {
    resolve(choice, found).expect("a target").device
}

#[test]
fn a_stick_that_is_listed_twice_is_taken_once() {
    let names = [
        "MYRIAD.1.1-ma2480",
        "MYRIAD.1.1-ma2480",
        "MYRIAD.1.2-ma2480",
    ];
    assert_eq!(
        device("sticks", &names),
        "MULTI:MYRIAD.1.1-ma2480,MYRIAD.1.2-ma2480"
    );
}

#[test]
fn one_stick_goes_by_its_own_name_and_several_as_multi() {
    assert_eq!(device("sticks", &["CPU", "MYRIAD"]), "MYRIAD");
    let two = resolve("sticks", &["CPU", "MYRIAD.1.1-ma2480", "MYRIAD.1.2-ma2480"]).unwrap();
    assert_eq!(two.device, "MULTI:MYRIAD.1.1-ma2480,MYRIAD.1.2-ma2480");
    assert_eq!(two.members, ["MYRIAD.1.1-ma2480", "MYRIAD.1.2-ma2480"]);
    assert!(!two.fallback);
}

#[test]
fn auto_prefers_sticks_and_falls_back_to_the_cpu() {
    assert_eq!(device("auto", &["CPU", "MYRIAD"]), "MYRIAD");
    let cpu = resolve("AUTO", &["CPU", "GPU"]).unwrap();
    assert_eq!((cpu.device.as_str(), cpu.fallback), ("CPU", true));
    assert!(
        resolve("auto", &[])
            .unwrap_err()
            .contains("no device at all")
    );
}

#[test]
fn sticks_without_sticks_lists_what_there_is() {
    let error = resolve("sticks", &["CPU", "GPU.0"]).unwrap_err();
    assert!(
        error.contains("no device for sticks: found CPU, GPU.0; plug in"),
        "{error}"
    );
}

#[test]
fn a_named_list_is_taken_apart() {
    let one = resolve("MULTI:CPU", &["CPU"]).unwrap();
    assert_eq!(
        (one.device.as_str(), one.members),
        ("MULTI:CPU", vec!["CPU".to_owned()])
    );
    let two = resolve("MULTI:CPU(2),GPU", &["CPU", "GPU"]).unwrap();
    assert_eq!(two.device, "MULTI:CPU(2),GPU");
    assert_eq!(two.members, ["CPU", "GPU"]);
}

#[test]
fn a_named_list_goes_on_with_those_that_are_left() {
    let left = resolve("MULTI:MYRIAD.1-x,MYRIAD.2-x,CPU", &["CPU", "MYRIAD.2-x"]).unwrap();
    assert_eq!(left.device, "MULTI:MYRIAD.2-x,CPU");
    assert_eq!(left.missing, ["MYRIAD.1-x"]);
    // The last of several is listed without its port.
    let last = resolve("MULTI:MYRIAD.1-x,MYRIAD.2-x", &["CPU", "MYRIAD"]).unwrap();
    assert_eq!(last.device, "MYRIAD");
    assert!(resolve("MULTI:MYRIAD.1-x", &["CPU"]).is_err());
}

#[test]
fn other_virtual_devices_are_passed_as_they_are_and_count_as_one() {
    for name in ["HETERO:GPU,CPU", "AUTO:GPU,CPU", "BATCH:GPU(4)"] {
        let target = resolve(name, &["CPU"]).unwrap();
        assert_eq!((target.device.as_str(), target.members.len()), (name, 1));
    }
}

#[test]
fn a_family_stands_for_its_first_member_and_a_typo_for_nothing() {
    assert_eq!(device("GPU", &["CPU", "GPU.0", "GPU.1"]), "GPU");
    let error = resolve("CPUU", &["CPU"]).unwrap_err();
    assert!(
        error.contains("no device for CPUU: found CPU; choose one of those"),
        "{error}"
    );
}

#[test]
fn names_that_cannot_be_names_are_refused() {
    for name in ["", "  ", "CPU\0", "MULTI", "MULTI:", "MULTI:CPU,,GPU"] {
        assert!(resolve(name, &["CPU", "GPU"]).is_err(), "{name:?}");
        let unparsed = DeviceChoice::Named(name.to_owned());
        assert!(
            unparsed.resolve(&devices(&["CPU", "GPU"])).is_err(),
            "{name:?}"
        );
    }
}

#[test]
fn a_choice_reads_back_as_it_is_shown() {
    for text in ["auto", "sticks", "MULTI:CPU,GPU"] {
        assert_eq!(
            text.parse::<DeviceChoice>().map(|c| c.to_string()).ok(),
            Some(text.to_owned())
        );
    }
}

#[test]
fn only_myriad_is_a_stick() {
    let sticks: Vec<bool> = devices(&["MYRIAD", "MYRIAD.1.2-ma2480", "MYRIADX", "CPU"])
        .iter()
        .map(Device::is_stick)
        .collect();
    assert_eq!(sticks, [true, true, false, false]);
}
