//! A program on emulated sticks: what it is told, how long it takes, and what it meets when they break.

mod common;

use std::time::{Duration, Instant};

use common::openvino::{
    Core, GENERAL_ERROR, INVALID_C_PARAM, NOT_FOUND, Network, OK, REQUEST_BUSY, status_of_null,
};
use common::{Folder, in_child, model, until};

const BOTH: &str = "MULTI:MYRIAD.1.1-ma2480,MYRIAD.1.2-ma2480";
/// Neither compiling nor booting nor inferring takes long.
const QUICK: [(&str, &str); 4] = [
    ("STICKS_COMPILE_MS", "1"),
    ("STICKS_BOOT_MS", "50"),
    ("STICKS_LATENCY_MS", "4"),
    ("STICKS_SERVICE_MS", "2"),
];

fn quick<'a>(further: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
    QUICK.iter().chain(further).copied().collect()
}

/// A network on `device`, the model's files in `folder`.
fn network(core: &Core, folder: &Folder, device: &str) -> Network {
    let bin = folder.path().join("model.bin");
    let xml = model(folder.path());
    let model = core
        .read_model(&xml, bin.to_str().expect("UTF-8"))
        .expect("a model");
    assert_eq!((model.inputs(), model.is_dynamic()), (1, false));
    core.compile(&model, device).expect("a network")
}

fn best_two(scores: &[f32]) -> (usize, usize) {
    let position = |of: f32| scores.iter().position(|score| (score - of).abs() < 1e-6);
    let zeros = scores.iter().filter(|score| **score == 0.0).count();
    assert_eq!(zeros, scores.len() - 2, "{scores:?}");
    (
        position(0.9).expect("the best"),
        position(0.09).expect("the second"),
    )
}

#[test]
fn a_program_lists_compiles_and_infers() {
    let name = "a_program_lists_compiles_and_infers";
    let folder = Folder::of(name);
    in_child(name, &quick(&[("STICKS", "1")]), || {
        let core = Core::new();
        assert_eq!(core.devices(), ["MYRIAD"]);
        let full_name = core.property("MYRIAD", "FULL_DEVICE_NAME");
        assert_eq!(full_name.as_deref(), Ok("Intel Movidius Myriad X VPU"));
        assert_eq!(
            core.set_property("MYRIAD", "PERFORMANCE_HINT", "LATENCY"),
            OK
        );
        assert_eq!(core.set_property("MYRIAD", "NO_SUCH_KEY", "1"), NOT_FOUND);

        let network = network(&core, &folder, "MYRIAD.1.1-ma2480");
        let request = network.request();
        drop(network);
        assert_eq!(request.input_shape(), [1, 2, 4, 8]);
        // The Python of the crate's documentation for the 64 bytes that are each 7, and each 8.
        for (byte, expected) in [(7, SEVENS), (8, EIGHTS)] {
            request.set_input(&[byte; 64]).expect("an input");
            assert_eq!(request.infer(), OK);
            assert_eq!(best_two(&request.scores().expect("scores")), expected);
        }
        let missing = folder.path().join("missing.bin");
        let missing = missing.to_str().expect("UTF-8");
        let xml = folder.path().join("model.xml");
        assert_eq!(core.read_model(&xml, missing).err(), Some(GENERAL_ERROR));
        let xml = folder.path().join("missing.xml");
        assert_eq!(core.read_model(&xml, "").err(), Some(GENERAL_ERROR));
    });
}

const SEVENS: (usize, usize) = (2, 4);
const EIGHTS: (usize, usize) = (3, 4);

#[test]
fn null_is_refused() {
    in_child("null_is_refused", &[], || {
        for function in [
            "ov_get_openvino_version",
            "ov_core_create",
            "ov_core_read_model",
            "ov_core_compile_model",
            "ov_core_set_property",
            "ov_core_get_property",
            "ov_core_get_available_devices",
            "ov_model_inputs_size",
            "ov_compiled_model_create_infer_request",
            "ov_infer_request_start_async",
            "ov_infer_request_wait_for",
            "ov_infer_request_get_input_tensor",
            "ov_tensor_get_shape",
            "ov_tensor_data",
        ] {
            assert_eq!(status_of_null(function), INVALID_C_PARAM, "{function}");
        }
        for function in ["ov_core_free", "ov_infer_request_free", "ov_tensor_free"] {
            status_of_null(function);
        }
    });
}

#[test]
fn a_busy_request_is_refused_and_a_timeout_answers_ok() {
    let name = "a_busy_request_is_refused_and_a_timeout_answers_ok";
    let folder = Folder::of(name);
    let long = [("STICKS_COMPILE_MS", "1"), ("STICKS_LATENCY_MS", "300")];
    in_child(name, &long, || {
        let core = Core::new();
        let request = network(&core, &folder, "MYRIAD").request();
        let start = Instant::now();
        assert_eq!(request.start(), OK);
        assert_eq!(request.start(), REQUEST_BUSY);
        assert_eq!(request.wait_for(0), OK);
        assert_eq!(request.scores().err(), Some(REQUEST_BUSY));
        assert_eq!(request.wait_for(1), OK);
        assert_eq!(request.set_input(&[0; 64]).err(), Some(REQUEST_BUSY));
        assert_eq!(request.wait_for(10_000), OK);
        assert!(start.elapsed() >= Duration::from_millis(300));
        assert!(request.scores().is_ok());
    });
}

#[test]
fn the_pace_is_that_of_the_hardware() {
    let name = "the_pace_is_that_of_the_hardware";
    let folder = Folder::of(name);
    in_child(name, &[("STICKS_COMPILE_MS", "1")], || {
        let core = Core::new();
        let network = network(&core, &folder, "MYRIAD");
        let start = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..4 {
                let request = network.request();
                scope.spawn(move || {
                    for _ in 0..25 {
                        assert_eq!(request.infer(), OK);
                    }
                });
            }
        });
        // 100 services and the two transfers that overlap with none. A busy machine takes longer.
        let least = Duration::from_micros(100 * 10_790 + 13_590);
        let took = start.elapsed();
        assert!(took >= least, "{took:?}");
        assert!(took < least * 2, "{took:?}");
    });
}

#[test]
fn an_unplugged_stick_is_a_black_hole_until_the_network_is_compiled_anew() {
    let name = "an_unplugged_stick_is_a_black_hole_until_the_network_is_compiled_anew";
    let folder = Folder::of(name);
    folder.set("1.1 ok\n1.2 ok at 61.5\n");
    in_child(name, &quick(&[("STICKS_CONTROL", folder.text())]), || {
        let core = Core::new();
        assert_eq!(core.devices(), ["MYRIAD.1.1-ma2480", "MYRIAD.1.2-ma2480"]);
        let celsius = core.property("MYRIAD.1.2-ma2480", "DEVICE_THERMAL");
        assert_eq!(celsius.as_deref(), Ok("61.5"));
        let old = network(&core, &folder, BOTH);
        let requests = [old.request(), old.request()];
        assert!(requests.iter().all(|request| request.infer() == OK));

        folder.set("1.1 ok\n");
        until("the stick is gone", || core.devices() == ["MYRIAD"]);
        // The one keeps the good stick busy, the other falls into the hole.
        assert_eq!(requests[0].start(), OK);
        let outcomes = [(); 3].map(|()| requests[1].infer());
        assert!(outcomes.contains(&GENERAL_ERROR), "{outcomes:?}");
        let _ = requests[0].wait_for(-1);

        folder.set("1.1 ok\n1.2 ok\n");
        until("the stick has booted", || core.devices().len() == 2);
        let outcomes = [(); 4].map(|()| requests[1].infer());
        assert!(outcomes.contains(&GENERAL_ERROR), "{outcomes:?}");
        let new = network(&core, &folder, BOTH);
        let request = new.request();
        assert!((0..4).all(|_| request.infer() == OK));

        drop((requests, old));
        until("the counts are written", || {
            let stats = folder.stats();
            stats.contains(r#""alive":false"#) && stats.contains(r#""compiles_total":2"#)
        });
    });
}

#[test]
fn a_hanging_stick_keeps_time_limits_and_a_stuck_one_does_not() {
    let name = "a_hanging_stick_keeps_time_limits_and_a_stuck_one_does_not";
    let folder = Folder::of(name);
    folder.set("1.1 hanging\n");
    in_child(name, &quick(&[("STICKS_CONTROL", folder.text())]), || {
        let core = Core::new();
        let network = network(&core, &folder, "MYRIAD");
        let request = network.request();
        assert_eq!(request.start(), OK);
        assert_eq!(request.wait_for(30), OK);
        assert_eq!(request.scores().err(), Some(REQUEST_BUSY));
        folder.set("1.1 ok\n");
        assert_eq!(request.wait_for(-1), OK);
        assert!(request.scores().is_ok());

        folder.set("1.1 stuck\n");
        let start = Instant::now();
        let healer = std::thread::spawn({
            let folder = Folder::of(name);
            move || {
                std::thread::sleep(Duration::from_millis(400));
                folder.set("1.1 failing\n");
            }
        });
        // Each ends in time until the stick is stuck; the one that meets that waits for the healer.
        let mut outcome = OK;
        while outcome == OK {
            assert_eq!(request.start(), OK);
            outcome = request.wait_for(20);
        }
        assert_eq!(outcome, GENERAL_ERROR);
        assert!(start.elapsed() >= Duration::from_millis(390));
        healer.join().expect("the healer");
    });
}
