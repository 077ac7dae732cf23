use std::time::Duration;

use super::*;
use crate::condition;
use crate::ir::Model;

fn settings(count: u16) -> Settings {
    Settings {
        compile: Duration::ZERO,
        count,
        ..Settings::for_tests()
    }
}

fn core(settings: Settings) -> Core {
    Core::new(Arc::new(Host::new(settings, Instant::now())))
}

fn model() -> Arc<Model> {
    Arc::new(Model {
        inputs: Vec::new(),
        outputs: Vec::new(),
        path: String::new(),
    })
}

fn set(core: &Core, lines: &str) {
    core.host
        .apply(&condition::parse(lines).unwrap(), Instant::now());
}

#[test]
fn a_single_stick_goes_by_both_of_its_names() {
    let core = core(settings(1));
    assert_eq!(core.devices(Instant::now()), ["MYRIAD"]);
    for name in ["MYRIAD", "MYRIAD.1.1-ma2480"] {
        assert_eq!(
            core.property(name, "FULL_DEVICE_NAME").unwrap(),
            device::FULL_NAME
        );
        let network = core.compile(model(), name).unwrap();
        assert_eq!(network.ports(), ["1.1"]);
    }
    assert_eq!(
        core.compile(model(), "MYRIAD.1.2-ma2480").err(),
        Some(Status::GeneralError)
    );
}

#[test]
fn several_sticks_are_listed_by_name() {
    let devices = core(settings(11)).devices(Instant::now());
    assert_eq!(devices[0], "MYRIAD.1.1-ma2480");
    assert_eq!(devices[1], "MYRIAD.1.10-ma2480");
    assert_eq!(devices[10], "MYRIAD.1.9-ma2480");
}

#[test]
fn a_bare_name_takes_a_free_stick() {
    let core = core(settings(2));
    let first = core.compile(model(), "MYRIAD").unwrap();
    let second = core.compile(model(), "MYRIAD").unwrap();
    assert_eq!(
        (first.ports(), second.ports()),
        (vec!["1.1".into()], vec!["1.2".into()])
    );
    drop(first);
    assert_eq!(core.compile(model(), "MYRIAD").unwrap().ports(), ["1.1"]);
}

#[test]
fn each_stick_has_its_temperature() {
    let core = core(settings(2));
    let celsius = |n| {
        core.property(&format!("MYRIAD.1.{n}-ma2480"), "DEVICE_THERMAL")
            .unwrap()
    };
    assert_ne!(celsius(1), celsius(2));
    set(&core, "1.1 ok at 44.5\n1.2 ok\n");
    assert_eq!(celsius(1), "44.5");
    assert_eq!(
        core.property("MYRIAD.1.1-ma2480", "NOPE"),
        Err(Status::NotFound)
    );
    assert_eq!(
        core.property("CPU", "FULL_DEVICE_NAME"),
        Err(Status::GeneralError)
    );
}

#[test]
fn a_stick_without_a_line_is_gone_and_a_new_port_boots() {
    let core = core(settings(2));
    set(&core, "1.2 ok\n3.4 ok\n");
    assert_eq!(core.devices(Instant::now()), ["MYRIAD"]);
    let booted = Instant::now() + core.host.settings.boot;
    assert_eq!(
        core.devices(booted),
        ["MYRIAD.1.2-ma2480", "MYRIAD.3.4-ma2480"]
    );
}

#[test]
fn an_uncompilable_member_fails_the_whole_and_frees_the_others() {
    let core = core(settings(2));
    set(&core, "1.1 ok\n1.2 uncompilable\n");
    let both = "MULTI:MYRIAD.1.1-ma2480,MYRIAD.1.2-ma2480";
    assert_eq!(
        core.compile(model(), both).err(),
        Some(Status::GeneralError)
    );
    assert!(core.host.all().iter().all(|stick| stick.networks() == 0));
}

#[test]
fn as_with_the_real_plugin_a_lost_stick_can_stay_listed_and_be_of_no_use() {
    let core = core(Settings {
        keep_lost: true,
        boot: Duration::ZERO,
        ..settings(2)
    });
    let name = "MYRIAD.1.2-ma2480";
    let network = core.compile(model(), name).unwrap();
    set(&core, "1.1 ok\n");
    let listed = || core.devices(Instant::now());
    assert_eq!(listed(), ["MYRIAD.1.1-ma2480", name]);
    assert_eq!(
        core.compile(model(), name).err(),
        Some(Status::GeneralError)
    );
    drop(network);
    set(&core, "1.1 ok\n1.2 ok\n");
    assert_eq!(listed(), ["MYRIAD.1.1-ma2480", name, name]);
    assert_eq!(
        core.compile(model(), name).err(),
        Some(Status::GeneralError)
    );
    // A new core knows nothing of it.
    let core = Core::new(Arc::clone(&core.host));
    assert_eq!(core.devices(Instant::now()), ["MYRIAD.1.1-ma2480", name]);
    assert!(core.compile(model(), name).is_ok());
}
