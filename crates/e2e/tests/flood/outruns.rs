//! A generator must be faster than what it measures.

use crate::alone;
use crate::bed::{LIMIT, drain};
use crate::one_queue::Traffic;
use crate::stage::Stage;
use ncs_e2e::producer::{FloodOptions, Producer};
use ncs_e2e::rabbitmq::Release;
use ncs_e2e::sticks::Sticks;
use ncs_e2e::worker::Worker;
use ncs_protocol::{ModelName, topology};
use serde_json::Value;
use std::path::PathBuf;
use std::time::Duration;

/// Jobs per second that do on a machine of two cores.
const ENOUGH: f64 = 3_000.0;

/// And on a slower one this share of what its broker carries: decoding and inferring have to go somewhere.
const SHARE: f64 = 0.6;

/// The side of a square input whose tensor has 20 kB.
const SIDE: usize = 82;

/// A folder with the IR of a network that takes such a tensor, and jobs for it.
struct Small {
    folder: PathBuf,
}

impl Small {
    fn new() -> Self {
        let folder = std::env::temp_dir().join(format!("ncs-outruns-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("jobs")).expect("a folder");
        // What the emulator reads of a network: its input and its output.
        let net = format!(
            r#"<?xml version="1.0"?><net name="small" version="11"><layers>
            <layer id="0" name="in" type="Parameter" version="opset1">
                <data shape="1,{SIDE},{SIDE},3" element_type="u8"/></layer>
            <layer id="1" name="out" type="Result" version="opset1"><input>
                <port id="0" precision="FP32"><dim>1</dim><dim>10</dim></port></input></layer>
            </layers></net>"#
        );
        std::fs::write(folder.join("small.xml"), net).expect("written");
        std::fs::write(folder.join("small.bin"), []).expect("written");
        for job in 0..16_u8 {
            let tensor = vec![job; SIDE * SIDE * 3];
            std::fs::write(folder.join(format!("jobs/{job}.tensor")), tensor).expect("written");
        }
        Self { folder }
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// Jobs per second of the same size through the same broker, with next to nothing at either end.
fn bare_traffic(stage: &Stage) -> f64 {
    let model: ModelName = "nobody".parse().expect("a name");
    let traffic = Traffic {
        topology: topology::for_worker(&model),
        model,
        bytes: SIDE * SIDE * 3,
        window: 1024,
    };
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let measuring = traffic.measure(&stage.node, Duration::from_secs(5));
    runtime
        .block_on(measuring)
        .expect("measured")
        .jobs_per_second
}

/// Floods sticks that need no time with jobs of 20 kB.
fn flood_idle_sticks(stage: &Stage, small: &Small) -> Value {
    let options = stage
        .sticks
        .worker(small.folder.join("small.xml"), &stage.node.amqp_url())
        .arguments(["--model-name", &stage.model, "--prefetch", "256"]);
    let worker = Worker::start(&options).expect("ready");
    let flood = FloodOptions::new(&stage.model, &stage.node.amqp_url())
        .arguments([
            "--images".into(),
            small.folder.join("jobs").into_os_string(),
        ])
        .arguments(["--warm-up", "3s", "--duration", "8s"])
        .arguments(["--window", "1024"]);
    let producer = Producer::flood(&flood).expect("started");
    let finished = producer.finish(LIMIT).expect("finished");
    assert!(finished.status.success(), "{finished:?}");
    assert!(finished.stdout.contains("% of one core"), "{finished:?}");
    drain(worker);
    finished.report.expect("a report")
}

#[test]
fn a_flood_outruns_a_fleet_whose_sticks_need_no_time() {
    let _alone = alone();
    let sticks = Sticks::plugged_in(4).expect("sticks");
    let none = [
        "STICKS_LATENCY_MS",
        "STICKS_SERVICE_MS",
        "STICKS_COMPILE_MS",
        "STICKS_BOOT_MS",
    ];
    let sticks = none
        .into_iter()
        .fold(sticks, |sticks, name| sticks.with(name, "0"));
    let (stage, small) = (Stage::new(Release::V3, sticks), Small::new());
    // A machine that is small, or busy with something else, may not do so much; then the flood is held to
    // what the same broker carries right after it where neither producer nor fleet need any time.
    let mut rounds = Vec::new();
    let outran = (0..3).any(|_| {
        let report = flood_idle_sticks(&stage, &small);
        let cores = report["cpu"]["cores"].as_f64().expect("its own share");
        assert!(cores > 0.0 && cores < 2.0, "{report}");
        let flood = report["images_per_second"].as_f64().expect("a speed");
        let bare = (flood < ENOUGH).then(|| bare_traffic(&stage));
        rounds.push((flood, bare));
        bare.is_none_or(|bare| flood >= SHARE * bare)
    });
    assert!(outran, "jobs/s, and those without a fleet: {rounds:.0?}");
    stage.end();
}
